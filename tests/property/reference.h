/* SPDX-License-Identifier: MIT
 *
 * reference.h: a whole model on a tape, layer by layer, from its config and its parameters. */
#ifndef LOCKSTEP_TESTS_PROPERTY_REFERENCE_H
#define LOCKSTEP_TESTS_PROPERTY_REFERENCE_H

#include "layers/model.h"
#include "tests/property/tape.h"

enum { REFERENCE_VALUES = 64, REFERENCE_PARAMS = 256 };

typedef struct ReferenceValue {
    char name[64];     /* as the model's value: "it", "it.h_n" */
    const char *layer; /* that gives it; NULL: the data's */
    Tensor *x;
    Grain grain;
} ReferenceValue;

typedef struct Reference {
    Tape *tape;
    const Model *model;
    const LayerSpec *layer;
    size_t classes;
    const Rows *rows;
    bool training; /* dropout acts, with the masks that seed and step give */
    uint64_t seed, step;
    ReferenceValue value[REFERENCE_VALUES]; /* the data, then what layers give */
    size_t values;
    Tensor *param[REFERENCE_PARAMS]; /* by number in the model; NULL: not used */
    size_t at;                       /* the layer that is being computed */
} Reference;

/* Runs all layers; the data is there as value 0, "data". False names a kind without a reference. */
bool reference_run(Reference *r, const LayerSpec *layer, size_t layers, const char **lacks);
const ReferenceValue *reference_value(const Reference *r, const char *name);

/* ---- for the kinds ----------------------------------------------------------------------------------------- */

typedef struct LayerInput {
    const ReferenceValue *of[LAYER_MAX_INPUTS];
    size_t count;
} LayerInput;

/* The layer's result goes to reference_give. */
typedef void (*ReferenceLayer)(Reference *r, const LayerSpec *spec, const LayerInput *in);
ReferenceLayer reference_kind(const char *kind);

void reference_give(Reference *r, const char *suffix, Tensor *x, Grain grain);
/* "<layer>.<suffix>" for the result of another layer, NULL where there is none. */
const ReferenceValue *reference_sibling(const Reference *r, const ReferenceValue *value, const char *suffix);
/* The parameter "<layer>.<name>", NULL where there is none. */
Tensor *reference_param(Reference *r, const char *name);

/* A whole number, -1 for null; below 0 counted from `end`. */
int64_t key_index(const LayerSpec *spec, const char *name, size_t end);
bool key_is_there(const LayerSpec *spec, const char *name);
size_t key_size(const LayerSpec *spec, const char *name);
int key_choice_of(const LayerSpec *spec, const char *name);
bool key_flag(const LayerSpec *spec, const char *name);
double key_real(const LayerSpec *spec, const char *name);

/* x times the dropout mask of a site: x [rows of the grain, F]. */
Tensor *reference_drop(Reference *r, Tensor *x, double p, uint32_t site, Grain grain);
/* The mask for queries by keys of one sequence and head, of the grains' streams; NULL where none acts. */
Tensor *reference_attention_mask(Reference *r, double p, uint32_t site, size_t head, size_t sequence,
                                 const Grain grain[2]);

Tensor *reference_dense(Reference *r, Tensor *x, const char *prefix);

static inline size_t stream_length(const Reference *r, Grain grain, size_t b) {
    return rows_offset(r->rows, grain)[b + 1] - rows_offset(r->rows, grain)[b];
}
static inline Tensor *stream_sequence(const Reference *r, Tensor *x, Grain grain, size_t b) {
    return t_rows(r->tape, x, rows_offset(r->rows, grain)[b], stream_length(r, grain, b));
}
/* In the data's stream. */
static inline size_t reference_length(const Reference *r, size_t b) {
    return stream_length(r, PER_STEP, b);
}
static inline Tensor *reference_sequence(const Reference *r, Tensor *x, size_t b) {
    return stream_sequence(r, x, PER_STEP, b);
}

#endif
