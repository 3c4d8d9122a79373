/* SPDX-License-Identifier: MIT
 *
 * vocabulary_codes.h: what the readers of data need of a vocabulary beside vocabulary.h: making one
 * from collected code points, and a table for looking up many of them. */
#ifndef LOCKSTEP_IO_VOCABULARY_CODES_H
#define LOCKSTEP_IO_VOCABULARY_CODES_H

#include "io/utf8.h"
#include "io/vocabulary.h"

/* Byte: all 256. Char: the code points of the set, ascending. The caller's: vocabulary_destroy. Local. */
MUST_CHECK Status vocabulary_from_codes(TokenizerKind tokenizer, const CodeSet *set, Vocabulary **out);

MUST_CHECK Status vocabulary_copy(const Vocabulary *vocabulary, Vocabulary **out);

/* Code point -> id. */
typedef struct CodeTable {
    uint32_t *id_after; /* [codes] id + 1, 0: not in the vocabulary */
    int32_t codes;
} CodeTable;

MUST_CHECK Status code_table_make(const Vocabulary *vocabulary, CodeTable *out);
void code_table_free(CodeTable *table);

/* -1 where the vocabulary lacks the code point. */
static inline int32_t code_table_id(const CodeTable *table, int32_t code) {
    return code < table->codes ? (int32_t)table->id_after[code] - 1 : -1;
}

/* ERR_DATA for the character at `offset`, which the vocabulary lacks. `side` names the vocabulary
 * ("vocabulary"). */
Status vocabulary_lacks(const char *where, const char *text, size_t offset, int32_t code, const char *side,
                        size_t size);

#endif
