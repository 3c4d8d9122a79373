/* SPDX-License-Identifier: MIT
 *
 * test_config.c: what a config means and what is said about a wrong one: exact messages with their
 * places, defaults, overrides, the effective config, differences on resume, suggestions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "trainer/config.h"
#include "trainer/config_private.h"
#include "trainer/suggest.h"

enum { MOST = 12, EXPECTED = 8192 };
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Two lines that are a whole config; tests go on at line 3. */
#define BASE "data: {path: a.txt}\nmodel: [linear]\n"
/* Stands for the list of all kinds of layers at the end of a message. */
#define LAYERS "@"

static size_t count_of(const char *const *list) {
    size_t n = 0;
    while (n < MOST && list[n]) n++;
    return n;
}

static Config *good(const char *text, const char *const *override) {
    Config *config = NULL;
    Status status = config_parse(text, "c.yaml", override, override ? count_of(override) : 0, &config);
    if (status != OK) fail_msg("%s\n-> %s", text, status_message());
    assert_non_null(config);
    return config;
}

static void append(char *to, const char *text) {
    assert_true(strlen(to) + strlen(text) < EXPECTED);
    strcat(to, text);
}

/* The message of a wrong config is exactly `lines`. */
static void assert_refused(const char *name, const char *text, const char *const *override, const char *const *lines) {
    char expected[EXPECTED] = "";
    for (size_t i = 0; i < MOST && lines[i]; i++) {
        bool kinds = lines[i][strlen(lines[i]) - 1] == *LAYERS;
        append(expected, i ? "\n" : "");
        append(expected, lines[i]);
        if (kinds) expected[strlen(expected) - 1] = '\0';
        for (const LayerType *const *type = layer_types(); kinds && *type; type++) {
            append(expected, type == layer_types() ? "" : ", ");
            append(expected, (*type)->kind);
        }
    }
    Config *config = NULL;
    Status status = config_parse(text, "c.yaml", override, override ? count_of(override) : 0, &config);
    if (status != ERR_USAGE || config || strcmp(status_message(), expected) != 0)
        fail_msg("%s\nexpected:\n%s\ngot (%d):\n%s", name, expected, status, status == OK ? "" : status_message());
}

/* ---- what is refused -------------------------------------------------------------------------------- */

typedef struct Refusal {
    const char *name, *text, *line[MOST];
} Refusal;

static const Refusal syntax[] = {
    {"empty", "", {"c.yaml:1:1: empty; a config needs at least 'data: {path: ...}' and 'model: [...]'"}},
    {"comments alone",
     "# x\n\n",
     {"c.yaml:1:1: empty; a config needs at least 'data: {path: ...}' and 'model: [...]'"}},
    {"a list", "- data\n", {"c.yaml:1:1: not a config: expected sections like 'data:' and 'model:', got a list"}},
    {"a text", "hello\n", {"c.yaml:1:1: not a config: expected sections like 'data:' and 'model:', got 'hello'"}},
    {"tab", "data:\n\tpath: a.txt\n", {"c.yaml:2:1: tabs may not indent YAML; use spaces"}},
    {"tab after spaces", "data:\n  path: a.txt\n  \tseed: 1\n", {"c.yaml:3:3: tabs may not indent YAML; use spaces"}},
    {"indentation",
     "data:\n  path: x\n seed: 2\n",
     {"c.yaml:3:2: not valid YAML: did not find expected key while parsing a block mapping that starts at line 1; "
      "check indentation, brackets and quotes"}},
    {"no space",
     BASE "lr:0.1\n",
     {"c.yaml:4:1: not valid YAML: could not find expected ':'; write 'key: value', with a space after the colon"}},
    {"colon in text",
     BASE "run:\n  dir: a: b\n",
     {"c.yaml:4:9: not valid YAML: mapping values are not allowed in this context; check the indentation, and quote a "
      "text that holds ': '"}},
    {"glob without quotes",
     "data: {path: *.txt}\n",
     {"c.yaml:1:15: not valid YAML: did not find expected alphabetic or numeric character; quote a text that starts "
      "with '*' or '&', like \"*.txt\""}},
    {"at sign",
     BASE "run: {dir: @x}\n",
     {"c.yaml:3:12: not valid YAML: found character that cannot start any token; quote a text that starts with '@'"}},
    {"two documents",
     BASE "---\n" BASE,
     {"c.yaml:3:1: a second YAML document starts here; a config is one, remove '---' and what follows"}},
    {"bad UTF-8",
     BASE "run:\n  dir: \xff\n",
     {"c.yaml:4:8: not text in UTF-8 (invalid leading UTF-8 octet); save the file as UTF-8"}},
    {"control character",
     BASE "run:\n  dir: \x01\n",
     {"c.yaml:4:8: not text in UTF-8 (control characters are not allowed); save the file as UTF-8"}},
    {"depth", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[", {"c.yaml:1:17: nested more than 16 deep; this is not a config"}},
    {"alias, anchor, tag",
     "data: {path: *x}\nmodel: &b [linear]\nrun: {seed: !!int 3}\n",
     {"c.yaml:1:14: data.path: aliases are not taken: '*x'; write the value out, or quote a text that starts with '*'",
      "c.yaml:2:8: model: anchors are not taken: '&b'; remove it, or quote a text that starts with '&'",
      "c.yaml:3:13: run.seed: tags are not taken: '!!int'; remove it, or quote a text that starts with '!'"}},
    {"a key that is a list", BASE "? [a, b]\n: c\n", {"c.yaml:3:3: a key must be a plain word, like 'lr: 0.001'"}},
    {"NUL by escape", BASE "run: {dir: \"a\\0b\"}\n", {"c.yaml:3:12: run.dir: holds a NUL character; remove it"}},
};

static const Refusal keys[] = {
    {"the contract's example",
     BASE "optimizer:\n  lrr: 0.1\n",
     {"c.yaml:4:3: optimizer.lrr: unknown key, did you mean 'lr'?"}},
    {"far from all",
     BASE "eval: {pineapple: 0.1}\n",
     {"c.yaml:3:8: eval.pineapple: unknown key; eval has every, early_stop"}},
    {"of another section",
     BASE "optimizer: {batch_size: 4}\n",
     {"c.yaml:3:13: optimizer.batch_size: unknown key; it belongs to train: train.batch_size"}},
    {"sections",
     BASE "optimzer: {lr: 1}\nlr: 1\npineapple: 3\n",
     {"c.yaml:3:1: optimzer: unknown section, did you mean 'optimizer'?",
      "c.yaml:4:1: lr: unknown section; it is a key of optimizer, write 'optimizer: {lr: ...}'",
      "c.yaml:5:1: pineapple: unknown section; there are run, data, model, loss, optimizer, schedule, train, eval, "
      "checkpoint, log"}},
    {"duplicates",
     BASE "run:\n  seed: 1\n  seed: 1\ndata: {path: b}\n",
     {"c.yaml:5:3: run.seed: duplicate key, first at line 4; remove one",
      "c.yaml:6:1: data: duplicate key, first at line 1; remove one"}},
    {"duplicate in a layer",
     "data: {path: a}\nmodel:\n  - lstm: {hidden_size: 3, hidden_size: 4}\n",
     {"c.yaml:3:28: model.0.hidden_size: duplicate key, first at line 3; remove one"}},
    {"missing",
     "run: {seed: 1}\n",
     {"c.yaml:1:1: data.path: missing: file or list of files; text takes patterns too, \"texts/*.txt\"",
      "c.yaml:1:1: model: missing: the list of layers, like [{embedding: {embedding_dim: 128}}, {lstm: {hidden_size: "
      "256}}, linear]"}},
    {"data without path",
     "model: [linear]\ndata:\n",
     {"c.yaml:2:1: data.path: missing: file or list of files; text takes patterns too, \"texts/*.txt\""}},
    {"sections that are none",
     "data: a.txt\nmodel: [linear]\nrun: [1]\n",
     {"c.yaml:1:7: data: expected a mapping of keys, like 'data: {kind: ...}'",
      "c.yaml:3:6: run: expected a mapping of keys, like 'run: {dir: ...}'"}},
};

static const Refusal values[] = {
    {"booleans",
     BASE "data2: 1\nlog: {tensorboard: no}\ncheckpoint: {async: True}\noptimizer: {nesterov: \"on\"}\n",
     {"c.yaml:3:1: data2: unknown section, did you mean 'data'?",
      "c.yaml:4:20: log.tensorboard: expected true or false, got 'no'; write false",
      "c.yaml:5:21: checkpoint.async: expected true or false, got 'True'; write true",
      "c.yaml:6:23: optimizer.nesterov: expected true or false, got 'on'; write true, without quotes"}},
    {"numbers",
     BASE "optimizer:\n  lr: 1_000\n  eps: .nan\n  weight_decay: -.inf\n  betas: [0.9, 1]\n  momentum: 1e-3x\n",
     {"c.yaml:4:7: optimizer.lr: expected a number, got '1_000'; write it without underscores",
      "c.yaml:5:8: optimizer.eps: expected a number, got '.nan'; it must be finite",
      "c.yaml:6:17: optimizer.weight_decay: expected a number, got '-.inf'; it must be finite",
      "c.yaml:7:16: optimizer.betas.1: must be 0 <= x < 1, is 1",
      "c.yaml:8:13: optimizer.momentum: expected a number, got '1e-3x'"}},
    {"more numbers",
     BASE "optimizer:\n  lr: '0.1'\n  eps: 1e999\n  weight_decay: 1e-999\n  betas: 0.9\n  momentum: null\n",
     {"c.yaml:4:7: optimizer.lr: expected a number, got '0.1' in quotes; remove the quotes",
      "c.yaml:5:8: optimizer.eps: expected a number, got '1e999'; too large for a double, which ends at 1.8e308",
      "c.yaml:6:17: optimizer.weight_decay: expected a number, got '1e-999'; too small for a double, write 0",
      "c.yaml:7:10: optimizer.betas: expected two numbers, like [0.9, 0.999], got '0.9'",
      "c.yaml:8:13: optimizer.momentum: expected a number, got null; leave the key out for its default"}},
    {"whole numbers",
     BASE "train:\n  batch_size: 1.5\n  steps: 0x10\n  epochs: 010\n  shards: 18446744073709551615\n  shards_at_once: "
          "0\nrun:\n  seed: -1\nlog: {every: 1e300, predictions: -2}\n",
     {"c.yaml:4:15: train.batch_size: expected a whole number, got '1.5'",
      "c.yaml:5:10: train.steps: expected a whole number, got '0x10'; write it in decimal",
      "c.yaml:6:11: train.epochs: expected a whole number, got '010'; write it without leading zeros",
      "c.yaml:7:11: train.shards: '18446744073709551615' is too large; the limit is 2^63 - 1",
      "c.yaml:8:19: train.shards_at_once: must be >= 1, is 0", "c.yaml:10:9: run.seed: must be >= 0, is -1",
      "c.yaml:11:14: log.every: '1e300' is too large; the limit is 2^53 for numbers with a point or an exponent",
      "c.yaml:11:34: log.predictions: must be >= 0, is -2"}},
    {"choices",
     BASE "optimizer: {name: sdg}\nschedule: {kind: sinus}\nloss: {kind: [mse], reduction: null}\n",
     {"c.yaml:3:19: optimizer.name: unknown value 'sdg', did you mean 'sgd'?",
      "c.yaml:4:18: schedule.kind: expected one of constant, linear, cosine, step, got 'sinus'",
      "c.yaml:5:14: loss.kind: expected one of cross_entropy, mse, got a list",
      "c.yaml:5:32: loss.reduction: expected one of mean, sum, got null"}},
    {"texts",
     BASE "run: {dir: '', init_from: true}\ntrain: {max_time: {a: 1}}\n",
     {"c.yaml:3:12: run.dir: must not be empty",
      "c.yaml:3:27: run.init_from: expected a text, got 'true'; quote it if it is meant as a text",
      "c.yaml:4:19: train.max_time: expected a text, got a mapping of keys"}},
    {"paths",
     "data: {path: [], validation: 1}\nmodel: [linear]\n",
     {"c.yaml:1:14: data.path: the list is empty; expected a text or a list of texts",
      "c.yaml:1:30: data.validation: must be 0 <= x < 1, is 1"}},
    {"validation",
     "data: {path: [a, [b]], validation: null}\nmodel: [linear]\nlog: {tensorboard: true}\n",
     {"c.yaml:1:18: data.path: expected a text or a list of texts, got a list",
      "c.yaml:1:36: data.validation: expected a fraction or a path, got null; 0 means no validation",
      "c.yaml:3:20: log.tensorboard: this version does not write TensorBoard events; leave it false, metrics.csv has "
      "the numbers"}},
    {"percent",
     "data: {path: a, validation: 10%}\nmodel: [linear]\n",
     {"c.yaml:1:29: data.validation: expected a fraction or a path, got '10%'; write 0.1 for 10 %"}},
    {"of later versions",
     "data: {path: a, kind: tokens, tokenizer: bpe}\nmodel: [linear]\n",
     {"c.yaml:1:42: data.tokenizer: this version does not have 'bpe'; it has byte, char, word"}},
    {"ids and a tokenizer",
     "data: {path: a, kind: tokens, tokenizer: word}\nmodel: [linear]\nloss: {kind: mse}\n",
     {"c.yaml:1:42: data.tokenizer: has no effect with tokens; remove it, or use text",
      "c.yaml:3:14: loss.kind: mse needs targets that are numbers, and data of kind tokens has classes; use cross_entropy"}},
    {"made data",
     "data: {kind: synthetic, path: a, tokenizer: byte, validation: b}\nmodel: [linear]\n",
     {"c.yaml:1:14: data.task: missing: synthetic needs the name of a task, like copy",
      "c.yaml:1:31: data.path: has no effect with synthetic; remove it, or use a kind that reads files",
      "c.yaml:1:45: data.tokenizer: has no effect with synthetic; remove it, or use text",
      "c.yaml:1:63: data.validation: has no effect with synthetic; remove it, or use a fraction"}},
    {"data that are not made",
     "data: {path: null, task: copy, sequences: 3, seed: 2}\nmodel: [linear]\n",
     {"c.yaml:1:14: data.path: missing: only the kind synthetic has no file",
      "c.yaml:1:26: data.task: has no effect with text; remove it, or use synthetic",
      "c.yaml:1:43: data.sequences: has no effect with text; remove it, or use synthetic",
      "c.yaml:1:52: data.seed: has no effect with text; remove it, or use synthetic"}},
    {"a series",
     "data: {path: a, kind: csv, lookback: 0}\nmodel: [linear]\n",
     {"c.yaml:1:23: data.features: missing: csv needs the columns that the model reads, like [temperature, pressure]",
      "c.yaml:1:23: data.targets: missing: csv needs the columns that the model predicts, like [temperature]",
      "c.yaml:1:38: data.lookback: must be 1 <= x <= 1000000000, is 0"}},
    {"classes of a series",
     "data: {path: a, kind: csv, features: [a, b], targets: [c, d], lookback: 3, tokenizer: byte}\nmodel: [linear]\n",
     {"c.yaml:1:55: data.targets: with loss.kind: cross_entropy the target is one column of the next row; for numbers set "
      "loss.kind: mse",
      "c.yaml:1:87: data.tokenizer: has no effect with csv; remove it, or use text"}},
    {"a series that is none",
     "data: {path: a, features: a, targets: b, lookback: 3, horizon: 2, stride: 3, time: c, scaling: none}\n"
     "model: [linear]\n",
     {"c.yaml:1:27: data.features: has no effect with text; remove it, or use csv",
      "c.yaml:1:39: data.targets: has no effect with text; remove it, or use csv",
      "c.yaml:1:52: data.lookback: has no effect with text; remove it, or use csv",
      "c.yaml:1:64: data.horizon: has no effect with text; remove it, or use csv",
      "c.yaml:1:75: data.stride: has no effect with text; remove it, or use csv",
      "c.yaml:1:84: data.time: has no effect with text; remove it, or use csv",
      "c.yaml:1:96: data.scaling: has no effect with text; remove it, or use csv"}},
};

static const Refusal layers[] = {
    {"no list",
     "data: {path: a}\nmodel: {lstm: {hidden_size: 3}}\n",
     {"c.yaml:2:8: model: expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got a mapping; start "
      "each layer with '-'"}},
    {"empty list",
     "data: {path: a}\nmodel: []\n",
     {"c.yaml:2:8: model: expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got nothing"}},
    {"kinds",
     "data: {path: a}\nmodel:\n  - lsmt: {hidden_size: 3}\n  - pineapple\n  - decoder: {}\n  -\n",
     {"c.yaml:3:5: model.0: unknown layer 'lsmt', did you mean 'lstm'?",
      "c.yaml:4:5: model.1: unknown layer 'pineapple'; there are " LAYERS,
      "c.yaml:5:5: model.2: this version does not have the layer 'decoder'; it has " LAYERS,
      "c.yaml:6:4: model.3: expected a layer, like '- lstm: {hidden_size: 128}'"}},
    {"indentation",
     "data: {path: a}\nmodel:\n  - lstm:\n    hidden_size: 3\n  - one_hot:\n    linear:\n",
     {"c.yaml:4:5: model.0: 'hidden_size' stands beside 'lstm'; a layer is one kind with its keys below it, so indent "
      "it further than the kind",
      "c.yaml:6:5: model.1: 'linear' stands beside 'one_hot'; a layer is one kind with its keys below it, so start "
      "each layer with its own '-'"}},
    {"keys",
     "data: {path: a}\nmodel:\n  - lstm: {hiden_size: 3, frozen: yes, dropout: 2}\n  - linear: 3.5\n  - one_hot: [1]\n",
     {"c.yaml:3:5: model.lstm.hidden_size: missing: features of the hidden state",
      "c.yaml:3:12: model.lstm.hiden_size: unknown key, did you mean 'hidden_size'?",
      "c.yaml:3:35: model.lstm.frozen: expected true or false, got 'yes'; write true",
      "c.yaml:3:49: model.lstm.dropout: must be 0 <= x <= 1, is 2",
      "c.yaml:4:13: model.linear.out_features: expected a whole number, got '3.5'",
      "c.yaml:5:14: model.one_hot: expected the keys of one_hot, like {frozen: false}, got a list"}},
    {"names",
     "data: {path: a}\nmodel:\n  - linear: {name: a.b}\n  - linear: {name: 7}\n  - linear: {name: data}\n  - linear: "
     "{name: fc}\n  - linear: {name: fc}\n  - linear: {name: linear_2}\n  - linear\n  - linear\n",
     {"c.yaml:3:20: model.0.name: 'a.b' is no name for a layer; use up to 100 letters, digits, '_' and '-', not a "
      "number",
      "c.yaml:4:20: model.1.name: '7' is no name for a layer; use up to 100 letters, digits, '_' and '-', not a number",
      "c.yaml:5:20: model.2.name: the name 'data' belongs to the model's input; give another",
      "c.yaml:7:20: model.4.name: the name 'fc' belongs to layer 3 already; give another",
      "c.yaml:10:5: model.7.name: the name 'linear_2' belongs to layer 5 already; give another"}},
    {"inputs",
     "data: {path: a}\nmodel:\n  - linear: {name: rnn, input: data}\n  - linear: {input: rrn}\n  - linear: {input: "
     "[rnn.h_n, pineapple]}\n  - linear: {input: late}\n  - linear: {name: late}\n",
     {"c.yaml:4:21: model.linear.input: there is no layer 'rrn', did you mean 'rnn'?",
      "c.yaml:5:21: model.linear_2.input: 2 inputs, but linear reads at most 1",
      "c.yaml:5:31: model.linear_2.input: there is no layer 'pineapple' above this one; name one, or 'data'",
      "c.yaml:6:21: model.linear_3.input: 'late' is not above this layer; a layer reads what stands before it"}},
};

static const Refusal rules[] = {
    {"optimizer",
     BASE "optimizer: {momentum: 0.9, nesterov: true}\n",
     {"c.yaml:3:23: optimizer.momentum: has no effect with adam; remove it, or use sgd",
      "c.yaml:3:38: optimizer.nesterov: has no effect with adam; remove it, or use sgd"}},
    {"sgd",
     BASE "optimizer: {name: sgd, betas: [0.8, 0.9], eps: 1, nesterov: true}\n",
     {"c.yaml:3:31: optimizer.betas: has no effect with sgd; remove it, or use adam or adamw",
      "c.yaml:3:48: optimizer.eps: has no effect with sgd; remove it, or use adam or adamw",
      "c.yaml:3:61: optimizer.nesterov: needs a momentum above 0, like momentum: 0.9"}},
    {"a wrong name silences what hangs on it",
     BASE "optimizer: {name: sdg, momentum: 0.9}\n",
     {"c.yaml:3:19: optimizer.name: unknown value 'sdg', did you mean 'sgd'?"}},
    {"step",
     BASE "schedule: {kind: step, min_lr: 0.1, steps: 5}\n",
     {"c.yaml:3:18: schedule.step_size: missing: the kind step needs the steps between two drops, like step_size: 1000",
      "c.yaml:3:32: schedule.min_lr: has no effect with step; remove it, or use linear or cosine",
      "c.yaml:3:44: schedule.steps: has no effect with step; remove it, or use linear or cosine"}},
    {"constant",
     BASE "schedule: {gamma: 0.5, step_size: 5}\n",
     {"c.yaml:3:19: schedule.gamma: has no effect with constant; remove it, or use step",
      "c.yaml:3:35: schedule.step_size: has no effect with constant; remove it, or use step"}},
    {"cosine",
     BASE "schedule: {kind: cosine, warmup: 11, min_lr: 1}\ntrain: {steps: 10}\n",
     {"c.yaml:3:34: schedule.warmup: 11 steps of warm-up do not fit into train.steps: 10",
      "c.yaml:3:46: schedule.min_lr: 1 is above optimizer.lr: 0.001; the schedule goes down to it"}},
    {"no end",
     BASE "train: {steps: null}\n",
     {"c.yaml:3:16: train.steps: neither train.steps nor train.epochs is set; the run needs an end, give one of them"}},
    {"time",
     BASE "train: {max_time: 3x}\n",
     {"c.yaml:3:19: train.max_time: expected 90s, 3h50m or HH:MM:SS, got '3x'"}},
    {"early stop",
     "data: {path: a, validation: 0}\nmodel: [linear]\neval: {early_stop: 3, every: null}\n",
     {"c.yaml:3:20: eval.early_stop: needs validation data; set data.validation, like 0.1",
      "c.yaml:3:20: eval.early_stop: counts evaluations, but eval.every is null; set it, like 200"}},
    {"mse",
     "data: {path: a, kind: sequences}\nmodel: [linear]\nloss: {kind: mse, label_smoothing: 0.1, ignore_index: 0}\n",
     {"c.yaml:3:36: loss.label_smoothing: has no effect with mse; remove it, or use cross_entropy",
      "c.yaml:3:55: loss.ignore_index: has no effect with mse; remove it, or use cross_entropy"}},
    {"mse of text",
     BASE "loss: {kind: mse}\n",
     {"c.yaml:3:14: loss.kind: mse needs targets that are numbers, and data of kind text has classes; use "
      "cross_entropy"}},
};

static void refusals(const Refusal *list, size_t count) {
    for (size_t i = 0; i < count; i++) assert_refused(list[i].name, list[i].text, NULL, list[i].line);
}

static void test_syntax(void **state) {
    (void)state, refusals(syntax, COUNT(syntax));
}
static void test_keys(void **state) {
    (void)state, refusals(keys, COUNT(keys));
}
static void test_values(void **state) {
    (void)state, refusals(values, COUNT(values));
}
static void test_layers(void **state) {
    (void)state, refusals(layers, COUNT(layers));
}
static void test_rules(void **state) {
    (void)state, refusals(rules, COUNT(rules));
}

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
        "data:\n  kind: text\n  path: a.txt\n  tokenizer: char\n  seq_len: 128\n  validation: 0.1\n  shuffle: true\n"
        "  features: null\n  targets: null\n  lookback: null\n  horizon: 1\n  stride: 1\n  time: null\n  scaling: standard\n  task: null\n  sequences: 1000\n  seed: 1\n"
        "model:\n  - linear:\n      name: linear\n      input: null\n      frozen: false\n";
    static const char after[] =
        "\nloss:\n  kind: cross_entropy\n  reduction: mean\n  ignore_index: null\n  label_smoothing: 0\n"
        "optimizer:\n  name: adam\n  lr: 0.001\n  betas: [0.9, 0.999]\n  eps: 1.0e-08\n  weight_decay: 0\n  momentum: "
        "0\n  nesterov: false\n"
        "schedule:\n  kind: constant\n  warmup: 0\n  min_lr: 0\n  steps: null\n  step_size: null\n  gamma: 0.1\n"
        "train:\n  batch_size: 32\n  steps: 1000\n  epochs: null\n  clip_norm: null\n  shards: null\n  shards_at_once: "
        "null\n  max_time: null\n  on_nonfinite: stop\n"
        "eval:\n  every: 200\n  early_stop: null\ncheckpoint:\n  every: 200\n  keep: 3\n  async: true\n"
        "log:\n  every: 10\n  progress: auto\n  predictions: 0\n  tensorboard: false\n";
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
                       "command line: model.7.name=x: there is no layer '7'; the model has 4, counted from 0",
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
                       "from 0) or model.rnn.hidden_size=256"});
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
      "eval.early_stop=2", "checkpoint.keep=9", "log.every=1", "data.path=other"},
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
        cmocka_unit_test(test_syntax),      cmocka_unit_test(test_keys),        cmocka_unit_test(test_values),
        cmocka_unit_test(test_layers),      cmocka_unit_test(test_rules),       cmocka_unit_test(test_files),
        cmocka_unit_test(test_many),        cmocka_unit_test(test_defaults),    cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_durations),   cmocka_unit_test(test_overrides),   cmocka_unit_test(test_absolute),
        cmocka_unit_test(test_differences), cmocka_unit_test(test_suggestions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
