/* SPDX-License-Identifier: MIT
 *
 * data_synthetic.c: a synthetic task as data, in the same columns as a file of these sequences would give, and
 * so with the same digest. Of a task of text no input is there twice, so that the validation split holds only
 * what training has not seen. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "io/data_parts.h"
#include "io/strings.h"
#include "io/synthetic.h"

enum { MOST_REPEATS = 10000 }; /* one behind the other, before there are taken to be no others */

static Status append(const SyntheticTask *task, const SyntheticSequence *s, Store *store) {
    if (task->ids) TRY(column_append(&store->input, s->ids, s->length, task->name));
    else column_append_floats(&store->input, s->x, s->length * task->features);
    if (task->target == TARGET_CLASSES) TRY(column_append(&store->target, s->classes, s->targets, task->name));
    else column_append_floats(&store->target, &s->value, 1);
    column_append_floats(&store->context, s->context, task->context);
    size_t i = store->sequences++;
    store->offset[i + 1] = store->offset[i] + s->length;
    if (store->target_offset) store->target_offset[i + 1] = store->target_offset[i] + s->targets;
    return OK;
}

static Status make_room(const DataConfig *config, const SyntheticTask *task, Store *store) {
    size_t rows, cells, width = task->ids ? 1 : task->features, sequences = config->synthetic.sequences;
    if (__builtin_mul_overflow(sequences, task->steps, &rows) || __builtin_mul_overflow(rows, width, &cells) ||
        rows == SIZE_MAX)
        return status_fail(ERR_USAGE, "data.sequences: %zu sequences of %zu steps overflow", sequences, task->steps);
    TRY(column_create(&store->input, task->ids ? CELL_U8 : CELL_F32, cells, task->name));
    TRY(column_create(&store->target, task->target == TARGET_CLASSES ? CELL_U8 : CELL_F32,
                      task->per_step ? rows : sequences, task->name));
    TRY(cells_allocate(sequences + 1, sizeof *store->offset, task->name, (void **)&store->offset));
    store->offset[0] = 0;
    if (task->context) {
        if (!size_multiply(sequences, task->context, &cells))
            return status_fail(ERR_USAGE, "data.sequences: %zu contexts overflow", sequences);
        TRY(column_create(&store->context, CELL_F32, cells, task->name));
    }
    if (!config->decoder) return OK;
    TRY(cells_allocate(sequences + 1, sizeof *store->target_offset, task->name, (void **)&store->target_offset));
    store->target_offset[0] = 0;
    return OK;
}

/* ---- text ------------------------------------------------------------------------------------------ */

static Status make_vocabulary(const char *alphabet, const Vocabulary *known, const char *side, Vocabulary **out) {
    char text[128][2];
    const char *token[128];
    size_t n = strlen(alphabet);
    for (size_t i = 0; i < n; i++) {
        text[i][0] = alphabet[i];
        text[i][1] = '\0';
        token[i] = text[i];
    }
    bool same = !known || (known->tokenizer == TOKENIZER_CHAR && known->size == n);
    for (size_t i = 0; i < n && known && same; i++) same = strcmp(known->token[i], token[i]) == 0;
    if (!same)
        return status_fail(ERR_DATA, "data.task: its %s are of other characters than those the model was trained on",
                           side);
    return vocabulary_from_tokens(TOKENIZER_CHAR, token, n, out);
}

static Status add_text(const SyntheticTask *task, const SyntheticSequence *s, Strings *seen, bool *fresh) {
    char text[SYNTHETIC_STEPS];
    uint32_t number;
    size_t before = seen->count;
    for (size_t t = 0; t < s->length; t++) text[t] = task->alphabet[s->ids[t]];
    TRY(strings_add(seen, text, s->length, &number));
    *fresh = seen->count > before;
    return OK;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static Status make_sequences(const SyntheticConfig *c, const SyntheticTask *task, Strings *seen, Store *store) {
    SyntheticSequence s;
    size_t repeats = 0;
    for (uint64_t i = 0; store->sequences < c->sequences; i++) {
        bool fresh = true;
        synthetic_make(c->task, c->seed, i, &s);
        if (task->alphabet) TRY(add_text(task, &s, seen, &fresh));
        repeats = fresh ? 0 : repeats + 1;
        if (fresh) TRY(append(task, &s, store));
        if (repeats == MOST_REPEATS)
            return status_fail(ERR_USAGE,
                               "data.sequences: %zu are more than the %zu different ones that %s has; ask "
                               "for fewer",
                               c->sequences, store->sequences, task->name);
    }
    store_even_out(store);
    return OK;
}

static Status check_decoder(const DataConfig *config, const SyntheticTask *task) {
    if (task->alphabet && !config->decoder)
        return status_fail(ERR_USAGE,
                           "data.task: %s: its targets have lengths of their own: it needs a model with an encoder and "
                           "a decoder",
                           task->name);
    if (config->decoder && !(task->per_step && task->target == TARGET_CLASSES))
        return status_fail(ERR_USAGE,
                           "data.task: %s: has one target for a whole sequence, and a model with a decoder "
                           "learns sequences",
                           task->name);
    return OK;
}

Status data_open_synthetic(const DataConfig *config, Data *data) {
    const SyntheticConfig *c = &config->synthetic;
    if (c->task < 0 || c->task >= SYNTHETIC_TASKS) return status_fail(ERR_USAGE, "data.task: names no task");
    const SyntheticTask *task = &synthetic_tasks[c->task];
    char name[64];
    data->stores = 1;
    TRY(check_decoder(config, task));
    TRY(make_room(config, task, data->store));
    Strings seen = {0};
    Status status = make_sequences(c, task, &seen, data->store);
    strings_free(&seen);
    TRY(status);
    DataInfo *info = &data->info;
    info->ids = task->ids;
    info->vocabulary = task->vocabulary;
    info->features = task->features;
    info->context = task->context;
    info->target = task->target;
    info->target_per_step = task->per_step;
    info->classes = task->classes;
    snprintf(name, sizeof name, "synthetic %s", task->name);
    if (config->decoder) TRY(data_describe_decoder(config, name, task->classes, data));
    if (task->alphabet) {
        TRY(make_vocabulary(task->alphabet, config->vocabulary, "inputs", &data->vocabulary));
        TRY(make_vocabulary(task->target_alphabet, config->target_vocabulary, "targets", &data->target_vocabulary));
    }
    return data_split_sequences(config, name, data);
}
