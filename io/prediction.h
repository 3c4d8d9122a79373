/* SPDX-License-Identifier: MIT
 *
 * prediction.h: what a model says to sequences, as CSV or HDF5.
 *
 * CSV, one row per sequence: index, the time where there is one, then
 *   classes   predicted: the class or its text; of a class per step the texts of all steps, joined
 *   values    a column for each
 * With scores, and for values per step, one row per step instead: index, time, step, predicted or the values,
 * then a column logit:<class> for each class. What a decoder wrote is joined too, with log_probability behind it.
 *
 * HDF5: predicted [N] or [N, T] int32, -1 behind the end of a sequence; values [N, K] or [N, T, K] float32, NaN
 * behind it; logits like values, with scores; lengths [N] int64 where there are steps; time [N], and classes
 * or columns: the texts of ids, the names of values. Of a decoder also log_probability [N] float64 and, where
 * ids have texts, text [N]: joined. */
#ifndef LOCKSTEP_IO_PREDICTION_H
#define LOCKSTEP_IO_PREDICTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"
#include "io/vocabulary.h"

/* All that it points at must outlive the file. */
typedef struct PredictionForm {
    bool classes;         /* else values */
    bool per_step;        /* a prediction per step, else one per sequence */
    bool scores;          /* the logits too */
    bool log_probability; /* a decoder's: classes per step, which may be none, and how probable they are */
    size_t columns;       /* classes or values */
    size_t sequences, longest;
    const Vocabulary *vocabulary; /* texts of the classes; NULL: numbers */
    const char *const *name;      /* [columns] of the values; NULL: value_0, ... */
    const char *time;             /* name of the column of times; NULL: none */
} PredictionForm;

/* Of one sequence. */
typedef struct Prediction {
    size_t rows; /* its steps, 1 without */
    double log_probability;
    const char *time;     /* NULL: none */
    const int32_t *class; /* [rows] */
    const float *score;   /* [rows, columns] values, or logits (NULL without scores) */
} Prediction;

typedef struct PredictionFile PredictionFile;

/* path NULL: CSV to stdout; ending in .h5 or .hdf5: HDF5, else CSV. A file is there whole after
 * prediction_publish or not at all. ERR_WRITE. The caller's: prediction_publish or prediction_abandon.
 * Local. */
MUST_CHECK Status prediction_create(const char *path, const PredictionForm *form, PredictionFile **out);
/* The next sequence. */
MUST_CHECK Status prediction_put(PredictionFile *file, const Prediction *prediction);
MUST_CHECK Status prediction_publish(PredictionFile **file);
void prediction_abandon(PredictionFile **file);

#endif
