/* SPDX-License-Identifier: MIT
 *
 * transformer.h: what transformer_encoder and transformer_decoder share, all but their keys: L layers of
 * attention and feed-forward network, each with residual connections and layer normalisations (Vaswani et al.
 * 2017). An encoder layer has one attention, to its own rows (A = 1); a decoder layer has a second, to the rows
 * of a memory (A = 2). f is relu or gelu, m are masks of dropout; one more acts on the weights inside attention.
 *
 *   post-norm, a = 1 ... A                      pre-norm (norm_first)
 *   (1) s_a = y_(a-1) + m attention_a(y_(a-1))  s_a = s_(a-1) + m attention_a(norm_a(s_(a-1)))
 *   (2) y_a = norm_a(s_a)                       y = norm_(A+1)(s_A)
 *   (3) e = y_A + m W2 m f(W1 y_A)              e = s_A + m W2 m f(W1 y)
 *   (4) x of the next layer = norm_(A+1)(e)     x of the next layer = e
 *   (5) with `norm`, the result of all layers goes through one more norm
 *
 *   y_0 = s_0 = x of the layer; attention_1 reads queries, keys and values from its argument, attention_2 keys
 *   and values from the memory
 *
 * Backward goes the same way from bottom to top. What is cheap is made again: y, norms of s, f and the masks. Per
 * row of the input are saved, with E features, F = dim_feedforward and H heads:
 *
 *   attention.q 3 E, and 1 E   attention.context A E   attention.norm 2 A H   mid (s) A E   end (e) E   hidden F
 *   norms 2 (A + 1); and per row of the memory attention.kv 2 E
 *
 * With train.recompute each of several layers saves its end alone; all else has room once, which holds what the
 * last layer saved and then, layer by layer, what is made again.
 *
 *   in, out [R, E]   memory [Rk, E]   layers.<l>.self_attn.in_proj_weight [3 E, E], in_proj_bias [3 E],
 *   out_proj.weight [E, E]; multihead_attn.* alike; linear1.weight [F, E], linear2.weight [E, F], norm1.*, norm2.*,
 *   norm3.*; norm.* [E] */
#ifndef LOCKSTEP_LAYERS_TRANSFORMER_TRANSFORMER_H
#define LOCKSTEP_LAYERS_TRANSFORMER_TRANSFORMER_H

#include "layers/attention/attention_block.h"
#include "layers/ops/ops.h"

enum { TRANSFORMER_MOST_LAYERS = 64, TRANSFORMER_ATTENTIONS = 2 };

typedef struct TransformerConfig {
    size_t nhead, num_layers, dim_feedforward;
    double dropout;
    int activation; /* 0 relu, 1 gelu */
    bool norm_first, causal, norm, bias;
    double layer_norm_eps;
} TransformerConfig;

/* clang-format off */
/* The keys of both; name, type, place, default, least, most, choices, nullable, help. */
#define TRANSFORMER_KEYS(causal_default) \
    {"nhead", KEY_SIZE, offsetof(TransformerConfig, nhead), NULL, 1, ATTENTION_MOST_HEADS, NULL, false, \
     "heads of attention; a divisor of the input's features"}, \
    {"num_layers", KEY_SIZE, offsetof(TransformerConfig, num_layers), "1", 1, TRANSFORMER_MOST_LAYERS, NULL, false, \
     "layers on top of each other"}, \
    {"dim_feedforward", KEY_SIZE, offsetof(TransformerConfig, dim_feedforward), "2048", 1, 1e9, NULL, false, \
     "features inside the feed-forward network"}, \
    {"dropout", KEY_REAL, offsetof(TransformerConfig, dropout), "0.1", 0, 1, NULL, false, \
     "probability, on attention weights, after attention, and inside and after the feed-forward network"}, \
    {"activation", KEY_CHOICE, offsetof(TransformerConfig, activation), "relu", 0, 0, "relu|gelu", false, \
     "inside the feed-forward network"}, \
    {"norm_first", KEY_BOOL, offsetof(TransformerConfig, norm_first), "false", 0, 0, NULL, false, \
     "normalise before attention and feed-forward instead of after the sums"}, \
    {"causal", KEY_BOOL, offsetof(TransformerConfig, causal), causal_default, 0, 0, NULL, false, \
     "a step sees itself and earlier steps alone"}, \
    {"norm", KEY_BOOL, offsetof(TransformerConfig, norm), "false", 0, 0, NULL, false, \
     "one more normalisation at the end; usual with norm_first"}, \
    {"bias", KEY_BOOL, offsetof(TransformerConfig, bias), "true", 0, 0, NULL, false, \
     "learned vectors in linear maps and normalisations"}, \
    {"layer_norm_eps", KEY_REAL, offsetof(TransformerConfig, layer_norm_eps), "1e-5", 0, 1, NULL, false, \
     "added to the variance"}
/* clang-format on */

/* Forward to backward, of one layer. */
typedef struct TransformerSaved {
    AttentionSaved attention[TRANSFORMER_ATTENTIONS];
    real *mid[TRANSFORMER_ATTENTIONS]; /* [R, E] the residual sums */
    real *hidden;                      /* [R, F] relu: what linear2 reads; gelu: what it acts on */
    NormSaved norm[TRANSFORMER_ATTENTIONS + 1];
} TransformerSaved;

typedef struct TransformerLayer {
    AttentionBlock attention[TRANSFORMER_ATTENTIONS];
    Dense linear1, linear2;
    Norm norm[TRANSFORMER_ATTENTIONS + 1];
    TransformerSaved saved; /* of layer 0 for all where each does not keep its own */
    real *end;              /* [R, E] saved: the last residual sum; of layer 0 for all where no backward is planned */
} TransformerLayer;

typedef struct Transformer {
    size_t E, F, L, A;
    Grain grain; /* of the rows */
    bool trains, recomputes, norm_first;
    Activation activation;
    double dropout;
    TransformerLayer layer[TRANSFORMER_MOST_LAYERS];
    Norm norm; /* the final one, if configured */
    struct {
        NormSaved norm;
    } saved;
    struct {
        real *x, *y, *z, *g; /* [R, E] */
        real *active;        /* [R, F] what linear2 reads, where that is not saved.hidden */
        real *wide;          /* [R, max(F, 3 E)] gradients of hidden, then of Q, K, V */
        AttentionWork attention[TRANSFORMER_ATTENTIONS];
    } tmp;
} Transformer;

/* With a second input, its rows are the memory and A = 2. */
Status transformer_plan(Layer *layer, Plan *plan);
void transformer_forward(Layer *layer, const Pass *pass);
void transformer_backward(Layer *layer, const Pass *pass);
/* Sets of weights: layers.<l>, and of a decoder layers.<l>.self_attn and layers.<l>.multihead_attn. */
/* The steps of a layer without `causal` look at all of their own, and all at all of a memory. */
const char *transformer_looks_ahead(const void *config, size_t inputs, size_t i);
bool transformer_set(const Layer *layer, size_t i, AttentionSet *set);

/* ---- inside ---------------------------------------------------------------------------------------- */

/* Places where dropout acts in a layer; the last two in a decoder alone. */
typedef enum TransformerSite {
    SITE_WEIGHTS,
    SITE_ATTENTION,
    SITE_HIDDEN,
    SITE_FEEDFORWARD,
    ENCODER_SITES,
    SITE_MEMORY_WEIGHTS = ENCODER_SITES,
    SITE_MEMORY,
    DECODER_SITES
} TransformerSite;

uint32_t transformer_site(const Transformer *self, size_t l, TransformerSite site);

static inline bool transformer_drops(const Transformer *self, const Pass *pass) {
    return pass->training && self->dropout > 0;
}

static inline size_t transformer_rows(const Transformer *self, const Pass *pass) {
    return rows_of(&pass->rows, self->grain);
}

/* Dropout of layer l at a site, or a copy where it does not act; y may be x. */
void transformer_drop(const Layer *layer, const Pass *pass, size_t l, TransformerSite site, size_t features,
                      const real *x, real *y);

static inline const TransformerSaved *transformer_saved(const Transformer *self, size_t l) {
    return &self->layer[self->trains && !self->recomputes ? l : 0].saved;
}

/* Without a norm behind it, the last layer's result is the output itself. */
static inline real *transformer_end(const Layer *layer, size_t l) {
    const Transformer *self = layer->self;
    const TransformerConfig *config = layer->config;
    if (self->norm_first && !config->norm && l + 1 == self->L) return layer->out[0]->v;
    return self->layer[self->trains ? l : 0].end;
}

/* y [R, E] = s + y dropped at a site; where dropout acts. */
void transformer_drop_add(const Layer *layer, const Pass *pass, size_t l, TransformerSite site, const real *s, real *y);

/* What layer l reads: the input, the layer below's result, or (post-norm) that normalised, into `memory`. */
const real *transformer_input(const Layer *layer, size_t rows, size_t l, real *memory);
/* What linear2 of layer l read, made of saved.hidden. */
const real *transformer_active(const Layer *layer, const Pass *pass, size_t l);
/* Makes what layer l saved again, all but its end. */
void transformer_again(const Layer *layer, const Pass *pass, size_t l);

#endif
