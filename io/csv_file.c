/* SPDX-License-Identifier: MIT
 *
 * csv_file.c: libcsv parses; it does not say where it is. When a message needs a place, the file is
 * parsed again byte by byte up to the field. */
#include "io/csv_file.h"

#include <csv.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/utf8.h"

enum { BLOCK = 1 << 16 };

static const unsigned char OPTIONS = CSV_STRICT | CSV_STRICT_FINI | CSV_APPEND_NULL;

/* One pass. Record 0 is the line of names. */
typedef struct Walk {
    const CsvFile *csv;
    bool names; /* hands over the names, not the rows */
    size_t record, field;
    CsvTake take;
    void *context;
    Status status;
} Walk;

/* ---- places ------------------------------------------------------------------------------------------ */

typedef struct Place {
    size_t record, field;
} Place;

static void count_field(void *text, size_t bytes, void *context) {
    (void)text;
    (void)bytes;
    ((Place *)context)->field++;
}

static void count_record(int end, void *context) {
    (void)end;
    Place *at = context;
    at->record++;
    at->field = 0;
}

/* Offset of the first byte of a field; of what stands where it should, if the record is too short. */
static size_t find_field(const CsvFile *csv, size_t record, size_t field) {
    struct csv_parser parser;
    const char *data = csv->file.data;
    Place at = {0, 0};
    size_t i = csv->begin, end = csv->file.bytes;
    if (csv_init(&parser, OPTIONS) != 0) return i;
    csv_set_delim(&parser, (unsigned char)csv->delimiter);
    while (i < end && (at.record < record || (at.record == record && at.field < field))) {
        if (csv_parse(&parser, data + i, 1, count_field, count_record, &at) != 1) break;
        i++;
    }
    csv_free(&parser);
    if (at.record > record) return i - 1;
    while (i < end && data[i] != csv->delimiter && strchr(field ? " \t" : " \t\r\n", data[i]) && data[i]) i++;
    return i;
}

/* Puts the place of a field before the recorded message. */
static Status at_field(Status code, const CsvFile *csv, size_t record, size_t field) {
    TextPlace place = text_place(csv->file.data, find_field(csv, record, field));
    return status_context(code, "%s:%zu:%zu", csv->path, place.line, place.column);
}

void csv_make_plain(char *text) {
    size_t bytes = strlen(text);
    for (size_t at = 0; at < bytes;) {
        size_t start = at;
        int32_t code = utf8_next(text, bytes, &at);
        if (code >= 0x20 && code != 0x7F) continue;
        text[start] = '?';
        at = start + 1;
    }
}

Status csv_fail(Status code, const CsvFile *csv, size_t row, size_t column, const char *format, ...) {
    char what[1024];
    va_list args;
    size_t used = (size_t)snprintf(what, sizeof what, "%.200s: ", csv->name[column]);
    va_start(args, format);
    vsnprintf(what + used, sizeof what - used, format, args);
    va_end(args);
    csv_make_plain(what);
    status_fail(code, "%s", what);
    return at_field(code, csv, row + 1, column);
}

/* ---- parsing ------------------------------------------------------------------------------------------ */

static Status take_field(Walk *walk, const char *text, size_t bytes) {
    const CsvFile *csv = walk->csv;
    if (memchr(text, '\0', bytes)) {
        status_fail(ERR_DATA, "a NUL byte in this field: this is not a text file");
        return at_field(ERR_DATA, csv, walk->record, walk->field);
    }
    if (walk->names != (walk->record == 0) || (!walk->names && walk->field >= csv->columns)) return OK;
    return walk->take(walk->context, csv, walk->names ? 0 : walk->record - 1, walk->field, text, bytes);
}

static void on_field(void *text, size_t bytes, void *context) {
    Walk *walk = context;
    if (walk->status == OK) walk->status = take_field(walk, text, bytes);
    walk->field++;
}

static void on_record(int end, void *context) {
    (void)end;
    Walk *walk = context;
    const CsvFile *csv = walk->csv;
    if (walk->status == OK && !walk->names && walk->field != csv->columns) {
        status_fail(ERR_DATA, "this row has %zu fields and the first line has %zu", walk->field, csv->columns);
        walk->status = at_field(ERR_DATA, csv, walk->record, 0);
    }
    walk->record++;
    walk->field = 0;
}

/* What libcsv refused at `offset`. */
static Status refused(const Walk *walk, int error, size_t offset) {
    const CsvFile *csv = walk->csv;
    if (error != CSV_EPARSE) return status_fail(ERR_USAGE, "%s: %s", csv->path, csv_strerror(error));
    if (offset >= csv->file.bytes) {
        status_fail(ERR_DATA, "the \" that begins this field has no end; close it with another \"");
        return at_field(ERR_DATA, csv, walk->record, walk->field);
    }
    TextPlace place = text_place(csv->file.data, offset);
    return status_fail(ERR_DATA, "%s:%zu:%zu: a \" inside a field; quote the whole field and write \"\" for each",
                       csv->path, place.line, place.column);
}

/* Walks over `bytes` from the beginning; the end of the file ends the last record. */
static Status walk_file(Walk *walk, size_t bytes) {
    const CsvFile *csv = walk->csv;
    struct csv_parser parser;
    if (csv_init(&parser, OPTIONS) != 0) return status_fail(ERR_USAGE, "%s: no memory for its parser", csv->path);
    csv_set_delim(&parser, (unsigned char)csv->delimiter);
    Status status = OK;
    for (size_t at = csv->begin; at < bytes && status == OK && walk->status == OK;) {
        size_t n = bytes - at < BLOCK ? bytes - at : BLOCK;
        size_t done = csv_parse(&parser, csv->file.data + at, n, on_field, on_record, walk);
        at += done;
        if (done != n) status = refused(walk, csv_error(&parser), at);
    }
    if (status == OK && walk->status == OK && csv_fini(&parser, on_field, on_record, walk) != 0)
        status = refused(walk, csv_error(&parser), bytes);
    csv_free(&parser);
    return walk->status != OK ? walk->status : status;
}

/* ---- names -------------------------------------------------------------------------------------------- */

/* End of the first line that is not in quotes. */
static size_t first_line(const CsvFile *csv) {
    bool quoted = false, begun = false;
    size_t at = csv->begin;
    for (; at < csv->file.bytes; at++) {
        char c = csv->file.data[at];
        if (c == '"') quoted = !quoted;
        if (!quoted && begun && (c == '\n' || c == '\r')) break;
        begun |= c != '\n' && c != '\r' && c != ' ' && c != '\t';
    }
    return at;
}

static char guess_delimiter(const CsvFile *csv, size_t end) {
    static const char choice[] = ",;\t";
    size_t count[3] = {0}, best = 0;
    bool quoted = false;
    for (size_t at = csv->begin; at < end; at++) {
        char c = csv->file.data[at];
        if (c == '"') quoted = !quoted;
        for (size_t k = 0; k < 3; k++) count[k] += !quoted && c == choice[k];
    }
    for (size_t k = 1; k < 3; k++)
        if (count[k] > count[best]) best = k;
    return choice[best];
}

static Status take_name(void *context, const CsvFile *csv, size_t row, size_t column, const char *text, size_t bytes) {
    (void)row;
    CsvFile *out = context;
    char **more = realloc(out->name, (column + 1) * sizeof *more);
    if (more) out->name = more;
    char *name = more ? strndup(text, bytes) : NULL;
    if (!name) return status_fail(ERR_USAGE, "%s: no memory for its columns", csv->path);
    out->name[out->columns++] = name;
    return OK;
}

Status csv_open(const char *path, CsvFile *out) {
    *out = (CsvFile){.path = path};
    TRY(load_file(path, &out->file));
    out->begin = utf8_mark(out->file.data, out->file.bytes);
    size_t end = first_line(out);
    out->delimiter = guess_delimiter(out, end);
    Walk walk = {.csv = out, .names = true, .take = take_name, .context = out};
    Status status = walk_file(&walk, end);
    if (status == OK && out->columns == 0) status = status_fail(ERR_DATA, "%s: holds no line of column names", path);
    if (status != OK) csv_close(out);
    return status;
}

void csv_close(CsvFile *csv) {
    for (size_t i = 0; i < csv->columns; i++) free(csv->name[i]);
    free(csv->name);
    load_free(&csv->file);
    *csv = (CsvFile){0};
}

/* ---- rows --------------------------------------------------------------------------------------------- */

Status csv_read(const CsvFile *csv, CsvTake take, void *context, size_t *rows) {
    Walk walk = {.csv = csv, .take = take, .context = context};
    TRY(walk_file(&walk, csv->file.bytes));
    *rows = walk.record - 1;
    return OK;
}

size_t csv_rows_most(const CsvFile *csv) {
    size_t lines = 0;
    for (size_t i = csv->begin; i < csv->file.bytes; i++)
        lines += csv->file.data[i] == '\n' || csv->file.data[i] == '\r';
    return lines + 1;
}
