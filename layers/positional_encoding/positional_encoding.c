/* SPDX-License-Identifier: MIT
 *
 * positional_encoding.c: adds to every row what tells its time t in the sequence.
 *
 *   forward    y[t] = m (x[t] + P[t])                                     (1)
 *   backward   dx = m dy                                                  (2)
 *              dP[t] = sum of m dy over the rows at time t (learned)      (3)
 *
 *   sinusoidal   P[t, 2 i] = sin(t / 10000^(2 i / E)), P[t, 2 i + 1] = cos(t / 10000^(2 i / E))
 *                (Vaswani et al. 2017)
 *   learned      P = weight
 *   m            the mask of dropout
 *
 *   x, y [R, E]   weight [max_len, E] */
#include <math.h>
#include <string.h>

#include "layers/layer.h"
#include "layers/ops/ops.h"
#include "layers/ops/scalar.h"

typedef enum Kind { SINUSOIDAL, LEARNED } Kind;

typedef struct PositionalConfig {
    int kind; /* Kind */
    size_t max_len;
    double dropout;
} PositionalConfig;

static const Key keys[] = {
    {"kind", KEY_CHOICE, offsetof(PositionalConfig, kind), "sinusoidal", 0, 0, "sinusoidal|learned", false,
     "waves of fixed lengths, or a learned row for every time step"},
    {"max_len", KEY_SIZE, offsetof(PositionalConfig, max_len), "null", 1, 1e9, NULL, true,
     "steps of the longest sequence; null: data.seq_len"},
    {"dropout", KEY_REAL, offsetof(PositionalConfig, dropout), "0", 0, 1, NULL, false, "probability, on the sum"},
    {0},
};

typedef struct Positional {
    size_t E, steps;
    Param *weight;
    real *table; /* [steps, E] sinusoidal P */
    real *past;  /* state [B]: steps of the passes before */
    bool filled;
    struct {
        real *dy; /* [R, E] m dy, where nobody wants dx */
    } tmp;
} Positional;

static Status positional_plan(Layer *layer, Plan *plan) {
    const PositionalConfig *config = layer->config;
    Positional *self = layer->self;
    const Value *in = layer->in[0];
    const size_t max_len = config->max_len == KEY_NULL_SIZE ? plan_seq_len(plan) : config->max_len;
    self->E = in->features;
    self->steps = plan_max_length(plan, in->grain);
    if (!grain_has_time(in->grain))
        return plan_fail(layer, "input",
                         "'%s' has one row per sequence and no time; leave the layer out, or move it up", in->name);
    if (self->steps > max_len)
        return plan_fail(layer, "max_len", "%zu, but the %s longest sequence has %zu steps; make it at least that",
                         max_len, in->grain == PER_STEP ? "data's" : "decoder's", self->steps);
    plan_output(plan, layer, "", in->grain, self->E);
    if (plan_carries(plan, in->grain)) plan_state(plan, &self->past, 1);
    if (config->kind == SINUSOIDAL) {
        plan_kept(plan, &self->table, self->steps * self->E);
        return OK;
    }
    TRY(plan_param(plan, layer, &self->weight, "weight", (Init){.kind = INIT_NORMAL, .scale = 1, .gpt2 = true}, 2,
                   max_len, self->E));
    if (plan_trains(plan) && config->dropout > 0)
        plan_tmp(plan, &self->tmp.dy, plan_max_rows(plan, in->grain) * self->E);
    return OK;
}

/* ---- sinusoidal ------------------------------------------------------------------------------------------ */

/* 10000^-x for x >= 0, from the four operations alone, so that it has the same bits on every machine. */
static double wave(double x) {
    const double bits = -13.287712379549449 * x, whole = floor(bits + 0.5), r = (bits - whole) * 0.69314718055994531;
    double sum = 1;
    for (int i = 20; i > 0; i--) sum = 1 + sum * r / i;
    return ldexp(sum, (int)whole);
}

static void fill_table(Positional *self) {
    static const double CIRCLE = 0x1.921fb54442d18p+2;
    for (size_t f = 0; f < self->E; f++) {
        const double turns = wave((double)(f / 2 * 2) / (double)self->E) / CIRCLE,
                     start = f % 2 ? 0 : 0.75; /* sin x = cos (x + 3/4 turns) */
        for (size_t t = 0; t < self->steps; t++) {
            const double at = (double)t * turns;
            double part = at - floor(at) + start;
            if (part >= 1) part -= 1;
            self->table[t * self->E + f] = (real)scalar_cos_turns(part);
        }
    }
    self->filled = true;
}

/* ---- both ------------------------------------------------------------------------------------------------ */

static bool drops(const Layer *layer, const Pass *pass) {
    return pass->training && ((const PositionalConfig *)layer->config)->dropout > 0;
}

static void drop(const Layer *layer, const Pass *pass, const real *from, real *to) {
    const PositionalConfig *config = layer->config;
    const Rows *rows = &pass->rows;
    const size_t E = layer->in[0]->features;
    const DropoutKey key = {pass->seed, pass->step, layer->key, 0};
    op_dropout(key, (real)config->dropout, rows->sequences, rows_offset(rows, layer->in[0]->grain), rows->position, E,
               from, E, to, E);
}

static void positional_forward(Layer *layer, const Pass *pass) {
    const PositionalConfig *config = layer->config;
    Positional *self = layer->self;
    const size_t *offset = rows_offset(&pass->rows, layer->in[0]->grain), E = self->E;
    real *y = layer->out[0]->v;
    if (!y) return;
    if (config->kind == SINUSOIDAL && !self->filled) fill_table(self);
    const real *P = config->kind == SINUSOIDAL ? self->table : self->weight->v;
    op_copy(rows_of(&pass->rows, layer->in[0]->grain) * E, layer->in[0]->v, y);
    for (size_t b = 0; b < pass->rows.sequences; b++) {
        const size_t T = offset[b + 1] - offset[b], past = pass->carry_state && self->past ? (size_t)self->past[b] : 0;
        op_add(T * E, P + past * E, y + offset[b] * E); /* (1) */
        if (pass->carry_state && self->past) self->past[b] = (real)(past + T);
    }
    if (drops(layer, pass)) drop(layer, pass, y, y);
}

typedef struct Leaf {
    const Positional *self;
    Grain grain;
    const real *dy;
} Leaf;

static void weight_leaf(void *context, const Pass *pass, size_t s, real *dP) {
    const Leaf *leaf = context;
    const size_t *offset = rows_offset(&pass->rows, leaf->grain), E = leaf->self->E;
    op_zero(leaf->self->weight->count, dP);
    for (size_t b = pass->rows.shard[s]; b < pass->rows.shard[s + 1]; b++)
        op_add((offset[b + 1] - offset[b]) * E, leaf->dy + offset[b] * E, dP);
}

static void positional_backward(Layer *layer, const Pass *pass) {
    const Positional *self = layer->self;
    const real *dy = layer->out[0]->g;
    real *dx = layer->in[0]->g;
    if (drops(layer, pass)) {
        real *to = dx ? dx : self->tmp.dy;
        drop(layer, pass, dy, to); /* (2) */
        dy = to;
    } else if (dx) {
        op_copy(rows_of(&pass->rows, layer->in[0]->grain) * self->E, dy, dx);
    }
    if (!self->weight) return;
    Leaf leaf = {self, layer->in[0]->grain, dy};
    grad_shards(pass, self->weight, weight_leaf, &leaf); /* (3) */
}

static const LayerCase cases[] = {
    {"sinusoidal", &(PositionalConfig){SINUSOIDAL, KEY_NULL_SIZE, 0}, 7, 0},
    {"learned, longer than the data", &(PositionalConfig){LEARNED, 200, 0}, 3, 0},
    {"learned, dropout", &(PositionalConfig){LEARNED, KEY_NULL_SIZE, 0.3}, 17, 0},
    {0},
};

const LayerType layer_positional_encoding = {
    .kind = "positional_encoding",
    .summary = "adds the time within the sequence, as waves or learned",
    .keys = keys,
    .window = true,
    .shorthand = "kind",
    .config_size = sizeof(PositionalConfig),
    .self_size = sizeof(Positional),
    .max_inputs = 1,
    .plan = positional_plan,
    .forward = positional_forward,
    .backward = positional_backward,
    .cases = cases,
};
