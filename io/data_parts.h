/* SPDX-License-Identifier: MIT
 *
 * data_parts.h: what all kinds of data become once they are open: stores (the rows of a file, compact
 * and contiguous) and pieces of stores, of which a split has at most two. The readers of the kinds
 * fill a Data; data.c answers from it. */
#ifndef LOCKSTEP_IO_DATA_PARTS_H
#define LOCKSTEP_IO_DATA_PARTS_H

#include <xxhash.h>

#include "io/column.h"
#include "io/data.h"

/* Sequence s has the input rows [offset[s], offset[s + 1]), or [s * stride, (s + 1) * stride) without
 * offsets. Targets per step have the same rows, else row s; those for a decoder have the rows
 * [target_offset[s], target_offset[s + 1]), the end symbols left out. A series has windows that overlap:
 * [start[s], start[s] + stride), and the targets of a window follow it in rows of `width` numbers. */
typedef struct Store {
    Column input, target;
    Column context; /* DataInfo.context cells per sequence */
    size_t *offset, *target_offset;
    size_t stride;
    size_t sequences; /* text, which is cut into windows: 0 */
    size_t *start;    /* series: of all windows, then of those that begin anew behind the training rows */
    size_t width;
    char **time; /* series: [times] one per row; may be NULL */
    size_t times;
} Store;

/* Some sequences of a store in order; first_row shifts all rows (text). */
typedef struct Piece {
    const Store *store;
    size_t first_row, first, sequences;
} Piece;

enum { DATA_STORES = 2, SPLIT_PIECES = 2, SPLITS = 3 };

struct Data {
    DataInfo info;
    Store store[DATA_STORES]; /* the second is that of a validation file */
    size_t stores;
    Piece piece[SPLITS][SPLIT_PIECES];
    Vocabulary *vocabulary, *target_vocabulary;
    Scaling *scaling;
};

/* Drops the offsets of sequences that are all equally long, so that they read and hash like any other. */
void store_even_out(Store *store);

/* The kinds. On failure data_close frees what they have put into *data. */
MUST_CHECK Status data_open_text(const DataConfig *config, Data *data);
MUST_CHECK Status data_open_sequences(const DataConfig *config, Data *data);
MUST_CHECK Status data_open_pairs(const DataConfig *config, Data *data);
MUST_CHECK Status data_open_csv(const DataConfig *config, Data *data);
MUST_CHECK Status data_open_tokens(const DataConfig *config, Data *data);
MUST_CHECK Status data_open_synthetic(const DataConfig *config, Data *data);

/* How many of `count` are the last fraction of them. */
size_t data_last(double fraction, size_t count);

/* Splits by whole sequences, for stores that have them. `path` is the training file. */
MUST_CHECK Status data_split_sequences(const DataConfig *config, const char *path, Data *data);

/* ERR_USAGE unless exactly one file is named; kind is for the message. */
MUST_CHECK Status data_one_path(const DataConfig *config, const char *kind);

/* Targets for a decoder: sets what the info says of them. `symbols` is the size of their vocabulary. */
MUST_CHECK Status data_describe_decoder(const DataConfig *config, const char *where, size_t symbols, Data *data);

/* config.num_classes where it is set, at least `found`; ERR_DATA names `where`. */
MUST_CHECK Status data_classes(const DataConfig *config, const char *where, size_t found, size_t *out);

#endif
