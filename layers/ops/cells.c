/* SPDX-License-Identifier: MIT
 *
 * cells.c: from a kind of cell to its kernel. */
#include <string.h>

#include "comm/region.h"
#include "layers/ops/kernels.h"

void cell_forward(CellKind kind, const CellForward *step) {
    ops_kernels->cells.forward[kind](step);
}

void cell_backward(CellKind kind, const CellBackward *step) {
    ops_kernels->cells.backward[kind](step);
}

void cell_gru_swap(size_t rows, size_t units, real *gates, size_t ldgates, real *extra, size_t ldextra) {
    enum { N_GATE = 2 * PANEL, GATES = 3 * PANEL };
    PARALLEL(ops_threads(), rows) {
#pragma omp for schedule(static) nowait
        for (size_t r = 0; r < rows; r++) {
            real *n = gates + r * ldgates + N_GATE, *m = extra + r * ldextra, held[PANEL];
            for (size_t u = 0; u < units; u += PANEL, n += GATES, m += PANEL) {
                memcpy(held, n, sizeof held);
                memcpy(n, m, sizeof held);
                memcpy(m, held, sizeof held);
            }
        }
    }
}
