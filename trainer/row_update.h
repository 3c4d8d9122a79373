/* SPDX-License-Identifier: MIT
 *
 * row_update.h: the update of tables whose options look at the rows that the global batch looks up
 * (layers/embedding/embedding.c). Before gradient, decay and moments act on a row that was looked up, it is
 * scaled to its max_norm; of a sparse table, rows that were not looked up are left alone, moments included. */
#ifndef LOCKSTEP_TRAINER_ROW_UPDATE_H
#define LOCKSTEP_TRAINER_ROW_UPDATE_H

#include "trainer/engine.h"

typedef struct RowTable {
    const Param *param;
    float *scale; /* [rows] of the looked-up rows in my chunks; NULL: no max_norm */
} RowTable;

typedef struct RowTables {
    const Engine *engine;
    RowTable *table; /* by rising offset */
    size_t tables;
} RowTables;

/* NULL if the model has no such table. The caller's: row_tables_destroy. ERR_USAGE if memory is short. Local. */
MUST_CHECK Status row_tables_create(const Engine *engine, RowTables **out);
void row_tables_destroy(RowTables **tables);

/* What the rows in my chunks are to be scaled with, from the parameters of this step's forward: after the forward,
 * and before any rank writes a parameter. Several ranks may own a part of one row: all find the same. Local, may wait
 * for parameters of other nodes. */
void row_tables_measure(RowTables *tables);

/* How the floats from a place of the flat block on are updated. */
typedef struct RowRule {
    size_t count;   /* floats that the rule is for */
    float scale;    /* they are multiplied with it first */
    bool untouched; /* no gradient, decay or moments act */
    bool sparse;    /* as torch.optim.SparseAdam does */
} RowRule;

/* The rule at `offset`, for at most `most` floats. `tables` may be NULL. Local. */
RowRule row_rule(const RowTables *tables, size_t offset, size_t most);

#endif
