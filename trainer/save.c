/* SPDX-License-Identifier: MIT
 *
 * save.c: see save.h. The writer thread touches nothing but its own copy and makes no MPI calls. */
#include "trainer/save.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "comm/arena.h"
#include "comm/log.h"
#include "comm/trace.h"
#include "trainer/checks.h"
#include "trainer/names.h"

struct Saver {
    Engine *engine;
    Optimizer *optimizer;
    CheckpointMeta meta; /* what does not change */
    /* rank 0 alone: */
    char **name;       /* [arrays] paths of the data sets */
    NamedArray *array; /* [arrays], pointing into the copy */
    size_t arrays;
    float *copy; /* parameters, then each slot's whole block */
    size_t copy_bytes;
    CheckpointMeta job; /* of the write under way */
    bool best;
    pthread_t thread;
    bool running;
    Status status; /* of the last finished write */
    char message[4096];
};

static size_t copy_floats(const Saver *s) {
    return s->engine->memory.parameters + s->optimizer->slots * s->engine->memory.trainable;
}

static Status add_array(Saver *s, const char *group, const Param *p, const float *data) {
    char *name = NULL;
    if (asprintf(&name, "%s/%s", group, p->name) < 0)
        return status_fail(ERR_USAGE, "memory: no room for names; free some");
    s->name[s->arrays] = name;
    s->array[s->arrays++] = (NamedArray){.name = name, .rank = p->rank, .dim = {p->dim[0], p->dim[1]}, .data = data};
    return OK;
}

static Status list_arrays(Saver *s) {
    const Engine *e = s->engine;
    const Optimizer *o = s->optimizer;
    size_t params = model_params(e->model), most = params * (1 + o->slots);
    s->name = calloc(most ? most : 1, sizeof *s->name);
    s->array = calloc(most ? most : 1, sizeof *s->array);
    s->copy_bytes = copy_floats(s) * sizeof(float);
    s->copy = pages_alloc(s->copy_bytes ? s->copy_bytes : 1);
    if (!s->name || !s->array || !s->copy)
        return status_fail(
            ERR_USAGE,
            "memory: %zu bytes for the copy that a checkpoint is written from are not there; use a smaller "
            "model or a machine with more memory",
            s->copy_bytes);
    for (size_t i = 0; i < params; i++) {
        const Param *p = model_param(e->model, i);
        TRY(add_array(s, "model", p, s->copy + p->offset));
        if (p->frozen || p->same_as) continue;
        for (size_t k = 0; k < o->slots; k++) {
            char group[64];
            snprintf(group, sizeof group, "optimizer/%s", o->slot_name[k]);
            TRY(add_array(s, group, p, s->copy + e->memory.parameters + k * e->memory.trainable + p->offset));
        }
    }
    return OK;
}

Status saver_create(Engine *engine, Optimizer *optimizer, const Data *data, const char *config_text, Saver **out) {
    *out = NULL;
    Saver *s = calloc(1, sizeof *s);
    if (!s) return status_fail(ERR_USAGE, "memory: no room for the saver; free some");
    const DataInfo *info = data_info(data);
    s->engine = engine;
    s->optimizer = optimizer;
    s->meta = (CheckpointMeta){.seed = (uint64_t)engine->config->run.seed,
                               .shards = engine->shards,
                               .data_digest = {info->digest[0], info->digest[1]},
                               .optimizer = optimizer_name(engine->config->optimizer.name),
                               .config = config_text,
                               .vocabulary_size = info->vocabulary,
                               .features = info->features,
                               .classes = info->classes,
                               .vocabulary = data_vocabulary(data),
                               .target_vocabulary = data_target_vocabulary(data),
                               .scaling = data_scaling(data)};
    snprintf(s->meta.program_version, sizeof s->meta.program_version, "%s", LOCKSTEP_VERSION);
    Status status = comm_rank(engine->comm) == 0 ? list_arrays(s) : OK;
    if (status != OK) {
        saver_destroy(&s);
        return status;
    }
    *out = s;
    return OK;
}

static Status write_job(Saver *s) {
    const Config *c = s->engine->config;
    char *path = NULL;
    TRY(checkpoint_path(c->run.dir, s->job.step, &path));
    Status status = checkpoint_write(path, &s->job, s->array, s->arrays);
    free(path);
    TRY(status);
    TRY(checkpoint_link(c->run.dir, "last.h5", s->job.step));
    if (s->best) TRY(checkpoint_link(c->run.dir, "best.h5", s->job.step));
    return checkpoint_prune(c->run.dir, c->checkpoint.keep);
}

/* The message is this thread's: kept for the one that reports it. */
static void write_and_note(Saver *s) {
    double begun = trace_time();
    s->status = write_job(s);
    snprintf(s->message, sizeof s->message, "%s", s->status == OK ? "" : status_message());
    trace_span(TRACE_WRITER, "write checkpoint", begun, (int64_t)s->job.step, 0);
}

static void *writer(void *context) {
    /* Training goes on meanwhile on the same cores; the write can wait. */
    setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), 19);
    write_and_note(context);
    return NULL;
}

/* Waits for a write under way, showing the other ranks that this one lives. */
static void join_writer(Saver *s) {
    while (s->running) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_sec++;
        s->running = pthread_timedjoin_np(s->thread, NULL, &until) != 0;
        comm_phase(s->engine->comm, "checkpoint", s->job.step);
    }
}

/* The failure of an earlier write is told once. */
static void settle(Saver *s) {
    join_writer(s);
    if (s->status != OK) log_warn("%s; training goes on, the next checkpoint is tried as usual", s->message);
    s->status = OK;
}

void saver_destroy(Saver **saver) {
    Saver *s = *saver;
    if (!s) return;
    settle(s);
    for (size_t i = 0; i < s->arrays; i++) free(s->name[i]);
    free(s->name);
    free(s->array);
    if (s->copy) pages_free(s->copy, s->copy_bytes ? s->copy_bytes : 1);
    free(s);
    *saver = NULL;
}

static Status start_write(Saver *s, bool last) {
    s->running = pthread_create(&s->thread, NULL, writer, s) == 0;
    if (!s->running) write_and_note(s);
    if (s->engine->config->checkpoint.async && !last) return OK;
    join_writer(s);
    if (!last || s->status == OK) {
        settle(s);
        return OK;
    }
    Status status = s->status;
    s->status = OK;
    return status_fail(status, "%s", s->message);
}

Status saver_save(Saver *s, const RunState *state, bool last) {
    Engine *e = s->engine;
    double begun = trace_time();
    bool root = comm_rank(e->comm) == 0;
    comm_phase(e->comm, "exchange", state->step);
    engine_settle(e);
    comm_phase(e->comm, "checkpoint", state->step);
    if (s->optimizer->checks) TRY(checks_verify(s->optimizer->checks, state->step));
    if (root) {
        settle(s);
        memcpy(s->copy, e->parameters, e->memory.parameters * sizeof(float));
    }
    for (size_t k = 0; k < s->optimizer->slots; k++) {
        float *block = root ? s->copy + e->memory.parameters + k * e->memory.trainable : NULL;
        reduce_collect(e->reduce, 0, s->optimizer->slot[k], block);
    }
    Status status = OK;
    if (root) {
        s->job = s->meta;
        s->job.step = state->step;
        s->job.epoch = state->epoch;
        s->job.best_loss = state->best_loss;
        s->job.best_step = state->best_step;
        s->job.evaluations_since_best = state->since_best;
        s->job.finished = last;
        s->best = !isnan(state->best_loss) && state->best_step == state->step;
        status = start_write(s, last);
    }
    trace_span(TRACE_STEP, "checkpoint", begun, (int64_t)state->step, 0);
    return last ? comm_agree(e->comm, status) : OK;
}
