/* SPDX-License-Identifier: MIT
 *
 * test_attention_weights.c: the weights that layers of attention show: a plain softmax in double of scores made
 * from the parameters, on ragged sequences, every piece once, whether a backward is planned or not. */
#include "layers/transformer/transformer.h"
#include "tests/unit/model_fixture.h"

enum { F = 6, LONGEST = 6, MOST_HEADS = 4 };

typedef enum Kind { HEADS, BASIC, CHANNEL } Kind;

typedef struct Seen {
    Look look; /* first */
    real w[LONGEST * LONGEST + LONGEST * F];
    const Rig *rig;
    Kind kind;
    bool causal, only_sums; /* only_sums: of a layer whose input the test does not know */
    const char *prefix;     /* of the parameters */
    size_t pieces;
} Seen;

static const Param *param_of(const Rig *rig, const char *layer, const char *name) {
    char full[128];
    snprintf(full, sizeof full, "%s.%s", layer, name);
    for (size_t i = 0; i < model_params(rig->model); i++)
        if (strcmp(model_param(rig->model, i)->name, full) == 0) return model_param(rig->model, i);
    return NULL;
}

/* Row `row` of part 0 (query) or 1 (key) of the projection, for x. */
static double projected(const Seen *seen, const char *layer, size_t part, size_t row, const real *x) {
    static const char *const names[] = {"query.weight", "key.weight"}, *const biases[] = {"query.bias", "key.bias"};
    char name[64];
    snprintf(name, sizeof name, "%sin_proj_weight", seen->prefix);
    const Param *weight = param_of(seen->rig, layer, name), *bias;
    snprintf(name, sizeof name, "%sin_proj_bias", seen->prefix);
    bias = param_of(seen->rig, layer, name);
    if (weight) row += part * F;
    else {
        weight = param_of(seen->rig, layer, names[part]);
        bias = param_of(seen->rig, layer, biases[part]);
    }
    double sum = bias ? (double)bias->v[row] : 0;
    for (size_t f = 0; f < F; f++) sum += (double)weight->v[row * F + f] * (double)x[f];
    return sum;
}

static double score_of(const Seen *seen, const Layer *layer, const AttentionSet *set, const real *x, size_t head,
                       size_t query, size_t key, size_t keys) {
    double sum = 0;
    if (seen->kind == CHANNEL) {
        const Param *weight = param_of(seen->rig, layer->name, "weight");
        for (size_t f = 0; f < F; f++) sum += (double)weight->v[query * F + f] * (double)x[key * F + f];
        return sum;
    }
    if (seen->kind == BASIC) {
        for (size_t f = 0; f < F; f++) sum += (double)x[(keys - 1) * F + f] * (double)x[key * F + f];
        return sum;
    }
    const size_t d = F / set->heads;
    for (size_t i = 0; i < d; i++)
        sum += projected(seen, layer->name, 0, head * d + i, x + query * F) *
               projected(seen, layer->name, 1, head * d + i, x + key * F);
    return sum / sqrt((double)d);
}

/* One softmax: weight of key k at w[k * step]. */
static void check_softmax(const Seen *seen, const Layer *layer, const AttentionSet *set, const real *x, size_t head,
                          size_t query, size_t keys, const real *w, size_t step) {
    const size_t open = seen->causal ? query + 1 : keys;
    double score[LONGEST], most = -INFINITY, sum = 0, total = 0;
    for (size_t k = 0; k < open && !seen->only_sums; k++) {
        score[k] = score_of(seen, layer, set, x, head, query, k, keys);
        most = fmax(most, score[k]);
    }
    for (size_t k = 0; k < open && !seen->only_sums; k++) sum += exp(score[k] - most);
    for (size_t k = 0; k < keys; k++) {
        double got = (double)w[k * step];
        total += got;
        if (k >= open && got != 0) fail_msg("%s: query %zu sees key %zu: %g", layer->name, query, k, got);
        if (k >= open || seen->only_sums) continue;
        if (!(fabs(got - exp(score[k] - most) / sum) <= 1e-5))
            fail_msg("%s: head %zu, query %zu, key %zu: %.9g, by the equations %.9g", layer->name, head, query, k, got,
                     exp(score[k] - most) / sum);
    }
    if (!(fabs(total - 1) <= 1e-5)) fail_msg("%s: the weights of query %zu sum to %.9g", layer->name, query, total);
}

static void take(Look *look, const Layer *layer, size_t i, size_t sequence, size_t head, size_t queries, size_t keys) {
    Seen *seen = (Seen *)(void *)look;
    const Sample *sample = seen->rig->sample;
    AttentionSet set;
    assert_true(layer->type->attention(layer, i, &set));
    const size_t length = sample->offset[sequence + 1] - sample->offset[sequence];
    assert_int_equal(keys, length);
    assert_int_equal(queries, set.query == PER_SEQUENCE ? 1 : length);
    assert_true(head < set.heads);
    seen->only_sums = i > 0;
    const real *x = sample->x + sample->offset[sequence] * F;
    for (size_t q = 0; q < (set.channels ? set.channels : queries); q++)
        check_softmax(seen, layer, &set, x, head, q, keys, set.channels ? look->w + q : look->w + q * keys,
                      set.channels ? set.channels : 1);
    seen->pieces++;
}

static void check_layer(const char *kind, void *config, Kind what, bool causal, const char *prefix, size_t heads,
                        size_t sets) {
    for (int trains = 0; trains < 2; trains++) {
        LayerSpec layer = {.type = layer_type(kind), .name = "att", .config = config};
        Sample sample;
        Rig rig;
        sample_make(&sample, SAMPLE_SEQUENCES, 1, F, 0, PER_STEP, 5);
        ModelSpec spec = rig_spec(&sample, &layer, 1, LOSS_NONE);
        spec.trains = trains;
        rig_start(&rig, &spec, &sample, 0, 1, 1);
        for (size_t i = 0; i < model_memory(rig.model).parameters; i++) rig.parameters[i] = sample_real(60, i);
        model_pack(rig.model, 0, 1);
        model_poison(rig.model, true);
        Seen seen = {.look = {.take = take}, .rig = &rig, .kind = what, .causal = causal, .prefix = prefix};
        seen.look.w = seen.w;
        model_look(rig.model, &seen.look);
        assert_non_null(model_forward(rig.model, &rig.batch, false));
        assert_int_equal(seen.pieces, SAMPLE_SEQUENCES * heads * sets);
        model_look(rig.model, NULL);
        assert_non_null(model_forward(rig.model, &rig.batch, false));
        assert_int_equal(seen.pieces, SAMPLE_SEQUENCES * heads * sets);
        rig_stop(&rig);
        sample_free(&sample);
    }
}

static void test_heads(void **state) {
    (void)state;
    check_layer("multi_head_attention", &(MultiHeadChoice){2, KEY_NULL_SIZE, KEY_NULL_SIZE, true, false, 0}, HEADS,
                false, "", 2, 1);
    check_layer("multi_head_attention", &(MultiHeadChoice){3, KEY_NULL_SIZE, KEY_NULL_SIZE, false, true, 0.3}, HEADS,
                true, "", 3, 1);
    check_layer("transformer_encoder", &(TransformerConfig){2, 3, 9, 0.1, 0, false, true, true, true, 1e-5}, HEADS,
                true, "layers.0.self_attn.", 2, 3);
}

static void test_one_head(void **state) {
    (void)state;
    check_layer("self_attention", &(SelfChoice){KEY_NULL_SIZE, true, false, 0}, HEADS, false, "", 1, 1);
}

static void test_one_query(void **state) {
    (void)state;
    check_layer("basic_attention", &(int){1}, BASIC, false, "", 1, 1);
    check_layer("channel_attention", &(bool){false}, CHANNEL, false, "", 1, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_heads), cmocka_unit_test(test_one_head),
                                       cmocka_unit_test(test_one_query)};
    return cmocka_run_group_tests_name("weights of attention", tests, start_kernels, stop_kernels);
}
