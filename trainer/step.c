/* SPDX-License-Identifier: MIT
 *
 * step.c: see step.h. */
#include "trainer/step.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/log.h"
#include "comm/trace.h"
#include "trainer/checks.h"
#include "trainer/schedule.h"

/* The status word of a rank: its wishes, its rows, and one result per shard it may own. */
typedef struct Word {
    double asked;
    StepRows rows;
    ShardResult shard[];
} Word;

struct Stepper {
    Engine *engine;
    Optimizer *optimizer;
    Loader *loader;
    Groups *groups;
    RowTables *rows; /* NULL: no table has rules */
    uint64_t total;
    size_t word_bytes;
    Word *mine;
    unsigned char *words; /* [ranks][word_bytes] */
    ShardResult *shards;  /* [shards], in global order */
    double seconds[PHASES];
};

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

Status stepper_create(Engine *engine, Optimizer *optimizer, Loader *loader, uint64_t total, Stepper **out) {
    *out = NULL;
    Stepper *s = calloc(1, sizeof *s);
    if (!s) return status_fail(ERR_USAGE, "memory: no room for the stepper; free some");
    size_t ranks = comm_size(engine->comm), most = engine->shards / ranks + 1;
    *s = (Stepper){.engine = engine,
                   .optimizer = optimizer,
                   .loader = loader,
                   .total = total,
                   .word_bytes = sizeof(Word) + most * sizeof(ShardResult)};
    s->mine = calloc(1, s->word_bytes);
    s->words = calloc(ranks, s->word_bytes);
    s->shards = calloc(engine->shards, sizeof *s->shards);
    Status status =
        s->mine && s->words && s->shards
            ? groups_create(engine, loader, &s->groups)
            : status_fail(ERR_USAGE, "memory: no room for the status words of %zu shards; use fewer", engine->shards);
    if (status == OK) status = row_tables_create(engine, &s->rows);
    if (status != OK) {
        stepper_destroy(&s);
        return status;
    }
    optimizer->rows = s->rows;
    optimizer->touched = &engine->touched;
    *out = s;
    return OK;
}

void stepper_destroy(Stepper **stepper) {
    Stepper *s = *stepper;
    if (!s) return;
    groups_destroy(&s->groups);
    row_tables_destroy(&s->rows);
    if (s->optimizer) s->optimizer->rows = NULL;
    if (s->optimizer) s->optimizer->touched = NULL;
    free(s->mine);
    free(s->words);
    free(s->shards);
    free(s);
    *stepper = NULL;
}

static void lap(Stepper *s, Phase phase, uint64_t step, double *since) {
    static const char *const name[] = {"data", "forward and backward", "reduce", "optimizer", "publish"};
    if (trace_time() > 0) trace_span(TRACE_STEP, name[phase], *since, (int64_t)step, 0);
    double now = clock_seconds(); /* after the span, so that the next one does not overlap it */
    s->seconds[phase] += now - *since;
    *since = now;
}

static uint64_t tracing_step;

static void trace_layer(const char *layer, const char *what, double begun) {
    char name[128];
    snprintf(name, sizeof name, "%s%s%s", layer, *what ? " " : "", what);
    trace_span(TRACE_STEP, name, begun, (int64_t)tracing_step, 0);
}

void stepper_trace(Stepper *s) {
    model_on_span(s->engine->model, trace_layer);
}

static void flag_ready(void *context, size_t offset, size_t count) {
    reduce_ready(((Stepper *)context)->engine->reduce, offset, count);
}

/* Folds all ranks' words into the result of the step, the same on every rank. */
static ShardResult gather(Stepper *s, StepResult *r) {
    const Engine *e = s->engine;
    size_t ranks = comm_size(e->comm);
    for (size_t rank = 0; rank < ranks; rank++) {
        const Word *word = (const void *)(s->words + rank * s->word_bytes);
        size_t first, end;
        fold_range(e->shards, ranks, rank, &first, &end);
        memcpy(s->shards + first, word->shard, (end - first) * sizeof *word->shard);
        r->asked |= (unsigned)word->asked;
        r->rows.inputs += word->rows.inputs;
        r->rows.targets += word->rows.targets;
    }
    return engine_fold(e, s->shards);
}

/* printf shows the sign that a NaN happens to have. */
static double without_sign(double x) {
    return isnan(x) ? NAN : x;
}

static Status not_finite(const StepResult *r, uint64_t step, bool gradient) {
    return status_fail(ERR_DIVERGED,
                       "training diverged (step %llu): the %s is not finite (loss %g); lower optimizer.lr, set "
                       "train.clip_norm, or go on from an older checkpoint; the parameters are those before the step",
                       (unsigned long long)step, gradient ? "gradient" : "loss", r->loss);
}

/* The one decision of a step, from figures that are the same on all ranks: *scale is what gradients
 * are multiplied with, 0 for a step without update. */
static Status decide(const Stepper *s, uint64_t step, const ReduceSum *sum, const ShardResult *total, StepResult *r,
                     double *scale) {
    const Config *c = s->engine->config;
    bool mean = c->loss.reduction == REDUCTION_MEAN;
    r->targets = total->targets;
    r->loss = without_sign(mean && total->targets > 0 ? total->loss / total->targets : total->loss);
    r->accuracy = c->loss.kind == 0 && total->targets > 0 ? total->correct / total->targets : NAN;
    *scale = 0;
    if (total->targets == 0) {
        log_warn("step %llu: the batch has no targets; skipped", (unsigned long long)step);
        r->loss = NAN;
        r->skipped = true;
        return OK;
    }
    double unit = mean ? 1 / total->targets : 1;
    r->grad_norm = without_sign(sqrt(sum->sum_of_squares) * unit);
    bool loss_finite = isfinite(r->loss) != 0, finite = sum->finite && isfinite(r->grad_norm);
    if (!loss_finite || !finite) {
        if (c->train.on_nonfinite == NONFINITE_STOP) return not_finite(r, step, loss_finite);
        log_warn("step %llu: %s not finite; skipped (train.on_nonfinite: skip)", (unsigned long long)step,
                 loss_finite ? "gradient" : "loss");
        r->skipped = true;
        return OK;
    }
    *scale = unit;
    if (!isnan(c->train.clip_norm) && r->grad_norm > c->train.clip_norm)
        *scale *= c->train.clip_norm / (r->grad_norm + 1e-6);
    return OK;
}

/* Bucket by bucket where parts travel to other nodes meanwhile, else all at once. */
static void update(Stepper *s, uint64_t step, double lr, double scale) {
    Engine *e = s->engine;
    size_t count, end;
    const ReduceChunk *chunk = reduce_chunks(e->reduce, &count);
    Checks *checks = s->optimizer->checks;
    if (checks && !checks->kept) checks_keep(checks); /* on ranks that own nothing too: all verify or none */
    for (size_t first = 0; first < count; first = end) {
        end = comm_nodes(e->comm) > 1 ? reduce_bucket_end(e->reduce, first) : count;
        optimizer_update(s->optimizer, step, lr, scale, chunk, first, end, reduce_summed(e->reduce), e->parameters);
        reduce_written(e->reduce, end);
    }
    if (checks) checks_found(checks, step);
}

Status stepper_take(Stepper *s, uint64_t step, unsigned ask, StepResult *r) {
    Engine *e = s->engine;
    size_t batches = loader_batches(s->loader);
    *r = (StepResult){.lr = schedule_lr(&e->config->schedule, e->config->optimizer.lr, step, s->total),
                      .grad_norm = NAN};
    double begun = trace_time(), since = clock_seconds();
    tracing_step = step;
    comm_phase(e->comm, "forward and backward", step);
    Checks *checks = s->optimizer->checks;
    s->mine->asked = ask | (checks && checks->found ? ASK_CHECK : 0);
    s->mine->rows = groups_train(s->groups, (step - 1) / batches, (size_t)((step - 1) % batches), step, flag_ready, s,
                                 s->mine->shard);
    s->seconds[PHASE_DATA] += groups_data_seconds(s->groups);
    if (s->rows) row_tables_measure(s->rows); /* the sum below waits for all ranks, the update comes after it */
    lap(s, PHASE_COMPUTE, step, &since);
    s->seconds[PHASE_COMPUTE] -= groups_data_seconds(s->groups);

    comm_phase(e->comm, "reduce", step);
    ReduceSum sum;
    reduce_sum(e->reduce, s->mine, s->word_bytes, s->words, &sum);
    ShardResult total = gather(s, r);
    double scale;
    if (r->asked & ASK_CHECK) TRY(checks_agree(checks));
    Status status = decide(s, step, &sum, &total, r, &scale);
    /* What is not finite may come from memory that changed: then that is the message. */
    if (checks && scale == 0) TRY(checks_verify(checks, step));
    lap(s, PHASE_REDUCE, step, &since);

    comm_phase(e->comm, "optimizer", step);
    if (scale != 0) update(s, step, r->lr, scale);
    lap(s, PHASE_OPTIMIZER, step, &since);

    comm_phase(e->comm, "publish", step);
    if (scale != 0) engine_publish(e);
    if (status == OK && checks && comm_nodes(e->comm) > 1 && step % checks->every == 0) {
        engine_settle(e);
        status = checks_verify(checks, step);
    }
    lap(s, PHASE_PUBLISH, step, &since);
    trace_span(TRACE_STEP, "step", begun, (int64_t)step, 0);
    return status;
}

void stepper_times(Stepper *s, double seconds[PHASES]) {
    memcpy(seconds, s->seconds, sizeof s->seconds);
    memset(s->seconds, 0, sizeof s->seconds);
}
