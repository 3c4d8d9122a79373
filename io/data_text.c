/* SPDX-License-Identifier: MIT
 *
 * data_text.c: running text as one long column of tokens, cut into windows. The target of a token is
 * the next one, so the targets are the same column one cell on. Files are read one at a time, twice for
 * characters (collect, then encode); one file of bytes is its own column. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data_parts.h"
#include "io/load.h"
#include "io/vocabulary_codes.h"

enum { NAME_BYTES = 512 };

/* The files of one store. */
typedef struct Source {
    PathList paths;
    char name[NAME_BYTES]; /* for messages */
    size_t tokens;
} Source;

static Status source_open(const char *const *pattern, size_t patterns, Source *out) {
    *out = (Source){0};
    TRY(paths_expand(pattern, patterns, &out->paths));
    if (out->paths.count == 1)
        snprintf(out->name, sizeof out->name, "%s", out->paths.path[0]);
    else
        snprintf(out->name, sizeof out->name, "%s and %zu more", out->paths.path[0], out->paths.count - 1);
    return OK;
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

static Status read_bytes(Source *source, Column *token) {
    if (source->paths.count == 1) {
        FileBytes file;
        TRY(load_file(source->paths.path[0], &file));
        *token = (Column){.type = CELL_U8, .cell = file.data, .cells = file.bytes, .room = file.bytes, .mapped = file.mapped};
        source->tokens = file.bytes;
        return OK;
    }
    for (size_t i = 0; i < source->paths.count; i++) {
        size_t bytes;
        TRY(load_check(source->paths.path[i], &bytes));
        source->tokens += bytes;
    }
    TRY(column_create(token, CELL_U8, source->tokens, source->name));
    for (size_t i = 0; i < source->paths.count; i++) {
        FileBytes file;
        TRY(load_file(source->paths.path[i], &file));
        size_t fits = token->room - token->cells;
        if (file.bytes <= fits) memcpy((char *)token->cell + token->cells, file.data, file.bytes);
        token->cells += file.bytes <= fits ? file.bytes : 0;
        load_free(&file);
    }
    if (token->cells == source->tokens) return OK;
    return status_fail(ERR_DATA, "%s: changed while it was read; does something still write it?", source->name);
}

/* ---- characters -------------------------------------------------------------------------------------- */

static Status collect(Source *source, CodeSet *set) {
    for (size_t i = 0; i < source->paths.count; i++) {
        const char *path = source->paths.path[i];
        FileBytes file;
        size_t count = 0;
        TRY(load_file(path, &file));
        Status status = codes_add_text(set, path, file.data, file.bytes, &count);
        load_free(&file);
        TRY(status);
        source->tokens += count;
    }
    return OK;
}

static Status encode_file(const char *path, const FileBytes *file, const CodeTable *table, size_t size, Column *token) {
    for (size_t at = utf8_mark(file->data, file->bytes); at < file->bytes;) {
        size_t start = at;
        int32_t code = utf8_next(file->data, file->bytes, &at);
        if (code < 0) return utf8_fail(path, file->data, start);
        int32_t id = code_table_id(table, code);
        if (id < 0) return vocabulary_lacks(path, file->data, start, code, "vocabulary", size);
        if (token->cells == token->room)
            return status_fail(ERR_DATA, "%s: changed while it was read; does something still write it?", path);
        column_put(token, id);
    }
    return OK;
}

static Status encode(const Source *source, const CodeTable *table, size_t size, Column *token) {
    TRY(column_create(token, cell_type_for((int64_t)size - 1), source->tokens, source->name));
    for (size_t i = 0; i < source->paths.count; i++) {
        FileBytes file;
        TRY(load_file(source->paths.path[i], &file));
        Status status = encode_file(source->paths.path[i], &file, table, size, token);
        load_free(&file);
        TRY(status);
    }
    return OK;
}

static Status make_vocabulary(const DataConfig *config, Source *source, size_t sources, Vocabulary **out) {
    CodeSet *set;
    TRY(cells_allocate(1, sizeof *set, "vocabulary", (void **)&set));
    memset(set, 0, sizeof *set);
    Status status = OK;
    for (size_t i = 0; i < sources && status == OK; i++) status = collect(&source[i], set);
    if (status == OK)
        status = config->vocabulary ? vocabulary_copy(config->vocabulary, out)
                                    : vocabulary_from_codes(config->tokenizer, set, out);
    free(set);
    return status;
}

static Status read_characters(const DataConfig *config, Source *source, Data *data) {
    TRY(make_vocabulary(config, source, data->stores, &data->vocabulary));
    CodeTable table;
    TRY(code_table_make(data->vocabulary, &table));
    Status status = OK;
    for (size_t i = 0; i < data->stores && status == OK; i++)
        status = encode(&source[i], &table, data->vocabulary->size, &data->store[i].input);
    code_table_free(&table);
    return status;
}

/* ---- windows ----------------------------------------------------------------------------------------- */

static size_t windows(size_t tokens, size_t seq_len) {
    return tokens > seq_len ? (tokens - 1) / seq_len : 0;
}

static Status too_short(const char *name, const char *what, size_t tokens, size_t seq_len, const char *remedy) {
    return status_fail(ERR_DATA, "%s: %s has %zu tokens, and one sequence needs %zu (data.seq_len %zu and its last target); %s",
                       name, what, tokens, seq_len + 1, seq_len, remedy);
}

static Status cut_file(const Source *source, const Store *store, const char *what, Piece *out) {
    *out = (Piece){.store = store, .sequences = windows(source->tokens, store->stride)};
    if (out->sequences) return OK;
    return too_short(source->name, what, source->tokens, store->stride, "lower data.seq_len or use a longer text");
}

static Status cut_fraction(const DataConfig *config, const Source *source, Data *data) {
    size_t last = data_last(config->validation, source->tokens), first = source->tokens - last, T = config->seq_len;
    const Store *store = data->store;
    data->piece[SPLIT_TRAIN][0].sequences = windows(first, T);
    data->piece[SPLIT_VALIDATION][0] = (Piece){.store = store, .first_row = first, .sequences = windows(last, T)};
    char what[128];
    if (data->piece[SPLIT_VALIDATION][0].sequences == 0) {
        snprintf(what, sizeof what, "validation split, the last %g of %zu tokens,", config->validation, source->tokens);
        return too_short(source->name, what, last, T,
                         "lower data.seq_len, raise data.validation, or set it to 0 to train without validation");
    }
    if (data->piece[SPLIT_TRAIN][0].sequences == 0) {
        snprintf(what, sizeof what, "training split, the first %g of %zu tokens,", 1 - config->validation, source->tokens);
        return too_short(source->name, what, first, T, "lower data.validation or data.seq_len");
    }
    return OK;
}

static Status cut(const DataConfig *config, const Source *source, Data *data) {
    for (size_t i = 0; i < data->stores; i++) {
        data->store[i].target = column_slice(&data->store[i].input, 1);
        data->store[i].stride = config->seq_len;
    }
    TRY(cut_file(source, data->store, "the text", &data->piece[SPLIT_ALL][0]));
    data->piece[SPLIT_TRAIN][0] = data->piece[SPLIT_ALL][0];
    if (data->stores == 2) {
        TRY(cut_file(source + 1, data->store + 1, "validation split", &data->piece[SPLIT_VALIDATION][0]));
        data->piece[SPLIT_ALL][1] = data->piece[SPLIT_VALIDATION][0];
        return OK;
    }
    return config->validation > 0 ? cut_fraction(config, source, data) : OK;
}

static Status open_sources(const DataConfig *config, Source *source, Data *data) {
    TRY(source_open(config->path, config->paths, &source[0]));
    data->stores = 1;
    if (config->validation_path) {
        TRY(source_open(&config->validation_path, 1, &source[1]));
        data->stores = 2;
    }
    if (config->tokenizer == TOKENIZER_CHAR) {
        TRY(read_characters(config, source, data));
    } else {
        TRY(vocabulary_from_codes(TOKENIZER_BYTE, NULL, &data->vocabulary));
        for (size_t i = 0; i < data->stores; i++) TRY(read_bytes(&source[i], &data->store[i].input));
    }
    TRY(cut(config, source, data));
    size_t size = data->vocabulary->size;
    data->info.ids = true;
    data->info.vocabulary = size;
    data->info.target = TARGET_CLASSES;
    data->info.target_per_step = true;
    TRY(data_classes(config, source->name, size, &data->info.classes));
    size_t rows = data->piece[SPLIT_TRAIN][0].sequences * config->seq_len;
    data->info.unigram_entropy = column_entropy(&data->store[0].target, 0, rows, size);
    return OK;
}

Status data_open_text(const DataConfig *config, Data *data) {
    if (config->seq_len == 0 || config->seq_len >= INT32_MAX)
        return status_fail(ERR_USAGE, "data.seq_len: %zu is not in [1, %d)", config->seq_len, INT32_MAX);
    if (config->vocabulary && config->vocabulary->tokenizer != config->tokenizer)
        return status_fail(ERR_USAGE, "data.tokenizer: not the one of the vocabulary that the model was trained on");
    Source source[DATA_STORES] = {0};
    Status status = open_sources(config, source, data);
    for (size_t i = 0; i < DATA_STORES; i++) paths_free(&source[i].paths);
    return status;
}
