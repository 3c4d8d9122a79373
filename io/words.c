/* SPDX-License-Identifier: MIT
 *
 * words.c: what a character is, by its Unicode category. */
#include "io/words.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "io/utf8.h"

/* ---- cutting ------------------------------------------------------------------------------------------ */

static bool in_word(int32_t code) {
    utf8proc_category_t category = code < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_NO;
}

static bool is_blank(int32_t code) {
    if (code == '\n') return false;
    utf8proc_category_t category = code < 0 ? UTF8PROC_CATEGORY_CN : utf8proc_category(code);
    return (code >= '\t' && code <= '\r') || (category >= UTF8PROC_CATEGORY_ZS && category <= UTF8PROC_CATEGORY_ZP) ||
           code == 0xFEFF;
}

static bool is_apostrophe(int32_t code) {
    return code == '\'' || code == 0x2019;
}

/* The code point at `at`, and where it ends; -1 at the end and for what is not UTF-8. */
static int32_t look(const char *text, size_t end, size_t at, size_t *behind) {
    *behind = at;
    return at < end ? utf8_next(text, end, behind) : -1;
}

bool word_next(const char *text, size_t end, size_t *at, size_t *start) {
    size_t behind, further;
    int32_t code = look(text, end, *at, &behind);
    for (; code >= 0 && is_blank(code); code = look(text, end, *at, &behind)) *at = behind;
    *start = *at;
    if (code < 0) return *at < end;
    *at = behind;
    if (!in_word(code)) return true;
    for (;;) {
        code = look(text, end, *at, &behind);
        if (is_apostrophe(code) && in_word(look(text, end, behind, &further))) behind = further;
        else if (!in_word(code)) return true;
        *at = behind;
    }
}

/* ---- words and ids -------------------------------------------------------------------------------------- */

Status words_collect(Strings *words, const char *where, const char *text, size_t begin, size_t end, size_t *count) {
    for (size_t at = begin, start; word_next(text, end, &at, &start); ++*count) {
        uint32_t number;
        if (at == start) return utf8_fail(where, text, at);
        if (memchr(text + start, '\0', at - start)) {
            TextPlace place = text_place(text, start);
            return status_fail(ERR_DATA, "%s:%zu:%zu: a NUL byte is no word; use data.tokenizer: char or byte", where,
                               place.line, place.column);
        }
        TRY(strings_add(words, text + start, at - start, &number));
    }
    return OK;
}

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

Status words_vocabulary(const Strings *words, Vocabulary **out) {
    const char **word;
    TRY(cells_allocate(words->count, sizeof *word, "vocabulary", (void **)&word));
    for (size_t i = 0; i < words->count; i++) word[i] = strings_text(words, i);
    qsort(word, words->count, sizeof *word, by_bytes);
    Status status = vocabulary_from_tokens(TOKENIZER_WORD, word, words->count, out);
    free(word);
    return status;
}

Status words_table(const Vocabulary *vocabulary, Strings *out) {
    *out = (Strings){0};
    for (size_t i = 0; i < vocabulary->size; i++) {
        uint32_t number;
        TRY(strings_add(out, vocabulary->token[i], strlen(vocabulary->token[i]), &number));
    }
    return OK;
}

Status words_encode(const Strings *table, const char *where, const char *text, size_t begin, size_t end,
                    const char *side, Column *out) {
    for (size_t at = begin, start; word_next(text, end, &at, &start);) {
        if (at == start) return utf8_fail(where, text, at);
        int64_t id = strings_find(table, text + start, at - start);
        if (id < 0) {
            TextPlace place = text_place(text, start);
            return status_fail(
                ERR_DATA, "%s:%zu:%zu: '%.*s' is not in the %s of %zu words that the model was trained on", where,
                place.line, place.column, at - start > 60 ? 60 : (int)(at - start), text + start, side, table->count);
        }
        if (out->cells == out->room)
            return status_fail(ERR_DATA, "%s: changed while it was read; does something still write it?", where);
        column_put(out, (int32_t)id);
    }
    return OK;
}

/* ---- joining --------------------------------------------------------------------------------------------- */

static bool one_of(const char *word, const char *const *list) {
    for (; *list; list++)
        if (strcmp(word, *list) == 0) return true;
    return false;
}

bool words_part(const char *left, const char *right) {
    static const char *const opening[] = {"(",      "[",      "{", "\u201C", "\u2018", "\u201E", "\u00AB",
                                          "\u00BF", "\u00A1", "#", "$",      "@",      NULL};
    static const char *const closing[] = {".", ",", ";",      ":",      "!",      "?",      ")", "]",
                                          "}", "%", "\u2026", "\u201D", "\u2019", "\u00BB", NULL};
    static const char *const glue[] = {"\n", "-", "/", "_", NULL};
    return !one_of(left, opening) && !one_of(right, closing) && !one_of(left, glue) && !one_of(right, glue);
}
