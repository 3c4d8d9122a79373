/* SPDX-License-Identifier: MIT
 *
 * transformer_backward.c: (5) to (1) of transformer.h, transformer_forward.c read from bottom to top. g is the
 * gradient that runs down the residual connections. */
#include "layers/transformer/transformer.h"

typedef struct Slope {
    Activation activation;
    size_t F;
    real scale; /* of the mask of dropout */
    const real *hidden;
    real *dhidden;
} Slope;

static void slope(void *context, size_t row, size_t rows, size_t column, size_t columns) {
    const Slope *s = context;
    const size_t at = row * s->F + column;
    op_activation_backward_rows(s->activation, rows, columns, s->hidden + at, s->dhidden + at, s->F, s->scale);
}

/* (3): dhidden from d, the gradient of what linear2 gave. What dropout made 0 of relu has slope 0 as well: the mask
 * is not made again. */
static void hidden_back(const Layer *layer, const Pass *pass, size_t l, const real *d, real *dhidden) {
    const Transformer *self = layer->self;
    const size_t rows = transformer_rows(self, pass);
    const Dense *linear2 = &self->layer[l].linear2;
    const real p = transformer_drops(self, pass) ? (real)self->dropout : 0,
               *hidden = transformer_saved(self, l)->hidden;
    Slope s = {self->activation, self->F, p < 1 ? 1 / (1 - p) : 0, hidden, dhidden};
    if (self->activation == ACT_RELU || p == 0) {
        dense_input_gradient_then(linear2, rows, d, dhidden, slope, &s);
        return;
    }
    dense_input_gradient(linear2, rows, d, self->E, dhidden, self->F, false);
    transformer_drop(layer, pass, l, SITE_HIDDEN, self->F, dhidden, dhidden);
    op_activation_backward(self->activation, rows * self->F, hidden, dhidden, dhidden);
}

/* (3): from g, the gradient of e, the gradient of y into dy (added, if dy is g). y is made again from s_A by
 * norm number n, where the dropped gradient stood before. */
static void feed_forward_back(const Layer *layer, const Pass *pass, size_t l, size_t n, real *g, real *dy) {
    const Transformer *self = layer->self;
    const TransformerLayer *own = &self->layer[l];
    const TransformerSaved *saved = transformer_saved(self, l);
    const size_t rows = transformer_rows(self, pass), E = self->E, F = self->F;
    const real *active = transformer_active(layer, pass, l), *d = g;
    real *y = self->tmp.y, *dhidden = self->tmp.wide;
    if (transformer_drops(self, pass)) {
        transformer_drop(layer, pass, l, SITE_FEEDFORWARD, E, g, y);
        d = y;
    }
    dense_gradients(&own->linear2, pass, d, E, active, F);
    hidden_back(layer, pass, l, d, dhidden);
    norm_forward(&own->norm[n], rows, saved->mid[self->A - 1], y, &saved->norm[n]);
    dense_gradients(&own->linear1, pass, dhidden, F, y, E);
    dense_input_gradient(&own->linear1, rows, dhidden, F, dy, E, dy == g);
}

/* (1): from g, the gradient of s_a, the gradient of what attention read into dread (NULL: not wanted; added, if
 * it is g), and that of the memory, to which all layers add, the last one first. */
static void attend_back(const Layer *layer, const Pass *pass, size_t l, size_t a, const real *read, real *g,
                        real *dread) {
    const Transformer *self = layer->self;
    const Value *memory = a > 0 ? layer->in[a] : NULL;
    const real *const x[] = {read, memory ? memory->v : NULL};
    real *const dx[] = {dread, memory ? memory->g : NULL};
    const bool add[] = {dread == g, l + 1 < self->L};
    AttentionWork work = self->tmp.attention[a];
    const real *d = g;
    work.dq = self->tmp.wide;
    work.dcontext = self->tmp.z;
    if (transformer_drops(self, pass)) {
        transformer_drop(layer, pass, l, a == 0 ? SITE_ATTENTION : SITE_MEMORY, self->E, g, self->tmp.y);
        d = self->tmp.y;
    }
    attention_backward(&self->layer[l].attention[a], pass, &transformer_saved(self, l)->attention[a], &work, x, NULL, d,
                       dx, add);
}

/* dx = the gradient of a norm's input x from dy (added, with `add`), and those of its parameters. */
static void norm_back(const Norm *norm, const Pass *pass, const real *x, const NormSaved *saved, const real *dy,
                      real *dx, bool add) {
    norm_gradients(norm, pass, x, saved, dy);
    norm_backward(norm, rows_of(&pass->rows, norm->grain), x, saved, dy, dx, add);
}

/* g, the gradient of e, becomes that of x. */
static void pre_norm_back(const Layer *layer, const Pass *pass, size_t l, real *g) {
    const Transformer *self = layer->self;
    const TransformerLayer *own = &self->layer[l];
    const TransformerSaved *saved = transformer_saved(self, l);
    const size_t rows = transformer_rows(self, pass), A = self->A;
    real *dy = self->tmp.x, *y = self->tmp.x, *dread = self->tmp.y;
    feed_forward_back(layer, pass, l, A, g, dy);
    norm_back(&own->norm[A], pass, saved->mid[A - 1], &saved->norm[A], dy, g, true); /* (2) */
    for (size_t a = A; a-- > 0;) {
        const real *s = a == 0 ? transformer_input(layer, rows, l, NULL) : saved->mid[a - 1];
        norm_forward(&own->norm[a], rows, s, y, &saved->norm[a]);
        attend_back(layer, pass, l, a, y, g, dread);
        norm_back(&own->norm[a], pass, s, &saved->norm[a], dread, g, true);
    }
}

/* g becomes the gradient of x, from dy, that of the last norm of e. Nobody wants that of the input: the last
 * step is left out. */
static void post_norm_back(const Layer *layer, const Pass *pass, size_t l, const real *dy, real *g) {
    const Transformer *self = layer->self;
    const TransformerLayer *own = &self->layer[l];
    const TransformerSaved *saved = transformer_saved(self, l);
    const size_t rows = transformer_rows(self, pass), A = self->A;
    const bool wanted = l > 0 || layer->in[0]->g;
    norm_back(&own->norm[A], pass, transformer_end(layer, l), &saved->norm[A], dy, g, false); /* (4) */
    feed_forward_back(layer, pass, l, A - 1, g, g);
    for (size_t a = A; a-- > 0;) {
        norm_back(&own->norm[a], pass, saved->mid[a], &saved->norm[a], g, g, false); /* (2) */
        const real *read = self->tmp.x;
        if (a == 0) read = transformer_input(layer, rows, l, self->tmp.x);
        else norm_forward(&own->norm[a - 1], rows, saved->mid[a - 1], self->tmp.x, &saved->norm[a - 1]);
        attend_back(layer, pass, l, a, read, g, a > 0 || wanted ? g : NULL);
    }
}

void transformer_backward(Layer *layer, const Pass *pass) {
    const Transformer *self = layer->self;
    const TransformerConfig *config = layer->config;
    const size_t rows = transformer_rows(self, pass);
    const real *dy = layer->out[0]->g;
    real *g = layer->in[0]->g ? layer->in[0]->g : self->tmp.g;
    if (config->norm) { /* (5) */
        norm_back(&self->norm, pass, transformer_input(layer, rows, self->L, self->tmp.x), &self->saved.norm, dy, g,
                  false);
        dy = g;
    } else if (self->norm_first) {
        op_copy(rows * self->E, dy, g);
    }
    for (size_t l = self->L; l-- > 0;) {
        if (self->recomputes && l + 1 < self->L) transformer_again(layer, pass, l);
        if (self->norm_first) {
            pre_norm_back(layer, pass, l, g);
        } else {
            post_norm_back(layer, pass, l, dy, g);
            dy = g;
        }
    }
}
