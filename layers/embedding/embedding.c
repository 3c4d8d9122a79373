/* SPDX-License-Identifier: MIT
 *
 * embedding.c: a learned row for every id.
 *
 *   forward    y[r]  = s(id) weight[id],  id = ids[r]                   (1)
 *   backward   dW[v] = sum of dy[r] over rows r with ids[r] = v         (2)
 *              ... / count[v] under scale_grad_by_freq                  (3)
 *   s(v) = max_norm / (|weight[v]| + 1e-7) where the row's norm_type-norm is above max_norm, else 1
 *
 *   ids [R]   y [R, E]   weight [V, E]   count [V], of the global batch
 *
 * The row of padding_idx starts as zeros and gets no gradient.
 *
 * max_norm. PyTorch writes weight[v] = s(v) weight[v] into the table in forward, for the ids of the batch,
 * before they are looked up; the gradient is that of the written row. Here forward writes no parameter: (1)
 * gives the activations those rows, and the update of the same step begins by writing them, for all ids of
 * the global batch and before gradient, decay and moments act (trainer/row_update.h). Between the two
 * nobody else reads the table, so all losses, gradients, moments and weights after a step are PyTorch's.
 * A pass without an update (evaluation, a skipped step, a frozen layer) scales its activations alike and
 * leaves the table alone. A table that another layer shares would be read unscaled there: refused.
 *
 * sparse. The rows of ids that the global batch does not hold keep their weights and, with adam, their
 * moments: torch.optim.SparseAdam and SGD. A shared table has a gradient everywhere: refused. */
#include "layers/layer.h"
#include "layers/ops/ops.h"

typedef struct EmbeddingConfig {
    size_t num_embeddings, embedding_dim;
    int64_t padding_idx;
    double max_norm, norm_type;
    bool scale_grad_by_freq, sparse;
} EmbeddingConfig;

static const Key keys[] = {
    {"num_embeddings", KEY_SIZE, offsetof(EmbeddingConfig, num_embeddings), "null", 1, 1e9, NULL, true,
     "rows; null: the data's vocabulary"},
    {"embedding_dim", KEY_SIZE, offsetof(EmbeddingConfig, embedding_dim), NULL, 1, 1e9, NULL, false, "size of a row"},
    {"padding_idx", KEY_INT, offsetof(EmbeddingConfig, padding_idx), "null", 0, 0, NULL, true,
     "id whose row stays zero; below 0: counted from the last row"},
    {"max_norm", KEY_REAL, offsetof(EmbeddingConfig, max_norm), "null", 0, 1e30, NULL, true,
     "rows that are looked up are scaled down to this norm; null: no limit"},
    {"norm_type", KEY_REAL, offsetof(EmbeddingConfig, norm_type), "2", 0, 1e6, NULL, false, "p of max_norm's p-norm"},
    {"scale_grad_by_freq", KEY_BOOL, offsetof(EmbeddingConfig, scale_grad_by_freq), "false", 0, 0, NULL, false,
     "divide the gradient of a row by how often the batch holds its id"},
    {"sparse", KEY_BOOL, offsetof(EmbeddingConfig, sparse), "false", 0, 0, NULL, false,
     "rows whose ids the batch does not hold stay as they are, moments included"},
    {0},
};

typedef struct Embedding {
    size_t V, E, padding; /* padding SIZE_MAX: none */
    NormLimit limit;
    Param *weight;
    struct {
        size_t *order; /* [R + V + 1] */
    } tmp;
} Embedding;

static Status check_config(const Layer *layer) {
    const EmbeddingConfig *config = layer->config;
    const Embedding *self = layer->self;
    const Value *in = layer->in[0];
    if (self->V < in->vocabulary)
        return plan_fail(layer, "num_embeddings",
                         "%zu rows for the data's vocabulary of %zu ids; leave the key out or make it at least %zu",
                         self->V, in->vocabulary, in->vocabulary);
    if (config->padding_idx != INT64_MIN &&
        (config->padding_idx >= (int64_t)self->V || config->padding_idx < -(int64_t)self->V))
        return plan_fail(layer, "padding_idx", "%lld, but ids end at %zu; name one of them",
                         (long long)config->padding_idx, self->V - 1);
    if (isnan(config->max_norm) && config->norm_type != 2)
        return plan_fail(layer, "norm_type", "has no effect without max_norm; remove it, or set max_norm");
    return OK;
}

static Status embedding_plan(Layer *layer, Plan *plan) {
    const EmbeddingConfig *config = layer->config;
    Embedding *self = layer->self;
    Value *in = layer->in[0];
    int64_t padding = config->padding_idx;
    self->V = config->num_embeddings == KEY_NULL_SIZE ? in->vocabulary : config->num_embeddings;
    self->E = config->embedding_dim;
    self->limit = (NormLimit){config->max_norm, config->norm_type};
    TRY(check_config(layer));
    self->padding = padding == INT64_MIN ? SIZE_MAX : padding < 0 ? self->V - (size_t)-padding : (size_t)padding;
    plan_output(plan, layer, "", in->grain, self->E);
    Init init = {.kind = INIT_NORMAL, .scale = 1, .gpt2 = true, .zero_row = self->padding + 1};
    TRY(plan_param(plan, layer, &self->weight, "weight", init, 2, self->V, self->E));
    if (!plan_trains(plan)) return OK;
    plan_index(plan, &self->tmp.order, plan_max_rows(plan, in->grain) + self->V + 1);
    RowRules rules = {.limit = self->limit, .sparse = config->sparse, .padding = self->padding};
    return plan_row_rules(plan, self->weight, in, rules, config->scale_grad_by_freq);
}

static void embedding_forward(Layer *layer, const Pass *pass) {
    const Embedding *self = layer->self;
    const Value *in = layer->in[0];
    if (!layer->out[0]->v) return;
    op_gather(rows_of(&pass->rows, in->grain), in->ids, self->E, self->weight->v, self->limit,
              layer->out[0]->v); /* (1) */
}

static void weight_leaf(void *context, const Pass *pass, size_t s, real *dW) {
    Layer *layer = context;
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
                                        .only = self->weight->touched_only ? self->weight->row_count : NULL,
                                        .divide = config->scale_grad_by_freq ? self->weight->row_count : NULL,
                                        .padding = self->padding};
    op_embedding_gradient(&gradient, dW); /* (2), (3) */
}

static void embedding_backward(Layer *layer, const Pass *pass) {
    const Embedding *self = layer->self;
    grad_shards(pass, self->weight, weight_leaf, layer);
}

static const LayerCase cases[] = {
    {"11 ids", &(EmbeddingConfig){KEY_NULL_SIZE, 5, INT64_MIN, NAN, 2, false, false}, 0, 11},
    {"more rows than ids, padding", &(EmbeddingConfig){9, 17, 2, NAN, 2, false, false}, 0, 7},
    /* Within their limit: what a scaled row or one divided by its count gives is no derivative of the loss. */
    {"sparse, limited", &(EmbeddingConfig){KEY_NULL_SIZE, 33, -1, 1e3, 1, false, true}, 0, 5},
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
