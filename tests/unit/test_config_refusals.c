/* SPDX-License-Identifier: MIT
 *
 * test_config_refusals.c: every way a config can be wrong, with the line that says so. */
#include "config_fixture.h"

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
    {"depth",
     "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
     {"c.yaml:1:33: nested more than 32 deep; this is not a config"}},
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
      "checkpoint, log, comm"}},
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
    {"layers that recompute",
     "data: {path: a}\nmodel: [{lstm: {name: rnn, hidden_size: 3}}, {residual: [linear]}]\n"
     "train:\n  recompute: [rn, residual.linera, all, other, 7, rnn]\n",
     {"c.yaml:4:15: train.recompute: there is no layer 'rn', did you mean 'rnn'?",
      "c.yaml:4:19: train.recompute: there is no layer 'residual.linera', did you mean 'residual.linear'?",
      "c.yaml:4:36: train.recompute: 'all' stands alone, not in a list with names",
      "c.yaml:4:41: train.recompute: there is no layer 'other'; name layers or groups of the model, or use all or none",
      "c.yaml:4:48: train.recompute: there is no layer '7'; name layers or groups of the model, or use all or none"}},
    {"one layer that recomputes",
     BASE "train: {recompute: liner}\n",
     {"c.yaml:3:20: train.recompute: there is no layer 'liner', did you mean 'linear'?"}},
    {"no list of layers that recompute",
     BASE "train: {recompute: true}\n",
     {"c.yaml:3:20: train.recompute: expected a text or a list of texts, got 'true'; quote it if it is meant as a "
      "text"}},
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
     {"c.yaml:1:42: data.tokenizer: has no effect with tokens; remove it, or use text"}},
    {"byte pairs of pairs",
     "data: {path: a, kind: pairs, tokenizer: bpe}\nmodel: [linear]\n",
     {"c.yaml:1:41: data.tokenizer: bpe is for running text; pairs take char, byte or word"}},
    {"a vocabulary of bytes alone",
     "data: {path: a, tokenizer: byte, vocab_size: 500}\nmodel: [linear]\n",
     {"c.yaml:1:46: data.vocab_size: has no effect with byte; remove it, or use bpe"}},
    {"a vocabulary without room for the bytes",
     "data: {path: a, tokenizer: bpe, vocab_size: 255}\nmodel: [linear]\n",
     {"c.yaml:1:45: data.vocab_size: must be 256 <= x <= 1000000, is 255"}},
    {"ids and a tokenizer",
     "data: {path: a, kind: tokens, tokenizer: word}\nmodel: [linear]\nloss: {kind: mse}\n",
     {"c.yaml:1:42: data.tokenizer: has no effect with tokens; remove it, or use text",
      "c.yaml:3:14: loss.kind: mse needs targets that are numbers, and data of kind tokens has classes; use "
      "cross_entropy"}},
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
     {"c.yaml:1:55: data.targets: with loss.kind: cross_entropy the target is one column of the next row; for numbers "
      "set "
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
     "data: {path: a}\nmodel:\n  - lsmt: {hidden_size: 3}\n  - pineapple\n  -\n",
     {"c.yaml:3:5: model.0: unknown layer 'lsmt', did you mean 'lstm'?",
      "c.yaml:4:5: model.1: unknown layer 'pineapple'; there are " LAYERS,
      "c.yaml:5:4: model.2: expected a layer, like '- lstm: {hidden_size: 128}'"}},
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

#define SPARSE "data: {path: a}\nmodel: [{embedding: {name: e, embedding_dim: 3, sparse: true}}, linear]\n"
static const Refusal rules[] = {
    {"sparse, adamw",
     SPARSE "optimizer: {name: adamw}\n",
     {"c.yaml:2:57: model.e.sparse: does not go with optimizer.name: adamw, which decays all rows; use adam, or "
      "sparse: "
      "false"}},
    {"sparse, decay",
     SPARSE "optimizer: {weight_decay: 0.1}\n",
     {"c.yaml:2:57: model.e.sparse: does not go with optimizer.weight_decay, which acts on all rows; set that to 0, or "
      "use sparse: false"}},
    {"sparse, momentum",
     SPARSE "optimizer: {name: sgd, momentum: 0.1}\n",
     {"c.yaml:2:57: model.e.sparse: does not go with optimizer.momentum, which moves all rows; set that to 0, or use "
      "sparse: false"}},
    {"sparse, by frequency, in a group",
     "data: {path: a}\nmodel:\n  - residual: [{embedding: {embedding_dim: 3, scale_grad_by_freq: true, sparse: "
     "true}}]\n"
     "  - residual: [{embedding: {embedding_dim: 3, scale_grad_by_freq: true, sparse: true, frozen: true}}]\n",
     {"c.yaml:3:81: model.residual.embedding.sparse: does not go with scale_grad_by_freq: true; set one of the two to "
      "false"}},
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

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_syntax), cmocka_unit_test(test_keys),  cmocka_unit_test(test_values),
        cmocka_unit_test(test_layers), cmocka_unit_test(test_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
