/* SPDX-License-Identifier: MIT
 *
 * data_tokens.c: text that somebody has made into ids: HDF5 (a data set `tokens` [N], /vocabulary or an
 * attribute num_embeddings where it has one), .npy, or anything else as uint16, little-endian. The same ids
 * give the same data in any of these forms. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/apart.h"
#include "io/data_parcel.h"
#include "io/data_windows.h"
#include "io/h5_field.h"
#include "io/h5_vocabulary.h"
#include "io/load.h"
#include "io/npy.h"
#include "io/path.h"
#include "io/vocabulary_codes.h"

static const int64_t ID_LIMIT = INT32_MAX;

/* What one file gives. */
typedef struct Source {
    const char *path;
    Column token;
    size_t vocabulary; /* what the file says, 0: nothing */
    Vocabulary *texts;
    int64_t most;
} Source;

/* ---- HDF5 ---------------------------------------------------------------------------------------------- */

static Status read_open(hid_t file, const char *path, Data *data) {
    Field field;
    int64_t size = 0, most;
    TRY(field_open(file, path, "tokens", &field));
    if (field.set < 0 || field.rank != 1 || !field.integers)
        return status_fail(ERR_DATA, "%s: %s; kind tokens needs a data set tokens [N] of integers", path,
                           field.set < 0 ? "has no data set tokens"
                                         : "data set tokens is not one dimension of integers");
    TRY(h5_vocabulary_read(file, path, "vocabulary", &data->vocabulary));
    if (H5Aexists(file, "num_embeddings") > 0 &&
        (!h5_get_integer(file, "num_embeddings", &size) || size < 1 || size > ID_LIMIT))
        return status_fail(ERR_DATA, "%s: attribute num_embeddings: must be one integer from 1 to %d", path, INT32_MAX);
    if (data->vocabulary) size = (int64_t)data->vocabulary->size;
    FieldRange range = {size ? size : ID_LIMIT, false,
                        data->vocabulary ? ", the size of data set vocabulary"
                        : size           ? ", attribute num_embeddings"
                                         : ""};
    TRY(field_integers(&field, 1, NULL, range, &data->store[0].input, &most));
    data->stores = 1;
    data->info.vocabulary = (size_t)size;
    return OK;
}

typedef struct Reading {
    const char *path;
    Data *data;
} Reading;

/* In a process of its own, like every file of HDF5 that others wrote. */
static Status read_apart(void *context, int result) {
    Reading *reading = context;
    apart_progress(reading->path, 0);
    TRY(load_check(reading->path, NULL));
    hid_t file = h5_open_read(reading->path);
    if (file < 0) return h5_fail(ERR_DATA, "%s: cannot be opened as HDF5", reading->path);
    TRY(read_open(file, reading->path, reading->data));
    return parcel_send(reading->data, result);
}

static Status take_parcel(int result, Data *parcel, Source *source) {
    TRY(parcel_receive(result, source->path, parcel));
    source->vocabulary = parcel->info.vocabulary;
    source->token = parcel->store[0].input;
    parcel->store[0].input = (Column){0};
    source->texts = parcel->vocabulary;
    parcel->vocabulary = NULL;
    return OK;
}

static Status read_h5(Source *source) {
    Data *parcel;
    int result;
    TRY(cells_allocate(1, sizeof *parcel, source->path, (void **)&parcel));
    memset(parcel, 0, sizeof *parcel);
    Reading reading = {source->path, parcel};
    h5_lock();
    Status status = apart_run(read_apart, &reading, &result);
    h5_unlock();
    if (status == OK) {
        status = take_parcel(result, parcel, source);
        close(result);
    }
    data_close(&parcel);
    return status;
}

/* ---- .npy and plain ------------------------------------------------------------------------------------- */

static Status read_npy(const FileBytes *file, Source *source) {
    Npy npy;
    TRY(npy_parse(source->path, file, &npy));
    TRY(column_create(&source->token, CELL_U8, npy.count, source->path));
    for (size_t i = 0; i < npy.count; i++) {
        int64_t id = npy_number(file, &npy, i);
        if (id < 0 || id >= ID_LIMIT)
            return status_fail(ERR_DATA, "%s: number %zu is %lld: must be from 0 to %lld", source->path, i,
                               (long long)id, (long long)ID_LIMIT - 1);
        TRY(column_append(&source->token, &id, 1, source->path));
    }
    return OK;
}

/* Large ids stay where the file is; small ones get small cells as everywhere. */
static Status take_plain(FileBytes *file, Source *source) {
    size_t count = file->bytes / sizeof(uint16_t);
    if (file->bytes % sizeof(uint16_t) != 0)
        return status_fail(
            ERR_DATA,
            "%s: has %zu bytes, an odd number: not ids of two bytes (uint16, little-endian); name HDF5 files .h5",
            source->path, file->bytes);
    const uint16_t *id = (const uint16_t *)(const void *)file->data;
    uint16_t most = 0;
    for (size_t i = 0; i < count; i++)
        if (id[i] > most) most = id[i];
    if (most > UINT8_MAX) {
        source->token =
            (Column){.type = CELL_U16, .cell = file->data, .cells = count, .room = count, .mapped = file->mapped};
        *file = (FileBytes){0};
        return OK;
    }
    TRY(column_create(&source->token, CELL_U8, count, source->path));
    for (size_t i = 0; i < count; i++) column_put(&source->token, id[i]);
    return OK;
}

static Status read_plain(Source *source) {
    FileBytes file;
    TRY(load_file(source->path, &file));
    Status status = npy_is(&file) ? read_npy(&file, source) : take_plain(&file, source);
    load_free(&file);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------------------ */

static int64_t largest(const Column *token) {
    enum { BLOCK = 4096 };
    int32_t block[BLOCK];
    int64_t most = -1;
    for (size_t first = 0; first < token->cells; first += BLOCK) {
        size_t n = token->cells - first < BLOCK ? token->cells - first : BLOCK;
        column_integers(token, first, n, block);
        for (size_t i = 0; i < n; i++)
            if (block[i] > most) most = block[i];
    }
    return most;
}

static Status read_source(Source *source) {
    bool h5 = path_is_hdf5(source->path);
    TRY(h5 ? read_h5(source) : read_plain(source));
    source->most = largest(&source->token);
    return OK;
}

static bool same_texts(const Vocabulary *a, const Vocabulary *b) {
    if (a->tokenizer != b->tokenizer || a->size != b->size) return false;
    for (size_t i = 0; a->token && i < a->size; i++)
        if (strcmp(a->token[i], b->token[i]) != 0) return false;
    return true;
}

/* The size of the vocabulary: what the model, a file or the largest id says. */
static Status find_vocabulary(const DataConfig *config, Source source[DATA_STORES], Data *data, size_t *size) {
    const Vocabulary *texts = config->vocabulary ? config->vocabulary : source[0].texts;
    *size = texts ? texts->size : config->num_classes ? config->num_classes : source[0].vocabulary;
    for (size_t i = 0; i < data->stores; i++) {
        if (texts && source[i].texts && !same_texts(texts, source[i].texts))
            return status_fail(ERR_DATA,
                               "%s: data set vocabulary: is not that of %s; prepare the data from the same texts",
                               source[i].path, config->vocabulary ? "the model" : source[0].path);
        if (*size && source[i].most >= (int64_t)*size)
            return status_fail(ERR_DATA, "%s: holds the id %lld, and the vocabulary has %zu", source[i].path,
                               (long long)source[i].most, *size);
    }
    for (size_t i = 0; i < data->stores && !texts && !config->num_classes; i++) {
        if ((size_t)(source[i].most + 1) > *size) *size = (size_t)(source[i].most + 1);
        if (source[i].vocabulary > *size) *size = source[i].vocabulary;
    }
    return texts ? vocabulary_copy(texts, &data->vocabulary) : OK;
}

static Status open_sources(const DataConfig *config, Source source[DATA_STORES], Data *data) {
    size_t vocabulary = 0;
    data->stores = config->validation_path ? 2 : 1;
    for (size_t i = 0; i < data->stores; i++) {
        source[i].path = i ? config->validation_path : config->path[0];
        TRY(read_source(&source[i]));
    }
    TRY(find_vocabulary(config, source, data, &vocabulary));
    Stream stream[DATA_STORES] = {{0}};
    for (size_t i = 0; i < data->stores; i++) {
        data->store[i].input = source[i].token;
        source[i].token = (Column){0};
        stream[i] = (Stream){source[i].path, data->store[i].input.cells};
    }
    return windows_cut(config, stream, vocabulary, data);
}

Status data_open_tokens(const DataConfig *config, Data *data) {
    TRY(data_one_path(config, "tokens"));
    Source source[DATA_STORES] = {{0}};
    Status status = open_sources(config, source, data);
    for (size_t i = 0; i < DATA_STORES; i++) {
        column_free(&source[i].token);
        vocabulary_destroy(&source[i].texts);
    }
    return status;
}
