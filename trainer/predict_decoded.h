/* SPDX-License-Identifier: MIT
 *
 * predict_decoded.h: what a model with a decoder writes to the sequences of a file. */
#ifndef LOCKSTEP_TRAINER_PREDICT_DECODED_H
#define LOCKSTEP_TRAINER_PREDICT_DECODED_H

#include "trainer/restore.h"
#include "trainer/sampling.h"

/* As on the command line; SIZE_MAX and NAN: not given. */
typedef struct DecodeOptions {
    size_t beams, max_length;
    double length_penalty;
    Sampling sampling;
} DecodeOptions;

#define DECODE_OPTIONS_NONE                                                                                            \
    {                                                                                                                  \
        .beams = SIZE_MAX, .max_length = SIZE_MAX, .length_penalty = NAN, .sampling = {                                \
            .temperature = NAN,                                                                                        \
            .top_p = NAN,                                                                                              \
            .top_k = SIZE_MAX,                                                                                         \
            .seed = SIZE_MAX                                                                                           \
        }                                                                                                              \
    }

/* NULL, or the first option that was given. */
const char *decode_option_given(const DecodeOptions *options);

/* Decodes the inputs of `data` (HDF5, or a line each with or without a target) and writes them to `out` (NULL:
 * CSV to stdout), and to `attention` (NULL: nowhere) the weights of attention while it reads what it wrote. Every rank decodes its share of each batch; rank 0 writes, and reports exact matches and the
 * loss if targets are given. Collective. */
MUST_CHECK Status predict_decoded(Comm *comm, const Restored *restored, const char *data, const char *out,
                                  const char *attention, const DecodeOptions *options);

#endif
