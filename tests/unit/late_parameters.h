/* SPDX-License-Identifier: MIT
 *
 * late_parameters.h: parameters that come no sooner than a model asks for them (model_on_need). */
#ifndef LOCKSTEP_TESTS_UNIT_LATE_PARAMETERS_H
#define LOCKSTEP_TESTS_UNIT_LATE_PARAMETERS_H

#include "tests/unit/model_fixture.h"

/* Parameters that are on their way: NaN, packed ones too, until they are needed. */
typedef struct Late {
    Model *model;
    real **values; /* of each parameter */
} Late;

static void late_arrive(void *context, size_t i) {
    const Late *late = context;
    const Param *param = model_param(late->model, i);
    memcpy(param->v, late->values[i], param->count * sizeof(real));
    model_pack_param(late->model, i, 0, 1);
}

static Late late_start(Model *model) {
    Late late = {model, rig_memory(model_params(model), sizeof(real *))};
    for (size_t i = 0; i < model_params(model); i++) {
        const Param *param = model_param(model, i);
        late.values[i] = rig_memory(param->count, sizeof(real));
        memcpy(late.values[i], param->v, param->count * sizeof(real));
    }
    return late;
}

static void late_leave(const Late *late) {
    for (size_t i = 0; i < model_params(late->model); i++) {
        const Param *param = model_param(late->model, i);
        for (size_t k = 0; k < param->count; k++) param->v[k] = NAN;
    }
    model_pack(late->model, 0, 1);
}

static void late_stop(Late *late) {
    for (size_t i = 0; i < model_params(late->model); i++) free(late->values[i]);
    free(late->values);
}

#endif
