/* SPDX-License-Identifier: MIT
 *
 * export.c: one array at a time. */
#include "io/export.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint_format.h"
#include "io/column.h"
#include "io/h5_new.h"

static const char MODEL[] = "model/";
enum { MODEL_LENGTH = sizeof MODEL - 1 };

/* NULL for what is not a weight. */
static const char *weight_name(const NamedArray *array) {
    return strncmp(array->name, MODEL, MODEL_LENGTH) == 0 ? array->name + MODEL_LENGTH : NULL;
}

/* The values of an array; *out is the caller's, free(). */
static Status read_array(const CheckpointFile *file, const NamedArray *array, float **out, size_t *bytes) {
    void *data;
    if (!array_bytes(array, bytes)) return status_fail(ERR_INTERNAL, "export: size of %s", array->name);
    TRY(cells_allocate(*bytes, 1, array->name, &data));
    Status status = checkpoint_read(file, array->name, array->rank, array->dim, data);
    if (status != OK) free(data);
    else *out = data;
    return status;
}

/* ---- safetensors -------------------------------------------------------------------------------------- */

static json_t *describe(const NamedArray *array, uint64_t begin, uint64_t end) {
    json_t *shape = json_array();
    for (size_t d = 0; d < array->rank; d++) json_array_append_new(shape, json_integer((json_int_t)array->dim[d]));
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", "F32", "shape", shape, "data_offsets", (json_int_t)begin,
                     (json_int_t)end);
}

static Status make_header(const CheckpointFile *file, char **out) {
    const CheckpointMeta *meta = checkpoint_meta(file);
    char step[24];
    snprintf(step, sizeof step, "%" PRIu64, meta->step);
    json_t *header = json_object();
    int failed = json_object_set_new(
        header, "__metadata__",
        json_pack("{s:s, s:s, s:s}", "format", "pt", "step", step, "state_digest", meta->state_digest));
    uint64_t at = 0;
    for (size_t i = 0; i < checkpoint_arrays(file); i++) {
        const NamedArray *array = checkpoint_array(file, i);
        const char *name = weight_name(array);
        size_t bytes;
        if (!name || !array_bytes(array, &bytes)) continue;
        failed |= json_object_set_new(header, name, describe(array, at, at + bytes));
        at += bytes;
    }
    *out = failed ? NULL : json_dumps(header, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(header);
    return *out ? OK : status_fail(ERR_USAGE, "export: no memory for the header");
}

/* Blanks behind the header let the data start at a multiple of 8. */
static Status write_header(AtomicFile *out, const char *header) {
    static const char blanks[8] = "       ";
    size_t length = strlen(header), padding = (8 - length % 8) % 8;
    uint64_t bytes = length + padding;
    TRY(atomic_write(out, &bytes, sizeof bytes));
    TRY(atomic_write(out, header, length));
    return atomic_write(out, blanks, padding);
}

static Status write_safetensors(const CheckpointFile *file, AtomicFile *out) {
    char *header;
    TRY(make_header(file, &header));
    Status status = write_header(out, header);
    free(header);
    for (size_t i = 0; i < checkpoint_arrays(file) && status == OK; i++) {
        const NamedArray *array = checkpoint_array(file, i);
        float *data;
        size_t bytes;
        if (!weight_name(array)) continue;
        TRY(read_array(file, array, &data, &bytes));
        status = atomic_write(out, data, bytes);
        free(data);
    }
    return status;
}

Status export_safetensors(const CheckpointFile *file, const char *path) {
    AtomicFile out;
    TRY(atomic_create(path, &out));
    Status status = write_safetensors(file, &out);
    if (status == OK) return atomic_publish(&out);
    atomic_abandon(&out);
    return status;
}

/* ---- HDF5 ---------------------------------------------------------------------------------------------- */

static Status put_array(const NewH5 *out, const NamedArray *array, const float *data) {
    hsize_t dim[4] = {0};
    for (size_t d = 0; d < array->rank; d++) dim[d] = array->dim[d];
    H5_SCOPED set = new_h5_set(out, array->name, H5T_IEEE_F32LE, (int)array->rank, dim);
    if (set < 0 || H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0)
        return new_h5_fail(out, array->name);
    return OK;
}

static Status write_h5(const CheckpointFile *file, const NewH5 *out) {
    for (size_t i = 0; i < checkpoint_arrays(file); i++) {
        const NamedArray *array = checkpoint_array(file, i);
        float *data;
        size_t bytes;
        if (!weight_name(array)) continue;
        TRY(read_array(file, array, &data, &bytes));
        h5_lock();
        Status status = put_array(out, array, data);
        h5_unlock();
        free(data);
        TRY(status);
    }
    return OK;
}

Status export_h5(const CheckpointFile *file, const char *path) {
    NewH5 out;
    TRY(new_h5_create(path, &out));
    Status status = write_h5(file, &out);
    if (status == OK) return new_h5_publish(&out);
    new_h5_abandon(&out);
    return status;
}
