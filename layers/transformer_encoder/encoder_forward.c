/* SPDX-License-Identifier: MIT
 *
 * encoder_forward.c: (1) to (5) of transformer_encoder.c. */
#include "layers/transformer_encoder/encoder.h"

/* (1): mid = x + dropped attention of `read`, which is x or norm1(x). */
static void attend(const Layer *layer, const Pass *pass, size_t l, const real *x, const real *read) {
    const Encoder *self = layer->self;
    const EncoderSaved *saved = encoder_saved(self, l);
    attention_forward(&self->layer[l].attention, pass, &saved->attention, &self->tmp.attention, &read, saved->mid);
    attention_show(&self->layer[l].attention, layer, pass, &saved->attention, &self->tmp.attention, l);
    encoder_drop(layer, pass, l, SITE_ATTENTION, self->E, saved->mid, saved->mid);
    op_add(rows_of(&pass->rows, self->grain) * self->E, x, saved->mid);
}

/* A layer's norms are the last that it declares: all of its parameters, up to this one's. */
static void norm_need(const Norm *norm, const Pass *pass) {
    pass_need(pass, norm->bias ? norm->bias : norm->weight);
}

/* (3): end = s + dropped network of y. */
static void feed_forward(const Layer *layer, const Pass *pass, size_t l, const real *s, const real *y, real *end) {
    const Encoder *self = layer->self;
    const EncoderLayer *own = &self->layer[l];
    const size_t rows = rows_of(&pass->rows, self->grain);
    dense_forward(&own->linear1, rows, y, self->E, encoder_saved(self, l)->hidden, self->F);
    const real *active = encoder_active(layer, pass, l, true);
    dense_forward(&own->linear2, rows, active, self->F, end, self->E);
    encoder_drop(layer, pass, l, SITE_FEEDFORWARD, self->E, end, end);
    op_add(rows * self->E, s, end);
}

void encoder_forward(Layer *layer, const Pass *pass) {
    const Encoder *self = layer->self;
    const EncoderConfig *config = layer->config;
    const size_t rows = rows_of(&pass->rows, self->grain);
    real *out = layer->out[0]->v, *y = self->tmp.y;
    if (!out) return;
    const real *x = layer->in[0]->v;
    for (size_t l = 0; l < self->L; l++) {
        const EncoderLayer *own = &self->layer[l];
        const EncoderSaved *saved = encoder_saved(self, l);
        real *end = encoder_end(layer, l);
        norm_need(&own->norm[1], pass);
        if (self->norm_first) {
            norm_forward(&own->norm[0], rows, x, y, &saved->norm[0]);
            attend(layer, pass, l, x, y);
            norm_forward(&own->norm[1], rows, saved->mid, y, &saved->norm[1]); /* (2) */
            feed_forward(layer, pass, l, saved->mid, y, end);
            x = end;
        } else {
            attend(layer, pass, l, x, x);
            norm_forward(&own->norm[0], rows, saved->mid, y, &saved->norm[0]); /* (2) */
            feed_forward(layer, pass, l, y, y, end);
            real *next = l + 1 == self->L && !config->norm ? out : self->tmp.x;
            norm_forward(&own->norm[1], rows, end, next, &saved->norm[1]); /* (4) */
            x = next;
        }
    }
    if (!config->norm) return;
    norm_need(&self->norm, pass);
    norm_forward(&self->norm, rows, x, out, &self->saved.norm); /* (5) */
}
