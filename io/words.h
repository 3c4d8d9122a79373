/* SPDX-License-Identifier: MIT
 *
 * words.h: text as words. A word is a run of letters, marks and digits, with an apostrophe where one
 * stands between two of them; any other character is a token by itself, a line feed too. Blanks part
 * tokens and are not tokens: joining puts them back by the habits of print. */
#ifndef LOCKSTEP_IO_WORDS_H
#define LOCKSTEP_IO_WORDS_H

#include <stdbool.h>

#include "io/column.h"
#include "io/strings.h"
#include "io/vocabulary.h"

/* The token at or behind *at < end, [*start, *at) afterwards; false where there is none. An empty one stands
 * for bytes at *at that are not UTF-8. */
bool word_next(const char *text, size_t end, size_t *at, size_t *start);

/* Adds the words of [begin, end) and counts them in *count. ERR_DATA names `where`, line and column of what is
 * not UTF-8. */
MUST_CHECK Status words_collect(Strings *words, const char *where, const char *text, size_t begin, size_t end,
                                size_t *count);

/* In the order of their code points. */
MUST_CHECK Status words_vocabulary(const Strings *words, Vocabulary **out);

/* A table that finds ids: word i of the vocabulary is number i. The caller's: strings_free. */
MUST_CHECK Status words_table(const Vocabulary *vocabulary, Strings *out);

/* The ids of [begin, end) behind those in `out`, which has room. ERR_DATA for a word that the table lacks; `side`
 * names the vocabulary. */
MUST_CHECK Status words_encode(const Strings *table, const char *where, const char *text, size_t begin, size_t end,
                               const char *side, Column *out);

/* Whether a blank belongs between two words. */
bool words_part(const char *left, const char *right);

#endif
