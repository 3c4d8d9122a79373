/* SPDX-License-Identifier: MIT
 *
 * test_every_layer.c: what every kind of layer must keep, in all of its cases, and models that share
 * values and parameters: the same bits on any number of threads; gradients over shards folded in the
 * one tree, however shards are spread over ranks; nothing read outside its life; every float of the
 * gradient announced once and final then; batches without sequences; parameters that come late; layers that recompute. With the name of a kind: its cases alone. */
#include "tests/unit/decoder_fixture.h"
#include "tests/unit/late_parameters.h"

#include "layers/ops/ops.h"

/* ---- announced ranges ------------------------------------------------------------------------------ */

typedef struct Announced {
    const Rig *rig;
    size_t trainable;
    unsigned char *times; /* [trainable] */
    real *then[FOLD_MAX_SEGMENTS];
} Announced;

static void on_ready(void *context, size_t offset, size_t count) {
    Announced *announced = context;
    if (offset + count > announced->trainable)
        fail_msg("announced [%zu, %zu) of %zu", offset, offset + count, announced->trainable);
    for (size_t i = offset; i < offset + count; i++) announced->times[i]++;
    for (size_t i = 0; i < announced->rig->segments; i++)
        memcpy(announced->then[i] + offset, announced->rig->gradient[i] + offset, count * sizeof(real));
}

/* Trains once and checks that each float was announced once, with its final value. */
static void train_announced(const char *what, Rig *rig) {
    Announced announced = {.rig = rig, .trainable = model_memory(rig->model).trainable};
    announced.times = rig_memory(announced.trainable, 1);
    for (size_t i = 0; i < rig->segments; i++) announced.then[i] = rig_memory(announced.trainable, sizeof(real));
    rig_train(rig, on_ready, &announced);
    for (size_t i = 0; i < announced.trainable; i++)
        if (announced.times[i] != 1) fail_msg("%s: gradient[%zu] was announced %u times", what, i, announced.times[i]);
    for (size_t i = 0; i < rig->segments; i++) {
        for (size_t k = 0; k < announced.trainable; k++)
            if (!isfinite(rig->gradient[i][k]))
                fail_msg("%s: gradient[%zu] is %g", what, k, (double)rig->gradient[i][k]);
        if (memcmp(announced.then[i], rig->gradient[i], announced.trainable * sizeof(real)) != 0)
            fail_msg("%s: a gradient changed after it was announced", what);
        free(announced.then[i]);
    }
    free(announced.times);
}

/* ---- shards ------------------------------------------------------------------------------------------ */

/* The node of the tree over the leaves of single shards, element by element. */
static void fold_leaves(FoldNode node, size_t total, real *const *leaf, size_t count, real *out) {
    if (node.level == 0) {
        memcpy(out, leaf[node.first], count * sizeof *out);
        return;
    }
    FoldNode left = {node.first, node.level - 1}, right = {node.first + ((size_t)1 << left.level), left.level};
    fold_leaves(left, total, leaf, count, out);
    if (right.first >= total) return;
    real *half = rig_memory(count, sizeof *half);
    fold_leaves(right, total, leaf, count, half);
    for (size_t i = 0; i < count; i++) out[i] += half[i];
    free(half);
}

static void check_shards(const char *what, const ModelSpec *spec, const Sample *sample) {
    for (size_t total = 1; total <= 8; total++) {
        real *leaf[8];
        size_t count = 0;
        ShardResult result[8];
        for (size_t s = 0; s < total; s++) {
            Rig rig;
            rig_start(&rig, spec, sample, s, s + 1, total);
            rig_train(&rig, NULL, NULL);
            count = model_memory(rig.model).trainable;
            leaf[s] = rig_memory(count, sizeof(real));
            memcpy(leaf[s], rig.gradient[0], count * sizeof(real));
            result[s] = rig.result[0];
            rig_stop(&rig);
        }
        for (size_t ranks = 1; ranks <= 3 && ranks <= total; ranks++) {
            for (size_t rank = 0; rank < ranks; rank++) {
                size_t first, end;
                Rig rig;
                fold_range(total, ranks, rank, &first, &end);
                rig_start(&rig, spec, sample, first, end, total);
                train_announced(what, &rig);
                real *reference = rig_memory(count, sizeof(real));
                for (size_t i = 0; i < rig.segments; i++) {
                    fold_leaves(rig.segment[i], total, leaf, count, reference);
                    for (size_t k = 0; k < count; k++)
                        if (memcmp(&reference[k], &rig.gradient[i][k], sizeof(real)) != 0)
                            fail_msg("%s: %zu shards, rank %zu of %zu: gradient[%zu] is %.9g, folded from single "
                                     "shards %.9g",
                                     what, total, rank, ranks, k, (double)rig.gradient[i][k], (double)reference[k]);
                }
                for (size_t s = first; s < end; s++)
                    if (memcmp(&result[s], &rig.result[s - first], sizeof result[s]) != 0)
                        fail_msg("%s: shard %zu of %zu gives another result on rank %zu of %zu", what, s, total, rank,
                                 ranks);
                free(reference);
                rig_stop(&rig);
            }
        }
        for (size_t s = 0; s < total; s++) free(leaf[s]);
    }
}

/* ---- threads ------------------------------------------------------------------------------------------- */

/* Everything a pass leaves behind, in one piece of memory. */
typedef struct Trace {
    size_t bytes, room;
    char *data;
} Trace;

static void trace_add(Trace *trace, const void *data, size_t bytes) {
    if (bytes == 0) return;
    if (trace->bytes + bytes > trace->room) {
        trace->room = 2 * (trace->bytes + bytes);
        trace->data = realloc(trace->data, trace->room);
        assert_non_null(trace->data);
    }
    memcpy(trace->data + trace->bytes, data, bytes);
    trace->bytes += bytes;
}

typedef enum Care { PLAIN, POISONED, LATE } Care;

static Trace trace_of(const ModelSpec *spec, const Sample *sample, Care care) {
    Rig rig;
    Trace trace = {0, 0, NULL};
    rig_start(&rig, spec, sample, 0, 2, 2);
    model_poison(rig.model, care == POISONED);
    Late late = late_start(rig.model);
    if (care == LATE) {
        model_on_need(rig.model, late_arrive, &late);
        late_leave(&late);
    }
    rig_train(&rig, NULL, NULL);
    trace_add(&trace, rig.gradient[0], model_memory(rig.model).trainable * sizeof(real));
    trace_add(&trace, rig.result, 2 * sizeof *rig.result);
    const Value *input = model_input(rig.model);
    if (input->g) trace_add(&trace, input->g, sample_rows(sample, PER_STEP) * sample->features * sizeof(real));
    const Value *context = model_value(rig.model, "context");
    if (context && context->g) trace_add(&trace, context->g, sample->sequences * context->features * sizeof(real));
    if (care == LATE) late_leave(&late);
    const Value *out = model_forward(rig.model, &rig.batch, false);
    assert_non_null(out);
    trace_add(&trace, out->v, sample_rows(sample, out->grain) * out->features * sizeof(real));
    late_stop(&late);
    rig_stop(&rig);
    return trace;
}

static void check_equal(const char *what, const char *how, const Trace *a, const Trace *b) {
    assert_int_equal(a->bytes, b->bytes);
    for (size_t i = 0; i < a->bytes; i++)
        if (a->data[i] != b->data[i]) fail_msg("%s: byte %zu of %zu differs %s", what, i, a->bytes, how);
}

static void restart_kernels(size_t threads) {
    ops_stop();
    check(ops_start(threads));
}

static void check_threads(const char *what, const ModelSpec *spec, const Sample *sample) {
    static const size_t threads[] = {2, 3, 5};
    Trace one = trace_of(spec, sample, PLAIN);
    for (size_t i = 0; i < 3; i++) {
        char how[64];
        ModelSpec threaded = *spec;
        threaded.threads = threads[i];
        restart_kernels(threads[i]);
        Trace many = trace_of(&threaded, sample, PLAIN);
        snprintf(how, sizeof how, "between 1 and %zu threads", threads[i]);
        check_equal(what, how, &one, &many);
        free(many.data);
    }
    restart_kernels(1);
    free(one.data);
}

/* ---- memory ---------------------------------------------------------------------------------------------- */

static void check_lives(const char *what, const ModelSpec *spec, const Sample *sample) {
    Trace clean = trace_of(spec, sample, PLAIN), poisoned = trace_of(spec, sample, POISONED);
    check_equal(what, "when memory is poisoned outside its life", &clean, &poisoned);
    free(clean.data);
    free(poisoned.data);
}

static void check_needs(const char *what, const ModelSpec *spec, const Sample *sample) {
    Trace there = trace_of(spec, sample, PLAIN), late = trace_of(spec, sample, LATE);
    check_equal(what, "when parameters come no sooner than they are needed", &there, &late);
    free(there.data);
    free(late.data);
}

static void check_empty(const char *what, const ModelSpec *spec, const Sample *sample) {
    Rig rig;
    rig_start(&rig, spec, sample, 0, 2, 2);
    model_poison(rig.model, true);
    memset(rig.offset, 0, sizeof rig.offset);
    memset(rig.target_offset, 0, sizeof rig.target_offset);
    memset(rig.shard, 0, sizeof rig.shard);
    rig.batch.rows.sequences = rig.batch.rows.longest = rig.batch.rows.target_longest = 0;
    train_announced(what, &rig);
    for (size_t k = 0; k < model_memory(rig.model).trainable; k++)
        if (rig.gradient[0][k] != 0)
            fail_msg("%s: without sequences gradient[%zu] is %g", what, k, (double)rig.gradient[0][k]);
    for (size_t s = 0; s < 2; s++)
        assert_true(rig.result[s].loss == 0 && rig.result[s].targets == 0 && rig.result[s].correct == 0);
    model_evaluate(rig.model, &rig.batch, rig.result, NULL);
    for (size_t s = 0; s < 2; s++) assert_true(rig.result[s].loss == 0 && rig.result[s].targets == 0);
    rig_stop(&rig);
}

/* All layers keep their inputs alone: the same bits, nothing read outside its shorter life. */
static void check_recompute(const char *what, const ModelSpec *spec, const Sample *sample) {
    enum { MOST_LAYERS = 12 };
    static const size_t threads[] = {1, 2, 3};
    LayerSpec layer[MOST_LAYERS];
    ModelSpec again = *spec;
    Trace kept = trace_of(spec, sample, PLAIN);
    assert_true(spec->layers <= MOST_LAYERS);
    memcpy(layer, spec->layer, spec->layers * sizeof *layer);
    for (size_t l = 0; l < spec->layers; l++) layer[l].recompute = true;
    again.layer = layer;
    for (size_t i = 0; i < 3; i++) {
        again.threads = threads[i];
        restart_kernels(threads[i]);
        Trace made = trace_of(&again, sample, POISONED);
        check_equal(what, "when layers recompute", &kept, &made);
        free(made.data);
    }
    restart_kernels(1);
    free(kept.data);
    Rig rig;
    again.threads = 1;
    rig_start(&rig, &again, sample, 0, 2, 2);
    train_announced(what, &rig);
    rig_stop(&rig);
    check_empty(what, &again, sample);
}

static void check_names(const char *what, const ModelSpec *spec) {
    Model *model;
    check(model_create(spec, &model));
    for (size_t i = 0; i < model_params(model); i++) {
        const Param *param = model_param(model, i);
        if (param->offset % 16 != 0) fail_msg("%s: %s starts at %zu", what, param->name, param->offset);
        for (size_t j = 0; j < i; j++)
            if (strcmp(param->name, model_param(model, j)->name) == 0)
                fail_msg("%s: two parameters are named %s", what, param->name);
    }
    model_destroy(&model);
}

/* ---- every layer in every case ------------------------------------------------------------------------------ */

typedef void (*Check)(const char *what, const ModelSpec *spec, const Sample *sample);

static const char *only_kind; /* NULL: all */

static void for_every_case(size_t stretch, Check check_one) {
    size_t checked = 0;
    EACH_CASE({
        if (only_kind && strcmp((*type)->kind, only_kind) != 0) continue;
        char what[128];
        CaseModel model;
        snprintf(what, sizeof what, "%s, %s%s", (*type)->kind, layer_case->name, decodes ? ", decoder" : "");
        case_start(&model, *type, layer_case, decodes, SAMPLE_SEQUENCES, stretch);
        check_names(what, &model.spec);
        check_one(what, &model.spec, &model.sample);
        case_stop(&model);
        checked++;
    })
    assert_true(checked > 0);
}

static void test_threads(void **state) {
    (void)state;
    for_every_case(30, check_threads);
}

static void test_shards(void **state) {
    (void)state;
    for_every_case(1, check_shards);
}

static void test_lives(void **state) {
    (void)state;
    for_every_case(1, check_lives);
}

static void test_needs(void **state) {
    (void)state;
    for_every_case(1, check_needs);
}

static void test_empty(void **state) {
    (void)state;
    for_every_case(1, check_empty);
}

static void test_recompute(void **state) {
    (void)state;
    for_every_case(5, check_recompute);
}

/* ---- models that share ---------------------------------------------------------------------------------------- */

static void check_all(const char *what, const ModelSpec *spec, const Sample *sample) {
    check_names(what, spec);
    check_shards(what, spec, sample);
    check_lives(what, spec, sample);
    check_needs(what, spec, sample);
    check_empty(what, spec, sample);
    check_threads(what, spec, sample);
    check_recompute(what, spec, sample);
}

static void test_decoders(void **state) {
    (void)state;
    static const char *const what[] = {"lstm encoder and decoder", "gru encoder and decoder", "transformer, post-norm",
                                       "transformer, pre-norm"};
    for (size_t i = 0; i < 4; i++) {
        Seq2Seq s;
        Sample sample;
        if (i < 2) seq2seq_recurrent(&s, i ? "gru" : "lstm");
        else seq2seq_transformer(&s, i == 3);
        seq2seq_sample(&sample, SAMPLE_SEQUENCES, 1);
        ModelSpec spec = seq2seq_spec(&s, &sample);
        check_all(what[i], &spec, &sample);
        sample_free(&sample);
        seq2seq_sample(&sample, SAMPLE_SEQUENCES, 40);
        spec = seq2seq_spec(&s, &sample);
        check_threads(what[i], &spec, &sample);
        sample_free(&sample);
    }
}

static void test_readers(void **state) {
    (void)state;
    static const char *const probe[] = {"a", "b"};
    const char *from[] = {"emb"};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0), spec_of("linear", "a", 0), spec_of("linear", "b", 0)};
    LinearChoice choice = {5, true, NULL};
    layer[1].config = layer[2].config = &choice;
    layer[2].input = from;
    layer[2].inputs = 1;
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 1, 0, 11, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_PROBE);
    spec.probe = probe;
    spec.probes = 2;
    Model *outline;
    check(model_create(&spec, &outline));
    sample_probe(&sample, model_layer(outline, 1)->out[0]);
    sample_probe(&sample, model_layer(outline, 2)->out[0]);
    model_destroy(&outline);
    check_all("a value with two readers", &spec, &sample);
    sample_free(&sample);
}

/* With three shared uses there is a contributor in the middle. */
static void test_tied(void **state) {
    (void)state;
    LinearChoice square = {5, true, NULL}, again = {5, false, "first"}, last = {KEY_NULL_SIZE, true, "emb"};
    LayerSpec layer[] = {
        spec_of("embedding", "emb", 0),
        {.type = layer_type("linear"), .name = "first", .config = &square},
        {.type = layer_type("linear"), .name = "second", .config = &again},
        spec_of("activation", "act", 3),
        {.type = layer_type("linear"), .name = "third", .config = &again},
        {.type = layer_type("linear"), .name = "fc", .config = &last},
    };
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 1, 0, 11, PER_STEP, 11);
    ModelSpec spec = rig_spec(&sample, layer, 6, LOSS_CROSS_ENTROPY);
    check_all("tied weights", &spec, &sample);
    sample_free(&sample);
}

static void test_frozen(void **state) {
    (void)state;
    for (size_t frozen = 0; frozen < 4; frozen++) {
        LinearChoice square = {5, true, NULL};
        LayerSpec layer[] = {
            spec_of("embedding", "emb", 0),
            {.type = layer_type("linear"), .name = "first", .config = &square},
            spec_of("layer_norm", "norm", 0),
            {.type = layer_type("linear"), .name = "fc", .config = &square},
        };
        layer[frozen].frozen = true;
        Sample sample;
        char what[64];
        snprintf(what, sizeof what, "%s frozen", layer[frozen].name);
        sample_make(&sample, SAMPLE_SEQUENCES, 1, 0, 11, PER_STEP, 5);
        ModelSpec spec = rig_spec(&sample, layer, 4, LOSS_CROSS_ENTROPY);
        check_all(what, &spec, &sample);
        Model *model;
        check(model_create(&spec, &model));
        ModelMemory memory = model_memory(model);
        for (size_t p = 0; p < model_params(model); p++) {
            const Param *param = model_param(model, p);
            assert_int_equal(param->frozen, strncmp(param->name, layer[frozen].name, strlen(layer[frozen].name)) == 0);
            assert_int_equal(param->frozen, param->offset >= memory.trainable);
        }
        model_destroy(&model);
        sample_free(&sample);
    }
}

/* A branch that the loss does not look at, and below it parameters that get zeros. */
static void test_unread(void **state) {
    (void)state;
    const char *from[] = {"emb"};
    LinearChoice square = {5, true, NULL};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0),
                         {.type = layer_type("linear"), .name = "aside", .config = &square},
                         {.type = layer_type("linear"), .name = "fc", .config = &square}};
    layer[2].input = from;
    layer[2].inputs = 1;
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 1, 0, 11, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, 3, LOSS_CROSS_ENTROPY);
    check_all("a branch that nobody reads", &spec, &sample);
    sample_free(&sample);
}

static void test_recurrent_classifier(void **state) {
    (void)state;
    struct {
        int kind;
    } final = {4};
    LayerSpec layer[] = {spec_of("embedding", "emb", 0),
                         spec_of("lstm", "rnn", 0),
                         {.type = layer_type("select"), .name = "final", .config = &final},
                         spec_of("linear", "fc", 0)};
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 1, 0, 11, PER_SEQUENCE, 5);
    ModelSpec spec = rig_spec(&sample, layer, 4, LOSS_CROSS_ENTROPY);
    check_all("embedding, lstm, select final, linear", &spec, &sample);
    sample_free(&sample);
}

int main(int argc, char **argv) {
    const struct CMUnitTest one[] = {cmocka_unit_test(test_threads), cmocka_unit_test(test_shards),
                                     cmocka_unit_test(test_lives),   cmocka_unit_test(test_needs),
                                     cmocka_unit_test(test_empty),   cmocka_unit_test(test_recompute)};
    only_kind = argc > 1 ? argv[1] : NULL;
    if (only_kind) return cmocka_run_group_tests_name(only_kind, one, start_kernels, stop_kernels);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_shards),
        cmocka_unit_test(test_lives),
        cmocka_unit_test(test_needs),
        cmocka_unit_test(test_empty),
        cmocka_unit_test(test_decoders),
        cmocka_unit_test(test_readers),
        cmocka_unit_test(test_tied),
        cmocka_unit_test(test_frozen),
        cmocka_unit_test(test_unread),
        cmocka_unit_test(test_recurrent_classifier),
        cmocka_unit_test(test_recompute),
    };
    return cmocka_run_group_tests_name("every layer", tests, start_kernels, stop_kernels);
}
