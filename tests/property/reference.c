/* SPDX-License-Identifier: MIT
 *
 * reference.c: values and parameters by name, keys by name, masks of dropout. */
#include "tests/property/reference.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/ops/ops.h"

static void fail(const char *what, const char *name) {
    fprintf(stderr, "reference: no %s '%s'\n", what, name);
    abort();
}

/* ---- keys --------------------------------------------------------------------------------------------------- */

static const void *key_at(const LayerSpec *spec, const char *name, KeyType type) {
    for (const Key *k = spec->type->keys; k && k->name; k++)
        if (strcmp(k->name, name) == 0 && k->type == type) return (const char *)spec->config + k->offset;
    fail("key", name);
    return NULL;
}

bool key_is_there(const LayerSpec *spec, const char *name) {
    for (const Key *k = spec->type->keys; k && k->name; k++)
        if (strcmp(k->name, name) == 0) return true;
    return false;
}

int64_t key_index(const LayerSpec *spec, const char *name, size_t end) {
    for (const Key *k = spec->type->keys; k && k->name; k++) {
        const void *at = (const char *)spec->config + k->offset;
        if (strcmp(k->name, name) != 0) continue;
        if (k->type == KEY_SIZE) return *(const size_t *)at == KEY_NULL_SIZE ? -1 : (int64_t) * (const size_t *)at;
        if (k->type != KEY_INT) break;
        const int64_t n = *(const int64_t *)at;
        return n == INT64_MIN ? -1 : n < 0 ? n + (int64_t)end : n;
    }
    fail("key", name);
    return -1;
}

size_t key_size(const LayerSpec *spec, const char *name) {
    return *(const size_t *)key_at(spec, name, KEY_SIZE);
}
int key_choice_of(const LayerSpec *spec, const char *name) {
    return *(const int *)key_at(spec, name, KEY_CHOICE);
}
bool key_flag(const LayerSpec *spec, const char *name) {
    return *(const bool *)key_at(spec, name, KEY_BOOL);
}
double key_real(const LayerSpec *spec, const char *name) {
    return *(const double *)key_at(spec, name, KEY_REAL);
}

/* ---- names -------------------------------------------------------------------------------------------------- */

const ReferenceValue *reference_value(const Reference *r, const char *name) {
    for (size_t i = 0; i < r->values; i++)
        if (strcmp(r->value[i].name, name) == 0) return &r->value[i];
    return NULL;
}

const ReferenceValue *reference_sibling(const Reference *r, const ReferenceValue *value, const char *suffix) {
    char name[128];
    snprintf(name, sizeof name, "%s.%s", value->layer ? value->layer : "data", suffix);
    return reference_value(r, name);
}

void reference_give(Reference *r, const char *suffix, Tensor *x, Grain grain) {
    if (r->values == REFERENCE_VALUES) fail("room for", suffix);
    ReferenceValue *value = &r->value[r->values++];
    *value = (ReferenceValue){.x = x, .grain = grain, .layer = r->layer[r->at].name};
    snprintf(value->name, sizeof value->name, "%s%s%s", r->layer[r->at].name, *suffix ? "." : "", suffix);
}

static size_t number_of(const Model *model, const char *name) {
    for (size_t i = 0; i < model_params(model); i++)
        if (strcmp(model_param(model, i)->name, name) == 0) return i;
    return SIZE_MAX;
}

Tensor *reference_param(Reference *r, const char *name) {
    char full[160];
    snprintf(full, sizeof full, "%s.%s", r->layer[r->at].name, name);
    size_t i = number_of(r->model, full);
    if (i == SIZE_MAX) return NULL;
    if (model_param(r->model, i)->same_as) i = number_of(r->model, model_param(r->model, i)->same_as->name);
    if (i >= REFERENCE_PARAMS) fail("room for", name);
    const Param *p = model_param(r->model, i);
    const size_t rows = p->rank == 2 ? p->dim[0] : 1, cols = p->rank == 2 ? p->dim[1] : p->dim[0];
    if (!r->param[i]) r->param[i] = t_leaf(r->tape, rows, cols, p->v);
    return r->param[i];
}

Tensor *reference_dense(Reference *r, Tensor *x, const char *prefix) {
    char name[96];
    snprintf(name, sizeof name, "%sweight", prefix);
    Tensor *y = t_linear(r->tape, x, reference_param(r, name));
    snprintf(name, sizeof name, "%sbias", prefix);
    Tensor *bias = reference_param(r, name);
    return bias ? t_add(r->tape, y, bias) : y;
}

/* ---- dropout ------------------------------------------------------------------------------------------------ */

/* The mask is part of the contract, not of what is judged: it is read off ones. */
static Tensor *mask(Reference *r, double p, uint32_t site, size_t features, Grain grain) {
    const Rows *rows = r->rows;
    size_t *offset = calloc(rows->sequences + 1, sizeof *offset);
    const size_t count = rows_of(rows, grain) * features;
    float *ones = malloc((count + 1) * sizeof *ones);
    if (!offset || !ones) abort();
    for (size_t b = 0; b <= rows->sequences; b++) offset[b] = sequence_row(rows, grain, b);
    for (size_t i = 0; i < count; i++) ones[i] = 1;
    const DropoutKey key = {r->seed, r->step, model_layer(r->model, r->at)->key, site};
    op_dropout(key, (float)p, rows->sequences, offset, rows->position, features, ones, features, ones, features);
    Tensor *m = t_leaf(r->tape, count / features, features, ones);
    free(ones);
    free(offset);
    return m;
}

Tensor *reference_drop(Reference *r, Tensor *x, double p, uint32_t site, Grain grain) {
    if (!r->training || p == 0) return x;
    return t_multiply(r->tape, x, mask(r, p, site, x->cols, grain));
}

Tensor *reference_attention_mask(Reference *r, double p, uint32_t site, size_t head, size_t sequence,
                                 const Grain grain[2]) {
    if (!r->training || p == 0) return NULL;
    Tensor *all = mask(r, p, site + ((uint32_t)(head + 1) << 16), rows_longest(r->rows, grain[1]), grain[0]);
    return t_cols(r->tape, stream_sequence(r, all, grain[0], sequence), 0, stream_length(r, grain[1], sequence));
}

/* ---- layers -------------------------------------------------------------------------------------------------- */

bool reference_run(Reference *r, const LayerSpec *layer, size_t layers, const char **lacks) {
    r->layer = layer;
    const char *above = "data";
    for (r->at = 0; r->at < layers; r->at++) {
        const LayerSpec *spec = &layer[r->at];
        const ReferenceLayer compute = reference_kind(spec->type->kind);
        *lacks = spec->type->kind;
        if (!compute) return false;
        LayerInput in = {.count = spec->inputs ? spec->inputs : 1};
        for (size_t i = 0; i < in.count; i++) {
            const char *name = spec->inputs ? spec->input[i] : above;
            in.of[i] = reference_value(r, name);
            if (!in.of[i]) fail("value", name);
        }
        compute(r, spec, &in);
        above = spec->name;
    }
    return true;
}
