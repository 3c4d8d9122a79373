/* SPDX-License-Identifier: MIT
 *
 * column.h: a long array of integers or floats in the narrowest cells that hold all of its values, so
 * that a file of bytes stays as large in memory as it is on disk. */
#ifndef LOCKSTEP_IO_COLUMN_H
#define LOCKSTEP_IO_COLUMN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

typedef enum CellType { CELL_U8, CELL_U16, CELL_I32, CELL_F32 } CellType;

typedef struct Column {
    CellType type;
    void *cell;
    size_t cells, room;
    size_t mapped; /* bytes of the file mapping that `cell` points to, 0: malloc */
    bool borrowed; /* `cell` belongs to another column */
} Column;

/* count * each bytes, not cleared; ERR_USAGE names `what` and the size where memory is short. */
MUST_CHECK Status cells_allocate(size_t count, size_t each, const char *what, void **out);

size_t cell_bytes(CellType type);
CellType cell_type_for(int64_t most); /* of values in [0, most] */

/* An empty column with room for `cells`. */
MUST_CHECK Status column_create(Column *column, CellType type, size_t cells, const char *what);
void column_free(Column *column);
/* Gives the room behind the cells back, of a column that was created. */
void column_shrink(Column *column);

/* Integers behind the others, in wider cells from then on if they need them. All must fit an int32. */
MUST_CHECK Status column_append(Column *column, const int64_t *value, size_t count, const char *what);
/* Floats behind the others; within the room. */
void column_append_floats(Column *column, const float *value, size_t count);
/* One non-negative integer behind the others; within the room and the type. */
static inline void column_put(Column *column, int32_t value) {
    size_t i = column->cells++;
    switch (column->type) {
    case CELL_U8:
        ((uint8_t *)column->cell)[i] = (uint8_t)value;
        break;
    case CELL_U16:
        ((uint16_t *)column->cell)[i] = (uint16_t)value;
        break;
    case CELL_I32:
        ((int32_t *)column->cell)[i] = value;
        break;
    case CELL_F32:
        break;
    }
}

/* The cells from `first` on as a column that owns nothing. */
Column column_slice(const Column *column, size_t first);

/* Cells [first, first + count). */
void column_integers(const Column *column, size_t first, size_t count, int32_t *out);
void column_floats(const Column *column, size_t first, size_t count, float *out);

/* Nats per value of the distribution of the non-negative integers in [first, first + count). NAN for
 * none of them or where memory is short. */
double column_entropy(const Column *column, size_t first, size_t count, size_t values);

#endif
