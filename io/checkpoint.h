/* SPDX-License-Identifier: MIT
 *
 * checkpoint.h: a run's state in an HDF5 file, whole or not at all. The file starts with a 512-byte user
 * block that holds a digest of all that follows: it is checked before libhdf5 parses anything. Written
 * in memory, then to a temporary name in the same directory, synced, renamed, directory synced.
 *
 *   /model/<name>  /optimizer/<slot>/<name>   float32, PyTorch's names and shapes
 *   /vocabulary  /target_vocabulary           entry i is id i: texts of variable length, UTF-8, or uint8;
 *                                             attribute tokenizer = "char" | "byte" | "word" | "bpe";
 *                                             bpe: the 256 bytes, then "left right" (bpe.h)
 *   /scaling                                  csv: the group of name [n] texts, shift [n] and scale [n] float64;
 *                                             attribute kind = "standard" | "minmax"
 *   /config                                   one text of variable length, UTF-8
 *   root attributes: format = "lockstep-checkpoint", format_version = 1, program_version, step, epoch, seed,
 *   shards, data_digest, state_digest, created, best_loss, best_step, evaluations_since_best, finished,
 *   optimizer, vocabulary_size, features, classes: texts, int64, float64, and finished as h5py writes a bool
 *
 * state_digest is XXH3-128 (seed 0; hex, high half first) over, in this order and nothing else:
 *   the step as uint64; then for every array of /model and /optimizer, in the order of the bytes of their
 *   full names ("model/fc.weight", "optimizer/exp_avg/fc.weight"): the name with its closing NUL, the rank
 *   as uint64, each dimension as uint64, the float32 data in C order.
 * All numbers are little endian. */
#ifndef LOCKSTEP_IO_CHECKPOINT_H
#define LOCKSTEP_IO_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"
#include "io/scaling.h"
#include "io/vocabulary.h"

enum { CHECKPOINT_FORMAT_VERSION = 1 };

typedef struct NamedArray {
    const char *name; /* full path below the root: "model/fc.weight", "optimizer/exp_avg/fc.weight" */
    size_t rank, dim[4];
    const float *data;
} NamedArray;

/* What is not arrays. Strings, vocabularies and scaling are borrowed for a write and owned by the
 * CheckpointFile after a read. */
typedef struct CheckpointMeta {
    uint64_t step, epoch, seed, shards;
    uint64_t data_digest[2];
    double best_loss; /* best validation loss so far, NAN: none */
    uint64_t best_step;
    uint64_t evaluations_since_best;
    bool finished;                                    /* the run ended by itself */
    uint64_t vocabulary_size, features, classes;      /* what the model was built for; 0: not */
    const char *optimizer;                            /* "adam" */
    const char *config;                               /* the effective config, YAML */
    const Vocabulary *vocabulary, *target_vocabulary; /* NULL: none */
    const Scaling *scaling;                           /* NULL: none */
    char state_digest[33];                            /* hex; filled by write and read */
    char created[32];                                 /* ISO 8601 UTC; filled by write and read */
    char program_version[32];
} CheckpointMeta;

/* Writes atomically, making the directory if need be; fills state_digest and created. ERR_WRITE names
 * path, bytes and reason; then nothing of the old state of the directory has changed. Strings and data
 * must stand still meanwhile. Local (rank 0 calls it, also from a writer thread). */
MUST_CHECK Status checkpoint_write(const char *path, CheckpointMeta *meta, const NamedArray *array, size_t arrays);

typedef struct CheckpointFile CheckpointFile;

/* Opens and verifies a checkpoint of ours: the digest of the file first, then its structure (hard links
 * to float32 data sets only), then state_digest. ERR_CHECKPOINT names the path and what is wrong. The
 * caller's: checkpoint_close. Local. */
MUST_CHECK Status checkpoint_open(const char *path, CheckpointFile **out);
/* The same for any HDF5 file with /model/<name> (init_from): foreign files have no digest to check;
 * meta is then empty. float32 and float64 are accepted. */
MUST_CHECK Status checkpoint_open_any(const char *path, CheckpointFile **out);
void checkpoint_close(CheckpointFile **file);

const CheckpointMeta *checkpoint_meta(const CheckpointFile *file);
size_t checkpoint_bytes(const CheckpointFile *file);
size_t checkpoint_arrays(const CheckpointFile *file);
/* Name, shape (data is NULL); in name order. */
const NamedArray *checkpoint_array(const CheckpointFile *file, size_t i);
/* Reads array `name` of exactly this shape; ERR_CHECKPOINT if it is absent or differs. */
MUST_CHECK Status checkpoint_read(const CheckpointFile *file, const char *name, size_t rank, const size_t *dim,
                                  float *out);

/* ---- the directory of a run --------------------------------------------------------------------- */

/* "<dir>/checkpoints/step-%09d.h5"; *out is the caller's. */
MUST_CHECK Status checkpoint_path(const char *run_dir, uint64_t step, char **out);
/* Steps of the files named so, newest first; *steps is the caller's. No directory: count 0. */
MUST_CHECK Status checkpoint_list(const char *run_dir, uint64_t **steps, size_t *count);
/* Makes best.h5 or last.h5 a symbolic link to the step's file, atomically. */
MUST_CHECK Status checkpoint_link(const char *run_dir, const char *link_name, uint64_t step);
/* Removes all but the newest `keep` and what best.h5 and last.h5 point at, and temporary files that a
 * killed writer left. */
MUST_CHECK Status checkpoint_prune(const char *run_dir, size_t keep);

/* Version of the HDF5 library, "1.10.8". */
const char *checkpoint_library(void);

/* What an arbitrary .h5 is: for `info`. */
typedef enum H5Kind {
    H5_CHECKPOINT,
    H5_DATA,
    H5_DECODER_DATA,
    H5_TOKENS,
    H5_OTHER
} H5Kind; /* DECODER: with target_lengths */
MUST_CHECK Status checkpoint_sniff(const char *path, H5Kind *out);

#endif
