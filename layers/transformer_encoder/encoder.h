/* SPDX-License-Identifier: MIT
 *
 * encoder.h: what the files of transformer_encoder share; the equations are in transformer_encoder.c. */
#ifndef LOCKSTEP_LAYERS_TRANSFORMER_ENCODER_ENCODER_H
#define LOCKSTEP_LAYERS_TRANSFORMER_ENCODER_ENCODER_H

#include "layers/attention/attention_block.h"
#include "layers/ops/ops.h"

enum { ENCODER_MOST_LAYERS = 64 };

typedef struct EncoderConfig {
    size_t nhead, num_layers, dim_feedforward;
    double dropout;
    int activation; /* 0 relu, 1 gelu */
    bool norm_first, causal, norm, bias;
    double layer_norm_eps;
} EncoderConfig;

/* Forward to backward, of one layer. */
typedef struct EncoderSaved {
    AttentionSaved attention;
    real *mid, *end; /* [R, E] the two residual sums */
    real *hidden;    /* [R, F] relu: its result; gelu: what it acts on */
    NormSaved norm[2];
} EncoderSaved;

typedef struct EncoderLayer {
    AttentionBlock attention;
    Dense linear1, linear2;
    Norm norm[2];
    EncoderSaved saved; /* of layer 0 for all where no backward is planned */
} EncoderLayer;

typedef struct Encoder {
    size_t E, F, L;
    Grain grain; /* of the rows */
    bool trains, norm_first;
    Activation activation;
    double dropout;
    EncoderLayer layer[ENCODER_MOST_LAYERS];
    Norm norm; /* the final one, if configured */
    struct {
        NormSaved norm;
    } saved;
    struct {
        real *x, *y, *z, *g; /* [R, E] */
        real *active;        /* [R, F] what linear2 reads, where that is not saved.hidden */
        real *wide;          /* [R, max(F, 3 E)] gradients of hidden, then of Q, K, V */
        AttentionWork attention;
    } tmp;
} Encoder;

/* Places where dropout acts in a layer. */
typedef enum EncoderSite { SITE_WEIGHTS, SITE_ATTENTION, SITE_HIDDEN, SITE_FEEDFORWARD, ENCODER_SITES } EncoderSite;

static inline bool encoder_drops(const Encoder *self, const Pass *pass) {
    return pass->training && self->dropout > 0;
}

/* Dropout of layer l at a site, or a copy where it does not act; y may be x. */
void encoder_drop(const Layer *layer, const Pass *pass, size_t l, EncoderSite site, size_t features, const real *x,
                  real *y);

static inline const EncoderSaved *encoder_saved(const Encoder *self, size_t l) {
    return &self->layer[self->trains ? l : 0].saved;
}

/* Without a norm behind it, the last layer's result is the output itself. */
static inline real *encoder_end(const Layer *layer, size_t l) {
    const Encoder *self = layer->self;
    const EncoderConfig *config = layer->config;
    if (self->norm_first && !config->norm && l + 1 == self->L) return layer->out[0]->v;
    return encoder_saved(self, l)->end;
}

/* What layer l reads: the input, the layer below's result, or (post-norm) that normalised, into `memory`. */
const real *encoder_input(const Layer *layer, size_t rows, size_t l, real *memory);
/* What linear2 of layer l reads, made of saved.hidden. `fresh`: linear1 has just written that (forward). */
const real *encoder_active(const Layer *layer, const Pass *pass, size_t l, bool fresh);

void encoder_forward(Layer *layer, const Pass *pass);
void encoder_backward(Layer *layer, const Pass *pass);

#endif
