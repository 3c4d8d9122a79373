/* SPDX-License-Identifier: MIT
 *
 * golden_file.h: reading a file of PyTorch's numbers, and comparing what a run left with them. What is wrong
 * fails the cmocka test that runs. A tensor differs by max |a - b| / max |b|; the worst of several is kept
 * until worst_report. */
#ifndef LOCKSTEP_TESTS_GOLDEN_FILE_H
#define LOCKSTEP_TESTS_GOLDEN_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

/* The file that the functions below read. */
void golden_open(const char *path);

typedef struct Tensor {
    size_t count;
    double *v; /* the caller's: free */
} Tensor;

bool golden_has(const char *group, const char *name);
Tensor golden_read(const char *format, ...) PRINTF_LIKE(1, 2);
/* A data set that is one text; the caller's: free. */
char *golden_text(const char *name);

void worst_reset(void);
/* Compares got[i] with the golden values and frees them. Printed where it differs by more than `tolerance`. */
void compare(const char *name, const float *got, size_t count, Tensor want, double tolerance);
/* Prints the worst since worst_reset; fails if it is above `tolerance`. */
void worst_report(const char *what, double tolerance);

/* One column of the `train` rows of DIR/run/metrics.csv, by name, with /golden/<golden>; with `each`, each element
 * relative to its own golden value. */
void compare_column(const char *dir, const char *column, const char *golden, bool each, double tolerance);
/* The model of the checkpoint of that step in DIR/run with /golden/final/<name>, every array; returns its data_digest
 * in hex, high half first, in a static buffer. */
const char *compare_checkpoint(const char *dir, uint64_t step, double tolerance);

/* Runs argv[0] as a child with stdout to that file (NULL: as it is); its exit code, 128 + the signal. */
int run_child(const char *const *argv, const char *out);
/* A new directory for the test; its name fits into char[64]. */
void scratch_make(char *name);
void scratch_remove(const char *name);

/* Fails the test unless OK. */
void must(Status status, const char *what);

#endif
