/* SPDX-License-Identifier: MIT
 *
 * session.c: see session.h. */
#include "trainer/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "layers/ops/ops.h"
#include "layers/ops/random.h"

/* Steps or epochs, the first reached. */
static uint64_t total_steps(const Config *config, size_t batches) {
    uint64_t total = UINT64_MAX;
    if (config->train.steps != KEY_NULL_SIZE) total = config->train.steps;
    if (config->train.epochs != KEY_NULL_SIZE) {
        uint64_t by_epochs = 0;
        if (__builtin_mul_overflow((uint64_t)config->train.epochs, (uint64_t)batches, &by_epochs))
            by_epochs = UINT64_MAX;
        if (by_epochs < total) total = by_epochs;
    }
    return total;
}

DataConfig session_data_config(const Config *config, const DataKnown *known) {
    const DataSection *d = &config->data;
    return (DataConfig){.kind = (DataKind)d->kind,
                        .path = d->path.item,
                        .paths = d->path.count,
                        .tokenizer = (TokenizerKind)d->tokenizer,
                        .vocab_size = d->vocab_size,
                        .seq_len = d->seq_len,
                        .validation = d->validation_path ? 0 : d->validation,
                        .validation_path = d->validation_path,
                        .vocabulary = known->vocabulary,
                        .target_vocabulary = known->target_vocabulary,
                        .num_classes = known->classes,
                        .decoder = config_has_decoder(config),
                        .series = {.feature = d->features.item,
                                   .features = d->features.count,
                                   .target = d->targets.item,
                                   .targets = d->targets.count,
                                   .lookback = d->lookback,
                                   .horizon = d->horizon,
                                   .stride = d->stride,
                                   .time = d->time,
                                   .scaling = (ScalingKind)d->scaling,
                                   .classes = config->loss.kind == 0,
                                   .scaled = known->scaling},
                        .synthetic = {.task = d->task, .sequences = d->sequences, .seed = (uint64_t)d->seed}};
}

Status session_open_data(const Config *config, const DataKnown *known, Data **out) {
    DataConfig c = session_data_config(config, known);
    return data_open(&c, out);
}

Status session_open_file(DataConfig config, const char *path, Data **out) {
    config.path = &path;
    config.paths = 1;
    config.validation = 0;
    config.validation_path = NULL;
    return data_open(&config, out);
}

/* Different programs or configs on different nodes would give different bits, or no end. */
static Status same_everywhere(Comm *comm, const char *config_text) {
    char *text = NULL;
    if (asprintf(&text, "%s\n%s\n%s", LOCKSTEP_VERSION, ops_isa(), config_text) < 0)
        return status_fail(ERR_INTERNAL, "memory: no room for the config's text");
    uint64_t mine = random_name(text), *all = calloc(comm_size(comm), sizeof *all);
    free(text);
    if (!all) return status_fail(ERR_INTERNAL, "memory: no room for a digest per rank");
    comm_exchange(comm, &mine, sizeof mine, all);
    size_t other = 0;
    while (other < comm_size(comm) && all[other] == all[0]) other++;
    free(all);
    if (other == comm_size(comm)) return OK;
    return status_fail(
        ERR_USAGE,
        "ranks 0 and %zu differ in program, kernels or config; start the same program with the same files on all "
        "nodes (LOCKSTEP_ISA=avx2 makes kernels equal on unlike machines)",
        other);
}

Status session_open(Comm *comm, const Config *config, Session *out) {
    *out = (Session){.comm = comm, .config = config, .config_text = config_print(config, true)};
    Status status = out->config_text ? OK : status_fail(ERR_INTERNAL, "config: could not be printed");
    TRY(comm_agree(comm, status));
    TRY(same_everywhere(comm, out->config_text));
    TRY(comm_regroup(comm, (CommShare)config->comm.share));
    return comm_agree(comm, session_open_data(config, &(DataKnown){0}, &out->data));
}

/* Trainable tensors stand in the flat block in list order, frozen ones behind them. */
static Status make_checks(Session *s) {
    Engine *e = s->engine;
    size_t params = model_params(e->model), count = 0, trained = 0;
    s->tensor = calloc(params + 1, sizeof *s->tensor);
    if (!s->tensor) return status_fail(ERR_USAGE, "memory: no room for the list of parameters; free some");
    for (int frozen = 0; frozen < 2; frozen++) {
        for (size_t i = 0; i < params; i++) {
            const Param *p = model_param(e->model, i);
            if (p->same_as || p->frozen != (frozen == 1)) continue;
            s->tensor[count++] = (CheckTensor){.name = p->name, .offset = p->offset, .span = (p->count + 15) / 16 * 16};
        }
        if (frozen == 0) trained = count;
    }
    return checks_create(e->comm, e->reduce, s->optimizer, e->parameters, s->tensor, count, trained, &s->checks);
}

static Status make_steps(Session *s) {
    const Config *c = s->config;
    TRY(optimizer_create(&c->optimizer, reduce_owned(s->engine->reduce), &s->optimizer));
    TRY(make_checks(s));
    TRY(loader_create(s->engine, s->data, SPLIT_TRAIN, loader_config(c, true), &s->loader));
    s->total = total_steps(c, loader_batches(s->loader));
    uint64_t planned = c->schedule.steps != KEY_NULL_SIZE ? c->schedule.steps : s->total;
    return stepper_create(s->engine, s->optimizer, s->loader, planned, &s->stepper);
}

Status session_build(Session *s, size_t shards) {
    const DataInfo *info = data_info(s->data);
    EngineUse use = {.info = info,
                     .shards = shards,
                     .batch_size = s->config->train.batch_size,
                     .max_length = info->longest,
                     .max_target_length = info->longest_target,
                     .max_beginnings = info->target_vocabulary && s->config->log.predictions > 0 ? 1 : 0,
                     .trains = true};
    TRY(engine_create(s->comm, s->config, &use, &s->engine));
    return comm_agree(s->comm, make_steps(s));
}

Status session_init(Session *s) {
    const char *path = s->config->run.init_from;
    if (!path) {
        engine_init(s->engine);
        return OK;
    }
    CheckpointFile *file = NULL;
    Status status = comm_rank(s->comm) == 0 ? checkpoint_open_any(path, &file) : OK;
    status = comm_agree(s->comm, status);
    if (status == OK) status = engine_load(s->engine, file);
    if (file) checkpoint_close(&file);
    if (status != OK) return status_context(status, "run.init_from: %s", path);
    log_info("initial parameters from %s", path);
    return OK;
}

void session_close(Session *s) {
    if (s->engine) engine_settle(s->engine); /* no message may be left */
    stepper_destroy(&s->stepper);
    loader_destroy(&s->loader);
    checks_destroy(&s->checks);
    free(s->tensor);
    optimizer_destroy(&s->optimizer);
    engine_destroy(&s->engine);
    if (s->data) data_close(&s->data);
    free(s->config_text);
    *s = (Session){0};
}
