/* SPDX-License-Identifier: MIT
 *
 * transformer_decoder.c: layers of attention to the sequence itself, attention to a memory and feed-forward
 * network, as nn.TransformerDecoder. Equations, shapes and names are in transformer/transformer.h.
 *
 *   in, out [R, E]   memory [Rk, E]
 *
 * `input: [above, memory]`; in a config the memory is, if not named, the encoder above. */
#include "layers/transformer/transformer.h"

static const Key keys[] = {TRANSFORMER_KEYS("true"), {0}};

static const LayerCase cases[] = {
    {"itself as memory, post-norm", &(TransformerConfig){2, 1, 5, 0, 0, false, true, false, true, 1e-5}, 6, 0},
    {0},
};

static const LayerCase decoder_cases[] = {
    {"post-norm", &(TransformerConfig){2, 2, 9, 0, 0, false, true, false, true, 1e-5}, 6, 0},
    {"pre-norm, gelu, final norm", &(TransformerConfig){1, 2, 17, 0, 1, true, true, true, true, 1e-5}, 5, 0},
    {"post-norm, gelu, dropout, final norm, no bias, sees all steps",
     &(TransformerConfig){2, 2, 5, 0.2, 1, false, false, true, false, 1e-3}, 4, 0},
    {"pre-norm, dropout, 3 layers", &(TransformerConfig){3, 3, 7, 0.3, 0, true, true, false, true, 1e-5}, 18, 0},
    {0},
};

const LayerType layer_transformer_decoder = {
    .kind = "transformer_decoder",
    .summary = "layers of attention, attention to an encoder and feed-forward network, as nn.TransformerDecoder",
    .keys = keys,
    .window = true,
    .memory = true,
    .shorthand = "nhead",
    .config_size = sizeof(TransformerConfig),
    .self_size = sizeof(Transformer),
    .needs = true,
    .attention = transformer_set,
    .looks_ahead = transformer_looks_ahead,
    .min_inputs = 2,
    .max_inputs = 2,
    .reads = READS_IN,
    .plan = transformer_plan,
    .forward = transformer_forward,
    .backward = transformer_backward,
    .cases = cases,
    .decoder_cases = decoder_cases,
};
