/* SPDX-License-Identifier: MIT
 *
 * data_csv.c: series in CSV files as windows over their rows. The rows of a file follow each other in
 * time and those of another file do not go on from them: no window reaches over the end of a file, nor
 * over the border between training and validation. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/csv_table.h"
#include "io/data_parts.h"
#include "io/load.h"
#include "io/vocabulary_codes.h"

/* The files of one store. */
typedef struct Source {
    PathList paths;
    CsvTable table;
} Source;

typedef struct Series {
    const DataConfig *config;
    Source source[DATA_STORES];
    const char **number; /* different names of the columns of numbers, the features first */
    size_t numbers;
    size_t *feature_at, *target_at; /* which of them */
    Strings known, classes;
    size_t border;      /* training rows of the first store */
    size_t rows_needed; /* by one sequence */
} Series;

/* ---- columns ------------------------------------------------------------------------------------------- */

static bool reads_values(const DataConfig *config) {
    return !config->series.classes && !config->inputs_only;
}

static size_t add_number(Series *series, const char *name) {
    size_t i = 0;
    while (i < series->numbers && strcmp(series->number[i], name) != 0) i++;
    if (i == series->numbers) series->number[series->numbers++] = name;
    return i;
}

static Status name_columns(Series *series) {
    const SeriesConfig *c = &series->config->series;
    TRY(cells_allocate(c->features + c->targets, sizeof *series->number, "data.features", (void **)&series->number));
    TRY(cells_allocate(c->features, sizeof *series->feature_at, "data.features", (void **)&series->feature_at));
    TRY(cells_allocate(c->targets, sizeof *series->target_at, "data.targets", (void **)&series->target_at));
    for (size_t i = 0; i < c->features; i++) {
        series->feature_at[i] = add_number(series, c->feature[i]);
        if (series->feature_at[i] != i)
            return status_fail(ERR_USAGE, "data.features: %s is named twice", c->feature[i]);
    }
    for (size_t i = 0; i < c->targets; i++) {
        for (size_t k = 0; k < i; k++)
            if (strcmp(c->target[i], c->target[k]) == 0)
                return status_fail(ERR_USAGE, "data.targets: %s is named twice", c->target[i]);
        if (reads_values(series->config)) series->target_at[i] = add_number(series, c->target[i]);
    }
    return OK;
}

/* ---- classes ------------------------------------------------------------------------------------------- */

static Status know_classes(Series *series) {
    const Vocabulary *known = series->config->target_vocabulary;
    uint32_t id;
    for (size_t i = 0; known && i < known->size; i++) {
        TRY(strings_add(&series->known, known->token[i], strlen(known->token[i]), &id));
        TRY(strings_add(&series->classes, known->token[i], strlen(known->token[i]), &id));
    }
    return OK;
}

typedef struct Class {
    const char *name;
    uint32_t seen; /* its number in order of appearance */
    long long number;
} Class;

static int by_number(const void *a, const void *b) {
    const Class *x = a, *y = b;
    return x->number != y->number ? (x->number < y->number ? -1 : 1) : strcmp(x->name, y->name);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const Class *)a)->name, ((const Class *)b)->name);
}

static bool is_whole(const char *text, long long *out) {
    char *end;
    *out = strtoll(text, &end, 10);
    return *text && *end == '\0' && strlen(text) <= 18 && text[strspn(text, "+-0123456789")] == '\0';
}

/* Whole numbers in their order, anything else in that of its bytes; ids follow. */
static Status order_classes(Series *series, Class *class, const char **name, uint32_t *id, Vocabulary **out) {
    size_t count = series->classes.count, numbers = 0;
    for (size_t i = 0; i < count; i++) {
        class[i] = (Class){.name = strings_text(&series->classes, i), .seen = (uint32_t)i};
        numbers += is_whole(class[i].name, &class[i].number);
    }
    if (!series->config->target_vocabulary) qsort(class, count, sizeof *class, numbers == count ? by_number : by_name);
    for (size_t i = 0; i < count; i++) {
        id[class[i].seen] = (uint32_t)i;
        name[i] = class[i].name;
    }
    for (size_t s = 0; s < DATA_STORES; s++) {
        CsvTable *table = &series->source[s].table;
        for (size_t row = 0; table->class && row < table->rows; row++) table->class[row] = id[table->class[row]];
    }
    return vocabulary_from_tokens(TOKENIZER_WORD, name, count, out);
}

static Status make_classes(Series *series, Data *data) {
    size_t count = series->classes.count;
    Class *class = NULL;
    const char **name = NULL;
    uint32_t *id = NULL;
    Status status = cells_allocate(count, sizeof *class, "classes", (void **)&class);
    if (status == OK) status = cells_allocate(count, sizeof *name, "classes", (void **)&name);
    if (status == OK) status = cells_allocate(count, sizeof *id, "classes", (void **)&id);
    if (status == OK) status = order_classes(series, class, name, id, &data->target_vocabulary);
    free(id);
    free(name);
    free(class);
    return status;
}

/* ---- windows ------------------------------------------------------------------------------------------- */

static size_t windows_in(const Series *series, size_t first, size_t end) {
    if (end < first || end - first < series->rows_needed) return 0;
    return (end - first - series->rows_needed) / series->config->series.stride + 1;
}

/* Windows of the files of a store within rows [first, end); writes their starts unless `out` is NULL. */
static size_t list_windows(const Series *series, const CsvTable *table, size_t first, size_t end, size_t *out) {
    size_t count = 0;
    for (size_t f = 0; f < table->files; f++) {
        size_t begin = f ? table->file_end[f - 1] : 0, stop = table->file_end[f] < end ? table->file_end[f] : end;
        if (begin < first) begin = first;
        size_t found = windows_in(series, begin, stop);
        for (size_t i = 0; out && i < found; i++) out[count + i] = begin + i * series->config->series.stride;
        count += found;
    }
    return count;
}

static Status too_few(const Series *series, const char *path, const char *what, size_t rows, const char *remedy) {
    const SeriesConfig *c = &series->config->series;
    return status_fail(ERR_DATA,
                       "%s: %s has %zu rows, and one sequence needs %zu (data.lookback %zu%s) of one file; %s", path,
                       what, rows, series->rows_needed, c->lookback,
                       series->config->inputs_only ? "" : " and data.horizon for its target", remedy);
}

static Status cut(const Series *series, size_t s, Data *data) {
    const CsvTable *table = &series->source[s].table;
    const char *path = series->source[s].paths.path[0];
    Store *store = &data->store[s];
    size_t border = s == 0 ? series->border : table->rows, all = list_windows(series, table, 0, table->rows, NULL);
    size_t last = list_windows(series, table, border, table->rows, NULL);
    store->stride = series->config->series.lookback;
    store->sequences = all;
    if (all == 0)
        return too_few(series, path, s ? "validation split" : "the series", table->rows,
                       "lower data.lookback or use a longer series");
    TRY(cells_allocate(all + last, sizeof *store->start, "windows", (void **)&store->start));
    list_windows(series, table, 0, table->rows, store->start);
    list_windows(series, table, border, table->rows, store->start + all);
    data->piece[SPLIT_ALL][s] = (Piece){.store = store, .sequences = all};
    if (s == 1) {
        data->piece[SPLIT_VALIDATION][0] = data->piece[SPLIT_ALL][1];
        return OK;
    }
    size_t train = list_windows(series, table, 0, border, NULL);
    if (train == 0) return too_few(series, path, "training split", border, "lower data.validation or data.lookback");
    data->piece[SPLIT_TRAIN][0] = (Piece){.store = store, .sequences = train};
    data->piece[SPLIT_VALIDATION][0] = (Piece){.store = store, .first = all, .sequences = last};
    if (series->config->validation > 0 && last == 0)
        return too_few(series, path, "validation split", table->rows - border,
                       "raise data.validation, or set it to 0 to train without validation");
    return OK;
}

/* ---- numbers ------------------------------------------------------------------------------------------- */

static Status find_scaling(Series *series, Data *data) {
    const SeriesConfig *c = &series->config->series;
    if (c->scaling == SCALING_NONE) return OK;
    TRY(scaling_create(c->scaling, series->number, series->numbers, &data->scaling));
    if (!c->scaled) {
        scaling_measure(data->scaling, series->source[0].table.value, series->border);
        return OK;
    }
    for (size_t i = 0; i < series->numbers; i++) {
        size_t at = scaling_find(c->scaled, series->number[i]);
        if (at == c->scaled->columns)
            return status_fail(ERR_USAGE, "data.features: the model was not trained on a column %s", series->number[i]);
        data->scaling->shift[i] = c->scaled->shift[at];
        data->scaling->scale[i] = c->scaled->scale[at];
    }
    return OK;
}

/* Some columns of the table, scaled, as rows of floats. */
static Status pick_numbers(const Series *series, const CsvTable *table, const Scaling *scaling, const size_t *at,
                           size_t columns, Column *out) {
    size_t cells;
    if (__builtin_mul_overflow(table->rows, columns, &cells))
        return status_fail(ERR_USAGE, "data.path: %zu rows overflow", table->rows);
    TRY(column_create(out, CELL_F32, cells, "series"));
    for (size_t row = 0; row < table->rows; row++) {
        for (size_t k = 0; k < columns; k++) {
            double value = table->value[row * series->numbers + at[k]];
            float cell = (float)(scaling ? scaling_apply(scaling, at[k], value) : value);
            if (!isfinite(cell))
                return status_fail(ERR_DATA,
                                   "%s: %.9g in row %zu is too far from the training rows to be scaled like them",
                                   series->number[at[k]], value, row + 1);
            column_append_floats(out, &cell, 1);
        }
    }
    return OK;
}

static Status fill(const Series *series, size_t s, Data *data) {
    const SeriesConfig *c = &series->config->series;
    const CsvTable *table = &series->source[s].table;
    Store *store = &data->store[s];
    TRY(pick_numbers(series, table, data->scaling, series->feature_at, c->features, &store->input));
    store->width = c->targets;
    if (reads_values(series->config))
        return pick_numbers(series, table, data->scaling, series->target_at, c->targets, &store->target);
    if (!table->class) return OK;
    TRY(column_create(&store->target, cell_type_for((int64_t)series->classes.count), table->rows, "classes"));
    for (size_t row = 0; row < table->rows; row++) column_put(&store->target, (int32_t)table->class[row]);
    return OK;
}

/* ---- all of it ----------------------------------------------------------------------------------------- */

static Status read_tables(Series *series, Data *data) {
    const DataConfig *config = series->config;
    const SeriesConfig *c = &config->series;
    const CsvColumns columns = {.number = series->number,
                                .numbers = series->numbers,
                                .class = c->classes && !config->inputs_only ? c->target[0] : NULL,
                                .time = c->time,
                                .keep_time = c->time && config->inputs_only,
                                .known = config->target_vocabulary ? &series->known : NULL};
    TRY(know_classes(series));
    data->stores = config->validation_path ? 2 : 1;
    for (size_t s = 0; s < data->stores; s++) {
        Source *source = &series->source[s];
        TRY(s ? paths_expand(&config->validation_path, 1, &source->paths)
              : paths_expand(config->path, config->paths, &source->paths));
        TRY(csv_table_read((const char *const *)source->paths.path, source->paths.count, &columns, &series->classes,
                           &source->table));
        data->store[s].time = source->table.time;
        data->store[s].times = source->table.time ? source->table.rows : 0;
        source->table.time = NULL;
    }
    return OK;
}

static Status open_series(Series *series, Data *data) {
    const DataConfig *config = series->config;
    DataInfo *info = &data->info;
    TRY(name_columns(series));
    TRY(read_tables(series, data));
    if (config->series.classes && !config->inputs_only) TRY(make_classes(series, data));
    size_t rows = series->source[0].table.rows;
    series->border = rows - data_last(config->validation, rows);
    for (size_t s = 0; s < data->stores; s++) TRY(cut(series, s, data));
    TRY(find_scaling(series, data));
    for (size_t s = 0; s < data->stores; s++) TRY(fill(series, s, data));
    info->features = config->series.features;
    info->classes = config->num_classes;
    if (config->inputs_only) return OK;
    info->target = config->series.classes ? TARGET_CLASSES : TARGET_VALUES;
    if (config->series.classes)
        return data_classes(config, config->path[0], data->target_vocabulary->size, &info->classes);
    info->classes = config->series.targets * config->series.horizon;
    return OK;
}

static Status check(const DataConfig *config, Series *series) {
    const SeriesConfig *c = &config->series;
    size_t columns;
    if (!c->features || !c->targets || !c->lookback || !c->horizon || !c->stride)
        return status_fail(ERR_USAGE, "data: kind csv needs features, targets, lookback, horizon and stride");
    if (c->classes && (c->targets > 1 || c->horizon > 1))
        return status_fail(ERR_USAGE,
                           "data.targets: %zu columns and data.horizon %zu; a class is one column of the next row, "
                           "for numbers set loss.kind: mse",
                           c->targets, c->horizon);
    if (__builtin_add_overflow(c->lookback, config->inputs_only ? 0 : c->horizon, &series->rows_needed) ||
        __builtin_mul_overflow(c->targets, c->horizon, &columns) || columns > INT32_MAX)
        return status_fail(ERR_USAGE, "data.lookback: %zu and data.horizon %zu overflow", c->lookback, c->horizon);
    return OK;
}

Status data_open_csv(const DataConfig *config, Data *data) {
    Series series = {.config = config};
    TRY(check(config, &series));
    Status status = open_series(&series, data);
    for (size_t s = 0; s < DATA_STORES; s++) {
        csv_table_free(&series.source[s].table);
        paths_free(&series.source[s].paths);
    }
    free(series.number);
    free(series.feature_at);
    free(series.target_at);
    strings_free(&series.known);
    strings_free(&series.classes);
    return status;
}
