/* SPDX-License-Identifier: MIT
 *
 * decode.h: targets written by a model with a decoder, symbol by symbol: greedy, by beam search (beam.h), or
 * drawn. The encoder runs once for each source. A symbol is one step of the decoder, which goes on from its
 * state: the same work for each symbol, but for attention to the symbols before. Every source is decoded by
 * itself: what it gives does not depend on the batch, nor on ranks. */
#ifndef LOCKSTEP_TRAINER_DECODE_H
#define LOCKSTEP_TRAINER_DECODE_H

#include "trainer/engine.h"
#include "trainer/sampling.h"

typedef struct DecodeConfig {
    size_t beams; /* at least 1 */
    double length_penalty;
    const Sampling *sampling; /* NULL: the most probable; else drawn, with one beam */
    size_t symbols;           /* V, and V is the end */
    size_t max_length;        /* symbols, the end counted; 0: twice the source's steps and 50 */
} DecodeConfig;

/* Of one source. */
typedef struct Decoded {
    const int32_t *symbol; /* [count] without the end; the decoder's, until its next run */
    size_t count;
    double log_probability; /* of the symbols and, where it ended, the end */
    bool ended;             /* else cut at the maximum length */
} Decoded;

typedef struct Decoder Decoder;

/* The most target steps that a source of `length` steps can get. */
size_t decode_most(const DecodeConfig *config, size_t length);

/* For an engine made with max_beginnings, of `beams` for each source of a batch, and targets of at most `room`
 * symbols, the end counted: longer ones are cut there. The caller's: decoder_destroy. Local. */
MUST_CHECK Status decoder_create(Engine *engine, const DecodeConfig *config, size_t room, Decoder **out);
void decoder_destroy(Decoder **decoder);

/* `batch` is what the last model_forward has seen. out [sources]; first is the number of the first source in
 * the data, which draws follow. Local. */
void decoder_run(Decoder *decoder, const Batch *batch, uint64_t first, Decoded *out);

/* Log probability of class c among the `classes` of a row of logits, by sums in order. Local. */
double log_probability(const float *logit, size_t classes, size_t c);

#endif
