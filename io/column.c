/* SPDX-License-Identifier: MIT
 *
 * column.c: cells start as bytes and widen, at most twice, when a value asks for it; so the width
 * depends on the values alone and never on the width in the file. */
#include "io/column.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "comm/arena.h"

Status cells_allocate(size_t count, size_t each, const char *what, void **out) {
    size_t bytes;
    *out = NULL;
    if (!size_multiply(count, each, &bytes))
        return status_fail(ERR_USAGE, "%s: %zu values of %zu bytes do not fit in memory", what, count, each);
    if (bytes <= memory_available()) *out = malloc(bytes ? bytes : 1);
    if (!*out) return status_fail(ERR_USAGE, "%s: no memory for %zu bytes", what, bytes);
    return OK;
}

size_t cell_bytes(CellType type) {
    static const size_t bytes[] = {[CELL_U8] = 1, [CELL_U16] = 2, [CELL_I32] = 4, [CELL_F32] = 4};
    return bytes[type];
}

CellType cell_type_for(int64_t most) {
    return most <= UINT8_MAX ? CELL_U8 : most <= UINT16_MAX ? CELL_U16 : CELL_I32;
}

Status column_create(Column *column, CellType type, size_t cells, const char *what) {
    *column = (Column){.type = type, .room = cells};
    return cells_allocate(cells, cell_bytes(type), what, &column->cell);
}

void column_free(Column *column) {
    if (column->mapped) munmap(column->cell, column->mapped);
    else if (!column->borrowed) free(column->cell);
    *column = (Column){0};
}

void column_shrink(Column *column) {
    void *less = realloc(column->cell, column->cells ? column->cells * cell_bytes(column->type) : 1);
    if (!less) return;
    column->cell = less;
    column->room = column->cells;
}

static Status widen(Column *column, CellType type, const char *what) {
    Column wide;
    TRY(column_create(&wide, type, column->room, what));
    if (type == CELL_U16) {
        for (size_t i = 0; i < column->cells; i++) ((uint16_t *)wide.cell)[i] = ((const uint8_t *)column->cell)[i];
    } else {
        column_integers(column, 0, column->cells, wide.cell);
    }
    wide.cells = column->cells;
    column_free(column);
    *column = wide;
    return OK;
}

Status column_append(Column *column, const int64_t *value, size_t count, const char *what) {
    int64_t least = 0, most = 0;
    for (size_t i = 0; i < count; i++) {
        if (value[i] < least) least = value[i];
        if (value[i] > most) most = value[i];
    }
    CellType need = least < 0 ? CELL_I32 : cell_type_for(most);
    if (need > column->type) TRY(widen(column, need, what));
    for (size_t i = 0; i < count; i++) column_put(column, (int32_t)value[i]);
    return OK;
}

void column_append_floats(Column *column, const float *value, size_t count) {
    if (count > 0) memcpy((float *)column->cell + column->cells, value, count * sizeof *value);
    column->cells += count;
}

Column column_slice(const Column *column, size_t first) {
    if (first > column->cells) first = column->cells;
    return (Column){.type = column->type,
                    .cell = (char *)column->cell + first * cell_bytes(column->type),
                    .cells = column->cells - first,
                    .room = column->cells - first,
                    .borrowed = true};
}

void column_integers(const Column *column, size_t first, size_t count, int32_t *out) {
    const uint8_t *u8 = column->cell;
    const uint16_t *u16 = column->cell;
    const int32_t *i32 = column->cell;
    switch (column->type) {
    case CELL_U8:
        for (size_t i = 0; i < count; i++) out[i] = u8[first + i];
        break;
    case CELL_U16:
        for (size_t i = 0; i < count; i++) out[i] = u16[first + i];
        break;
    case CELL_I32:
        memcpy(out, i32 + first, count * sizeof *out);
        break;
    case CELL_F32:
        break;
    }
}

void column_floats(const Column *column, size_t first, size_t count, float *out) {
    memcpy(out, (const float *)column->cell + first, count * sizeof *out);
}

double column_entropy(const Column *column, size_t first, size_t count, size_t values) {
    enum { BLOCK = 4096 };
    int32_t block[BLOCK];
    uint64_t *seen = calloc(values ? values : 1, sizeof *seen);
    if (!seen || count == 0) {
        free(seen);
        return NAN;
    }
    for (size_t done = 0; done < count;) {
        size_t n = count - done < BLOCK ? count - done : BLOCK;
        column_integers(column, first + done, n, block);
        for (size_t i = 0; i < n; i++) seen[block[i]]++;
        done += n;
    }
    double entropy = 0;
    for (size_t i = 0; i < values; i++) {
        double p = (double)seen[i] / (double)count;
        if (seen[i]) entropy -= p * log(p);
    }
    free(seen);
    return entropy;
}
