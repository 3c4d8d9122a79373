/* SPDX-License-Identifier: MIT
 *
 * prediction_parts.h: the two forms of a file of predictions, private to io/. */
#ifndef LOCKSTEP_IO_PREDICTION_PARTS_H
#define LOCKSTEP_IO_PREDICTION_PARTS_H

#include "io/files.h"
#include "io/prediction.h"

typedef struct PredictionH5 PredictionH5;

struct PredictionFile {
    PredictionForm form;
    const char *path; /* NULL: stdout */
    AtomicFile file;  /* CSV with a path */
    bool open;        /* it is to be published or abandoned */
    size_t index;     /* of the next sequence */
    char *text;       /* CSV that is not written yet */
    size_t used, room;
    PredictionH5 *h5; /* NULL: CSV */
};

/* The texts of all steps as one, numbers with blanks between; *out is the caller's. */
MUST_CHECK Status prediction_join(const PredictionForm *form, const Prediction *prediction, char **out, size_t *bytes);

MUST_CHECK Status prediction_csv_head(PredictionFile *file);
MUST_CHECK Status prediction_csv_put(PredictionFile *file, const Prediction *prediction);
MUST_CHECK Status prediction_csv_flush(PredictionFile *file);

MUST_CHECK Status prediction_h5_create(PredictionFile *file);
MUST_CHECK Status prediction_h5_put(PredictionFile *file, const Prediction *prediction);
/* Writes what is left and publishes. */
MUST_CHECK Status prediction_h5_finish(PredictionFile *file);
void prediction_h5_destroy(PredictionH5 **h5);

#endif
