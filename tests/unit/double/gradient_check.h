/* SPDX-License-Identifier: MIT
 *
 * gradient_check.h: gradients of a model against central differences in double. Signed errors, worst element
 * by name and index, no non-finite gradient, no tensor whose gradient is zero everywhere. Of a large tensor,
 * elements all over it are tried. */
#ifndef LOCKSTEP_TESTS_GRADIENT_CHECK_H
#define LOCKSTEP_TESTS_GRADIENT_CHECK_H

#include "tests/unit/model_fixture.h"

enum { MOST_TRIED = 60 };
static const double STEP = 1e-5, RELATIVE = 2e-6, ABSOLUTE = 2e-8;

/* What is added to all scores of a softmax changes nothing; layers promise an exact zero. */
static inline bool is_idle(const char *tensor) {
    return strstr(tensor, "key.bias") || strstr(tensor, "channel_attention.bias");
}

static inline double loss_of(Rig *frozen) {
    model_pack(frozen->model, 0, 1);
    return rig_train(frozen, NULL, NULL);
}

/* Checks gradient[i] against the loss of the frozen model around its element[i], i < count, except
 * [skip, skip_end): there the layer promises a zero whatever the loss does. */
static inline void check_tensor(Rig *frozen, const char *what, const char *tensor, size_t count, real *element,
                                const real *gradient, size_t skip, size_t skip_end) {
    double worst = 0, largest = 0, worst_analytic = 0, worst_numeric = 0;
    size_t worst_index = 0;
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(gradient[i])) fail_msg("%s: %s[%zu]: gradient is %g", what, tensor, i, gradient[i]);
        if (fabs(gradient[i]) > largest) largest = fabs(gradient[i]);
    }
    size_t tried = count < 2 * MOST_TRIED ? count : MOST_TRIED;
    for (size_t n = 0; n < tried; n++) {
        size_t i = tried == count ? n : (n * count / tried + n) % count;
        double analytic = gradient[i], kept = element[i];
        if (i >= skip && i < skip_end) {
            if (analytic != 0) fail_msg("%s: %s[%zu]: gradient is %g, not zero", what, tensor, i, analytic);
            continue;
        }
        element[i] = kept + STEP;
        double above = loss_of(frozen);
        element[i] = kept - STEP;
        double below = loss_of(frozen);
        element[i] = kept;
        double numeric = (above - below) / (2 * STEP);
        double error = fabs(analytic - numeric) / (ABSOLUTE + RELATIVE * fmax(fabs(analytic), fabs(numeric)));
        if (!(error <= worst)) {
            worst = error;
            worst_index = i;
            worst_analytic = analytic;
            worst_numeric = numeric;
        }
    }
    if (!(worst <= 1))
        fail_msg("%s: %s[%zu]: gradient %.12g, by differences %.12g: %.3g times the tolerance", what, tensor,
                 worst_index, worst_analytic, worst_numeric, worst);
    if (is_idle(tensor) && largest != 0) fail_msg("%s: %s: the gradient is %g, not zero", what, tensor, largest);
    if (!is_idle(tensor) && largest < 1e-9) fail_msg("%s: %s: the gradient is zero everywhere", what, tensor);
}

static inline real *copy_of(const real *from, size_t count) {
    real *copy = rig_memory(count, sizeof *copy);
    memcpy(copy, from, count * sizeof *copy);
    return copy;
}

/* Parameters that start as ones or zeros would hide who multiplies or adds which. */
static inline void stir(Rig *rig) {
    for (size_t p = 0; p < model_params(rig->model); p++) {
        const Param *param = model_param(rig->model, p);
        if (param->same_as || (param->init.kind != INIT_ZERO && param->init.kind != INIT_ONE)) continue;
        for (size_t i = 0; i < param->count; i++) param->v[i] += 0.3 * sample_real(60 + p, i);
    }
    model_pack(rig->model, 0, 1);
}

/* The same model with all layers frozen: a step of it is forward and the loss alone, a third of the work. Its loss is
 * the model's, bit for bit. `layer` [layers] becomes its layers. */
static inline void start_frozen(Rig *frozen, Rig *rig, LayerSpec *layer) {
    ModelSpec spec = rig->spec;
    memcpy(layer, spec.layer, spec.layers * sizeof *layer);
    for (size_t l = 0; l < spec.layers; l++) layer[l].frozen = true;
    spec.layer = layer;
    spec.input_gradient = false;
    rig_start(frozen, &spec, rig->sample, 0, 1, 1);
    for (size_t p = 0; p < model_params(rig->model); p++) {
        const Param *from = model_param(rig->model, p), *to = model_param(frozen->model, p);
        assert_string_equal(from->name, to->name);
        memcpy(to->v, from->v, from->count * sizeof(real));
    }
    model_poison(frozen->model, true);
    const double loss = rig_train(rig, NULL, NULL), same = loss_of(frozen);
    assert_memory_equal(&loss, &same, sizeof loss);
}

static inline void check_model(const char *what, const ModelSpec *spec, const Sample *sample) {
    Rig rig, frozen;
    LayerSpec *layer = rig_memory(spec->layers, sizeof *layer);
    rig_start(&rig, spec, sample, 0, 1, 1);
    stir(&rig);
    model_poison(rig.model, true);
    start_frozen(&frozen, &rig, layer);
    rig_train(&rig, NULL, NULL);
    real *gradient = copy_of(rig.gradient[0], model_memory(rig.model).trainable);
    for (size_t p = 0; p < model_params(rig.model); p++) {
        const Param *param = model_param(rig.model, p);
        if (param->same_as || param->frozen) continue;
        size_t row = param->init.zero_row, columns = param->dim[1];
        check_tensor(&frozen, what, param->name, param->count, model_param(frozen.model, p)->v,
                     gradient + param->offset, row ? (row - 1) * columns : 0, row * columns);
    }
    const Value *input = model_input(rig.model);
    if (input->g) {
        size_t count = sample_rows(sample, PER_STEP) * sample->features;
        rig_train(&rig, NULL, NULL);
        real *dx = copy_of(input->g, count);
        check_tensor(&frozen, what, "input", count, sample->x, dx, 0, 0);
        free(dx);
    }
    const Value *context = model_value(rig.model, "context");
    if (context && context->g) {
        size_t count = sample->sequences * context->features;
        rig_train(&rig, NULL, NULL);
        real *dcontext = copy_of(context->g, count);
        check_tensor(&frozen, what, "context", count, sample->context, dcontext, 0, 0);
        free(dcontext);
    }
    free(gradient);
    free(layer);
    rig_stop(&frozen);
    rig_stop(&rig);
}

#endif
