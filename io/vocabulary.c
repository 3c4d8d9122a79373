/* SPDX-License-Identifier: MIT
 *
 * vocabulary.c: a vocabulary is one block: the array of tokens, then their text. A character whose
 * text is empty is U+0000. */
#include "io/vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "io/strings.h"
#include "io/utf8.h"
#include "io/vocabulary_codes.h"
#include "io/words.h"

enum { BYTE_TOKENS = 256 };

static const char *const tokenizer_names[TOKENIZERS] = {
    [TOKENIZER_BYTE] = "byte", [TOKENIZER_CHAR] = "char", [TOKENIZER_WORD] = "word", [TOKENIZER_BPE] = "bpe"};

const char *tokenizer_name(TokenizerKind tokenizer) {
    return tokenizer_names[tokenizer];
}

bool tokenizer_named(const char *name, TokenizerKind *out) {
    for (int i = 0; i < TOKENIZERS; i++) {
        *out = (TokenizerKind)i;
        if (strcmp(name, tokenizer_names[i]) == 0) return true;
    }
    return false;
}

/* `text` bytes of room behind the tokens, their start in *room. */
static Status create(TokenizerKind tokenizer, size_t size, size_t text, Vocabulary **out, char **room) {
    size_t pointers, bytes;
    if (!size_multiply(size, sizeof(char *), &pointers) || __builtin_add_overflow(pointers, text, &bytes))
        return status_fail(ERR_USAGE, "vocabulary: %zu tokens do not fit in memory", size);
    Vocabulary *made = calloc(1, sizeof *made);
    char **token = bytes ? malloc(bytes) : NULL;
    if (!made || (bytes && !token)) {
        free(token);
        free(made);
        return status_fail(ERR_USAGE, "vocabulary: no memory for %zu tokens", size);
    }
    *made = (Vocabulary){.tokenizer = tokenizer, .size = size, .token = token};
    *room = (char *)token + pointers;
    *out = made;
    return OK;
}

static Status create_bytes(Vocabulary **out) {
    char *room;
    TRY(create(TOKENIZER_BYTE, 0, 0, out, &room));
    (*out)->size = BYTE_TOKENS;
    return OK;
}

Status vocabulary_from_codes(TokenizerKind tokenizer, const CodeSet *set, Vocabulary **out) {
    *out = NULL;
    if (tokenizer == TOKENIZER_BYTE) return create_bytes(out);
    size_t size = 0;
    for (size_t i = 0; i < UTF8_CODES / 64; i++) size += (size_t)__builtin_popcountll(set->word[i]);
    char *text;
    TRY(create(tokenizer, size, size * 5, out, &text));
    size_t id = 0;
    for (int32_t code = 0; code < UTF8_CODES; code++) {
        if (!codes_has(set, code)) continue;
        (*out)->token[id++] = text;
        text += code ? utf8_encode(code, text) : 0;
        *text++ = '\0';
    }
    return OK;
}

static Status from_words(const char *const *text, const size_t *bytes, const char *const *where, size_t texts,
                         Vocabulary **out) {
    Strings words = {0};
    size_t count = 0;
    Status status = OK;
    for (size_t i = 0; i < texts && status == OK; i++)
        status = words_collect(&words, where[i], text[i], utf8_mark(text[i], bytes[i]), bytes[i], &count);
    if (status == OK) status = words_vocabulary(&words, out);
    strings_free(&words);
    return status;
}

Status vocabulary_from_texts(TokenizerKind tokenizer, const char *const *text, const size_t *bytes,
                             const char *const *where, size_t texts, Vocabulary **out) {
    *out = NULL;
    if (tokenizer == TOKENIZER_BYTE) return create_bytes(out);
    if (tokenizer == TOKENIZER_WORD) return from_words(text, bytes, where, texts, out);
    if (tokenizer == TOKENIZER_BPE) return status_fail(ERR_INTERNAL, "vocabulary: byte pairs are learned, see bpe.h");
    CodeSet *set = calloc(1, sizeof *set);
    if (!set) return status_fail(ERR_USAGE, "vocabulary: no memory");
    Status status = OK;
    for (size_t i = 0; i < texts && status == OK; i++) {
        size_t count;
        status = codes_add_text(set, where[i], text[i], bytes[i], &count);
    }
    if (status == OK) status = vocabulary_from_codes(tokenizer, set, out);
    free(set);
    return status;
}

/* The code point of a token that is one character, else -1. */
static int32_t single_code(const char *token) {
    size_t bytes = strlen(token), at = 0;
    if (bytes == 0) return 0;
    int32_t code = utf8_next(token, bytes, &at);
    return at == bytes ? code : -1;
}

/* Adds the bytes of all texts to *text. */
static Status check_tokens(const char *const *token, size_t size, size_t *text) {
    CodeSet *seen = calloc(1, sizeof *seen);
    if (!seen) return status_fail(ERR_USAGE, "vocabulary: no memory");
    Status status = OK;
    for (size_t i = 0; i < size && status == OK; i++) {
        size_t bytes = strlen(token[i]);
        *text += bytes + 1;
        for (size_t at = 0; at < bytes && status == OK;) {
            if (utf8_next(token[i], bytes, &at) < 0)
                status = status_fail(ERR_DATA, "vocabulary: token %zu is not UTF-8", i);
        }
        int32_t code = status == OK ? single_code(token[i]) : -1;
        if (code < 0) continue;
        char name[UTF8_DESCRIPTION];
        utf8_describe(code, name);
        if (codes_has(seen, code)) status = status_fail(ERR_DATA, "vocabulary: token %zu, %s, occurs twice", i, name);
        codes_add(seen, code);
    }
    free(seen);
    return status;
}

/* Words are many: a table finds the one that occurs twice. */
static Status check_words(const char *const *token, size_t size) {
    Strings seen = {0};
    Status status = OK;
    for (size_t i = 0; i < size && status == OK; i++) {
        uint32_t number;
        status = strings_add(&seen, token[i], strlen(token[i]), &number);
        if (status == OK && number != i)
            status = status_fail(ERR_DATA, "vocabulary: token %zu, '%.60s', occurs twice", i, token[i]);
    }
    strings_free(&seen);
    return status;
}

static Status list_bpe(Bpe *bpe, Vocabulary **out) {
    char text[BPE_TEXT_ROOM], *room;
    size_t bytes = 0;
    for (size_t id = 0; id < bpe_tokens(bpe); id++) bytes += bpe_text(bpe, id, text) + 1;
    TRY(create(TOKENIZER_BPE, bpe_tokens(bpe), bytes, out, &room));
    for (size_t id = 0; id < bpe_tokens(bpe); id++) {
        const size_t length = bpe_text(bpe, id, text) + 1;
        (*out)->token[id] = memcpy(room, text, length);
        room += length;
    }
    (*out)->bpe = bpe;
    return OK;
}

Status vocabulary_from_bpe(Bpe *bpe, Vocabulary **out) {
    *out = NULL;
    const Status status = list_bpe(bpe, out);
    if (status != OK) bpe_destroy(&bpe);
    return status;
}

Status vocabulary_from_tokens(TokenizerKind tokenizer, const char *const *token, size_t size, Vocabulary **out) {
    *out = NULL;
    if (tokenizer == TOKENIZER_BYTE) {
        if (size != BYTE_TOKENS)
            return status_fail(ERR_DATA, "vocabulary: %zu tokens; bytes have %d", size, BYTE_TOKENS);
        return create_bytes(out);
    }
    if (tokenizer == TOKENIZER_BPE) {
        Bpe *bpe;
        TRY(bpe_from_texts(token, size, &bpe));
        return vocabulary_from_bpe(bpe, out);
    }
    if (size > INT32_MAX) return status_fail(ERR_DATA, "vocabulary: %zu tokens; at most %d fit", size, INT32_MAX);
    size_t text = 0;
    char *room;
    TRY(check_tokens(token, size, &text));
    if (tokenizer == TOKENIZER_WORD) TRY(check_words(token, size));
    TRY(create(tokenizer, size, text, out, &room));
    for (size_t i = 0; i < size; i++) {
        size_t bytes = strlen(token[i]) + 1;
        (*out)->token[i] = memcpy(room, token[i], bytes);
        room += bytes;
    }
    return OK;
}

Status vocabulary_copy(const Vocabulary *vocabulary, Vocabulary **out) {
    return vocabulary_from_tokens(vocabulary->tokenizer, (const char *const *)vocabulary->token, vocabulary->size, out);
}

void vocabulary_destroy(Vocabulary **vocabulary) {
    if (!*vocabulary) return;
    bpe_destroy(&(*vocabulary)->bpe);
    free((*vocabulary)->token);
    free(*vocabulary);
    *vocabulary = NULL;
}

/* ---- ids ------------------------------------------------------------------------------------------- */

Status code_table_make(const Vocabulary *vocabulary, CodeTable *out) {
    *out = (CodeTable){0};
    for (size_t i = 0; i < vocabulary->size; i++) {
        int32_t code = single_code(vocabulary->token[i]);
        if (code >= out->codes) out->codes = code + 1;
    }
    out->id_after = calloc((size_t)out->codes + 1, sizeof *out->id_after);
    if (!out->id_after) return status_fail(ERR_USAGE, "vocabulary: no memory");
    for (size_t i = 0; i < vocabulary->size; i++) {
        int32_t code = single_code(vocabulary->token[i]);
        if (code >= 0) out->id_after[code] = (uint32_t)i + 1;
    }
    return OK;
}

void code_table_free(CodeTable *table) {
    free(table->id_after);
    *table = (CodeTable){0};
}

Status vocabulary_lacks(const char *where, const char *text, size_t offset, int32_t code, const char *side,
                        size_t size) {
    TextPlace place = text_place(text, offset);
    char name[UTF8_DESCRIPTION];
    utf8_describe(code, name);
    return status_fail(ERR_DATA,
                       "%s:%zu:%zu: character %s is not in the %s of %zu characters that the model was trained on",
                       where, place.line, place.column, name, side, size);
}

static Status encode_characters(const Vocabulary *vocabulary, const char *text, size_t bytes, const char *where,
                                int32_t *id, size_t *count) {
    CodeTable table;
    TRY(code_table_make(vocabulary, &table));
    Status status = OK;
    for (size_t at = utf8_mark(text, bytes); at < bytes && status == OK;) {
        size_t start = at;
        int32_t code = utf8_next(text, bytes, &at);
        if (code < 0) {
            status = utf8_fail(where, text, start);
            break;
        }
        int32_t found = code_table_id(&table, code);
        if (found < 0) status = vocabulary_lacks(where, text, start, code, "vocabulary", vocabulary->size);
        id[(*count)++] = found;
    }
    code_table_free(&table);
    return status;
}

static Status encode_words(const Vocabulary *vocabulary, const char *text, size_t bytes, const char *where, int32_t *id,
                           size_t *count) {
    Strings table;
    Column column = {.type = CELL_I32, .cell = id, .room = bytes, .borrowed = true};
    Status status = words_table(vocabulary, &table);
    if (status == OK) status = words_encode(&table, where, text, utf8_mark(text, bytes), bytes, "vocabulary", &column);
    *count = column.cells;
    strings_free(&table);
    return status;
}

Status vocabulary_encode(const Vocabulary *vocabulary, const char *text, size_t bytes, const char *where, int32_t **out,
                         size_t *count) {
    *out = NULL;
    *count = 0;
    size_t room;
    int32_t *id = size_multiply(bytes + 1, sizeof *id, &room) ? malloc(room) : NULL;
    if (!id) return status_fail(ERR_USAGE, "%s: no memory for the ids of %zu bytes", where, bytes);
    Status status = OK;
    if (vocabulary->tokenizer == TOKENIZER_BYTE) {
        for (size_t i = 0; i < bytes; i++) id[i] = (unsigned char)text[i];
        *count = bytes;
    } else if (vocabulary->tokenizer == TOKENIZER_BPE) {
        bpe_encode(vocabulary->bpe, text, bytes, id, count);
    } else if (vocabulary->tokenizer == TOKENIZER_WORD) {
        status = encode_words(vocabulary, text, bytes, where, id, count);
    } else {
        status = encode_characters(vocabulary, text, bytes, where, id, count);
    }
    if (status != OK) {
        free(id);
        *count = 0;
        return status;
    }
    *out = id;
    return OK;
}

const char *vocabulary_token(const Vocabulary *vocabulary, int32_t id, size_t *bytes) {
    static char byte[BYTE_TOKENS];
    if (id < 0 || (size_t)id >= vocabulary->size) {
        *bytes = 3;
        return "\xEF\xBF\xBD";
    }
    if (vocabulary->tokenizer == TOKENIZER_BYTE) {
        byte[id] = (char)(unsigned char)id;
        *bytes = 1;
        return &byte[id];
    }
    if (vocabulary->tokenizer == TOKENIZER_BPE) return bpe_token(vocabulary->bpe, (size_t)id, bytes);
    const char *token = vocabulary->token[id];
    size_t length = strlen(token);
    *bytes = length ? length : 1; /* a character without text is U+0000 */
    return token;
}

const char *vocabulary_label(const Vocabulary *vocabulary, int32_t id, size_t *bytes) {
    const bool entry = vocabulary->tokenizer == TOKENIZER_BPE && id >= 0 && (size_t)id < vocabulary->size;
    if (!entry) return vocabulary_token(vocabulary, id, bytes);
    *bytes = strlen(vocabulary->token[id]);
    return vocabulary->token[id];
}

bool vocabulary_parts(const Vocabulary *vocabulary, int32_t left, int32_t right) {
    size_t size = vocabulary->size;
    if (vocabulary->tokenizer != TOKENIZER_WORD || left < 0 || right < 0 || (size_t)left >= size ||
        (size_t)right >= size)
        return false;
    return words_part(vocabulary->token[left], vocabulary->token[right]);
}
