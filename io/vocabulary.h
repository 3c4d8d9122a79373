/* SPDX-License-Identifier: MIT
 *
 * vocabulary.h: tokens and their ids. Bytes are their own ids; characters are Unicode code points, words are
 * cut as words.h says, both in ascending order of code points, found in all of the text; byte pairs are learned
 * as bpe.h says. */
#ifndef LOCKSTEP_IO_VOCABULARY_H
#define LOCKSTEP_IO_VOCABULARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"
#include "io/bpe.h"

/* Order of the choices of data.tokenizer. */
typedef enum TokenizerKind { TOKENIZER_BYTE, TOKENIZER_CHAR, TOKENIZER_WORD, TOKENIZER_BPE } TokenizerKind;
enum { TOKENIZERS = TOKENIZER_BPE + 1 };

/* "byte", "char", "word", "bpe", as configs and files have it; false for another name. */
const char *tokenizer_name(TokenizerKind tokenizer);
bool tokenizer_named(const char *name, TokenizerKind *out);

typedef struct Vocabulary {
    TokenizerKind tokenizer;
    size_t size;
    char **token; /* [size] UTF-8 text of each id (byte: NULL, the id is the byte; bpe: its entry, see bpe.h) */
    Bpe *bpe;     /* bpe alone */
} Vocabulary;

/* Of the bytes, characters or words that occur in any of the texts; ERR_DATA names `where` and line and column of
 * bytes that are not UTF-8. The caller's: vocabulary_destroy. Local. */
MUST_CHECK Status vocabulary_from_texts(TokenizerKind tokenizer, const char *const *text, const size_t *bytes,
                                        const char *const *where, size_t texts, Vocabulary **out);
/* From stored tokens, e.g. a checkpoint's; copies. */
MUST_CHECK Status vocabulary_from_tokens(TokenizerKind tokenizer, const char *const *token, size_t size,
                                         Vocabulary **out);
/* Takes the byte pairs, also on failure. */
MUST_CHECK Status vocabulary_from_bpe(Bpe *bpe, Vocabulary **out);
void vocabulary_destroy(Vocabulary **vocabulary);

/* Text to ids; *out is the caller's, free(). ERR_DATA names `where`, line:column and the character or word. */
MUST_CHECK Status vocabulary_encode(const Vocabulary *vocabulary, const char *text, size_t bytes, const char *where,
                                    int32_t **out, size_t *count);

/* The text of one id (bpe: its bytes), U+FFFD where there is no such id. Lives as long as the vocabulary. */
const char *vocabulary_token(const Vocabulary *vocabulary, int32_t id, size_t *bytes);

/* What to call an id in a table's head: its text, of byte pairs the entry that files hold. */
const char *vocabulary_label(const Vocabulary *vocabulary, int32_t id, size_t *bytes);

/* Whether a blank belongs between two tokens when text is made of them: never but for words. */
bool vocabulary_parts(const Vocabulary *vocabulary, int32_t left, int32_t right);

#endif
