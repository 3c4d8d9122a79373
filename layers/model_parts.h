/* SPDX-License-Identifier: MIT
 *
 * model_parts.h: what a Model is made of, for the files that make it: model.c (create and describe),
 * plan.c (what layers ask for), memory.c (where everything lies), pass.c (forward and backward),
 * decode.c (the decoder, step by step), grad.c (gradients over shards), loss.c and init.c. Nobody else includes it.
 *
 * Memory has a life in moments: with L layers, layer l goes forward at l, the loss is at L, layer l goes
 * backward at 2L - l, and 2L + 1 is after the pass. A fused last layer does all its work at L. A layer that
 * recomputes goes forward once more at 2L - l: its outputs live until others have read them, and again then. */
#ifndef LOCKSTEP_LAYERS_MODEL_PARTS_H
#define LOCKSTEP_LAYERS_MODEL_PARTS_H

#include "comm/arena.h"
#include "layers/model.h"

typedef struct ValueNode {
    Value value;           /* first: a Value of this model is a ValueNode */
    size_t layer;          /* that writes it; SIZE_MAX: the batch */
    bool wanted;           /* something trainable lies at or below its source */
    bool decoded;          /* depends on the target's stream */
    bool branches;         /* a row per sequence that a decoder reads: in model_decode a row per beginning */
    size_t contributions;  /* to its gradient */
    size_t first_gradient; /* moment of the first */
    size_t last_read;      /* moment of the last use of v */
} ValueNode;

/* A second and later contributor to a value's gradient writes into memory of its own, which is added. */
typedef struct Alias {
    Value value;
    Value *origin;
    size_t layer; /* the contributor */
} Alias;

typedef struct ParamNode {
    Param param;                /* first: a Param of this model is a ParamNode */
    size_t span;                /* floats with padding; 0 for a tied one */
    size_t expected, seen, due; /* contributions: in a pass, so far, and of layers that are through */
    bool done;
    real *earlier;      /* [max_shards][span] sums of all contributors but the last, if expected > 1 */
    size_t index;       /* in Model.param */
    size_t head_offset; /* among a fused layer's parameters, in a level's buffer */
    const Value *ids;   /* that look its rows up, if they are counted */
    bool counted;       /* the layer or its rules need the counts */
    bool alone;         /* rows that are not looked up have no gradient from elsewhere */
    size_t first_count; /* in Model.row_counts */
} ParamNode;

typedef struct LayerNode {
    Layer layer;                /* first */
    size_t first_param, params; /* its parameters in Model.param */
    size_t first_packed, packs;
    size_t first_alias, aliases; /* in Model.alias */
    bool wants;                  /* it or something below it is trainable */
    bool active;                 /* ... and the loss depends on it: goes backward */
    bool decodes;                /* reads what depends on the target's stream */
    bool remade;                 /* goes forward again before its backward, */
    bool parts;                  /* or recomputes by itself */
    LayerTime time;
} LayerNode;

/* Activations, gradients and saved memory: pieces that share bytes when their lives do not meet. */
typedef struct Piece {
    void *slot; /* the pointer to fill in */
    size_t bytes, offset;
    size_t first, last; /* moments, both included */
    size_t again;       /* one more moment, behind them; 0: none */
    size_t layer;       /* that saves it; SIZE_MAX: not saved memory */
    bool lasts;         /* until the next forward */
} Piece;

/* State of a layer that passes carry on, [sequences, count]. */
typedef struct StateSlot {
    void *at; /* the layer's pointer to it */
    size_t count, layer;
    size_t step; /* reals per step, if it grows with the steps; else 0 */
} StateSlot;

/* One step of the fold over this rank's shards: make a leaf, or add one buffer to another. Buffers are
 * the segments' gradient blocks, then one buffer per level of the tree. */
typedef struct FoldStep {
    bool leaf;
    size_t shard;    /* of a leaf, counted on this rank */
    size_t from, to; /* buffers */
} FoldStep;

typedef struct GradSink {
    struct Model *model;
    size_t segments;
    real *gradient[FOLD_MAX_SEGMENTS];
    size_t shards, levels;
    FoldStep *step;
    size_t steps, step_limit;
    size_t *leaf; /* [shards] index of the step that makes the leaf */
    real *level;  /* [levels][level_span] */
    size_t level_span;
    real *scratch; /* a middle contribution to a shared parameter */
} GradSink;

typedef struct KeptBlock KeptBlock;

struct Plan {
    Model *model;
};

struct Model {
    const ModelSpec *spec;
    Plan plan;
    Status status; /* of a planning call that could not return one */
    KeptBlock *kept;

    LayerNode *node; /* [layers] */
    size_t layers, planning;
    ValueNode **value;
    size_t values;
    ParamNode **param;
    size_t params;
    Packed **packed;
    size_t packs;
    Alias *alias;
    size_t aliases;
    Piece *piece;
    size_t pieces;
    StateSlot *slot;
    size_t slots;

    ValueNode *data, *target, *context; /* of the batch; the last two NULL where there are none */
    ValueNode *output;
    ValueNode **probe; /* [spec->probes] */
    bool fused;        /* the loss visits the last layer in chunks */

    Arena *values_arena, *tmp, *state, *index;
    Arena *fold; /* of gradients: levels of the tree, shared parameters */
    char *values_base, *tmp_base;
    ModelMemory memory;
    real *parameters, *packed_block;
    real *whole_output; /* of a fused last layer, for model_forward */
    size_t whole_output_bytes;

    size_t counted_rows;
    uint32_t *own_counts; /* [counted_rows], for a caller who gives none */
    bool counts_given;

    /* of model_decode */
    size_t decoded;       /* steps since the start */
    real *gathered;       /* [max_beginnings, GATHER_COLUMNS] */
    size_t *unit;         /* [max_beginnings + 1] 0, 1, ...: offsets of single steps */
    real *branch_context; /* [max_beginnings, context_features] the context of each beginning; NULL: not read */

    /* the loss's own */
    size_t chunk; /* rows it visits at once; mse: pieces it sums at most */
    real *chunk_logits;
    double *row_loss;
    uint8_t *row_correct;

    GradSink sink;
    ModelReady ready;
    void *ready_context;
    ModelNeed need;
    void *need_context;
    bool profile, poison;
    ModelSpan span; /* NULL: nobody wants to know */
    Look *look;
};

/* ---- model.c ---- */
/* Zeroed memory that lives as long as the model; NULL (and model->status) when there is none. */
void *model_keep(Model *model, size_t bytes);
/* Makes room for one more element in a growing array. */
MUST_CHECK Status model_grow(void **array, size_t count, size_t element);

/* ---- plan.c ---- */
MUST_CHECK Status plan_value(Model *model, const char *name, Grain grain, size_t features, size_t layer,
                             ValueNode **out);
ParamNode *param_owner(const Param *param); /* the node that holds the memory */
/* After it is known who contributes to what: which tables' rows are counted, and where. */
MUST_CHECK Status plan_counts(Model *model);

/* ---- memory.c ---- */
/* Who reads, wants and contributes; then gives every piece a place. */
MUST_CHECK Status memory_plan(Model *model);
MUST_CHECK Status memory_allocate(Model *model);
MUST_CHECK Status memory_piece(Model *model, Piece piece);
size_t forward_moment(const Model *model, size_t layer);
size_t backward_moment(const Model *model, size_t layer);
/* For model_poison: what happens at the start and the end of a moment; what lasts is left to a pass that decodes. */
void memory_enter(Model *model, size_t moment, bool decodes);
void memory_leave(Model *model, size_t moment);

/* ---- decode.c ---- */
/* If model_decode will be called: that nothing which depends on the target looks ahead; then its memory. Before
 * aliases take the places of layers' inputs. */
MUST_CHECK Status decode_plan(Model *model);

/* ---- pass.c ---- */
/* Forward alone, of all layers or of those that decode; NULL if memory for the output is short. */
const Value *pass_forward(Model *model, const Pass *pass, const Batch *batch);

/* ---- grad.c ---- */
MUST_CHECK Status grad_plan(Model *model);
MUST_CHECK Status grad_allocate(Model *model, size_t segments, const FoldNode *segment, real *const *gradient);
void grad_start(Model *model, const Pass *pass);
/* The layer's backward is through: completes and announces its parameters. */
void grad_layer_done(Model *model, const Pass *pass, size_t layer);
/* A fused layer is through with a shard, and with all of them. */
void grad_shard_done(Model *model, size_t layer, size_t shard);
void grad_rows_done(Model *model, size_t layer);

/* ---- loss.c ---- */
/* Decides whether the last layer is fused, and books the loss's own memory. */
MUST_CHECK Status loss_plan(Model *model);
/* Fills result [shards] and, in a backward pass, the gradients of what the loss reads. */
void loss_run(Model *model, const Pass *pass, const Batch *batch, ShardResult *result, int32_t *predicted);

#endif
