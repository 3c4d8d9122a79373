/* SPDX-License-Identifier: MIT
 *
 * loss.c: leads the loss over the rows of a batch, shard by shard. If the last layer works row by row
 * and the loss is cross entropy, the two are one unit: logits exist for one chunk of rows at a time and
 * turn into their gradient in place, so that [rows, vocabulary] is never held. Chunks are counted from
 * the start of a shard in multiples of KBLOCK rows, the blocks of the GEMM contract: their size leaves
 * no trace in the bits. */
#include "layers/loss/loss.h"
#include "layers/model_parts.h"
#include "layers/ops/ops.h"

enum { CHUNK_MOST = 4 * KBLOCK, CHUNK_ELEMENTS = 8 << 20 };

static size_t chunk_rows(size_t features) {
    size_t rows = CHUNK_ELEMENTS / (features ? features : 1) / KBLOCK * KBLOCK;
    return rows < KBLOCK ? KBLOCK : rows > CHUNK_MOST ? CHUNK_MOST : rows;
}

static Status book(Model *model, void *slot, size_t bytes) {
    return memory_piece(
        model, (Piece){.slot = slot, .bytes = bytes, .first = model->layers, .last = model->layers, .layer = SIZE_MAX});
}

Status loss_plan(Model *model) {
    const LayerType *type = model->node[model->layers - 1].layer.type;
    size_t features = model->output->value.features, most = plan_max_rows(&model->plan, model->output->value.grain);
    if (model->spec->loss.kind == LOSS_MSE) {
        /* Two figures a piece, and the pieces of a shard are never more than those of all rows, plus one. */
        size_t pieces = most * features / SQUARED_PIECE + 1;
        TRY(book(model, &model->row_loss, 2 * pieces * sizeof(double)));
        model->chunk = pieces;
    }
    if (model->spec->loss.kind != LOSS_CROSS_ENTROPY) return OK;
    model->fused = type->forward_rows && type->backward_rows && !(type->reads & READS_OUT);
    model->chunk = chunk_rows(features);
    size_t rows = most < model->chunk ? most : model->chunk;
    if (model->fused) TRY(book(model, &model->chunk_logits, rows * features * sizeof(real)));
    TRY(book(model, &model->row_loss, rows * sizeof(double)));
    return book(model, &model->row_correct, rows);
}

typedef struct Visit {
    Model *model;
    const Pass *pass;
    const Batch *batch;
    bool gradient;
    int32_t *predicted;
} Visit;

/* Rows [first, end) of local shard s. */
static void visit_rows(const Visit *visit, size_t s, size_t first, size_t end, bool starts, ShardResult *result) {
    Model *model = visit->model;
    Layer *last = &model->node[model->layers - 1].layer;
    const Value *out = &model->output->value;
    size_t features = out->features;
    real *logits = model->chunk_logits;
    if (model->fused) {
        last->type->forward_rows(last, visit->pass, first, end, logits);
    } else {
        logits = out->v + first * features;
        if (visit->gradient) {
            op_copy((end - first) * features, logits, out->g + first * features);
            logits = out->g + first * features;
        }
    }
    loss_cross_entropy(&model->spec->loss, end - first, features, logits, visit->batch->classes + first,
                       visit->gradient, model->row_loss, model->row_correct,
                       visit->predicted ? visit->predicted + first : NULL, result);
    if (!model->fused || !visit->gradient) return;
    const Value *in = last->in[0];
    last->type->backward_rows(last, visit->pass, first, end, logits, in->g ? in->g + first * in->features : NULL, s,
                              starts);
}

static void cross_entropy(const Visit *visit, size_t s, size_t first, size_t end, ShardResult *result) {
    Model *model = visit->model;
    bool starts = true;
    for (size_t row = first; row < end || starts; row += model->chunk) {
        visit_rows(visit, s, row, end - row < model->chunk ? end : row + model->chunk, starts, result);
        starts = false;
    }
    if (model->fused && visit->gradient) grad_shard_done(model, model->layers - 1, s);
}

static real *gradient_at(const ValueNode *node, const Visit *visit, size_t element) {
    return visit->pass->backward && node->value.g ? node->value.g + element : NULL;
}

static void mse(const Visit *visit, size_t first, size_t end, ShardResult *result) {
    const ValueNode *out = visit->model->output;
    size_t columns = out->value.features, at = first * columns;
    loss_mse((end - first) * columns, out->value.v + at, visit->batch->values + at, gradient_at(out, visit, at),
             visit->model->row_loss, visit->model->row_loss + visit->model->chunk, result);
}

static void probe(const Visit *visit, size_t s, ShardResult *result) {
    const Model *model = visit->model;
    for (size_t p = 0; p < model->spec->probes; p++) {
        const ValueNode *node = model->probe[p];
        size_t features = node->value.features;
        size_t first = shard_row(&visit->pass->rows, node->value.grain, s) * features;
        size_t end = shard_row(&visit->pass->rows, node->value.grain, s + 1) * features;
        loss_probe(end - first, node->value.v + first, visit->batch->weight[p] + first, gradient_at(node, visit, first),
                   result);
    }
}

void loss_run(Model *model, const Pass *pass, const Batch *batch, ShardResult *result, int32_t *predicted) {
    bool gradient =
        pass->backward && (model->fused ? model->node[model->layers - 1].active : model->output->value.g != NULL);
    const Visit visit = {model, pass, batch, gradient, predicted};
    for (size_t s = 0; s < pass->rows.shards; s++) {
        size_t first = shard_row(&pass->rows, model->output->value.grain, s);
        size_t end = shard_row(&pass->rows, model->output->value.grain, s + 1);
        result[s] = (ShardResult){0, 0, 0, 0};
        if (model->spec->loss.kind == LOSS_CROSS_ENTROPY) cross_entropy(&visit, s, first, end, &result[s]);
        if (model->spec->loss.kind == LOSS_MSE) mse(&visit, first, end, &result[s]);
        if (model->spec->loss.kind == LOSS_PROBE) probe(&visit, s, &result[s]);
    }
    if (model->fused && gradient) grad_rows_done(model, model->layers - 1);
}
