/* SPDX-License-Identifier: MIT
 *
 * sequences_write.c: some sequences at a time, padded with zeros to the longest. Targets for a decoder are
 * written without their end symbol. */
#include "io/sequences_write.h"

#include <stdlib.h>
#include <string.h>

#include "io/column.h"
#include "io/h5_vocabulary.h"

static const size_t BLOCK_CELLS = (size_t)1 << 20;

typedef struct Writing {
    NewH5 file;
    const Data *data;
    const DataInfo *info;
    size_t sequences, steps;
    size_t target_steps, targets; /* targets: cells of one sequence */
    hid_t inputs, target, context;
    size_t block; /* sequences */
    void *input_block, *target_block;
    float *context_block;
} Writing;

static bool decodes(const Writing *w) {
    return w->info->target_vocabulary > 0;
}

static bool floats(const Writing *w) {
    return w->info->target == TARGET_VALUES;
}

/* ---- data sets --------------------------------------------------------------------------------------- */

static hid_t integer_type(size_t count) {
    return count <= UINT8_MAX + 1U ? H5T_STD_U8LE : count <= UINT16_MAX + 1U ? H5T_STD_U16LE : H5T_STD_I32LE;
}

static Status put_vocabulary(const Writing *w) {
    const Vocabulary *v = data_vocabulary(w->data), *target = data_target_vocabulary(w->data);
    const DataInfo *info = w->info;
    size_t classes = decodes(w) ? info->target_vocabulary : info->classes;
    if (info->ids && !v && !h5_put_integer(w->file.file, "num_embeddings", (int64_t)info->vocabulary))
        return new_h5_fail(&w->file, "num_embeddings");
    if (info->target == TARGET_CLASSES && !h5_put_integer(w->file.file, "num_classes", (int64_t)classes))
        return new_h5_fail(&w->file, "num_classes");
    if (target && decodes(w)) TRY(h5_vocabulary_write(&w->file, "target_vocabulary", target));
    return v ? h5_vocabulary_write(&w->file, "vocabulary", v) : OK;
}

static size_t input_length(const Data *data, size_t i) {
    return data_length(data, SPLIT_ALL, i);
}

static size_t symbols(const Data *data, size_t i) {
    return data_target_length(data, SPLIT_ALL, i) - 1;
}

static Status put_lengths(const Writing *w, const char *name, size_t (*measure)(const Data *, size_t)) {
    hsize_t sequences = w->sequences;
    int64_t *length;
    TRY(cells_allocate(w->sequences, sizeof *length, name, (void **)&length));
    for (size_t i = 0; i < w->sequences; i++) length[i] = (int64_t)measure(w->data, i);
    H5_SCOPED set = new_h5_set(&w->file, name, H5T_STD_I64LE, 1, &sequences);
    Status status = set < 0 ? new_h5_fail(&w->file, name)
                            : new_h5_rows(&w->file, set, H5T_NATIVE_INT64, length, 0, w->sequences, 1);
    free(length);
    return status;
}

static Status make_sets(Writing *w) {
    const DataInfo *info = w->info;
    hsize_t inputs[] = {w->sequences, w->steps, info->features};
    hsize_t classes[] = {w->sequences, w->target_steps}, values[] = {w->sequences, w->steps, info->classes};
    w->inputs = new_h5_set(&w->file, "inputs", info->ids ? integer_type(info->vocabulary) : H5T_IEEE_F32LE,
                           info->ids ? 2 : 3, inputs);
    if (w->inputs < 0) return new_h5_fail(&w->file, "inputs");
    hsize_t context[] = {w->sequences, info->context};
    if (info->context) w->context = new_h5_set(&w->file, "context", H5T_IEEE_F32LE, 2, context);
    if (info->context && w->context < 0) return new_h5_fail(&w->file, "context");
    if (info->target == TARGET_NONE) return OK;
    if (!floats(w)) {
        w->target = new_h5_set(&w->file, "targets", H5T_STD_I32LE, info->target_per_step ? 2 : 1, classes);
    } else {
        if (!info->target_per_step) values[1] = info->classes;
        w->target = new_h5_set(&w->file, "targets", H5T_IEEE_F32LE, info->target_per_step ? 3 : 2, values);
    }
    return w->target < 0 ? new_h5_fail(&w->file, "targets") : OK;
}

/* ---- sequences ---------------------------------------------------------------------------------------- */

/* All cells have 4 bytes. */
static void read_one(const Writing *w, size_t sequence, size_t at) {
    size_t width = w->steps * (w->info->ids ? 1 : w->info->features);
    int32_t *input = (int32_t *)w->input_block + at * width, *target = (int32_t *)w->target_block + at * w->targets;
    size_t read = decodes(w) ? data_target_length(w->data, SPLIT_ALL, sequence) : 0;
    memset(input, 0, width * sizeof *input);
    memset(target, 0, w->targets * sizeof *target);
    data_read(w->data, SPLIT_ALL, sequence, input, (float *)input, target, (float *)target);
    data_context(w->data, SPLIT_ALL, sequence, w->context_block + at * w->info->context);
    /* The end symbol, which is not stored: behind the longest target it lies where the next sequence will. */
    if (read) target[read - 1] = 0;
}

static Status put_block(const Writing *w, size_t first, size_t count) {
    const DataInfo *info = w->info;
    for (size_t i = 0; i < count; i++) read_one(w, first + i, i);
    size_t width = w->steps * (info->ids ? 1 : info->features);
    h5_lock();
    Status status = new_h5_rows(&w->file, w->inputs, info->ids ? H5T_NATIVE_INT32 : H5T_NATIVE_FLOAT, w->input_block,
                                first, count, width);
    if (status == OK)
        status = new_h5_rows(&w->file, w->target, floats(w) ? H5T_NATIVE_FLOAT : H5T_NATIVE_INT32, w->target_block,
                             first, count, w->targets);
    if (status == OK && info->context)
        status = new_h5_rows(&w->file, w->context, H5T_NATIVE_FLOAT, w->context_block, first, count, info->context);
    h5_unlock();
    return status;
}

static Status put_sequences(Writing *w) {
    size_t width;
    size_t all = w->targets;
    if (__builtin_mul_overflow(w->steps, w->info->ids ? 1 : w->info->features, &width) ||
        __builtin_add_overflow(all, width, &all) || __builtin_add_overflow(all, w->info->context, &all))
        return status_fail(ERR_USAGE, "%s: sizes overflow", w->file.path);
    w->block = all > BLOCK_CELLS ? 1 : BLOCK_CELLS / (all + 1) + 1;
    if (w->block > w->sequences) w->block = w->sequences;
    TRY(cells_allocate(w->block, width * sizeof(int32_t), "sequences", &w->input_block));
    TRY(cells_allocate(w->block, (w->targets + 1) * sizeof(int32_t), "targets", &w->target_block));
    TRY(cells_allocate(w->block, (w->info->context + 1) * sizeof *w->context_block, "context",
                       (void **)&w->context_block));
    for (size_t first = 0; first < w->sequences; first += w->block)
        TRY(put_block(w, first, w->sequences - first < w->block ? w->sequences - first : w->block));
    return OK;
}

static Status put_all(Writing *w) {
    h5_lock();
    Status status = make_sets(w);
    if (status == OK && w->info->ragged) status = put_lengths(w, "lengths", input_length);
    if (status == OK && decodes(w) && w->info->target != TARGET_NONE)
        status = put_lengths(w, "target_lengths", symbols);
    if (status == OK) status = put_vocabulary(w);
    h5_unlock();
    if (status == OK) status = put_sequences(w);
    h5_lock();
    h5_release(&w->inputs);
    h5_release(&w->target);
    h5_release(&w->context);
    h5_unlock();
    free(w->input_block);
    free(w->target_block);
    free(w->context_block);
    return status;
}

Status sequences_write(const char *path, const Data *data) {
    Writing w = {.data = data,
                 .info = data_info(data),
                 .sequences = data_sequences(data, SPLIT_ALL),
                 .inputs = H5I_INVALID_HID,
                 .target = H5I_INVALID_HID,
                 .context = H5I_INVALID_HID};
    w.steps = w.info->longest;
    if (w.info->target != TARGET_NONE) {
        w.target_steps = decodes(&w) ? w.info->longest_target - 1 : w.info->target_per_step ? w.steps : 1;
        w.targets = w.target_steps;
        if (floats(&w) && __builtin_mul_overflow(w.targets, w.info->classes, &w.targets))
            return status_fail(ERR_USAGE, "%s: sizes overflow", path);
    }
    TRY(new_h5_create(path, &w.file));
    Status status = put_all(&w);
    if (status == OK) return new_h5_publish(&w.file);
    new_h5_abandon(&w.file);
    return status;
}
