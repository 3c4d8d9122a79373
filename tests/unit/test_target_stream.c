/* SPDX-License-Identifier: MIT
 *
 * test_target_stream.c: two streams of steps. Every kind of layer that reads the target's stream gives the
 * bits that it gives on the data's, whatever else the batch holds; the end of the model is held against the
 * targets. */
#include "tests/unit/decoder_fixture.h"

enum { IDS = 11 };

/* The same ids and targets as the data's stream of `from`, now as the target's; the data's steps go the other
 * way round. */
static void sample_turn(Sample *to, const Sample *from) {
    sample_make(to, from->sequences, from->stretch, 0, from->vocabulary, PER_STEP, from->columns);
    sample_target(to, from->vocabulary);
    for (size_t b = 0; b <= from->sequences; b++) {
        size_t moved = to->target_offset[b];
        to->target_offset[b] = from->offset[b];
        to->offset[b] = moved;
    }
    memcpy(to->target_ids, from->ids, sample_rows(from, PER_STEP) * sizeof *to->target_ids);
}

static double run(const LayerSpec *layer, size_t layers, Sample *sample, real **gradient, size_t *count) {
    ModelSpec spec = rig_spec(sample, layer, layers, LOSS_NONE);
    const char *probe[SAMPLE_MOST_PROBES];
    char name[SAMPLE_MOST_PROBES][64];
    Model *outline;
    Rig rig;
    check(model_create(&spec, &outline));
    const Layer *last = model_layer(outline, layers - 1);
    for (size_t i = 0; i < last->outputs; i++) {
        snprintf(name[i], sizeof name[i], "%s", last->out[i]->name);
        probe[i] = name[i];
        sample_probe(sample, last->out[i]);
    }
    spec.loss.kind = LOSS_PROBE;
    spec.probe = probe;
    spec.probes = last->outputs;
    model_destroy(&outline);
    rig_start(&rig, &spec, sample, 0, 2, 2);
    double loss = rig_train(&rig, NULL, NULL);
    *count = model_memory(rig.model).trainable;
    *gradient = rig_memory(*count, sizeof(real));
    memcpy(*gradient, rig.gradient[0], *count * sizeof(real));
    rig_stop(&rig);
    return loss;
}

static void same_on_both(const LayerType *type, const LayerCase *layer_case) {
    const char *on_target[] = {"target"}, *below[] = {"below", "below"};
    EmbeddingChoice choice = {KEY_NULL_SIZE, layer_case->features, INT64_MIN, NAN, 2, false, false};
    LayerSpec layer[2] = {{.type = layer_type("embedding"), .name = "below", .config = &choice},
                          {.type = type, .name = "it", .config = (void *)(uintptr_t)layer_case->config}};
    const size_t layers = type->ids ? 1 : 2;
    LayerSpec *first = type->ids ? &layer[1] : &layer[0];
    layer[1].input = below;
    layer[1].inputs = type->min_inputs;
    Sample data, turned;
    real *a, *b;
    size_t count, again;
    sample_make(&data, SAMPLE_SEQUENCES, 2, 0, type->ids ? layer_case->vocabulary : IDS, PER_STEP, 5);
    sample_turn(&turned, &data);
    sample_context(&data, 3);
    sample_context(&turned, 3);
    double loss = run(first, layers, &data, &a, &count);
    first->input = on_target;
    first->inputs = 1;
    double there = run(first, layers, &turned, &b, &again);
    if (loss != there)
        fail_msg("%s, %s: loss %.17g, on the target's stream %.17g", type->kind, layer_case->name, loss, there);
    assert_true(loss != 0);
    assert_int_equal(count, again);
    for (size_t i = 0; i < count; i++)
        if (memcmp(&a[i], &b[i], sizeof *a) != 0)
            fail_msg("%s, %s: gradient[%zu] is %g, on the target's stream %g", type->kind, layer_case->name, i,
                     (double)a[i], (double)b[i]);
    free(a);
    free(b);
    sample_free(&data);
    sample_free(&turned);
}

static void test_every_layer_reads_either(void **state) {
    (void)state;
    for (const LayerType *const *type = layer_types(); *type; type++)
        for (const LayerCase *layer_case = (*type)->cases; layer_case && layer_case->name; layer_case++)
            same_on_both(*type, layer_case);
}

/* ---- the end of the model ------------------------------------------------------------------------------- */

static void refused(const char *message, const ModelSpec *spec) {
    Model *model;
    assert_int_equal(model_create(spec, &model), ERR_USAGE);
    if (!strstr(status_message(), message)) fail_msg("'%s' is not in: %s", message, status_message());
}

static void test_targets_must_fit(void **state) {
    (void)state;
    const char *on_target[] = {"target"};
    EmbeddingChoice choice = {KEY_NULL_SIZE, 5, INT64_MIN, NAN, 2, false, false};
    LayerSpec layer = {.type = layer_type("embedding"), .name = "emb", .config = &choice};
    Sample sample;
    sample_make(&sample, 3, 1, 0, IDS, PER_STEP, 5);
    sample_target(&sample, IDS);
    ModelSpec spec = rig_spec(&sample, &layer, 1, LOSS_CROSS_ENTROPY);
    refused("emb: gives a row for every time step of the input, but the data's targets have lengths of their own",
            &spec);
    layer.input = on_target;
    layer.inputs = 1;
    spec.target_grain = PER_STEP;
    refused("emb: gives a row for every step of a decoder, but the data has one target per time step", &spec);
    spec.target_grain = PER_TARGET_STEP;
    Model *model;
    check(model_create(&spec, &model));
    assert_int_equal(model_value(model, "target")->vocabulary, IDS);
    assert_null(model_value(model, "context"));
    model_destroy(&model);
    spec.target_vocabulary = 0;
    refused("emb.input: there is no value named 'target'", &spec);
    sample_free(&sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_layer_reads_either),
        cmocka_unit_test(test_targets_must_fit),
    };
    return cmocka_run_group_tests(tests, start_kernels, stop_kernels);
}
