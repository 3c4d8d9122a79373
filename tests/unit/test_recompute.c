/* SPDX-License-Identifier: MIT
 *
 * test_recompute.c: layers that recompute among others that do not, whichever they are: the same bits, nothing read
 * outside its life; and what training keeps of each kind of layer, with and without, against formulas in closed
 * form. */
#include "layers/ops/ops.h"
#include "layers/recurrent/recurrent.h"
#include "layers/transformer/transformer.h"
#include "tests/unit/model_fixture.h"

/* ---- lists of many kinds ------------------------------------------------------------------------------------ */

enum { FEATURES = 6, LAYERS = 14 };

typedef struct List {
    LayerSpec layer[LAYERS];
    size_t layers;
    EmbeddingChoice embedding;
    MultiHeadChoice heads;
    SelfChoice self;
    RecurrentConfig lstm, gru;
    TransformerConfig transformer[2];
    LinearChoice last;
    int none, select;
    const char *input[LAYERS][2];
} List;

static LayerSpec *list_add(List *list, const char *kind, const char *name, void *config) {
    LayerSpec *spec = &list->layer[list->layers];
    assert_true(list->layers < LAYERS);
    *spec = (LayerSpec){.type = layer_type(kind), .name = name, .config = config, .input = list->input[list->layers]};
    if (!spec->type) fail_msg("there is no %s", kind);
    list->layers++;
    return spec;
}

static void list_reads(LayerSpec *spec, const char *first, const char *second) {
    spec->input[spec->inputs++] = first;
    if (second) spec->input[spec->inputs++] = second;
}

/* Values with several readers, states that are read and states that are not, layers whose backward reads what they
 * gave. */
static void list_make(List *list) {
    *list = (List){.embedding = {KEY_NULL_SIZE, FEATURES, INT64_MIN, NAN, 2, false, false},
                   .heads = {2, KEY_NULL_SIZE, KEY_NULL_SIZE, true, true, 0.2},
                   .self = {FEATURES, false, false, 0.1},
                   .lstm = {.hidden_size = 3, .num_layers = 3, .bidirectional = true, .bias = true, .dropout = 0.3},
                   .gru = {.hidden_size = FEATURES, .num_layers = 2, .bias = true, .initial_state = STATE_CONTEXT},
                   .transformer = {{2, 3, 9, 0.1, 1, true, true, true, true, 1e-5},
                                   {3, 2, 7, 0.2, 0, false, false, false, true, 1e-5}},
                   .last = {5, true, NULL},
                   .select = 4};
    list_add(list, "embedding", "emb", &list->embedding);
    list_add(list, "multi_head_attention", "heads", &list->heads);
    list_reads(list_add(list, "residual", "sum", &list->none), "emb", "heads");
    list_add(list, "self_attention", "self", &list->self);
    list_add(list, "lstm", "lstm", &list->lstm);
    list_reads(list_add(list, "select", "final", &list->select), "lstm", NULL);
    list_reads(list_add(list, "layer_norm", "norm", spec_of("layer_norm", "norm", 0).config), "lstm", NULL);
    list_add(list, "transformer_encoder", "pre", &list->transformer[0]);
    list_reads(list_add(list, "gru", "gru", &list->gru), "pre", "final");
    list_add(list, "self_attention", "again", &list->self);
    list_add(list, "transformer_encoder", "post", &list->transformer[1]);
    list_reads(list_add(list, "residual", "end", &list->none), "post", "gru");
    list_add(list, "linear", "fc", &list->last);
}

/* What a pass gives. */
typedef struct Outcome {
    real *gradient;
    size_t count;
    ShardResult result[2];
    size_t bytes; /* what the plan gives to a rank */
} Outcome;

static Outcome outcome_of(const List *list, const Sample *sample, size_t threads, bool poison) {
    Rig rig;
    ModelSpec spec = rig_spec(sample, list->layer, list->layers, LOSS_CROSS_ENTROPY);
    spec.threads = threads;
    ops_stop();
    check(ops_start(threads));
    rig_start(&rig, &spec, sample, 0, 2, 2);
    model_poison(rig.model, poison);
    rig_train(&rig, NULL, NULL);
    const ModelMemory memory = model_memory(rig.model);
    Outcome outcome = {.count = memory.trainable, .bytes = memory.activations + memory.saved + memory.tmp};
    outcome.gradient = rig_memory(outcome.count, sizeof(real));
    memcpy(outcome.gradient, rig.gradient[0], outcome.count * sizeof(real));
    memcpy(outcome.result, rig.result, sizeof outcome.result);
    rig_stop(&rig);
    return outcome;
}

static void assert_same(const Outcome *kept, List *list, const Sample *sample, size_t threads, unsigned which) {
    for (size_t l = 0; l < list->layers; l++) list->layer[l].recompute = which >> l & 1;
    for (int poison = 0; poison < 2; poison++) {
        const Outcome made = outcome_of(list, sample, threads, poison);
        for (size_t i = 0; i < kept->count; i++)
            if (memcmp(&kept->gradient[i], &made.gradient[i], sizeof(real)) != 0)
                fail_msg("layers %x on %zu threads%s: gradient[%zu] is %.9g, was %.9g", which, threads,
                         poison ? ", poisoned" : "", i, (double)made.gradient[i], (double)kept->gradient[i]);
        assert_memory_equal(kept->result, made.result, sizeof made.result);
        free(made.gradient);
    }
}

static void test_lists(void **state) {
    (void)state;
    List list;
    Sample sample;
    list_make(&list);
    sample_make(&sample, SAMPLE_SEQUENCES, 3, 0, 11, PER_STEP, 5);
    const Outcome kept = outcome_of(&list, &sample, 1, false);
    const unsigned all = (1u << list.layers) - 1;
    for (size_t threads = 1; threads <= 3; threads++) assert_same(&kept, &list, &sample, threads, all);
    for (size_t l = 0; l < list.layers; l++) assert_same(&kept, &list, &sample, 1, 1u << l);
    for (unsigned i = 1; i <= 40; i++) assert_same(&kept, &list, &sample, 1 + i % 3, i * 2654435761u >> 7 & all);
    free(kept.gradient);
    sample_free(&sample);
}

/* ---- memory ---------------------------------------------------------------------------------------------------- */

/* As the plan counts: every matrix starts on 64 bytes. */
static size_t reals(size_t count) {
    return (count * sizeof(real) + 63) / 64 * 64;
}

/* Bytes saved: what a layer of a stack can make again; what stays of each layer but the last, of the last, and of the
 * stack. Several layers have room for one to make again; a layer that is alone has it in its scratch. */
typedef struct Formula {
    size_t layer, stays, last, stack;
} Formula;

static Formula recurrent_formula(const RecurrentConfig *c, size_t gates, bool extra, size_t states, size_t R,
                                 size_t B) {
    const size_t H = c->hidden_size, P = (H + 15) / 16 * 16, D = c->bidirectional ? 2 : 1;
    return (Formula){.layer = D * (reals(R * gates * P) + extra * reals(R * P)),
                     .stays = reals(R * D * H),
                     .stack = c->num_layers * D * states * reals(B * H)};
}

static Formula attention_formula(size_t E, size_t heads, size_t R) {
    return (Formula){.layer = reals(R * 3 * E) + reals(R * E) + reals(R * 2 * heads)};
}

static Formula transformer_formula(const TransformerConfig *c, size_t E, size_t R) {
    const bool ends = !c->norm_first || c->norm;
    return (Formula){.layer = attention_formula(E, c->nhead, R).layer + reals(R * E) + reals(R * c->dim_feedforward) +
                              4 * reals(R),
                     .stays = reals(R * E),
                     .last = ends ? reals(R * E) : 0,
                     .stack = c->norm ? 2 * reals(R) : 0};
}

static ModelMemory memory_of(const char *kind, void *config, size_t features, const Sample *sample, bool recompute) {
    const char *const probe[] = {"x"};
    LayerSpec layer = {.type = layer_type(kind), .name = "x", .config = config, .recompute = recompute};
    ModelSpec spec = rig_spec(sample, &layer, 1, LOSS_PROBE);
    spec.features = features;
    spec.probe = probe;
    spec.probes = 1;
    Model *model;
    check(model_create(&spec, &model));
    const ModelMemory memory = model_memory(model);
    model_destroy(&model);
    return memory;
}

static void assert_memory(const char *kind, void *config, size_t features, size_t layers, Formula f) {
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 7, features, 0, PER_STEP, 5);
    const ModelMemory kept = memory_of(kind, config, features, &sample, false),
                      made = memory_of(kind, config, features, &sample, true);
    const size_t stays = (layers - 1) * f.stays + f.last;
    const size_t one = f.layer + stays + f.stack, passed = layers > 1 ? one : 0, again = layers > 1 ? 0 : one;
    if (kept.saved != (layers - 1) * f.layer + one)
        fail_msg("%s saves %zu bytes, the formula says %zu", kind, kept.saved, (layers - 1) * f.layer + one);
    if (made.saved != passed)
        fail_msg("%s saves %zu bytes to recompute, the formula says %zu", kind, made.saved, passed);
    if (made.tmp != kept.tmp + again)
        fail_msg("%s has %zu bytes of scratch and %zu without recompute, the formula says %zu more", kind, made.tmp,
                 kept.tmp, again);
    sample_free(&sample);
}

static size_t rows_of_sample(size_t *sequences) {
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 7, 1, 0, PER_STEP, 5);
    const size_t rows = sample_rows(&sample, PER_STEP);
    *sequences = sample.sequences;
    sample_free(&sample);
    return rows;
}

static void test_memory(void **state) {
    (void)state;
    enum { E = 24, HEADS = 3 };
    size_t B;
    const size_t R = rows_of_sample(&B);
    for (size_t layers = 1; layers <= 4; layers++)
        for (int both = 0; both < 2; both++) {
            RecurrentConfig c = {.hidden_size = 19, .num_layers = layers, .bidirectional = both, .bias = true};
            assert_memory("lstm", &c, E, layers, recurrent_formula(&c, 4, true, 2, R, B));
            assert_memory("gru", &c, E, layers, recurrent_formula(&c, 3, true, 1, R, B));
            assert_memory("rnn", &c, E, layers, recurrent_formula(&c, 1, false, 1, R, B));
        }
    for (size_t layers = 1; layers <= 4; layers++)
        for (int form = 0; form < 4; form++) {
            TransformerConfig c = {HEADS, layers, 50, 0.1, 1, form & 1, true, form & 2, true, 1e-5};
            assert_memory("transformer_encoder", &c, E, layers, transformer_formula(&c, E, R));
        }
    MultiHeadChoice heads = {HEADS, KEY_NULL_SIZE, KEY_NULL_SIZE, true, true, 0.2};
    assert_memory("multi_head_attention", &heads, E, 1, attention_formula(E, HEADS, R));
}

/* Of N layers a stack that recomputes holds N inputs and one layer: far below what it held. */
static void test_saving(void **state) {
    (void)state;
    enum { N = 12, WIDTH = 32 };
    List list = {.embedding = {KEY_NULL_SIZE, WIDTH, INT64_MIN, NAN, 2, false, false},
                 .transformer = {{2, N, 4 * WIDTH, 0.1, 1, true, true, true, true, 1e-5}},
                 .last = {5, true, NULL}};
    Sample sample;
    sample_make(&sample, SAMPLE_SEQUENCES, 40, 0, 11, PER_STEP, 5);
    list_add(&list, "embedding", "emb", &list.embedding);
    list_add(&list, "transformer_encoder", "enc", &list.transformer[0]);
    list_add(&list, "linear", "fc", &list.last);
    const Outcome kept = outcome_of(&list, &sample, 1, false);
    list.layer[1].recompute = true;
    const Outcome made = outcome_of(&list, &sample, 1, false);
    assert_memory_equal(kept.gradient, made.gradient, kept.count * sizeof(real));
    const size_t value = reals(sample_rows(&sample, PER_STEP) * WIDTH), before = kept.bytes / value,
                 after = made.bytes / value;
    /* 10 values a layer, 3 E + E + E + E + 4 E, become its input, and once the 9 others. */
    if (before - after < 9 * (N - 1) || after > before / 2) fail_msg("%zu values, %zu before", after, before);
    free(kept.gradient);
    free(made.gradient);
    sample_free(&sample);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_memory),
        cmocka_unit_test(test_saving),
    };
    return cmocka_run_group_tests_name("recompute", tests, start_kernels, stop_kernels);
}
