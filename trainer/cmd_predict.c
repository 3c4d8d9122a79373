/* SPDX-License-Identifier: MIT
 *
 * cmd_predict.c: lockstep predict. Every rank predicts its shard of each batch; rank 0 collects and
 * writes them in the order of the file. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "io/path.h"
#include "io/prediction.h"
#include "trainer/arguments.h"
#include "trainer/attention.h"
#include "trainer/commands.h"
#include "trainer/predict_decoded.h"
#include "trainer/restore.h"
#include "trainer/session.h"

typedef struct Predictor {
    Comm *comm;
    const Restored *restored;
    Data *data;
    Engine *engine;
    Loader *loader;
    PredictionForm form;
    char **name;          /* [form.columns] of values */
    PredictionFile *file; /* rank 0 alone */
    int32_t *class;       /* of one rank's share of a batch */
    float *score;
    size_t sequence;            /* next one to write */
    AttentionWriter *attention; /* NULL: not wanted */
} Predictor;

/* ---- what is predicted --------------------------------------------------------------------------------- */

static size_t target_column(const Config *config, size_t column) {
    return column % config->data.targets.count;
}

/* "temperature", or "temperature+2" where several rows are predicted. */
static Status name_values(Predictor *p) {
    const DataSection *d = &p->restored->config->data;
    if (d->kind != DATA_CSV || p->form.classes) return OK;
    if (d->targets.count * d->horizon != p->form.columns)
        return status_fail(ERR_USAGE,
                           "predict: the model gives %zu values and the config has %zu targets over %zu rows",
                           p->form.columns, d->targets.count, d->horizon);
    p->name = calloc(p->form.columns, sizeof *p->name);
    for (size_t c = 0; p->name && c < p->form.columns; c++) {
        const char *name = d->targets.item[target_column(p->restored->config, c)];
        int n = d->horizon > 1 ? asprintf(&p->name[c], "%s+%zu", name, c / d->targets.count + 1)
                               : asprintf(&p->name[c], "%s", name);
        if (n < 0) p->name[c] = NULL;
        if (!p->name[c]) return status_fail(ERR_USAGE, "memory: no room for names; free some");
    }
    p->form.name = (const char *const *)p->name;
    return p->name ? OK : status_fail(ERR_USAGE, "memory: no room for names; free some");
}

/* The texts of what it predicts: a text model's tokens, or the classes of the targets. */
static const Vocabulary *class_texts(const Restored *r) {
    int kind = r->config->data.kind;
    return kind == DATA_TEXT || kind == DATA_TOKENS ? r->vocabulary : r->target_vocabulary;
}

static Status describe(Predictor *p, bool logits) {
    const Config *config = p->restored->config;
    const Value *out = model_output(p->engine->model);
    bool classes = config->loss.kind == 0;
    p->form = (PredictionForm){.classes = classes,
                               .per_step = out->grain == PER_STEP,
                               .scores = classes && logits,
                               .columns = out->features,
                               .sequences = data_sequences(p->data, SPLIT_ALL),
                               .longest = data_info(p->data)->longest,
                               .vocabulary = class_texts(p->restored),
                               .time = config->data.time};
    if (logits && !classes)
        return status_fail(ERR_USAGE, "--logits (command line): the model predicts values, not classes; leave it out");
    return name_values(p);
}

/* ---- passes -------------------------------------------------------------------------------------------- */

static void find_classes(const Value *out, size_t rows, int32_t *class) {
    for (size_t r = 0; r < rows; r++) {
        const float *row = out->v + r * out->features;
        size_t best = 0;
        for (size_t c = 1; c < out->features; c++)
            if (row[c] > row[best]) best = c;
        class[r] = (int32_t)best;
    }
}

static void scale_back(const Predictor *p, size_t rows) {
    const Scaling *scaling = p->restored->scaling;
    const Config *config = p->restored->config;
    if (!scaling || p->form.classes) return;
    for (size_t c = 0; c < p->form.columns; c++) {
        size_t at = scaling_find(scaling, config->data.targets.item[target_column(config, c)]);
        for (size_t r = 0; r < rows && at < scaling->columns; r++) {
            float *value = &p->score[r * p->form.columns + c];
            *value = (float)scaling_undo(scaling, at, (double)*value);
        }
    }
}

static Status predict_share(Predictor *p, size_t batch_index, size_t *rows) {
    const Engine *e = p->engine;
    const Batch *batch = loader_load(p->loader, 0, batch_index, e->first_shard, e->end_shard);
    const Value *out = model_forward(e->model, batch, false);
    if (!out) return status_fail(ERR_USAGE, "memory: no room for the model's output; make train.batch_size smaller");
    *rows = rows_of(&batch->rows, out->grain);
    if (p->form.classes) find_classes(out, *rows, p->class);
    if (p->score) memcpy(p->score, out->v, *rows * out->features * sizeof *p->score);
    scale_back(p, *rows);
    return OK;
}

static size_t rows_in(const Predictor *p, size_t sequence) {
    return p->form.per_step ? data_length(p->data, SPLIT_ALL, sequence) : 1;
}

/* Rank 0: one rank's share, in order. */
static Status write_share(Predictor *p, size_t count) {
    size_t row = 0;
    for (size_t i = 0; i < count; i++, p->sequence++) {
        Prediction one = {.rows = rows_in(p, p->sequence),
                          .time = data_time(p->data, SPLIT_ALL, p->sequence),
                          .class = p->class + row,
                          .score = p->score ? p->score + row * p->form.columns : NULL};
        TRY(prediction_put(p->file, &one));
        row += one.rows;
    }
    return OK;
}

static void exchange_share(Predictor *p, size_t from, size_t rows) {
    bool root = comm_rank(p->comm) == 0;
    void *block[2] = {p->form.classes ? p->class : NULL, p->score};
    size_t bytes[2] = {rows * sizeof *p->class, rows * p->form.columns * sizeof *p->score};
    for (size_t i = 0; i < 2; i++) {
        if (!block[i] || bytes[i] == 0) continue;
        if (root) comm_receive(p->comm, from, block[i], bytes[i]);
        else comm_send(p->comm, 0, block[i], bytes[i]);
    }
}

/* Sequences of a batch that rank r has, and their rows. */
static size_t share_of(const Predictor *p, size_t batch_count, size_t rank, size_t first_sequence, size_t *rows) {
    size_t first, end;
    fold_items(batch_count, comm_size(p->comm), rank, &first, &end);
    *rows = 0;
    for (size_t i = first; i < end; i++) *rows += rows_in(p, first_sequence + i);
    return end - first;
}

/* The weights of the same batch, in a pass of their own. */
static Status show_attention(Predictor *p, size_t index, size_t first, size_t count) {
    const Engine *e = p->engine;
    size_t mine, end;
    fold_items(count, comm_size(p->comm), comm_rank(p->comm), &mine, &end);
    return attention_batch(p->attention, loader_load(p->loader, 0, index, e->first_shard, e->end_shard), first + mine);
}

static Status predict_batch(Predictor *p, size_t index) {
    size_t batch_size = p->restored->config->train.batch_size, first = index * batch_size, rows = 0;
    size_t count = p->form.sequences - first < batch_size ? p->form.sequences - first : batch_size;
    comm_phase(p->comm, "prediction", index);
    TRY(comm_agree(p->comm, predict_share(p, index, &rows)));
    if (comm_rank(p->comm) != 0) exchange_share(p, 0, rows);
    Status status = OK;
    for (size_t r = 0; r < comm_size(p->comm) && comm_rank(p->comm) == 0; r++) {
        size_t from = first, mine = 0, sequences = 0;
        for (size_t k = 0; k <= r; k++) {
            from += sequences;
            sequences = share_of(p, count, k, first, &mine);
        }
        if (r > 0) exchange_share(p, r, mine);
        /* After a failure the other shares are still taken, so that nobody waits. */
        if (status == OK) status = write_share(p, sequences);
    }
    TRY(comm_agree(p->comm, status));
    return p->attention ? show_attention(p, index, first, count) : OK;
}

static Status make_room(Predictor *p) {
    size_t rows = p->form.per_step ? p->engine->spec.max_rows : p->engine->spec.max_sequences, cells;
    if (__builtin_mul_overflow(rows + 1, p->form.columns, &cells))
        return status_fail(ERR_USAGE, "predict: sizes overflow");
    p->class = calloc(rows + 1, sizeof *p->class);
    bool scores = p->form.scores || !p->form.classes;
    if (scores) p->score = calloc(cells, sizeof *p->score);
    if (p->class && (p->score || !scores))
        return loader_create(p->engine, p->data, SPLIT_ALL, loader_config(p->restored->config, false), &p->loader);
    return status_fail(ERR_USAGE, "memory: no room for %zu predictions; make train.batch_size smaller", rows);
}

static Status predict_all(Predictor *p, const char *path, const char *attention) {
    Status status = make_room(p);
    if (status == OK && comm_rank(p->comm) == 0) status = prediction_create(path, &p->form, &p->file);
    TRY(comm_agree(p->comm, status));
    if (attention) TRY(attention_create(p->engine, p->data, p->restored->vocabulary, NULL, attention, &p->attention));
    for (size_t b = 0; b < loader_batches(p->loader); b++) TRY(predict_batch(p, b));
    if (p->attention) TRY(attention_publish(&p->attention));
    status = p->file ? prediction_publish(&p->file) : OK;
    return comm_agree(p->comm, status);
}

/* ---- the command --------------------------------------------------------------------------------------- */

static Status open_data(const Restored *r, const char *path, Data **out) {
    DataKnown known = restore_known(r);
    DataConfig c = session_data_config(r->config, &known);
    if (c.kind == DATA_SYNTHETIC) c.kind = DATA_SEQUENCES;
    c.inputs_only = true;
    return session_open_file(c, path, out);
}

static Status run(Predictor *p, const char *data_path, const char *out_path, const char *attention, bool logits) {
    const Restored *r = p->restored;
    TRY(comm_agree(p->comm, open_data(r, data_path, &p->data)));
    /* No loss: the targets may not be there, and the model's output is wanted whole. */
    DataInfo info = *data_info(p->data);
    info.target = TARGET_NONE;
    info.classes = (size_t)r->classes;
    EngineUse use = {.info = &info,
                     .shards = comm_size(p->comm),
                     .batch_size = r->config->train.batch_size,
                     .max_length = info.longest};
    TRY(engine_create(p->comm, r->config, &use, &p->engine));
    Status status = engine_load(p->engine, r->file);
    if (status != OK) return status_context(status, "%s", r->path);
    TRY(comm_agree(p->comm, describe(p, logits)));
    return predict_all(p, out_path, attention);
}

static void release(Predictor *p) {
    attention_abandon(&p->attention);
    prediction_abandon(&p->file);
    loader_destroy(&p->loader);
    engine_destroy(&p->engine);
    if (p->data) data_close(&p->data);
    for (size_t c = 0; p->name && c < p->form.columns; c++) free(p->name[c]);
    free(p->name);
    free(p->class);
    free(p->score);
}

static Status check(const char *data, const char *out, const char *attention, char **rest, size_t count) {
    if (count > 1)
        return status_fail(ERR_USAGE, "%s (command line): predict takes one checkpoint and no key=value", rest[1]);
    if (!data) return status_fail(ERR_USAGE, "--data FILE missing (command line); name what to predict for");
    if (out && !path_ends(out, ".csv") && !path_is_hdf5(out))
        return status_fail(ERR_USAGE, "--out %s (command line): ends neither in .csv nor in .h5", out);
    if (attention && !path_is_hdf5(attention))
        return status_fail(ERR_USAGE, "--attention %s (command line): does not end in .h5", attention);
    return OK;
}

static Status check_decoding(bool decodes, const DecodeOptions *options, bool logits) {
    const char *given = decode_option_given(options);
    if (!decodes && given)
        return status_fail(ERR_USAGE,
                           "%s (command line): the model has no decoder that would write step by step; leave "
                           "it out",
                           given);
    if (decodes && logits)
        return status_fail(ERR_USAGE, "--logits (command line): a decoder writes symbols one after the other; leave it "
                                      "out, log_probability is there without it");
    return OK;
}

Status command_predict(Comm *comm, int argc, char **argv) {
    const char *data = NULL, *out = NULL, *attention = NULL;
    bool logits = false;
    DecodeOptions decode = DECODE_OPTIONS_NONE;
    const Option table[] = {{"data", OPTION_TEXT, &data},
                            {"out", OPTION_TEXT, &out},
                            {"logits", OPTION_FLAG, &logits},
                            {"attention", OPTION_TEXT, &attention},
                            {"beam", OPTION_SIZE, &decode.beams},
                            {"length-penalty", OPTION_REAL, &decode.length_penalty},
                            {"max-length", OPTION_SIZE, &decode.max_length},
                            {"temperature", OPTION_REAL, &decode.sampling.temperature},
                            {"top-k", OPTION_SIZE, &decode.sampling.top_k},
                            {"top-p", OPTION_REAL, &decode.sampling.top_p},
                            {"seed", OPTION_SIZE, &decode.sampling.seed},
                            {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("predict", argc, argv, table, &rest, &count));
    TRY(arguments_file_and_overrides("predict", rest, count < 1 ? count : 1, "CHECKPOINT"));
    TRY(check(data, out, attention, rest, count));
    Restored restored;
    Predictor predictor = {.comm = comm, .restored = &restored};
    Status status = restore_open(comm, rest[0], NULL, 0, &restored);
    bool decodes = status == OK && config_has_decoder(restored.config);
    if (status == OK) status = check_decoding(decodes, &decode, logits);
    if (status == OK && decodes) status = predict_decoded(comm, &restored, data, out, attention, &decode);
    else if (status == OK) status = run(&predictor, data, out, attention, logits);
    release(&predictor);
    restore_close(&restored);
    return status;
}
