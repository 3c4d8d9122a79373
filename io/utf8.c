/* SPDX-License-Identifier: MIT
 *
 * utf8.c: utf8proc decodes and judges; this file adds places and words. */
#include "io/utf8.h"

#include <stdio.h>
#include <string.h>
#include <utf8proc.h>

TextPlace text_place(const char *text, size_t offset) {
    TextPlace place = {1, 1};
    size_t start = 0;
    const char *feed;
    while ((feed = memchr(text + start, '\n', offset - start)) != NULL) {
        start = (size_t)(feed - text) + 1;
        place.line++;
    }
    if (place.line == 1) start = utf8_mark(text, offset);
    for (size_t i = start; i < offset; i++) place.column += ((unsigned char)text[i] & 0xC0) != 0x80;
    return place;
}

size_t utf8_mark(const char *text, size_t bytes) {
    return bytes >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0 ? 3 : 0;
}

int32_t utf8_next_wide(const char *text, size_t bytes, size_t *at) {
    utf8proc_int32_t code;
    size_t left = bytes - *at;
    utf8proc_ssize_t read =
        utf8proc_iterate((const utf8proc_uint8_t *)text + *at, (utf8proc_ssize_t)(left < 4 ? left : 4), &code);
    if (read <= 0) return -1;
    *at += (size_t)read;
    return code;
}

Status utf8_fail(const char *where, const char *text, size_t offset) {
    TextPlace place = text_place(text, offset);
    return status_fail(ERR_DATA,
                       "%s:%zu:%zu: not UTF-8: byte 0x%02x at offset %zu; save the text as UTF-8, or read it as "
                       "bytes with data.tokenizer: byte",
                       where, place.line, place.column, (unsigned)(unsigned char)text[offset], offset);
}

size_t utf8_encode(int32_t code, char out[4]) {
    return (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)out);
}

static bool prints(int32_t code) {
    utf8proc_category_t category = utf8proc_category(code);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_SO && category != UTF8PROC_CATEGORY_MN &&
           category != UTF8PROC_CATEGORY_MC && category != UTF8PROC_CATEGORY_ME;
}

void utf8_describe(int32_t code, char out[UTF8_DESCRIPTION]) {
    char text[5] = "";
    if (prints(code)) text[utf8_encode(code, text)] = '\0';
    const char *quote = text[0] ? "'" : "";
    snprintf(out, UTF8_DESCRIPTION, "U+%04X%s%s%s%s", (unsigned)code, text[0] ? " " : "", quote, text, quote);
}

Status codes_add_text(CodeSet *set, const char *where, const char *text, size_t bytes, size_t *count) {
    size_t characters = 0;
    for (size_t at = utf8_mark(text, bytes); at < bytes; characters++) {
        int32_t code = utf8_next(text, bytes, &at);
        if (code < 0) return utf8_fail(where, text, at);
        codes_add(set, code);
    }
    *count = characters;
    return OK;
}
