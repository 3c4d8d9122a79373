/* SPDX-License-Identifier: MIT
 *
 * npy.h: NumPy's .npy files with one dimension of integers. */
#ifndef LOCKSTEP_IO_NPY_H
#define LOCKSTEP_IO_NPY_H

#include <stdbool.h>
#include <stdint.h>

#include "io/load.h"

typedef struct Npy {
    size_t begin;        /* of the data in the file */
    size_t count, bytes; /* numbers, bytes of each: 1, 2, 4 or 8 */
    bool is_signed;
} Npy;

/* Whether the file begins like one. */
bool npy_is(const FileBytes *file);

/* Reads the header; all of the data is there on OK. ERR_DATA names what is not one dimension of little-endian
 * integers. */
MUST_CHECK Status npy_parse(const char *path, const FileBytes *file, Npy *out);

/* Number i; those above INT64_MAX are INT64_MAX. */
int64_t npy_number(const FileBytes *file, const Npy *npy, size_t i);

#endif
