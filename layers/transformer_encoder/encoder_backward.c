/* SPDX-License-Identifier: MIT
 *
 * encoder_backward.c: (5) to (1) of transformer_encoder.c, encoder_forward.c read from bottom to top. g is
 * the gradient that runs down the residual connections. */
#include "layers/transformer_encoder/encoder.h"

/* (3): from g, the gradient of e, the gradient of y into dy (added, if dy is g). y is made again from mid by
 * `norm`, where the dropped gradient stood before. */
static void feed_forward_back(const Layer *layer, const Pass *pass, size_t l, const Norm *norm, const NormSaved *saved,
                              real *g, real *dy) {
    const Encoder *self = layer->self;
    const EncoderLayer *own = &self->layer[l];
    const size_t rows = rows_of(&pass->rows, self->grain), E = self->E, F = self->F;
    const real *hidden = encoder_saved(self, l)->hidden, *active = encoder_active(layer, pass, l, false), *d = g;
    real *y = self->tmp.y, *dhidden = self->tmp.wide;
    if (encoder_drops(self, pass)) {
        encoder_drop(layer, pass, l, SITE_FEEDFORWARD, E, g, y);
        d = y;
    }
    dense_gradients(&own->linear2, pass, d, E, active, F);
    dense_input_gradient(&own->linear2, rows, d, E, dhidden, F, false);
    encoder_drop(layer, pass, l, SITE_HIDDEN, F, dhidden, dhidden);
    op_activation_backward(self->activation, rows * F, hidden, dhidden, dhidden);
    norm_forward(norm, rows, encoder_saved(self, l)->mid, y, saved);
    dense_gradients(&own->linear1, pass, dhidden, F, y, E);
    dense_input_gradient(&own->linear1, rows, dhidden, F, dy, E, dy == g);
}

/* (1): from g, the gradient of s, the gradient of what attention read into dread (NULL: not wanted; added, if
 * it is g). */
static void attend_back(const Layer *layer, const Pass *pass, size_t l, const real *read, real *g, real *dread) {
    const Encoder *self = layer->self;
    AttentionWork work = self->tmp.attention;
    const real *d = g;
    work.dqkv = self->tmp.wide;
    work.dcontext = self->tmp.z;
    if (encoder_drops(self, pass)) {
        encoder_drop(layer, pass, l, SITE_ATTENTION, self->E, g, self->tmp.y);
        d = self->tmp.y;
    }
    attention_backward(&self->layer[l].attention, pass, &encoder_saved(self, l)->attention, &work, &read, NULL, d,
                       &dread, dread == g);
}

/* dx = the gradient of a norm's input x from dy, and those of its parameters. */
static void norm_back(const Norm *norm, const Pass *pass, const real *x, const NormSaved *saved, const real *dy,
                      real *dx) {
    norm_gradients(norm, pass, x, saved, dy);
    norm_backward(norm, rows_of(&pass->rows, norm->grain), x, saved, dy, dx);
}

/* g, the gradient of e, becomes that of x. */
static void pre_norm_back(const Layer *layer, const Pass *pass, size_t l, real *g) {
    const Encoder *self = layer->self;
    const EncoderLayer *own = &self->layer[l];
    const EncoderSaved *saved = encoder_saved(self, l);
    const size_t rows = rows_of(&pass->rows, self->grain);
    real *dy = self->tmp.x, *y = self->tmp.x, *dread = self->tmp.y;
    feed_forward_back(layer, pass, l, &own->norm[1], &saved->norm[1], g, dy);
    norm_back(&own->norm[1], pass, saved->mid, &saved->norm[1], dy, dy); /* (2) */
    op_add(rows * self->E, dy, g);
    const real *x = encoder_input(layer, rows, l, NULL);
    norm_forward(&own->norm[0], rows, x, y, &saved->norm[0]);
    attend_back(layer, pass, l, y, g, dread);
    norm_back(&own->norm[0], pass, x, &saved->norm[0], dread, dread);
    op_add(rows * self->E, dread, g);
}

/* g becomes the gradient of x, from dy, that of norm2(e). Nobody wants that of the input: the last step is
 * left out. */
static void post_norm_back(const Layer *layer, const Pass *pass, size_t l, const real *dy, real *g) {
    const Encoder *self = layer->self;
    const EncoderLayer *own = &self->layer[l];
    const EncoderSaved *saved = encoder_saved(self, l);
    const bool wanted = l > 0 || layer->in[0]->g;
    norm_back(&own->norm[1], pass, saved->end, &saved->norm[1], dy, g); /* (4) */
    feed_forward_back(layer, pass, l, &own->norm[0], &saved->norm[0], g, g);
    norm_back(&own->norm[0], pass, saved->mid, &saved->norm[0], g, g); /* (2) */
    const real *x = encoder_input(layer, rows_of(&pass->rows, self->grain), l, self->tmp.x);
    attend_back(layer, pass, l, x, g, wanted ? g : NULL);
}

void encoder_backward(Layer *layer, const Pass *pass) {
    const Encoder *self = layer->self;
    const EncoderConfig *config = layer->config;
    const size_t rows = rows_of(&pass->rows, self->grain);
    const real *dy = layer->out[0]->g;
    real *g = layer->in[0]->g ? layer->in[0]->g : self->tmp.g;
    if (config->norm) { /* (5) */
        norm_back(&self->norm, pass, encoder_input(layer, rows, self->L, self->tmp.x), &self->saved.norm, dy, g);
        dy = g;
    } else if (self->norm_first) {
        op_copy(rows * self->E, dy, g);
    }
    for (size_t l = self->L; l-- > 0;) {
        if (self->norm_first) {
            pre_norm_back(layer, pass, l, g);
        } else {
            post_norm_back(layer, pass, l, dy, g);
            dy = g;
        }
    }
}
