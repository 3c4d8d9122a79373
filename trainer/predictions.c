/* SPDX-License-Identifier: MIT
 *
 * predictions.c: see predictions.h. */
#include "trainer/predictions.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "trainer/decode.h"

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

typedef struct Printing {
    Engine *engine;
    const Data *data;
    Decoder *decoder;                          /* NULL: the model has none */
    int32_t *ids, *target_ids, *target, *said; /* [longest], of targets the longest of those */
    float *x, *context;
} Printing;

/* What the model writes by itself, the most probable symbol each time. */
static void print_decoded(const Printing *p, Batch *batch, size_t sequence, size_t targets) {
    size_t target_offset[2] = {0, 1};
    const Vocabulary *vocabulary = data_target_vocabulary(p->data);
    Decoded decoded;
    char said[LINE], wanted[LINE];
    p->target_ids[0] = (int32_t)data_info(p->data)->target_vocabulary;
    batch->target_ids = p->target_ids;
    batch->rows.target_offset = target_offset;
    batch->rows.target_longest = 1;
    if (!model_forward(p->engine->model, batch, false)) return;
    decoder_run(p->decoder, batch, sequence, &decoded);
    text_of(vocabulary, decoded.symbol, decoded.count, said);
    text_of(vocabulary, p->target, targets - 1, wanted);
    log_info("  predicted %s%s, target %s", said, decoded.ended ? "" : "...", wanted);
}

static void print_one(const Printing *p, size_t sequence) {
    const DataInfo *info = data_info(p->data);
    size_t length = data_length(p->data, SPLIT_TRAIN, sequence),
           targets = data_target_length(p->data, SPLIT_TRAIN, sequence);
    data_read(p->data, SPLIT_TRAIN, sequence, p->ids, p->x, p->target, NULL);
    if (p->context) data_context(p->data, SPLIT_TRAIN, sequence, p->context);
    size_t offset[2] = {0, length}, shard[2] = {0, 1};
    uint64_t position = 0;
    Batch batch = {.rows = {.sequences = 1,
                            .offset = offset,
                            .position = &position,
                            .shards = 1,
                            .total_shards = 1,
                            .shard = shard,
                            .longest = length},
                   .ids = p->ids,
                   .x = p->x,
                   .context = p->context,
                   .classes = p->target};
    if (p->decoder) return print_decoded(p, &batch, sequence, targets);
    ShardResult result;
    model_evaluate(p->engine->model, &batch, &result, p->said);
    const Vocabulary *vocabulary = data_target_vocabulary(p->data);
    if (!vocabulary && info->target_per_step) vocabulary = data_vocabulary(p->data);
    char said[LINE], wanted[LINE];
    text_of(vocabulary, p->said, targets, said);
    text_of(vocabulary, p->target, targets, wanted);
    log_info("  predicted %s, target %s", said, wanted);
}

void predictions_print(Engine *e, const Data *data, size_t count) {
    const DataInfo *info = data_info(data);
    size_t available = data_sequences(data, SPLIT_TRAIN), steps = info->longest;
    if (count == 0 || info->target != TARGET_CLASSES) return;
    if (count > available) count = available;
    if (steps < info->longest_target) steps = info->longest_target;
    int32_t *ids = calloc(4 * steps, sizeof *ids);
    float *x = info->ids ? NULL : calloc(steps * info->features, sizeof *x);
    float *context = info->context ? calloc(info->context, sizeof *context) : NULL;
    DecodeConfig config = {.beams = 1, .symbols = info->target_vocabulary};
    Printing p = {.engine = e, .data = data, .ids = info->ids ? ids : NULL, .x = x, .context = context};
    bool room = ids && (info->ids || x) && (!info->context || context);
    if (room) p.target_ids = ids + steps, p.target = ids + 2 * steps, p.said = ids + 3 * steps;
    if (room && info->target_vocabulary) room = decoder_create(e, &config, info->longest_target, &p.decoder) == OK;
    for (size_t i = 0; i < count && room; i++) print_one(&p, i);
    decoder_destroy(&p.decoder);
    free(ids);
    free(x);
    free(context);
}
