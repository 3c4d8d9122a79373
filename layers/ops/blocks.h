/* SPDX-License-Identifier: MIT
 *
 * blocks.h: private to ops/. How elementwise work is cut into blocks for the threads: blocks depend on the
 * sizes alone, never on the number of threads. */
#ifndef LOCKSTEP_LAYERS_OPS_BLOCKS_H
#define LOCKSTEP_LAYERS_OPS_BLOCKS_H

#include <stddef.h>

#include "comm/region.h"
#include "layers/ops/ops.h"

/* Elements in a block of a flat operation, and in the least work worth more than one thread. */
enum { FLAT_BLOCK = 8192, THREADED = 32768 };

static inline size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}
static inline size_t pieces(size_t n, size_t of) {
    return (n + of - 1) / of;
}
static inline size_t threads_for(size_t rows, size_t features) {
    return rows >= THREADED || rows * least(features, THREADED) >= THREADED ? ops_threads() : 1;
}
/* Rows in a block: about FLAT_BLOCK elements. */
static inline size_t rows_in_block(size_t features) {
    return features >= FLAT_BLOCK ? 1 : FLAT_BLOCK / (features ? features : 1);
}

/* Does `call` for each block of a range: `first` and `count` are its begin and length. */
#define EACH_BLOCK(n, block, threads, call)                                                                            \
    do {                                                                                                               \
        const size_t blocks = pieces(n, block);                                                                        \
        PARALLEL(threads, blocks) {                                                                                    \
            _Pragma("omp for schedule(static) nowait") for (size_t b = 0; b < blocks; b++) {                           \
                const size_t first = b * (block), count = least(block, (n)-first);                                     \
                call;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

#endif
