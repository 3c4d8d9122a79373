/* SPDX-License-Identifier: MIT
 *
 * test_config.c: what a config means and what is said about a wrong one: exact messages with their
 * places, defaults, overrides, the effective config, differences on resume, suggestions. */
#include "config_fixture.h"

/* ---- files ---------------------------------------------------------------------------------------------- */

static void write_file(const char *path, const char *text, size_t bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static void test_files(void **state) {
    (void)state;
    char directory[] = "/tmp/lockstep_config_XXXXXX", path[64], expected[300];
    Config *config = NULL;
    assert_non_null(mkdtemp(directory));
    snprintf(path, sizeof path, "%s/my run.yaml", directory);
    assert_int_equal(config_load(path, NULL, 0, &config), ERR_USAGE);
    snprintf(expected, sizeof expected,
             "config cannot be read (%s): No such file or directory; name an existing YAML file", path);
    assert_string_equal(status_message(), expected);
    assert_int_equal(config_load(directory, NULL, 0, &config), ERR_USAGE);
    assert_non_null(strstr(status_message(), "Is a directory"));

    write_file(path, "\xEF\xBB\xBF" BASE, sizeof BASE + 2);
    assert_int_equal(config_load(path, NULL, 0, &config), OK);
    assert_string_equal(config->run.dir, "runs/my run");
    config_destroy(&config);
    assert_null(config);

    write_file(path, BASE "run:\0", sizeof BASE + 4);
    assert_int_equal(config_load(path, NULL, 0, &config), ERR_USAGE);
    snprintf(expected, sizeof expected, "%s:3:5: holds a NUL byte; a config is text in UTF-8", path);
    assert_string_equal(status_message(), expected);

    size_t limit = (size_t)1 << 20;
    char *large = malloc(limit + 1);
    assert_non_null(large);
    memset(large, '\n', limit + 1);
    memcpy(large, BASE, sizeof BASE - 1);
    write_file(path, large, limit);
    assert_int_equal(config_load(path, NULL, 0, &config), OK);
    config_destroy(&config);
    write_file(path, large, limit + 1);
    assert_int_equal(config_load(path, NULL, 0, &config), ERR_USAGE);
    snprintf(expected, sizeof expected, "%s:1:1: larger than 1048576 bytes; this is not a config", path);
    assert_string_equal(status_message(), expected);
    free(large);
    unlink(path);
    rmdir(directory);
}

/* Many errors: the first 50, and how many are left out. */
static void test_many(void **state) {
    (void)state;
    char text[4000] = BASE "run:\n";
    for (int i = 0; i < 120; i++) snprintf(text + strlen(text), sizeof text - strlen(text), "  pineapple%d: 1\n", i);
    Config *config = NULL;
    assert_int_equal(config_parse(text, "c.yaml", NULL, 0, &config), ERR_USAGE);
    const char *message = status_message();
    size_t lines = 1;
    for (const char *at = message; *at; at++) lines += *at == '\n';
    assert_int_equal(lines, 51);
    assert_non_null(strstr(message, "c.yaml:4:3: run.pineapple0: unknown key; run has dir, seed, init_from, init\n"));
    assert_string_equal(strrchr(message, '\n'), "\nc.yaml: and 70 more errors");
}

/* ---- what is meant ------------------------------------------------------------------------------------------ */

static void test_defaults(void **state) {
    (void)state;
    static const char before[] =
        "run:\n  dir: runs/c\n  seed: 1\n  init_from: null\n  init: torch\n"
        "data:\n  kind: text\n  path: a.txt\n  tokenizer: char\n  seq_len: 128\n  validation: 0.1\n  shuffle: true\n  "
        "bucket: false\n"
        "  vocab_size: 1024\n  features: null\n  targets: null\n  lookback: null\n  horizon: 1\n  stride: 1\n  time: "
        "null\n  scaling: "
        "standard\n  task: null\n  sequences: 1000\n  seed: 1\n"
        "model:\n  - linear:\n      name: linear\n      input: null\n      frozen: false\n";
    static const char after[] =
        "\nloss:\n  kind: cross_entropy\n  reduction: mean\n  ignore_index: null\n  label_smoothing: 0\n"
        "optimizer:\n  name: adam\n  lr: 0.001\n  betas: [0.9, 0.999]\n  eps: 1.0e-08\n  weight_decay: 0\n  momentum: "
        "0\n  nesterov: false\n"
        "schedule:\n  kind: constant\n  warmup: 0\n  min_lr: 0\n  steps: null\n  step_size: null\n  gamma: 0.1\n"
        "train:\n  batch_size: 32\n  steps: 1000\n  epochs: null\n  clip_norm: null\n  shards: null\n  shards_at_once: "
        "null\n  max_time: null\n  on_nonfinite: stop\n  recompute: none\n"
        "eval:\n  every: 200\n  early_stop: null\ncheckpoint:\n  every: 200\n  keep: 3\n  async: true\n"
        "log:\n  every: 10\n  progress: auto\n  predictions: 0\n  tensorboard: false\n"
        "comm:\n  overlap: true\n  share: node\n";
    Config *config = good(BASE, NULL);
    char *text = config_print(config, false);
    assert_non_null(text);
    assert_memory_equal(text, before, sizeof before - 1);
    assert_string_equal(strstr(text, "\nloss:"), after);
    free(text);
    assert_true(config->optimizer.lr == 1e-3 && config->optimizer.eps == 1e-8 && config->optimizer.betas[1] == 0.999);
    assert_true(config->train.shards == KEY_NULL_SIZE && isnan(config->train.clip_norm) &&
                isnan(config->train.max_seconds));
    assert_true(config->loss.ignore_index == INT64_MIN && !config->run.init_from && !config->data.validation_path);
    assert_true(config->data.kind == DATA_TEXT && config->data.tokenizer == TOKENIZER_CHAR && config->loss.kind == 0);
    config_destroy(&config);
}

static void test_meaning(void **state) {
    (void)state;
    Config *config = good("data: {path: [a.txt, 'b c.txt'], validation: v.txt, kind: sequences}\n"
                          "model:\n  - one_hot\n  - lstm: {hidden_size: 8}\n  - lstm: {name: top, hidden_size: 1e1, "
                          "input: [lstm]}\n  - lstm: {hidden_size: 100.0, frozen: true}\n"
                          "  - select: mean\n  - linear:\n"
                          "loss: {kind: mse}\noptimizer: {name: sgd, lr: 1e-3, momentum: .9, weight_decay: 5}\ntrain: "
                          "{epochs: 3, max_time: 01:02:03}\nrun: {seed: 9007199254740993}\n",
                          NULL);
    assert_int_equal(config->data.path.count, 2);
    assert_string_equal(config->data.path.item[1], "b c.txt");
    assert_string_equal(config->data.validation_path, "v.txt");
    assert_int_equal(config->layers, 6);
    static const char *const name[] = {"one_hot", "lstm", "top", "lstm_2", "select", "linear"};
    for (size_t i = 0; i < 6; i++) assert_string_equal(config->layer[i].name, name[i]);
    assert_int_equal(config->layer[2].inputs, 1);
    assert_string_equal(config->layer[2].input[0], "lstm");
    assert_int_equal(config->layer[0].inputs, 0);
    assert_true(config->layer[3].frozen && !config->layer[2].frozen);
    const Key *hidden = key_find(config->layer[3].type->keys, "hidden_size"),
              *kind = key_find(config->layer[4].type->keys, "kind");
    assert_int_equal(*(const size_t *)((const char *)config->layer[3].config + hidden->offset), 100);
    assert_int_equal(*(const size_t *)((const char *)config->layer[2].config + hidden->offset), 10);
    assert_int_equal(*(const int *)((const char *)config->layer[4].config + kind->offset), 2);
    assert_int_equal(config->optimizer.name, OPTIMIZER_SGD);
    assert_true(config->optimizer.lr == 0.001 && config->optimizer.momentum == 0.9 &&
                config->optimizer.weight_decay == 5);
    assert_true(config->train.steps == KEY_NULL_SIZE && config->train.epochs == 3 && config->train.max_seconds == 3723);
    assert_true(config->run.seed == 9007199254740993);
    config_destroy(&config);
    config = good(BASE "train: {epochs: 3, steps: 7}\n", NULL);
    assert_true(config->train.steps == 7 && config->train.epochs == 3);
    config_destroy(&config);
}

static void test_durations(void **state) {
    (void)state;
    static const struct {
        const char *text;
        double seconds;
    } fine[] = {{"90s", 90}, {"3h50m", 13800}, {"2d", 172800}, {"1h0m1s", 3601}, {"100:00:00", 360000}, {"0:00:01", 1}};
    static const char *const wrong[] = {"",         "90",          "s",        "3m2h",  "1h1h",    "1.5h",
                                        "-1s",      "0s",          "00:00:00", "1:2:3", "1:60:00", "12:00",
                                        "1:00:00x", "9999999999s", "1h ",      "1H"};
    double seconds;
    for (size_t i = 0; i < COUNT(fine); i++) {
        assert_true(duration_parse(fine[i].text, &seconds));
        assert_true(seconds == fine[i].seconds);
    }
    for (size_t i = 0; i < COUNT(wrong); i++)
        if (duration_parse(wrong[i], &seconds)) fail_msg("'%s' is taken for %g s", wrong[i], seconds);
}

/* ---- overrides ------------------------------------------------------------------------------------------------ */

#define THREE                                                                                                          \
    "data: {path: a.txt}\nmodel:\n  - embedding: {name: emb, embedding_dim: 4}\n  - lstm: {name: rnn, hidden_size: "   \
    "4}\n  - select: last\n  - linear\n"

static void test_overrides(void **state) {
    (void)state;
    Config *config =
        good(THREE "optimizer: {lr: wrong}\n",
             (const char *const[MOST]){"optimizer.lr=5", "optimizer.lr=1e-4", "model.1.hidden_size=256",
                                       "model.rnn.num_layers=2", "model.select.kind=max", "model.linear.name=fc",
                                       "model.fc.bias=false", "data.path=[b.txt, c.txt]", "train.max_time=90s",
                                       "log.every=1", "run.dir=\"yes\""});
    assert_true(config->optimizer.lr == 1e-4 && config->data.path.count == 2 && config->log.every == 1 &&
                config->train.max_seconds == 90);
    assert_string_equal(config->run.dir, "yes");
    char *text = config_print(config, false);
    assert_non_null(strstr(text, "      hidden_size: 256\n      num_layers: 2\n"));
    assert_non_null(strstr(text, "      kind: max\n"));
    assert_non_null(strstr(text, "      name: fc\n"));
    assert_non_null(strstr(text, "      bias: false\n"));
    free(text);
    config_destroy(&config);
    config = good("model: [linear]\n", (const char *const[MOST]){"data.path=x", "train.epochs=2"});
    assert_string_equal(config->data.path.item[0], "x");
    assert_true(config->train.steps == KEY_NULL_SIZE);
    config_destroy(&config);

    assert_refused("overrides", THREE,
                   (const char *const[MOST]){"optimizer.lrr=1", "train.steps=x", "model.rrn.hidden_size=1",
                                             "model.7.name=x", "model.rnn.hiden_size=3", "steps", "steps=3", "model=[]",
                                             "trian.steps=1", "data.path=[a", "model.rnn=3"},
                   (const char *const[MOST]){
                       "command line: optimizer.lrr=1: unknown key, did you mean 'lr'?",
                       "command line: train.steps=x: expected a whole number, got 'x'",
                       "command line: model.rrn.hidden_size=1: there is no layer 'rrn', did you mean 'rnn'?",
                       "command line: model.7.name=x: there is no layer '7'; the list has 4, counted from 0",
                       "command line: model.rnn.hiden_size=3: unknown key, did you mean 'hidden_size'?",
                       "command line: steps: not of the form key=value; write section.key=value, like "
                       "optimizer.lr=1e-3 or model.rnn.hidden_size=256",
                       "command line: steps=3: no section.key before '='; write section.key=value, like "
                       "optimizer.lr=1e-3 or model.rnn.hidden_size=256",
                       "command line: model=[]: no section.key before '='; write section.key=value, like "
                       "optimizer.lr=1e-3 or model.rnn.hidden_size=256",
                       "command line: trian.steps=1: unknown section 'trian', did you mean 'train'?",
                       "command line: data.path=[a: not valid YAML: did not find expected ',' or ']'; check "
                       "indentation, brackets and quotes",
                       "command line: model.rnn=3: name a layer and its key; write model.1.hidden_size=256 (counted "
                       "from 0), model.rnn.hidden_size=256 or, in a group, model.encoder.rnn.hidden_size=256"});
    assert_refused("file first", THREE "run: {sed: 1}\n", (const char *const[MOST]){"train.batch_size=0"},
                   (const char *const[MOST]){"c.yaml:7:7: run.sed: unknown key, did you mean 'seed'?",
                                             "command line: train.batch_size=0: must be >= 1, is 0"});
}

/* ---- the effective config, differences ---------------------------------------------------------------------------- */

static void test_absolute(void **state) {
    (void)state;
    char *here = getcwd(NULL, 0), expected[3][5000];
    Config *config = good(
               "data: {path: [./a.txt, /b, 'c d'], validation: v}\nmodel: [linear]\nrun: {init_from: w.h5, dir: r}\n",
               NULL),
           *again = NULL;
    char *text = config_print(config, true);
    snprintf(expected[0], sizeof expected[0], "  dir: %s/r\n", here);
    snprintf(expected[1], sizeof expected[1], "  path: [%s/a.txt, /b, \"%s/c d\"]\n", here, here);
    snprintf(expected[2], sizeof expected[2], "  init_from: %s/w.h5\n", here);
    for (size_t i = 0; i < 3; i++)
        if (!strstr(text, expected[i])) fail_msg("%s is not in\n%s", expected[i], text);
    assert_int_equal(config_parse(text, "saved", NULL, 0, &again), OK);
    char *note = NULL;
    assert_null(config_differences(again, config, &note));
    assert_null(note);
    free(text);
    free(here);
    config_destroy(&config);
    config_destroy(&again);
}

static const struct {
    const char *text, *override[MOST], *differences, *note;
} changes[] = {
    {THREE,
     {"run.dir=x", "train.steps=3", "train.epochs=4", "train.max_time=9s", "train.shards_at_once=1", "eval.every=3",
      "train.recompute=rnn", "eval.early_stop=2", "checkpoint.keep=9", "log.every=1", "data.path=other"},
     NULL,
     NULL},
    {THREE, {"train.shards=4"}, NULL, "  train.shards: null -> 4"},
    {THREE,
     {"run.seed=2", "optimizer.lr=0.01", "optimizer.betas=[0.8, 0.9]", "data.validation=0.2", "run.init_from=/w.h5",
      "train.batch_size=7"},
     "  run.seed: 1 -> 2\n  run.init_from: null -> /w.h5\n  data.validation: 0.1 -> 0.2\n  optimizer.lr: 0.001 -> "
     "0.01\n  optimizer.betas: [0.9, 0.999] -> [0.8, 0.9]\n  train.batch_size: 32 -> 7",
     NULL},
    {THREE,
     {"model.rnn.hidden_size=256", "model.linear.frozen=true", "model.select.input=rnn"},
     "  model.rnn.hidden_size: 4 -> 256\n  model.select.input: null -> rnn\n  model.linear.frozen: false -> true",
     NULL},
    {"data: {path: a.txt}\nmodel:\n  - embedding: {name: emb, embedding_dim: 4}\n  - gru: {name: rnn, hidden_size: "
     "4}\n  - dropout: {p: 0.1}\n  - linear\n",
     {NULL},
     "  model.rnn: lstm -> gru\n  model.select: select -> none\n  model.dropout: none -> dropout",
     NULL},
    {"data: {path: a.txt}\nmodel:\n  - lstm: {name: rnn, hidden_size: 4}\n  - embedding: {name: emb, embedding_dim: "
     "4}\n  - select: last\n  - linear\n",
     {NULL},
     "  model: emb, rnn, select, linear -> rnn, emb, select, linear",
     NULL},
};

static void test_differences(void **state) {
    (void)state;
    Config *saved = good(THREE, NULL);
    for (size_t i = 0; i < COUNT(changes); i++) {
        Config *now = good(changes[i].text, changes[i].override);
        char *note = NULL, *differences = config_differences(saved, now, &note);
        assert_string_equal(differences ? differences : "none",
                            changes[i].differences ? changes[i].differences : "none");
        assert_string_equal(note ? note : "none", changes[i].note ? changes[i].note : "none");
        free(differences);
        free(note);
        config_destroy(&now);
    }
    /* Shards that the checkpoint has and the new config leaves open stay as they are. */
    Config *four = good(THREE, (const char *const[MOST]){"train.shards=4"});
    char *note = NULL;
    assert_null(config_differences(four, saved, &note));
    assert_null(note);
    config_destroy(&four);
    config_destroy(&saved);
}

/* ---- suggestions ------------------------------------------------------------------------------------------------------ */

static void test_suggestions(void **state) {
    (void)state;
    assert_int_equal(edit_distance("lr", "lr"), 0);
    assert_int_equal(edit_distance("lrr", "lr"), 1);
    assert_int_equal(edit_distance("lsmt", "lstm"), 1);
    assert_int_equal(edit_distance("Batch_Size", "batchsize"), 1);
    assert_int_equal(edit_distance("ca", "abc"), 3);
    assert_int_equal(edit_distance("kitten", "sitting"), 3);
    assert_true(edit_distance("a", "abcdef") >= 3);
    Suggestion suggestion = suggestion_for("stpes");
    suggestion_offer(&suggestion, "epochs");
    suggestion_offer(&suggestion, "step");
    suggestion_offer(&suggestion, "steps");
    assert_string_equal(suggestion.best, "steps");
    suggestion = suggestion_for("x");
    suggestion_offer(&suggestion, "lr");
    assert_null(suggestion.best);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files),    cmocka_unit_test(test_many),        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_meaning),  cmocka_unit_test(test_durations),   cmocka_unit_test(test_overrides),
        cmocka_unit_test(test_absolute), cmocka_unit_test(test_differences), cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
