/* SPDX-License-Identifier: MIT
 *
 * test_config_groups.c: groups of layers in a config: what the one list they become holds, which value a name
 * means from where, what is refused with which words, overrides, the printed form and what a resumed run
 * compares; which layers `train.recompute` means. */
#include "tests/unit/config_fixture.h"

#define DATA "data: {path: a.txt}\nmodel:\n"

/* "name:kind(input,input)" of every layer, a space between. */
static void assert_list(const char *text, const char *expected) {
    Config *config = good(text, NULL);
    char list[2000] = "";
    size_t used = 0;
    for (size_t i = 0; i < config->layers; i++) {
        const LayerSpec *spec = &config->layer[i];
        used += (size_t)snprintf(list + used, sizeof list - used, "%s%s:%s%s", i ? " " : "", spec->name,
                                 spec->type->kind, spec->frozen ? "!" : "");
        for (size_t k = 0; k < spec->inputs; k++)
            used += (size_t)snprintf(list + used, sizeof list - used, "%c%s%s", k ? ',' : '(', spec->input[k],
                                     k + 1 == spec->inputs ? ")" : "");
    }
    assert_string_equal(list, expected);
    config_destroy(&config);
}

/* The layers that recompute, a space between. */
static void assert_recompute(const char *value, const char *expected) {
    char text[600], list[600] = "";
    snprintf(text, sizeof text,
             DATA "  - encoder: [embedding: {embedding_dim: 4}, lstm: {name: rnn, hidden_size: 5}]\n"
                  "  - residual: {name: enc, layers: [{linear: {out_features: 5}}, {activation: gelu}]}\n"
                  "  - linear\ntrain: {recompute: %s}\n",
             value);
    Config *config = good(text, NULL);
    for (size_t i = 0; i < config->layers; i++)
        if (config->layer[i].recompute)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", *list ? " " : "", config->layer[i].name);
    assert_string_equal(list, expected);
    char *printed = config_print(config, false), line[80];
    snprintf(line, sizeof line, "\n  recompute: %s\n", value);
    assert_non_null(strstr(printed, line));
    free(printed);
    config_destroy(&config);
}

static void test_recompute(void **state) {
    (void)state;
    assert_recompute("none", "");
    assert_recompute("all", "encoder.embedding encoder.rnn enc.linear enc.activation enc linear");
    assert_recompute("encoder", "encoder.embedding encoder.rnn");
    assert_recompute("enc", "enc.linear enc.activation enc");
    assert_recompute("[linear, encoder.rnn]", "encoder.rnn linear");
}

static void test_lists(void **state) {
    (void)state;
    assert_list(DATA "  - encoder:\n      - embedding: {embedding_dim: 4}\n      - lstm: {name: rnn, hidden_size: 5}\n"
                     "  - decoder:\n      - embedding: {embedding_dim: 4}\n"
                     "      - gru: {name: rnn, hidden_size: 5}\n"
                     "      - basic_attention: {input: [encoder, rnn]}\n"
                     "      - concat: {input: [rnn, basic_attention]}\n"
                     "      - linear: {input: concat}\n",
                "encoder.embedding:embedding(data) encoder.rnn:lstm decoder.embedding:embedding(target) "
                "decoder.rnn:gru decoder.basic_attention:basic_attention(encoder.rnn,decoder.rnn) "
                "decoder.concat:concat(decoder.rnn,decoder.basic_attention) decoder.linear:linear(decoder.concat)");
    assert_list(DATA "  - linear: {out_features: 3}\n  - residual: [linear, {activation: gelu}]\n"
                     "  - residual: {name: second, input: linear, frozen: true, layers: [{linear: {name: fc}}]}\n"
                     "  - linear: {name: end, input: [second]}\n",
                "linear:linear residual.linear:linear(linear) residual.activation:activation "
                "residual:residual(linear,residual.activation) second.fc:linear!(linear) "
                "second:residual(linear,second.fc) end:linear(second)");
    /* A group first in the list, a group in a group, names that stand at several places. */
    assert_list(DATA
                "  - residual:\n      layers:\n        - one_hot\n        - residual: [{linear: {name: fc}}, linear]\n"
                "        - linear: {input: one_hot}\n        - linear: {input: residual.residual.fc}\n"
                "        - linear: {input: residual.linear_2}\n",
                "residual.one_hot:one_hot(data) residual.residual.fc:linear(residual.one_hot) "
                "residual.residual.linear:linear "
                "residual.residual:residual(residual.one_hot,residual.residual.linear) "
                "residual.linear:linear(residual.one_hot) residual.linear_2:linear(residual.residual.fc) "
                "residual.linear_3:linear(residual.linear_2) residual:residual(data,residual.linear_3)");
    /* The nearest of the name, from the inside out; states of a layer and of a group's last layer. */
    assert_list(DATA
                "  - lstm: {name: rnn, hidden_size: 3}\n"
                "  - encoder: [{linear: {input: rnn}}, {lstm: {name: rnn, hidden_size: 3}}, {linear: {input: rnn}}, "
                "{gru: {hidden_size: 4}}]\n  - select: {input: rnn.h_n}\n  - select: {input: encoder.rnn.c_n}\n"
                "  - select: {input: encoder.h_n}\n",
                "rnn:lstm encoder.linear:linear(rnn) encoder.rnn:lstm encoder.linear_2:linear(encoder.rnn) "
                "encoder.gru:gru select:select(rnn.h_n) select_2:select(encoder.rnn.c_n) "
                "select_3:select(encoder.gru.h_n)");
    assert_list(DATA "  - encoder: {input: data, layers: [linear]}\n  - decoder: {input: encoder, layers: [linear, "
                     "{linear: {input: context}}, {linear: {input: target}}]}\n",
                "encoder.linear:linear(data) decoder.linear:linear(encoder.linear) "
                "decoder.linear_2:linear(context) decoder.linear_3:linear(target)");
}

static const struct {
    const char *name, *text, *lines[MOST];
} refusals[] = {
    {"forms",
     DATA "  - encoder\n  - encoder: {layers: []}\n  - decoder: 3\n  - residual: {layers: {lstm: 3}}\n"
          "  - residual: []\n",
     {"c.yaml:3:5: model.encoder.layers: missing: its layers, in order; the first reads what the group reads, and the "
      "last one's output is the group's",
      "c.yaml:4:23: model.encoder_2.layers: expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got "
      "nothing",
      "c.yaml:5:14: model.decoder: expected the layers of decoder, like [{lstm: {hidden_size: 128}}, linear], got '3'",
      "c.yaml:6:24: model.residual.layers: expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got a "
      "mapping; start each layer with '-'",
      "c.yaml:7:15: model.residual_2.layers: expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got "
      "nothing"}},
    {"keys inside",
     DATA "  - encoder:\n      - lstm: {hiden_size: 4}\n      - lsmt\n      -\n"
          "  - decoder: {layrs: [linear], layers: [{linear: {bias: 3}}]}\n",
     {"c.yaml:4:9: model.encoder.lstm.hidden_size: missing: features of the hidden state",
      "c.yaml:4:16: model.encoder.lstm.hiden_size: unknown key, did you mean 'hidden_size'?",
      "c.yaml:5:9: model.encoder.1: unknown layer 'lsmt', did you mean 'lstm'?",
      "c.yaml:6:8: model.encoder.2: expected a layer, like '- lstm: {hidden_size: 128}'",
      "c.yaml:7:15: model.decoder.layrs: unknown key, did you mean 'layers'?",
      "c.yaml:7:57: model.decoder.linear.bias: expected true or false, got '3'"}},
    {"names",
     DATA "  - encoder: [{linear: {name: a}}, {linear: {name: a}}, {linear: {name: target}}]\n  - encoder: {name: "
          "context, layers: [linear]}\n",
     {"c.yaml:3:52: model.encoder.1.name: the name 'a' belongs to layer 0 already; give another",
      "c.yaml:3:73: model.encoder.2.name: the name 'target' belongs to the model's input; give another",
      "c.yaml:4:21: model.1.name: the name 'context' belongs to the model's input; give another"}},
    {"inputs",
     DATA "  - encoder: [{linear: {input: encoder}}, {linear: {input: late}}, {linear: {name: late, input: "
          "encoder.late}}]\n  - decoder: {input: [data, data], layers: [{linear: {input: encodr}}, {linear: {input: "
          "encoder.nobody}}]}\n  - residual: {input: decoder.linear_3, layers: [linear]}\n  - concat\n",
     {"c.yaml:3:32: model.encoder.linear.input: 'encoder' is not above this layer; a layer reads what stands before it",
      "c.yaml:3:60: model.encoder.linear_2.input: 'late' is not above this layer; a layer reads what stands before it",
      "c.yaml:3:97: model.encoder.late.input: 'encoder' is not above this layer; a layer reads what stands before it",
      "c.yaml:4:22: model.decoder.input: 2 inputs, but decoder reads at most 1",
      "c.yaml:4:62: model.decoder.linear.input: there is no layer 'encodr', did you mean 'encoder'?",
      "c.yaml:6:5: model.concat.input: 0 inputs, but concat reads at least 2; name them, like [rnn, attention]"}},
    {"a decoder that looks ahead",
     DATA "  - encoder: [{embedding: {name: emb, embedding_dim: 4}}, {gru: {name: rnn, hidden_size: 2, bidirectional: "
          "true}}, self_attention]\n"
          "  - decoder:\n      - embedding: {name: emb, embedding_dim: 4}\n"
          "      - gru: {name: rnn, hidden_size: 2, bidirectional: true}\n"
          "      - self_attention\n"
          "      - residual: [{multi_head_attention: {num_heads: 2, causal: false}}]\n"
          "      - multi_head_attention: {name: cross, num_heads: 2, input: [residual, encoder]}\n"
          "      - transformer_decoder: {nhead: 2, causal: false}\n"
          "      - transformer_decoder: {name: own, nhead: 2, input: [emb, emb]}\n"
          "      - basic_attention: {name: look, input: [encoder, own]}\n"
          "      - concat: {input: [look, rnn.h_n]}\n"
          "      - select: mean\n",
     {"c.yaml:6:57: model.decoder.rnn.bidirectional: true lets a step of a decoder see those behind it, which are yet "
      "to be written; set bidirectional: false, both directions are for the encoder",
      "c.yaml:7:9: model.decoder.self_attention.causal: false lets a step of a decoder see those behind it, which are "
      "yet to be written; set causal: true",
      "c.yaml:8:66: model.decoder.residual.multi_head_attention.causal: false lets a step of a decoder see those "
      "behind "
      "it, which are yet to be written; set causal: true",
      "c.yaml:10:49: model.decoder.transformer_decoder.causal: false lets a step of a decoder see those behind it, "
      "which are yet to be written; set causal: true",
      "c.yaml:11:59: model.decoder.own: transformer_decoder looks at all steps of what the decoder writes, also those "
      "that are yet to be written; let it read the encoder, or leave it out",
      "c.yaml:13:25: model.decoder.concat.input: 'decoder.rnn.h_n' is the state behind the last step, which a decoder "
      "is yet to write; read 'decoder.rnn', which has a row for every step",
      "c.yaml:14:9: model.decoder.select: select looks at all steps of what the decoder writes, also those that are "
      "yet "
      "to be written; let it read the encoder, or leave it out"}},
};

static void test_refused(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(refusals); i++)
        assert_refused(refusals[i].name, refusals[i].text, NULL, refusals[i].lines);
    char text[4000] = DATA "  - encoder: {name: ", name[101] = {0};
    memset(name, 'n', 100);
    strcat(text, name);
    strcat(text, ", layers: [{residual: {name: ");
    strcat(text, name);
    strcat(text, ", layers: [linear]}}]}\n");
    assert_refused(
        "a long name", text, NULL,
        (const char *const[MOST]){"c.yaml:3:150: model.nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn"
                                  "nnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnnn.0.name: with the groups around "
                                  "it, the name has more than 200 characters; shorten one"});
}

#define NESTED                                                                                                         \
    DATA "  - encoder: [{embedding: {name: emb, embedding_dim: 4}}, {lstm: {name: rnn, hidden_size: 5}}]\n"            \
         "  - residual: {frozen: true, layers: [{residual: [linear]}]}\n  - linear\n"

static void test_overrides(void **state) {
    (void)state;
    Config *config =
        good(NESTED, (const char *const[MOST]){"model.encoder.rnn.hidden_size=64", "model.0.0.name=e",
                                               "model.encoder.e.embedding_dim=9", "model.residual.frozen=false",
                                               "model.residual.residual.linear.frozen=true", "model.encoder.name=enc",
                                               "model.enc.1.num_layers=2"});
    const Key *hidden = key_find(layer_type("lstm")->keys, "hidden_size"),
              *number = key_find(layer_type("lstm")->keys, "num_layers");
    assert_string_equal(config->layer[0].name, "enc.e");
    assert_string_equal(config->layer[1].name, "enc.rnn");
    assert_int_equal(*(const size_t *)((const char *)config->layer[1].config + hidden->offset), 64);
    assert_int_equal(*(const size_t *)((const char *)config->layer[1].config + number->offset), 2);
    assert_true(config->layer[2].frozen && !config->layer[3].frozen);
    config_destroy(&config);
    assert_refused("overrides", NESTED,
                   (const char *const[MOST]){"model.encoder.rn.hidden_size=64", "model.encoder.7.name=x",
                                             "model.linear.rnn.hidden_size=3", "model.encoder.rnn.hiden_size=2"},
                   (const char *const[MOST]){
                       "command line: model.encoder.rn.hidden_size=64: there is no layer 'rn', did you mean 'rnn'?",
                       "command line: model.encoder.7.name=x: there is no layer '7'; the list has 2, counted from 0",
                       "command line: model.linear.rnn.hidden_size=3: name a layer and its key; write "
                       "model.1.hidden_size=256 (counted from 0), model.rnn.hidden_size=256 or, in a group, "
                       "model.encoder.rnn.hidden_size=256",
                       "command line: model.encoder.rnn.hiden_size=2: unknown key, did you mean 'hidden_size'?"});
}

static void test_printed(void **state) {
    (void)state;
    Config *config = good(DATA "  - encoder: [{dropout: {p: 0.5}}]\n  - residual: {input: encoder, layers: [{residual: "
                               "[one_hot]}]}\n",
                          NULL);
    static const char expected[] =
        "model:\n  - encoder:\n      name: encoder\n      input: null\n      frozen: false\n      layers:\n"
        "      - dropout:\n          name: dropout\n          input: null\n          frozen: false\n          p: 0.5\n"
        "  - residual:\n      name: residual\n      input: encoder\n      frozen: false\n      layers:\n"
        "      - residual:\n          name: residual\n          input: null\n          frozen: false\n"
        "          layers:\n          - one_hot:\n              name: one_hot\n              input: null\n"
        "              frozen: false\n";
    char *text = config_print(config, false);
    if (!strstr(text, expected)) fail_msg("%s\nis not in\n%s", expected, text);
    free(text);
    config_destroy(&config);
}

static void test_differences(void **state) {
    (void)state;
    Config *saved = good(NESTED, NULL),
           *now = good(NESTED, (const char *const[MOST]){"model.encoder.rnn.hidden_size=64",
                                                         "model.residual.frozen=false", "model.encoder.emb.name=e"});
    char *text = config_differences(saved, now, NULL);
    assert_string_equal(text, "  model.encoder.emb: embedding -> none\n"
                              "  model.encoder.rnn.hidden_size: 5 -> 64\n"
                              "  model.residual.residual.linear.frozen: true -> false\n"
                              "  model.encoder.e: none -> embedding");
    free(text);
    config_destroy(&saved);
    config_destroy(&now);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recompute), cmocka_unit_test(test_lists),   cmocka_unit_test(test_refused),
        cmocka_unit_test(test_overrides), cmocka_unit_test(test_printed), cmocka_unit_test(test_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
