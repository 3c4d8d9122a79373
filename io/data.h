/* SPDX-License-Identifier: MIT
 *
 * data.h: a data set as sequences that can be read in any order. Knows no ranks and no layers. */
#ifndef LOCKSTEP_IO_DATA_H
#define LOCKSTEP_IO_DATA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"
#include "io/scaling.h"
#include "io/vocabulary.h"

typedef enum DataKind {
    DATA_TEXT,
    DATA_SEQUENCES,
    DATA_PAIRS,
    DATA_CSV,
    DATA_SYNTHETIC,
    DATA_TOKENS
} DataKind; /* order of data.kind's choices */
typedef enum TargetKind { TARGET_NONE, TARGET_CLASSES, TARGET_VALUES } TargetKind;

/* A series in CSV files: `lookback` rows of the features, then as targets the next `horizon` rows. */
typedef struct SeriesConfig {
    const char *const *feature; /* [features] names of columns */
    size_t features;
    const char *const *target; /* [targets] */
    size_t targets;
    size_t lookback, horizon;
    size_t stride;    /* rows from one sequence to the next */
    const char *time; /* a column that is kept for data_time; NULL: none */
    ScalingKind scaling;
    bool classes;          /* the target is a class, else numbers */
    const Scaling *scaled; /* NULL: measured on the training rows; else this one (a checkpoint's) */
} SeriesConfig;

typedef struct SyntheticConfig {
    int task; /* index in synthetic.h's table */
    size_t sequences;
    uint64_t seed;
} SyntheticConfig;

typedef struct DataConfig {
    DataKind kind;
    const char *const *path; /* files, globs allowed for text */
    size_t paths;
    TokenizerKind tokenizer;
    size_t vocab_size; /* text with bpe: tokens to learn, the 256 bytes included */
    size_t seq_len;
    double validation;                   /* last fraction, 0 <= f < 1 */
    const char *validation_path;         /* or a file of its own; then the fraction is ignored */
    const Vocabulary *vocabulary;        /* NULL: from the data; else ids come from this one (a checkpoint's) */
    const Vocabulary *target_vocabulary; /* pairs, csv: the same for the targets */
    size_t num_classes;                  /* 0: from the data; else the data may not have more */
    bool inputs_only;                    /* targets are not looked at and need not be there */
    bool decoder;                        /* targets are sequences with lengths of their own (see DataInfo) */
    bool targets_if_there;               /* with decoder: a file without targets will do */
    SeriesConfig series;                 /* csv */
    SyntheticConfig synthetic;           /* synthetic, which has no path */
} DataConfig;

typedef struct DataInfo {
    bool ids;          /* inputs are ids, else real features */
    size_t vocabulary; /* of input ids, 0 for features */
    size_t features;
    size_t context; /* numbers that belong to a whole sequence; 0: none */
    TargetKind target;
    bool target_per_step;   /* a target per time step, else one per sequence */
    size_t classes;         /* classes, or columns of real targets */
    size_t longest;         /* time steps */
    bool ragged;            /* lengths differ */
    uint64_t digest[2];     /* XXH3-128 of what the model sees of the data */
    double unigram_entropy; /* text: nats per token of the training split's target distribution, else NAN */
    /* With DataConfig.decoder a target is n symbols of [0, V) and behind them the end symbol V: n + 1 classes,
     * of V + 1. Else 0: */
    size_t target_vocabulary; /* V */
    size_t longest_target;    /* rows of targets of the longest, the end counted */
} DataInfo;

typedef enum Split { SPLIT_TRAIN, SPLIT_VALIDATION, SPLIT_ALL } Split;

typedef struct Data Data;

/* Opens and checks all of the data: ERR_DATA names file, offset or data set, and the remedy. The
 * caller's: data_close. Local. */
MUST_CHECK Status data_open(const DataConfig *config, Data **out);
void data_close(Data **data);

const DataInfo *data_info(const Data *data);
const Vocabulary *data_vocabulary(const Data *data);        /* of the inputs; NULL where there is none */
const Vocabulary *data_target_vocabulary(const Data *data); /* pairs: of the targets; csv: the classes */
const Scaling *data_scaling(const Data *data);              /* csv; NULL where nothing is scaled */
/* csv with a time column, opened with inputs_only: the text of the sequence's last row; else NULL. */
const char *data_time(const Data *data, Split split, size_t sequence);

/* Sequences of a split, and the time steps and target rows of one of them. Local, no I/O errors: all is
 * checked at open. */
size_t data_sequences(const Data *data, Split split);
size_t data_length(const Data *data, Split split, size_t sequence);
/* With a decoder n + 1 of its n symbols, 0 without targets; else the length, or 1. */
size_t data_target_length(const Data *data, Split split, size_t sequence);

/* Copies a sequence: ids [length] or x [length, features]; classes or values [target length, ...]. NULL
 * skips. */
void data_read(const Data *data, Split split, size_t sequence, int32_t *ids, float *x, int32_t *classes, float *values);

/* Copies a sequence's context [DataInfo.context]. */
void data_context(const Data *data, Split split, size_t sequence, float *context);

#endif
