/* SPDX-License-Identifier: MIT
 *
 * test_attention_layers.c: attention in company, against central differences in double: keys and values of
 * other layers, queries of every origin, biases, inputs that want no gradient. */
#include "tests/unit/double/gradient_check.h"

#include "layers/ops/ops.h"

/* The configs of layers/channel_attention and basic_attention. */
typedef struct ChannelChoice {
    bool bias;
} ChannelChoice;
typedef struct BasicChoice {
    int query;
} BasicChoice;

static const size_t UNSET = KEY_NULL_SIZE;

/* The loss is a random projection of the last layer's output. */
static void check_list(const char *what, LayerSpec *layer, size_t layers, size_t features, bool input_gradient) {
    const char *probe[] = {layer[layers - 1].name};
    Sample sample;
    sample_make(&sample, 4, 1, features, 0, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, layers, LOSS_PROBE);
    spec.input_gradient = input_gradient;
    spec.probe = probe;
    spec.probes = 1;
    spec.loss.kind = LOSS_NONE;
    Model *outline;
    check(model_create(&spec, &outline));
    sample_probe(&sample, model_layer(outline, layers - 1)->out[0]);
    model_destroy(&outline);
    spec.loss.kind = LOSS_PROBE;
    check_model(what, &spec, &sample);
    sample_free(&sample);
}

static LayerSpec layer_of(const char *kind, const char *name, const void *config) {
    LayerSpec spec = spec_of(kind, name, 0);
    spec.config = (void *)(uintptr_t)config;
    return spec;
}

/* ---- several inputs ---------------------------------------------------------------------------------- */

/* Features that end within a panel of 16, at its end, and beyond it. */
static void test_cross(void **state) {
    (void)state;
    static const size_t features[] = {6, 16, 22};
    const char *two[] = {"a", "b"}, *three[] = {"a", "b", "c"}, *back[] = {"a", "b", "a"}, *same[] = {"a", "a", "a"};
    const struct {
        const char **input;
        size_t inputs;
    } choices[] = {{two, 2}, {three, 3}, {back, 3}, {same, 3}};
    for (size_t f = 0; f < 3; f++)
        for (size_t i = 0; i < 4; i++) {
            const LinearChoice a = {features[f], true, NULL}, b = {features[f], false, NULL};
            const MultiHeadChoice heads = {2, UNSET, UNSET, true, i % 2, i == 1 ? 0.3 : 0};
            LayerSpec layer[] = {layer_of("linear", "a", &a), layer_of("linear", "b", &b), layer_of("linear", "c", &a),
                                 layer_of("multi_head_attention", "att", &heads)};
            layer[3].input = choices[i].input;
            layer[3].inputs = choices[i].inputs;
            layer[1].frozen = i == 3; /* nobody reads it */
            layer[2].frozen = i != 1;
            char what[64];
            snprintf(what, sizeof what, "%zu features, inputs %zu", features[f], i);
            check_list(what, layer, 4, 3, true);
        }
}

static void test_cross_free(void **state) {
    (void)state;
    const char *input[] = {"a", "b", "c"};
    const LinearChoice a = {4, true, NULL}, b = {7, false, NULL}, c = {3, true, NULL};
    const MultiHeadChoice heads = {2, 5, 17, true, false, 0};
    for (size_t inputs = 2; inputs <= 3; inputs++) {
        LayerSpec layer[] = {layer_of("linear", "a", &a), layer_of("linear", "b", &b), layer_of("linear", "c", &c),
                             layer_of("multi_head_attention", "att", &heads)};
        layer[3].input = input;
        layer[3].inputs = inputs;
        layer[2].frozen = inputs == 2; /* nobody reads it */
        check_list("free sizes, other keys", layer, 4, 3, true);
    }
}

/* What the layers refuse, with a message that names the key. */
static void check_refused(const char *expected, LayerSpec *layer, size_t layers, size_t features) {
    Sample sample;
    sample_make(&sample, 4, 1, features, 0, PER_STEP, 5);
    ModelSpec spec = rig_spec(&sample, layer, layers, LOSS_NONE);
    Model *model = NULL;
    if (model_create(&spec, &model) == OK) fail_msg("planned, expected: %s", expected);
    if (!strstr(status_message(), expected)) fail_msg("'%s' does not hold '%s'", status_message(), expected);
    model_destroy(&model);
    sample_free(&sample);
}

static void test_refused(void **state) {
    (void)state;
    const char *wide[] = {"a", "b"}, *ends[] = {"a", "s"};
    const LinearChoice a = {6, true, NULL}, b = {8, true, NULL};
    const MultiHeadChoice two = {2, UNSET, UNSET, true, false, 0}, four = {4, UNSET, UNSET, true, false, 0};
    const BasicChoice final = {0};
    struct {
        int kind;
    } last = {0};
    LayerSpec layer[] = {layer_of("linear", "a", &a), layer_of("linear", "b", &b),
                         layer_of("multi_head_attention", "att", &two)};
    layer[2].input = wide;
    layer[2].inputs = 2;
    check_refused("att.input: 'b' has 8 features, the query 'a' 6", layer, 3, 3);
    layer[1] = layer_of("select", "s", &last);
    layer[2].input = ends;
    check_refused("att.input: 's' has one row per sequence", layer, 3, 3);
    LayerSpec heads[] = {layer_of("linear", "a", &a), layer_of("multi_head_attention", "att", &four)};
    check_refused("att.num_heads: 4 heads cannot share the 6 features of 'a'", heads, 2, 3);
    LayerSpec basic[] = {layer_of("linear", "a", &a), layer_of("basic_attention", "att", &final)};
    check_refused("att.query: 'a' has no final state", basic, 2, 3);
    basic[1].input = wide;
    basic[1].inputs = 2;
    LayerSpec steps[] = {layer[0], layer_of("linear", "b", &b), basic[1]};
    check_refused("att.input: the query 'b' has 8 features, 'a' 6", steps, 3, 3);
    LayerSpec channel[] = {layer_of("select", "s", &last),
                           layer_of("channel_attention", "att", &(ChannelChoice){true})};
    check_refused("att.input: 's' has one row per sequence already", channel, 2, 3);
    struct {
        int kind;
        size_t max_len;
        double dropout;
    } positions = {0, 5, 0};
    LayerSpec position[] = {layer_of("positional_encoding", "pos", &positions)};
    check_refused("pos.max_len: 5, but the data's longest sequence has 6 steps", position, 1, 3);
}

/* ---- biases, inputs without gradient -------------------------------------------------------------------- */

static void test_biases(void **state) {
    (void)state;
    const MultiHeadChoice free_form = {2, 5, 7, true, true, 0.2};
    const SelfChoice wide = {17, true, false, 0};
    const ChannelChoice channel = {true};
    LayerSpec layer[] = {layer_of("multi_head_attention", "att", &free_form)};
    check_list("free sizes with biases", layer, 1, 4, true);
    layer[0] = layer_of("self_attention", "att", &wide);
    check_list("self_attention with biases", layer, 1, 4, true);
    layer[0] = layer_of("channel_attention", "channel_attention", &channel);
    check_list("channel_attention with a bias", layer, 1, 4, true);
}

static void test_no_input_gradient(void **state) {
    (void)state;
    static const char *const kinds[] = {"multi_head_attention", "self_attention", "channel_attention",
                                        "transformer_encoder", "positional_encoding"};
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++)
        for (size_t n = 0; layer_type(kinds[k])->cases[n].name; n++) {
            LayerSpec layer[] = {spec_of(kinds[k], kinds[k], n)};
            if (strcmp(kinds[k], "positional_encoding") == 0 && n == 0) continue; /* learns nothing */
            check_list(layer_type(kinds[k])->cases[n].name, layer, 1, layer_type(kinds[k])->cases[n].features, false);
        }
}

/* ---- basic_attention -------------------------------------------------------------------------------------- */

static void test_queries(void **state) {
    (void)state;
    static const char *const kinds[] = {"rnn", "gru", "lstm"};
    const char *state_input[] = {"r", "r.h_n"}, *mean_input[] = {"r", "s"};
    const BasicChoice final = {0};
    struct {
        int kind;
    } mean = {2};
    for (size_t k = 0; k < 3; k++)
        for (size_t n = 0; n < 2; n++) {
            const LayerCase *layer_case = &layer_type(kinds[k])->cases[n];
            if (layer_case->features == 0) continue;
            LayerSpec layer[] = {spec_of(kinds[k], "r", n), layer_of("basic_attention", "att", &final)};
            check_list(layer_case->name, layer, 2, layer_case->features, true);
            layer[1].input = state_input;
            layer[1].inputs = 2;
            check_list(layer_case->name, layer, 2, layer_case->features, true);
            LayerSpec three[] = {layer[0], layer_of("select", "s", &mean), layer_of("basic_attention", "att", &final)};
            three[2].input = mean_input;
            three[2].inputs = 2;
            check_list(layer_case->name, three, 3, layer_case->features, true);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cross),  cmocka_unit_test(test_cross_free),        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_biases), cmocka_unit_test(test_no_input_gradient), cmocka_unit_test(test_queries),
    };
    return cmocka_run_group_tests_name("attention layers", tests, start_kernels, stop_kernels);
}
