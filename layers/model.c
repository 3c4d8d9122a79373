/* SPDX-License-Identifier: MIT
 *
 * model.c: makes a model of a list: names are resolved, every layer plans in order, the last value is
 * held against the targets, parameters get their places in the flat block. What can go wrong with a
 * model goes wrong here, with the name of the layer and the key. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/model_parts.h"
#include "layers/ops/random.h"

/* ---- small memory ------------------------------------------------------------------------------ */

struct KeptBlock {
    KeptBlock *next;
    _Alignas(max_align_t) char bytes[];
};

void *model_keep(Model *model, size_t bytes) {
    KeptBlock *block = calloc(1, sizeof *block + bytes);
    if (!block) {
        model->status = status_fail(
            ERR_USAGE, "model: out of memory for its description (%zu bytes); free memory on this machine", bytes);
        return NULL;
    }
    block->next = model->kept;
    model->kept = block;
    return block->bytes;
}

Status model_grow(void **array, size_t count, size_t element) {
    if (count & (count - 1)) return OK; /* room doubles at powers of two */
    size_t room = count ? 2 * count : 1;
    void *grown = realloc(*array, room * element);
    if (!grown) return status_fail(ERR_USAGE, "model: out of memory for its description; free memory on this machine");
    *array = grown;
    return OK;
}

/* ---- names ------------------------------------------------------------------------------------- */

enum { NAME_MOST = 64 };

/* Levenshtein's distance; names beyond NAME_MOST bytes are far from everything. */
static size_t name_distance(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b), row[NAME_MOST + 1];
    if (n > NAME_MOST || m > NAME_MOST) return SIZE_MAX;
    for (size_t j = 0; j <= m; j++) row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t shift = (row[j] < row[j - 1] ? row[j] : row[j - 1]) + 1;
            diagonal = row[j];
            row[j] = change < shift ? change : shift;
        }
    }
    return row[m];
}

static Status unknown_input(const Model *model, const Layer *layer, size_t index, const char *name) {
    for (size_t i = index; i < model->layers; i++)
        if (strcmp(model->spec->layer[i].name, name) == 0)
            return plan_fail(
                layer, "input", "'%s' is %s; a layer reads only values from above it, so move '%s' up or read another",
                name, i == index ? "the layer itself" : "further down the list", i == index ? "its source" : name);
    const char *nearest = NULL;
    size_t least = 1 + strlen(name) / 3;
    char list[1024] = "";
    for (size_t i = 0, used = 0; i < model->values; i++) {
        const char *candidate = model->value[i]->value.name;
        size_t distance = name_distance(name, candidate);
        if (distance <= least) {
            least = distance;
            nearest = candidate;
        }
        if (used + strlen(candidate) + 3 < sizeof list)
            used += (size_t)snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", candidate);
    }
    if (nearest) return plan_fail(layer, "input", "there is no value named '%s', did you mean '%s'?", name, nearest);
    return plan_fail(layer, "input", "there is no value named '%s'; above this layer there are: %s", name, list);
}

static Status find_input(const Model *model, const Layer *layer, size_t index, const char *name, Value **out) {
    for (size_t i = model->values; i-- > 0;)
        if (strcmp(model->value[i]->value.name, name) == 0) {
            *out = &model->value[i]->value;
            return OK;
        }
    return unknown_input(model, layer, index, name);
}

/* ---- layers ------------------------------------------------------------------------------------ */

static Status resolve_inputs(const Model *model, size_t index) {
    const LayerSpec *spec = &model->spec->layer[index];
    Layer *layer = &model->node[index].layer;
    if (spec->inputs > layer->type->max_inputs || spec->inputs > LAYER_MAX_INPUTS)
        return plan_fail(layer, "input", "%zu inputs, but a layer of kind %s reads at most %zu", spec->inputs,
                         layer->type->kind, layer->type->max_inputs);
    if (spec->inputs < layer->type->min_inputs)
        return plan_fail(layer, "input", "%zu inputs, but a layer of kind %s reads at least %zu; name them all",
                         spec->inputs, layer->type->kind, layer->type->min_inputs);
    if (spec->inputs == 0) {
        layer->in[layer->inputs++] = index == 0 ? &model->data->value : model->node[index - 1].layer.out[0];
    }
    for (size_t i = 0; i < spec->inputs; i++)
        TRY(find_input(model, layer, index, spec->input[i], &layer->in[layer->inputs++]));
    for (size_t i = 0; i < layer->inputs; i++) {
        const Value *in = layer->in[i];
        if (in->vocabulary > 0 && !layer->type->ids)
            return plan_fail(
                layer, "input",
                "'%s' is ids, but a layer of kind %s reads real numbers; put an embedding or a one_hot before it",
                in->name, layer->type->kind);
        if (in->vocabulary == 0 && layer->type->ids)
            return plan_fail(
                layer, "input",
                "'%s' is %zu real numbers a row, but a layer of kind %s reads ids; leave it out, or use linear",
                in->name, in->features, layer->type->kind);
    }
    return OK;
}

static Status plan_layer(Model *model, size_t index) {
    const LayerSpec *spec = &model->spec->layer[index];
    LayerNode *node = &model->node[index];
    Layer *layer = &node->layer;
    layer->type = spec->type;
    layer->name = spec->name;
    layer->key = random_name(spec->name);
    layer->config = spec->config;
    layer->frozen = spec->frozen;
    layer->self = model_keep(model, spec->type->self_size);
    if (!layer->self) return model->status;
    for (size_t i = 0; i < index; i++)
        if (strcmp(model->spec->layer[i].name, spec->name) == 0)
            return plan_fail(layer, "name",
                             "layers %zu (%s) and %zu (%s) both have this name; give one of them another", i,
                             model->node[i].layer.type->kind, index, spec->type->kind);
    TRY(resolve_inputs(model, index));

    model->planning = index;
    node->first_param = model->params;
    node->first_packed = model->packs;
    size_t mark = arena_mark(model->tmp);
    Status status = spec->type->plan(layer, &model->plan);
    if (model->status != OK) return model->status;
    TRY(status);
    arena_rewind(model->tmp, mark);
    node->params = model->params - node->first_param;
    node->packs = model->packs - node->first_packed;
    if (layer->outputs == 0)
        return status_fail(ERR_INTERNAL, "model: %s: plan of kind %s declares no output", layer->name,
                           layer->type->kind);
    return OK;
}

/* ---- the end of the list ------------------------------------------------------------------------- */

static bool has_key(const LayerType *type, const char *name) {
    for (const Key *key = type->keys; key && key->name; key++)
        if (strcmp(key->name, name) == 0) return true;
    return false;
}

/* Do the rows and columns of the last value fit the targets? */
static Status check_output(const Model *model) {
    const ModelSpec *spec = model->spec;
    const Layer *last = &model->node[model->layers - 1].layer;
    const Value *out = last->out[0];
    if (spec->loss.kind != LOSS_CROSS_ENTROPY && spec->loss.kind != LOSS_MSE) return OK;
    if (out->grain == PER_STEP && spec->target_grain == PER_SEQUENCE)
        return plan_fail(last, NULL,
                         "gives a row for every time step, but the data has one target per sequence; put `- select: "
                         "last` before it");
    if (out->grain == PER_SEQUENCE && spec->target_grain == PER_STEP)
        return plan_fail(
            last, NULL,
            "gives one row per sequence, but the data has a target for every time step; leave out the `select`");
    if (out->grain != PER_TARGET_STEP && spec->target_grain == PER_TARGET_STEP)
        return plan_fail(last, NULL,
                         "gives a row for every %s of the input, but the data's targets have lengths of their own; end "
                         "the model with a `decoder`",
                         out->grain == PER_STEP ? "time step" : "sequence");
    if (out->grain == PER_TARGET_STEP && spec->target_grain != PER_TARGET_STEP)
        return plan_fail(last, NULL,
                         "gives a row for every step of a decoder, but the data has one target per %s of the input; "
                         "leave out the decoder",
                         spec->target_grain == PER_STEP ? "time step" : "sequence");
    const char *key = has_key(last->type, "out_features") ? "out_features" : NULL;
    const char *remedy = key ? "leave the key out or set it right" : "end the model with `- linear: {}`";
    if (spec->loss.kind == LOSS_CROSS_ENTROPY && out->features < spec->classes)
        return plan_fail(last, key, "%zu outputs for the data's %zu classes; %s", out->features, spec->classes, remedy);
    if (spec->loss.kind == LOSS_MSE && out->features != spec->classes)
        return plan_fail(last, key, "%zu outputs for the data's %zu target columns; %s", out->features, spec->classes,
                         remedy);
    return OK;
}

static Status find_probes(Model *model) {
    const ModelSpec *spec = model->spec;
    if (spec->loss.kind != LOSS_PROBE) return OK;
    model->probe = model_keep(model, spec->probes * sizeof *model->probe);
    if (!model->probe) return model->status;
    for (size_t p = 0; p < spec->probes; p++) {
        for (size_t i = 0; i < model->values; i++)
            if (model->value[i]->value.source && strcmp(model->value[i]->value.name, spec->probe[p]) == 0)
                model->probe[p] = model->value[i];
        for (size_t q = 0; q < p; q++)
            if (model->probe[q] == model->probe[p])
                return status_fail(ERR_USAGE, "model: the value '%s' is probed twice; name it once", spec->probe[p]);
        if (!model->probe[p])
            return status_fail(ERR_USAGE, "model: there is no value named '%s' to probe; name an output of a layer",
                               spec->probe[p]);
    }
    return OK;
}

/* Trainable parameters first, frozen ones after them, each on 64 bytes. */
static Status place_params(Model *model) {
    size_t end = 0;
    for (int frozen = 0; frozen < 2; frozen++) {
        for (size_t i = 0; i < model->params; i++) {
            ParamNode *node = model->param[i];
            if (node->param.same_as || node->param.frozen != (frozen == 1)) continue;
            node->span = (node->param.count + 15) / 16 * 16;
            node->param.offset = end;
            if (end > SIZE_MAX / sizeof(double) - node->span)
                return status_fail(ERR_USAGE,
                                   "model: its parameters overflow the address space at %s; make the layers smaller",
                                   node->param.name);
            end += node->span;
        }
        if (frozen == 0) model->memory.trainable = end;
    }
    model->memory.parameters = end;
    for (size_t i = 0; i < model->params; i++)
        if (model->param[i]->param.same_as) model->param[i]->param.offset = model->param[i]->param.same_as->offset;
    return OK;
}

/* The values that a batch brings. */
static Status plan_batch(Model *model) {
    const ModelSpec *spec = model->spec;
    TRY(plan_value(model, "data", PER_STEP, spec->ids ? 1 : spec->features, SIZE_MAX, &model->data));
    model->data->value.vocabulary = spec->ids ? spec->vocabulary : 0;
    if (spec->target_vocabulary > 0) {
        TRY(plan_value(model, "target", PER_TARGET_STEP, 1, SIZE_MAX, &model->target));
        model->target->value.vocabulary = spec->target_vocabulary;
    }
    if (spec->context_features == 0) return OK;
    return plan_value(model, "context", PER_SEQUENCE, spec->context_features, SIZE_MAX, &model->context);
}

static Status build(Model *model, const ModelSpec *spec) {
    model->spec = spec;
    model->plan.model = model;
    model->layers = spec->layers;
    if (spec->layers == 0) return status_fail(ERR_USAGE, "model: the list is empty; give it at least one layer");
    model->values_arena = arena_create("activations");
    model->tmp = arena_create("scratch of layers");
    model->state = arena_create("recurrent state");
    model->index = arena_create("index lists");
    model->node = calloc(spec->layers, sizeof *model->node);
    model->fold = arena_create("gradients of shards");
    if (!model->values_arena || !model->tmp || !model->state || !model->index || !model->fold || !model->node)
        return status_fail(ERR_USAGE, "model: out of memory for %zu layers; free memory on this machine", spec->layers);

    TRY(plan_batch(model));
    for (size_t i = 0; i < spec->layers; i++) TRY(plan_layer(model, i));
    model->output = (ValueNode *)(void *)model->node[spec->layers - 1].layer.out[0];
    TRY(check_output(model));
    TRY(find_probes(model));
    TRY(place_params(model));
    TRY(loss_plan(model));
    TRY(memory_plan(model));
    TRY(plan_counts(model));
    TRY(grad_plan(model));
    model->memory.tmp = arena_bytes(model->tmp) + arena_bytes(model->fold);
    model->memory.state = arena_bytes(model->state) + arena_bytes(model->index);
    return OK;
}

Status model_create(const ModelSpec *spec, Model **out) {
    *out = NULL;
    Model *model = calloc(1, sizeof *model);
    if (!model) return status_fail(ERR_USAGE, "model: out of memory; free memory on this machine");
    Status status = build(model, spec);
    if (status == OK) *out = model;
    else model_destroy(&model);
    return status;
}

void model_destroy(Model **handle) {
    Model *model = *handle;
    if (!model) return;
    *handle = NULL;
    arena_destroy(&model->values_arena);
    arena_destroy(&model->tmp);
    arena_destroy(&model->state);
    arena_destroy(&model->index);
    arena_destroy(&model->fold);
    if (model->whole_output) pages_free(model->whole_output, model->whole_output_bytes);
    free(model->node);
    free(model->value);
    free(model->param);
    free(model->packed);
    free(model->piece);
    free(model->slot);
    while (model->kept) {
        KeptBlock *next = model->kept->next;
        free(model->kept);
        model->kept = next;
    }
    free(model);
}

/* ---- memory of the caller ------------------------------------------------------------------------ */

ModelMemory model_memory(const Model *model) {
    return model->memory;
}

Status model_allocate(Model *model, real *parameters, real *packed, size_t segments, const FoldNode *segment,
                      real *const *gradient) {
    TRY(memory_allocate(model));
    model->parameters = parameters;
    model->packed_block = packed;
    for (size_t i = 0; i < model->params; i++) model->param[i]->param.v = parameters + model->param[i]->param.offset;
    for (size_t i = 0; i < model->packs; i++) model->packed[i]->v = packed + model->packed[i]->offset;
    return grad_allocate(model, segments, segment, gradient);
}

Status model_gradients(Model *model, size_t segments, const FoldNode *segment, real *const *gradient) {
    return grad_allocate(model, segments, segment, gradient);
}

/* The first panel of `packed` that starts at or after element `from` of the block. */
static size_t panel_from(const Packed *packed, size_t from) {
    size_t panel = packed->k * PANEL, panels = panel_count(packed->n);
    if (from <= packed->offset || panel == 0) return 0;
    size_t p = (from - packed->offset + panel - 1) / panel;
    return p < panels ? p : panels;
}

static void pack_panels(const Model *model, const Packed *packed, size_t first, size_t end) {
    const Param *param = packed->param;
    real *block = model->packed_block + packed->offset;
    if (first == end) return;
    if (packed->form == PACK_TRANSPOSED)
        pack_transposed(param->v, param->dim[1], packed->k, packed->gates, first, end, block);
    else pack_plain(param->v, param->dim[1], packed->gates, packed->n, first, end, block);
}

/* A part packs the panels that start in its share of the block. */
void model_pack(Model *model, size_t part, size_t parts) {
    size_t total = model->memory.packed;
    size_t from = (size_t)((double)total / (double)parts * (double)part);
    size_t to = part + 1 == parts ? total : (size_t)((double)total / (double)parts * (double)(part + 1));
    for (size_t i = 0; i < model->packs; i++)
        pack_panels(model, model->packed[i], panel_from(model->packed[i], from), panel_from(model->packed[i], to));
}

void model_pack_param(Model *model, size_t i, size_t part, size_t parts) {
    for (size_t p = 0; p < model->packs; p++) {
        const Packed *packed = model->packed[p];
        if (packed->param != &model->param[i]->param) continue;
        size_t panels = panel_count(packed->n);
        pack_panels(model, packed, panels * part / parts, panels * (part + 1) / parts);
    }
}

size_t model_param_packed(const Model *model, size_t i) {
    size_t count = 0;
    for (size_t p = 0; p < model->packs; p++) {
        const Packed *packed = model->packed[p];
        if (packed->param == &model->param[i]->param) count += packed->k * panel_round(packed->n);
    }
    return count;
}

/* ---- description ------------------------------------------------------------------------------------ */

size_t model_params(const Model *model) {
    return model->params;
}
const Param *model_param(const Model *model, size_t i) {
    return &model->param[i]->param;
}
size_t model_layers(const Model *model) {
    return model->layers;
}
const Layer *model_layer(const Model *model, size_t i) {
    return &model->node[i].layer;
}
const Value *model_output(const Model *model) {
    return &model->output->value;
}
const Value *model_input(const Model *model) {
    return &model->data->value;
}
const Value *model_value(const Model *model, const char *name) {
    for (size_t i = 0; i < model->values; i++)
        if (strcmp(model->value[i]->value.name, name) == 0) return &model->value[i]->value;
    return NULL;
}

size_t model_layer_parameters(const Model *model, size_t i) {
    size_t count = 0;
    for (size_t p = 0; p < model->node[i].params; p++) {
        const Param *param = &model->param[model->node[i].first_param + p]->param;
        if (!param->same_as) count += param->count;
    }
    return count;
}
