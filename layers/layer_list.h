/* SPDX-License-Identifier: MIT
 *
 * layer_list.h: every kind of layer, one line each, alphabetical. Included twice by registry.c. */
LAYER(activation)
LAYER(basic_attention)
LAYER(channel_attention)
LAYER(dropout)
LAYER(embedding)
LAYER(gru)
LAYER(layer_norm)
LAYER(linear)
LAYER(lstm)
LAYER(multi_head_attention)
LAYER(one_hot)
LAYER(positional_encoding)
LAYER(rnn)
LAYER(select)
LAYER(self_attention)
LAYER(transformer_encoder)
