/* SPDX-License-Identifier: MIT
 *
 * train.c: see train.h. All decisions of the loop are made from figures that are the same on all ranks. */
#include "trainer/train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "comm/trace.h"
#include "io/metrics.h"
#include "trainer/evaluate.h"
#include "trainer/predictions.h"
#include "trainer/progress.h"
#include "trainer/save.h"
#include "trainer/session.h"
#include "trainer/stop.h"
#include "trainer/summary.h"
#include "trainer/trace_file.h"

typedef struct Run {
    Session session;
    const Config *config;
    Saver *saver;
    Metrics *metrics; /* rank 0 alone */
    RunState state;
    double started;
    uint64_t evaluated;             /* last step that was */
    Status failure;                 /* of this rank alone, told to the others with the next status word */
    double row_started, row_tokens; /* since the last log row */
    Progress progress;
} Run;

static bool is_root(const Run *run) {
    return comm_rank(run->session.comm) == 0;
}

/* ---- before the first step -------------------------------------------------------------------------- */

static Status open_run_directory(Run *run) {
    if (!is_root(run)) return OK;
    const char *dir = run->config->run.dir;
    char *path = NULL;
    if (asprintf(&path, "%s/checkpoints", dir) < 0) return status_fail(ERR_INTERNAL, "memory: no room for a path");
    Status status = directory_make(path);
    free(path);
    TRY(status);
    if (asprintf(&path, "%s/config.yaml", dir) < 0) return status_fail(ERR_INTERNAL, "memory: no room for a path");
    status = file_write(path, run->session.config_text);
    free(path);
    TRY(status);
    return metrics_open(dir, run->state.step, &run->metrics);
}

static Status prepare(Run *run, const TrainOptions *options) {
    const Config *c = run->config;
    Session *session = &run->session;
    summary_data(c, session->data);
    Resume resume;
    TRY(resume_find(session->comm, c, session->data, options->dry_run ? RESUME_NOT : options->resume, &resume));
    size_t shards = c->train.shards != KEY_NULL_SIZE ? c->train.shards
                    : resume.found                   ? (size_t)resume.shards
                                                     : comm_size(session->comm);
    run->state = resume.state;
    Status status = session_build(session, shards);
    if (status == OK) {
        summary_ranks(session->engine);
        summary_model(session->engine, session->optimizer->slots);
        status = resume.found ? resume_load(session->engine, session->optimizer, &resume) : session_init(session);
    }
    if (resume.file) checkpoint_close(&resume.file);
    TRY(status);
    if (options->dry_run) return OK;
    status = saver_create(session->engine, session->optimizer, session->data, session->config_text, &run->saver);
    if (status == OK) status = open_run_directory(run);
    return comm_agree(session->comm, status);
}

/* ---- the loop ----------------------------------------------------------------------------------------- */

static double epoch_of(const Run *run, uint64_t step) {
    return (double)step / (double)loader_batches(run->session.loader);
}

static void append(Run *run, const MetricsRow *row) {
    if (run->metrics && run->failure == OK) run->failure = metrics_append(run->metrics, row);
}

static void log_row(Run *run, const StepResult *r) {
    double now = clock_seconds(), rate = run->row_tokens / fmax(now - run->row_started, 1e-9),
           epoch = epoch_of(run, run->state.step);
    run->row_started = now;
    run->row_tokens = 0;
    progress_row(&run->progress, run->state.step, epoch, r, rate);
    if (run->config->log.predictions > 0) engine_settle(run->session.engine);
    if (is_root(run)) predictions_print(run->session.engine, run->session.data, run->config->log.predictions);
    MetricsRow row = {.step = run->state.step,
                      .epoch = epoch,
                      .split = "train",
                      .loss = r->loss,
                      .accuracy = r->accuracy,
                      .lr = r->lr,
                      .grad_norm = r->grad_norm,
                      .tokens_per_s = rate,
                      .seconds = now - run->started};
    append(run, &row);
}

static bool has_validation(const Run *run) {
    return data_sequences(run->session.data, SPLIT_VALIDATION) > 0;
}

/* Sets *best when this is the best evaluation so far. */
static Status evaluate(Run *run, bool *best) {
    run->evaluated = run->state.step;
    *best = false;
    if (!has_validation(run)) return OK;
    double since = clock_seconds(), begun = trace_time();
    comm_phase(run->session.comm, "exchange", run->state.step);
    engine_settle(run->session.engine);
    Scores s;
    TRY(evaluate_split(run->session.engine, run->session.data, SPLIT_VALIDATION, &s));
    *best = !isnan(s.loss) && !(s.loss >= run->state.best_loss);
    if (*best) {
        run->state.best_loss = s.loss;
        run->state.best_step = run->state.step;
        run->state.since_best = 0;
    } else {
        run->state.since_best++;
    }
    trace_span(TRACE_STEP, "evaluation", begun, (int64_t)run->state.step, 0);
    double now = clock_seconds();
    run->row_started += now - since;
    char score[64];
    if (isnan(s.accuracy)) snprintf(score, sizeof score, "rmse %.4f", s.rmse);
    else snprintf(score, sizeof score, "accuracy %.4f", s.accuracy);
    log_info("step %llu: validation loss %.4f, %s%s", (unsigned long long)run->state.step, s.loss, score,
             *best ? " (best so far)" : "");
    MetricsRow row = {.step = run->state.step,
                      .epoch = epoch_of(run, run->state.step),
                      .split = "validation",
                      .loss = s.loss,
                      .accuracy = s.accuracy,
                      .lr = NAN,
                      .grad_norm = NAN,
                      .tokens_per_s = NAN,
                      .seconds = now - run->started};
    append(run, &row);
    return OK;
}

static Status save(Run *run, bool last) {
    double since = clock_seconds();
    run->state.epoch = run->state.step / loader_batches(run->session.loader);
    Status status = saver_save(run->saver, &run->state, last);
    run->row_started += clock_seconds() - since;
    return status;
}

static bool stopped_early(const Run *run) {
    size_t patience = run->config->eval.early_stop;
    return patience != KEY_NULL_SIZE && run->state.since_best >= patience;
}

static unsigned wishes(const Run *run) {
    unsigned ask = stop_requested() ? ASK_STOP : 0;
    if (clock_seconds() - run->started >= run->config->train.max_seconds) ask |= ASK_TIME;
    if (run->failure != OK) ask |= ASK_FAIL;
    return ask;
}

static Status take_step(Run *run, StepResult *r) {
    const Config *c = run->config;
    double since = clock_seconds();
    TRY(stepper_take(run->session.stepper, run->state.step + 1, wishes(run), r));
    uint64_t step = ++run->state.step;
    run->row_tokens += r->rows.inputs + r->rows.targets;
    progress_step(&run->progress, step, epoch_of(run, step), r, clock_seconds() - since);
    bool best = false;
    if (step % c->log.every == 0) log_row(run, r);
    if (step % c->eval.every == 0) TRY(evaluate(run, &best));
    if (step < run->session.total && (best || step % c->checkpoint.every == 0)) TRY(save(run, false));
    return OK;
}

static Status loop(Run *run) {
    unsigned asked = 0;
    Status status = OK;
    while (status == OK && run->state.step < run->session.total && !stopped_early(run) && !asked) {
        StepResult r;
        status = take_step(run, &r);
        asked = r.asked;
    }
    progress_end(&run->progress);
    TRY(status);
    TRY(comm_agree(run->session.comm, run->failure));
    bool best;
    if (run->evaluated != run->state.step) TRY(evaluate(run, &best));
    TRY(comm_agree(run->session.comm, run->failure));
    TRY(save(run, true));
    if (asked && run->state.step < run->session.total) {
        const char *name = stop_requested();
        log_info("stopped at step %llu by %s; the same command goes on from here", (unsigned long long)run->state.step,
                 asked & ASK_TIME ? "train.max_time"
                 : name           ? name
                                  : "a signal on another rank");
        return STOPPED;
    }
    return OK;
}

static void say_end(const Run *run) {
    if (stopped_early(run))
        log_info("early stop: no better validation loss for %zu evaluations", run->config->eval.early_stop);
    if (!isnan(run->state.best_loss))
        log_info("best validation loss %.4f at step %llu: %s/checkpoints/best.h5", run->state.best_loss,
                 (unsigned long long)run->state.best_step, run->config->run.dir);
    log_info("finished at step %llu in %.1f s: %s/checkpoints/last.h5", (unsigned long long)run->state.step,
             clock_seconds() - run->started, run->config->run.dir);
}

/* ---- --dry-run ------------------------------------------------------------------------------------------ */

static Status dry_run(Run *run) {
    double best = INFINITY;
    for (uint64_t step = 1; step <= 2; step++) {
        StepResult r;
        double since = clock_seconds();
        TRY(stepper_take(run->session.stepper, step, 0, &r));
        double taken = clock_seconds() - since;
        if (taken < best) best = taken;
        log_info("step %llu: loss %.4f, %.1f ms", (unsigned long long)step, r.loss, taken * 1e3);
    }
    char memory[32];
    log_info("dry run: %llu steps of about %.1f ms would take %.0f s; memory per rank %s; nothing was written",
             (unsigned long long)run->session.total, best * 1e3, best * (double)run->session.total,
             bytes_text(engine_rank_bytes(run->session.engine, run->session.optimizer->slots), memory, sizeof memory));
    return OK;
}

static Status go(Run *run, const TrainOptions *options) {
    uint64_t total = run->session.total;
    run->evaluated = UINT64_MAX;
    run->progress = progress_start(run->config, run->state.step, total == UINT64_MAX ? 0 : total);
    run->row_started = clock_seconds();
    if (options->dry_run) return dry_run(run);
    if (run->state.step >= total || stopped_early(run)) {
        log_info("nothing to do: the run finished at step %llu; raise train.steps to go on",
                 (unsigned long long)run->state.step);
        return OK;
    }
    TRY(loop(run));
    say_end(run);
    return OK;
}

Status train_run(Comm *comm, const Config *config, const TrainOptions *options) {
    Run run = {.config = config, .started = clock_seconds()};
    stop_install();
    Status status = session_open(comm, config, &run.session);
    if (status == OK) status = prepare(&run, options);
    TraceFile *trace = NULL;
    if (status == OK && options->trace) {
        status = trace_file_start(comm, options->trace, &trace);
        if (status == OK) stepper_trace(run.session.stepper);
    }
    if (status == OK) status = go(&run, options);
    saver_destroy(&run.saver);
    if (trace && (status == OK || status == STOPPED)) {
        Status written = trace_file_finish(&trace);
        if (written != OK) status = written;
    }
    trace_file_drop(&trace);
    if (run.metrics) metrics_close(&run.metrics);
    session_close(&run.session);
    return status;
}
