/* SPDX-License-Identifier: MIT
 *
 * engine.h: a model placed on ranks: parameters and packed weights once per node, gradients where the
 * reduction finds them, the shards that this rank owns. */
#ifndef LOCKSTEP_TRAINER_ENGINE_H
#define LOCKSTEP_TRAINER_ENGINE_H

#include "comm/comm.h"
#include "comm/reduce.h"
#include "comm/row_counts.h"
#include "comm/work.h"
#include "io/checkpoint.h"
#include "trainer/config.h"

typedef struct Engine {
    Comm *comm;
    const Config *config;
    ModelSpec spec;
    Model *model;
    ModelMemory memory;
    Reduce *reduce;                /* NULL unless training */
    RowCounts *counts;             /* of the tables that need them; NULL: none does */
    Touched touched;               /* of them, those whose other rows have no gradient; from engine_counted on */
    Touched kept[2];               /* the sparse ones, of this step and, for what is still under way, of that before */
    float *parameters;             /* [memory.parameters], node-shared */
    float *packed;                 /* [memory.packed], node-shared */
    size_t shards;                 /* of every global batch */
    size_t first_shard, end_shard; /* mine */
    size_t group;                  /* most of my shards that pass through the model at once */
    Work *packing;                 /* where nodes exchange parameters, a job for each; on one node one for all */
    uint64_t counted;              /* batches */
    uint64_t round;                /* updates since the start */
    uint64_t *fresh;               /* [parameters by name] the round that it is here and packed in */
} Engine;

/* What the model must fit: facts of the data and of how it is used. */
typedef struct EngineUse {
    const DataInfo *info;
    size_t shards;
    size_t batch_size;        /* global: sequences of the largest batch */
    size_t max_length;        /* time steps of the longest sequence in any pass */
    size_t max_target_length; /* with a decoder: steps of the longest target, written ones included */
    size_t max_target_rows;   /* of a target in one pass; 0: max_target_length */
    size_t max_beginnings;    /* that model_decode follows at once on a rank; 0: it will not be called */
    bool trains;
    bool carries; /* passes go on from the layers' state */
} EngineUse;

/* Plans and allocates the model; parameters are zero. ERR_USAGE for a model that does not fit the
 * data, the memory or the ranks. The caller's: engine_destroy. Collective. */
MUST_CHECK Status engine_create(Comm *comm, const Config *config, const EngineUse *use, Engine **out);
void engine_destroy(Engine **engine);

/* My shards pass through the model in groups (train.shards_at_once): the group that starts at `first` ends
 * before the returned shard. Groups are whole nodes of the tree where they can be. Local. */
size_t engine_group_end(const Engine *engine, size_t first);

/* The rows that this step's global batch looks up stand in `counts`: the model, the sum and the update of this step
 * go by them. Local. */
void engine_counted(Engine *engine);

/* Initial values from run.seed and run.init. Collective. */
void engine_init(Engine *engine);

/* Values from a checkpoint's or any file's /model, which `file` holds on rank 0 (elsewhere NULL). All
 * parameters must be there in the right shape; ERR_CHECKPOINT lists what is missing, unexpected or of
 * another shape. Collective. */
MUST_CHECK Status engine_load(Engine *engine, const CheckpointFile *file);

/* Every node's parameters become those of rank 0's node, and the packed weights follow. Collective. */
void engine_spread(Engine *engine);

/* Packs the weights after the parameters have changed, each rank of a node its part. Collective on the
 * node. */
void engine_pack(Engine *engine);

/* My chunks of the parameters are written: they appear for everybody, and what is packed follows. Between
 * nodes that happens while the next forward computes, unless comm.overlap is false. Collective. */
void engine_publish(Engine *engine);

/* Completes that: whoever reads parameters other than in a pass of the model calls this first. Local, but
 * waits for other nodes. */
void engine_settle(Engine *engine);

/* Shards x 4 doubles, one row of loss, targets, correct, absolute per global shard, folded. */
ShardResult engine_fold(const Engine *engine, const ShardResult *all);

/* Bytes a rank needs, by what for; for the summary. */
size_t engine_rank_bytes(const Engine *engine, size_t optimizer_slots);

#endif
