/* SPDX-License-Identifier: MIT
 *
 * test_attention.c: the attention of layers/ops against a plain reference in double, over random shapes,
 * ragged lengths, causal or not, with other offsets for keys; dropout with the mask that the kernel is
 * found to use; the same bits for any number of threads, cut of the batch and instruction set; nothing
 * written beyond a head's columns. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layers/ops/attention.h"
#include "layers/ops/random.h"

enum { MOST_SEQUENCES = 5, MOST_THREADS = 5 };

static void check(Status status) {
    if (status != OK) fail_msg("%s", status_message());
}

static void *memory(size_t count, size_t element) {
    size_t bytes = (count * element + 127) / 64 * 64;
    void *p = aligned_alloc(64, bytes);
    assert_non_null(p);
    memset(p, 0xff, bytes);
    return p;
}

static size_t pick(uint64_t key, uint64_t *index, size_t low, size_t high) {
    return low + (size_t)(random_uniform(key, (*index)++) * (double)(high - low + 1));
}

/* ---- a case ---------------------------------------------------------------------------------------- */

typedef struct Case {
    size_t sequences, heads, d;
    size_t q_offset[MOST_SEQUENCES + 1], k_offset[MOST_SEQUENCES + 1];
    uint64_t position[MOST_SEQUENCES];
    bool causal;
    real scale, p;
    size_t ldq, ldk, ldo;
    real *q, *k, *v, *dout; /* [rows, ld] */
} Case;

static real *random_matrix(uint64_t key, size_t count) {
    real *x = memory(count, sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = (real)random_normal(key, i);
    return x;
}

static void case_make(Case *c, uint64_t key, size_t longest, bool cross) {
    uint64_t n = 0;
    *c = (Case){.sequences = pick(key, &n, 1, MOST_SEQUENCES), .heads = pick(key, &n, 1, 3), .d = pick(key, &n, 1, 40)};
    c->causal = pick(key, &n, 0, 1);
    c->scale = (real)(0.1 + random_uniform(key, n++));
    for (size_t b = 0; b < c->sequences; b++) {
        size_t queries = pick(key, &n, 1, longest);
        c->q_offset[b + 1] = c->q_offset[b] + queries;
        c->k_offset[b + 1] = c->k_offset[b] + (cross ? pick(key, &n, 1, longest) : queries);
        c->position[b] = 3 * b + (b == 2 ? UINT64_C(1) << 33 : 0);
    }
    c->ldq = c->heads * c->d + pick(key, &n, 0, 9);
    c->ldk = c->heads * c->d + pick(key, &n, 0, 9);
    c->ldo = c->heads * c->d + pick(key, &n, 0, 9);
    c->q = random_matrix(key + 1000003, c->q_offset[c->sequences] * c->ldq);
    c->k = random_matrix(key + 2000003, c->k_offset[c->sequences] * c->ldk);
    c->v = random_matrix(key + 3000017, c->k_offset[c->sequences] * c->ldk);
    c->dout = random_matrix(key + 4000037, c->q_offset[c->sequences] * c->ldo);
}

static void case_free(Case *c) {
    free(c->q);
    free(c->k);
    free(c->v);
    free(c->dout);
}

/* What an attention gives; columns beyond the heads keep what they held. */
typedef struct Result {
    size_t q_rows, k_rows;
    real *out, *norm, *dq, *dk, *dv;
    real *lse; /* of norm: log sum_j e^(s_ij) */
} Result;

static Attention attention_of(const Case *c, size_t threads, real *scratch) {
    return (Attention){.sequences = c->sequences,
                       .q_offset = c->q_offset,
                       .k_offset = c->k_offset,
                       .heads = c->heads,
                       .d = c->d,
                       .scale = c->scale,
                       .causal = c->causal,
                       .q = c->q,
                       .k = c->k,
                       .v = c->v,
                       .ldq = c->ldq,
                       .ldk = c->ldk,
                       .ldv = c->ldk,
                       .ldo = c->ldo,
                       .p = c->p,
                       .key = {7, 9, 11, 1},
                       .position = c->position,
                       .scratch = scratch,
                       .threads = threads};
}

static Result result_of(const Case *c, size_t threads) {
    Result r = {.q_rows = c->q_offset[c->sequences], .k_rows = c->k_offset[c->sequences]};
    r.out = memory(r.q_rows * c->ldo, sizeof(real));
    r.norm = memory(2 * r.q_rows * c->heads, sizeof(real));
    r.lse = memory(r.q_rows * c->heads, sizeof(real));
    r.dq = memory(r.q_rows * c->ldq, sizeof(real));
    r.dk = memory(r.k_rows * c->ldk, sizeof(real));
    r.dv = memory(r.k_rows * c->ldk, sizeof(real));
    real *scratch = memory(threads * attention_scratch(c->d), sizeof(real)),
         *delta = memory(r.q_rows * c->heads, sizeof(real));
    AttentionBackward backward = {.forward = attention_of(c, threads, scratch),
                                  .dout = c->dout,
                                  .lddo = c->ldo,
                                  .dq = r.dq,
                                  .dk = r.dk,
                                  .dv = r.dv,
                                  .lddq = c->ldq,
                                  .lddk = c->ldk,
                                  .lddv = c->ldk,
                                  .delta = delta};
    backward.forward.out = r.out;
    backward.forward.norm = r.norm;
    op_attention(&backward.forward);
    for (size_t i = 0; i < r.q_rows * c->heads; i++) r.lse[i] = r.norm[2 * i] - logf(r.norm[2 * i + 1]);
    op_attention_backward(&backward);
    free(scratch);
    free(delta);
    return r;
}

static void result_free(Result *r) {
    free(r->out);
    free(r->lse);
    free(r->norm);
    free(r->dq);
    free(r->dk);
    free(r->dv);
}

/* ---- reference --------------------------------------------------------------------------------------- */

typedef struct Reference {
    double *out, *lse, *dq, *dk, *dv; /* without gaps: [rows, heads d], lse [heads, rows] */
    double size;                      /* of the largest terms of dq and dk, which may cancel */
} Reference;

/* One query's weights, before dropout. */
static double weights_of(const Case *c, size_t q, size_t k0, size_t keys, size_t h, double *w) {
    double most = -INFINITY, sum = 0;
    for (size_t j = 0; j < keys; j++) {
        w[j] = 0;
        for (size_t f = 0; f < c->d; f++)
            w[j] += (double)c->q[q * c->ldq + h * c->d + f] * (double)c->k[(k0 + j) * c->ldk + h * c->d + f];
        w[j] *= (double)c->scale;
        most = fmax(most, w[j]);
    }
    for (size_t j = 0; j < keys; j++) sum += exp(w[j] - most);
    for (size_t j = 0; j < keys; j++) w[j] = exp(w[j] - most) / sum;
    return most + log(sum);
}

/* mask [heads, query rows, longest] or NULL */
static Reference reference_of(const Case *c, const real *mask, size_t longest) {
    size_t Q = c->q_offset[c->sequences], K = c->k_offset[c->sequences], H = c->heads, d = c->d, F = H * d;
    Reference r = {calloc(Q * F, 8), calloc(Q * H, 8), calloc(Q * F, 8), calloc(K * F, 8), calloc(K * F, 8), 0};
    double *w = calloc(longest, 8), *dw = calloc(longest, 8);
    for (size_t b = 0; b < c->sequences; b++)
        for (size_t h = 0; h < H; h++)
            for (size_t q = c->q_offset[b]; q < c->q_offset[b + 1]; q++) {
                size_t k0 = c->k_offset[b], keys = c->k_offset[b + 1] - k0, i = q - c->q_offset[b];
                if (c->causal && i + 1 < keys) keys = i + 1;
                r.lse[h * Q + q] = weights_of(c, q, k0, keys, h, w);
                const real *m = mask ? mask + (h * Q + q) * longest : NULL, *g = c->dout + q * c->ldo + h * d;
                double delta = 0;
                for (size_t j = 0; j < keys; j++) {
                    dw[j] = 0;
                    double kept = m ? (double)m[j] : 1;
                    for (size_t f = 0; f < d; f++) {
                        double v = (double)c->v[(k0 + j) * c->ldk + h * d + f];
                        r.out[q * F + h * d + f] += kept * w[j] * v;
                        r.dv[(k0 + j) * F + h * d + f] += kept * w[j] * (double)g[f];
                        dw[j] += kept * v * (double)g[f];
                    }
                    delta += w[j] * dw[j];
                }
                for (size_t j = 0; j < keys; j++) {
                    double ds = (double)c->scale * w[j] * (dw[j] - delta),
                           term = (double)c->scale * w[j] * (fabs(dw[j]) + fabs(delta));
                    for (size_t f = 0; f < d; f++) {
                        double kf = (double)c->k[(k0 + j) * c->ldk + h * d + f],
                               qf = (double)c->q[q * c->ldq + h * d + f];
                        r.dq[q * F + h * d + f] += ds * kf;
                        r.dk[(k0 + j) * F + h * d + f] += ds * qf;
                        r.size = fmax(r.size, term * fmax(fabs(kf), fabs(qf)));
                    }
                }
            }
    free(w);
    free(dw);
    return r;
}

static void reference_free(Reference *r) {
    free(r->out);
    free(r->lse);
    free(r->dq);
    free(r->dk);
    free(r->dv);
}

/* ---- comparison ---------------------------------------------------------------------------------------- */

static bool untouched(const real *x) {
    static const unsigned char pattern[sizeof(real)] = {0xff, 0xff, 0xff, 0xff};
    return memcmp(x, pattern, sizeof pattern) == 0;
}

/* |a - b| <= 8 eps sqrt(K) max |b|, never above 1e-4 of it; `sum` is K. `largest`: of the terms, where they may
 * cancel. */
static void check_matrix(const char *what, size_t number, const real *x, size_t ld, const double *reference,
                         size_t rows, size_t columns, size_t sum, double largest) {
    double tolerance = fmin(8 * 0x1p-23 * sqrt((double)sum), 1e-4);
    for (size_t i = 0; i < rows * columns; i++) largest = fmax(largest, fabs(reference[i]));
    for (size_t r = 0; r < rows; r++) {
        for (size_t f = 0; f < columns; f++) {
            double error = fabs((double)x[r * ld + f] - reference[r * columns + f]);
            if (!(error <= tolerance * largest + 1e-30))
                fail_msg("case %zu: %s[%zu, %zu] is %.9g, expected %.9g: %.2f times the tolerance", number, what, r, f,
                         (double)x[r * ld + f], reference[r * columns + f], error / (tolerance * largest));
        }
        for (size_t f = columns; f < ld; f++)
            if (!untouched(x + r * ld + f))
                fail_msg("case %zu: %s[%zu, %zu] beyond the heads was written", number, what, r, f);
    }
}

static void check_result(const Case *c, size_t number, const Result *r, const Reference *reference, size_t longest) {
    size_t F = c->heads * c->d, sum = longest * c->d + longest;
    check_matrix("out", number, r->out, c->ldo, reference->out, r->q_rows, F, sum, 0);
    check_matrix("lse", number, r->lse, r->q_rows, reference->lse, c->heads, r->q_rows, sum, 0);
    check_matrix("dv", number, r->dv, c->ldk, reference->dv, r->k_rows, F, sum, 0);
    check_matrix("dq", number, r->dq, c->ldq, reference->dq, r->q_rows, F, sum, reference->size);
    check_matrix("dk", number, r->dk, c->ldk, reference->dk, r->k_rows, F, sum, reference->size);
}

static void compare_case(size_t number, size_t longest, bool cross) {
    Case c;
    case_make(&c, 100 + number, longest, cross);
    Result r = result_of(&c, 1);
    Reference reference = reference_of(&c, NULL, longest);
    check_result(&c, number, &r, &reference, longest);
    reference_free(&reference);
    result_free(&r);
    case_free(&c);
}

static void test_reference(void **state) {
    (void)state;
    check(ops_start(1));
    for (size_t n = 0; n < 150; n++) compare_case(n, 70, n % 3 == 2);
    for (size_t n = 150; n < 160; n++) compare_case(n, 300, n % 2);
    compare_case(160, 700, false);
}

/* A query that sees one key gives its value; a huge score does not overflow. */
static void test_edges(void **state) {
    (void)state;
    check(ops_start(1));
    Case c;
    case_make(&c, 5, 20, false);
    c.causal = true;
    for (size_t i = 0; i < c.q_offset[c.sequences] * c.ldq; i++) c.q[i] *= 1e4F;
    Result r = result_of(&c, 1);
    for (size_t b = 0; b < c.sequences; b++)
        for (size_t f = 0; f < c.heads * c.d; f++) {
            real o = r.out[c.q_offset[b] * c.ldo + f], v = c.v[c.k_offset[b] * c.ldk + f];
            if (fabs((double)(o - v)) > 1e-6 * fabs((double)v))
                fail_msg("sequence %zu, feature %zu: %.9g instead of %.9g", b, f, (double)o, (double)v);
        }
    for (size_t i = 0; i < r.q_rows; i++)
        for (size_t f = 0; f < c.heads * c.d; f++)
            assert_true(isfinite(r.out[i * c.ldo + f]) && isfinite(r.dq[i * c.ldq + f]));
    result_free(&r);
    case_free(&c);
}

/* ---- dropout ---------------------------------------------------------------------------------------------- */

/* With values that are unit vectors the outputs are the weights times the mask. */
static real *mask_of(const Case *c, size_t longest, size_t *dropped, size_t *seen) {
    Case unit = *c;
    size_t Q = c->q_offset[c->sequences], K = c->k_offset[c->sequences], H = c->heads;
    real *mask = memory(H * Q * longest, sizeof *mask);
    assert_true(longest <= c->d);
    unit.v = memory(K * c->ldk, sizeof(real));
    memset(unit.v, 0, K * c->ldk * sizeof(real));
    for (size_t b = 0; b < c->sequences; b++)
        for (size_t j = c->k_offset[b]; j < c->k_offset[b + 1]; j++)
            for (size_t h = 0; h < H; h++) unit.v[j * c->ldk + h * c->d + j - c->k_offset[b]] = 1;
    Result with = result_of(&unit, 1);
    unit.p = 0;
    Result without = result_of(&unit, 1);
    for (size_t h = 0; h < H; h++)
        for (size_t q = 0; q < Q; q++)
            for (size_t j = 0; j < longest; j++) {
                real w = without.out[q * c->ldo + h * c->d + j], m = with.out[q * c->ldo + h * c->d + j];
                mask[(h * Q + q) * longest + j] = w > 0 ? m / w : 0;
                *seen += w > 0;
                *dropped += w > 0 && m == 0;
                if (m != 0 && fabs((double)(m / w) * (1 - (double)c->p) - 1) > 1e-5)
                    fail_msg("the mask is %g", (double)(m / w));
            }
    result_free(&with);
    result_free(&without);
    free(unit.v);
    return mask;
}

static void test_dropout(void **state) {
    (void)state;
    check(ops_start(1));
    size_t dropped = 0, seen = 0;
    for (size_t n = 0; n < 40; n++) {
        Case c;
        case_make(&c, 900 + n, 30, n % 2);
        case_free(&c);
        size_t d = c.d;
        c.d = 30 + d % 8;
        c.ldq = c.ldk = c.ldo = c.heads * c.d + 1;
        c.q = random_matrix(n + 50, c.q_offset[c.sequences] * c.ldq);
        c.k = random_matrix(n + 60, c.k_offset[c.sequences] * c.ldk);
        c.v = random_matrix(n + 70, c.k_offset[c.sequences] * c.ldk);
        c.dout = random_matrix(n + 80, c.q_offset[c.sequences] * c.ldo);
        c.p = 0.3F;
        c.scale = 0.1F; /* so that no weight vanishes */
        real *mask = mask_of(&c, 30, &dropped, &seen);
        Result r = result_of(&c, 1);
        Reference reference = reference_of(&c, mask, 30);
        check_result(&c, n, &r, &reference, 30);
        reference_free(&reference);
        result_free(&r);
        free(mask);
        case_free(&c);
    }
    double share = (double)dropped / (double)seen;
    if (fabs(share - 0.3) > 6 * sqrt(0.21 / (double)seen)) fail_msg("%zu of %zu weights were dropped", dropped, seen);
}

/* ---- bits -------------------------------------------------------------------------------------------------- */

static void check_bits(const char *what, const Case *c, const Result *a, const Result *b, size_t q_row, size_t k_row) {
    size_t q = b->q_rows * c->ldq * sizeof(real), k = b->k_rows * c->ldk * sizeof(real),
           o = b->q_rows * c->ldo * sizeof(real);
    if (memcmp(a->out + q_row * c->ldo, b->out, o) != 0) fail_msg("out differs %s", what);
    if (memcmp(a->dq + q_row * c->ldq, b->dq, q) != 0) fail_msg("dq differs %s", what);
    if (memcmp(a->dk + k_row * c->ldk, b->dk, k) != 0) fail_msg("dk differs %s", what);
    if (memcmp(a->dv + k_row * c->ldk, b->dv, k) != 0) fail_msg("dv differs %s", what);
}

/* Sequence b alone. */
static Case part_of(const Case *c, size_t b) {
    Case part = *c;
    part.sequences = 1;
    part.q_offset[1] = c->q_offset[b + 1] - c->q_offset[b];
    part.k_offset[1] = c->k_offset[b + 1] - c->k_offset[b];
    part.position[0] = c->position[b];
    part.q += c->q_offset[b] * c->ldq;
    part.k += c->k_offset[b] * c->ldk;
    part.v += c->k_offset[b] * c->ldk;
    part.dout += c->q_offset[b] * c->ldo;
    return part;
}

static void test_bits(void **state) {
    (void)state;
    static const char *const isa[] = {"avx512", "avx2", "neon", "portable"};
    static const size_t threads[] = {1, 2, 3, 5};
    for (size_t n = 0; n < 8; n++) {
        Case c;
        case_make(&c, 700 + n, n % 4 == 3 ? 700 : 150, n % 2);
        c.p = n % 3 ? 0.2F : 0;
        check(ops_start(1));
        Result first = result_of(&c, 1);
        for (size_t b = 0; b < c.sequences; b++) {
            Case part = part_of(&c, b);
            Result alone = result_of(&part, 1);
            check_bits("when a sequence is alone", &c, &first, &alone, c.q_offset[b], c.k_offset[b]);
            result_free(&alone);
        }
        ops_stop();
        for (size_t i = 0; i < 3; i++) {
            setenv("LOCKSTEP_ISA", isa[i], 1);
            if (ops_start(1) != OK) continue;
            ops_stop();
            for (size_t t = 0; t < 4; t++) {
                check(ops_start(threads[t]));
                Result other = result_of(&c, threads[t]);
                char what[64];
                snprintf(what, sizeof what, "with %zu threads on %s", threads[t], isa[i]);
                check_bits(what, &c, &first, &other, 0, 0);
                result_free(&other);
                ops_stop();
            }
        }
        unsetenv("LOCKSTEP_ISA");
        result_free(&first);
        case_free(&c);
    }
}

/* ---- weights, softmax over time -------------------------------------------------------------------------- */

static void test_weights(void **state) {
    (void)state;
    check(ops_start(1));
    for (size_t n = 0; n < 20; n++) {
        Case c;
        case_make(&c, 300 + n, n ? 60 : 300, n % 2);
        real *scratch = memory(attention_scratch(c.d), sizeof(real));
        Attention a = attention_of(&c, 1, scratch);
        a.v = NULL;
        for (size_t b = 0; b < c.sequences; b++)
            for (size_t h = 0; h < c.heads; h++) {
                size_t q0 = c.q_offset[b], queries = c.q_offset[b + 1] - q0, keys = c.k_offset[b + 1] - c.k_offset[b];
                real *w = memory(queries * keys, sizeof *w);
                double *expected = calloc(queries * keys, sizeof *expected);
                op_attention_weights(&a, b, h, w);
                for (size_t i = 0; i < queries; i++)
                    weights_of(&c, q0 + i, c.k_offset[b], c.causal && i + 1 < keys ? i + 1 : keys, h,
                               expected + i * keys);
                check_matrix("weights", n, w, keys, expected, queries, keys, 100 * c.d, 0);
                free(w);
                free(expected);
            }
        free(scratch);
        case_free(&c);
    }
}

static void test_time(void **state) {
    (void)state;
    static const size_t offset[] = {0, 3, 4, 304};
    check(ops_start(3));
    for (size_t F = 1; F < 150; F += 37) {
        size_t rows = offset[3];
        real *x = random_matrix(F, rows * F), *dw = random_matrix(F + 1, rows * F), *w = memory(rows * F, sizeof *w);
        double *ew = calloc(rows * F, sizeof *ew), *edx = calloc(rows * F, sizeof *edx);
        for (size_t b = 0; b < 3; b++)
            for (size_t f = 0; f < F; f++) {
                double sum = 0, mean = 0;
                for (size_t r = offset[b]; r < offset[b + 1]; r++) sum += exp((double)x[r * F + f]);
                for (size_t r = offset[b]; r < offset[b + 1]; r++) {
                    ew[r * F + f] = exp((double)x[r * F + f]) / sum;
                    mean += ew[r * F + f] * (double)dw[r * F + f];
                }
                for (size_t r = offset[b]; r < offset[b + 1]; r++)
                    edx[r * F + f] = ew[r * F + f] * ((double)dw[r * F + f] - mean);
            }
        memcpy(w, x, rows * F * sizeof *w);
        op_softmax_time(3, offset, F, w);
        check_matrix("softmax over time", F, w, F, ew, rows, F, 300, 0);
        op_softmax_time_backward(3, offset, F, w, dw);
        check_matrix("its gradient", F, dw, F, edx, rows, F, 300, 0);
        free(x);
        free(dw);
        free(w);
        free(ew);
        free(edx);
    }
}

static int stop_kernels(void **state) {
    (void)state;
    ops_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_teardown(name, stop_kernels)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(test_reference), TEST(test_edges),   TEST(test_dropout),
        TEST(test_bits),      TEST(test_weights), TEST(test_time),
    };
    return cmocka_run_group_tests_name("attention", tests, NULL, NULL);
}
