/* SPDX-License-Identifier: MIT
 *
 * gemm.c: packing, and how threads share a matrix product. A product's rows stay with their thread (blocks.h) where
 * there are enough of them; an element has the same bits whoever computes it and however the product is cut. */
#include "layers/ops/gemm.h"

#include <omp.h>
#include <string.h>

#include "layers/ops/blocks.h"
#include "layers/ops/kernels.h"

/* Below this many multiply-adds one thread is done before others would have begun. */
enum { SERIAL_WORK = 1 << 19 };

/* Whether m * n * k is small, without overflow: each factor is first cut to what decides. */
static bool is_small(size_t m, size_t n, size_t k) {
    const size_t most = (size_t)SERIAL_WORK + 1;
    return least(least(m, most) * least(n, most), most) * least(k, most) <= SERIAL_WORK;
}

/* ---- packing ------------------------------------------------------------------------------------------- */

/* `count` rows of w become columns: dst [k][PANEL], zero beyond count. In squares that fit L1. */
static void pack_columns(const real *w, size_t ldw, size_t k, size_t count, real *dst) {
    for (size_t first = 0; first < k; first += PANEL) {
        const size_t steps = least(k - first, PANEL);
        real *square = dst + first * PANEL;
        for (size_t i = 0; i < count; i++)
            for (size_t j = 0; j < steps; j++) square[j * PANEL + i] = w[i * ldw + first + j];
        for (size_t i = count; i < PANEL; i++)
            for (size_t j = 0; j < steps; j++) square[j * PANEL + i] = 0;
    }
}

void pack_transposed(const real *w, size_t ldw, size_t k, Interleave gates, size_t first, size_t end, real *dst) {
    for (size_t p = first; p < end; p++) {
        size_t count, row = interleave_panel(gates, p, &count);
        pack_columns(w + row * ldw, ldw, k, count, dst + p * k * PANEL);
    }
}

/* `rows` rows of w from `row` on, at most 16 columns: dst [rows][PANEL], zero beyond count. */
static void pack_rows(const real *w, size_t ldw, size_t rows, size_t count, real *dst) {
    for (size_t i = 0; i < rows; i++, w += ldw, dst += PANEL) {
        memcpy(dst, w, count * sizeof *dst);
        if (count < PANEL) memset(dst + count, 0, (PANEL - count) * sizeof *dst);
    }
}

void pack_plain(const real *w, size_t ldw, Interleave gates, size_t n, size_t first, size_t end, real *dst) {
    const size_t k = gates.gates > 1 ? interleaved(gates) : gates.units;
    for (size_t p = first; p < end; p++) {
        const size_t columns = least(n - p * PANEL, PANEL);
        real *panel = dst + p * k * PANEL;
        for (size_t q = 0; q * PANEL < k; q++) {
            const size_t rows = least(k - q * PANEL, PANEL);
            size_t count, row = interleave_panel(gates, q, &count);
            pack_rows(w + row * ldw + p * PANEL, ldw, count, columns, panel + q * PANEL * PANEL);
            memset(panel + (q * PANEL + count) * PANEL, 0, (rows - count) * PANEL * sizeof *panel);
        }
    }
}

/* ---- products ------------------------------------------------------------------------------------------ */

void gemm_serial(const Gemm *gemm) {
    ops_kernels->gemm.serial(gemm);
}

/* Into how many parts a team cuts the rows; each of them goes to as many threads as the team has for a part, by
 * panels: few rows would read the whole operand for little work. */
static size_t row_parts(size_t rows, size_t panels, size_t team) {
    enum { LEAST_ROWS = 64 };
    size_t parts = team;
    for (size_t p = team - 1; p > 0 && rows / parts < LEAST_ROWS; p--)
        if (team % p == 0 && team / p <= panels) parts = p;
    return parts;
}

/* Rows by panels of a product; a group of panels of B stays in the second-level cache while all rows pass. */
static void gemm_part(const Gemm *gemm, Share rows, Share panels) {
    enum { ROWS = 192, PANELS = 16 };
    for (size_t p = panels.first; p < panels.end; p += PANELS)
        for (size_t i = rows.first; i < rows.end; i += ROWS) {
            const size_t j = p * PANEL;
            Gemm part = *gemm;
            part.m = least(ROWS, rows.end - i);
            part.n = least(least(PANELS, panels.end - p) * PANEL, gemm->n - j);
            part.a += i * gemm->lda;
            part.b += p * (gemm->b_k ? gemm->b_k : gemm->k) * PANEL;
            part.c += i * gemm->ldc + j;
            if (part.bias) part.bias += j;
            gemm_serial(&part);
            if (gemm->finish) gemm->finish(gemm->context, i, part.m, j, part.n);
            ops_pause();
        }
}

void gemm(const Gemm *gemm) {
    enum { ROWS = 24, PANELS = 4 }; /* the least part worth a thread */
    const size_t panels = panel_count(gemm->n);
    if (gemm->m == 0 || gemm->n == 0) return;
    if (is_small(gemm->m, gemm->n, gemm->k)) {
        gemm_part(gemm, (Share){0, gemm->m}, (Share){0, panels});
        return;
    }
    PARALLEL(ops_threads(), pieces(gemm->m, ROWS) * pieces(panels, PANELS)) {
        const size_t team = (size_t)omp_get_num_threads(), me = (size_t)omp_get_thread_num(),
                     parts = row_parts(gemm->m, panels, team), each = team / parts;
        gemm_part(gemm, share_of(gemm->m, 1, me / each, parts), share_of(panels, 1, me % each, each));
    }
}

/* Into how many parts a team cuts the rows of a weight's gradient, each then by panels. What a part costs: its tiles,
 * and the operands that it packs, a quarter of a tile each. */
static size_t tn_row_parts(size_t rows, size_t panels, size_t team) {
    size_t best = 1, least_cost = SIZE_MAX;
    for (size_t parts = 1; parts <= team; parts++) {
        if (team % parts != 0) continue;
        const size_t r = pieces(rows, parts), p = pieces(panels, team / parts), cost = 4 * r * p + r + p;
        if (cost >= least_cost) continue;
        least_cost = cost;
        best = parts;
    }
    return best;
}

/* Rows by panels of a gradient, in even pieces for which there is scratch. */
static void tn_part(const GemmTn *gemm, Share rows, Share panels) {
    const size_t m = rows.end - rows.first, n = panels.end - panels.first, row_pieces = pieces(m, TN_ROWS),
                 panel_pieces = pieces(n, TN_PANELS);
    for (size_t q = 0; q < panel_pieces; q++)
        for (size_t p = 0; p < row_pieces; p++) {
            const Share r = share_of(m, 1, p, row_pieces), c = share_of(n, 1, q, panel_pieces);
            const TnPiece piece = {rows.first + r.first, rows.first + r.end, panels.first + c.first,
                                   panels.first + c.end};
            ops_kernels->gemm.tn(gemm, piece, ops_scratch((size_t)omp_get_thread_num()));
            ops_pause();
        }
}

void gemm_tn(const GemmTn *gemm) {
    enum { LEAST = 4 }; /* panels of a part worth a thread, either way */
    const size_t rows = panel_count(gemm->order.gates > 1 ? interleaved(gemm->order) : gemm->m),
                 panels = panel_count(gemm->n);
    if (gemm->m == 0 || gemm->n == 0) return;
    PARALLEL(is_small(gemm->m, gemm->n, gemm->k) ? 1 : ops_threads(), pieces(rows, LEAST) * pieces(panels, LEAST)) {
        const size_t team = (size_t)omp_get_num_threads(), me = (size_t)omp_get_thread_num(),
                     parts = tn_row_parts(rows, panels, team), each = team / parts;
        tn_part(gemm, share_of(rows, 1, me / each, parts), share_of(panels, 1, me % each, each));
    }
}

void column_sums(const real *a, size_t lda, Interleave order, size_t k, real *c, bool accumulate) {
    enum { PANELS = 4 };
    const size_t panels = panel_count(order.gates > 1 ? interleaved(order) : order.units),
                 count = pieces(panels, PANELS);
    PARALLEL(is_small(panels * PANEL, k, 8) ? 1 : ops_threads(), count) {
#pragma omp for schedule(static) nowait
        for (size_t piece = 0; piece < count; piece++)
            ops_kernels->gemm.column_sums(a, lda, order, k, c, accumulate, piece * PANELS,
                                          least((piece + 1) * PANELS, panels));
    }
}
