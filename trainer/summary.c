/* SPDX-License-Identifier: MIT
 *
 * summary.c: see summary.h. */
#include "trainer/summary.h"

#include <math.h>
#include <stdio.h>

#include "comm/log.h"
#include "layers/ops/ops.h"

char *bytes_text(size_t bytes, char *out, size_t room) {
    static const char *const unit[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double n = (double)bytes;
    size_t u = 0;
    while (n >= 1024 && u < 4) n /= 1024, u++;
    snprintf(out, room, u ? "%.1f %s" : "%.0f %s", n, unit[u]);
    return out;
}

void summary_ranks(const Engine *e) {
    size_t ranks = comm_size(e->comm), nodes = comm_nodes(e->comm), threads = comm_threads(e->comm),
           batch = e->config->train.batch_size;
    log_info("%zu rank%s on %zu node%s, %zu thread%s each (%s kernels); batch %zu in %zu shard%s", ranks,
             ranks > 1 ? "s" : "", nodes, nodes > 1 ? "s" : "", threads, threads > 1 ? "s" : "", ops_isa(), batch,
             e->shards, e->shards > 1 ? "s" : "");
}

void summary_data(const Config *config, const Data *data) {
    const DataInfo *info = data_info(data);
    size_t train = data_sequences(data, SPLIT_TRAIN), validation = data_sequences(data, SPLIT_VALIDATION);
    char input[64], target[64];
    if (info->ids) snprintf(input, sizeof input, "vocabulary %zu", info->vocabulary);
    else snprintf(input, sizeof input, "%zu features", info->features);
    if (info->target_vocabulary)
        snprintf(target, sizeof target, "targets of up to %zu steps, vocabulary %zu", info->longest_target,
                 info->target_vocabulary);
    else
        snprintf(target, sizeof target, "%zu %s per %s", info->classes,
                 info->target == TARGET_VALUES ? "values" : "classes", info->target_per_step ? "step" : "sequence");
    log_info("data %s: %zu training and %zu validation sequences of %s%zu steps, %s, %s",
             config->data.path.count ? config->data.path.item[0] : "made in memory", train, validation,
             info->ragged ? "up to " : "", info->longest, input, target);
    if (!isnan(info->unigram_entropy)) log_info("unigram entropy %.4f nats per token", info->unigram_entropy);
}

static void output_text(const Layer *layer, char *out, size_t room) {
    const Value *v = layer->out[0];
    const char *form[] = {[PER_STEP] = "[B, T, %zu]", [PER_SEQUENCE] = "[B, %zu]", [PER_TARGET_STEP] = "[B, U, %zu]"};
    snprintf(out, room, form[v->grain], v->features);
}

void summary_model(const Engine *e, size_t optimizer_slots) {
    size_t all = 0;
    log_info("  %-20s %-14s %-16s %12s", "layer", "kind", "output", "parameters");
    for (size_t i = 0; i < model_layers(e->model); i++) {
        const Layer *layer = model_layer(e->model, i);
        char shape[48];
        output_text(layer, shape, sizeof shape);
        size_t count = model_layer_parameters(e->model, i);
        all += count;
        log_info("  %-20s %-14s %-16s %12zu%s", layer->name, layer->type->kind, shape, count,
                 layer->frozen ? "  frozen" : "");
        const char *advice = layer->type->advice ? layer->type->advice(layer) : NULL;
        if (advice) log_warn("model: %s: %s", layer->name, advice);
    }
    const ModelMemory *m = &e->memory;
    char total[32], weights[32], activations[32];
    log_info("  %zu parameters; memory per rank %s (parameters and packed weights %s once per node, activations %s)",
             all, bytes_text(engine_rank_bytes(e, optimizer_slots), total, sizeof total),
             bytes_text((m->parameters + m->packed) * sizeof(float), weights, sizeof weights),
             bytes_text(m->activations + m->saved + m->tmp, activations, sizeof activations));
}
