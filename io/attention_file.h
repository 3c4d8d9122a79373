/* SPDX-License-Identifier: MIT
 *
 * attention_file.h: weights of attention as HDF5, for plots:
 *
 *   /attention/<name>   float32; what lies behind a sequence's steps is 0
 *                       [N, heads, queries, keys]   a softmax over the keys of each query
 *                       [N, keys]                   one query per sequence
 *                       [N, keys, channels]         one query per channel
 *   /lengths            [N] steps of each sequence
 *   /inputs             [N, T] ids of the inputs, 0 behind the steps; absent for real inputs
 *   /vocabulary         texts of the ids, where there are any
 *   /target_lengths, /targets, /target_vocabulary   the same of what a decoder wrote: query t of its sets is the
 *                       step that said symbol t, and the last symbol is the end, unless it was cut
 *
 * A data set's attribute `dimensions` names its dimensions. Pieces come one at a time, so that memory does not
 * grow with the data. */
#ifndef LOCKSTEP_IO_ATTENTION_FILE_H
#define LOCKSTEP_IO_ATTENTION_FILE_H

#include "io/data.h"

typedef struct AttentionForm {
    const char *name; /* "att", "enc/layers.0" */
    size_t heads;
    size_t queries; /* of the longest sequence; 0: a single one, then heads is 1 */
    size_t keys;    /* of the longest sequence */
    size_t channels;
} AttentionForm;

/* What a decoder wrote. */
typedef struct AttentionTargets {
    const int32_t *const *symbol; /* [N][length] */
    const size_t *length;         /* [N] */
    size_t longest;
    const Vocabulary *vocabulary; /* NULL: none */
} AttentionTargets;

typedef struct AttentionFile AttentionFile;

/* With the sequences' lengths and ids; targets NULL: none. ERR_WRITE where it cannot be written or does not fit on the disk,
 * ERR_USAGE for sizes that overflow. The caller's: attention_file_publish or attention_file_abandon. Local. */
MUST_CHECK Status attention_file_create(const char *path, const Data *data, const Vocabulary *vocabulary,
                                        const AttentionTargets *targets, const AttentionForm *form, size_t forms,
                                        AttentionFile **out);

/* w [queries, keys] of a head, [keys] or [keys, channels] of a sequence. */
MUST_CHECK Status attention_file_put(AttentionFile *file, size_t form, size_t sequence, size_t head, size_t queries,
                                     size_t keys, const float *w);

MUST_CHECK Status attention_file_publish(AttentionFile **file);
void attention_file_abandon(AttentionFile **file);

#endif
