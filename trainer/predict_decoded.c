/* SPDX-License-Identifier: MIT
 *
 * predict_decoded.c: see predict_decoded.h. Results are kept on rank 0 until all are there: their longest is
 * the width of an HDF5 file. */
#include "trainer/predict_decoded.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/log.h"
#include "io/path.h"
#include "io/prediction.h"
#include "trainer/attention.h"
#include "trainer/decode.h"
#include "trainer/loader.h"

/* Of one sequence, without its symbols. */
typedef struct Head {
    double log_probability, loss;
    uint64_t count, targets; /* loss and targets: 0 without targets */
    uint64_t ended, exact;
} Head;

typedef struct Predictor {
    Comm *comm;
    const Restored *restored;
    DecodeConfig config;
    Data *data;
    size_t sequences, batch_size, room; /* room: symbols of the longest result, the end counted */
    Engine *engine;
    Loader *loader;
    Decoder *decoder;
    Decoded *decoded; /* [sources of a rank] */
    Head *head;       /* the same; rank 0: also another rank's */
    int32_t *symbol;  /* [sources of a rank, room] */
    Head *all;        /* [sequences] of those that this rank knows; rank 0 knows all */
    int32_t **text;   /* [sequences][count, and the end where it ended] */
} Predictor;

/* ---- options ------------------------------------------------------------------------------------------- */

static bool samples(const DecodeOptions *o) {
    const Sampling *s = &o->sampling;
    return !isnan(s->temperature) || !isnan(s->top_p) || s->top_k != SIZE_MAX || s->seed != SIZE_MAX;
}

const char *decode_option_given(const DecodeOptions *o) {
    return o->beams != SIZE_MAX        ? "--beam"
           : o->max_length != SIZE_MAX ? "--max-length"
           : !isnan(o->length_penalty) ? "--length-penalty"
           : samples(o)                ? "--temperature, --top-k, --top-p, --seed"
                                       : NULL;
}

static Status configure(Predictor *p, const DecodeOptions *o, Sampling *sampling) {
    size_t beams = o->beams == SIZE_MAX ? 1 : o->beams;
    *sampling = (Sampling){.temperature = isnan(o->sampling.temperature) ? 1 : o->sampling.temperature,
                           .top_p = isnan(o->sampling.top_p) ? 1 : o->sampling.top_p,
                           .top_k = o->sampling.top_k == SIZE_MAX ? 0 : o->sampling.top_k,
                           .seed = o->sampling.seed == SIZE_MAX ? 0 : o->sampling.seed};
    if (beams == 0) return status_fail(ERR_USAGE, "--beam 0 (command line): at least 1");
    if (o->max_length == 0) return status_fail(ERR_USAGE, "--max-length 0 (command line): at least 1");
    if (!isnan(o->length_penalty) && beams == 1)
        return status_fail(ERR_USAGE, "--length-penalty (command line): has no effect without --beam 2 or more");
    if (isinf(o->length_penalty)) return status_fail(ERR_USAGE, "--length-penalty (command line): not a finite number");
    if (samples(o) && beams > 1)
        return status_fail(ERR_USAGE, "--beam (command line): searches, and --temperature, --top-k, --top-p, --seed "
                                      "draw; give one or the other");
    TRY(sampling_check(sampling));
    p->config = (DecodeConfig){.beams = beams,
                               .length_penalty = isnan(o->length_penalty) ? 1 : o->length_penalty,
                               .sampling = samples(o) ? sampling : NULL,
                               .symbols = (size_t)p->restored->classes - 1,
                               .max_length = o->max_length == SIZE_MAX ? 0 : o->max_length};
    return OK;
}

/* ---- data and model ------------------------------------------------------------------------------------ */

static Status open_data(const Restored *r, const char *path, Data **out) {
    DataKnown known = restore_known(r);
    DataConfig c = session_data_config(r->config, &known);
    bool h5 = path_is_hdf5(path);
    if (!h5 && !r->vocabulary)
        return status_fail(ERR_USAGE,
                           "--data %s (command line): %s holds no vocabulary for text; give its ids or numbers "
                           "as HDF5 (.h5)",
                           path, r->path);
    c.kind = h5 ? DATA_SEQUENCES : DATA_PAIRS;
    if (r->vocabulary) c.tokenizer = r->vocabulary->tokenizer;
    if (!h5 && r->target_vocabulary && r->target_vocabulary->tokenizer != c.tokenizer)
        return status_fail(ERR_USAGE, "--data %s (command line): inputs and targets have other tokenizers; give HDF5",
                           path);
    c.targets_if_there = true;
    return session_open_file(c, path, out);
}

static bool is_below(const char *name, const char *layer) {
    size_t n = strlen(layer);
    return strncmp(name, layer, n) == 0 && (name[n] == '\0' || name[n] == '.');
}

/* The steps of a target that its positions have a row for: the least max_len of the layers in its stream. */
static size_t most_positions(const Config *c) {
    size_t most = SIZE_MAX;
    bool *target = calloc(c->layers, sizeof *target);
    for (size_t i = 0; target && i < c->layers; i++) {
        const LayerSpec *l = &c->layer[i];
        if (l->inputs == 0) target[i] = i > 0 && target[i - 1];
        else target[i] = strcmp(l->input[0], "target") == 0;
        for (size_t j = 0; l->inputs > 0 && j < i; j++)
            target[i] |= target[j] && is_below(l->input[0], c->layer[j].name);
        for (const Key *k = l->type->keys; target[i] && k && k->name; k++) {
            if (strcmp(k->name, "max_len") != 0) continue;
            size_t own = *(const size_t *)((const char *)l->config + k->offset);
            if (own == KEY_NULL_SIZE) own = c->data.seq_len;
            if (own < most) most = own;
        }
    }
    free(target);
    return most;
}

static Status build(Predictor *p, bool looks) {
    const Restored *r = p->restored;
    DataInfo info = *data_info(p->data);
    size_t shards = comm_size(p->comm), share, beginnings, positions = most_positions(r->config);
    if (info.ids && r->vocabulary_size > 0) {
        if (info.vocabulary > r->vocabulary_size)
            return status_fail(ERR_DATA, "--data: has ids up to %zu, and the model was trained with %zu of them",
                               info.vocabulary - 1, (size_t)r->vocabulary_size);
        info.vocabulary = (size_t)r->vocabulary_size;
    }
    /* No loss: the logits are wanted whole. */
    info.target = TARGET_NONE;
    info.classes = (size_t)r->classes;
    p->room = decode_most(&p->config, info.longest);
    if (p->room > positions) p->room = positions;
    p->batch_size = r->config->train.batch_size < p->sequences ? r->config->train.batch_size : p->sequences;
    share = p->batch_size / shards + (p->batch_size % shards != 0);
    if (!size_multiply(share, p->config.beams, &beginnings))
        return status_fail(ERR_USAGE, "--beam (command line): %zu beams of %zu sequences overflow", p->config.beams,
                           share);
    EngineUse use = {.info = &info,
                     .shards = shards,
                     .batch_size = p->batch_size,
                     .max_length = info.longest,
                     .max_target_length = p->room > info.longest_target ? p->room : info.longest_target,
                     .max_target_rows = info.longest_target ? info.longest_target : 1,
                     .max_beginnings = beginnings};
    if (looks) use.max_target_rows = use.max_target_length; /* a pass reads the results as targets */
    TRY(engine_create(p->comm, r->config, &use, &p->engine));
    Status status = engine_load(p->engine, r->file);
    return status == OK ? OK : status_context(status, "%s", r->path);
}

static Status make_room(Predictor *p) {
    size_t shards = comm_size(p->comm), share = p->batch_size / shards + 1, cells;
    if (!size_multiply(share, p->room, &cells)) return status_fail(ERR_USAGE, "predict: sizes overflow");
    LoaderConfig loader = {.batch_size = p->batch_size};
    TRY(loader_create(p->engine, p->data, SPLIT_ALL, loader, &p->loader));
    TRY(decoder_create(p->engine, &p->config, p->room, &p->decoder));
    p->decoded = calloc(share, sizeof *p->decoded);
    p->head = calloc(share, sizeof *p->head);
    p->symbol = calloc(cells, sizeof *p->symbol);
    p->all = calloc(p->sequences, sizeof *p->all);
    p->text = calloc(p->sequences, sizeof *p->text);
    if (p->decoded && p->head && p->symbol && p->all && p->text) return OK;
    return status_fail(ERR_USAGE, "memory: no room for the results of %zu sequences; give fewer at once", p->sequences);
}

/* ---- passes -------------------------------------------------------------------------------------------- */

/* Loss of the targets that are given, by the pass that has read them. */
static void score_targets(const Predictor *p, const Batch *batch, const Value *out) {
    const Rows *rows = &batch->rows;
    for (size_t b = 0; b < rows->sequences; b++) {
        Head *h = &p->head[b];
        *h = (Head){0};
        for (size_t row = rows->target_offset[b]; batch->classes && row < rows->target_offset[b + 1]; row++) {
            h->loss -= log_probability(out->v + row * out->features, out->features, (size_t)batch->classes[row]);
            h->targets++;
        }
    }
}

static void take_result(Predictor *p, const Batch *batch, size_t i) {
    const Decoded *d = &p->decoded[i];
    Head *h = &p->head[i];
    h->log_probability = d->log_probability;
    h->count = d->count;
    h->ended = d->ended;
    memcpy(p->symbol + i * p->room, d->symbol, d->count * sizeof *d->symbol);
    const int32_t *wanted = h->targets ? batch->classes + batch->rows.target_offset[i] : NULL;
    h->exact =
        wanted && d->ended && d->count + 1 == h->targets && memcmp(d->symbol, wanted, d->count * sizeof *wanted) == 0;
}

static Status decode_share(Predictor *p, size_t index, size_t first) {
    const Engine *e = p->engine;
    const Batch *batch = loader_load(p->loader, 0, index, e->first_shard, e->end_shard);
    const Value *out = model_forward(e->model, batch, false);
    if (!out) return status_fail(ERR_USAGE, "memory: no room for the model's output; lower --max-length");
    score_targets(p, batch, out);
    decoder_run(p->decoder, batch, first, p->decoded);
    for (size_t i = 0; i < batch->rows.sequences; i++) take_result(p, batch, i);
    return OK;
}

/* A share of `count` sequences from `first` on. */
static Status keep_share(Predictor *p, size_t first, size_t count) {
    for (size_t i = 0; i < count; i++) {
        size_t symbols = p->head[i].count;
        int32_t *text = malloc((symbols + 1) * sizeof *text);
        if (!text) return status_fail(ERR_USAGE, "memory: no room for the results; give fewer at once");
        memcpy(text, p->symbol + i * p->room, symbols * sizeof *text);
        text[symbols] = (int32_t)p->config.symbols;
        p->all[first + i] = p->head[i];
        p->text[first + i] = text;
    }
    return OK;
}

static void exchange_share(Predictor *p, size_t from, size_t count) {
    void *block[] = {p->head, p->symbol};
    size_t bytes[] = {count * sizeof *p->head, count * p->room * sizeof *p->symbol};
    for (size_t i = 0; i < 2 && count > 0; i++) {
        if (comm_rank(p->comm) == 0) comm_receive(p->comm, from, block[i], bytes[i]);
        else comm_send(p->comm, 0, block[i], bytes[i]);
    }
}

static Status decode_batch(Predictor *p, size_t index) {
    size_t first = index * p->batch_size, rest = p->sequences - first, ranks = comm_size(p->comm), start, end;
    size_t count = rest < p->batch_size ? rest : p->batch_size;
    comm_phase(p->comm, "prediction", index);
    fold_items(count, ranks, comm_rank(p->comm), &start, &end);
    TRY(comm_agree(p->comm, decode_share(p, index, first + start)));
    Status status = keep_share(p, first + start, end - start);
    if (comm_rank(p->comm) != 0) exchange_share(p, 0, end - start);
    for (size_t r = 1; r < ranks && comm_rank(p->comm) == 0; r++) {
        fold_items(count, ranks, r, &start, &end);
        exchange_share(p, r, end - start);
        /* After a failure the other shares are still taken, so that nobody waits. */
        if (status == OK) status = keep_share(p, first + start, end - start);
    }
    return comm_agree(p->comm, status);
}

/* ---- attention ----------------------------------------------------------------------------------------- */

/* Steps of a result: its symbols, and the one that said the end. */
static size_t steps_of(const Head *head) {
    return head->count + head->ended;
}

/* The longest result of all ranks. */
static Status find_longest(const Predictor *p, size_t *longest) {
    size_t mine = 1, *all = calloc(comm_size(p->comm), sizeof *all);
    TRY(comm_agree(p->comm, all ? OK : status_fail(ERR_USAGE, "memory: no room for a number per rank; free some")));
    for (size_t i = 0; i < p->sequences; i++)
        if (steps_of(&p->all[i]) > mine) mine = steps_of(&p->all[i]);
    comm_exchange(p->comm, &mine, sizeof mine, all);
    for (size_t r = *longest = 0; r < comm_size(p->comm); r++)
        if (all[r] > *longest) *longest = all[r];
    free(all);
    return OK;
}

/* The batch as if the results were its targets. */
static void read_results(const Predictor *p, size_t first, Rows *rows, size_t *offset, int32_t *ids) {
    rows->target_offset = offset;
    rows->target_longest = 1;
    for (size_t b = offset[0] = 0; b < rows->sequences; b++) {
        size_t steps = steps_of(&p->all[first + b]), row = offset[b];
        ids[row] = (int32_t)p->config.symbols;
        memcpy(ids + row + 1, p->text[first + b], (steps ? steps - 1 : 0) * sizeof *ids);
        offset[b + 1] = row + (steps ? steps : 1);
        if (steps > rows->target_longest) rows->target_longest = steps;
    }
}

static Status show_batches(const Predictor *p, Loader *loader, AttentionWriter *writer, size_t *offset, int32_t *ids) {
    const Engine *e = p->engine;
    for (size_t b = 0; b < loader_batches(loader); b++) {
        size_t first = b * p->batch_size, rest = p->sequences - first, start, end;
        fold_items(rest < p->batch_size ? rest : p->batch_size, comm_size(p->comm), comm_rank(p->comm), &start, &end);
        Batch batch = *loader_load(loader, 0, b, e->first_shard, e->end_shard);
        read_results(p, first + start, &batch.rows, offset, ids);
        batch.target_ids = ids;
        TRY(attention_batch(writer, &batch, first + start));
    }
    return OK;
}

static Status show_attention(const Predictor *p, const char *path) {
    const ModelSpec *spec = &p->engine->spec;
    AttentionTargets targets = {.symbol = (const int32_t *const *)p->text,
                                .vocabulary = p->restored->target_vocabulary};
    TRY(find_longest(p, &targets.longest));
    Loader *loader = NULL;
    AttentionWriter *writer = NULL;
    size_t *length = calloc(p->sequences, sizeof *length), *offset = calloc(spec->max_sequences + 1, sizeof *offset);
    int32_t *ids = calloc(spec->max_target_rows + 1, sizeof *ids);
    Status status =
        length && offset && ids
            ? loader_create(p->engine, p->data, SPLIT_ALL, (LoaderConfig){.batch_size = p->batch_size}, &loader)
            : status_fail(ERR_USAGE, "memory: no room for a batch; give fewer sequences at once");
    status = comm_agree(p->comm, status);
    for (size_t i = 0; i < p->sequences && status == OK; i++) length[i] = steps_of(&p->all[i]);
    targets.length = length;
    if (status == OK) status = attention_create(p->engine, p->data, p->restored->vocabulary, &targets, path, &writer);
    if (status == OK) status = show_batches(p, loader, writer, offset, ids);
    if (status == OK) status = attention_publish(&writer);
    attention_abandon(&writer);
    loader_destroy(&loader);
    free(length);
    free(offset);
    free(ids);
    return status;
}

/* ---- results ------------------------------------------------------------------------------------------- */

static Status write_results(const Predictor *p, const char *path) {
    PredictionForm form = {.classes = true,
                           .per_step = true,
                           .log_probability = true,
                           .columns = (size_t)p->restored->classes,
                           .sequences = p->sequences,
                           .longest = 1,
                           .vocabulary = p->restored->target_vocabulary};
    for (size_t i = 0; i < p->sequences; i++)
        if (p->all[i].count > form.longest) form.longest = p->all[i].count;
    PredictionFile *file = NULL;
    TRY(prediction_create(path, &form, &file));
    for (size_t i = 0; i < p->sequences; i++) {
        Prediction one = {.rows = p->all[i].count, .class = p->text[i], .log_probability = p->all[i].log_probability};
        Status status = prediction_put(file, &one);
        if (status != OK) {
            prediction_abandon(&file);
            return status;
        }
    }
    return prediction_publish(&file);
}

static void report(const Predictor *p) {
    double loss = 0, targets = 0;
    size_t exact = 0, cut = 0;
    for (size_t i = 0; i < p->sequences; i++) {
        loss += p->all[i].loss;
        targets += (double)p->all[i].targets;
        exact += p->all[i].exact;
        cut += !p->all[i].ended;
    }
    if (cut > 0)
        log_warn("%zu of %zu results reached the maximum length without an end; --max-length allows more", cut,
                 p->sequences);
    if (targets > 0)
        log_info("%zu sequences: exact match %.6g (%zu), loss %.9g, perplexity %.9g", p->sequences,
                 (double)exact / (double)p->sequences, exact, loss / targets, exp(loss / targets));
}

static Status finish(const Predictor *p, const char *path) {
    if (comm_rank(p->comm) != 0) return OK;
    TRY(write_results(p, path));
    report(p);
    return OK;
}

static void release(Predictor *p) {
    decoder_destroy(&p->decoder);
    loader_destroy(&p->loader);
    engine_destroy(&p->engine);
    if (p->data) data_close(&p->data);
    for (size_t i = 0; p->text && i < p->sequences; i++) free(p->text[i]);
    free(p->text);
    free(p->all);
    free(p->decoded);
    free(p->head);
    free(p->symbol);
}

static Status run(Predictor *p, const char *data, const char *out, const char *attention) {
    TRY(comm_agree(p->comm, open_data(p->restored, data, &p->data)));
    p->sequences = data_sequences(p->data, SPLIT_ALL);
    TRY(build(p, attention != NULL));
    TRY(comm_agree(p->comm, make_room(p)));
    for (size_t b = 0; b < loader_batches(p->loader); b++) TRY(decode_batch(p, b));
    if (attention) TRY(show_attention(p, attention));
    return comm_agree(p->comm, finish(p, out));
}

Status predict_decoded(Comm *comm, const Restored *restored, const char *data, const char *out, const char *attention,
                       const DecodeOptions *options) {
    Predictor p = {.comm = comm, .restored = restored};
    Sampling sampling;
    TRY(configure(&p, options, &sampling));
    Status status = run(&p, data, out, attention);
    release(&p);
    return status;
}
