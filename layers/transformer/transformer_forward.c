/* SPDX-License-Identifier: MIT
 *
 * transformer_forward.c: (1) to (5) of transformer.h. */
#include "layers/transformer/transformer.h"

/* (1): mid[a] = s + dropped attention a of `read`, which is s or a norm of it. */
static void attend(const Layer *layer, const Pass *pass, size_t l, size_t a, const real *s, const real *read) {
    const Transformer *self = layer->self;
    const TransformerSaved *saved = transformer_saved(self, l);
    const real *const x[] = {read, a > 0 ? layer->in[a]->v : NULL};
    real *mid = saved->mid[a];
    attention_forward(&self->layer[l].attention[a], pass, &saved->attention[a], &self->tmp.attention[a], x, mid);
    attention_show(&self->layer[l].attention[a], layer, pass, &saved->attention[a], &self->tmp.attention[a],
                   l * self->A + a);
    transformer_drop(layer, pass, l, a == 0 ? SITE_ATTENTION : SITE_MEMORY, self->E, mid, mid);
    op_add(transformer_rows(self, pass) * self->E, s, mid);
}

/* (3): end = s + dropped network of y. */
static void feed_forward(const Layer *layer, const Pass *pass, size_t l, const real *s, const real *y, real *end) {
    const Transformer *self = layer->self;
    const TransformerLayer *own = &self->layer[l];
    const size_t rows = transformer_rows(self, pass);
    dense_forward(&own->linear1, rows, y, self->E, transformer_saved(self, l)->hidden, self->F);
    const real *active = transformer_active(layer, pass, l, true);
    dense_forward(&own->linear2, rows, active, self->F, end, self->E);
    transformer_drop(layer, pass, l, SITE_FEEDFORWARD, self->E, end, end);
    op_add(rows * self->E, s, end);
}

/* A layer's norms are the last that it declares: all of its parameters, up to this one's. */
static void norm_need(const Norm *norm, const Pass *pass) {
    pass_need(pass, norm->bias ? norm->bias : norm->weight);
}

static void pre_norm(const Layer *layer, const Pass *pass, size_t l, const real *x) {
    const Transformer *self = layer->self;
    const TransformerSaved *saved = transformer_saved(self, l);
    const Norm *norm = self->layer[l].norm;
    const size_t rows = transformer_rows(self, pass), A = self->A;
    real *y = self->tmp.y;
    for (size_t a = 0; a < A; a++) {
        const real *s = a == 0 ? x : saved->mid[a - 1];
        norm_forward(&norm[a], rows, s, y, &saved->norm[a]);
        attend(layer, pass, l, a, s, y);
    }
    norm_forward(&norm[A], rows, saved->mid[A - 1], y, &saved->norm[A]); /* (2) */
    feed_forward(layer, pass, l, saved->mid[A - 1], y, transformer_end(layer, l));
}

/* The result goes to `next`, which may be x. */
static void post_norm(const Layer *layer, const Pass *pass, size_t l, const real *x, real *next) {
    const Transformer *self = layer->self;
    const TransformerSaved *saved = transformer_saved(self, l);
    const Norm *norm = self->layer[l].norm;
    const size_t rows = transformer_rows(self, pass), A = self->A;
    real *y = self->tmp.y;
    for (size_t a = 0; a < A; a++) {
        attend(layer, pass, l, a, a == 0 ? x : y, a == 0 ? x : y);
        norm_forward(&norm[a], rows, saved->mid[a], y, &saved->norm[a]); /* (2) */
    }
    feed_forward(layer, pass, l, y, y, saved->end);
    norm_forward(&norm[A], rows, saved->end, next, &saved->norm[A]); /* (4) */
}

void transformer_forward(Layer *layer, const Pass *pass) {
    const Transformer *self = layer->self;
    const TransformerConfig *config = layer->config;
    real *out = layer->out[0]->v;
    if (!out) return;
    const real *x = layer->in[0]->v;
    for (size_t l = 0; l < self->L; l++) {
        norm_need(&self->layer[l].norm[self->A], pass);
        if (self->norm_first) {
            pre_norm(layer, pass, l, x);
            x = transformer_end(layer, l);
        } else {
            real *next = l + 1 == self->L && !config->norm ? out : self->tmp.x;
            post_norm(layer, pass, l, x, next);
            x = next;
        }
    }
    if (!config->norm) return;
    norm_need(&self->norm, pass);
    norm_forward(&self->norm, transformer_rows(self, pass), x, out, &self->saved.norm); /* (5) */
}
