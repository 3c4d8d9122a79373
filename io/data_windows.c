/* SPDX-License-Identifier: MIT
 *
 * data_windows.c: long columns of tokens as sequences. */
#include "io/data_windows.h"

#include <stdio.h>

enum { COUNTED_MOST = 1 << 24 }; /* ids: a table of more would take longer than reading the text */

static size_t windows(size_t tokens, size_t seq_len) {
    return tokens > seq_len ? (tokens - 1) / seq_len : 0;
}

static Status too_short(const char *name, const char *what, size_t tokens, size_t seq_len, const char *remedy) {
    return status_fail(ERR_DATA,
                       "%s: %s has %zu tokens, and one sequence needs %zu (data.seq_len %zu and its last target); %s",
                       name, what, tokens, seq_len + 1, seq_len, remedy);
}

static Status cut_file(const Stream *stream, const Store *store, const char *what, Piece *out) {
    *out = (Piece){.store = store, .sequences = windows(stream->tokens, store->stride)};
    if (out->sequences) return OK;
    return too_short(stream->name, what, stream->tokens, store->stride, "lower data.seq_len or use a longer text");
}

static Status cut_fraction(const DataConfig *config, const Stream *stream, Data *data) {
    size_t last = data_last(config->validation, stream->tokens), first = stream->tokens - last, T = config->seq_len;
    const Store *store = data->store;
    data->piece[SPLIT_TRAIN][0].sequences = windows(first, T);
    data->piece[SPLIT_VALIDATION][0] = (Piece){.store = store, .first_row = first, .sequences = windows(last, T)};
    char what[128];
    if (data->piece[SPLIT_VALIDATION][0].sequences == 0) {
        snprintf(what, sizeof what, "validation split, the last %g of %zu tokens,", config->validation, stream->tokens);
        return too_short(stream->name, what, last, T,
                         "lower data.seq_len, raise data.validation, or set it to 0 to train without validation");
    }
    if (data->piece[SPLIT_TRAIN][0].sequences == 0) {
        snprintf(what, sizeof what, "training split, the first %g of %zu tokens,", 1 - config->validation,
                 stream->tokens);
        return too_short(stream->name, what, first, T, "lower data.validation or data.seq_len");
    }
    return OK;
}

static Status cut(const DataConfig *config, const Stream *stream, Data *data) {
    for (size_t i = 0; i < data->stores; i++) {
        data->store[i].target = column_slice(&data->store[i].input, 1);
        data->store[i].stride = config->seq_len;
    }
    TRY(cut_file(stream, data->store, "the text", &data->piece[SPLIT_ALL][0]));
    data->piece[SPLIT_TRAIN][0] = data->piece[SPLIT_ALL][0];
    if (data->stores == 2) {
        TRY(cut_file(stream + 1, data->store + 1, "validation split", &data->piece[SPLIT_VALIDATION][0]));
        data->piece[SPLIT_ALL][1] = data->piece[SPLIT_VALIDATION][0];
        return OK;
    }
    return config->validation > 0 ? cut_fraction(config, stream, data) : OK;
}

Status windows_cut(const DataConfig *config, const Stream stream[DATA_STORES], size_t vocabulary, Data *data) {
    if (config->seq_len == 0 || config->seq_len >= INT32_MAX)
        return status_fail(ERR_USAGE, "data.seq_len: %zu is not in [1, %d)", config->seq_len, INT32_MAX);
    TRY(cut(config, stream, data));
    data->info.ids = true;
    data->info.vocabulary = vocabulary;
    data->info.target = TARGET_CLASSES;
    data->info.target_per_step = true;
    TRY(data_classes(config, stream->name, vocabulary, &data->info.classes));
    size_t rows = data->piece[SPLIT_TRAIN][0].sequences * config->seq_len;
    if (vocabulary <= COUNTED_MOST)
        data->info.unigram_entropy = column_entropy(&data->store[0].target, 0, rows, vocabulary);
    return OK;
}
