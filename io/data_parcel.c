/* SPDX-License-Identifier: MIT
 *
 * data_parcel.c: a label of fixed size, then blocks that start on pages. */
#include "io/data_parcel.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "comm/arena.h"
#include "io/files.h"

enum { PAGE = 65536 }; /* a multiple of every page size in use */

typedef struct Block {
    uint64_t at, bytes;
} Block;

typedef struct Label {
    DataInfo info;
    size_t stores;
    struct {
        size_t tokens; /* 0: no vocabulary */
        TokenizerKind tokenizer;
        Block text;  /* of the tokens, each with its end */
    } vocabulary[2]; /* of the inputs, of the targets */
    struct {
        size_t sequences, stride;
        CellType type[3];
        Block column[3], offset, target_offset;
    } store[DATA_STORES];
} Label;

static Status put(int file, const void *data, size_t bytes, uint64_t *end, Block *out) {
    *out = (Block){*end, bytes};
    int error = bytes ? write_at(file, data, bytes, *end) : 0;
    if (error != 0) return status_fail(ERR_USAGE, "data: no memory for %zu bytes: %s", bytes, strerror(error));
    *end += (bytes + PAGE - 1) / PAGE * PAGE;
    return OK;
}

static Status put_tokens(int file, const Vocabulary *vocabulary, uint64_t *end, Label *label, size_t side) {
    if (!vocabulary) return OK;
    label->vocabulary[side].tokens = vocabulary->size;
    label->vocabulary[side].tokenizer = vocabulary->tokenizer;
    if (!vocabulary->token) return OK;
    size_t bytes = 0, used = 0;
    for (size_t i = 0; i < vocabulary->size; i++) bytes += strlen(vocabulary->token[i]) + 1;
    char *text;
    TRY(cells_allocate(bytes, 1, "vocabulary", (void **)&text));
    for (size_t i = 0; i < vocabulary->size; i++) {
        size_t length = strlen(vocabulary->token[i]) + 1;
        memcpy(text + used, vocabulary->token[i], length);
        used += length;
    }
    Status status = put(file, text, bytes, end, &label->vocabulary[side].text);
    free(text);
    return status;
}

Status parcel_send(Data *data, int file) {
    Label label = {.info = data->info, .stores = data->stores};
    uint64_t end = PAGE;
    for (size_t i = 0; i < data->stores; i++) {
        Store *store = &data->store[i];
        Column *column[] = {&store->input, &store->target, &store->context};
        label.store[i].sequences = store->sequences;
        label.store[i].stride = store->stride;
        for (size_t c = 0; c < 3; c++) {
            label.store[i].type[c] = column[c]->type;
            TRY(put(file, column[c]->cell, column[c]->cells * cell_bytes(column[c]->type), &end,
                    &label.store[i].column[c]));
            column_free(column[c]);
        }
        size_t offsets = store->offset ? (store->sequences + 1) * sizeof *store->offset : 0;
        TRY(put(file, store->offset, offsets, &end, &label.store[i].offset));
        offsets = store->target_offset ? (store->sequences + 1) * sizeof *store->target_offset : 0;
        TRY(put(file, store->target_offset, offsets, &end, &label.store[i].target_offset));
    }
    TRY(put_tokens(file, data->vocabulary, &end, &label, 0));
    TRY(put_tokens(file, data->target_vocabulary, &end, &label, 1));
    uint64_t start = 0;
    Block whole;
    return put(file, &label, sizeof label, &start, &whole);
}

static Status torn(const char *path) {
    return status_fail(ERR_DATA, "%s: libhdf5 did not survive reading it: the file is damaged; write it anew", path);
}

static Status get(int file, const char *path, const Block *block, void **out) {
    TRY(cells_allocate(block->bytes, 1, path, out));
    if (read_at(file, *out, block->bytes, block->at) == 0) return OK;
    free(*out);
    *out = NULL;
    return torn(path);
}

static Status map_column(int file, const char *path, const Block *block, CellType type, Column *out) {
    if (block->bytes == 0) return OK;
    struct stat stat;
    if (fstat(file, &stat) != 0 || block->at % PAGE != 0 || block->bytes > (uint64_t)stat.st_size ||
        block->at > (uint64_t)stat.st_size - block->bytes || (unsigned)type > CELL_F32)
        return torn(path);
    size_t cells = block->bytes / cell_bytes(type);
    void *cell = mmap(NULL, block->bytes, PROT_READ, MAP_PRIVATE, file, (off_t)block->at);
    if (cell == MAP_FAILED)
        return status_fail(ERR_USAGE, "%s: no memory for %llu bytes", path, (unsigned long long)block->bytes);
    *out = (Column){.type = type, .cell = cell, .cells = cells, .room = cells, .mapped = block->bytes};
    return OK;
}

/* [sequences + 1]; none where the block is empty. */
static Status get_offsets(int file, const char *path, const Block *block, size_t sequences, size_t **out) {
    if (block->bytes == 0) return OK;
    if (block->bytes / sizeof **out != sequences + 1) return torn(path);
    return get(file, path, block, (void **)out);
}

static Status get_tokens(int file, const char *path, const Label *label, size_t side, Vocabulary **out) {
    size_t tokens = label->vocabulary[side].tokens;
    TokenizerKind tokenizer = label->vocabulary[side].tokenizer;
    const Block *block = &label->vocabulary[side].text;
    if (tokens == 0) return OK;
    if ((unsigned)tokenizer >= TOKENIZERS) return torn(path);
    if (tokenizer == TOKENIZER_BYTE) return vocabulary_from_tokens(TOKENIZER_BYTE, NULL, tokens, out);
    char *text = NULL;
    const char **token = NULL;
    TRY(get(file, path, block, (void **)&text));
    Status status = cells_allocate(tokens, sizeof *token, path, (void **)&token);
    size_t used = 0;
    for (size_t i = 0; i < tokens && status == OK; i++) {
        size_t left = block->bytes - used, length = strnlen(text + used, left);
        if (length == left) status = torn(path);
        token[i] = text + used;
        used += length + 1;
    }
    if (status == OK) status = vocabulary_from_tokens(tokenizer, token, tokens, out);
    free(token);
    free(text);
    return status;
}

Status parcel_receive(int file, const char *path, Data *data) {
    Label label;
    if (read_at(file, &label, sizeof label, 0) != 0 || label.stores < 1 || label.stores > DATA_STORES)
        return torn(path);
    data->info = label.info;
    data->stores = label.stores;
    for (size_t i = 0; i < data->stores; i++) {
        Store *store = &data->store[i];
        store->sequences = label.store[i].sequences;
        store->stride = label.store[i].stride;
        TRY(map_column(file, path, &label.store[i].column[0], label.store[i].type[0], &store->input));
        TRY(map_column(file, path, &label.store[i].column[1], label.store[i].type[1], &store->target));
        TRY(map_column(file, path, &label.store[i].column[2], label.store[i].type[2], &store->context));
        TRY(get_offsets(file, path, &label.store[i].offset, store->sequences, &store->offset));
        TRY(get_offsets(file, path, &label.store[i].target_offset, store->sequences, &store->target_offset));
    }
    TRY(get_tokens(file, path, &label, 0, &data->vocabulary));
    return get_tokens(file, path, &label, 1, &data->target_vocabulary);
}
