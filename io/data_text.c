/* SPDX-License-Identifier: MIT
 *
 * data_text.c: running text as one long column of tokens, cut into windows. The target of a token is
 * the next one, so the targets are the same column one cell on. Files are read one at a time, twice for
 * characters, words and byte pairs (collect, then encode); one file of bytes is its own column. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data_windows.h"
#include "io/load.h"
#include "io/vocabulary_codes.h"
#include "io/words.h"

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
    if (out->paths.count == 1) snprintf(out->name, sizeof out->name, "%s", out->paths.path[0]);
    else snprintf(out->name, sizeof out->name, "%s and %zu more", out->paths.path[0], out->paths.count - 1);
    return OK;
}

/* ---- bytes ------------------------------------------------------------------------------------------- */

static Status read_bytes(Source *source, Column *token) {
    if (source->paths.count == 1) {
        FileBytes file;
        TRY(load_file(source->paths.path[0], &file));
        *token = (Column){
            .type = CELL_U8, .cell = file.data, .cells = file.bytes, .room = file.bytes, .mapped = file.mapped};
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

/* ---- words --------------------------------------------------------------------------------------------- */

static Status collect_words(Source *source, Strings *words) {
    for (size_t i = 0; i < source->paths.count; i++) {
        const char *path = source->paths.path[i];
        FileBytes file;
        TRY(load_file(path, &file));
        Status status =
            words_collect(words, path, file.data, utf8_mark(file.data, file.bytes), file.bytes, &source->tokens);
        load_free(&file);
        TRY(status);
    }
    return OK;
}

static Status encode_words(const Source *source, const Strings *table, Column *token) {
    TRY(column_create(token, cell_type_for((int64_t)table->count - 1), source->tokens, source->name));
    for (size_t i = 0; i < source->paths.count; i++) {
        const char *path = source->paths.path[i];
        FileBytes file;
        TRY(load_file(path, &file));
        Status status =
            words_encode(table, path, file.data, utf8_mark(file.data, file.bytes), file.bytes, "vocabulary", token);
        load_free(&file);
        TRY(status);
    }
    return OK;
}

static Status read_words(const DataConfig *config, Source *source, Data *data) {
    Strings words = {0}, table = {0};
    Status status = OK;
    for (size_t i = 0; i < data->stores && status == OK; i++) status = collect_words(&source[i], &words);
    if (status == OK)
        status = config->vocabulary ? vocabulary_copy(config->vocabulary, &data->vocabulary)
                                    : words_vocabulary(&words, &data->vocabulary);
    strings_free(&words);
    if (status == OK) status = words_table(data->vocabulary, &table);
    for (size_t i = 0; i < data->stores && status == OK; i++)
        status = encode_words(&source[i], &table, &data->store[i].input);
    strings_free(&table);
    return status;
}

/* ---- byte pairs ---------------------------------------------------------------------------------------- */

static Status total_bytes(const Source *source, size_t *total) {
    *total = 0;
    for (size_t i = 0; i < source->paths.count; i++) {
        size_t bytes;
        TRY(load_check(source->paths.path[i], &bytes));
        *total += bytes;
    }
    return OK;
}

static Status collect_chunks(const Source *source, size_t most, BpeChunks *chunks) {
    for (size_t i = 0; i < source->paths.count && most > 0; i++) {
        FileBytes file;
        TRY(load_file(source->paths.path[i], &file));
        const size_t bytes = file.bytes < most ? file.bytes : most;
        const Status status = bpe_collect(chunks, file.data, bytes);
        load_free(&file);
        TRY(status);
        most -= bytes;
    }
    return OK;
}

/* Pairs are learned from what is trained on: the first 1 - validation of the bytes. */
static Status learn_pairs(const DataConfig *config, const Source *source, size_t total, Vocabulary **out) {
    const size_t most = total - (config->validation_path ? 0 : data_last(config->validation, total));
    BpeChunks *chunks;
    Bpe *bpe = NULL;
    TRY(bpe_chunks_create(&chunks));
    Status status = collect_chunks(source, most, chunks);
    if (status == OK) status = bpe_learn(chunks, config->vocab_size, &bpe);
    bpe_chunks_destroy(&chunks);
    return status == OK ? vocabulary_from_bpe(bpe, out) : status;
}

/* A token has a byte at least. */
static Status encode_pairs(Source *source, const Vocabulary *vocabulary, size_t total, Column *token) {
    TRY(column_create(token, cell_type_for((int64_t)vocabulary->size - 1), total, source->name));
    for (size_t i = 0; i < source->paths.count; i++) {
        FileBytes file;
        TRY(load_file(source->paths.path[i], &file));
        const bool fits = file.bytes <= token->room - token->cells;
        for (size_t at = 0; at < file.bytes && fits;) {
            int32_t id[BPE_CHUNK];
            const size_t count = bpe_encode_chunk(vocabulary->bpe, file.data, file.bytes, &at, id);
            for (size_t k = 0; k < count; k++) column_put(token, id[k]);
        }
        load_free(&file);
        if (!fits)
            return status_fail(ERR_DATA, "%s: changed while it was read; does something still write it?", source->name);
    }
    source->tokens = token->cells;
    column_shrink(token);
    return OK;
}

static Status read_pairs(const DataConfig *config, Source *source, Data *data) {
    size_t total[DATA_STORES];
    for (size_t i = 0; i < data->stores; i++) TRY(total_bytes(&source[i], &total[i]));
    if (config->vocabulary) TRY(vocabulary_copy(config->vocabulary, &data->vocabulary));
    else TRY(learn_pairs(config, &source[0], total[0], &data->vocabulary));
    for (size_t i = 0; i < data->stores; i++)
        TRY(encode_pairs(&source[i], data->vocabulary, total[i], &data->store[i].input));
    return OK;
}

/* ---- all of it ---------------------------------------------------------------------------------------- */

static Status open_sources(const DataConfig *config, Source *source, Data *data) {
    TRY(source_open(config->path, config->paths, &source[0]));
    data->stores = 1;
    if (config->validation_path) {
        TRY(source_open(&config->validation_path, 1, &source[1]));
        data->stores = 2;
    }
    if (config->tokenizer == TOKENIZER_CHAR) {
        TRY(read_characters(config, source, data));
    } else if (config->tokenizer == TOKENIZER_WORD) {
        TRY(read_words(config, source, data));
    } else if (config->tokenizer == TOKENIZER_BPE) {
        TRY(read_pairs(config, source, data));
    } else {
        TRY(vocabulary_from_codes(TOKENIZER_BYTE, NULL, &data->vocabulary));
        for (size_t i = 0; i < data->stores; i++) TRY(read_bytes(&source[i], &data->store[i].input));
    }
    const Stream stream[DATA_STORES] = {{source[0].name, source[0].tokens}, {source[1].name, source[1].tokens}};
    return windows_cut(config, stream, data->vocabulary->size, data);
}

Status data_open_text(const DataConfig *config, Data *data) {
    if (config->vocabulary && config->vocabulary->tokenizer != config->tokenizer)
        return status_fail(ERR_USAGE, "data.tokenizer: not the one of the vocabulary that the model was trained on");
    Source source[DATA_STORES] = {0};
    Status status = open_sources(config, source, data);
    for (size_t i = 0; i < DATA_STORES; i++) paths_free(&source[i].paths);
    return status;
}
