/* SPDX-License-Identifier: MIT
 *
 * resume.c: finding, checking and loading the state that a run goes on from; see save.h. Rank 0 reads
 * the file, everybody learns what it found. */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "comm/log.h"
#include "trainer/names.h"
#include "trainer/save.h"

/* The newest checkpoint that verifies; refused ones are named. */
static Status open_newest(const Config *config, CheckpointFile **file) {
    uint64_t *steps = NULL;
    size_t count = 0;
    TRY(checkpoint_list(config->run.dir, &steps, &count));
    for (size_t i = 0; i < count && !*file; i++) {
        char *path = NULL;
        Status status = checkpoint_path(config->run.dir, steps[i], &path);
        if (status == OK && checkpoint_open(path, file) != OK) log_warn("not used: %s", status_message());
        free(path);
    }
    free(steps);
    if (count > 0 && !*file)
        return status_fail(ERR_CHECKPOINT,
                           "%s/checkpoints: none of %zu checkpoints can be used (reasons above); start afresh with "
                           "another run.dir= or give one with --resume PATH",
                           config->run.dir, count);
    return OK;
}

static Status refuse_old_run(const Config *config) {
    uint64_t *steps = NULL;
    size_t count = 0;
    TRY(checkpoint_list(config->run.dir, &steps, &count));
    free(steps);
    if (count == 0) return OK;
    return status_fail(ERR_USAGE,
                       "%s: --resume never, but it holds %zu checkpoints; choose another run.dir=, e.g. run.dir=%s-2",
                       config->run.dir, count, config->run.dir);
}

/* A run directory whose newest checkpoint is ahead of the one asked for would mix two histories. */
static Status refuse_newer(const Config *config, const char *path, uint64_t step) {
    uint64_t *steps = NULL;
    size_t count = 0;
    TRY(checkpoint_list(config->run.dir, &steps, &count));
    uint64_t newest = count ? steps[0] : 0;
    free(steps);
    if (newest <= step) return OK;
    return status_fail(
        ERR_USAGE, "%s: --resume %s is of step %llu, but the run directory holds step %llu; choose another run.dir=",
        config->run.dir, path, (unsigned long long)step, (unsigned long long)newest);
}

static Status same_data(const CheckpointMeta *meta, const Data *data) {
    const DataInfo *info = data_info(data);
    if (memcmp(meta->data_digest, info->digest, sizeof info->digest) == 0) return OK;
    return status_fail(ERR_USAGE,
                       "resume: data.path: the data has changed since the checkpoint (digest %016llx%016llx, was "
                       "%016llx%016llx); use the same data or another run.dir=",
                       (unsigned long long)info->digest[0], (unsigned long long)info->digest[1],
                       (unsigned long long)meta->data_digest[0], (unsigned long long)meta->data_digest[1]);
}

static Status same_config(const CheckpointMeta *meta, const Config *config) {
    Config *saved = NULL;
    Status status = config_parse(meta->config, "the checkpoint's config", NULL, 0, &saved);
    if (status != OK) return status_context(ERR_CHECKPOINT, "resume");
    char *note = NULL, *differences = config_differences(saved, config, &note);
    if (note) log_info("changed since the checkpoint (results may have other bits):\n%s", note);
    if (differences)
        status = status_fail(
            ERR_USAGE,
            "resume: the config differs from the checkpoint's; set these back or choose another run.dir=:\n%s",
            differences);
    free(note);
    free(differences);
    config_destroy(&saved);
    return status;
}

/* A file in the place of a directory, or a closed one: that no checkpoint is found there is the lesser problem. */
static Status refuse_unusable(const Config *config) {
    char *path = NULL;
    struct stat facts;
    if (asprintf(&path, "%s/checkpoints", config->run.dir) < 0)
        return status_fail(ERR_INTERNAL, "memory: no room for a path");
    int error = stat(path, &facts) != 0 ? errno : S_ISDIR(facts.st_mode) ? 0 : ENOTDIR;
    free(path);
    if (error == 0 || error == ENOENT) return OK;
    return status_fail(ERR_WRITE, "run directory (%s/checkpoints): %s; choose another run.dir=", config->run.dir,
                       strerror(error));
}

static Status find_on_root(const Config *config, const Data *data, const char *mode, Resume *out) {
    if (strcmp(mode, RESUME_NOT) == 0) return OK;
    TRY(refuse_unusable(config));
    if (strcmp(mode, "never") == 0) return refuse_old_run(config);
    if (strcmp(mode, "auto") == 0) TRY(open_newest(config, &out->file));
    else TRY(checkpoint_open(mode, &out->file));
    if (!out->file) return OK;
    const CheckpointMeta *meta = checkpoint_meta(out->file);
    if (strcmp(mode, "auto") != 0) TRY(refuse_newer(config, mode, meta->step));
    TRY(same_config(meta, config));
    TRY(same_data(meta, data));
    out->found = true;
    out->step = meta->step;
    out->shards = meta->shards;
    out->state = (RunState){.step = meta->step,
                            .best_loss = meta->best_loss,
                            .best_step = meta->best_step,
                            .since_best = meta->evaluations_since_best};
    log_info("resuming from step %llu (%s)", (unsigned long long)meta->step,
             strcmp(mode, "auto") == 0 ? config->run.dir : mode);
    return OK;
}

Status resume_find(Comm *comm, const Config *config, const Data *data, const char *mode, Resume *out) {
    *out = (Resume){.state = {.best_loss = NAN}};
    Status status = comm_rank(comm) == 0 ? find_on_root(config, data, mode, out) : OK;
    status = comm_agree(comm, status);
    CheckpointFile *mine = out->file;
    if (status != OK) {
        if (mine) checkpoint_close(&mine);
        out->file = NULL;
        return status;
    }
    comm_broadcast(comm, 0, out, sizeof *out);
    out->file = mine;
    return OK;
}

static Status read_slot(const Engine *e, const CheckpointFile *file, const char *slot, float *block) {
    char path[512];
    for (size_t i = 0; i < model_params(e->model); i++) {
        const Param *p = model_param(e->model, i);
        if (p->frozen || p->same_as) continue;
        snprintf(path, sizeof path, "optimizer/%s/%s", slot, p->name);
        TRY(checkpoint_read(file, path, p->rank, p->dim, block + p->offset));
    }
    return OK;
}

Status resume_load(Engine *e, Optimizer *optimizer, const Resume *resume) {
    TRY(engine_load(e, resume->file));
    bool root = comm_rank(e->comm) == 0;
    for (size_t k = 0; k < optimizer->slots; k++) {
        Status status = OK;
        float *block = NULL;
        if (root) {
            block = calloc(e->memory.trainable ? e->memory.trainable : 1, sizeof *block);
            status = block ? read_slot(e, resume->file, optimizer->slot_name[k], block)
                           : status_fail(ERR_USAGE, "memory: no room to read the optimizer's moments; free some");
        }
        status = comm_agree(e->comm, status);
        if (status == OK) reduce_distribute(e->reduce, 0, block, optimizer->slot[k]);
        free(block);
        TRY(status);
    }
    return OK;
}
