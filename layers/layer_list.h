/* SPDX-License-Identifier: MIT
 *
 * layer_list.h: every kind of layer, one line each, alphabetical. Included twice by registry.c. */
LAYER(activation)
LAYER(dropout)
LAYER(embedding)
LAYER(gru)
LAYER(layer_norm)
LAYER(linear)
LAYER(lstm)
LAYER(one_hot)
LAYER(rnn)
LAYER(select)
