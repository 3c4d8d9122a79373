/* SPDX-License-Identifier: MIT
 *
 * layer.h: the contract between a layer and everything else.
 *
 * A model is a list of layers that read and write named values. A value is a matrix of rows: one row
 * per time step (sequence-major, sequence b has rows offset[b] ... offset[b+1] - 1, no padding) or
 * one per sequence. A sequence may have two streams of steps, each with offsets of its own: the data's,
 * which an encoder reads, and the target's, which a decoder reads. Sizes are single capitals: B sequences,
 * R rows, T steps, I in, H hidden, V vocabulary. All matrices are row-major.
 *
 * plan      checks the config against the inputs, declares outputs and parameters, books memory. All
 *           that can go wrong goes wrong here; forward and backward return nothing.
 * forward   writes all of every output that has memory (out->v), reads inputs, parameters and state.
 * backward  reads out->g (NULL: zero), writes all of in->g (NULL: not wanted) and hands the gradient
 *           of each parameter to grad_shards, one shard at a time. It may read in->v and out->v only
 *           if the type says so in `reads`.
 * saved     lives from forward to backward; tmp holds garbage on entry to forward and backward.
 * recompute a layer that the run wants to keep nothing but its inputs goes forward again right before its backward,
 *           and what it saves is tmp. The model sees to that, unless the layer does so by itself, part by part.
 *
 * The loss is a sum over the targets of the batch; the trainer scales once by the global count. So the
 * gradients of shards simply add, and layers never learn that ranks exist. */
#ifndef LOCKSTEP_LAYERS_LAYER_H
#define LOCKSTEP_LAYERS_LAYER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"
#include "layers/key.h"
#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"
#include "layers/real.h"

typedef struct Layer Layer;
typedef struct Plan Plan;
typedef struct LayerType LayerType;

/* ---- values ------------------------------------------------------------------------------------ */

/* What one row of a value belongs to: a step of the data, a sequence, a step of the target. */
typedef enum Grain { PER_STEP, PER_SEQUENCE, PER_TARGET_STEP } Grain;

static inline bool grain_has_time(Grain grain) {
    return grain != PER_SEQUENCE;
}

typedef struct Value {
    const char *name; /* "rnn", "rnn.h_n"; owned by the model */
    Grain grain;
    size_t features;     /* columns; 1 for ids */
    size_t vocabulary;   /* > 0: the value is ids in [0, vocabulary), not reals */
    const Layer *source; /* the layer that writes it, NULL for the data */
    size_t readers;      /* layers (and the loss) that read it */
    real *v;             /* [rows, features]; NULL where nobody reads it */
    int32_t *ids;        /* [rows] */
    real *g;             /* gradient of v; NULL where nobody wants it or nobody contributes to it */
} Value;

/* ---- parameters -------------------------------------------------------------------------------- */

typedef enum InitKind {
    INIT_ZERO,
    INIT_ONE,
    INIT_UNIFORM, /* in [-scale, scale) */
    INIT_NORMAL   /* mean 0, standard deviation scale */
} InitKind;

typedef struct Init {
    InitKind kind;
    double scale;
    bool gpt2;       /* under run.init: gpt2 a matrix is a normal of 0.02 instead, a vector zero */
    bool residual;   /* there, divided by sqrt(number of such matrices): two per residual block */
    size_t zero_row; /* 1 + the row that starts as zeros; 0: none */
} Init;

enum { PARAM_MAX_RANK = 2 };

/* How the update treats the rows of a table that is looked up by ids, see embedding.c. */
typedef struct RowRules {
    NormLimit limit; /* of the rows that the global batch looks up */
    bool sparse;     /* the other rows are not touched */
    size_t padding;  /* row without a gradient; SIZE_MAX: none */
} RowRules;

typedef struct Param {
    const char *name; /* full state_dict name; owned by the model */
    size_t rank, dim[PARAM_MAX_RANK];
    size_t count;  /* elements */
    size_t offset; /* in the flat parameter block, a multiple of 16 */
    bool frozen;
    Init init;
    struct Param *same_as; /* a tied weight: the parameter that holds the memory, else NULL */
    size_t uses;           /* layers that contribute to its gradient */
    real *v;               /* node-shared; written by the optimizer alone */
    RowRules rows;
    const uint32_t *row_count; /* [dim[0]] how often the global batch holds an id, in training; NULL: not counted */
    bool touched_only;         /* of rows whose count is 0 no gradient is written: it is +0, and nobody reads it */
} Param;

/* A matrix of parameters in the form the GEMM reads: packed once after each update, shared by all
 * ranks of a node. See gemm.h for the form. */
typedef enum PackForm {
    PACK_TRANSPOSED, /* param [n, k] as the k x n operand: x W^T, the forward of a linear map */
    PACK_PLAIN       /* param [k, n] as it stands: dy W, its backward */
} PackForm;

typedef struct Packed {
    Param *param;
    PackForm form;
    Interleave gates;    /* order of the gate dimension (n when transposed, k when plain) */
    size_t k, n;         /* of the packed operand; k or n counts padded gates where interleaved */
    bool per_sequence;   /* multiplies a row per sequence in a layer that reads steps; set after plan_packed */
    size_t rows_at_once; /* that multiply it before it is read anew, for the roofline; 0: many; set after plan_packed */
    size_t offset;       /* in the block of packed weights */
    const real *v;       /* valid during forward and backward */
} Packed;

/* ---- one forward or backward pass ---------------------------------------------------------------- */

/* The batch's sequences on this rank, cut into shards. Shards hold whole sequences, in order. */
typedef struct Rows {
    size_t sequences;            /* B, may be 0 */
    const size_t *offset;        /* [B + 1] first row of each sequence; offset[B] = R */
    const size_t *target_offset; /* [B + 1] the same of the target's stream; NULL where there is none */
    const uint64_t *position;    /* [B] index in the global batch: names a sequence for dropout */
    size_t shards;               /* shards on this rank */
    size_t first_shard;          /* global number of the first */
    size_t total_shards;
    const size_t *shard;   /* [shards + 1] first sequence of each shard */
    size_t longest;        /* max length on this rank, */
    size_t target_longest; /* of the data and of the target */
    /* While a model decodes (model_decode), `sequences` are those of the target's stream, with one step each, and a
     * sequence of the data may have none, one or several of them: */
    size_t sources;       /* sequences of the data, */
    const size_t *branch; /* [sources + 1] and the first in the target's stream of each; NULL: the same in both */
} Rows;

/* First row of each sequence, and the end, in a stream of steps; not for PER_SEQUENCE. */
static inline const size_t *rows_offset(const Rows *rows, Grain grain) {
    return grain == PER_TARGET_STEP ? rows->target_offset : rows->offset;
}
static inline size_t rows_longest(const Rows *rows, Grain grain) {
    return grain == PER_TARGET_STEP ? rows->target_longest : rows->longest;
}
/* First row of sequence b (b = sequences gives the end). */
static inline size_t sequence_row(const Rows *rows, Grain grain, size_t b) {
    return grain == PER_SEQUENCE ? b : rows_offset(rows, grain)[b];
}
/* Sequences of a stream. */
static inline size_t rows_sequences(const Rows *rows, Grain grain) {
    return rows->branch && grain == PER_STEP ? rows->sources : rows->sequences;
}
static inline size_t rows_of(const Rows *rows, Grain grain) {
    return sequence_row(rows, grain, rows_sequences(rows, grain));
}
/* First row of `grain` that belongs to each sequence of the stream `of`, and the end: what looks at that sequence. */
static inline const size_t *rows_offset_of(const Rows *rows, Grain grain, Grain of) {
    return rows->branch && of == PER_STEP && grain != of ? rows->branch : rows_offset(rows, grain);
}
/* First row of local shard s (s = shards gives the end). */
static inline size_t shard_row(const Rows *rows, Grain grain, size_t s) {
    return sequence_row(rows, grain, rows->shard[s]);
}

/* Weights of attention, shown while a pass goes forward. A layer has one or several sets of them, a set of
 * each sequence one or several pieces: a softmax over the keys of each query, [queries, keys], for each head;
 * or where a sequence has a single query, [keys] or, with channels, [keys, channels]. */
typedef struct AttentionSet {
    char name[32];    /* behind the layer's name: "", "layers.0" */
    size_t heads;     /* >= 1 */
    size_t channels;  /* 0: none */
    Grain query, key; /* the streams of steps; query PER_SEQUENCE: a single one */
    double flops;     /* of the products of forward for one query and one key, causal ones halved */
} AttentionSet;

typedef struct Look {
    real *w; /* room for the largest piece of any set */
    /* w holds the piece [queries, keys] or [keys, channels] of set `i` of `layer`; sequence and head count from 0. */
    void (*take)(struct Look *look, const Layer *layer, size_t i, size_t sequence, size_t head, size_t queries,
                 size_t keys);
} Look;

typedef struct Pass {
    Rows rows;
    bool training;    /* dropout acts */
    bool backward;    /* a backward follows: keep what it reads */
    bool carry_state; /* start from the layers' state and leave the new state there (see plan_state) */
    bool decodes;     /* of model_decode: what layers made of the data's stream stands in plan_lasting */
    Look *look;       /* NULL: nobody wants to see weights */
    uint64_t seed, step;
    struct GradSink *sink; /* where grad_shards puts gradients; the model's */
} Pass;

/* The pass with the steps of one stream in place of the data's: what a layer that walks a single stream goes
 * by, PER_STEP from then on. */
static inline Pass pass_stream(const Pass *pass, Grain grain) {
    Pass view = *pass;
    view.rows.offset = rows_offset(&pass->rows, grain);
    view.rows.longest = rows_longest(&pass->rows, grain);
    view.rows.branch = NULL;
    return view;
}

/* Computes the gradient of one parameter over local shard s into g [count]: writes all of it. */
typedef void (*ShardGradient)(void *context, const Pass *pass, size_t s, real *g);

/* Folds a parameter's gradient over this rank's shards, in the tree of comm/fold.h. Does nothing for a
 * frozen parameter. Called once per parameter and use in backward; `leaf` may thread inside. */
void grad_shards(const Pass *pass, Param *param, ShardGradient leaf, void *context);

/* For backward_rows: where the gradient [count] of `param` over local shard `shard` is gathered, NULL for
 * a frozen parameter. */
real *grad_rows(const Pass *pass, Param *param, size_t shard);

/* Waits until the new values of `param` and of all that its layer declared before it are here and packed: they
 * may still be on their way from another node. Called in forward before they are first read, by types with
 * `needs`. */
void pass_need(const Pass *pass, const Param *param);

/* ---- layers -------------------------------------------------------------------------------------- */

enum { LAYER_MAX_INPUTS = 4, LAYER_MAX_OUTPUTS = 3 };

struct Layer {
    const LayerType *type;
    const char *name;   /* full name, "enc.rnn"; owned by the model */
    uint64_t key;       /* hash of the name, for dropout */
    const void *config; /* type->config_size bytes as `keys` describe them */
    void *self;         /* type->self_size bytes, zeroed, the layer's own */
    bool frozen;
    size_t inputs, outputs;
    Value *in[LAYER_MAX_INPUTS];
    Value *out[LAYER_MAX_OUTPUTS]; /* out[0] is what the next layer reads */
};

enum { READS_IN = 1, READS_OUT = 2 };

/* A small config for the generic tests: YAML-free, as bytes of the config struct. */
typedef struct LayerCase {
    const char *name; /* "two layers, both directions" */
    const void *config;
    size_t features;   /* of the input; 0 where it reads ids */
    size_t vocabulary; /* of the input ids */
} LayerCase;

struct LayerType {
    const char *kind;    /* the key in a config's list */
    const char *summary; /* one line for `help` */
    const Key *keys;
    const char *shorthand; /* `- select: last` sets this key; NULL: none */
    size_t config_size, self_size;
    size_t min_inputs; /* > 1: `input` must name so many */
    size_t max_inputs; /* 1 unless the layer reads several values */
    bool ids;          /* reads ids, not reals */
    bool memory;       /* in a config its second input, if not named, is the encoder above */
    bool window;       /* its state is the past itself, at most plan_max_length steps with those of the pass */
    bool needs;        /* forward calls pass_need; else all its parameters are waited for before it */
    unsigned reads;    /* READS_IN | READS_OUT, what backward reads */
    /* Called with inputs resolved. Messages name layer->name and the key. */
    Status (*plan)(Layer *layer, Plan *plan);
    void (*forward)(Layer *layer, const Pass *pass);
    void (*backward)(Layer *layer, const Pass *pass);
    /* Row-wise layers (each output row depends on its input row alone) may offer rows [first, end):
     * then the loss visits them in chunks and their output is never held whole. `out`, `dout` and
     * `din` point at row `first`. `shard` is the local shard that holds the rows; `starts` is true for
     * its first chunk (an empty shard has one, with first = end). backward_rows writes (starts) or adds
     * to the gradients at grad_rows; the model folds them when the shard is through. */
    void (*forward_rows)(Layer *layer, const Pass *pass, size_t first, size_t end, real *out);
    void (*backward_rows)(Layer *layer, const Pass *pass, size_t first, size_t end, const real *dout, real *din,
                          size_t shard, bool starts);
    /* Describes set i of its attention weights; false: it has no more. NULL: it has none. Forward shows them to
     * pass->look, set by set. */
    bool (*attention)(const Layer *layer, size_t i, AttentionSet *set);
    /* Does a row of the output depend on later rows of input i? Returns the key that makes it so, "" where no key can
     * change it; NULL: it does not. NULL: it never does. */
    const char *(*looks_ahead)(const void *config, size_t inputs, size_t i);
    /* One line of advice after planning ("dropout acts between layers ..."), NULL if none. */
    const char *(*advice)(const Layer *layer);
    /* Each ends with name NULL; NULL: none. The first reads the data, as often as min_inputs says; the second a
     * layer over the target's stream, of as many features, and then the data. */
    const LayerCase *cases, *decoder_cases;
};

/* ---- what plan() may ask for -------------------------------------------------------------------- */

/* Facts of the run that sizes depend on. */
size_t plan_max_rows(const Plan *plan, Grain grain); /* most rows a pass on this rank can have */
size_t plan_max_sequences(const Plan *plan);
size_t plan_max_length(const Plan *plan, Grain grain); /* of one sequence, in the stream of that grain */
size_t plan_seq_len(const Plan *plan);                 /* data.seq_len: the default of max_len */
size_t plan_classes(const Plan *plan);                 /* classes or target columns of the data */
bool plan_trains(const Plan *plan);                    /* backward will be called */
bool plan_carries(const Plan *plan, Grain grain);      /* passes will carry the state of that stream on */
size_t plan_threads(const Plan *plan);

/* Declares output number layer->outputs. `suffix` "" names it as the layer, "h_n" <layer>.h_n. */
Value *plan_output(Plan *plan, Layer *layer, const char *suffix, Grain grain, size_t features);

/* The output "<layer>.<suffix>" of the layer that writes `value`, NULL if there is none. A layer may
 * put it into layer->in[i] in its plan. */
Value *plan_sibling(const Value *value, const char *suffix);

/* The data's context, one row per sequence, NULL if it has none. A layer may put it into layer->in[i] in its
 * plan. */
Value *plan_context(const Plan *plan);

/* Declares a parameter "<layer>.<name>"; the pointer stays valid. rank 1 or 2, dim1 ignored for 1. */
MUST_CHECK Status plan_param(Plan *plan, Layer *layer, Param **out, const char *name, Init init, size_t rank,
                             size_t dim0, size_t dim1);

/* The same memory as the parameter named `other` ("emb.weight"), which must have the same shape and
 * come earlier in the list; stored under both names. */
MUST_CHECK Status plan_tied(Plan *plan, Layer *layer, Param **out, const char *name, const char *other, size_t dim0,
                            size_t dim1);

/* `param` is a table whose rows `ids` looks up. If the rules or `counted` ask for it, or the table is so large that
 * it pays to leave out rows without a gradient, param->row_count holds the counts of the global batch during a
 * training pass and its update. Once per parameter. */
MUST_CHECK Status plan_row_rules(Plan *plan, Param *param, const Value *ids, RowRules rules, bool counted);

/* A packed form of `param`, filled before every pass that follows an update. */
MUST_CHECK Status plan_packed(Plan *plan, Packed *out, Param *param, PackForm form, Interleave gates);

/* Memory of `count` reals; the pointer at `slot` (in layer->self) is set before the first pass.
 * plan_saved: forward to backward, dead again after it. plan_lasting: the same, and until the next forward, for what
 * model_decode reads again. plan_tmp: dead at return. plan_state: [B, count per sequence], kept between passes for
 * pass->carry_state, zeroed by model_reset_state. plan_past: [B, plan_max_length, count per step] likewise, not
 * zeroed: of the steps that were carried so far. plan_index: `count` size_t, kept between passes, for index lists.
 * plan_kept: reals kept between passes, zero at first, for tables. */
void plan_saved(Plan *plan, void *slot, size_t count);
void plan_lasting(Plan *plan, void *slot, size_t count);
void plan_tmp(Plan *plan, void *slot, size_t count);
void plan_state(Plan *plan, void *slot, size_t count_per_sequence);
void plan_past(Plan *plan, void *slot, Grain grain, size_t count_per_step);
void plan_index(Plan *plan, void *slot, size_t count);
void plan_kept(Plan *plan, void *slot, size_t count);

/* Is the layer to recompute? Then it does so by itself from now on, part by part in its backward, and what it asks
 * plan_saved for is saved. A plan that does not ask leaves all to the model. */
bool plan_recomputes_parts(Plan *plan);

/* "model: <layer>.<key>: ..." as ERR_USAGE; key NULL: "model: <layer>: ...". */
Status plan_fail(const Layer *layer, const char *key, const char *format, ...) PRINTF_LIKE(3, 4);

/* ---- the registry ---------------------------------------------------------------------------------- */

/* NULL if there is no such kind. */
const LayerType *layer_type(const char *kind);
/* All kinds, in alphabetical order; ends with NULL. */
const LayerType *const *layer_types(void);

#endif
