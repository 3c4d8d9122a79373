/* SPDX-License-Identifier: MIT
 *
 * config.h: what a user asks for, as typed values. Parsed from YAML against tables of keys (layers/key.h);
 * every error of a file is reported at once as file:line:col: key: what; remedy. */
#ifndef LOCKSTEP_TRAINER_CONFIG_H
#define LOCKSTEP_TRAINER_CONFIG_H

#include "comm/status.h"
#include "io/data.h"
#include "layers/model.h"

typedef enum OptimizerKind { OPTIMIZER_ADAM, OPTIMIZER_ADAMW, OPTIMIZER_SGD } OptimizerKind;
typedef enum ScheduleKind { SCHEDULE_CONSTANT, SCHEDULE_LINEAR, SCHEDULE_COSINE, SCHEDULE_STEP } ScheduleKind;
typedef enum OnNonfinite { NONFINITE_STOP, NONFINITE_SKIP } OnNonfinite;
typedef enum ProgressKind { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_LINES, PROGRESS_NONE } ProgressKind;

typedef struct RunConfig {
    const char *dir; /* never NULL after config_load: runs/<config's name> */
    int64_t seed;
    const char *init_from;
    int init; /* 0 torch, 1 gpt2 */
} RunConfig;

typedef struct DataSection {
    int kind; /* DataKind */
    StringList path;
    int tokenizer; /* TokenizerKind */
    size_t vocab_size;
    size_t seq_len;
    double validation;
    const char *validation_path; /* set when data.validation is a path */
    bool shuffle, bucket;
    StringList features, targets;     /* csv */
    size_t lookback, horizon, stride; /* lookback KEY_NULL_SIZE: not set */
    const char *time;
    int scaling; /* ScalingKind */
    int task;    /* synthetic: index of the task, -1: not set */
    size_t sequences;
    int64_t seed;
} DataSection;

typedef struct LossConfig {
    int kind;      /* 0 cross_entropy, 1 mse */
    int reduction; /* Reduction */
    int64_t ignore_index;
    double label_smoothing;
} LossConfig;

typedef struct OptimizerConfig {
    int name; /* OptimizerKind */
    double lr, betas[2], eps, weight_decay, momentum;
    bool nesterov;
} OptimizerConfig;

typedef struct ScheduleConfig {
    int kind; /* ScheduleKind */
    size_t warmup;
    double min_lr;
    size_t steps, step_size; /* KEY_NULL_SIZE: not set */
    double gamma;
} ScheduleConfig;

typedef struct TrainConfig {
    size_t batch_size;
    size_t steps, epochs; /* KEY_NULL_SIZE: not set; epochs alone lifts steps */
    double clip_norm;     /* NAN: none */
    size_t shards, shards_at_once;
    const char *max_time; /* checked: seconds in max_seconds */
    double max_seconds;   /* NAN: none */
    int on_nonfinite;     /* OnNonfinite */
    StringList recompute; /* none, all, or names of layers and groups; checked: LayerSpec.recompute */
} TrainConfig;

typedef struct EvalConfig {
    size_t every, early_stop;
} EvalConfig;
typedef struct CheckpointConfig {
    size_t every, keep;
    bool async;
} CheckpointConfig;
typedef struct LogConfig {
    size_t every;
    int progress; /* ProgressKind */
    size_t predictions;
    bool tensorboard;
} LogConfig;

typedef struct CommConfig {
    bool overlap;
    int share; /* CommShare */
} CommConfig;

/* An item of the model's list as it was written: a layer, or a group of layers under one name. */
typedef struct ModelItem {
    const char *kind, *name; /* name: its own, without the groups' around it */
    StringList input;
    bool frozen;
    const LayerSpec *layer; /* of a residual: its addition; NULL for other groups */
    struct ModelItem *item; /* of a group */
    size_t items;
    const char *output; /* full name of the value it gives */
    bool broken;        /* while it is read: has a problem that was reported */
} ModelItem;

typedef struct Config {
    RunConfig run;
    DataSection data;
    ModelItem model;  /* all of the list, as a group */
    LayerSpec *layer; /* the same, one layer after the other, with full names ("enc.rnn") */
    size_t layers;
    LossConfig loss;
    OptimizerConfig optimizer;
    ScheduleConfig schedule;
    TrainConfig train;
    EvalConfig eval;
    CheckpointConfig checkpoint;
    LogConfig log;
    CommConfig comm;
    struct ConfigMemory *memory; /* owns every string and layer config above */
} Config;

/* Reads a file, applies overrides ("optimizer.lr=1e-3", "model.rnn.hidden_size=256", "model.1.hidden_size=
 * 256") in order, checks everything. ERR_USAGE lists all errors, a line each. The caller's:
 * config_destroy. Local. */
MUST_CHECK Status config_load(const char *path, const char *const *override, size_t overrides, Config **out);
/* The same from text, e.g. the config inside a checkpoint; `name` stands for the file in messages. */
MUST_CHECK Status config_parse(const char *text, const char *name, const char *const *override, size_t overrides,
                               Config **out);
void config_destroy(Config **config);

/* Whether a layer reads the value "target": the model has a decoder, and targets have lengths of their own. */
bool config_has_decoder(const Config *config);

/* The effective config as YAML, every key with its value; parses to the same config. Paths are made
 * absolute if `absolute`. The caller's: free(). Local. */
char *config_print(const Config *config, bool absolute);

/* Keys whose values differ and that may not change on resume, one "  key: old -> new" a line; NULL if there
 * are none. The caller's: free(). Changed keys that may change and alter bits (train.shards) go to *note
 * in the same form (NULL: none). */
char *config_differences(const Config *saved, const Config *now, char **note);

/* Help on one key ("optimizer.lr", "lstm", "lstm.hidden_size", "train") or, for NULL, on all, to stdout.
 * ERR_USAGE with the nearest names if there is no such key. */
MUST_CHECK Status config_help(const char *key);

#endif
