/* SPDX-License-Identifier: MIT
 *
 * embedding.c: a learned row for every id.
 *
 *   forward    y[r]  = weight[ids[r]]                                  (1)
 *   backward   dW[v] = sum of dy[r] over rows r with ids[r] = v        (2)
 *
 *   ids [R]   y [R, E]   weight [V, E]
 *
 * The row of padding_idx starts as zeros and gets no gradient. */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct EmbeddingConfig {
    size_t num_embeddings, embedding_dim, padding_idx;
} EmbeddingConfig;

static const Key keys[] = {
    {"num_embeddings", KEY_SIZE, offsetof(EmbeddingConfig, num_embeddings), "null", 1, 1e9, NULL, true,
     "rows; null: the data's vocabulary"},
    {"embedding_dim", KEY_SIZE, offsetof(EmbeddingConfig, embedding_dim), NULL, 1, 1e9, NULL, false, "size of a row"},
    {"padding_idx", KEY_SIZE, offsetof(EmbeddingConfig, padding_idx), "null", 0, 1e9, NULL, true,
     "id whose row stays zero"},
    {0},
};

typedef struct Embedding {
    size_t V, E;
    Param *weight;
    struct {
        size_t *order; /* [R + V + 1] */
    } tmp;
} Embedding;

static Status embedding_plan(Layer *layer, Plan *plan) {
    const EmbeddingConfig *config = layer->config;
    Embedding *self = layer->self;
    const Value *in = layer->in[0];
    self->V = config->num_embeddings == KEY_NULL_SIZE ? in->vocabulary : config->num_embeddings;
    self->E = config->embedding_dim;
    if (self->V < in->vocabulary)
        return plan_fail(layer, "num_embeddings",
                         "%zu rows for the data's vocabulary of %zu ids; leave the key out or make it at least %zu",
                         self->V, in->vocabulary, in->vocabulary);
    if (config->padding_idx != KEY_NULL_SIZE && config->padding_idx >= self->V)
        return plan_fail(layer, "padding_idx", "%zu, but ids end at %zu; name one of them", config->padding_idx,
                         self->V - 1);
    plan_output(plan, layer, "", in->grain, self->E);
    Init init = {.kind = INIT_NORMAL,
                 .scale = 1,
                 .gpt2 = true,
                 .zero_row = config->padding_idx == KEY_NULL_SIZE ? 0 : config->padding_idx + 1};
    TRY(plan_param(plan, layer, &self->weight, "weight", init, 2, self->V, self->E));
    if (plan_trains(plan)) plan_index(plan, &self->tmp.order, plan_max_rows(plan, in->grain) + self->V + 1);
    return OK;
}

static void embedding_forward(Layer *layer, const Pass *pass) {
    const Embedding *self = layer->self;
    const int32_t *ids = layer->in[0]->ids;
    real *y = layer->out[0]->v;
    size_t rows = rows_of(&pass->rows, layer->in[0]->grain);
    if (!y) return;
    op_gather(rows, ids, self->E, self->weight->v, y); /* (1) */
}

static void weight_leaf(void *context, const Pass *pass, size_t s, real *dW) {
    const Layer *layer = context;
    const EmbeddingConfig *config = layer->config;
    const Embedding *self = layer->self;
    size_t first = shard_row(&pass->rows, layer->in[0]->grain, s),
           end = shard_row(&pass->rows, layer->in[0]->grain, s + 1);
    const EmbeddingGradient gradient = {.rows = end - first,
                                        .vocabulary = self->V,
                                        .features = self->E,
                                        .ids = layer->in[0]->ids + first,
                                        .dy = layer->out[0]->g + first * self->E,
                                        .lddy = self->E,
                                        .order = self->tmp.order,
                                        .padding = config->padding_idx};
    op_embedding_gradient(&gradient, dW); /* (2) */
}

static void embedding_backward(Layer *layer, const Pass *pass) {
    const Embedding *self = layer->self;
    grad_shards(pass, self->weight, weight_leaf, layer);
}

static const LayerCase cases[] = {
    {"11 ids", &(EmbeddingConfig){KEY_NULL_SIZE, 5, KEY_NULL_SIZE}, 0, 11},
    {"more rows than ids, padding", &(EmbeddingConfig){9, 17, 2}, 0, 7},
    {0},
};

const LayerType layer_embedding = {
    .kind = "embedding",
    .summary = "a learned vector for every id",
    .keys = keys,
    .shorthand = "embedding_dim",
    .config_size = sizeof(EmbeddingConfig),
    .self_size = sizeof(Embedding),
    .max_inputs = 1,
    .ids = true,
    .plan = embedding_plan,
    .forward = embedding_forward,
    .backward = embedding_backward,
    .cases = cases,
};
