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
    AttentionWork work = self->tmp.attention[a];
    work.residual = transformer_drops(self, pass) ? NULL : s;
    attention_forward(&self->layer[l].attention[a], pass, &saved->attention[a], &work, x, mid);
    attention_show(&self->layer[l].attention[a], layer, pass, &saved->attention[a], &self->tmp.attention[a],
                   l * self->A + a);
    if (!work.residual) transformer_drop_add(layer, pass, l, a == 0 ? SITE_ATTENTION : SITE_MEMORY, s, mid);
}

typedef struct Activate {
    Activation activation;
    size_t F;
    const real *hidden;
    real *active;
} Activate;

static void activate(void *context, size_t row, size_t rows, size_t column, size_t columns) {
    const Activate *a = context;
    const size_t at = row * a->F + column;
    op_activation_rows(a->activation, rows, columns, a->hidden + at, a->active + at, a->F);
}

/* (3), first half: saved.hidden from y; the same and what linear2 reads. */
static const real *widen(const Layer *layer, const Pass *pass, size_t l, const real *y) {
    const Transformer *self = layer->self;
    real *hidden = transformer_saved(self, l)->hidden,
         *active = self->activation == ACT_RELU ? hidden : self->tmp.active;
    Activate a = {self->activation, self->F, hidden, active};
    dense_forward_then(&self->layer[l].linear1, transformer_rows(self, pass), y, hidden, activate, &a);
    transformer_drop(layer, pass, l, SITE_HIDDEN, self->F, active, active);
    return active;
}

/* (3): end = s + dropped network of y. */
static void feed_forward(const Layer *layer, const Pass *pass, size_t l, const real *s, const real *y, real *end) {
    const Transformer *self = layer->self;
    const size_t rows = transformer_rows(self, pass);
    const bool drops = transformer_drops(self, pass);
    const real *active = widen(layer, pass, l, y);
    Residual r = {self->E, s, end};
    dense_forward_then(&self->layer[l].linear2, rows, active, end, drops ? NULL : residual_add, &r);
    if (drops) transformer_drop_add(layer, pass, l, SITE_FEEDFORWARD, s, end);
}

/* A layer's norms are the last that it declares: all of its parameters, up to this one's. */
static void norm_need(const Norm *norm, const Pass *pass) {
    pass_need(pass, norm->bias ? norm->bias : norm->weight);
}

/* (1) and (2) of x: saved.mid, and y, the normalised argument of the feed-forward network, into tmp.y. */
static void attend_all(const Layer *layer, const Pass *pass, size_t l, const real *x) {
    const Transformer *self = layer->self;
    const TransformerSaved *saved = transformer_saved(self, l);
    const Norm *norm = self->layer[l].norm;
    const size_t rows = transformer_rows(self, pass), A = self->A;
    real *y = self->tmp.y;
    for (size_t a = 0; a < A && self->norm_first; a++) {
        const real *s = a == 0 ? x : saved->mid[a - 1];
        norm_forward(&norm[a], rows, s, y, &saved->norm[a]);
        attend(layer, pass, l, a, s, y);
    }
    for (size_t a = 0; a < A && !self->norm_first; a++) {
        attend(layer, pass, l, a, a == 0 ? x : y, a == 0 ? x : y);
        norm_forward(&norm[a], rows, saved->mid[a], y, &saved->norm[a]);
    }
    if (self->norm_first) norm_forward(&norm[A], rows, saved->mid[A - 1], y, &saved->norm[A]);
}

/* What layer l gives: its end, or (post-norm) the norm of that in `next`, which may be x. */
static const real *layer_forward(const Layer *layer, const Pass *pass, size_t l, const real *x, real *next) {
    const Transformer *self = layer->self;
    const TransformerSaved *saved = transformer_saved(self, l);
    const size_t A = self->A;
    real *y = self->tmp.y, *end = transformer_end(layer, l);
    attend_all(layer, pass, l, x);
    feed_forward(layer, pass, l, self->norm_first ? saved->mid[A - 1] : y, y, end);
    if (self->norm_first) return end;
    norm_forward(&self->layer[l].norm[A], transformer_rows(self, pass), end, next, &saved->norm[A]); /* (4) */
    return next;
}

void transformer_again(const Layer *layer, const Pass *pass, size_t l) {
    const Transformer *self = layer->self;
    const size_t rows = transformer_rows(self, pass);
    attend_all(layer, pass, l, transformer_input(layer, rows, l, self->tmp.x));
    widen(layer, pass, l, self->tmp.y);
    if (self->norm_first) return;
    const Norm *last = &self->layer[l].norm[self->A];
    norm_forward(last, rows, transformer_end(layer, l), self->tmp.x, &transformer_saved(self, l)->norm[self->A]);
}

void transformer_forward(Layer *layer, const Pass *pass) {
    const Transformer *self = layer->self;
    const TransformerConfig *config = layer->config;
    real *out = layer->out[0]->v;
    if (!out) return;
    const real *x = layer->in[0]->v;
    for (size_t l = 0; l < self->L; l++) {
        norm_need(&self->layer[l].norm[self->A], pass);
        x = layer_forward(layer, pass, l, x, l + 1 == self->L && !config->norm ? out : self->tmp.x);
    }
    if (!config->norm) return;
    norm_need(&self->norm, pass);
    norm_forward(&self->norm, transformer_rows(self, pass), x, out, &self->saved.norm); /* (5) */
}
