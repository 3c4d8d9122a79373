/* SPDX-License-Identifier: MIT
 *
 * model.h: a list of layers made from a description, its parameters in one flat block, its memory
 * planned once, and a loss at its end. Knows no ranks: where parameters, packed weights and gradients
 * lie is the caller's business. */
#ifndef LOCKSTEP_LAYERS_MODEL_H
#define LOCKSTEP_LAYERS_MODEL_H

#include "comm/fold.h"
#include "comm/region.h"
#include "layers/layer.h"

/* ---- description ------------------------------------------------------------------------------- */

typedef struct LayerSpec {
    const LayerType *type;
    const char *name;
    void *config;       /* filled by the layer's keys */
    const char **input; /* names of values; count 0: the layer above (the data for the first) */
    size_t inputs;
    bool frozen;
    bool recompute; /* in training, keeps its inputs alone and goes forward again before its backward; same bits */
} LayerSpec;

typedef enum LossKind { LOSS_NONE, LOSS_CROSS_ENTROPY, LOSS_MSE, LOSS_PROBE } LossKind;
typedef enum Reduction { REDUCTION_MEAN, REDUCTION_SUM } Reduction;

typedef struct LossSpec {
    LossKind kind;
    Reduction reduction;  /* applied by the trainer: layers always sum */
    int64_t ignore_index; /* INT64_MIN: none */
    double label_smoothing;
} LossSpec;

typedef struct ModelSpec {
    const LayerSpec *layer;
    size_t layers;
    LossSpec loss;
    /* the data */
    bool ids; /* the input is ids, else reals */
    size_t vocabulary, features;
    Grain target_grain;
    size_t classes; /* classes, or columns of real targets */
    size_t seq_len;
    /* The target's stream, the value "target", which a decoder reads: ids below target_vocabulary; 0: there is
     * none. With V symbols and the end as symbol V, target_vocabulary = classes = V + 1; the decoder reads
     * V, t_0 ... t_{n-1}, where V stands for the beginning, and is to say t_0 ... t_{n-1}, V
     * (target_grain = PER_TARGET_STEP). */
    size_t target_vocabulary;
    /* Features of the value "context", real numbers, a row per sequence; 0: there is none. */
    size_t context_features;
    /* the most that one pass on this rank can have; *target*: in the target's stream */
    size_t max_sequences, max_rows, max_length, max_shards, max_target_rows, max_target_length;
    size_t total_shards;
    size_t batch_rows, batch_target_rows; /* the most of the global batch, in training */
    bool trains;
    bool carries; /* model_forward will go on from the layers' state: attention keeps its keys and values */
    /* The most beginnings of targets that model_decode follows at once, at most max_sequences and max_target_rows;
     * 0: it is not called. Then what the decoder reads of the rest stays in memory, and max_target_length counts the
     * steps of all passes that go on from each other. */
    size_t max_beginnings;
    size_t threads;
    /* LOSS_PROBE: the sum over these values of <value, Batch.weight>, for checks of gradients and for
     * looking at what a value depends on. */
    const char *const *probe;
    size_t probes;
    bool input_gradient; /* model_train gives the gradient of real inputs: model_input()->g, and the context's */
} ModelSpec;

typedef struct Model Model;

/* Plans everything, allocates nothing large. ERR_USAGE names the layer and the key. The spec and all it
 * points at must outlive the model. The caller's: model_destroy. Local. */
MUST_CHECK Status model_create(const ModelSpec *spec, Model **out);
void model_destroy(Model **model);

/* ---- memory --------------------------------------------------------------------------------------- */

typedef struct ModelMemory {
    size_t parameters; /* floats of the flat block, padding included: trainable first, frozen last */
    size_t trainable;  /* floats of its trainable part, a multiple of 16 */
    size_t packed;     /* reals of the packed weights */
    size_t activations, saved, tmp, state; /* bytes on this rank */
} ModelMemory;
ModelMemory model_memory(const Model *model);

/* Gives the model its blocks (node-shared, 64-byte aligned; packed may be private) and allocates the
 * rank's own memory. gradient[i] is the block of segment i ([trainable]); NULL and 0 without training. */
MUST_CHECK Status model_allocate(Model *model, real *parameters, real *packed, size_t segments, const FoldNode *segment,
                                 real *const *gradient);

/* The gradients of the next model_train go to these segments, which hold at most max_shards shards. For a
 * rank whose shards pass through the model in several groups. Local. */
MUST_CHECK Status model_gradients(Model *model, size_t segments, const FoldNode *segment, real *const *gradient);

/* ---- parameters ------------------------------------------------------------------------------------ */

size_t model_params(const Model *model);
const Param *model_param(const Model *model, size_t i); /* in list order, tied ones included */

/* Initial values of a function of seed and name; writes parameters [part/parts of them] so that the
 * ranks and threads of a node can share the work. gpt2: run.init. */
void model_init(Model *model, uint64_t seed, bool gpt2, size_t part, size_t parts);

/* Packs part `part` of `parts` of all weights. Threads may call it at once with different parts. */
void model_pack(Model *model, size_t part, size_t parts);

/* The same for what is packed of parameter i alone, model_param_packed reals. */
void model_pack_param(Model *model, size_t i, size_t part, size_t parts);
size_t model_param_packed(const Model *model, size_t i);

/* From now on a forward calls `need` before it first reads parameter i, values or packed forms: a parameter
 * may come and be packed as late as that. NULL (at first): all are there before a pass begins. Local. */
typedef void (*ModelNeed)(void *context, size_t i);
void model_on_need(Model *model, ModelNeed need, void *context);

/* ---- passes ------------------------------------------------------------------------------------------ */

/* One batch of this rank. Exactly one of ids and x, of classes and values is used. Owned by the caller. */
typedef struct Batch {
    Rows rows;
    const int32_t *ids;        /* [R] */
    const real *x;             /* [R, features] */
    const int32_t *target_ids; /* [rows of the target's stream] what a decoder reads, see ModelSpec */
    const real *context;       /* [B, context_features] */
    const int32_t *classes;    /* [targets], targets = rows of the target's grain */
    const real *values;        /* [targets, columns] */
    const real *const *weight; /* LOSS_PROBE: [probes], each of its value's size */
} Batch;

/* What a batch gave, per local shard; fold over shards with fold_doubles. */
typedef struct ShardResult {
    double loss;     /* sum over targets */
    double targets;  /* counted targets (mse: elements) */
    double correct;  /* of them predicted; rows for mse stay 0 */
    double absolute; /* mse: sum of |error| */
} ShardResult;

/* Tells that the gradient of the flat block's [offset, offset + count) is final. */
typedef void (*ModelReady)(void *context, size_t offset, size_t count);

/* Rows of all tables whose options look at the global batch (embedding.c), or that are large against it: how many
 * counters there are. */
size_t model_counted_rows(const Model *model);
/* The most ids that are counted of one sequence, over all of these tables. */
size_t model_counted_ids(const Model *model);
/* Adds to counts [model_counted_rows] how often the batch looks up each row. */
void model_count_rows(Model *model, const Batch *batch, uint32_t *counts);
/* Where the counts of the global batch stand during model_train and the update; of tables that no other layer shares,
 * rows that are not looked up get no gradient written from now on (param->touched_only). Without this call
 * model_train takes its own batch for the global one, and writes all. */
void model_row_counts(Model *model, const uint32_t *counts);

/* Forward, loss and backward; result [shards]. */
void model_train(Model *model, const Batch *batch, uint64_t seed, uint64_t step, ModelReady ready, void *context,
                 ShardResult *result);
/* Forward and loss; result [shards]. predicted (NULL: no) [targets] gets the most likely classes. */
void model_evaluate(Model *model, const Batch *batch, ShardResult *result, int32_t *predicted);
/* Forward alone; the last value [rows of its grain, features]. carry: go on from the layers' state.
 * Where the loss visits the last value in chunks, its memory is taken at the first call: NULL if it is
 * short. A model without a loss has it planned. */
const Value *model_forward(Model *model, const Batch *batch, bool carry);

/* What a decoder reads next: any number of beginnings of targets for each source (a sequence of the data), of each
 * beginning its newest symbol. */
typedef struct DecodeStep {
    size_t beginnings;   /* in all, at most max_beginnings */
    const size_t *first; /* [sources + 1] the first beginning of each source, and the end */
    const size_t *from;  /* [beginnings] the one of the last step that each goes on from, of the same source; NULL: a
                          * new start with one beginning of every source, right after model_forward */
    const int32_t *id;   /* [beginnings] */
} DecodeStep;

/* One more step of the layers that depend on the value "target", going on from the steps before: recurrent state
 * and the keys and values of attention follow their beginnings, what these layers read of the others is what the
 * last model_forward of the batch left, of each source once. A row a beginning, the same bits as model_forward's
 * for the last symbol of the whole beginning. Needs ModelSpec.max_beginnings; NULL as there. */
const Value *model_decode(Model *model, const Batch *batch, const DecodeStep *step);
void model_reset_state(Model *model);

/* Shows the weights of attention of all following forward passes to `look`; NULL: no more. */
void model_look(Model *model, Look *look);

/* Milliseconds in each layer's forward and backward, and its parallel regions, since profiling was turned on; off by
 * default. */
typedef struct LayerTime {
    double forward, backward;
    RegionTimes regions;
} LayerTime;
void model_profile(Model *model, bool on);

/* Called after each layer's forward and backward in a pass, with when it began (seconds of the monotonic clock); NULL:
 * not. `what` is "forward" or "backward". Local. */
typedef void (*ModelSpan)(const char *layer, const char *what, double begun);
void model_on_span(Model *model, ModelSpan span);
LayerTime model_layer_time(const Model *model, size_t layer);

/* ---- description of what was built ------------------------------------------------------------------- */

size_t model_layers(const Model *model);
const Layer *model_layer(const Model *model, size_t i);
size_t model_layer_parameters(const Model *model, size_t i); /* elements, tied ones not counted again */

/* What a pass (forward, and backward where the model trains) over so many rows asks of a layer, from its shapes. */
typedef struct LayerWork {
    double flops;  /* of matrix products; those of attention for sequences of equal lengths, longer ones take more */
    double moved;  /* reals that cross its border: inputs, outputs, their gradients, parameters, what it saves */
    double reread; /* reals that its products read again and again out of a cache */
} LayerWork;
LayerWork model_layer_work(const Model *model, size_t layer, double steps, double sequences, double target_steps);

/* What the last layer gives. */
const Value *model_output(const Model *model);
/* The data. */
const Value *model_input(const Model *model);
/* Any value: "target", "context", "rnn.h_n"; NULL if there is none of that name. */
const Value *model_value(const Model *model, const char *name);

/* For tests: fills memory with NaN before and after its planned life and tmp before every use, so that
 * whoever reads what is not his gets it. */
void model_poison(Model *model, bool on);

#endif
