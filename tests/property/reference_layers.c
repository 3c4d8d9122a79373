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
    reference_give(r, "", y, in->of[0]->grain);
}

static void dropout(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Grain grain = in->of[0]->grain;
    reference_give(r, "", reference_drop(r, in->of[0]->x, key_real(spec, "p"), 0, grain), grain);
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
    reference_give(r, "", norm(r, in->of[0]->x, "", key_real(spec, "eps")), in->of[0]->grain);
}

static void linear(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    (void)spec;
    reference_give(r, "", reference_dense(r, in->of[0]->x, ""), in->of[0]->grain);
}

/* Ids come as one column of whole numbers. */
static size_t *ids_of(const ReferenceValue *value) {
    size_t *id = calloc(value->x->rows + 1, sizeof *id);
    if (!id) abort();
    for (size_t i = 0; i < value->x->rows; i++) id[i] = (size_t)value->x->v[i];
    return id;
}

/* max_norm: what a looked-up row is multiplied with, as nn.Embedding writes it before the look-up. */
static double shrunk(const LayerSpec *spec, const Tensor *weight, size_t row) {
    if (!key_is_there(spec, "max_norm") || isnan(key_real(spec, "max_norm"))) return 1;
    const double p = key_real(spec, "norm_type"), most = key_real(spec, "max_norm");
    double sum = 0;
    for (size_t c = 0; c < weight->cols; c++) sum += pow(fabs(weight->v[row * weight->cols + c]), p);
    const double length = pow(sum, 1 / p);
    return length > most ? most / (length + 1e-7) : 1;
}

/* What reaches a row of the table of the gradient of its looked-up copy. */
static double learned(const LayerSpec *spec, const size_t *id, size_t rows, size_t row) {
    if (!key_is_there(spec, "scale_grad_by_freq") || !key_flag(spec, "scale_grad_by_freq")) return 1;
    size_t count = 0;
    for (size_t i = 0; i < rows; i++) count += id[i] == row;
    return 1 / (double)count;
}

/* The row of padding_idx gives what it holds and learns nothing. The part of a result that does not depend on the
 * table as far as gradients go is a constant beside the part that does. */
static void embedding(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    Tensor *weight = reference_param(r, "weight");
    const int64_t padding = key_index(spec, "padding_idx", weight->rows);
    const size_t rows = in->of[0]->x->rows;
    size_t *id = ids_of(in->of[0]);
    bool plain = padding < 0;
    Tensor *y = t_gather(r->tape, weight, id, rows), *part = t_constant(r->tape, rows, y->cols, NULL),
           *rest = t_constant(r->tape, rows, y->cols, NULL);
    for (size_t i = 0; i < rows; i++) {
        const double keep = (int64_t)id[i] == padding ? 0 : learned(spec, id, rows, id[i]),
                     by = shrunk(spec, weight, id[i]);
        plain = plain && keep == 1 && by == 1;
        for (size_t c = 0; c < y->cols; c++) {
            part->v[i * y->cols + c] = keep;
            rest->v[i * y->cols + c] = (by - keep) * y->v[i * y->cols + c];
        }
    }
    rest->v_terms = weight->cols;
    if (!plain) y = t_add(r->tape, t_multiply(r->tape, y, part), rest);
    free(id);
    reference_give(r, "", y, in->of[0]->grain);
}

static void one_hot(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Value *out = model_layer(r->model, r->at)->out[0];
    const size_t classes =
        key_size(spec, "num_classes") == KEY_NULL_SIZE ? out->features : key_size(spec, "num_classes");
    size_t *id = ids_of(in->of[0]);
    Tensor *y = t_constant(r->tape, in->of[0]->x->rows, classes, NULL);
    for (size_t i = 0; i < y->rows; i++) y->v[i * classes + id[i]] = 1;
    free(id);
    reference_give(r, "", y, PER_STEP);
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
    reference_give(r, "", reference_drop(r, y, key_real(spec, "dropout"), 0, PER_STEP), PER_STEP);
}

static void residual(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    (void)spec;
    reference_give(r, "", t_add(r->tape, in->of[0]->x, in->of[1]->x), in->of[0]->grain);
}

static void concat(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    (void)spec;
    const size_t R = r->rows->offset[r->rows->sequences];
    bool per_step = false;
    for (size_t i = 0; i < in->count; i++) per_step = per_step || in->of[i]->grain == PER_STEP;
    size_t *sequence = calloc(R + 1, sizeof *sequence);
    if (!sequence) abort();
    for (size_t b = 0; b < r->rows->sequences; b++)
        for (size_t at = r->rows->offset[b]; at < r->rows->offset[b + 1]; at++) sequence[at] = b;
    Tensor *y = NULL;
    for (size_t i = 0; i < in->count; i++) {
        Tensor *x = in->of[i]->x;
        if (per_step && in->of[i]->grain != PER_STEP) x = t_gather(r->tape, x, sequence, R);
        y = y ? t_beside(r->tape, y, x) : x;
    }
    free(sequence);
    reference_give(r, "", y, per_step ? PER_STEP : PER_SEQUENCE);
}

/* ---- one row per sequence --------------------------------------------------------------------------------------- */

static void select_row(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const int kind = key_choice_of(spec, "kind");
    Tensor *x = in->of[0]->x, *part[64];
    if (kind == 4) {
        Tensor *h = reference_sibling(r, in->of[0], "h_n")->x;
        reference_give(r, "", t_cols(r->tape, h, h->cols - x->cols, x->cols), PER_SEQUENCE);
        return;
    }
    for (size_t b = 0; b < r->rows->sequences; b++) {
        Tensor *rows = reference_sequence(r, x, b);
        part[b] = kind == 2   ? t_mean_rows(r->tape, rows)
                  : kind == 3 ? t_max_rows(r->tape, rows)
                              : t_rows(r->tape, rows, kind == 0 ? rows->rows - 1 : 0, 1);
    }
    reference_give(r, "", t_stack(r->tape, part, r->rows->sequences), PER_SEQUENCE);
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
    reference_give(r, "", t_stack(r->tape, part, r->rows->sequences), PER_SEQUENCE);
}

static void channel_attention(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    (void)spec;
    Tensor *x = in->of[0]->x, *scores = reference_dense(r, x, ""), *part[64];
    for (size_t b = 0; b < r->rows->sequences; b++) {
        Tensor *w = t_softmax(r->tape, t_transpose(r->tape, reference_sequence(r, scores, b)), false);
        part[b] = t_shape(r->tape, t_product(r->tape, w, reference_sequence(r, x, b)), 1, x->cols * x->cols);
    }
    reference_give(r, "", t_stack(r->tape, part, r->rows->sequences), PER_SEQUENCE);
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
            for (size_t i = 0; i < 3; i++)
                of[i] = t_cols(r->tape, stream_sequence(r, of[i], heads->grain[i > 0], b), h * d, d);
            Tensor *scores = t_affine(r->tape, t_linear(r->tape, of[0], of[1]), 1 / sqrt((double)d), 0);
            Tensor *w = t_softmax(r->tape, scores, heads->causal),
                   *mask = reference_attention_mask(r, heads->dropout, heads->site, h, b, heads->grain);
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
    reference_give(r, "", torch ? reference_torch_attention(r, x, "", &heads) : free_attention(r, x, &heads), PER_STEP);
}

static void self_attention(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Heads heads = {.count = 1, .causal = key_flag(spec, "causal"), .dropout = key_real(spec, "dropout")};
    Tensor *x[3] = {in->of[0]->x, in->of[0]->x, in->of[0]->x};
    reference_give(r, "", free_attention(r, x, &heads), PER_STEP);
}

/* ---- transformer_encoder, transformer_decoder ---------------------------------------------------------------------- */

/* Of dropout in a layer: weights, attention, hidden, feed-forward; a decoder's second attention: weights, attention. */
enum { ENCODER_SITES = 4, DECODER_SITES = 6 };

typedef struct Stack {
    const LayerSpec *spec;
    const ReferenceValue *memory; /* NULL: an encoder */
    Grain grain;
    double p, eps;
} Stack;

static uint32_t site_of(const Stack *k, size_t l, size_t site) {
    return (uint32_t)(l * (k->memory ? DECODER_SITES : ENCODER_SITES) + site);
}

static Tensor *stack_attention(Reference *r, const Stack *k, size_t l, bool across, Tensor *x) {
    char prefix[64];
    const Heads heads = {.count = key_size(k->spec, "nhead"),
                         .causal = !across && key_flag(k->spec, "causal"),
                         .dropout = k->p,
                         .site = site_of(k, l, across ? 4 : 0),
                         .grain = {k->grain, across ? k->memory->grain : k->grain}};
    Tensor *from = across ? k->memory->x : x, *of[3] = {x, from, from};
    snprintf(prefix, sizeof prefix, "layers.%zu.%s.", l, across ? "multihead_attn" : "self_attn");
    return reference_drop(r, reference_torch_attention(r, of, prefix, &heads), k->p, heads.site + 1, k->grain);
}

static Tensor *stack_network(Reference *r, const Stack *k, size_t l, Tensor *x) {
    char prefix[64];
    snprintf(prefix, sizeof prefix, "layers.%zu.linear1.", l);
    Tensor *y = t_curve(r->tape, reference_dense(r, x, prefix),
                        key_choice_of(k->spec, "activation") == 0 ? CURVE_RELU : CURVE_GELU);
    y = reference_drop(r, y, k->p, site_of(k, l, 2), k->grain);
    snprintf(prefix, sizeof prefix, "layers.%zu.linear2.", l);
    return reference_drop(r, reference_dense(r, y, prefix), k->p, site_of(k, l, 3), k->grain);
}

/* Part 0: attention; then a decoder's attention to the memory; the network last. */
static Tensor *stack_part(Reference *r, const Stack *k, size_t l, size_t part, Tensor *x) {
    if (part == (k->memory ? 2 : 1)) return stack_network(r, k, l, x);
    return stack_attention(r, k, l, part == 1, x);
}

static void transformer(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const Stack k = {.spec = spec,
                     .memory = in->count > 1 ? in->of[1] : NULL,
                     .grain = in->of[0]->grain,
                     .p = key_real(spec, "dropout"),
                     .eps = key_real(spec, "layer_norm_eps")};
    Tensor *x = in->of[0]->x;
    for (size_t l = 0; l < key_size(spec, "num_layers"); l++)
        for (size_t part = 0; part < (k.memory ? 3 : 2); part++) {
            char name[64];
            snprintf(name, sizeof name, "layers.%zu.norm%zu.", l, part + 1);
            if (key_flag(spec, "norm_first"))
                x = t_add(r->tape, stack_part(r, &k, l, part, norm(r, x, name, k.eps)), x);
            else x = norm(r, t_add(r->tape, stack_part(r, &k, l, part, x), x), name, k.eps);
        }
    if (key_flag(spec, "norm")) x = norm(r, x, "norm.", k.eps);
    reference_give(r, "", x, k.grain);
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static const struct Kind {
    const char *kind;
    ReferenceLayer compute;
} kinds[] = {
    {"activation", activation},
    {"basic_attention", basic_attention},
    {"channel_attention", channel_attention},
    {"concat", concat},
    {"dropout", dropout},
    {"embedding", embedding},
    {"gru", reference_recurrent},
    {"layer_norm", layer_norm},
    {"linear", linear},
    {"lstm", reference_recurrent},
    {"multi_head_attention", multi_head_attention},
    {"one_hot", one_hot},
    {"positional_encoding", positional_encoding},
    {"residual", residual},
    {"rnn", reference_recurrent},
    {"select", select_row},
    {"self_attention", self_attention},
    {"transformer_decoder", transformer},
    {"transformer_encoder", transformer},
};

ReferenceLayer reference_kind(const char *kind) {
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
        if (strcmp(kinds[i].kind, kind) == 0) return kinds[i].compute;
    return NULL;
}
