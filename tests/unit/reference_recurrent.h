/* SPDX-License-Identifier: MIT
 *
 * reference_recurrent.h: recurrent layers as their equations stand, one sequence, one step, one unit at
 * a time, in double and in PyTorch's order: what the fast ones must agree with. Backward is derived
 * from the chain rule on these loops, not from the layers' code. */
#ifndef LOCKSTEP_TESTS_UNIT_REFERENCE_RECURRENT_H
#define LOCKSTEP_TESTS_UNIT_REFERENCE_RECURRENT_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

typedef enum ReferenceKind { REF_TANH, REF_RELU, REF_LSTM, REF_GRU } ReferenceKind;

enum { REF_STREAMS = 8 };

typedef struct ReferenceStream {
    double *w_ih, *w_hh, *b_ih, *b_hh;     /* biases may be NULL */
    double *dw_ih, *dw_hh, *db_ih, *db_hh; /* added to */
    double *act, *c, *m;                   /* [R, G H], [R, H], [R, H] */
} ReferenceStream;

typedef struct Reference {
    ReferenceKind kind;
    size_t I, H, L, D, B;
    const size_t *offset;
    const double *mask; /* [L - 1][R, D H] dropout between layers, or NULL */
    ReferenceStream stream[REF_STREAMS];
    const double *x;
    double *h[REF_STREAMS];  /* [R, D H] output of each layer */
    double *in[REF_STREAMS]; /* what each layer above the first reads */
    double *h_n, *c_n;       /* [B, L D H] */
} Reference;

static size_t ref_gates(ReferenceKind kind) {
    return kind == REF_LSTM ? 4 : kind == REF_GRU ? 3 : 1;
}
static double ref_sigmoid(double x) {
    return 1.0 / (1.0 + exp(-x));
}

/* Row of step t of sequence b in direction d. */
static size_t ref_row(const Reference *r, size_t b, size_t d, size_t t) {
    return d == 0 ? r->offset[b] + t : r->offset[b + 1] - 1 - t;
}

/* y[n] = W [n, k] x + bias */
static void ref_affine(size_t n, size_t k, const double *w, const double *x, const double *bias, double *y) {
    for (size_t i = 0; i < n; i++) {
        y[i] = bias ? bias[i] : 0.0;
        for (size_t j = 0; j < k; j++) y[i] += w[i * k + j] * x[j];
    }
}

/* What ref_affine gives back: dx, dW and db. */
static void ref_affine_back(size_t n, size_t k, const double *w, const double *x, const double *dy, double *dx,
                            double *dw, double *db) {
    for (size_t i = 0; i < n; i++) {
        if (db) db[i] += dy[i];
        for (size_t j = 0; j < k; j++) {
            dw[i * k + j] += dy[i] * x[j];
            if (dx) dx[j] += dy[i] * w[i * k + j];
        }
    }
}

static void ref_step(const Reference *r, const ReferenceStream *s, size_t row, const double *x, size_t I, double *h,
                     double *c) {
    size_t H = r->H, G = ref_gates(r->kind);
    double *a = calloc(G * H, sizeof *a), *p = calloc(G * H, sizeof *p), *act = s->act + row * G * H;
    ref_affine(G * H, I, s->w_ih, x, s->b_ih, a);
    ref_affine(G * H, H, s->w_hh, h, s->b_hh, p);
    for (size_t u = 0; u < H; u++) {
        if (r->kind == REF_TANH) h[u] = act[u] = tanh(a[u] + p[u]);
        if (r->kind == REF_RELU) h[u] = act[u] = fmax(a[u] + p[u], 0.0);
        if (r->kind == REF_LSTM) {
            for (size_t g = 0; g < 4; g++) {
                double sum = a[g * H + u] + p[g * H + u];
                act[g * H + u] = g == 2 ? tanh(sum) : ref_sigmoid(sum);
            }
            s->c[row * H + u] = c[u] = act[H + u] * c[u] + act[u] * act[2 * H + u];
            h[u] = act[3 * H + u] * tanh(c[u]);
        }
        if (r->kind == REF_GRU) {
            double reset = act[u] = ref_sigmoid(a[u] + p[u]), z = act[H + u] = ref_sigmoid(a[H + u] + p[H + u]);
            s->m[row * H + u] = p[2 * H + u];
            double n = act[2 * H + u] = tanh(a[2 * H + u] + reset * p[2 * H + u]);
            h[u] = (1.0 - z) * n + z * h[u];
        }
    }
    free(a);
    free(p);
}

static const double *ref_input(const Reference *r, size_t l) {
    return l == 0 ? r->x : r->in[l];
}

static void reference_forward(Reference *r) {
    size_t H = r->H, F = r->D * H, R = r->offset[r->B];
    double *h = calloc(H, sizeof *h), *c = calloc(H, sizeof *c);
    for (size_t l = 0; l < r->L; l++) {
        size_t I = l == 0 ? r->I : F;
        if (l > 0)
            for (size_t i = 0; i < R * F; i++)
                r->in[l][i] = r->h[l - 1][i] * (r->mask ? r->mask[(l - 1) * R * F + i] : 1.0);
        for (size_t d = 0; d < r->D; d++)
            for (size_t b = 0; b < r->B; b++) {
                memset(h, 0, H * sizeof *h);
                memset(c, 0, H * sizeof *c);
                for (size_t t = 0; t < r->offset[b + 1] - r->offset[b]; t++) {
                    size_t row = ref_row(r, b, d, t);
                    ref_step(r, &r->stream[l * r->D + d], row, ref_input(r, l) + row * I, I, h, c);
                    memcpy(r->h[l] + row * F + d * H, h, H * sizeof *h);
                }
                memcpy(r->h_n + (b * r->L + l) * F + d * H, h, H * sizeof *h);
                memcpy(r->c_n + (b * r->L + l) * F + d * H, c, H * sizeof *c);
            }
    }
    free(h);
    free(c);
}

/* dh, dc: of this step's results, become those of the step before; dx [I] is added to. */
static void ref_step_back(const Reference *r, const ReferenceStream *s, size_t row, const double *x, size_t I,
                          const double *h_before, const double *c_before, double *dx, double *dh, double *dc) {
    size_t H = r->H, G = ref_gates(r->kind);
    double *da = calloc(G * H, sizeof *da), *dp = calloc(G * H, sizeof *dp);
    const double *act = s->act + row * G * H;
    for (size_t u = 0; u < H; u++) {
        double past = 0.0; /* what reaches h_before past the weights */
        if (r->kind == REF_TANH) da[u] = dp[u] = dh[u] * (1.0 - act[u] * act[u]);
        if (r->kind == REF_RELU) da[u] = dp[u] = act[u] > 0.0 ? dh[u] : 0.0;
        if (r->kind == REF_LSTM) {
            double i = act[u], f = act[H + u], g = act[2 * H + u], o = act[3 * H + u], e = tanh(s->c[row * H + u]);
            dc[u] += dh[u] * o * (1.0 - e * e);
            da[u] = dc[u] * g * i * (1.0 - i);
            da[H + u] = dc[u] * c_before[u] * f * (1.0 - f);
            da[2 * H + u] = dc[u] * i * (1.0 - g * g);
            da[3 * H + u] = dh[u] * e * o * (1.0 - o);
            for (size_t k = 0; k < 4; k++) dp[k * H + u] = da[k * H + u];
            dc[u] *= f;
        }
        if (r->kind == REF_GRU) {
            double reset = act[u], z = act[H + u], n = act[2 * H + u];
            double dn = dh[u] * (1.0 - z) * (1.0 - n * n);
            da[2 * H + u] = dn;
            dp[2 * H + u] = dn * reset;
            da[u] = dp[u] = dn * s->m[row * H + u] * reset * (1.0 - reset);
            da[H + u] = dp[H + u] = dh[u] * (h_before[u] - n) * z * (1.0 - z);
            past = dh[u] * z;
        }
        dh[u] = past;
    }
    ref_affine_back(G * H, I, s->w_ih, x, da, dx, s->dw_ih, s->db_ih);
    ref_affine_back(G * H, H, s->w_hh, h_before, dp, dh, s->dw_hh, s->db_hh);
    free(da);
    free(dp);
}

/* dout [R, D H], dh_n and dc_n [B, L D H] may be NULL; dx [R, I] is written. */
static void reference_backward(Reference *r, const double *dout, const double *dh_n, const double *dc_n, double *dx) {
    size_t H = r->H, F = r->D * H, R = r->offset[r->B], wide = F > r->I ? F : r->I;
    double *upper = calloc(R * F + 1, sizeof *upper), *lower = calloc(R * wide + 1, sizeof *lower);
    double *dh = calloc(H, sizeof *dh), *dc = calloc(H, sizeof *dc), *zero = calloc(H, sizeof *zero);
    if (dout) memcpy(upper, dout, R * F * sizeof *upper);
    for (size_t l = r->L; l-- > 0;) {
        size_t I = l == 0 ? r->I : F;
        memset(lower, 0, R * wide * sizeof *lower);
        for (size_t d = 0; d < r->D; d++)
            for (size_t b = 0; b < r->B; b++) {
                const ReferenceStream *s = &r->stream[l * r->D + d];
                size_t last = (b * r->L + l) * F + d * H;
                for (size_t u = 0; u < H; u++) {
                    dh[u] = dh_n ? dh_n[last + u] : 0.0;
                    dc[u] = dc_n ? dc_n[last + u] : 0.0;
                }
                for (size_t t = r->offset[b + 1] - r->offset[b]; t-- > 0;) {
                    size_t row = ref_row(r, b, d, t), before = t > 0 ? ref_row(r, b, d, t - 1) : 0;
                    for (size_t u = 0; u < H; u++) dh[u] += upper[row * F + d * H + u];
                    ref_step_back(r, s, row, ref_input(r, l) + row * I, I, t > 0 ? r->h[l] + before * F + d * H : zero,
                                  t > 0 ? s->c + before * H : zero, lower + row * I, dh, dc);
                }
            }
        if (l > 0)
            for (size_t i = 0; i < R * F; i++) upper[i] = lower[i] * (r->mask ? r->mask[(l - 1) * R * F + i] : 1.0);
    }
    memcpy(dx, lower, R * r->I * sizeof *dx);
    free(upper);
    free(lower);
    free(dh);
    free(dc);
    free(zero);
}

#endif
