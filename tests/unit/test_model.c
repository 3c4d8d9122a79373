/* SPDX-License-Identifier: MIT
 *
 * test_model.c: what model_create refuses and how it says so, initial values, packing and passes in
 * parts, the memory plan, the loss in chunks against the loss on the whole, and evaluation. */
#include "tests/unit/model_fixture.h"

#include "layers/ops/ops.h"

typedef struct SelectChoice {
    int kind;
} SelectChoice;
typedef struct DropoutChoice {
    double p;
} DropoutChoice;

/* ---- errors ---------------------------------------------------------------------------------------- */

/* Every word of `parts` (NULL at the end) must stand in the message. */
static void refused(const ModelSpec *spec, Status code, const char *const *parts) {
    Model *model = NULL;
    Status status = model_create(spec, &model);
    assert_null(model);
    assert_int_equal(status, code);
    for (; *parts; parts++)
        if (!strstr(status_message(), *parts)) fail_msg("'%s' is not in: %s", *parts, status_message());
}

#define REFUSED(spec, ...) refused(spec, ERR_USAGE, (const char *const[]){__VA_ARGS__, NULL})

static void test_names(void **state) {
    (void)state;
    const char *typo[] = {"embb"}, *later[] = {"fc"}, *own[] = {"norm"}, *odd[] = {"something"},
               *two[] = {"emb", "emb"}, *data[] = {"data"};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0), spec_of("layer_norm", "norm", 0), spec_of("linear", "fc", 0)};
    Sample sample;
    sample_make(&sample, 3, 1, 0, 11, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_CROSS_ENTROPY);
    layer[1].inputs = 1;
    layer[1].input = typo;
    REFUSED(&spec, "model: norm.input: ", "'embb'", "did you mean 'emb'?");
    layer[1].input = odd;
    REFUSED(&spec, "model: norm.input: ", "'something'", "data, emb");
    layer[1].input = later;
    REFUSED(&spec, "model: norm.input: ", "'fc'", "further down");
    layer[1].input = own;
    REFUSED(&spec, "model: norm.input: ", "itself");
    layer[1].input = data;
    REFUSED(&spec, "model: norm.input: ", "'data' is ids", "embedding");
    layer[1].input = two;
    layer[1].inputs = 2;
    REFUSED(&spec, "model: norm.input: ", "2 inputs", "at most 1");
    layer[1].inputs = 0;
    layer[1].name = "emb";
    REFUSED(&spec, "model: emb.name: ", "embedding", "layer_norm");
    layer[1].name = "norm";
    spec.layers = 0;
    REFUSED(&spec, "model: ", "at least one layer");
    sample_free(&sample);
}

static void test_sizes(void **state) {
    (void)state;
    EmbeddingChoice small = {10, 5, INT64_MIN, NAN, 2, false, false},
                    padding = {KEY_NULL_SIZE, 5, 11, NAN, 2, false, false},
                    vast = {1000000000, 1000000000, INT64_MIN, NAN, 2, false, false};
    LinearChoice four = {4, true, NULL}, six = {6, true, NULL}, tie = {11, true, "emb"},
                 unknown = {11, true, "embedding"};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0), spec_of("linear", "fc", 0)};
    void *good = layer[0].config;
    Sample sample;
    sample_make(&sample, 3, 1, 0, 11, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, 2, LOSS_CROSS_ENTROPY);
    layer[0].config = &small;
    REFUSED(&spec, "model: emb.num_embeddings: ", "10", "11");
    layer[0].config = &padding;
    REFUSED(&spec, "model: emb.padding_idx: ", "11");
    layer[0].config = &vast;
    REFUSED(&spec, "model: emb: ", "1000000000", "overflow");
    layer[0].config = good;
    layer[1].config = &four;
    REFUSED(&spec, "model: fc.out_features: ", "4 outputs", "5 classes");
    spec.loss.kind = LOSS_MSE;
    layer[1].config = &six;
    REFUSED(&spec, "model: fc.out_features: ", "6 outputs", "5 target columns");
    spec.loss.kind = LOSS_CROSS_ENTROPY;
    Model *model;
    check(model_create(&spec, &model)); /* more outputs than classes are fine */
    model_destroy(&model);
    layer[1].config = &unknown;
    REFUSED(&spec, "model: fc.tie: ", "'embedding.weight'");
    EmbeddingChoice wide = {KEY_NULL_SIZE, 6, INT64_MIN, NAN, 2, false, false};
    layer[0].config = &wide;
    LinearChoice narrow = {12, true, "emb"};
    layer[1].config = &narrow;
    REFUSED(&spec, "model: fc.tie: ", "11 x 6", "12 x 6");
    layer[1].config = &tie;
    EmbeddingChoice limited = {KEY_NULL_SIZE, 6, INT64_MIN, 1, 2, false, false},
                    sparse = {KEY_NULL_SIZE, 6, INT64_MIN, NAN, 2, false, true},
                    aimless = {KEY_NULL_SIZE, 6, INT64_MIN, NAN, 1, false, false},
                    before = {KEY_NULL_SIZE, 6, -12, NAN, 2, false, false};
    layer[0].config = &limited;
    REFUSED(&spec, "model: fc.tie: ", "'emb.weight'", "max_norm");
    layer[0].config = &sparse;
    REFUSED(&spec, "model: fc.tie: ", "'emb.weight'", "sparse");
    layer[0].config = &aimless;
    REFUSED(&spec, "model: emb.norm_type: ", "max_norm");
    layer[0].config = &before;
    REFUSED(&spec, "model: emb.padding_idx: ", "-12");
    layer[0].config = &wide;
    layer[1].frozen = true;
    REFUSED(&spec, "model: fc.frozen: ", "'emb.weight'");
    layer[1].frozen = false;
    spec.layers = 1;
    spec.classes = 7;
    REFUSED(&spec, "model: emb: ", "6 outputs", "7 classes", "linear");
    spec.max_rows = SIZE_MAX / 8;
    REFUSED(&spec, "model: ", "overflow");
    sample_free(&sample);
}

static void test_grain(void **state) {
    (void)state;
    SelectChoice last = {0}, final = {4};
    LayerSpec steps[] = {spec_of("embedding", "emb", 0), spec_of("linear", "fc", 0)};
    LayerSpec whole[] = {spec_of("embedding", "emb", 0),
                         {.type = layer_type("select"), .name = "pick", .config = &last},
                         spec_of("linear", "fc", 0)};
    Sample sample;
    sample_make(&sample, 3, 1, 0, 11, PER_SEQUENCE, 5);
    ModelSpec spec = rig_spec(&sample, steps, 2, LOSS_CROSS_ENTROPY);
    REFUSED(&spec, "model: fc: ", "one target per sequence", "select");
    spec = rig_spec(&sample, whole, 3, LOSS_CROSS_ENTROPY);
    spec.target_grain = PER_STEP;
    REFUSED(&spec, "model: fc: ", "target for every time step", "select");
    whole[1].config = &final;
    REFUSED(&spec, "model: pick.kind: ", "'emb' has no final state", "last");
    sample_free(&sample);
    sample_make(&sample, 3, 1, 7, 0, PER_STEP, 5);
    spec = rig_spec(&sample, steps, 2, LOSS_CROSS_ENTROPY);
    REFUSED(&spec, "model: emb.input: ", "'data' is 7 real numbers", "ids");
    sample_free(&sample);
}

/* ---- initial values and parts -------------------------------------------------------------------------- */

static void test_initial_values(void **state) {
    (void)state;
    EmbeddingChoice choice = {KEY_NULL_SIZE, 16, 3, NAN, 2, false, false};
    LinearChoice open = {KEY_NULL_SIZE, true, NULL};
    LayerSpec layer[] = {{.type = layer_type("embedding"), .name = "emb", .config = &choice},
                         {.type = layer_type("linear"), .name = "fc", .config = &open}};
    Sample sample;
    sample_make(&sample, 3, 1, 0, 500, PER_STEP, 500);
    ModelSpec spec = rig_spec(&sample, layer, 2, LOSS_CROSS_ENTROPY);
    Rig rig;
    rig_start(&rig, &spec, &sample, 0, 1, 1);
    size_t count = model_memory(rig.model).parameters;
    const Param *table = model_param(rig.model, 0), *weight = model_param(rig.model, 1),
                *bias = model_param(rig.model, 2);
    assert_string_equal(table->name, "emb.weight");
    assert_string_equal(weight->name, "fc.weight");
    assert_string_equal(bias->name, "fc.bias");
    double sum = 0, squares = 0, most = 0;
    for (size_t i = 0; i < table->count; i++) {
        sum += (double)table->v[i];
        squares += (double)table->v[i] * (double)table->v[i];
        if (i / 16 == 3) assert_true(table->v[i] == 0);
    }
    assert_true(fabs(sum / 8000) < 0.05 && fabs(squares / 8000 - 1) < 0.06); /* about 4 standard errors */
    for (size_t i = 0; i < weight->count; i++) most = fmax(most, fabs((double)weight->v[i]));
    assert_true(most <= 0.25 && most > 0.249);
    for (size_t i = 0; i < bias->count; i++) assert_true(fabs((double)bias->v[i]) <= 0.25);

    real *whole = rig_memory(count, sizeof(real));
    memcpy(whole, rig.parameters, count * sizeof(real));
    memset(rig.parameters, 0xff, count * sizeof(real));
    for (size_t part = 0; part < 7; part++) model_init(rig.model, 1, false, part, 7);
    assert_memory_equal(whole, rig.parameters, count * sizeof(real));
    model_init(rig.model, 2, false, 0, 1);
    assert_memory_not_equal(whole, rig.parameters, count * sizeof(real));
    model_init(rig.model, 1, true, 0, 1);
    squares = 0;
    for (size_t i = 0; i < weight->count; i++) squares += (double)weight->v[i] * (double)weight->v[i];
    assert_true(fabs(sqrt(squares / 8000) / 0.02 - 1) < 0.03);
    for (size_t i = 0; i < bias->count; i++) assert_true(bias->v[i] == 0);

    size_t packed = model_memory(rig.model).packed;
    model_pack(rig.model, 0, 1);
    real *once = rig_memory(packed, sizeof(real));
    memcpy(once, rig.packed, packed * sizeof(real));
    memset(rig.packed, 0, packed * sizeof(real));
    for (size_t part = 0; part < 5; part++) model_pack(rig.model, part, 5);
    assert_memory_equal(once, rig.packed, packed * sizeof(real));
    free(once);
    free(whole);
    rig_stop(&rig);
    sample_free(&sample);
}

/* ---- memory ------------------------------------------------------------------------------------------------ */

enum { DEEP = 12 };

static void deep_model(LayerSpec *layer, char names[DEEP][8], LinearChoice *square) {
    layer[0] = spec_of("embedding", "emb", 0);
    for (size_t i = 1; i < DEEP; i++) {
        snprintf(names[i], sizeof names[i], "l%zu", i);
        layer[i] = i % 3 == 0   ? spec_of("layer_norm", names[i], 0)
                   : i % 3 == 1 ? (LayerSpec){.type = layer_type("linear"), .name = names[i], .config = square}
                                : spec_of("activation", names[i], 1);
    }
}

static void test_memory(void **state) {
    (void)state;
    LayerSpec layer[DEEP];
    char names[DEEP][8];
    LinearChoice square = {5, true, NULL};
    deep_model(layer, names, &square);
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 10, 0, 11, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, DEEP, LOSS_CROSS_ENTROPY);
    Rig trains, watches;
    rig_start(&trains, &spec, &sample, 0, 2, 2);
    spec.trains = false;
    rig_start(&watches, &spec, &sample, 0, 2, 2);
    ModelMemory more = model_memory(trains.model), less = model_memory(watches.model);
    assert_int_equal(more.parameters, less.parameters);
    size_t rows = sample_rows(&sample, PER_STEP), value = (rows * 5 * sizeof(real) + 63) / 64 * 64,
           slack = 4 * 64 + 4 * rows * sizeof(double);
    /* Two values live at a time, with what one layer saves and the loss's scratch beside them. */
    assert_true(less.activations + less.saved <= 2 * value + slack);
    assert_true(more.activations + more.saved >= (DEEP - 2) * value &&
                more.activations + more.saved <= (DEEP + 2) * value + 4 * slack);

    /* Both are poisoned, so an overlap of two lives would show as NaN or as a difference. */
    ShardResult kept[2];
    model_poison(trains.model, true);
    model_poison(watches.model, true);
    rig_train(&trains, NULL, NULL);
    memcpy(kept, trains.result, sizeof kept);
    model_evaluate(trains.model, &trains.batch, trains.result, NULL);
    model_evaluate(watches.model, &watches.batch, watches.result, NULL);
    assert_true(isfinite(kept[0].loss) && kept[0].targets > 0);
    assert_memory_equal(kept, trains.result, sizeof kept);
    assert_memory_equal(kept, watches.result, sizeof kept);
    rig_stop(&trains);
    rig_stop(&watches);
    sample_free(&sample);
}

/* ---- the loss in chunks --------------------------------------------------------------------------------------- */

/* A dropout of nothing after the last linear keeps its values but has them held whole. */
static void test_chunks(void **state) {
    (void)state;
    EmbeddingChoice embedding = {KEY_NULL_SIZE, 9, INT64_MIN, NAN, 2, false, false};
    LinearChoice open = {KEY_NULL_SIZE, true, NULL};
    DropoutChoice nothing = {0};
    LayerSpec layer[] = {
        {.type = layer_type("embedding"), .name = "emb", .config = &embedding},
        {.type = layer_type("linear"), .name = "fc", .config = &open},
        {.type = layer_type("dropout"), .name = "none", .config = &nothing},
    };
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 150, 0, 11, PER_STEP, 13); /* 3300 rows: several chunks a shard */
    for (size_t total = 1; total <= 3; total++) {
        Rig fused, whole;
        ModelSpec spec = rig_spec(&sample, layer, 2, LOSS_CROSS_ENTROPY);
        spec.loss.label_smoothing = 0.1;
        spec.loss.ignore_index = 4;
        rig_start(&fused, &spec, &sample, 0, total, total);
        spec.layers = 3;
        rig_start(&whole, &spec, &sample, 0, total, total);
        size_t count = model_memory(fused.model).trainable;
        assert_int_equal(count, model_memory(whole.model).trainable);
        rig_train(&fused, NULL, NULL);
        rig_train(&whole, NULL, NULL);
        for (size_t i = 0; i < fused.segments; i++)
            assert_memory_equal(fused.gradient[i], whole.gradient[i], count * sizeof(real));
        assert_memory_equal(fused.result, whole.result, total * sizeof *fused.result);

        size_t rows = sample_rows(&sample, PER_STEP);
        int32_t *predicted = rig_memory(rows, sizeof *predicted);
        model_evaluate(fused.model, &fused.batch, whole.result, predicted);
        assert_memory_equal(fused.result, whole.result, total * sizeof *fused.result);
        const Value *out = model_forward(fused.model, &fused.batch, false);
        double correct = 0, counted = 0;
        for (size_t r = 0; r < rows; r++) {
            const real *logits = out->v + r * 13;
            for (size_t f = 0; f < 13; f++) assert_true(logits[f] <= logits[predicted[r]]);
            if (sample.classes[r] == 4) continue;
            counted++;
            correct += predicted[r] == sample.classes[r];
        }
        for (size_t s = 0; s < total; s++) {
            correct -= fused.result[s].correct;
            counted -= fused.result[s].targets;
        }
        assert_true(correct == 0 && counted == 0);
        free(predicted);
        rig_stop(&fused);
        rig_stop(&whole);
    }
    sample_free(&sample);
}

static void test_squared_error(void **state) {
    (void)state;
    LinearChoice open = {KEY_NULL_SIZE, true, NULL};
    LayerSpec layer[] = {{.type = layer_type("linear"), .name = "fc", .config = &open}};
    Sample sample;
    sample_make(&sample, 5, 1, 3, 0, PER_STEP, 2);
    ModelSpec spec = rig_spec(&sample, layer, 1, LOSS_MSE);
    Rig rig;
    rig_start(&rig, &spec, &sample, 0, 1, 1);
    model_evaluate(rig.model, &rig.batch, rig.result, NULL);
    const Value *out = model_forward(rig.model, &rig.batch, false);
    double squares = 0, absolute = 0;
    size_t elements = sample_rows(&sample, PER_STEP) * 2;
    for (size_t i = 0; i < elements; i++) {
        double error = (double)out->v[i] - (double)sample.values[i];
        squares += error * error;
        absolute += fabs(error);
    }
    assert_true(fabs(rig.result[0].loss - squares) <= 1e-12 * squares &&
                fabs(rig.result[0].absolute - absolute) <= 1e-12 * absolute);
    assert_true(rig.result[0].targets == (double)elements);
    rig_stop(&rig);
    sample_free(&sample);
}

/* ---- description ------------------------------------------------------------------------------------------------ */

/* 8 rows in 2 sequences of 4. Three projections of 5 features to 2 heads of 3, one to 7; each head's two products of 4
 * queries by 4 keys by 3, causal ones halved; all three times. */
static void test_attention_flops(void **state) {
    (void)state;
    MultiHeadChoice causal = {2, 3, 7, true, true, 0}, whole = {2, 3, 7, true, false, 0};
    const double weights = 3 * 6 * 5 + 7 * 6, pairs = 2.0 * 4 * 4, pair = 2 * 2 * 2 * 3;
    for (int i = 0; i < 2; i++) {
        LayerSpec layer[] = {
            spec_of("embedding", "emb", 0),
            {.type = layer_type("multi_head_attention"), .name = "mha", .config = i ? &whole : &causal},
            spec_of("linear", "fc", 0)};
        Sample sample;
        sample_make(&sample, 3, 1, 0, 11, PER_STEP, 5);
        ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_CROSS_ENTROPY);
        Rig rig;
        rig_start(&rig, &spec, &sample, 0, 1, 1);
        assert_int_equal(model_layer(rig.model, 1)->in[0]->features, 5);
        const double flops = 3 * (2 * 8 * weights + pairs * pair * (i ? 1 : 0.5));
        assert_true(model_layer_work(rig.model, 1, 8, 2, 0).flops == flops);
        rig_stop(&rig);
        sample_free(&sample);
    }
}

static void test_description(void **state) {
    (void)state;
    LinearChoice square = {5, true, NULL}, tie = {11, true, "emb"};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0),
                         {.type = layer_type("linear"), .name = "mid", .config = &square},
                         {.type = layer_type("linear"), .name = "fc", .config = &tie}};
    layer[1].frozen = true;
    Sample sample;
    sample_make(&sample, 3, 1, 0, 11, PER_STEP, 11);
    ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_CROSS_ENTROPY);
    Rig rig;
    rig_start(&rig, &spec, &sample, 0, 1, 1);
    assert_int_equal(model_layers(rig.model), 3);
    assert_int_equal(model_layer_parameters(rig.model, 0), 55);
    assert_int_equal(model_layer_parameters(rig.model, 1), 30);
    assert_int_equal(model_layer_parameters(rig.model, 2), 11);
    assert_int_equal(model_params(rig.model), 5);
    const Param *table = model_param(rig.model, 0), *tied = model_param(rig.model, 3);
    assert_string_equal(tied->name, "fc.weight");
    assert_ptr_equal(tied->same_as, table);
    assert_ptr_equal(tied->v, table->v);
    assert_int_equal(tied->offset, table->offset);
    assert_int_equal(table->uses, 2);
    assert_int_equal(model_memory(rig.model).trainable, 64 + 16);
    assert_int_equal(model_memory(rig.model).parameters, 64 + 16 + 32 + 16);
    assert_true(model_layer_work(rig.model, 0, 1, 1, 0).flops == 0);
    assert_true(model_layer_work(rig.model, 1, 1, 1, 0).flops == 6 * 25);
    assert_true(model_layer_work(rig.model, 2, 1, 1, 0).flops == 6 * 55);
    /* emb: ids, 5 features and their gradient, the row and the gradient of the whole table. mid, frozen: 5
     * features in twice and their gradient, 5 out and theirs, 30 parameters twice. fc, never held whole: 5 in as
     * before, 66 parameters twice and their gradient. */
    assert_true(model_layer_work(rig.model, 0, 1, 1, 0).moved == 1 + 2 * 5 + 5 + 55);
    assert_true(model_layer_work(rig.model, 1, 1, 1, 0).moved == 3 * 5 + 2 * 5 + 2 * 30);
    assert_true(model_layer_work(rig.model, 2, 1, 1, 0).moved == 3 * 5 + 3 * 66);
    /* 25 weights, forward and back: once per 16 columns and once per 192 rows; and their gradient. */
    const double reread = 2 * 25 * (1.0 / 16 + 1.0 / 192) + 25.0 / 16;
    assert_true(fabs(model_layer_work(rig.model, 1, 2, 1, 0).reread - 2 * reread) < 1e-12);
    assert_string_equal(model_output(rig.model)->name, "fc");
    assert_string_equal(model_input(rig.model)->name, "data");
    model_profile(rig.model, true);
    rig_train(&rig, NULL, NULL);
    LayerTime head = model_layer_time(rig.model, 2);
    assert_true(head.backward > 0);
    rig_stop(&rig);
    sample_free(&sample);
}

static void test_registry(void **state) {
    (void)state;
    assert_null(layer_type("transistor"));
    for (const LayerType *const *type = layer_types(); *type; type++) {
        assert_ptr_equal(layer_type((*type)->kind), *type);
        assert_non_null((*type)->summary);
        assert_non_null((*type)->keys);
        if (type[1] && strcmp((*type)->kind, type[1]->kind) >= 0)
            fail_msg("%s stands before %s", (*type)->kind, type[1]->kind);
        if (!(*type)->shorthand) continue;
        bool found = false;
        for (const Key *key = (*type)->keys; key->name; key++)
            found = found || strcmp(key->name, (*type)->shorthand) == 0;
        if (!found) fail_msg("%s has no key '%s'", (*type)->kind, (*type)->shorthand);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),         cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_grain),         cmocka_unit_test(test_initial_values),
        cmocka_unit_test(test_memory),        cmocka_unit_test(test_chunks),
        cmocka_unit_test(test_squared_error), cmocka_unit_test(test_attention_flops),
        cmocka_unit_test(test_description),   cmocka_unit_test(test_registry),
    };
    return cmocka_run_group_tests_name("model", tests, start_kernels, stop_kernels);
}
