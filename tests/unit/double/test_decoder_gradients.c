/* SPDX-License-Identifier: MIT
 *
 * test_decoder_gradients.c: encoders with decoders, attention between streams of steps, additions and values side
 * by side, against central differences in double. */
#include "tests/unit/decoder_fixture.h"
#include "tests/unit/double/gradient_check.h"

static void check_seq2seq(const char *what, const Seq2Seq *s) {
    Sample sample;
    seq2seq_sample(&sample, 4, 1);
    const ModelSpec spec = seq2seq_spec(s, &sample);
    check_model(what, &spec, &sample);
    sample_free(&sample);
}

static void test_recurrent(void **state) {
    (void)state;
    static const char *const kinds[] = {"rnn", "gru", "lstm"};
    for (size_t k = 0; k < 3; k++) {
        Seq2Seq s;
        seq2seq_recurrent(&s, kinds[k]);
        check_seq2seq(kinds[k], &s);
    }
}

static void test_transformer(void **state) {
    (void)state;
    Seq2Seq s;
    seq2seq_transformer(&s, false);
    check_seq2seq("post-norm", &s);
    seq2seq_transformer(&s, true);
    check_seq2seq("pre-norm", &s);
    s.transformer.dropout = s.writer.dropout = 0.3;
    check_seq2seq("pre-norm, dropout", &s);
    s.layer[0].frozen = s.layer[1].frozen = true;
    check_seq2seq("a frozen encoder", &s);
}

/* Encoder's rows for a decoder that reads them through several heads of free sizes, in residuals, beside a row
 * per sequence that stands at every step. */
static void test_side_by_side(void **state) {
    (void)state;
    MultiHeadChoice heads = {2, 5, 4, true, false, 0};
    Seq2Seq s = {.embedding = {KEY_NULL_SIZE, 4, INT64_MIN, NAN, 2, false, false},
                 .encoder = {.hidden_size = 3, .num_layers = 1, .bias = true},
                 .out = {SYMBOLS + 1, true, NULL},
                 .select = 2};
    seq2seq_add(&s, "embedding", "emb", &s.embedding, "data", NULL);
    seq2seq_add(&s, "gru", "rnn", &s.encoder, NULL, NULL);
    seq2seq_add(&s, "select", "mean", &s.select, "rnn", NULL);
    seq2seq_add(&s, "embedding", "target_emb", &s.embedding, "target", NULL);
    seq2seq_add(&s, "multi_head_attention", "att", &heads, "target_emb", "rnn");
    seq2seq_add(&s, "residual", "sum", &s.none, "target_emb", "att");
    seq2seq_add(&s, "concat", "concat", &s.none, "mean", "sum");
    seq2seq_add(&s, "linear", "fc", &s.out, NULL, NULL);
    check_seq2seq("heads, residual, concat", &s);
}

/* Queries at every step of the same stream. */
static void test_own_steps(void **state) {
    (void)state;
    Seq2Seq s = {.embedding = {KEY_NULL_SIZE, 4, INT64_MIN, NAN, 2, false, false}, .out = {SYMBOLS + 1, true, NULL}};
    seq2seq_add(&s, "embedding", "emb", &s.embedding, "target", NULL);
    seq2seq_add(&s, "embedding", "other", &s.embedding, "target", NULL);
    seq2seq_add(&s, "basic_attention", "att", &s.none, "emb", "other");
    seq2seq_add(&s, "linear", "fc", &s.out, NULL, NULL);
    check_seq2seq("basic_attention, queries of its own steps", &s);
}

/* ---- refused ------------------------------------------------------------------------------------------------- */

static void refused(const char *message, const Seq2Seq *s) {
    Sample sample;
    Model *model = NULL;
    seq2seq_sample(&sample, 4, 1);
    const ModelSpec spec = seq2seq_spec(s, &sample);
    if (model_create(&spec, &model) == OK) fail_msg("planned, expected: %s", message);
    if (!strstr(status_message(), message)) fail_msg("'%s' does not hold '%s'", status_message(), message);
    sample_free(&sample);
}

static void test_refused(void **state) {
    (void)state;
    EmbeddingChoice wide = {KEY_NULL_SIZE, 5, INT64_MIN, NAN, 2, false, false};
    Seq2Seq s = {.embedding = {KEY_NULL_SIZE, 4, INT64_MIN, NAN, 2, false, false},
                 .transformer = {2, 1, 5, 0, 0, 0, 1, 0, 1, 1e-5}};
    struct {
        size_t num_heads, head_dim, out_features;
        bool bias, causal;
        double dropout;
    } causal = {2, KEY_NULL_SIZE, KEY_NULL_SIZE, true, true, 0};
    seq2seq_add(&s, "embedding", "a", &s.embedding, "data", NULL);
    seq2seq_add(&s, "embedding", "b", &s.embedding, "target", NULL);
    seq2seq_add(&s, "embedding", "c", &wide, "target", NULL);
    seq2seq_add(&s, "residual", "it", &s.none, "a", "b");
    refused("it: its input 'a' and its last layer 'b' have different rows", &s);
    s.input[3][0] = "c";
    refused("it: its input 'c' has 5 features, its last layer 'b' 4", &s);
    s.layer[3].inputs = 1;
    refused("it.input: 1 inputs, but a layer of kind residual reads at least 2", &s);
    s.layers = 3;
    seq2seq_add(&s, "concat", "it", &s.none, "b", "a");
    refused("it.input: 'a' has a row for every step of the input, 'b' of the decoder", &s);
    s.layers = 3;
    seq2seq_add(&s, "multi_head_attention", "it", &causal, "b", "a");
    refused("it.causal: the steps of 'a' are not those of 'b'", &s);
    s.layers = 3;
    seq2seq_add(&s, "transformer_decoder", "it", &s.transformer, "a", "c");
    refused("it.input: 'c' has 5 features, 'a' 4", &s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recurrent), cmocka_unit_test(test_transformer), cmocka_unit_test(test_side_by_side),
        cmocka_unit_test(test_own_steps), cmocka_unit_test(test_refused),
    };
    return cmocka_run_group_tests_name("decoders", tests, start_kernels, stop_kernels);
}
