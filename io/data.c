/* SPDX-License-Identifier: MIT
 *
 * data.c: opens a kind of data and answers from the stores and pieces it made. Nothing here depends on
 * the kind beyond that. */
#include "io/data.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/data_parts.h"

/* ---- what the kinds share -------------------------------------------------------------------------- */

size_t data_last(double fraction, size_t count) {
    double last = fraction * (double)count;
    /* 0.29 of 100 is 29, though the product of doubles is a little less. */
    size_t whole = (size_t)floor(last + 4 * DBL_EPSILON * last);
    return whole < count ? whole : count;
}

Status data_one_path(const DataConfig *config, const char *kind) {
    if (config->paths == 1) return OK;
    return status_fail(ERR_USAGE, "data.path: data of kind %s is one file, and %zu are named", kind, config->paths);
}

Status data_classes(const DataConfig *config, const char *where, size_t found, size_t *out) {
    *out = config->num_classes ? config->num_classes : found;
    if (*out >= found) return OK;
    return status_fail(ERR_DATA, "%s: the data have %zu classes and the model has %zu", where, found,
                       config->num_classes);
}

Status data_describe_decoder(const DataConfig *config, const char *where, size_t symbols, Data *data) {
    DataInfo *info = &data->info;
    TRY(data_classes(config, where, symbols + 1, &info->classes));
    info->target_per_step = true;
    info->target_vocabulary = info->classes - 1;
    return OK;
}

void store_even_out(Store *store) {
    if (!store->offset || store->sequences == 0) return;
    size_t length = store->offset[1];
    for (size_t i = 0; i < store->sequences; i++) {
        if (store->offset[i + 1] - store->offset[i] != length) return;
    }
    free(store->offset);
    store->offset = NULL;
    store->stride = length;
}

static Piece whole(const Store *store) {
    return (Piece){.store = store, .sequences = store->sequences};
}

Status data_split_sequences(const DataConfig *config, const char *path, Data *data) {
    const Store *store = data->store;
    data->piece[SPLIT_ALL][0] = whole(store);
    data->piece[SPLIT_TRAIN][0] = whole(store);
    if (data->stores == 2) {
        data->piece[SPLIT_ALL][1] = whole(store + 1);
        data->piece[SPLIT_VALIDATION][0] = whole(store + 1);
        return OK;
    }
    size_t last = data_last(config->validation, store->sequences);
    if (config->validation > 0 && last == 0)
        return status_fail(ERR_DATA,
                           "%s: validation split: the last %g of %zu sequences is less than one sequence; raise "
                           "data.validation, or set it to 0 to train without validation",
                           path, config->validation, store->sequences);
    if (last == store->sequences)
        return status_fail(ERR_DATA, "%s: the last %g of %zu sequences leaves none to train on; lower data.validation",
                           path, config->validation, store->sequences);
    data->piece[SPLIT_TRAIN][0].sequences -= last;
    if (last)
        data->piece[SPLIT_VALIDATION][0] = (Piece){.store = store, .first = store->sequences - last, .sequences = last};
    return OK;
}

/* ---- digest ------------------------------------------------------------------------------------------ */

static void hash_number(XXH3_state_t *state, uint64_t number) {
    XXH3_128bits_update(state, &number, sizeof number);
}

static void hash_column(XXH3_state_t *state, const Column *column) {
    size_t cells = column->borrowed ? 0 : column->cells;
    hash_number(state, cells);
    hash_number(state, column->type);
    if (cells) XXH3_128bits_update(state, column->cell, cells * cell_bytes(column->type));
}

static void hash_vocabulary(XXH3_state_t *state, const Vocabulary *vocabulary) {
    hash_number(state, vocabulary ? vocabulary->size : 0);
    if (!vocabulary) return;
    hash_number(state, vocabulary->tokenizer);
    if (!vocabulary->token) return;
    for (size_t i = 0; i < vocabulary->size; i++)
        XXH3_128bits_update(state, vocabulary->token[i], strlen(vocabulary->token[i]) + 1);
}

/* Of what the model sees: how the data are called and cut is the config's part. */
static Status take_digest(Data *data) {
    XXH3_state_t *state = XXH3_createState();
    if (!state) return status_fail(ERR_USAGE, "data: no memory for the digest");
    XXH3_128bits_reset(state);
    const DataInfo *info = &data->info;
    hash_number(state, info->ids);
    hash_number(state, info->features);
    hash_number(state, info->target);
    hash_number(state, info->target_per_step);
    hash_number(state, info->target == TARGET_VALUES ? info->classes : 0);
    hash_vocabulary(state, data->vocabulary);
    hash_vocabulary(state, data->target_vocabulary);
    for (size_t i = 0; i < data->stores; i++) {
        const Store *store = &data->store[i];
        hash_number(state, store->sequences);
        hash_number(state, store->sequences && !store->offset ? store->stride : 0);
        if (store->offset) XXH3_128bits_update(state, store->offset, (store->sequences + 1) * sizeof *store->offset);
        if (store->start) XXH3_128bits_update(state, store->start, store->sequences * sizeof *store->start);
        if (store->target_offset)
            XXH3_128bits_update(state, store->target_offset, (store->sequences + 1) * sizeof *store->target_offset);
        hash_column(state, &store->input);
        hash_column(state, &store->target);
        if (info->context) hash_column(state, &store->context);
    }
    XXH128_hash_t hash = XXH3_128bits_digest(state);
    XXH3_freeState(state);
    data->info.digest[0] = hash.low64;
    data->info.digest[1] = hash.high64;
    return OK;
}

static void measure_lengths(Data *data) {
    size_t shortest = SIZE_MAX, longest = 0;
    for (size_t i = 0; i < data->stores; i++) {
        const Store *store = &data->store[i];
        size_t lengths = store->offset ? store->sequences : 1;
        for (size_t s = 0; s < lengths; s++) {
            size_t length = store->offset ? store->offset[s + 1] - store->offset[s] : store->stride;
            if (length < shortest) shortest = length;
            if (length > longest) longest = length;
        }
        for (size_t s = 0; store->target_offset && s < store->sequences; s++) {
            size_t rows = store->target_offset[s + 1] - store->target_offset[s] + 1;
            if (rows > data->info.longest_target) data->info.longest_target = rows;
        }
    }
    data->info.longest = longest;
    data->info.ragged = shortest != longest;
}

/* ---- data.h ------------------------------------------------------------------------------------------ */

static Status open_kind(const DataConfig *config, Data *data) {
    switch (config->kind) {
    case DATA_TEXT:
        return data_open_text(config, data);
    case DATA_SEQUENCES:
        return data_open_sequences(config, data);
    case DATA_PAIRS:
        return data_open_pairs(config, data);
    case DATA_CSV:
        return data_open_csv(config, data);
    case DATA_TOKENS:
        return data_open_tokens(config, data);
    case DATA_SYNTHETIC:
        return data_open_synthetic(config, data);
    }
    return status_fail(ERR_INTERNAL, "data kind %d", (int)config->kind);
}

Status data_open(const DataConfig *config, Data **out) {
    *out = NULL;
    if (config->paths == 0 && config->kind != DATA_SYNTHETIC) return status_fail(ERR_USAGE, "data.path: names no file");
    if (!(config->validation >= 0 && config->validation < 1))
        return status_fail(ERR_USAGE, "data.validation: %g is not in [0, 1)", config->validation);
    Data *data = calloc(1, sizeof *data);
    if (!data) return status_fail(ERR_USAGE, "data: no memory");
    data->info.unigram_entropy = NAN;
    Status status = open_kind(config, data);
    if (status == OK) status = take_digest(data);
    if (status != OK) {
        data_close(&data);
        return status;
    }
    measure_lengths(data);
    *out = data;
    return OK;
}

void data_close(Data **data) {
    if (!*data) return;
    for (size_t i = 0; i < DATA_STORES; i++) {
        Store *store = &(*data)->store[i];
        column_free(&store->context);
        column_free(&store->target);
        column_free(&store->input);
        free(store->offset);
        free(store->target_offset);
        free(store->start);
        for (size_t row = 0; row < store->times; row++) free(store->time[row]);
        free(store->time);
    }
    vocabulary_destroy(&(*data)->vocabulary);
    vocabulary_destroy(&(*data)->target_vocabulary);
    scaling_destroy(&(*data)->scaling);
    free(*data);
    *data = NULL;
}

const DataInfo *data_info(const Data *data) {
    return &data->info;
}

const Vocabulary *data_vocabulary(const Data *data) {
    return data->vocabulary;
}

const Vocabulary *data_target_vocabulary(const Data *data) {
    return data->target_vocabulary;
}

const Scaling *data_scaling(const Data *data) {
    return data->scaling;
}

size_t data_sequences(const Data *data, Split split) {
    return data->piece[split][0].sequences + data->piece[split][1].sequences;
}

typedef struct Span {
    const Store *store;
    size_t sequence, row, length; /* in the store */
} Span;

static Span find(const Data *data, Split split, size_t sequence) {
    const Piece *piece = data->piece[split];
    if (sequence >= piece->sequences) {
        sequence -= piece->sequences;
        piece++;
    }
    const Store *store = piece->store;
    size_t s = piece->first + sequence;
    if (store->offset) return (Span){store, s, store->offset[s], store->offset[s + 1] - store->offset[s]};
    if (store->start) return (Span){store, s, store->start[s], store->stride};
    return (Span){store, s, piece->first_row + s * store->stride, store->stride};
}

size_t data_length(const Data *data, Split split, size_t sequence) {
    return find(data, split, sequence).length;
}

static size_t target_rows(const Data *data, const Span *span) {
    const size_t *offset = span->store->target_offset;
    if (offset) return offset[span->sequence + 1] - offset[span->sequence] + 1;
    if (data->info.target_vocabulary) return 0;
    return data->info.target_per_step ? span->length : 1;
}

size_t data_target_length(const Data *data, Split split, size_t sequence) {
    Span span = find(data, split, sequence);
    return target_rows(data, &span);
}

static void read_decoded(const Data *data, const Span *span, int32_t *classes) {
    const size_t *offset = span->store->target_offset;
    size_t symbols = offset[span->sequence + 1] - offset[span->sequence];
    column_integers(&span->store->target, offset[span->sequence], symbols, classes);
    classes[symbols] = (int32_t)data->info.target_vocabulary;
}

void data_read(const Data *data, Split split, size_t sequence, int32_t *ids, float *x, int32_t *classes,
               float *values) {
    const DataInfo *info = &data->info;
    Span span = find(data, split, sequence);
    const Column *input = &span.store->input, *target = &span.store->target;
    size_t targets = target_rows(data, &span);
    size_t first = info->target_per_step ? span.row : span.sequence, width = info->classes;
    if (span.store->start) {
        first = span.row + span.length;
        width = span.store->width;
    }
    if (ids && info->ids) column_integers(input, span.row, span.length, ids);
    if (x && !info->ids) column_floats(input, span.row * info->features, span.length * info->features, x);
    if (classes && span.store->target_offset) read_decoded(data, &span, classes);
    else if (classes && info->target == TARGET_CLASSES) column_integers(target, first, targets, classes);
    if (values && info->target == TARGET_VALUES) column_floats(target, first * width, targets * info->classes, values);
}

void data_context(const Data *data, Split split, size_t sequence, float *context) {
    size_t width = data->info.context;
    Span span = find(data, split, sequence);
    if (width) column_floats(&span.store->context, span.sequence * width, width, context);
}

const char *data_time(const Data *data, Split split, size_t sequence) {
    Span span = find(data, split, sequence);
    return span.store->time ? span.store->time[span.row + span.length - 1] : NULL;
}
