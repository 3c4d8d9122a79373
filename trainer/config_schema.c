/* SPDX-License-Identifier: MIT
 *
 * config_schema.c: every key of every section: type, default, range and one line of help. Parsing,
 * messages, overrides, `help`, the effective config and the comparison on resume read these tables. */
#include <string.h>

#include "trainer/config_private.h"

#define NO_LIMIT INFINITY
#define AT(type, member) offsetof(type, member)

/* ---- the sections ---------------------------------------------------------------------------------- */

static const Key run_keys[] = {
    {"dir", KEY_STRING, AT(RunConfig, dir), "null", 0, 0, NULL, true,
     "directory of the run: config.yaml, metrics.csv, checkpoints/; null: runs/<config's name>"},
    {"seed", KEY_INT, AT(RunConfig, seed), "1", 0, NO_LIMIT, NULL, false,
     "seed of initial weights, shuffling and dropout; same seed, same bits"},
    {"init_from", KEY_STRING, AT(RunConfig, init_from), "null", 0, 0, NULL, true,
     "HDF5 file with /model/<name> to start from: a checkpoint or PyTorch's weights"},
    {"init", KEY_CHOICE, AT(RunConfig, init), "torch", 0, 0, "torch|gpt2", false,
     "initial weights: PyTorch's, or GPT-2's (normal 0.02, residual branches scaled)"},
    {0},
};

enum { DATA_KEY_PATH = 1, DATA_KEY_VALIDATION = 4 };

static const Key data_keys[] = {
    {"kind", KEY_CHOICE, AT(DataSection, kind), "text", 0, 0, "text|sequences|pairs|csv|synthetic|tokens", false,
     "text: files, next-token targets; sequences: HDF5 inputs and targets; pairs: TSV, input TAB target; csv: series; "
     "synthetic: a task made in memory; tokens: ids of running text, HDF5, .npy or uint16"},
    {"path", KEY_STRINGS, AT(DataSection, path), NULL, 0, 0, NULL, true,
     "file or list of files; text takes patterns too, \"texts/*.txt\""},
    {"tokenizer", KEY_CHOICE, AT(DataSection, tokenizer), "char", 0, 0, "byte|char|word|bpe", false,
     "what a token of text is: a byte, a Unicode character that occurs in it, a word or sign, or bytes that often "
     "stand together (byte pairs, learned from the training text)"},
    {"seq_len", KEY_SIZE, AT(DataSection, seq_len), "128", 1, NO_LIMIT, NULL, false,
     "time steps (tokens) of one training sequence of text"},
    {"validation", KEY_REAL, AT(DataSection, validation), "0.1", 0, BELOW_ONE, NULL, false,
     "share at the end of the data that is kept for validation, 0: none; or a file of its own"},
    {"shuffle", KEY_BOOL, AT(DataSection, shuffle), "true", 0, 0, NULL, false,
     "new order of the sequences in each epoch; false: file order"},
    {"bucket", KEY_BOOL, AT(DataSection, bucket), "false", 0, 0, NULL, false,
     "training batches of sequences of similar length: pools of 64 batches are sorted by length, then batches "
     "shuffled"},
    {"vocab_size", KEY_SIZE, AT(DataSection, vocab_size), "1024", BPE_BYTES, BPE_MOST_TOKENS, NULL, false,
     "tokenizer bpe: tokens, the 256 bytes included; fewer where no pair occurs twice any more"},
    {"features", KEY_STRINGS, AT(DataSection, features), "null", 0, 0, NULL, true,
     "csv: columns that the model reads, by their names in the first line"},
    {"targets", KEY_STRINGS, AT(DataSection, targets), "null", 0, 0, NULL, true,
     "csv: columns that it predicts: numbers with loss.kind: mse, one class (text or whole numbers) with "
     "cross_entropy"},
    {"lookback", KEY_SIZE, AT(DataSection, lookback), "null", 1, 1e9, NULL, true, "csv: rows of one sequence"},
    {"horizon", KEY_SIZE, AT(DataSection, horizon), "1", 1, 1e9, NULL, false,
     "csv: rows behind a sequence whose targets it predicts, all of them at once"},
    {"stride", KEY_SIZE, AT(DataSection, stride), "1", 1, 1e9, NULL, false,
     "csv: rows from the start of one sequence to the next"},
    {"time", KEY_STRING, AT(DataSection, time), "null", 0, 0, NULL, true,
     "csv: column that the model does not see and that `predict` writes beside its results"},
    {"scaling", KEY_CHOICE, AT(DataSection, scaling), "standard", 0, 0, "standard|minmax|none", false,
     "csv: columns are learned with mean 0 and deviation 1, or from 0 to 1, by the training rows; loss, rmse and mae "
     "are of "
     "scaled values, predictions are scaled back"},
    {"task", KEY_CHOICE, AT(DataSection, task), "null", 0, 0,
     "copy|reverse|parity|adding|majority|sine|dates|reverse_text|number_words|caption", true,
     "synthetic: what is learned; `lockstep prepare --help` describes each"},
    {"sequences", KEY_SIZE, AT(DataSection, sequences), "1000", 1, 1e12, NULL, false,
     "synthetic: how many sequences are made"},
    {"seed", KEY_INT, AT(DataSection, seed), "1", 0, NO_LIMIT, NULL, false,
     "synthetic: what they are; apart from run.seed"},
    {0},
};

static const Key loss_keys[] = {
    {"kind", KEY_CHOICE, AT(LossConfig, kind), "cross_entropy", 0, 0, "cross_entropy|mse", false,
     "cross_entropy for classes (nats), mse for values"},
    {"reduction", KEY_CHOICE, AT(LossConfig, reduction), "mean", 0, 0, "mean|sum", false,
     "over all targets of the global batch"},
    {"ignore_index", KEY_INT, AT(LossConfig, ignore_index), "null", 0, 0, NULL, true,
     "class whose targets do not count, like -100; null: all count"},
    {"label_smoothing", KEY_REAL, AT(LossConfig, label_smoothing), "0", 0, 1, NULL, false,
     "share of the target spread evenly over all classes"},
    {0},
};

static const Key optimizer_keys[] = {
    {"name", KEY_CHOICE, AT(OptimizerConfig, name), "adam", 0, 0, "adam|adamw|sgd", false,
     "PyTorch's Adam, AdamW (decoupled decay) or SGD"},
    {"lr", KEY_REAL, AT(OptimizerConfig, lr), "1.0e-3", 0, NO_LIMIT, NULL, false,
     "learning rate, the peak of the schedule"},
    {"betas", KEY_PAIR, AT(OptimizerConfig, betas), "[0.9, 0.999]", 0, BELOW_ONE, NULL, false,
     "adam, adamw: decay of the running mean of gradients and of their squares"},
    {"eps", KEY_REAL, AT(OptimizerConfig, eps), "1.0e-8", 0, NO_LIMIT, NULL, false,
     "adam, adamw: added to the denominator"},
    {"weight_decay", KEY_REAL, AT(OptimizerConfig, weight_decay), "0", 0, NO_LIMIT, NULL, false,
     "pull of all parameters towards zero"},
    {"momentum", KEY_REAL, AT(OptimizerConfig, momentum), "0", 0, NO_LIMIT, NULL, false,
     "sgd: share of the last update that is kept"},
    {"nesterov", KEY_BOOL, AT(OptimizerConfig, nesterov), "false", 0, 0, NULL, false, "sgd: Nesterov's momentum"},
    {0},
};

static const Key schedule_keys[] = {
    {"kind", KEY_CHOICE, AT(ScheduleConfig, kind), "constant", 0, 0, "constant|linear|cosine|step", false,
     "course of the learning rate after the warm-up"},
    {"warmup", KEY_SIZE, AT(ScheduleConfig, warmup), "0", 0, NO_LIMIT, NULL, false,
     "steps of linear rise to optimizer.lr"},
    {"min_lr", KEY_REAL, AT(ScheduleConfig, min_lr), "0", 0, NO_LIMIT, NULL, false,
     "linear, cosine: learning rate at the end"},
    {"steps", KEY_SIZE, AT(ScheduleConfig, steps), "null", 1, NO_LIMIT, NULL, true,
     "linear, cosine: the step of the end; null: that of the run"},
    {"step_size", KEY_SIZE, AT(ScheduleConfig, step_size), "null", 1, NO_LIMIT, NULL, true,
     "step: steps after which the learning rate is multiplied by gamma"},
    {"gamma", KEY_REAL, AT(ScheduleConfig, gamma), "0.1", 0, NO_LIMIT, NULL, false, "step: the factor"},
    {0},
};

static const Key train_keys[] = {
    {"batch_size", KEY_SIZE, AT(TrainConfig, batch_size), "32", 1, NO_LIMIT, NULL, false,
     "sequences of one step, over all ranks together"},
    {"steps", KEY_SIZE, AT(TrainConfig, steps), "1000", 1, NO_LIMIT, NULL, true,
     "updates after which the run ends; epochs alone lifts it"},
    {"epochs", KEY_SIZE, AT(TrainConfig, epochs), "null", 1, NO_LIMIT, NULL, true,
     "passes over the data after which the run ends; with steps: the first reached"},
    {"clip_norm", KEY_REAL, AT(TrainConfig, clip_norm), "null", ABOVE_ZERO, NO_LIMIT, NULL, true,
     "longest gradient, as the norm over all parameters; null: no clipping"},
    {"shards", KEY_SIZE, AT(TrainConfig, shards), "null", 1, NO_LIMIT, NULL, true,
     "pieces a batch is summed in: fixes the bits on any number of ranks; null: ranks at the first start"},
    {"shards_at_once", KEY_SIZE, AT(TrainConfig, shards_at_once), "null", 1, NO_LIMIT, NULL, true,
     "shards a rank works on together: fewer take less memory, same bits; null: all"},
    {"max_time", KEY_STRING, AT(TrainConfig, max_time), "null", 0, 0, NULL, true,
     "stop with a checkpoint (exit 75) after 90s, 3h50m or HH:MM:SS; null: no limit"},
    {"on_nonfinite", KEY_CHOICE, AT(TrainConfig, on_nonfinite), "stop", 0, 0, "stop|skip", false,
     "a loss or gradient that is not finite ends the run (exit 5), or the step is skipped"},
    {"recompute", KEY_STRINGS, AT(TrainConfig, recompute), "none", 0, 0, NULL, false,
     "layers that keep only their inputs for backward and compute the rest again there: none, all, or names of layers "
     "and groups; less memory, more time, same bits"},
    {0},
};

static const Key eval_keys[] = {
    {"every", KEY_SIZE, AT(EvalConfig, every), "200", 1, NO_LIMIT, NULL, true,
     "steps between evaluations; null: only at the end"},
    {"early_stop", KEY_SIZE, AT(EvalConfig, early_stop), "null", 1, NO_LIMIT, NULL, true,
     "evaluations without improvement after which the run ends; null: never"},
    {0},
};

static const Key checkpoint_keys[] = {
    {"every", KEY_SIZE, AT(CheckpointConfig, every), "200", 1, NO_LIMIT, NULL, true,
     "steps between checkpoints; null: only at the end"},
    {"keep", KEY_SIZE, AT(CheckpointConfig, keep), "3", 1, NO_LIMIT, NULL, true,
     "newest checkpoints that stay, besides the best; null: all"},
    {"async", KEY_BOOL, AT(CheckpointConfig, async), "true", 0, 0, NULL, false,
     "write in the background while training goes on"},
    {0},
};

static const Key log_keys[] = {
    {"every", KEY_SIZE, AT(LogConfig, every), "10", 1, NO_LIMIT, NULL, false,
     "steps between rows of metrics.csv and lines of the log"},
    {"progress", KEY_CHOICE, AT(LogConfig, progress), "auto", 0, 0, "auto|bar|lines|none", false,
     "auto: a bar on a terminal, plain lines elsewhere"},
    {"predictions", KEY_SIZE, AT(LogConfig, predictions), "0", 0, NO_LIMIT, NULL, false,
     "sequences printed with their prediction per row of the log"},
    {"tensorboard", KEY_BOOL, AT(LogConfig, tensorboard), "false", 0, 0, NULL, false,
     "write TensorBoard events (not in this version)"},
    {0},
};

static const Key comm_keys[] = {
    {"overlap", KEY_BOOL, AT(CommConfig, overlap), "true", 0, 0, NULL, false,
     "exchange gradients and parameters between nodes while the model computes; the bits are the same without"},
    {"share", KEY_CHOICE, AT(CommConfig, share), "node", 0, 0, "node|numa|none", false,
     "ranks that keep one copy of the parameters together: those of a host, of a NUMA domain, or each its own"},
    {0},
};

const Section config_sections[] = {
    {"run", run_keys, offsetof(Config, run), "where the run lives and how it starts"},
    {"data", data_keys, offsetof(Config, data), "what it learns from"},
    {"loss", loss_keys, offsetof(Config, loss), "what is minimised"},
    {"optimizer", optimizer_keys, offsetof(Config, optimizer), "how a step follows from a gradient"},
    {"schedule", schedule_keys, offsetof(Config, schedule), "the learning rate over time"},
    {"train", train_keys, offsetof(Config, train), "size of a step, length of the run"},
    {"eval", eval_keys, offsetof(Config, eval), "validation during training"},
    {"checkpoint", checkpoint_keys, offsetof(Config, checkpoint), "saved states"},
    {"log", log_keys, offsetof(Config, log), "what is written and shown"},
    {"comm", comm_keys, offsetof(Config, comm), "how ranks and nodes work together; never changes bits"},
    {0},
};

const Key config_layer_keys[] = {
    {"name", KEY_STRING, AT(LayerCommon, name), "null", 0, 0, NULL, true,
     "name in parameters, messages and overrides; null: the kind, then kind_2, kind_3"},
    {"input", KEY_STRINGS, AT(LayerCommon, input), "null", 0, 0, NULL, true,
     "values it reads: names of earlier layers, rnn.h_n too; null: the layer above"},
    {"frozen", KEY_BOOL, AT(LayerCommon, frozen), "false", 0, 0, NULL, false, "its parameters stay as they are"},
    {0},
};

/* ---- look-ups ----------------------------------------------------------------------------------------- */

const Section *config_section(const char *name) {
    for (const Section *section = config_sections; section->name; section++)
        if (strcmp(section->name, name) == 0) return section;
    return NULL;
}

const Key *key_find(const Key *keys, const char *name) {
    for (const Key *key = keys; key && key->name; key++)
        if (strcmp(key->name, name) == 0) return key;
    return NULL;
}

bool key_is_validation(const Key *key) {
    return key == &data_keys[DATA_KEY_VALIDATION];
}

bool key_is_path(const Key *key) {
    return key == &data_keys[DATA_KEY_PATH] || key_is_validation(key) || key == key_find(run_keys, "dir") ||
           key == key_find(run_keys, "init_from");
}

size_t key_choice(const char *choices, size_t index, const char **start) {
    const char *at = choices;
    for (; at && index > 0; index--) {
        at = strchr(at, '|');
        if (at) at++;
    }
    *start = at;
    return at ? strcspn(at, "|") : 0;
}

const char *key_choices(ConfigMemory *memory, const char *choices) {
    const char *list = "", *start;
    for (size_t k = 0, length; (length = key_choice(choices, k, &start)) > 0; k++)
        list = config_text(memory, "%s%s%.*s", list, k ? ", " : "", (int)length, start);
    return list;
}

const char *key_range(const Key *key, char out[96]) {
    const double exact = 9007199254740992.0; /* beyond 2^53 a limit is only that of the type */
    bool low = !(key->min == 0 && key->max == 0) && key->min > -exact;
    bool high = !(key->min == 0 && key->max == 0) && key->max >= key->min && key->max < exact;
    char max[40];
    snprintf(max, sizeof max, key->max == BELOW_ONE ? "< 1" : "<= %.15g", key->max);
    out[0] = '\0';
    if (low && key->min == ABOVE_ZERO) snprintf(out, 96, high ? "0 < x %s" : "> 0", max);
    else if (low && high) snprintf(out, 96, "%.15g <= x %s", key->min, max);
    else if (low) snprintf(out, 96, ">= %.15g", key->min);
    else if (high) snprintf(out, 96, "%s", max);
    return out;
}
