/* SPDX-License-Identifier: MIT
 *
 * tokens_write.c: cells of the width that they have in memory. */
#include "io/tokens_write.h"

#include "io/data_parts.h"
#include "io/h5_vocabulary.h"

static hid_t stored_type(CellType type) {
    return type == CELL_U8 ? H5T_STD_U8LE : type == CELL_U16 ? H5T_STD_U16LE : H5T_STD_I32LE;
}

static hid_t memory_type(CellType type) {
    return type == CELL_U8 ? H5T_NATIVE_UINT8 : type == CELL_U16 ? H5T_NATIVE_UINT16 : H5T_NATIVE_INT32;
}

static Status put_all(const NewH5 *file, const Data *data) {
    const Column *token = &data->store[0].input;
    hsize_t cells = token->cells;
    H5_SCOPED set = new_h5_set(file, "tokens", stored_type(token->type), 1, &cells);
    if (set < 0) return new_h5_fail(file, "tokens");
    TRY(new_h5_rows(file, set, memory_type(token->type), token->cell, 0, token->cells, 1));
    return h5_vocabulary_write(file, "vocabulary", data->vocabulary);
}

Status tokens_write(const char *path, const Data *data, size_t *count) {
    NewH5 file;
    *count = data->store[0].input.cells;
    TRY(new_h5_create(path, &file));
    h5_lock();
    Status status = put_all(&file, data);
    h5_unlock();
    if (status == OK) return new_h5_publish(&file);
    new_h5_abandon(&file);
    return status;
}
