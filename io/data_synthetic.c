/* SPDX-License-Identifier: MIT
 *
 * data_synthetic.c: a synthetic task as data, in the same columns as a file of these sequences would give, and
 * so with the same digest. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/data_parts.h"
#include "io/synthetic.h"

static Status append(const SyntheticTask *task, const SyntheticSequence *s, Store *store) {
    size_t targets = task->per_step ? s->length : 1;
    if (task->ids) TRY(column_append(&store->input, s->ids, s->length, task->name));
    else column_append_floats(&store->input, s->x, s->length * task->features);
    if (task->target == TARGET_CLASSES) TRY(column_append(&store->target, s->classes, targets, task->name));
    else column_append_floats(&store->target, &s->value, 1);
    store->offset[store->sequences + 1] = store->offset[store->sequences] + s->length;
    store->sequences++;
    return OK;
}

static Status make_room(const SyntheticTask *task, size_t sequences, Store *store) {
    size_t rows, cells, width = task->ids ? 1 : task->features;
    if (__builtin_mul_overflow(sequences, task->steps, &rows) || __builtin_mul_overflow(rows, width, &cells) ||
        rows == SIZE_MAX)
        return status_fail(ERR_USAGE, "data.sequences: %zu sequences of %zu steps overflow", sequences, task->steps);
    TRY(column_create(&store->input, task->ids ? CELL_U8 : CELL_F32, cells, task->name));
    TRY(column_create(&store->target, task->target == TARGET_CLASSES ? CELL_U8 : CELL_F32,
                      task->per_step ? rows : sequences, task->name));
    TRY(cells_allocate(sequences + 1, sizeof *store->offset, task->name, (void **)&store->offset));
    store->offset[0] = 0;
    return OK;
}

Status data_open_synthetic(const DataConfig *config, Data *data) {
    const SyntheticConfig *c = &config->synthetic;
    if (c->task < 0 || c->task >= SYNTHETIC_TASKS) return status_fail(ERR_USAGE, "data.task: names no task");
    const SyntheticTask *task = &synthetic_tasks[c->task];
    Store *store = data->store;
    char name[64];
    data->stores = 1;
    TRY(make_room(task, c->sequences, store));
    for (size_t i = 0; i < c->sequences; i++) {
        SyntheticSequence s;
        synthetic_make(c->task, c->seed, i, &s);
        TRY(append(task, &s, store));
    }
    store_even_out(store);
    DataInfo *info = &data->info;
    info->ids = task->ids;
    info->vocabulary = task->vocabulary;
    info->features = task->features;
    info->target = task->target;
    info->target_per_step = task->per_step;
    info->classes = task->classes;
    snprintf(name, sizeof name, "synthetic %s", task->name);
    return data_split_sequences(config, name, data);
}
