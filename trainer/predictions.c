/* SPDX-License-Identifier: MIT
 *
 * predictions.c: see predictions.h. */
#include "trainer/predictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"

enum { LINE = 512 };

/* Tokens as text, control characters escaped; ids without a vocabulary as numbers. */
static void text_of(const Vocabulary *vocabulary, const int32_t *id, size_t count, char *out) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < count && used + 16 < LINE; i++) {
        if (!vocabulary || id[i] < 0 || (size_t)id[i] >= vocabulary->size) {
            used += (size_t)snprintf(out + used, LINE - used, i ? " %d" : "%d", id[i]);
            continue;
        }
        size_t bytes;
        const char *token = vocabulary_token(vocabulary, id[i], &bytes);
        if (i > 0 && vocabulary_parts(vocabulary, id[i - 1], id[i])) {
            out[used++] = ' ';
            out[used] = '\0';
        }
        if (bytes == 1 && (unsigned char)token[0] < ' ')
            used += (size_t)snprintf(out + used, LINE - used, token[0] == '\n' ? "\\n" : "\\x%02x",
                                     (unsigned char)token[0]);
        else if (used + bytes < LINE) {
            memcpy(out + used, token, bytes);
            used += bytes;
            out[used] = '\0';
        }
    }
}

static void print_one(Engine *e, const Data *data, size_t sequence, int32_t *ids, float *x, int32_t *target,
                      int32_t *predicted) {
    const DataInfo *info = data_info(data);
    size_t length = data_length(data, SPLIT_TRAIN, sequence), targets = info->target_per_step ? length : 1;
    data_read(data, SPLIT_TRAIN, sequence, ids, x, target, NULL);
    size_t offset[2] = {0, length}, shard[2] = {0, 1};
    uint64_t position = 0;
    Batch batch = {.rows = {.sequences = 1,
                            .offset = offset,
                            .position = &position,
                            .shards = 1,
                            .total_shards = 1,
                            .shard = shard,
                            .longest = length},
                   .ids = ids,
                   .x = x,
                   .classes = target};
    ShardResult result;
    model_evaluate(e->model, &batch, &result, predicted);
    const Vocabulary *vocabulary = data_target_vocabulary(data);
    if (!vocabulary && info->target_per_step) vocabulary = data_vocabulary(data);
    char said[LINE], wanted[LINE];
    text_of(vocabulary, predicted, targets, said);
    text_of(vocabulary, target, targets, wanted);
    log_info("  predicted %s, target %s", said, wanted);
}

void predictions_print(Engine *e, const Data *data, size_t count) {
    const DataInfo *info = data_info(data);
    size_t available = data_sequences(data, SPLIT_TRAIN), steps = info->longest;
    if (count == 0 || info->target != TARGET_CLASSES) return;
    if (count > available) count = available;
    int32_t *ids = calloc(3 * steps, sizeof *ids);
    float *x = info->ids ? NULL : calloc(steps * info->features, sizeof *x);
    for (size_t i = 0; i < count && ids && (info->ids || x); i++)
        print_one(e, data, i, info->ids ? ids : NULL, x, ids + steps, ids + 2 * steps);
    free(ids);
    free(x);
}
