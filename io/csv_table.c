/* SPDX-License-Identifier: MIT
 *
 * csv_table.c: fields are checked as they come, while their place is at hand. */
#include "io/csv_table.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/column.h"
#include "io/csv_file.h"
#include "io/utf8.h"

enum { NAMES_SHOWN = 600 };

/* One file being read. */
typedef struct Reading {
    const CsvColumns *columns;
    CsvTable *table;
    Strings *classes;
    size_t *number_of; /* [the file's columns] which number, SIZE_MAX: none */
    size_t class_at, time_at;
    size_t first; /* row of the table */
} Reading;

/* ---- names ------------------------------------------------------------------------------------------- */

static void list_names(const CsvFile *csv, char out[NAMES_SHOWN]) {
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < csv->columns; i++) {
        int n = snprintf(out + used, NAMES_SHOWN - used, "%s%s", i ? ", " : "", csv->name[i]);
        if (n < 0 || (size_t)n + 8 >= NAMES_SHOWN - used) {
            snprintf(out + used, NAMES_SHOWN - used, ", ...");
            return;
        }
        used += (size_t)n;
    }
}

static Status find_name(const CsvFile *csv, const char *name, size_t *out) {
    size_t found = 0;
    for (size_t i = 0; i < csv->columns; i++) {
        if (strcmp(csv->name[i], name) != 0) continue;
        *out = i;
        found++;
    }
    if (found == 1) return OK;
    if (found > 1)
        return status_fail(ERR_DATA, "%s:1: %zu columns are named %s; give them different names", csv->path, found,
                           name);
    char names[NAMES_SHOWN];
    list_names(csv, names);
    csv_make_plain(names);
    return status_fail(ERR_DATA, "%s:1: no column %s; there are: %s", csv->path, name, names);
}

static Status find_names(const CsvFile *csv, Reading *reading) {
    const CsvColumns *columns = reading->columns;
    TRY(cells_allocate(csv->columns, sizeof *reading->number_of, csv->path, (void **)&reading->number_of));
    for (size_t i = 0; i < csv->columns; i++) reading->number_of[i] = SIZE_MAX;
    reading->class_at = reading->time_at = SIZE_MAX;
    for (size_t i = 0; i < columns->numbers; i++) {
        size_t at = 0;
        TRY(find_name(csv, columns->number[i], &at));
        reading->number_of[at] = i;
    }
    if (columns->class) TRY(find_name(csv, columns->class, &reading->class_at));
    if (columns->time) TRY(find_name(csv, columns->time, &reading->time_at));
    if (!columns->keep_time) reading->time_at = SIZE_MAX;
    return OK;
}

/* ---- fields ------------------------------------------------------------------------------------------- */

/* A decimal number, nothing else of what strtod knows. */
static bool parse_number(const char *text, double *out) {
    char *end;
    if (text[strspn(text, "+-0123456789.eE")] != '\0') return false;
    *out = strtod(text, &end);
    return end != text && *end == '\0';
}

static Status take_number(const CsvFile *csv, size_t row, size_t column, const char *text, double *out) {
    if (!*text)
        return csv_fail(ERR_DATA, csv, row, column,
                        "this field is empty, and a model cannot learn from a gap; fill it or leave out the row");
    if (!parse_number(text, out))
        return csv_fail(ERR_DATA, csv, row, column,
                        "'%.60s' is not a number; only classes may be text (a target with loss.kind: cross_entropy)",
                        text);
    if (!(fabs(*out) <= FLT_MAX))
        return csv_fail(ERR_DATA, csv, row, column, "%.60s is too large for single precision", text);
    return OK;
}

static bool is_text(const char *text, size_t bytes) {
    for (size_t at = 0; at < bytes;)
        if (utf8_next(text, bytes, &at) < 0) return false;
    return true;
}

static Status lacks_class(const CsvFile *csv, size_t row, size_t column, const char *text, const Strings *known) {
    char names[NAMES_SHOWN] = "";
    size_t used = 0;
    for (size_t i = 0; i < known->count && used + 80 < sizeof names; i++)
        used += (size_t)snprintf(names + used, sizeof names - used, "%s%.60s", i ? ", " : "", strings_text(known, i));
    return csv_fail(ERR_DATA, csv, row, column, "'%.60s' is none of the %zu classes that the model was trained on: %s",
                    text, known->count, names);
}

static Status take_class(const Reading *reading, const CsvFile *csv, size_t row, size_t column, const char *text,
                         size_t bytes, uint32_t *out) {
    double number;
    const Strings *known = reading->columns->known;
    if (!*text)
        return csv_fail(ERR_DATA, csv, row, column,
                        "this field is empty; each row needs a class: name one or leave out the row");
    if (!is_text(text, bytes)) return csv_fail(ERR_DATA, csv, row, column, "not UTF-8; save the file as UTF-8");
    if (text[strspn(text, "+-0123456789")] != '\0' && parse_number(text, &number))
        return csv_fail(
            ERR_USAGE, csv, row, column,
            "'%.60s' is no class: classes are texts or whole numbers; for a model of numbers set loss.kind: mse", text);
    if (known && strings_find(known, text, bytes) < 0) return lacks_class(csv, row, column, text, known);
    return strings_add(reading->classes, text, bytes, out);
}

static Status take_field(void *context, const CsvFile *csv, size_t row, size_t column, const char *text, size_t bytes) {
    Reading *reading = context;
    CsvTable *table = reading->table;
    size_t number = reading->number_of[column], at = reading->first + row;
    if (at >= table->room)
        return status_fail(ERR_DATA, "%s: changed while it was read; does something still write it?", csv->path);
    if (number != SIZE_MAX)
        TRY(take_number(csv, row, column, text, &table->value[at * reading->columns->numbers + number]));
    if (column == reading->class_at) TRY(take_class(reading, csv, row, column, text, bytes, &table->class[at]));
    if (column == reading->time_at && !(table->time[at] = strdup(text)))
        return status_fail(ERR_USAGE, "%s: no memory for its times", csv->path);
    return OK;
}

/* ---- files -------------------------------------------------------------------------------------------- */

/* A larger copy; what is new is zero. */
static Status grow(void **block, size_t old, size_t new, size_t each, const char *what) {
    void *wide;
    TRY(cells_allocate(new, each, what, &wide));
    if (old) memcpy(wide, *block, old * each);
    memset((char *)wide + old * each, 0, (new - old) * each);
    free(*block);
    *block = wide;
    return OK;
}

static Status make_room(const CsvColumns *columns, size_t rows, const char *what, CsvTable *table) {
    size_t room = table->rows + rows;
    if (columns->numbers)
        TRY(grow((void **)&table->value, table->rows, room, columns->numbers * sizeof *table->value, what));
    if (columns->class) TRY(grow((void **)&table->class, table->rows, room, sizeof *table->class, what));
    if (columns->keep_time) TRY(grow((void **)&table->time, table->rows, room, sizeof *table->time, what));
    table->room = room;
    return OK;
}

static Status read_file(CsvFile *csv, Reading *reading) {
    CsvTable *table = reading->table;
    size_t rows = 0;
    TRY(find_names(csv, reading));
    TRY(make_room(reading->columns, csv_rows_most(csv), csv->path, table));
    reading->first = table->rows;
    Status status = csv_read(csv, take_field, reading, &rows);
    /* After a failure too the times of a row begun are the table's to free. */
    table->rows = status == OK ? table->rows + rows : table->room;
    return status;
}

Status csv_table_read(const char *const *path, size_t paths, const CsvColumns *columns, Strings *classes,
                      CsvTable *out) {
    *out = (CsvTable){0};
    Status status = cells_allocate(paths, sizeof *out->file_end, "data", (void **)&out->file_end);
    for (size_t i = 0; i < paths && status == OK; i++) {
        CsvFile csv;
        Reading reading = {.columns = columns, .table = out, .classes = classes};
        status = csv_open(path[i], &csv);
        if (status != OK) break;
        status = read_file(&csv, &reading);
        free(reading.number_of);
        csv_close(&csv);
        out->file_end[out->files++] = out->rows;
    }
    if (status != OK) csv_table_free(out);
    return status;
}

void csv_table_free(CsvTable *table) {
    for (size_t i = 0; table->time && i < table->rows; i++) free(table->time[i]);
    free(table->time);
    free(table->class);
    free(table->value);
    free(table->file_end);
    *table = (CsvTable){0};
}
