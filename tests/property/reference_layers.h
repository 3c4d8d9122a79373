/* SPDX-License-Identifier: MIT
 *
 * reference_layers.h: what the files of the reference's layers share. */
#ifndef LOCKSTEP_TESTS_PROPERTY_REFERENCE_LAYERS_H
#define LOCKSTEP_TESTS_PROPERTY_REFERENCE_LAYERS_H

#include "tests/property/reference.h"

typedef struct Heads {
    size_t count;
    bool causal;
    double dropout; /* of the weights */
    uint32_t site;
    Grain grain[2]; /* streams of queries and of keys */
} Heads;

Tensor *reference_torch_attention(Reference *r, Tensor *const x[3], const char *prefix, const Heads *heads);

/* rnn, gru, lstm */
void reference_recurrent(Reference *r, const LayerSpec *spec, const LayerInput *in);

#endif
