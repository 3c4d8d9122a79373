/* SPDX-License-Identifier: MIT
 *
 * h5_field.c: blocks of about 4 MiB, in whole chunks where the data set has them, because libhdf5
 * unpacks a compressed chunk anew for each read that touches it. */
#include "io/h5_field.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "io/apart.h"

static const size_t BLOCK_BYTES = (size_t)4 << 20, CHUNK_BLOCK_BYTES = (size_t)64 << 20;

/* ---- open -------------------------------------------------------------------------------------------- */

static Status check_type(Field *field) {
    H5_SCOPED type = H5Dget_type(field->set);
    H5T_class_t class = type < 0 ? H5T_NO_CLASS : H5Tget_class(type);
    /* h5py stores bool as an enumeration of FALSE and TRUE. */
    field->integers = class == H5T_INTEGER || class == H5T_ENUM;
    if (field->integers || class == H5T_FLOAT) return OK;
    return status_fail(ERR_DATA, "%s: data set %s: holds neither integers nor floats", field->path, field->name);
}

static Status check_shape(Field *field) {
    hsize_t dim[H5S_MAX_RANK];
    H5_SCOPED space = H5Dget_space(field->set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_dims(space, dim, NULL);
    if (rank < 1 || rank > FIELD_MAX_RANK)
        return status_fail(ERR_DATA, "%s: data set %s: has %d dimensions, not 1 to 3", field->path, field->name,
                           rank < 0 ? 0 : rank);
    field->rank = (size_t)rank;
    field->width = 1;
    for (size_t i = 0; i < field->rank; i++) {
        field->dim[i] = dim[i];
        if (dim[i] == 0)
            return status_fail(ERR_DATA, "%s: data set %s: is empty (dimension %zu is 0)", field->path, field->name, i);
        if (i > 0 && !size_multiply(field->width, dim[i], &field->width))
            return status_fail(ERR_USAGE, "%s: data set %s: its size overflows", field->path, field->name);
    }
    return OK;
}

Status field_open(hid_t file, const char *path, const char *name, Field *out) {
    *out = (Field){.path = path, .name = name, .set = H5I_INVALID_HID};
    if (H5Lexists(file, name, H5P_DEFAULT) <= 0) return OK;
    out->set = H5Oopen(file, name, H5P_DEFAULT);
    if (out->set < 0) return h5_fail(ERR_DATA, "%s: data set %s: cannot be opened", path, name);
    Status status = OK;
    if (H5Iget_type(out->set) != H5I_DATASET) status = status_fail(ERR_DATA, "%s: %s: is not a data set", path, name);
    if (status == OK) status = check_type(out);
    if (status == OK) status = check_shape(out);
    if (status != OK) field_close(out);
    return status;
}

void field_close(Field *field) {
    h5_release(&field->set);
}

void field_place(const Field *field, size_t s, size_t i, char out[FIELD_PLACE]) {
    if (field->rank == 1) snprintf(out, FIELD_PLACE, "%s[%zu]", field->name, s);
    else if (field->rank == 2) snprintf(out, FIELD_PLACE, "%s[%zu, %zu]", field->name, s, i);
    else snprintf(out, FIELD_PLACE, "%s[%zu, %zu, %zu]", field->name, s, i / field->dim[2], i % field->dim[2]);
}

/* ---- blocks ------------------------------------------------------------------------------------------ */

static Status read_block(const Field *field, size_t first, size_t count, hid_t type, void *out) {
    hsize_t start[FIELD_MAX_RANK] = {first}, extent[FIELD_MAX_RANK] = {count}, numbers = count * field->width;
    for (size_t i = 1; i < field->rank; i++) extent[i] = field->dim[i];
    apart_progress(NULL, count * field->width * H5Tget_size(type));
    H5_SCOPED space = H5Dget_space(field->set);
    H5_SCOPED memory = H5Screate_simple(1, &numbers, NULL);
    if (space < 0 || memory < 0 || H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, extent, NULL) < 0 ||
        H5Dread(field->set, type, memory, space, H5P_DEFAULT, out) < 0)
        return h5_fail(ERR_DATA, "%s: data set %s: cannot read sequences %zu to %zu", field->path, field->name, first,
                       first + count - 1);
    return OK;
}

/* Sequences in a block; the product with bytes per sequence has been checked. */
static size_t block_sequences(const Field *field, size_t bytes) {
    size_t block = bytes > BLOCK_BYTES ? 1 : BLOCK_BYTES / bytes;
    hsize_t chunk[FIELD_MAX_RANK];
    H5_SCOPED list = H5Dget_create_plist(field->set);
    if (list >= 0 && H5Pget_layout(list) == H5D_CHUNKED && H5Pget_chunk(list, FIELD_MAX_RANK, chunk) >= 1 &&
        chunk[0] > 0 && chunk[0] <= CHUNK_BLOCK_BYTES / bytes)
        block = (block + chunk[0] - 1) / chunk[0] * chunk[0];
    return block < field->dim[0] ? block : field->dim[0];
}

typedef Status (*TakeSequence)(const Field *field, size_t s, const void *value, size_t count, void *context);

/* Hands the counting numbers of each sequence to `take`, in order. */
static Status each_sequence(const Field *field, size_t rows, const size_t *offset, hid_t type, size_t bytes,
                            TakeSequence take, void *context) {
    size_t per_row = field->width / rows, per_sequence;
    if (!size_multiply(field->width, bytes, &per_sequence))
        return status_fail(ERR_USAGE, "%s: data set %s: its size overflows", field->path, field->name);
    size_t block = block_sequences(field, per_sequence);
    void *buffer;
    TRY(cells_allocate(block, per_sequence, field->name, &buffer));
    Status status = OK;
    for (size_t first = 0; first < field->dim[0] && status == OK; first += block) {
        size_t count = field->dim[0] - first < block ? field->dim[0] - first : block;
        status = read_block(field, first, count, type, buffer);
        for (size_t i = 0; i < count && status == OK; i++) {
            size_t s = first + i, used = offset ? offset[s + 1] - offset[s] : rows;
            status = take(field, s, (const char *)buffer + i * per_sequence, used * per_row, context);
        }
    }
    free(buffer);
    return status;
}

/* The numbers that count, for the room of the column. */
static Status total(const Field *field, size_t rows, const size_t *offset, size_t *out) {
    size_t all = offset ? offset[field->dim[0]] : field->dim[0];
    if (size_multiply(all, offset ? field->width / rows : field->width, out)) return OK;
    return status_fail(ERR_USAGE, "%s: data set %s: its size overflows", field->path, field->name);
}

typedef struct IntegerSink {
    Column *column;
    FieldRange range;
    int64_t most;
} IntegerSink;

static Status take_integers(const Field *field, size_t s, const void *value, size_t count, void *context) {
    IntegerSink *sink = context;
    const int64_t *v = value;
    for (size_t i = 0; i < count; i++) {
        if (v[i] > sink->most) sink->most = v[i];
        if (v[i] >= 0 && v[i] < sink->range.limit) continue;
        if (sink->range.ignored && v[i] == IGNORED_CLASS) continue;
        char place[FIELD_PLACE];
        field_place(field, s, i, place);
        return status_fail(ERR_DATA, "%s: %s is %lld: must be 0 or more%s and below %lld%s", field->path, place,
                           (long long)v[i], sink->range.ignored ? " (or -100, ignored)" : "",
                           (long long)sink->range.limit, sink->range.limit_from);
    }
    return column_append(sink->column, v, count, field->name);
}

Status field_integers(const Field *field, size_t rows, const size_t *offset, FieldRange range, Column *out,
                      int64_t *most) {
    size_t numbers;
    TRY(total(field, rows, offset, &numbers));
    TRY(column_create(out, CELL_U8, numbers, field->name));
    IntegerSink sink = {out, range, -1};
    Status status = each_sequence(field, rows, offset, H5T_NATIVE_INT64, sizeof(int64_t), take_integers, &sink);
    *most = sink.most;
    return status;
}

static Status take_floats(const Field *field, size_t s, const void *value, size_t count, void *context) {
    const float *v = value;
    for (size_t i = 0; i < count; i++) {
        if (isfinite(v[i])) continue;
        char place[FIELD_PLACE];
        field_place(field, s, i, place);
        return status_fail(ERR_DATA, "%s: %s is %s in single precision: all values must be finite", field->path, place,
                           isnan(v[i]) ? "nan"
                           : v[i] > 0  ? "inf"
                                       : "-inf");
    }
    column_append_floats(context, v, count);
    return OK;
}

Status field_floats(const Field *field, size_t rows, const size_t *offset, Column *out) {
    size_t numbers;
    TRY(total(field, rows, offset, &numbers));
    TRY(column_create(out, CELL_F32, numbers, field->name));
    return each_sequence(field, rows, offset, H5T_NATIVE_FLOAT, sizeof(float), take_floats, out);
}

Status field_all(const Field *field, int64_t **out) {
    void *all;
    TRY(cells_allocate(field->dim[0], sizeof **out, field->name, &all));
    Status status = read_block(field, 0, field->dim[0], H5T_NATIVE_INT64, all);
    if (status != OK) {
        free(all);
        return status;
    }
    *out = all;
    return OK;
}
