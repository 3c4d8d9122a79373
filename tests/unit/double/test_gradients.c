/* SPDX-License-Identifier: MIT
 *
 * test_gradients.c: every kind of layer in every one of its cases, and models that join them, against
 * central differences in double. The loss of a layer is a random projection of all its outputs; losses
 * stand for themselves. Signed errors, worst element by name and index, no non-finite gradient, no
 * tensor whose gradient is zero everywhere. Of a large tensor, elements all over it are tried.
 * With the name of a kind: its cases alone, each with a line. */
#include "tests/unit/double/gradient_check.h"

#include "layers/ops/ops.h"

/* ---- layers one by one ---------------------------------------------------------------------------- */

static const char *only_kind; /* NULL: all */

static void test_layers(void **state) {
    (void)state;
    size_t checked = 0;
    for (const LayerType *const *type = layer_types(); *type; type++)
        if ((!(*type)->cases || !(*type)->cases[0].name) && !(*type)->decoder_cases)
            fail_msg("%s has no cases", (*type)->kind);
    EACH_CASE({
        if (only_kind && strcmp((*type)->kind, only_kind) != 0) continue;
        char what[128];
        CaseModel model;
        snprintf(what, sizeof what, "%s, %s%s", (*type)->kind, layer_case->name, decodes ? ", decoder" : "");
        case_start(&model, *type, layer_case, decodes, 5, 1);
        check_model(what, &model.spec, &model.sample);
        case_stop(&model);
        if (only_kind) print_message("%s: gradients agree\n", what);
        checked++;
    })
    assert_true(checked >= (only_kind ? 1 : 10));
}

/* ---- layers together ------------------------------------------------------------------------------- */

typedef struct SelectChoice {
    int kind;
} SelectChoice;
enum { SELECT_FINAL = 4 };

static void test_final_state(void **state) {
    (void)state;
    static const char *const kinds[] = {"rnn", "gru", "lstm"};
    for (size_t k = 0; k < 3; k++) {
        const LayerType *type = layer_type(kinds[k]);
        if (!type) fail_msg("there is no %s", kinds[k]);
        for (const LayerCase *layer_case = type->cases; layer_case->name; layer_case++) {
            if (layer_case->features == 0) continue;
            SelectChoice final = {SELECT_FINAL};
            LayerSpec layer[] = {{.type = type, .name = "r", .config = (void *)(uintptr_t)layer_case->config},
                                 {.type = layer_type("select"), .name = "s", .config = &final},
                                 spec_of("linear", "fc", 0)};
            char what[128];
            snprintf(what, sizeof what, "%s, %s, select final, linear, cross entropy", kinds[k], layer_case->name);
            Sample sample;
            sample_make(&sample, 4, 1, layer_case->features, 0, PER_SEQUENCE, 5);
            sample_context(&sample, 3);
            ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_CROSS_ENTROPY);
            spec.input_gradient = true;
            check_model(what, &spec, &sample);
            sample_free(&sample);
        }
    }
}

static void test_losses(void **state) {
    (void)state;
    LayerSpec fused[] = {spec_of("embedding", "emb", 0), spec_of("layer_norm", "norm", 0), spec_of("linear", "fc", 0)};
    Sample sample;
    sample_make(&sample, 5, 1, 0, 11, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, fused, 3, LOSS_CROSS_ENTROPY);
    spec.loss.ignore_index = 2;
    spec.loss.label_smoothing = 0.1;
    check_model("embedding, layer_norm, linear, smoothed cross entropy", &spec, &sample);
    sample_free(&sample);

    LayerSpec open[] = {spec_of("linear", "fc", 0), spec_of("activation", "act", 3)};
    sample_make(&sample, 5, 1, 7, 0, PER_STEP, 5);
    spec = rig_spec(&sample, open, 2, LOSS_CROSS_ENTROPY);
    spec.input_gradient = true;
    check_model("linear, tanh, cross entropy", &spec, &sample);
    spec.loss.kind = LOSS_MSE;
    check_model("linear, tanh, squared error", &spec, &sample);
    sample_free(&sample);
}

static void test_readers(void **state) {
    (void)state;
    static const char *const probe[] = {"a", "b", "norm"};
    const char *from[] = {"norm"};
    LayerSpec layer[] = {spec_of("layer_norm", "norm", 0), spec_of("linear", "a", 0), spec_of("linear", "b", 0)};
    layer[2].input = from;
    layer[2].inputs = 1;
    Sample sample;
    sample_make(&sample, 5, 1, 7, 0, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_PROBE);
    spec.input_gradient = true;
    spec.probe = probe;
    spec.probes = 3;
    Model *outline;
    check(model_create(&spec, &outline));
    sample_probe(&sample, model_layer(outline, 1)->out[0]);
    sample_probe(&sample, model_layer(outline, 2)->out[0]);
    sample_probe(&sample, model_layer(outline, 0)->out[0]);
    model_destroy(&outline);
    check_model("a value that two layers and the loss read", &spec, &sample);
    sample_free(&sample);
}

static void test_tied(void **state) {
    (void)state;
    LinearChoice tied = {KEY_NULL_SIZE, true, "emb"};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0),
                         spec_of("activation", "act", 1),
                         {.type = layer_type("linear"), .name = "fc", .config = &tied}};
    Sample sample;
    sample_make(&sample, 5, 1, 0, 11, PER_STEP, 11);
    ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_CROSS_ENTROPY);
    check_model("an embedding tied to the last layer", &spec, &sample);
    sample_free(&sample);
}

int main(int argc, char **argv) {
    const struct CMUnitTest one[] = {cmocka_unit_test(test_layers)};
    only_kind = argc > 1 ? argv[1] : NULL;
    if (only_kind) return cmocka_run_group_tests_name(only_kind, one, start_kernels, stop_kernels);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layers),  cmocka_unit_test(test_final_state), cmocka_unit_test(test_losses),
        cmocka_unit_test(test_readers), cmocka_unit_test(test_tied),
    };
    return cmocka_run_group_tests_name("gradients", tests, start_kernels, stop_kernels);
}
