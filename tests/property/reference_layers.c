/* SPDX-License-Identifier: MIT
 *
 * reference_layers.c: every kind of layer but the recurrent ones, forward, from the equations in its header. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/property/reference_layers.h"

/* ---- rows ---------------------------------------------------------------------------------------------------- */

static void activation(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    Tensor *y = t_curve(r->tape, in->of[0]->x, (Curve)key_choice_of(spec, "kind"));
    reference_give(r, "", y, in->of[0]->per_step);
}

static void dropout(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const bool per_step = in->of[0]->per_step;
    reference_give(r, "", reference_drop(r, in->of[0]->x, key_real(spec, "p"), 0, per_step), per_step);
}

static Tensor *norm(Reference *r, Tensor *x, const char *prefix, double eps) {
    char name[96];
    Tensor *y = t_normal(r->tape, x, eps);
    snprintf(name, sizeof name, "%sweight", prefix);
    Tensor *weight = reference_param(r, name);
    snprintf(name, sizeof name, "%sbias", prefix);
    Tensor *bias = reference_param(r, name);
    if (weight) y = t_multiply(r->tape, y, weight);
    return bias ? t_add(r->tape, y, bias) : y;
}

static void layer_norm(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    reference_give(r, "", norm(r, in->of[0]->x, "", key_real(spec, "eps")), in->of[0]->per_step);
}

static void linear(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    (void)spec;
    reference_give(r, "", reference_dense(r, in->of[0]->x, ""), in->of[0]->per_step);
}

/* Ids come as one column of whole numbers. */
static size_t *ids_of(const ReferenceValue *value) {
    size_t *id = calloc(value->x->rows + 1, sizeof *id);
    if (!id) abort();
    for (size_t i = 0; i < value->x->rows; i++) id[i] = (size_t)value->x->v[i];
    return id;
}

/* The row of padding_idx gives what it holds and learns nothing. */
static void embedding(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    Tensor *weight = reference_param(r, "weight");
    const size_t padding = key_size(spec, "padding_idx");
    size_t *id = ids_of(in->of[0]);
    Tensor *y = t_gather(r->tape, weight, id, in->of[0]->x->rows);
    if (padding != KEY_NULL_SIZE) {
        Tensor *keep = t_constant(r->tape, y->rows, y->cols, NULL), *held = t_constant(r->tape, y->rows, y->cols, NULL);
        for (size_t i = 0; i < y->rows * y->cols; i++) {
            const bool pads = id[i / y->cols] == padding;
            keep->v[i] = !pads;
            held->v[i] = pads ? y->v[i] : 0;
        }
        y = t_add(r->tape, t_multiply(r->tape, y, keep), held);
    }
    free(id);
    reference_give(r, "", y, true);
}

static void one_hot(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Value *out = model_layer(r->model, r->at)->out[0];
    const size_t classes =
        key_size(spec, "num_classes") == KEY_NULL_SIZE ? out->features : key_size(spec, "num_classes");
    size_t *id = ids_of(in->of[0]);
    Tensor *y = t_constant(r->tape, in->of[0]->x->rows, classes, NULL);
    for (size_t i = 0; i < y->rows; i++) y->v[i * classes + id[i]] = 1;
    free(id);
    reference_give(r, "", y, true);
}

static void positional_encoding(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    Tensor *x = in->of[0]->x, *table = reference_param(r, "weight");
    const size_t E = x->cols;
    if (!table) {
        table = t_constant(r->tape, r->rows->longest, E, NULL);
        for (size_t t = 0; t < r->rows->longest; t++)
            for (size_t i = 0; i < E; i++) {
                const double angle = (double)t / pow(10000, (double)(i / 2 * 2) / (double)E);
                table->v[t * E + i] = i % 2 ? cos(angle) : sin(angle);
            }
    }
    size_t *time = calloc(x->rows + 1, sizeof *time);
    if (!time) abort();
    for (size_t b = 0; b < r->rows->sequences; b++)
        for (size_t t = 0; t < reference_length(r, b); t++) time[r->rows->offset[b] + t] = t;
    Tensor *y = t_add(r->tape, x, t_gather(r->tape, table, time, x->rows));
    free(time);
    reference_give(r, "", reference_drop(r, y, key_real(spec, "dropout"), 0, true), true);
}

/* ---- one row per sequence --------------------------------------------------------------------------------------- */

static void select_row(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const int kind = key_choice_of(spec, "kind");
    Tensor *x = in->of[0]->x, *part[64];
    if (kind == 4) {
        Tensor *h = reference_sibling(r, in->of[0], "h_n")->x;
        reference_give(r, "", t_cols(r->tape, h, h->cols - x->cols, x->cols), false);
        return;
    }
    for (size_t b = 0; b < r->rows->sequences; b++) {
        Tensor *rows = reference_sequence(r, x, b);
        part[b] = kind == 2   ? t_mean_rows(r->tape, rows)
                  : kind == 3 ? t_max_rows(r->tape, rows)
                              : t_rows(r->tape, rows, kind == 0 ? rows->rows - 1 : 0, 1);
    }
    reference_give(r, "", t_stack(r->tape, part, r->rows->sequences), false);
}

static void basic_attention(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    Tensor *x = in->of[0]->x, *query = NULL, *part[64];
    const ReferenceValue *state = in->count == 1 ? reference_sibling(r, in->of[0], "h_n") : in->of[1];
    if (in->count > 1 || key_choice_of(spec, "query") == 0)
        query = t_cols(r->tape, state->x, state->x->cols - x->cols, x->cols);
    for (size_t b = 0; b < r->rows->sequences; b++) {
        Tensor *rows = reference_sequence(r, x, b),
               *q = query ? t_rows(r->tape, query, b, 1) : t_rows(r->tape, rows, rows->rows - 1, 1);
        part[b] = t_product(r->tape, t_softmax(r->tape, t_linear(r->tape, q, rows), false), rows);
    }
    reference_give(r, "", t_stack(r->tape, part, r->rows->sequences), false);
}

static void channel_attention(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    (void)spec;
    Tensor *x = in->of[0]->x, *scores = reference_dense(r, x, ""), *part[64];
    for (size_t b = 0; b < r->rows->sequences; b++) {
        Tensor *w = t_softmax(r->tape, t_transpose(r->tape, reference_sequence(r, scores, b)), false);
        part[b] = t_shape(r->tape, t_product(r->tape, w, reference_sequence(r, x, b)), 1, x->cols * x->cols);
    }
    reference_give(r, "", t_stack(r->tape, part, r->rows->sequences), false);
}

/* ---- attention ------------------------------------------------------------------------------------------------- */

/* Softmax attention of q, k and v [R, heads d], sequence by sequence and head by head. */
static Tensor *attend(Reference *r, Tensor *q, Tensor *k, Tensor *v, const Heads *heads) {
    const size_t d = q->cols / heads->count;
    Tensor *part[64];
    for (size_t b = 0; b < r->rows->sequences; b++) {
        Tensor *beside = NULL;
        for (size_t h = 0; h < heads->count; h++) {
            Tensor *of[3] = {q, k, v};
            for (size_t i = 0; i < 3; i++) of[i] = t_cols(r->tape, reference_sequence(r, of[i], b), h * d, d);
            Tensor *scores = t_affine(r->tape, t_linear(r->tape, of[0], of[1]), 1 / sqrt((double)d), 0);
            Tensor *w = t_softmax(r->tape, scores, heads->causal),
                   *mask = reference_attention_mask(r, heads->dropout, heads->site, h, b);
            if (mask) w = t_multiply(r->tape, w, mask);
            Tensor *context = t_product(r->tape, w, of[2]);
            beside = beside ? t_beside(r->tape, beside, context) : context;
        }
        part[b] = beside;
    }
    return t_stack(r->tape, part, r->rows->sequences);
}

/* nn.MultiheadAttention: in_proj_weight holds the three maps one below the other. */
Tensor *reference_torch_attention(Reference *r, Tensor *const x[3], const char *prefix, const Heads *heads) {
    char name[96];
    snprintf(name, sizeof name, "%sin_proj_weight", prefix);
    Tensor *weight = reference_param(r, name), *of[3];
    snprintf(name, sizeof name, "%sin_proj_bias", prefix);
    Tensor *bias = reference_param(r, name);
    const size_t E = x[0]->cols;
    for (size_t i = 0; i < 3; i++) {
        of[i] = t_linear(r->tape, x[i], t_rows(r->tape, weight, i * E, E));
        if (bias) of[i] = t_add(r->tape, of[i], t_cols(r->tape, bias, i * E, E));
    }
    snprintf(name, sizeof name, "%sout_proj.", prefix);
    return reference_dense(r, attend(r, of[0], of[1], of[2], heads), name);
}

static Tensor *free_attention(Reference *r, Tensor *const x[3], const Heads *heads) {
    Tensor *y = attend(r, reference_dense(r, x[0], "query."), reference_dense(r, x[1], "key."),
                       reference_dense(r, x[2], "value."), heads);
    return reference_param(r, "fc.weight") ? reference_dense(r, y, "fc.") : y;
}

static void multi_head_attention(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Heads heads = {
        .count = key_size(spec, "num_heads"), .causal = key_flag(spec, "causal"), .dropout = key_real(spec, "dropout")};
    Tensor *x[3];
    for (size_t i = 0; i < 3; i++) x[i] = in->of[i < in->count ? i : in->count - 1]->x;
    const bool torch = key_size(spec, "head_dim") == KEY_NULL_SIZE && key_size(spec, "out_features") == KEY_NULL_SIZE;
    reference_give(r, "", torch ? reference_torch_attention(r, x, "", &heads) : free_attention(r, x, &heads), true);
}

static void self_attention(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Heads heads = {.count = 1, .causal = key_flag(spec, "causal"), .dropout = key_real(spec, "dropout")};
    Tensor *x[3] = {in->of[0]->x, in->of[0]->x, in->of[0]->x};
    reference_give(r, "", free_attention(r, x, &heads), true);
}

/* ---- transformer_encoder ----------------------------------------------------------------------------------------- */

enum { SITES = 4 }; /* of dropout in a layer: weights, attention, hidden, feed-forward */

static Tensor *encoder_attention(Reference *r, const LayerSpec *spec, size_t l, Tensor *x) {
    char prefix[64];
    const Heads heads = {.count = key_size(spec, "nhead"),
                         .causal = key_flag(spec, "causal"),
                         .dropout = key_real(spec, "dropout"),
                         .site = (uint32_t)(l * SITES)};
    Tensor *of[3] = {x, x, x};
    snprintf(prefix, sizeof prefix, "layers.%zu.self_attn.", l);
    Tensor *y = reference_torch_attention(r, of, prefix, &heads);
    return reference_drop(r, y, heads.dropout, heads.site + 1, true);
}

static Tensor *encoder_network(Reference *r, const LayerSpec *spec, size_t l, Tensor *x) {
    char prefix[64];
    const double p = key_real(spec, "dropout");
    snprintf(prefix, sizeof prefix, "layers.%zu.linear1.", l);
    Tensor *y = t_curve(r->tape, reference_dense(r, x, prefix),
                        key_choice_of(spec, "activation") == 0 ? CURVE_RELU : CURVE_GELU);
    y = reference_drop(r, y, p, (uint32_t)(l * SITES + 2), true);
    snprintf(prefix, sizeof prefix, "layers.%zu.linear2.", l);
    return reference_drop(r, reference_dense(r, y, prefix), p, (uint32_t)(l * SITES + 3), true);
}

static void transformer_encoder(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const double eps = key_real(spec, "layer_norm_eps");
    Tensor *x = in->of[0]->x;
    for (size_t l = 0; l < key_size(spec, "num_layers"); l++) {
        char norm1[64], norm2[64];
        snprintf(norm1, sizeof norm1, "layers.%zu.norm1.", l);
        snprintf(norm2, sizeof norm2, "layers.%zu.norm2.", l);
        if (key_flag(spec, "norm_first")) {
            x = t_add(r->tape, encoder_attention(r, spec, l, norm(r, x, norm1, eps)), x);
            x = t_add(r->tape, encoder_network(r, spec, l, norm(r, x, norm2, eps)), x);
        } else {
            x = norm(r, t_add(r->tape, encoder_attention(r, spec, l, x), x), norm1, eps);
            x = norm(r, t_add(r->tape, encoder_network(r, spec, l, x), x), norm2, eps);
        }
    }
    if (key_flag(spec, "norm")) x = norm(r, x, "norm.", eps);
    reference_give(r, "", x, true);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct Kind {
    const char *kind;
    ReferenceLayer compute;
} kinds[] = {
    {"activation", activation},
    {"basic_attention", basic_attention},
    {"channel_attention", channel_attention},
    {"dropout", dropout},
    {"embedding", embedding},
    {"gru", reference_recurrent},
    {"layer_norm", layer_norm},
    {"linear", linear},
    {"lstm", reference_recurrent},
    {"multi_head_attention", multi_head_attention},
    {"one_hot", one_hot},
    {"positional_encoding", positional_encoding},
    {"rnn", reference_recurrent},
    {"select", select_row},
    {"self_attention", self_attention},
    {"transformer_encoder", transformer_encoder},
};

ReferenceLayer reference_kind(const char *kind) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, kind) == 0) return kinds[i].compute;
    return NULL;
}
