/* SPDX-License-Identifier: MIT
 *
 * bpe.h: byte pair encoding (Sennrich et al. 2016) of any bytes. Ids 0 ... 255 are the bytes; every other id
 * joins two earlier ones. Text is cut into chunks first, and no token reaches over the end of one:
 *
 *   a chunk is a run of one class of bytes, with a single blank in front of it if there is one: letters (ASCII's,
 *   and every byte from 0x80, so UTF-8 characters stay together), digits, blanks (space and \t ... \r), others;
 *   an apostrophe goes with the letters behind it; the last space of a run of blanks goes with what follows;
 *   after 64 bytes a chunk ends
 *
 * A chunk is encoded by joining, again and again, the pair with the lowest id, from left to right.
 *
 * Each token has a text form without blanks, control characters and NUL, in which files hold it: its bytes as
 * characters, 0x21-0x7E, 0xA1-0xAC and 0xAE-0xFF as the character of that number, the other 68 in their order as
 * U+0100 ... U+0143 (GPT-2's table). A vocabulary lists the 256 bytes, then "left right" for every joined token,
 * in the order of ids. */
#ifndef LOCKSTEP_IO_BPE_H
#define LOCKSTEP_IO_BPE_H

#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

enum { BPE_BYTES = 256, BPE_CHUNK = 64, BPE_MOST_TOKENS = 1000000 };

typedef struct BpePair {
    int32_t left, right;
} BpePair;

typedef struct Bpe Bpe;

/* From pairs of earlier ids, pair i being id 256 + i; none twice. The caller's: bpe_destroy. Local. */
MUST_CHECK Status bpe_from_pairs(const BpePair *pair, size_t pairs, Bpe **out);
/* From the texts of a vocabulary; ERR_DATA names the token that is none. */
MUST_CHECK Status bpe_from_texts(const char *const *text, size_t tokens, Bpe **out);
void bpe_destroy(Bpe **bpe);

size_t bpe_tokens(const Bpe *bpe);
/* The bytes of a token (id < bpe_tokens). Live as long as `bpe`. */
const char *bpe_token(const Bpe *bpe, size_t id, size_t *bytes);
/* Its entry of a vocabulary, with its end, into `out` [bpe_text_room]; returns its length. */
enum { BPE_TEXT_ROOM = 2 * 2 * BPE_CHUNK + 2 };
size_t bpe_text(const Bpe *bpe, size_t id, char out[BPE_TEXT_ROOM]);

/* Ids of the text behind those that are there; `id` has room for `bytes` more. Local. */
void bpe_encode(const Bpe *bpe, const char *text, size_t bytes, int32_t *id, size_t *count);

/* The ids of the chunk that begins at *at < bytes, which moves behind it; returns how many. */
size_t bpe_encode_chunk(const Bpe *bpe, const char *text, size_t bytes, size_t *at, int32_t id[BPE_CHUNK]);

/* The end of the chunk that begins at `at` < bytes. */
size_t bpe_chunk(const char *text, size_t bytes, size_t at);

/* ---- learning ------------------------------------------------------------------------------------------------ */

/* Chunks and how often they occurred. */
typedef struct BpeChunks BpeChunks;

MUST_CHECK Status bpe_chunks_create(BpeChunks **out);
void bpe_chunks_destroy(BpeChunks **chunks);
/* Adds the chunks of a text; ERR_USAGE where memory is short. */
MUST_CHECK Status bpe_collect(BpeChunks *chunks, const char *text, size_t bytes);
/* Joins the most frequent pair of neighbours until there are `tokens` tokens, or no pair occurs twice. Of equally
 * frequent pairs the one with the smaller left id comes first, then the smaller right id; a pair whose bytes are a
 * token already is passed over. `tokens` is 256 ... BPE_MOST_TOKENS. Local. */
MUST_CHECK Status bpe_learn(const BpeChunks *chunks, size_t tokens, Bpe **out);

#endif
