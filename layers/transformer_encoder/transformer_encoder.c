/* SPDX-License-Identifier: MIT
 *
 * transformer_encoder.c: layers of attention to the sequence itself and feed-forward network, as
 * nn.TransformerEncoder. Equations, shapes and names are in transformer/transformer.h.
 *
 *   in, out [R, E] */
#include "layers/transformer/transformer.h"

static const Key keys[] = {TRANSFORMER_KEYS("false"), {0}};

static const LayerCase cases[] = {
    {"post-norm", &(TransformerConfig){2, 2, 9, 0, 0, false, false, false, true, 1e-5}, 6, 0},
    {"pre-norm, gelu, causal, final norm", &(TransformerConfig){1, 2, 17, 0, 1, true, true, true, true, 1e-5}, 5, 0},
    {"post-norm, gelu, dropout, final norm, no bias",
     &(TransformerConfig){2, 2, 5, 0.2, 1, false, false, true, false, 1e-3}, 4, 0},
    {"pre-norm, dropout", &(TransformerConfig){3, 2, 7, 0.3, 0, true, true, false, true, 1e-5}, 6, 0},
    {0},
};

const LayerType layer_transformer_encoder = {
    .kind = "transformer_encoder",
    .summary = "layers of attention and feed-forward network, as nn.TransformerEncoder",
    .keys = keys,
    .window = true,
    .shorthand = "nhead",
    .config_size = sizeof(TransformerConfig),
    .self_size = sizeof(Transformer),
    .max_inputs = 1,
    .needs = true,
    .attention = transformer_set,
    .looks_ahead = transformer_looks_ahead,
    .reads = READS_IN,
    .plan = transformer_plan,
    .forward = transformer_forward,
    .backward = transformer_backward,
    .cases = cases,
};
