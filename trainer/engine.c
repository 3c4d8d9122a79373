/* SPDX-License-Identifier: MIT
 *
 * engine.c: see engine.h. */
#include "trainer/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/log.h"
#include "layers/ops/ops.h"

enum { PACKED_AT_ONCE = 1 << 16, PACKED_TOGETHER = 1 << 12 }; /* reals */

static void spec_fill(Engine *e, const EngineUse *use) {
    const Config *c = e->config;
    const DataInfo *info = use->info;
    ModelSpec *s = &e->spec;
    *s = (ModelSpec){.layer = c->layer, .layers = c->layers};
    s->loss = (LossSpec){.kind = c->loss.kind == 0 ? LOSS_CROSS_ENTROPY : LOSS_MSE,
                         .reduction = (Reduction)c->loss.reduction,
                         .ignore_index = c->loss.ignore_index,
                         .label_smoothing = c->loss.label_smoothing};
    if (info->target == TARGET_NONE) s->loss.kind = LOSS_NONE;
    s->ids = info->ids;
    s->vocabulary = info->vocabulary;
    s->features = info->features;
    s->context_features = info->context;
    s->target_grain = info->target_vocabulary ? PER_TARGET_STEP : info->target_per_step ? PER_STEP : PER_SEQUENCE;
    s->target_vocabulary = info->target_vocabulary ? info->target_vocabulary + 1 : 0;
    s->classes = info->classes;
    s->seq_len = c->data.seq_len;
    s->max_length = use->max_length;
    s->max_target_length = info->target_vocabulary ? use->max_target_length : 0;
    s->max_beginnings = use->max_beginnings;
    s->max_shards = e->group;
    s->total_shards = e->shards;
    s->trains = use->trains;
    s->carries = use->carries;
    s->threads = comm_threads(e->comm);
}

/* `count` neighbouring shards of S never hold more than count n / S sequences, rounded up. */
static size_t most_sequences(const Engine *e, size_t batch_size) {
    size_t scaled;
    if (!size_multiply(batch_size, e->group, &scaled)) return batch_size;
    return scaled / e->shards + (scaled % e->shards != 0);
}

static size_t group_size(const Config *c, size_t shards) {
    size_t most = c->train.shards_at_once, size = 1;
    if (most == KEY_NULL_SIZE || most >= shards) return shards;
    while (2 * size <= most) size *= 2;
    return size;
}

size_t engine_group_end(const Engine *e, size_t first) {
    size_t end = (first / e->group + 1) * e->group;
    return e->group == e->end_shard - e->first_shard || end > e->end_shard ? e->end_shard : end;
}

static Status check_loss(const EngineUse *use, const Config *c) {
    if (use->info->target == TARGET_CLASSES && c->loss.kind != 0)
        return status_fail(ERR_USAGE, "config: loss.kind: mse needs real targets, but the data's targets are classes; "
                                      "set loss.kind: cross_entropy");
    if (use->info->target == TARGET_VALUES && c->loss.kind == 0)
        return status_fail(ERR_USAGE, "config: loss.kind: cross_entropy needs classes, but the data's targets are real "
                                      "values; set loss.kind: mse");
    return OK;
}

static size_t counted_rows(const Engine *e) {
    return e->spec.trains ? model_counted_rows(e->model) : 0;
}

/* An id may be counted as often as the global batch has rows. */
static Status check_counts(const Engine *e, const EngineUse *use) {
    size_t longest = use->max_length > use->max_target_length ? use->max_length : use->max_target_length;
    if (counted_rows(e) == 0 || longest == 0 || use->batch_size <= UINT32_MAX / longest) return OK;
    return status_fail(ERR_USAGE,
                       "config: train.batch_size: %zu sequences of %zu steps are more ids than an embedding's options "
                       "can count; make it smaller",
                       use->batch_size, longest);
}

static Status plan(Engine *e, const EngineUse *use) {
    TRY(check_loss(use, e->config));
    if (e->shards < comm_size(e->comm))
        return status_fail(ERR_USAGE,
                           "ranks: %zu ranks but only %zu shards: a rank needs a shard; start at most %zu ranks "
                           "or set train.shards=%zu",
                           comm_size(e->comm), e->shards, e->shards, comm_size(e->comm));
    e->group = group_size(e->config, e->end_shard - e->first_shard);
    spec_fill(e, use);
    e->spec.max_sequences = most_sequences(e, use->batch_size);
    if (!size_multiply(e->spec.max_sequences, use->max_length, &e->spec.max_rows))
        return status_fail(ERR_USAGE, "config: train.batch_size: %zu sequences of %zu steps overflow; make it smaller",
                           use->batch_size, use->max_length);
    const size_t target_rows = use->max_target_rows ? use->max_target_rows : e->spec.max_target_length;
    if (!size_multiply(e->spec.max_sequences, target_rows, &e->spec.max_target_rows))
        return status_fail(ERR_USAGE, "config: train.batch_size: %zu targets of %zu steps overflow; make it smaller",
                           use->batch_size, target_rows);
    size_t longest = use->max_length > e->spec.max_target_length ? use->max_length : e->spec.max_target_length;
    if (use->trains && use->batch_size <= UINT32_MAX / (longest ? longest : 1)) {
        e->spec.batch_rows = use->batch_size * use->max_length;
        e->spec.batch_target_rows = use->batch_size * e->spec.max_target_length;
    }
    if (e->spec.max_target_rows < use->max_beginnings) e->spec.max_target_rows = use->max_beginnings;
    if (e->spec.max_sequences < use->max_beginnings) e->spec.max_sequences = use->max_beginnings;
    TRY(ops_start(comm_threads(e->comm)));
    TRY(model_create(&e->spec, &e->model));
    e->memory = model_memory(e->model);
    return check_counts(e, use);
}

static void poll(void *context) {
    reduce_poll(context);
}

/* Waits for a parameter and packs what nobody has packed of it. */
static void need(void *context, size_t i) {
    Engine *e = context;
    const Param *p = model_param(e->model, i);
    if (e->fresh[i] == e->round) return;
    e->fresh[i] = e->round;
    if (p->frozen) return;
    reduce_need(e->reduce, p->offset, p->count);
    size_t reals = model_param_packed(e->model, i), parts = reals / PACKED_AT_ONCE + 1, part;
    if (reals == 0) return;
    while (work_take(e->packing, i, e->round, parts, &part)) {
        model_pack_param(e->model, i, part, parts);
        work_done(e->packing, i);
    }
    work_await(e->packing, i, e->round, parts);
}

/* How ranks work together between the layers of a pass. */
static Status prepare_exchange(Engine *e) {
    size_t params = model_params(e->model);
    reduce_overlap(e->reduce, e->config->comm.overlap);
    ops_on_pause(poll, e->reduce);
    if (comm_nodes(e->comm) == 1) return work_create(e->comm, 1, &e->packing);
    if (!e->config->comm.overlap) return OK;
    TRY(work_create(e->comm, params, &e->packing));
    e->fresh = calloc(params + 1, sizeof *e->fresh);
    TRY(comm_agree(e->comm, e->fresh ? OK : status_fail(ERR_USAGE, "memory: no room for the parameters' rounds")));
    model_on_need(e->model, need, e);
    return OK;
}

/* Parameters and packed weights, and a gradient for each segment of the node's ranks: about so much. */
static size_t node_bytes(const Engine *e) {
    const ModelMemory *m = &e->memory;
    size_t gradients = e->spec.trains ? comm_node_size(e->comm) : 0, floats;
    if (!size_multiply(m->trainable, gradients, &floats)) return SIZE_MAX / 2;
    return (m->parameters + m->packed + floats) * sizeof(float) + row_counts_bytes(e->comm, counted_rows(e));
}

/* The update leaves rows that are not looked up as they are. */
static bool keeps_rows(const Param *p) {
    return p->rows.sparse && !p->same_as && !p->frozen;
}

static Status prepare_counts(Engine *e, const EngineUse *use) {
    size_t params = model_params(e->model), kept = 0;
    Touched *list[] = {&e->touched, &e->kept[0], &e->kept[1]};
    bool failed = false;
    for (size_t i = 0; i < 3; i++) failed |= !(list[i]->table = calloc(params, sizeof *list[i]->table));
    TRY(comm_agree(e->comm, failed ? status_fail(ERR_USAGE, "memory: no room for a list of tables") : OK));
    reduce_touched(e->reduce, &e->touched);
    for (size_t i = 0; i < params; i++) kept += keeps_rows(model_param(e->model, i));
    if (kept > 0) TRY(reduce_stage(e->reduce));
    const RowCountsUse counted = {
        .rows = counted_rows(e), .shards = e->shards, .sequences = use->batch_size, .ids = model_counted_ids(e->model)};
    return row_counts_create(e->comm, &counted, &e->counts);
}

static Status allocate(Engine *e, const EngineUse *use) {
    Comm *comm = e->comm;
    void *block = NULL;
    TRY(comm_reserve(comm, node_bytes(e)));
    TRY(comm_share(comm, e->memory.parameters * sizeof(float), "parameters", &block));
    e->parameters = block;
    TRY(comm_share(comm, e->memory.packed * sizeof(float), "packed weights", &block));
    e->packed = block;
    const FoldNode *node = NULL;
    size_t segments = 0;
    float *gradient[FOLD_MAX_SEGMENTS] = {0};
    if (e->spec.trains) {
        TRY(reduce_create(comm, e->parameters, e->memory.trainable, e->shards, &e->reduce));
        segments = reduce_segments(e->reduce, &node);
        for (size_t i = 0; i < segments; i++) gradient[i] = reduce_gradient(e->reduce, i);
        TRY(prepare_exchange(e));
        if (counted_rows(e) > 0) TRY(prepare_counts(e, use));
    }
    FoldNode group[FOLD_MAX_SEGMENTS];
    if (e->group < e->end_shard - e->first_shard) {
        /* Only room is made here: every group says anew where its gradients go. */
        segments = fold_segments(e->shards, e->first_shard, engine_group_end(e, e->first_shard), group);
        node = group;
    }
    return comm_agree(comm, model_allocate(e->model, e->parameters, e->packed, segments, node, gradient));
}

Status engine_create(Comm *comm, const Config *config, const EngineUse *use, Engine **out) {
    *out = NULL;
    Engine *e = calloc(1, sizeof *e);
    Status status = e ? OK : status_fail(ERR_USAGE, "memory: no room for the engine; free some");
    TRY(comm_agree(comm, status));
    e->comm = comm;
    e->config = config;
    e->shards = use->shards;
    fold_range(e->shards, comm_size(comm), comm_rank(comm), &e->first_shard, &e->end_shard);
    status = comm_agree(comm, plan(e, use));
    if (status == OK) status = allocate(e, use);
    if (status != OK) {
        engine_destroy(&e);
        return status;
    }
    *out = e;
    return OK;
}

void engine_destroy(Engine **engine) {
    Engine *e = *engine;
    if (!e) return;
    ops_on_pause(NULL, NULL);
    model_destroy(&e->model);
    if (e->reduce) reduce_destroy(&e->reduce);
    row_counts_destroy(&e->counts);
    free(e->touched.table);
    for (size_t i = 0; i < 2; i++) free(e->kept[i].table);
    work_destroy(&e->packing);
    free(e->fresh);
    ops_stop();
    free(e);
    *engine = NULL;
}

static void list_table(Touched *list, const Param *p) {
    list->table[list->tables++] =
        (TouchedTable){.offset = p->offset, .rows = p->dim[0], .width = p->dim[1], .count = p->row_count};
}

void engine_counted(Engine *e) {
    e->counted++;
    Touched *touched = &e->touched, *kept = &e->kept[e->counted % 2];
    model_row_counts(e->model, row_counts_total(e->counts));
    touched->tables = kept->tables = 0;
    for (size_t i = 0; i < model_params(e->model); i++) { /* by rising offset */
        const Param *p = model_param(e->model, i);
        if (p->touched_only) list_table(touched, p);
        if (keeps_rows(p)) list_table(kept, p);
    }
    reduce_kept(e->reduce, kept);
}

void engine_init(Engine *e) {
    model_init(e->model, (uint64_t)e->config->run.seed, e->config->run.init == 1, comm_node_rank(e->comm),
               comm_node_size(e->comm));
    comm_node_barrier(e->comm);
    engine_pack(e);
}

static void shape_text(const NamedArray *a, char *out, size_t room) {
    size_t used = (size_t)snprintf(out, room, "[");
    for (size_t i = 0; i < a->rank && used < room; i++)
        used += (size_t)snprintf(out + used, room - used, "%s%zu", i ? ", " : "", a->dim[i]);
    if (used < room) snprintf(out + used, room - used, "]");
}

static const NamedArray *find_array(const CheckpointFile *file, const char *path) {
    for (size_t i = 0; i < checkpoint_arrays(file); i++) {
        const NamedArray *a = checkpoint_array(file, i);
        if (strcmp(a->name, path) == 0) return a;
    }
    return NULL;
}

static bool same_shape(const Param *p, const NamedArray *a) {
    if (p->rank != a->rank) return false;
    for (size_t i = 0; i < p->rank; i++)
        if (p->dim[i] != a->dim[i]) return false;
    return true;
}

enum { LISTED = 8 };

/* Compares names and shapes before anything is read, so that the message can list all that differs. */
static Status check_arrays(const Engine *e, const CheckpointFile *file) {
    char list[2048] = "", path[512], want[64], have[64];
    size_t used = 0, wrong = 0, known = 0;
    for (size_t i = 0; i < model_params(e->model); i++) {
        const Param *p = model_param(e->model, i);
        snprintf(path, sizeof path, "model/%s", p->name);
        const NamedArray *a = find_array(file, path);
        if (a) known++;
        if (a && same_shape(p, a)) continue;
        NamedArray shape = {.rank = p->rank, .dim = {p->dim[0], p->dim[1]}};
        shape_text(&shape, want, sizeof want);
        if (a) shape_text(a, have, sizeof have);
        if (wrong++ < LISTED && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "\n  /%s: %s%s, the model needs %s", path,
                                     a ? "shape " : "missing", a ? have : "", want);
    }
    for (size_t i = 0; i < checkpoint_arrays(file); i++) {
        const NamedArray *a = checkpoint_array(file, i);
        if (strncmp(a->name, "model/", 6) != 0) continue;
        bool expected = false;
        for (size_t k = 0; k < model_params(e->model) && !expected; k++)
            expected = strcmp(model_param(e->model, k)->name, a->name + 6) == 0;
        if (!expected && wrong++ < LISTED && used < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used,
                                     "\n  /%s: unexpected, the model has no such parameter", a->name);
    }
    if (wrong == 0) return OK;
    return status_fail(ERR_CHECKPOINT,
                       "%zu of the parameters do not fit the model (%zu do by name); use the config the file was made "
                       "with:%s%s",
                       wrong, known, list, wrong > LISTED ? "\n  ..." : "");
}

static Status read_arrays(Engine *e, const CheckpointFile *file) {
    TRY(check_arrays(e, file));
    char path[512];
    for (size_t i = 0; i < model_params(e->model); i++) {
        const Param *p = model_param(e->model, i);
        snprintf(path, sizeof path, "model/%s", p->name);
        TRY(checkpoint_read(file, path, p->rank, p->dim, e->parameters + p->offset));
    }
    return OK;
}

Status engine_load(Engine *e, const CheckpointFile *file) {
    Status status = comm_rank(e->comm) == 0 ? read_arrays(e, file) : OK;
    TRY(comm_agree(e->comm, status));
    engine_spread(e);
    return OK;
}

void engine_spread(Engine *e) {
    struct {
        size_t node, node_rank;
    } mine = {comm_node(e->comm), comm_node_rank(e->comm)}, *all;
    size_t ranks = comm_size(e->comm), bytes = e->memory.parameters * sizeof(float);
    if (comm_nodes(e->comm) > 1) {
        all = calloc(ranks, sizeof *all);
        if (!all) comm_abort(e->comm, ERR_INTERNAL);
        comm_exchange(e->comm, &mine, sizeof mine, all);
        for (size_t r = 1; r < ranks; r++) {
            if (all[r].node_rank != 0 || all[r].node == all[0].node) continue;
            if (comm_rank(e->comm) == 0) comm_send(e->comm, r, e->parameters, bytes);
            if (comm_rank(e->comm) == r) comm_receive(e->comm, 0, e->parameters, bytes);
        }
        free(all);
    }
    comm_barrier(e->comm);
    engine_pack(e);
}

void engine_pack(Engine *e) {
    model_pack(e->model, comm_node_rank(e->comm), comm_node_size(e->comm));
    comm_node_barrier(e->comm);
}

/* On one node: whoever comes packs what nobody has packed yet, and waits for those who pack, not for all. */
static void pack_together(Engine *e) {
    size_t most = 16 * comm_node_size(e->comm), parts = e->memory.packed / PACKED_TOGETHER + 1, part;
    if (parts > most) parts = most;
    while (work_take(e->packing, 0, e->round, parts, &part)) {
        model_pack(e->model, part, parts);
        work_done(e->packing, 0);
    }
    work_await(e->packing, 0, e->round, parts);
}

void engine_publish(Engine *e) {
    reduce_publish(e->reduce);
    e->round++;
    if (comm_nodes(e->comm) == 1) pack_together(e);
    else if (!e->packing) engine_pack(e);
}

void engine_settle(Engine *e) {
    if (comm_nodes(e->comm) == 1 || !e->packing) return;
    for (size_t i = 0; i < model_params(e->model); i++) need(e, i);
    reduce_settle(e->reduce);
}

ShardResult engine_fold(const Engine *e, const ShardResult *all) {
    size_t stride = sizeof *all / sizeof(double);
    return (ShardResult){.loss = fold_doubles(&all->loss, e->shards, stride),
                         .targets = fold_doubles(&all->targets, e->shards, stride),
                         .correct = fold_doubles(&all->correct, e->shards, stride),
                         .absolute = fold_doubles(&all->absolute, e->shards, stride)};
}

size_t engine_rank_bytes(const Engine *e, size_t optimizer_slots) {
    const ModelMemory *m = &e->memory;
    size_t node = comm_node_size(e->comm), ranks = comm_size(e->comm);
    const FoldNode *segment = NULL;
    size_t gradients = e->reduce ? reduce_segments(e->reduce, &segment) : 0;
    return (m->parameters + m->packed) * sizeof(float) / node + m->trainable * sizeof(float) * gradients +
           m->trainable * sizeof(float) * optimizer_slots / ranks + m->activations + m->saved + m->tmp + m->state;
}
