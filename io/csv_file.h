/* SPDX-License-Identifier: MIT
 *
 * csv_file.h: a CSV file field by field: a first line of column names, then rows with a field for each.
 * Quoting is RFC 4180's; fields are parted by the one of comma, semicolon and TAB that the first line
 * has most of. Every message about a field can name its line and column. */
#ifndef LOCKSTEP_IO_CSV_FILE_H
#define LOCKSTEP_IO_CSV_FILE_H

#include "io/load.h"

typedef struct CsvFile {
    const char *path;
    FileBytes file;
    size_t begin; /* behind a byte order mark */
    char delimiter;
    char **name; /* [columns] */
    size_t columns;
} CsvFile;

/* Loads the file and reads its names. ERR_DATA. The caller's: csv_close. Local. */
MUST_CHECK Status csv_open(const char *path, CsvFile *out);
void csv_close(CsvFile *csv);

/* One field: row and column from 0. `text` ends with a NUL behind its bytes; it is "" for an empty field
 * and stands until the call returns. */
typedef Status (*CsvTake)(void *context, const CsvFile *csv, size_t row, size_t column, const char *text, size_t bytes);

/* Hands over every field of every row in order, until `take` fails. Each row has a field per column, or
 * ERR_DATA names its line. *rows: how many there are. */
MUST_CHECK Status csv_read(const CsvFile *csv, CsvTake take, void *context, size_t *rows);

/* No more than this many rows are in the file. */
size_t csv_rows_most(const CsvFile *csv);

/* "path:line:column: name: <what>" for a field, with `code`. */
Status csv_fail(Status code, const CsvFile *csv, size_t row, size_t column, const char *format, ...) PRINTF_LIKE(5, 6);

/* Turns what is not UTF-8 or moves a terminal's cursor into '?'. */
void csv_make_plain(char *text);

#endif
