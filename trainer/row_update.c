/* SPDX-License-Identifier: MIT
 *
 * row_update.c: see row_update.h. */
#include "trainer/row_update.h"

#include <math.h>
#include <stdlib.h>

#include "layers/ops/ops.h"

static bool has_rules(const Param *p) {
    return !p->same_as && !p->frozen && (p->rows.sparse || !isnan(p->rows.limit.limit));
}

Status row_tables_create(const Engine *engine, RowTables **out) {
    size_t tables = 0, params = model_params(engine->model);
    *out = NULL;
    for (size_t i = 0; i < params; i++) tables += has_rules(model_param(engine->model, i));
    if (tables == 0) return OK;
    RowTables *t = calloc(1, sizeof *t);
    bool failed = !t || !(t->table = calloc(tables, sizeof *t->table));
    if (t) t->engine = engine;
    for (size_t i = 0; i < params && !failed; i++) {
        RowTable table = {.param = model_param(engine->model, i)};
        if (!has_rules(table.param)) continue;
        if (!isnan(table.param->rows.limit.limit)) {
            table.scale = calloc(table.param->dim[0], sizeof *table.scale);
            failed = !table.scale;
        }
        t->table[t->tables++] = table; /* parameters stand in the flat block in the order of the list */
    }
    if (failed) {
        row_tables_destroy(&t);
        return status_fail(ERR_USAGE, "memory: no room for the norms of looked-up rows; free some");
    }
    *out = t;
    return OK;
}

void row_tables_destroy(RowTables **tables) {
    RowTables *t = *tables;
    if (!t) return;
    for (size_t i = 0; i < t->tables; i++) free(t->table[i].scale);
    free(t->table);
    free(t);
    *tables = NULL;
}

/* Rows that floats [first, end) of the flat block hold a part of. */
static void measure(const RowTable *table, size_t first, size_t end) {
    const Param *p = table->param;
    size_t width = p->dim[1], low = p->offset, high = p->offset + p->count;
    if (first < low) first = low;
    if (end > high) end = high;
    if (first >= end) return;
    size_t row = (first - low) / width, rows = (end - 1 - low) / width + 1 - row;
    op_norm_scales(rows, width, p->v + row * width, p->rows.limit, p->row_count + row, table->scale + row);
}

void row_tables_measure(RowTables *t) {
    size_t chunks;
    Reduce *reduce = t->engine->reduce;
    const ReduceChunk *chunk = reduce_chunks(reduce, &chunks);
    for (size_t i = 0; i < t->tables; i++) {
        const RowTable *table = &t->table[i];
        if (!table->scale) continue;
        reduce_need(reduce, table->param->offset, table->param->count);
        for (size_t first = 0, end; first < chunks; first = end) { /* chunks that follow each other, at once */
            size_t stop = chunk[first].offset + chunk[first].count;
            for (end = first + 1; end < chunks && chunk[end].offset == stop; end++) stop += chunk[end].count;
            measure(table, chunk[first].offset, stop);
        }
    }
}

static RowRule rule_of(const RowTable *table, size_t row) {
    const RowRules *rules = &table->param->rows;
    bool found = table->param->row_count[row] > 0;
    return (RowRule){.scale = found && table->scale ? table->scale[row] : 1,
                     .untouched = rules->sparse && (!found || row == rules->padding),
                     .sparse = rules->sparse};
}

/* Neighbouring rows with the same rule go together. */
static RowRule rule_in(const RowTable *table, size_t at, size_t most) {
    size_t width = table->param->dim[1], row = at / width, end = table->param->count - at;
    RowRule rule = rule_of(table, row);
    if (end > most) end = most;
    for (rule.count = (row + 1) * width - at; rule.count < end; rule.count += width) {
        RowRule next = rule_of(table, ++row);
        if (next.scale != rule.scale || next.untouched != rule.untouched) break;
    }
    if (rule.count > end) rule.count = end;
    return rule;
}

RowRule row_rule(const RowTables *t, size_t offset, size_t most) {
    RowRule plain = {.count = most, .scale = 1};
    for (size_t i = 0; t && i < t->tables; i++) {
        const Param *p = t->table[i].param;
        if (p->offset + p->count <= offset) continue;
        if (p->offset <= offset) return rule_in(&t->table[i], offset - p->offset, most);
        if (p->offset - offset < plain.count) plain.count = p->offset - offset;
        break;
    }
    return plain;
}
