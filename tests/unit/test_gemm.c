/* SPDX-License-Identifier: MIT
 *
 * test_gemm.c: matrix products equal a scalar reference bit for bit, on every instruction set this
 * machine has, for any number of threads, any cut into calls and any leading dimension. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"

static const char *const ISA[] = {"avx512", "avx2", "neon", "portable"};
static const size_t THREADS[] = {1, 2, 3, 5, 12};

/* Starts the kernels of an instruction set; false if the machine lacks it. */
static bool start(const char *isa, size_t threads) {
    setenv("LOCKSTEP_ISA", isa, 1);
    omp_set_num_threads((int)threads);
    bool ok = ops_start(threads) == OK;
    if (ok) assert_string_equal(ops_isa(), isa);
    return ok;
}

/* Runs `body` under every instruction set and number of threads. */
#define EVERYWHERE(body)                                                                                               \
    for (size_t isa = 0; isa < sizeof ISA / sizeof *ISA; isa++)                                                        \
        for (size_t th = 0; th < sizeof THREADS / sizeof *THREADS; th++)                                               \
            if (start(ISA[isa], THREADS[th])) {                                                                        \
                body;                                                                                                  \
                ops_stop();                                                                                            \
            }

static uint32_t state = 1;
static float number(void) {
    state = state * 1664525U + 1013904223U;
    return (float)((int32_t)state >> 8) * 0x1p-22f;
}
static float *numbers(size_t n) {
    float *x = malloc((n + 1) * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < n; i++) x[i] = number();
    return x;
}

static void same_bits(const char *what, const float *got, const float *want, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (memcmp(got + i, want + i, sizeof *got) != 0)
            fail_msg("%s on %s, %zu threads: element %zu of %zu is %a, not %a", what, ops_isa(), ops_threads(), i, n,
                     (double)got[i], (double)want[i]);
}

/* The contract: start, then one chain from zero per 256 steps of k. x and y are read with strides. */
static float contract(float begin, size_t k, const float *x, size_t dx, const float *y, size_t dy) {
    for (size_t block = 0; block < k; block += KBLOCK) {
        float chain = 0;
        for (size_t i = block; i < k && i < block + KBLOCK; i++) chain = fmaf(x[i * dx], y[i * dy], chain);
        begin += chain;
    }
    return begin;
}

/* ---- C = A B ------------------------------------------------------------------------------------------- */

typedef struct Case {
    size_t m, n, k, lda, ldc;
    float *a, *w, *b, *bias, *c, *want;
    bool accumulate;
} Case;

/* want: the whole memory of C, gaps between rows included. */
static Case make(size_t m, size_t n, size_t k, size_t pad, bool bias, bool accumulate) {
    Case t = {.m = m, .n = n, .k = k, .lda = k + pad, .ldc = n + 2 * pad, .accumulate = accumulate};
    t.a = numbers(m * t.lda);
    t.w = numbers(n * k);
    t.b = numbers(packed_count(k, n));
    t.bias = bias ? numbers(n) : NULL;
    t.c = numbers(m * t.ldc);
    t.want = malloc((m * t.ldc + 1) * sizeof *t.want);
    assert_non_null(t.want);
    memcpy(t.want, t.c, m * t.ldc * sizeof *t.c);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            float *c = t.want + i * t.ldc + j, begin = accumulate ? *c : 0.0f;
            if (bias) begin = accumulate ? begin + t.bias[j] : t.bias[j];
            *c = contract(begin, k, t.a + i * t.lda, 1, t.w + j * k, 1);
        }
    return t;
}

static void drop(Case *t) {
    free(t->a), free(t->w), free(t->b), free(t->bias), free(t->c), free(t->want);
}

/* Computes C in calls of at most `rows` rows and `panels` panels, and compares. */
static void check(Case *t, size_t rows, size_t panels, bool threaded) {
    float *c = malloc((t->m * t->ldc + 1) * sizeof *c);
    assert_non_null(c);
    memcpy(c, t->c, t->m * t->ldc * sizeof *c);
    pack_transposed(t->w, t->k, t->k, in_order(t->n), 0, panel_count(t->n), t->b);
    for (size_t i = 0; i < t->m; i += rows)
        for (size_t p = 0; p * PANEL < t->n; p += panels) {
            size_t left = t->n - p * PANEL;
            Gemm g = {.m = t->m - i < rows ? t->m - i : rows,
                      .n = left < panels * PANEL ? left : panels * PANEL,
                      .k = t->k,
                      .a = t->a + i * t->lda,
                      .lda = t->lda,
                      .b = t->b + p * PANEL * t->k,
                      .c = c + i * t->ldc + p * PANEL,
                      .ldc = t->ldc,
                      .bias = t->bias ? t->bias + p * PANEL : NULL,
                      .accumulate = t->accumulate};
            if (threaded) gemm(&g);
            else gemm_serial(&g);
        }
    same_bits("gemm", c, t->want, t->m * t->ldc);
    free(c);
}

static void test_small_sizes(void **unused) {
    (void)unused;
    for (size_t m = 1; m <= 67; m += m < 14 ? 1 : 9)
        for (size_t n = 1; n <= 67; n += n < 4 ? 1 : 7) {
            const size_t k = (m * 5 + n * 11) % 67 + 1;
            Case t = make(m, n, k, n % 3, n & 1, m & 1);
            for (size_t isa = 0; isa < sizeof ISA / sizeof *ISA; isa++)
                if (start(ISA[isa], 1)) {
                    check(&t, m, 5, false);
                    check(&t, m / 2 + 1, 1, false);
                    ops_stop();
                }
            drop(&t);
        }
}

static void test_blocks_of_k(void **unused) {
    (void)unused;
    static const size_t k[] = {0, 1, 255, 256, 257, 511, 512, 513, 700};
    for (size_t i = 0; i < sizeof k / sizeof *k; i++)
        for (int start_kind = 0; start_kind < 4; start_kind++) {
            Case t = make(13, 83, k[i], 3, start_kind & 1, start_kind & 2);
            EVERYWHERE(check(&t, 13, 6, true); check(&t, 4, 3, false))
            drop(&t);
        }
}

/* Large enough for several threads and for several groups of panels. */
static void test_threads(void **unused) {
    (void)unused;
    Case t = make(211, 299, 300, 5, true, false);
    EVERYWHERE(check(&t, 211, 19, true); check(&t, 100, 7, true); check(&t, 211, 19, false))
    drop(&t);
    t = make(3, 1100, 512, 0, false, true);
    EVERYWHERE(check(&t, 3, 100, true); check(&t, 1, 3, true))
    drop(&t);
}

/* Parts as gemm tells of them: complete when it does, and none twice. */
typedef struct Finished {
    const Case *t;
    const float *c;
    int *seen; /* [m, n] */
} Finished;

static void finished(void *context, size_t row, size_t rows, size_t column, size_t columns) {
    const Finished *f = context;
    const Case *t = f->t;
    for (size_t i = row; i < row + rows; i++)
        for (size_t j = column; j < column + columns; j++)
            f->seen[i * t->n + j] += f->c[i * t->ldc + j] == t->want[i * t->ldc + j] ? 1 : 2;
}

static void check_finish(const Case *t) {
    float *c = malloc(t->m * t->ldc * sizeof *c);
    int *seen = calloc(t->m * t->n, sizeof *seen);
    assert_true(c && seen);
    memcpy(c, t->c, t->m * t->ldc * sizeof *c);
    pack_transposed(t->w, t->k, t->k, in_order(t->n), 0, panel_count(t->n), t->b);
    gemm(&(Gemm){.m = t->m,
                 .n = t->n,
                 .k = t->k,
                 .a = t->a,
                 .lda = t->lda,
                 .b = t->b,
                 .c = c,
                 .ldc = t->ldc,
                 .bias = t->bias,
                 .finish = finished,
                 .context = &(Finished){t, c, seen}});
    for (size_t i = 0; i < t->m * t->n; i++) assert_int_equal(seen[i], 1);
    free(c), free(seen);
}

static void test_finish(void **unused) {
    (void)unused;
    Case t = make(211, 299, 300, 5, true, false);
    EVERYWHERE(check_finish(&t))
    drop(&t);
    t = make(7, 33, 20, 0, false, false);
    EVERYWHERE(check_finish(&t))
    drop(&t);
}

static void test_zeros_and_nan(void **unused) {
    (void)unused;
    Case t = make(14, 40, 20, 0, false, false);
    /* Chains that underflow to -0; 0 plus such a chain is +0. */
    for (size_t i = 0; i < t.m * t.k; i++) t.a[i] = 0x1p-149f;
    for (size_t i = 0; i < t.n * t.k; i++) t.w[i] = -0.25f;
    for (size_t i = 0; i < t.m * t.n; i++) t.want[i] = 0.0f;
    EVERYWHERE(check(&t, 14, 3, true))
    float *c = numbers(t.m * t.n);
    t.a[5 * t.lda + 7] = NAN;
    EVERYWHERE({
        gemm(&(Gemm){.m = t.m, .n = t.n, .k = t.k, .a = t.a, .lda = t.lda, .b = t.b, .c = c, .ldc = t.n});
        for (size_t i = 0; i < t.m * t.n; i++) assert_true(i / t.n == 5 ? isnan(c[i]) : c[i] == 0);
    })
    free(c);
    drop(&t);
}

/* ---- packing ------------------------------------------------------------------------------------------- */

/* Row of w that interleaved entry e stands for, or SIZE_MAX for padding. */
static size_t entry(Interleave order, size_t e) {
    size_t block = e / PANEL, unit = block / order.gates * PANEL + e % PANEL;
    return unit < order.units ? block % order.gates * order.units + unit : SIZE_MAX;
}

static void test_packing(void **unused) {
    (void)unused;
    static const Interleave orders[] = {{1, 5}, {1, 32}, {1, 50}, {3, 16}, {3, 7}, {4, 20}, {4, 33}};
    for (size_t o = 0; o < sizeof orders / sizeof *orders; o++) {
        const Interleave order = orders[o];
        const size_t rows = order.gates * order.units, other = 37, ld = 41;
        const size_t length = order.gates > 1 ? interleaved(order) : order.units;
        float *w = numbers(rows * ld), *got = numbers(packed_count(other, length) + packed_count(length, other));
        pack_transposed(w, ld, other, order, 0, 1, got);
        pack_transposed(w, ld, other, order, 1, panel_count(length), got);
        for (size_t e = 0; e < panel_round(length); e++)
            for (size_t k = 0; k < other; k++) {
                const size_t row = entry(order, e);
                const float want = row == SIZE_MAX ? 0.0f : w[row * ld + k];
                assert_true(got[(e / PANEL * other + k) * PANEL + e % PANEL] == want);
            }
        pack_plain(w, ld, order, other, 0, 2, got);
        pack_plain(w, ld, order, other, 2, panel_count(other), got);
        for (size_t k = 0; k < length; k++)
            for (size_t j = 0; j < panel_round(other); j++) {
                const size_t row = entry(order, k);
                const float want = row == SIZE_MAX || j >= other ? 0.0f : w[row * ld + j];
                assert_true(got[(j / PANEL * length + k) * PANEL + j % PANEL] == want);
            }
        free(w), free(got);
    }
}

/* ---- C = A^T B ----------------------------------------------------------------------------------------- */

typedef struct TnCase {
    Interleave order;
    size_t n, k;
    bool gathered, zeros, accumulate;
} TnCase;

static void check_tn(const TnCase *t, const GemmTn *g, const float *c, const float *want, size_t split) {
    const size_t bytes = g->m * g->ldc * sizeof *c;
    float *got = malloc(bytes);
    assert_non_null(got);
    memcpy(got, c, bytes);
    for (size_t j = 0; j < t->n; j += split) {
        GemmTn part = *g;
        part.n = t->n - j < split ? t->n - j : split;
        part.b += j;
        if (part.b0) part.b0 += j;
        part.c = got + j;
        gemm_tn(&part);
    }
    same_bits("gemm_tn", got, want, g->m * g->ldc);
    free(got);
}

static void run_tn(TnCase t) {
    const size_t m = t.order.gates * t.order.units, columns = t.order.gates > 1 ? interleaved(t.order) : m;
    const size_t lda = columns + 3, ldb = t.n + 5, ldc = t.n + 1;
    float *a = numbers(t.k * lda), *b = numbers(t.k * ldb), *b0 = numbers(3 * ldb), *c = numbers(m * ldc),
          *want = numbers(m * ldc);
    float *rows = calloc(t.k * t.n + 1, sizeof *rows), *sums = numbers(m), *want_sums = numbers(m), one = 1;
    int64_t *index = malloc((t.k + 1) * sizeof *index);
    assert_true(rows && index);
    for (size_t i = 0; i < t.k; i++) {
        index[i] = i % 5 == 2 ? -1 - (int64_t)(i % 3) : (int64_t)((i * 7 + 1) % t.k);
        const float *from = !t.gathered     ? b + i * ldb
                            : index[i] >= 0 ? b + (size_t)index[i] * ldb
                            : t.zeros       ? NULL
                                            : b0 + (size_t)(-1 - index[i]) * ldb;
        if (from) memcpy(rows + i * t.n, from, t.n * sizeof *rows);
    }
    memcpy(want, c, m * ldc * sizeof *c);
    for (size_t e = 0; e < columns; e++) {
        const size_t i = entry(t.order, e);
        if (i == SIZE_MAX) continue;
        for (size_t j = 0; j < t.n; j++) {
            float *to = want + i * ldc + j;
            *to = contract(t.accumulate ? *to : 0.0f, t.k, a + e, lda, rows + j, t.n);
        }
        want_sums[i] = contract(t.accumulate ? sums[i] : 0.0f, t.k, a + e, lda, &one, 0);
    }
    const GemmTn g = {.m = m,
                      .n = t.n,
                      .k = t.k,
                      .a = a,
                      .lda = lda,
                      .order = t.order,
                      .b = b,
                      .ldb = ldb,
                      .b_rows = t.gathered ? index : NULL,
                      .b0 = t.zeros ? NULL : b0,
                      .ldb0 = ldb,
                      .c = c,
                      .ldc = ldc,
                      .accumulate = t.accumulate};
    float *got = numbers(m);
    EVERYWHERE({
        check_tn(&t, &g, c, want, t.n);
        check_tn(&t, &g, c, want, t.n / 3 + 1);
        memcpy(got, sums, m * sizeof *got);
        column_sums(a, lda, t.order, t.k, got, t.accumulate);
        same_bits("column_sums", got, want_sums, m);
    })
    free(a), free(b), free(b0), free(c), free(want), free(rows), free(sums), free(want_sums), free(index), free(got);
}

static void test_transposed(void **unused) {
    (void)unused;
    for (size_t m = 1; m <= 67; m += m < 18 ? 5 : 16)
        run_tn((TnCase){.order = in_order(m), .n = 68 - m, .k = m * 9, .accumulate = m & 1});
    run_tn((TnCase){.order = in_order(20), .n = 33, .k = 0});
    run_tn((TnCase){.order = in_order(300), .n = 290, .k = 300});
    run_tn((TnCase){.order = in_order(40), .n = 700, .k = 256});
}

static void test_transposed_gates(void **unused) {
    (void)unused;
    run_tn((TnCase){.order = {4, 20}, .n = 50, .k = 513, .gathered = true, .zeros = true});
    run_tn((TnCase){.order = {4, 16}, .n = 17, .k = 40, .gathered = true, .accumulate = true});
    run_tn((TnCase){.order = {3, 37}, .n = 37, .k = 300, .gathered = true});
    run_tn((TnCase){.order = {3, 130}, .n = 130, .k = 257, .accumulate = true});
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_small_sizes), cmocka_unit_test(test_blocks_of_k),      cmocka_unit_test(test_threads),
        cmocka_unit_test(test_finish),      cmocka_unit_test(test_zeros_and_nan),    cmocka_unit_test(test_packing),
        cmocka_unit_test(test_transposed),  cmocka_unit_test(test_transposed_gates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
