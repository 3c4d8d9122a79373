/* SPDX-License-Identifier: MIT
 *
 * blocks.h: private to ops/. How the threads share work. Rows stay with their thread: whatever goes row by row is cut at
 * the same fractions of the rows, so that a thread finds in its own cache what it wrote in the operation before. Where
 * bits depend on the cut, blocks follow from the sizes alone, never from the number of threads. */
#ifndef LOCKSTEP_LAYERS_OPS_BLOCKS_H
#define LOCKSTEP_LAYERS_OPS_BLOCKS_H

#include <omp.h>
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

/* Part `part` of `parts` of n, cut at multiples of `unit`. */
typedef struct Share {
    size_t first, end;
} Share;

static inline size_t fraction(size_t n, size_t part, size_t parts) {
    return n / parts * part + n % parts * part / parts;
}
static inline Share share_of(size_t n, size_t unit, size_t part, size_t parts) {
    const size_t units = pieces(n, unit);
    return (Share){least(fraction(units, part, parts) * unit, n), least(fraction(units, part + 1, parts) * unit, n)};
}

/* Does `call` for each thread's share of n rows or elements: `first` and `count` are its begin and length. Bits must
 * not depend on the cut, at multiples of `unit`. As many threads could find work as there are blocks. */
#define EACH_SHARE(n, unit, block, threads, call)                                                                      \
    do {                                                                                                               \
        PARALLEL(threads, pieces(n, block)) {                                                                          \
            const Share share_ = share_of(n, unit, (size_t)omp_get_thread_num(), (size_t)omp_get_num_threads());       \
            const size_t first = share_.first, count = share_.end - first;                                             \
            if (count > 0) {                                                                                           \
                call;                                                                                                  \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)
/* Of rows; of elements, by whole cache lines. */
#define EACH_ROWS(rows, features, call)                                                                                \
    EACH_SHARE(rows, (size_t)1, rows_in_block(features), threads_for(rows, features), call)
#define EACH_FLAT(n, call) EACH_SHARE(n, (size_t)16, FLAT_BLOCK, threads_for(n, 1), call)

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
