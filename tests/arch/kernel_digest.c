/* SPDX-License-Identifier: MIT
 *
 * kernel_digest.c: prints one digest per family of kernels over inputs of many sizes, with signed zeros,
 * infinities, NaN and denormals where a kernel takes single numbers. The digests are equal on every
 * instruction set and machine, or a kernel is wrong. Needs nothing but layers/ops, so that it can be built
 * for a foreign machine and run under an emulator. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/ops/attention.h"
#include "layers/ops/cells.h"
#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"

enum { MOST = 1 << 17 };

static uint64_t seed = 88172645463325252U;
static real *block[8];

/* Xorshift (Marsaglia 2003). */
static uint64_t draw(void) {
    seed ^= seed << 13;
    seed ^= seed >> 7;
    return seed ^= seed << 17;
}

static real uniform(void) {
    return (real)((double)(draw() >> 40) / (double)(1 << 23) - 1);
}

static real *fill(size_t which, size_t n) {
    for (size_t i = 0; i < n; i++) block[which][i] = uniform();
    return block[which];
}

static real *fill_odd(size_t which, size_t n) {
    static const float odd[] = {0.0f,  -0.0f,  INFINITY, -INFINITY, NAN,    1e-41f, -1e-41f, 88.7f,     -87.4f,
                                1e30f, -1e30f, 3.9f,     9.1f,      0.625f, -0.9f,  16.0f,   -0x1p-126f};
    for (size_t i = 0; i < n; i++)
        block[which][i] = draw() % 4 == 0 ? (real)odd[draw() % (sizeof odd / sizeof *odd)] : 8 * uniform();
    return block[which];
}

/* FNV-1a over the bits; machines differ in the sign and payload of a NaN that an operation makes. */
static void digest_add(uint64_t *digest, const real *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        const float value = isnan(x[i]) ? 0.0f : (float)x[i];
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        if (isnan(x[i])) bits = 0x7fc00000U;
        *digest = (*digest ^ bits) * 1099511628211U;
    }
}

static void show(const char *family, uint64_t digest) {
    printf("%-20s %016" PRIx64 "\n", family, digest);
}

static size_t upto(size_t most) {
    return 1 + (size_t)(draw() % most);
}

static uint64_t products(void) {
    uint64_t digest = 14695981039346656037U;
    for (int round = 0; round < 120; round++) {
        const size_t m = upto(40), n = upto(90), k = upto(round % 8 == 0 ? 600 : 70);
        real *w = fill(0, n * k), *packed = block[1];
        pack_transposed(w, k, k, in_order(n), 0, panel_count(n), packed);
        const real *a = fill(2, m * k), *bias = fill(3, n);
        fill(4, m * n);
        gemm(&(Gemm){.m = m,
                     .n = n,
                     .k = k,
                     .a = a,
                     .lda = k,
                     .b = packed,
                     .c = block[4],
                     .ldc = n,
                     .bias = round % 2 ? bias : NULL,
                     .accumulate = round % 3 == 0});
        digest_add(&digest, block[4], m * n);
    }
    return digest;
}

static uint64_t products_tn(void) {
    uint64_t digest = 14695981039346656037U;
    for (int round = 0; round < 80; round++) {
        const size_t m = upto(70), n = upto(70), k = upto(round % 8 == 0 ? 600 : 60);
        const real *a = fill(0, m * k), *b = fill(1, n * k);
        fill(2, m * n);
        gemm_tn(&(GemmTn){.m = m,
                          .n = n,
                          .k = k,
                          .a = a,
                          .lda = m,
                          .order = in_order(m),
                          .b = b,
                          .ldb = n,
                          .c = block[2],
                          .ldc = n,
                          .accumulate = round % 3 == 0});
        digest_add(&digest, block[2], m * n);
        column_sums(a, m, in_order(m), k, block[3], false);
        digest_add(&digest, block[3], m);
    }
    return digest;
}

static uint64_t activations(void) {
    uint64_t digest = 14695981039346656037U;
    for (int kind = ACT_RELU; kind <= ACT_SIGMOID; kind++)
        for (size_t n = 1; n < 70; n++) {
            const real *x = fill_odd(0, n), *dy = fill(1, n);
            op_activation((Activation)kind, n, x, block[2]);
            op_activation_backward((Activation)kind, n, x, dy, block[3]);
            digest_add(&digest, block[2], n);
            digest_add(&digest, block[3], n);
        }
    return digest;
}

static uint64_t rows(void) {
    uint64_t digest = 14695981039346656037U;
    for (int round = 0; round < 60; round++) {
        const size_t n = upto(20), f = upto(100);
        real *x = fill(0, n * f), *dy = fill(1, n * f), *weight = fill(2, f), *y = block[3], *stats = block[4];
        op_layer_norm(n, f, REAL(1e-5), x, weight, NULL, y, stats, stats + n);
        op_layer_norm_backward(n, f, x, weight, stats, stats + n, dy, block[5], false);
        op_layer_norm_gradients(n, f, x, stats, stats + n, dy, block[6], block[7]);
        digest_add(&digest, y, n * f);
        digest_add(&digest, stats, 2 * n);
        digest_add(&digest, block[5], n * f);
        digest_add(&digest, block[6], f);
        digest_add(&digest, block[7], f);
        const size_t offset[2] = {0, n};
        const uint64_t key = draw(), position = draw();
        op_dropout((DropoutKey){key, 3, 5, 1}, REAL(0.3), 1, offset, &position, f, x, f, y, f);
        digest_add(&digest, y, n * f);
        int32_t target[32];
        double loss[32];
        uint8_t correct[32];
        for (size_t r = 0; r < n; r++) target[r] = (int32_t)(draw() % f);
        op_cross_entropy(n, f, x, target, INT64_MIN, REAL(0.1), true, loss, correct);
        digest_add(&digest, x, n * f);
        op_softmax(n, f, dy);
        digest_add(&digest, dy, n * f);
    }
    return digest;
}

static uint64_t cells(void) {
    static const size_t gates[CELL_KINDS] = {1, 1, 4, 3};
    uint64_t digest = 14695981039346656037U;
    for (int kind = 0; kind < CELL_KINDS; kind++)
        for (size_t units = 1; units < 40; units += 3) {
            const size_t n = 3, p = panel_round(units), gp = gates[kind] * p, row[3] = {2, 0, 1};
            CellForward step = {.rows = n,
                                .first = 0,
                                .end = units,
                                .units = units,
                                .row = row,
                                .pre = fill(0, n * gp),
                                .ldpre = gp,
                                .gates = fill(1, n * gp),
                                .ldgates = gp,
                                .extra = fill(2, n * p),
                                .ldextra = p,
                                .h = fill(3, n * p),
                                .h_next = block[4],
                                .c = fill(5, n * p),
                                .ldh = p,
                                .out = block[6],
                                .ldout = units,
                                .keep = true};
            cell_forward((CellKind)kind, &step);
            digest_add(&digest, step.out, n * units);
            CellBackward back = {.rows = n,
                                 .units = units,
                                 .row = row,
                                 .gates = step.gates,
                                 .ldgates = gp,
                                 .extra = step.extra,
                                 .ldextra = p,
                                 .before = step.h,
                                 .before_row = row,
                                 .ldbefore = p,
                                 .dout = fill(6, n * units),
                                 .lddout = units,
                                 .dgates = fill(0, n * gp),
                                 .lddgates = gp,
                                 .dh = fill(4, n * p),
                                 .dc = step.c,
                                 .lddh = p};
            cell_backward((CellKind)kind, &back);
            /* Padding of a gate holds numbers that mean nothing. */
            for (size_t i = 0; i < n; i++)
                for (size_t g = 0; g < gates[kind]; g++)
                    for (size_t u = 0; u < units; u += PANEL)
                        digest_add(&digest, back.gates + i * gp + (u * gates[kind] + g * PANEL),
                                   units - u < PANEL ? units - u : PANEL);
        }
    return digest;
}

static uint64_t attention(real *scratch) {
    uint64_t digest = 14695981039346656037U;
    for (int round = 0; round < 24; round++) {
        const size_t heads = upto(3), d = upto(24), t = upto(round % 6 == 0 ? 200 : 50), ld = heads * d;
        const size_t offset[3] = {0, t, t + upto(20)}, all = offset[2];
        const uint64_t position[2] = {4, 9};
        Attention a = {.sequences = 2,
                       .q_offset = offset,
                       .k_offset = offset,
                       .heads = heads,
                       .d = d,
                       .scale = REAL(0.3),
                       .causal = round % 2 == 0,
                       .q = fill(0, all * ld),
                       .k = fill(1, all * ld),
                       .v = fill(2, all * ld),
                       .ldq = ld,
                       .ldk = ld,
                       .ldv = ld,
                       .out = block[3],
                       .ldo = ld,
                       .norm = block[4],
                       .p = round % 3 ? REAL(0.0) : REAL(0.2),
                       .key = {7, 1, 2, 0},
                       .position = position,
                       .scratch = scratch,
                       .threads = 1};
        op_attention(&a);
        digest_add(&digest, a.out, all * ld);
        real *gradients = block[6];
        op_attention_backward(&(AttentionBackward){.forward = a,
                                                   .dout = fill(5, all * ld),
                                                   .lddo = ld,
                                                   .dq = gradients,
                                                   .dk = gradients + all * ld,
                                                   .dv = gradients + 2 * all * ld,
                                                   .lddq = ld,
                                                   .lddk = ld,
                                                   .lddv = ld,
                                                   .delta = block[7]});
        digest_add(&digest, gradients, 3 * all * ld);
    }
    return digest;
}

int main(void) {
    if (ops_start(1) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 77;
    }
    for (size_t i = 0; i < 8; i++)
        if (posix_memalign((void **)&block[i], 64, MOST * sizeof(real)) != 0) return 1;
    real *scratch = malloc(attention_scratch(24) * sizeof(real));
    if (!scratch) return 1;
    fprintf(stderr, "%s kernels\n", ops_isa());
    show("products", products());
    show("weight gradients", products_tn());
    show("activations", activations());
    show("rows", rows());
    show("cells", cells());
    show("attention", attention(scratch));
    ops_stop();
    free(scratch);
    for (size_t i = 0; i < 8; i++) free(block[i]);
    return 0;
}
