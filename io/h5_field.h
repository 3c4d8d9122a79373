/* SPDX-License-Identifier: MIT
 *
 * h5_field.h: a data set of an input file, [N] or [N, ...] numbers, read a block of sequences at a time
 * so that nothing is held twice. Private to io/; everything with the lock of h5.h held. */
#ifndef LOCKSTEP_IO_H5_FIELD_H
#define LOCKSTEP_IO_H5_FIELD_H

#include "io/column.h"
#include "io/h5.h"

enum { FIELD_MAX_RANK = 3, FIELD_PLACE = 128, IGNORED_CLASS = -100 };

typedef struct Field {
    const char *path, *name; /* file and data set, for messages */
    hid_t set;               /* < 0: there is none */
    bool integers;
    size_t rank, dim[FIELD_MAX_RANK];
    size_t width; /* numbers of one sequence */
} Field;

/* Opens a data set of numbers with 1 to 3 dimensions; without one field->set is negative. ERR_DATA for
 * anything else under that name. The caller's: field_close. */
MUST_CHECK Status field_open(hid_t file, const char *path, const char *name, Field *out);
void field_close(Field *field);

/* Which integers may stand in a field: [0, limit), and IGNORED_CLASS if `ignored`. */
typedef struct FieldRange {
    int64_t limit;
    bool ignored;
    const char *limit_from; /* what sets the limit, for the message */
} FieldRange;

/* Sequence s has `rows` rows of the field, of which the first offset[s + 1] - offset[s] count (NULL: all);
 * appends those to an empty column. ERR_DATA names file, data set and index of a value that is out of
 * range or not finite. *most: the largest integer, -1 if there is none. */
MUST_CHECK Status field_integers(const Field *field, size_t rows, const size_t *offset, FieldRange range, Column *out,
                                 int64_t *most);
MUST_CHECK Status field_floats(const Field *field, size_t rows, const size_t *offset, Column *out);

/* All of a field [N] of integers; *out is the caller's, free(). */
MUST_CHECK Status field_all(const Field *field, int64_t **out);

/* "inputs[3, 17]": the place of number `i` of sequence s. */
void field_place(const Field *field, size_t s, size_t i, char out[FIELD_PLACE]);

#endif
