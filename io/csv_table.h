/* SPDX-License-Identifier: MIT
 *
 * csv_table.h: the columns of CSV files that a series needs: numbers, at most one column of classes, at
 * most one of times, over several files one behind the other. */
#ifndef LOCKSTEP_IO_CSV_TABLE_H
#define LOCKSTEP_IO_CSV_TABLE_H

#include <stdbool.h>

#include "io/strings.h"

typedef struct CsvColumns {
    const char *const *number; /* [numbers] different */
    size_t numbers;
    const char *class;    /* NULL: none */
    const char *time;     /* NULL: none */
    bool keep_time;       /* else the column must only be there */
    const Strings *known; /* classes that may occur; NULL: any */
} CsvColumns;

typedef struct CsvTable {
    size_t rows, files;
    double *value;    /* [rows, numbers] */
    uint32_t *class;  /* [rows] */
    char **time;      /* [rows] */
    size_t *file_end; /* [files] rows up to the end of each */
    size_t room;
} CsvTable;

/* Reads the files, adding classes that are new to `classes`, which outlives many tables. ERR_DATA names
 * file, line, column and the field. The caller's: csv_table_free. Local. */
MUST_CHECK Status csv_table_read(const char *const *path, size_t paths, const CsvColumns *columns, Strings *classes,
                                 CsvTable *out);
void csv_table_free(CsvTable *table);

#endif
