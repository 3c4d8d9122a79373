/* SPDX-License-Identifier: MIT
 *
 * utf8.h: text as Unicode code points: reading them one by one, collecting those that occur, looking up
 * their ids, and saying where in a file something is wrong. */
#ifndef LOCKSTEP_IO_UTF8_H
#define LOCKSTEP_IO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

enum { UTF8_CODES = 0x110000, UTF8_DESCRIPTION = 24 };

/* Line and column count from 1, the column in characters; a line ends with its line feed. */
typedef struct TextPlace {
    size_t line, column;
} TextPlace;
TextPlace text_place(const char *text, size_t offset);

/* Bytes of a byte order mark at the start of a text: 3 or 0. */
size_t utf8_mark(const char *text, size_t bytes);

/* The code point at *at < bytes, and moves *at behind it; -1 where the bytes are not UTF-8 (*at stays). */
int32_t utf8_next_wide(const char *text, size_t bytes, size_t *at);
static inline int32_t utf8_next(const char *text, size_t bytes, size_t *at) {
    unsigned char first = (unsigned char)text[*at];
    if (first >= 0x80) return utf8_next_wide(text, bytes, at);
    ++*at;
    return first;
}

/* ERR_DATA for the bytes at `offset` that are not UTF-8; `where` is the file. */
Status utf8_fail(const char *where, const char *text, size_t offset);

/* Writes the 1 to 4 bytes of a code point. */
size_t utf8_encode(int32_t code, char out[4]);

/* "U+00E9 'é'", without the character where it does not print. */
void utf8_describe(int32_t code, char out[UTF8_DESCRIPTION]);

/* ---- the code points that occur ------------------------------------------------------------------- */

typedef struct CodeSet {
    uint64_t word[UTF8_CODES / 64];
} CodeSet;

static inline void codes_add(CodeSet *set, int32_t code) {
    set->word[code >> 6] |= UINT64_C(1) << (code & 63);
}
static inline bool codes_has(const CodeSet *set, int32_t code) {
    return (set->word[code >> 6] >> (code & 63)) & 1;
}

/* Adds all of a text and counts its characters; a mark at its start is not one. ERR_DATA for bytes that
 * are not UTF-8. */
MUST_CHECK Status codes_add_text(CodeSet *set, const char *where, const char *text, size_t bytes, size_t *count);

#endif
