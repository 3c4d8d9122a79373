/* SPDX-License-Identifier: MIT
 *
 * pass.c: forward through the list, the loss, backward through the list in reverse. No allocation, no
 * failure: the plan has made sure. */
#include <string.h>
#include <time.h>

#include "layers/model_parts.h"
#include "layers/ops/ops.h"

static double now_ms(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

/* What the batch brings becomes values; readers beyond the first see the same memory. */
static void bind_batch(Model *model, const Batch *batch) {
    model->data->value.ids = (int32_t *)(uintptr_t)batch->ids;
    model->data->value.v = (real *)(uintptr_t)batch->x;
    if (model->target) model->target->value.ids = (int32_t *)(uintptr_t)batch->target_ids;
    if (model->context) model->context->value.v = (real *)(uintptr_t)batch->context;
    for (size_t i = 0; i < model->aliases; i++) {
        model->alias[i].value.v = model->alias[i].origin->v;
        model->alias[i].value.readers = model->alias[i].origin->readers;
    }
}

void model_on_need(Model *model, ModelNeed need, void *context) {
    model->need = need;
    model->need_context = context;
}

void pass_need(const Pass *pass, const Param *param) {
    const Model *model = pass->sink->model;
    size_t last = ((const ParamNode *)(const void *)param)->index, l = 0;
    if (!model->need) return;
    while (last >= model->node[l].first_param + model->node[l].params) l++;
    for (size_t i = model->node[l].first_param; i <= last; i++) model->need(model->need_context, i);
}

static void need_layer(const Model *model, size_t l) {
    const LayerNode *node = &model->node[l];
    for (size_t i = 0; i < node->params && model->need; i++) model->need(model->need_context, node->first_param + i);
}

/* ---- rows of tables ------------------------------------------------------------------------------------ */

size_t model_counted_rows(const Model *model) {
    return model->counted_rows;
}

size_t model_counted_ids(const Model *model) {
    const ModelSpec *spec = model->spec;
    size_t ids = 0;
    for (size_t i = 0; i < model->params; i++) {
        const ParamNode *node = model->param[i];
        if (node->ids) ids += node->ids->grain == PER_TARGET_STEP ? spec->max_target_length : spec->max_length;
    }
    return ids;
}

void model_count_rows(Model *model, const Batch *batch, uint32_t *counts) {
    bind_batch(model, batch);
    for (size_t i = 0; i < model->params; i++) {
        const ParamNode *node = model->param[i];
        size_t rows = node->ids ? rows_of(&batch->rows, node->ids->grain) : 0;
        for (size_t r = 0; r < rows; r++) counts[node->first_count + (size_t)node->ids->ids[r]]++;
    }
}

static void set_counts(Model *model, const uint32_t *counts) {
    for (size_t i = 0; i < model->params; i++) {
        ParamNode *node = model->param[i];
        if (!node->ids) continue;
        node->param.row_count = counts + node->first_count;
        node->param.touched_only = model->counts_given && node->alone;
    }
    for (size_t i = 0; i < model->params; i++)
        if (model->param[i]->param.same_as)
            model->param[i]->param.row_count = model->param[i]->param.same_as->row_count;
}

void model_row_counts(Model *model, const uint32_t *counts) {
    model->counts_given = true;
    set_counts(model, counts);
}

static void count_own(Model *model, const Batch *batch) {
    if (model->counted_rows == 0 || model->counts_given) return;
    memset(model->own_counts, 0, model->counted_rows * sizeof *model->own_counts);
    model_count_rows(model, batch, model->own_counts);
    set_counts(model, model->own_counts);
}

/* ---- layers ------------------------------------------------------------------------------------------------ */

typedef struct Clock {
    double start; /* ms; 0: nobody wants to know */
    RegionTimes regions;
} Clock;

static Clock clock_start(const Model *model) {
    return (Clock){model->profile || model->span ? now_ms() : 0, region_times()};
}

/* Books what has passed since under `ms`, one of the two of the layer's. */
static void clock_stop(const Model *model, LayerNode *node, const Clock *clock, double *ms) {
    if (!model->profile) return;
    const RegionTimes now = region_times(), *then = &clock->regions;
    RegionTimes *sum = &node->time.regions;
    *ms += now_ms() - clock->start;
    sum->count += now.count - then->count;
    sum->inside += now.inside - then->inside;
    sum->worked += now.worked - then->worked;
    sum->worked_64 += now.worked_64 - then->worked_64;
}

static void layer_forward(Model *model, const Pass *pass, size_t l) {
    LayerNode *node = &model->node[l];
    const Clock clock = clock_start(model);
    if (!node->layer.type->needs) need_layer(model, l);
    memory_enter(model, forward_moment(model, l), pass->decodes);
    node->layer.type->forward(&node->layer, pass);
    memory_leave(model, forward_moment(model, l));
    clock_stop(model, node, &clock, &node->time.forward);
    if (model->span) model->span(node->layer.name, "forward", clock.start * 1e-3);
}

static void layer_backward(Model *model, const Pass *pass, size_t l) {
    LayerNode *node = &model->node[l];
    const Clock clock = clock_start(model);
    memory_enter(model, backward_moment(model, l), false);
    if (node->active) {
        if (node->remade) node->layer.type->forward(&node->layer, pass);
        node->layer.type->backward(&node->layer, pass);
        for (size_t i = 0; i < node->aliases; i++) {
            const Alias *alias = &model->alias[node->first_alias + i];
            op_add(rows_of(&pass->rows, alias->origin->grain) * alias->origin->features, alias->value.g,
                   alias->origin->g);
        }
        grad_layer_done(model, pass, l);
    }
    memory_leave(model, backward_moment(model, l));
    clock_stop(model, node, &clock, &node->time.backward);
    if (model->span) model->span(node->layer.name, "backward", clock.start * 1e-3);
}

static void run_loss(Model *model, const Pass *pass, const Batch *batch, ShardResult *result, int32_t *predicted) {
    LayerNode *last = &model->node[model->layers - 1];
    const Clock clock = clock_start(model);
    if (model->fused) need_layer(model, model->layers - 1);
    memory_enter(model, model->layers, false);
    loss_run(model, pass, batch, result, predicted);
    if (pass->backward && model->fused && last->active) grad_layer_done(model, pass, model->layers - 1);
    if (pass->backward) memory_leave(model, model->layers);
    /* A fused layer's two passes cannot be told apart. */
    clock_stop(model, last, &clock, pass->backward ? &last->time.backward : &last->time.forward);
    if (!model->span) return;
    model->span(last->layer.name, model->fused && pass->backward ? "forward, loss, backward" : "loss",
                clock.start * 1e-3);
}

static void forward_layers(Model *model, const Pass *pass) {
    size_t layers = model->layers - (model->fused ? 1 : 0);
    for (size_t l = 0; l < layers; l++) layer_forward(model, pass, l);
}

void model_train(Model *model, const Batch *batch, uint64_t seed, uint64_t step, ModelReady ready, void *context,
                 ShardResult *result) {
    const Pass pass = {
        .rows = batch->rows, .training = true, .backward = true, .seed = seed, .step = step, .sink = &model->sink};
    model->ready = ready;
    model->ready_context = context;
    count_own(model, batch);
    bind_batch(model, batch);
    grad_start(model, &pass);
    forward_layers(model, &pass);
    run_loss(model, &pass, batch, result, NULL);
    size_t layers = model->layers - (model->fused ? 1 : 0);
    for (size_t l = layers; l-- > 0;) layer_backward(model, &pass, l);
}

void model_evaluate(Model *model, const Batch *batch, ShardResult *result, int32_t *predicted) {
    const Pass pass = {.rows = batch->rows, .sink = &model->sink};
    bind_batch(model, batch);
    forward_layers(model, &pass);
    run_loss(model, &pass, batch, result, predicted);
}

const Value *pass_forward(Model *model, const Pass *pass, const Batch *batch) {
    Value *out = &model->output->value;
    const size_t last = model->layers - 1;
    if (model->fused && !model->whole_output) {
        size_t bytes = plan_max_rows(&model->plan, out->grain) * out->features * sizeof(real);
        model->whole_output = pages_alloc(bytes ? bytes : sizeof(real));
        if (!model->whole_output) return NULL;
        model->whole_output_bytes = bytes ? bytes : sizeof(real);
        out->v = model->whole_output;
    }
    bind_batch(model, batch);
    for (size_t l = 0; l < last; l++)
        if (!pass->decodes || model->node[l].decodes) layer_forward(model, pass, l);
    need_layer(model, last);
    memory_enter(model, forward_moment(model, last), pass->decodes);
    const Clock clock = clock_start(model);
    model->node[last].layer.type->forward(&model->node[last].layer, pass);
    clock_stop(model, &model->node[last], &clock, &model->node[last].time.forward);
    return out;
}

const Value *model_forward(Model *model, const Batch *batch, bool carry) {
    const Pass pass = {.rows = batch->rows, .carry_state = carry, .look = model->look, .sink = &model->sink};
    return pass_forward(model, &pass, batch);
}

void model_reset_state(Model *model) {
    for (size_t i = 0; i < model->slots; i++) {
        const StateSlot *slot = &model->slot[i];
        real *state = *(real **)slot->at;
        if (!slot->step && state) memset(state, 0, model->spec->max_sequences * slot->count * sizeof *state);
    }
}

void model_look(Model *model, Look *look) {
    model->look = look;
}

void model_profile(Model *model, bool on) {
    model->profile = on;
    for (size_t l = 0; l < model->layers; l++) model->node[l].time = (LayerTime){0};
    region_measure(on);
}

void model_on_span(Model *model, ModelSpan span) {
    model->span = span;
}

LayerTime model_layer_time(const Model *model, size_t layer) {
    return model->node[layer].time;
}

void model_poison(Model *model, bool on) {
    model->poison = on;
}
