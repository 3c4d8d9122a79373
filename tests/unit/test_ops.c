/* SPDX-License-Identifier: MIT
 *
 * test_ops.c: elementwise operations: accuracy against the C library in higher precision, against
 * definitions in double, and the same bits on every instruction set and number of threads. */
#include <float.h>
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layers/ops/ops.h"
#include "layers/ops/vecmath.h"

static float *room(size_t n) {
    float *x = calloc(n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}
static uint32_t state = 1;
static float number(void) {
    state = state * 1664525U + 1013904223U;
    return (float)((int32_t)state >> 8) * 0x1p-22f;
}
static float *numbers(size_t n) {
    float *x = room(n);
    for (size_t i = 0; i < n; i++) x[i] = number();
    return x;
}

/* ---- accuracy ------------------------------------------------------------------------------------------ */

static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}

/* Units in the last place; a result below FLT_MIN may be zero. */
static double ulps(float got, double want) {
    int e;
    if (isnan(want)) return isnan(got) ? 0 : DBL_MAX;
    if (isinf((float)want) || isinf(got)) return isinf(got) && fabs(want) > (double)FLT_MAX * 0.9999999 ? 0 : DBL_MAX;
    if (fabs(want) < (double)FLT_MIN && got == 0) return 0;
    frexp(want, &e);
    return fabs((double)got - want) / ldexp(1, (e < -125 ? -125 : e) - 24);
}

static vf exp_of(vf x) {
    return vf_exp(x);
}
static vf tanh_of(vf x) {
    return vf_tanh(x);
}
static vf erf_of(vf x) {
    return vf_erf(x);
}
static vf sigmoid_of(vf x) {
    return vf_sigmoid(x);
}

/* A sample of all floats, both signs, and a fine one where the functions bend. */
static void test_accuracy(void **unused) {
    (void)unused;
    static const struct {
        const char *name;
        vf (*f)(vf);
        double (*want)(double);
        double most;
    } function[] = {{"exp", exp_of, exp, 1.5},
                    {"tanh", tanh_of, tanh, 3},
                    {"erf", erf_of, erf, 2},
                    {"sigmoid", sigmoid_of, sigmoid, 3}};
    for (size_t i = 0; i < 4; i++) {
        float x[16], y[16];
        for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 16 * 2003)
            for (int fine = 0; fine < 2; fine++) {
                for (uint32_t l = 0; l < 16; l++) {
                    uint32_t b = (uint32_t)bits + l * 2003;
                    memcpy(x + l, &b, sizeof b);
                    if (fine) x[l] = (float)((int32_t)b) * (0x1p-31f * 12);
                }
                for (int l = 0; l < 16; l += VF_LANES) vf_store(y + l, function[i].f(vf_load(x + l)));
                for (int l = 0; l < 16; l++)
                    if (!(ulps(y[l], function[i].want((double)x[l])) <= function[i].most))
                        fail_msg("%s(%a) = %a, not %a", function[i].name, (double)x[l], (double)y[l],
                                 function[i].want((double)x[l]));
            }
    }
}

static void test_limits(void **unused) {
    (void)unused;
    const float x[] = {NAN, INFINITY, -INFINITY, 0.0f, -0.0f, 1e30f, -1e30f};
    enum { N = sizeof x / sizeof *x };
    static const Activation kinds[] = {ACT_RELU, ACT_GELU, ACT_GELU_TANH, ACT_TANH, ACT_SIGMOID};
    float y[N];
    for (size_t k = 0; k < 5; k++) {
        op_activation(kinds[k], N, x, y);
        assert_true(isnan(y[0]) && y[3] == (kinds[k] == ACT_SIGMOID ? 0.5f : 0));
        if (kinds[k] == ACT_TANH) assert_true(y[1] == 1 && y[2] == -1 && y[5] == 1 && y[6] == -1 && signbit(y[4]));
        if (kinds[k] == ACT_SIGMOID) assert_true(y[1] == 1 && y[2] == 0 && y[5] == 1 && y[6] == 0);
        if (kinds[k] != ACT_TANH && kinds[k] != ACT_SIGMOID)
            assert_true(y[1] == INFINITY && y[5] == 1e30f && y[6] == 0);
        float dy[N] = {1, 1, 1, 1, 1, NAN, 1};
        op_activation_backward(kinds[k], N, x, dy, y);
        assert_true(isnan(y[5]) && (kinds[k] == ACT_RELU || isnan(y[0])));
    }
}

static double activation(Activation kind, double x) {
    switch (kind) {
    case ACT_RELU:
        return x > 0 ? x : 0;
    case ACT_GELU:
        return 0.5 * x * erfc(-x * sqrt(0.5));
    case ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
    case ACT_TANH:
        return tanh(x);
    default:
        return sigmoid(x);
    }
}

static void test_activations(void **unused) {
    (void)unused;
    static const Activation kinds[] = {ACT_RELU, ACT_GELU, ACT_GELU_TANH, ACT_TANH, ACT_SIGMOID};
    enum { N = 4003 };
    float *x = room(N), *y = room(N), *dy = numbers(N), *dx = room(N);
    for (size_t i = 0; i < N; i++) x[i] = (float)i * 0.005f - 10.0025f;
    for (size_t k = 0; k < 5; k++) {
        op_activation(kinds[k], N, x, y);
        op_activation_backward(kinds[k], N, x, dy, dx);
        for (size_t i = 0; i < N; i++) {
            const double v = (double)x[i], h = 1e-5, scale = 1 + fabs(v);
            const double slope = (activation(kinds[k], v + h) - activation(kinds[k], v - h)) / (2 * h);
            assert_true(fabs((double)y[i] - activation(kinds[k], v)) < 2e-7 * scale);
            assert_true(fabs((double)dx[i] - (double)dy[i] * slope) < 1e-6 * scale);
        }
    }
    free(x), free(y), free(dy), free(dx);
}

/* ---- layer normalisation --------------------------------------------------------------------------------- */

static void check_layer_norm(size_t rows, size_t n, bool affine) {
    float *x = numbers(rows * n), *w = numbers(n), *b = numbers(n), *dy = numbers(rows * n), *y = room(rows * n),
          *dx = room(rows * n);
    float *mean = room(rows), *rstd = room(rows), *dw = room(n), *db = room(n);
    double *want_dw = calloc(n, sizeof *want_dw), *want_db = calloc(n, sizeof *want_db);
    assert_true(want_dw && want_db);
    for (size_t i = 0; i < rows * n; i++) x[i] += 3;
    op_layer_norm(rows, n, 1e-5f, x, affine ? w : NULL, affine ? b : NULL, y, mean, rstd);
    op_layer_norm_backward(rows, n, x, affine ? w : NULL, mean, rstd, dy, dx, false);
    op_layer_norm_gradients(rows, n, x, mean, rstd, dy, dw, db);
    for (size_t r = 0; r < rows; r++) {
        double m = 0, v = 0, sum_g = 0, sum_gh = 0;
        for (size_t f = 0; f < n; f++) m += (double)x[r * n + f] / (double)n;
        for (size_t f = 0; f < n; f++) v += pow((double)x[r * n + f] - m, 2) / (double)n;
        const double s = 1 / sqrt(v + 1e-5);
        assert_true(fabs((double)mean[r] - m) < 1e-6 && fabs((double)rstd[r] / s - 1) < 1e-5);
        for (size_t f = 0; f < n; f++) {
            const double h = ((double)x[r * n + f] - m) * s, g = (double)dy[r * n + f] * (affine ? (double)w[f] : 1);
            sum_g += g / (double)n, sum_gh += g * h / (double)n;
            want_dw[f] += (double)dy[r * n + f] * h, want_db[f] += (double)dy[r * n + f];
            assert_true(fabs((double)y[r * n + f] - (affine ? h * (double)w[f] + (double)b[f] : h)) < 2e-5);
        }
        for (size_t f = 0; f < n; f++) {
            const double h = ((double)x[r * n + f] - m) * s, g = (double)dy[r * n + f] * (affine ? (double)w[f] : 1);
            assert_true(fabs((double)dx[r * n + f] - s * (g - sum_g - h * sum_gh)) < 2e-5 * (1 + s));
        }
    }
    for (size_t f = 0; f < n; f++)
        assert_true(fabs((double)dw[f] - want_dw[f]) < 1e-3 && fabs((double)db[f] - want_db[f]) < 1e-3);
    free(x), free(w), free(b), free(dy), free(y), free(dx), free(mean), free(rstd), free(dw), free(db), free(want_dw),
        free(want_db);
}

static void test_layer_norm(void **unused) {
    (void)unused;
    static const size_t features[] = {2, 7, 8, 15, 16, 17, 33, 128, 387};
    for (size_t i = 0; i < sizeof features / sizeof *features; i++) check_layer_norm(300, features[i], i & 1);
}

/* ---- two steps at once --------------------------------------------------------------------------------------- */

/* The bits are those of the two, one after the other. */
static void test_fused(void **unused) {
    (void)unused;
    enum { ROWS = 130, F = 83, N = ROWS * F };
    static const size_t offset[] = {0, 50, ROWS};
    static const uint64_t position[] = {4, 9};
    const DropoutKey key = {1, 2, 3, 4};
    float *x = numbers(N), *s = numbers(N), *w = numbers(F), *want = room(N), *got = room(N), *mean = room(ROWS),
          *rstd = room(ROWS);
    op_dropout(key, 0.3f, 2, offset, position, F, x, F, want, F);
    op_add(N, s, want);
    memcpy(got, x, N * sizeof *got);
    op_dropout_add(key, 0.3f, 2, offset, position, F, s, got);
    assert_memory_equal(got, want, N * sizeof *got);

    op_layer_norm(ROWS, F, 1e-5f, x, w, NULL, want, mean, rstd);
    op_layer_norm_backward(ROWS, F, x, w, mean, rstd, s, want, false);
    op_add(N, x, want);
    memcpy(got, x, N * sizeof *got);
    op_layer_norm_backward(ROWS, F, x, w, mean, rstd, s, got, true);
    for (size_t i = 0; i < N; i++) assert_true(got[i] == want[i]);

    op_activation(ACT_GELU, N, x, want);
    memcpy(got, x, N * sizeof *got);
    op_activation_rows(ACT_GELU, ROWS, 40, x, got, F);
    op_activation_rows(ACT_GELU, ROWS, F - 40, x + 40, got + 40, F);
    op_add_rows(ROWS, F, s, got, F);
    op_add(N, s, want);
    assert_memory_equal(got, want, N * sizeof *got);

    for (size_t i = 0; i < N; i++) got[i] = want[i] = 1.25f * s[i];
    op_activation_backward(ACT_GELU, N, x, want, want);
    memcpy(got, s, N * sizeof *got);
    op_activation_backward_rows(ACT_GELU, ROWS, F, x, got, F, 1.25f);
    assert_memory_equal(got, want, N * sizeof *got);
    free(x), free(s), free(w), free(want), free(got), free(mean), free(rstd);
}

/* ---- softmax and cross entropy ----------------------------------------------------------------------------- */

/* The loss in double, as PyTorch defines it: label smoothing mixes the target with the uniform one. */
static double loss_of(const double *x, size_t n, size_t t, double s) {
    double most = x[0], sum = 0, all = 0;
    for (size_t i = 1; i < n; i++) most = fmax(most, x[i]);
    for (size_t i = 0; i < n; i++) sum += exp(x[i] - most);
    for (size_t i = 0; i < n; i++) all += log(sum) + most - x[i];
    return (1 - s) * (log(sum) + most - x[t]) + s * all / (double)n;
}

static void check_cross_entropy(size_t n, double s, float spread) {
    enum { ROWS = 9, IGNORE = 3 };
    float *x = numbers(ROWS * n), *g = room(ROWS * n);
    double loss[ROWS], same[ROWS], *row = calloc(n, sizeof *row);
    int32_t target[ROWS];
    uint8_t correct[ROWS];
    assert_non_null(row);
    for (size_t i = 0; i < ROWS * n; i++) x[i] *= spread;
    for (size_t r = 0; r < ROWS; r++) target[r] = (int32_t)((r * 5 + 2) % n);
    memcpy(g, x, ROWS * n * sizeof *x);
    op_cross_entropy(ROWS, n, g, target, IGNORE, (float)s, false, same, correct);
    assert_memory_equal(g, x, ROWS * n * sizeof *x);
    op_cross_entropy(ROWS, n, g, target, IGNORE, (float)s, true, loss, correct);
    assert_memory_equal(loss, same, sizeof loss);
    for (size_t r = 0; r < ROWS; r++) {
        size_t first = 0;
        for (size_t i = 0; i < n; i++) {
            row[i] = (double)x[r * n + i];
            if (x[r * n + i] > x[r * n + first]) first = i;
        }
        const size_t t = (size_t)target[r];
        const bool counts = t != IGNORE;
        const double want = counts ? loss_of(row, n, t, (double)(float)s) : 0;
        assert_true(fabs(loss[r] - want) < 1e-6 * (1 + fabs(want)));
        assert_int_equal(correct[r], counts && first == t);
        for (size_t i = 0; i < n && i < 40; i++) {
            const double v = row[i], h = 1e-5;
            row[i] = v + h;
            double slope = loss_of(row, n, t, s);
            row[i] = v - h;
            slope = counts ? (slope - loss_of(row, n, t, s)) / (2 * h) : 0;
            row[i] = v;
            assert_true(fabs((double)g[r * n + i] - slope) < 2e-6);
        }
    }
    free(x), free(g), free(row);
}

static void test_cross_entropy(void **unused) {
    (void)unused;
    static const size_t classes[] = {2, 5, 16, 17, 65, 1023, 5000};
    for (size_t i = 0; i < sizeof classes / sizeof *classes; i++) {
        check_cross_entropy(classes[i], 0, 1);
        check_cross_entropy(classes[i], 0.1, 1);
        check_cross_entropy(classes[i], 0, 1000);
    }
    float tie[] = {1, 2, 2, 0, 1, 2, 2, 0, NAN, 0, 0, 0};
    const int32_t target[] = {1, 2, 1};
    double loss[3];
    uint8_t correct[3];
    op_cross_entropy(3, 4, tie, target, INT64_MIN, 0, true, loss, correct);
    assert_true(correct[0] == 1 && correct[1] == 0 && isnan(loss[2]) && isnan(tie[9]) && !isnan(tie[7]));
}

static void test_softmax(void **unused) {
    (void)unused;
    for (size_t n = 1; n < 70; n++) {
        float *x = numbers(3 * n), *y = room(3 * n);
        for (size_t i = 0; i < n; i++) x[i] = x[i] * 80 + 1e4f;
        memcpy(y, x, 3 * n * sizeof *x);
        op_softmax(3, n, y);
        for (size_t r = 0; r < 3; r++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++) sum += exp((double)x[r * n + i] - (double)x[r * n]);
            for (size_t i = 0; i < n; i++) {
                const double want = exp((double)x[r * n + i] - (double)x[r * n]) / sum;
                assert_true(fabs((double)y[r * n + i] - want) <= 1e-6 * want + 1e-37);
            }
        }
        free(x), free(y);
    }
}

static void test_embedding(void **unused) {
    (void)unused;
    enum { ROWS = 500, V = 37, F = 131, LD = 140 };
    float *dy = numbers(ROWS * LD), *g = numbers(V * F), *want = room(V * F);
    int32_t ids[ROWS];
    size_t order[ROWS + V + 1];
    for (size_t r = 0; r < ROWS; r++) {
        ids[r] = (int32_t)(r * r % 31);
        for (size_t f = 0; f < F; f++) want[(size_t)ids[r] * F + f] += dy[r * LD + f];
    }
    EmbeddingGradient gradient = {.rows = ROWS,
                                  .vocabulary = V,
                                  .features = F,
                                  .ids = ids,
                                  .dy = dy,
                                  .lddy = LD,
                                  .order = order,
                                  .padding = SIZE_MAX};
    op_embedding_gradient(&gradient, g);
    assert_memory_equal(g, want, V * F * sizeof *g);
    gradient.rows = 0;
    op_embedding_gradient(&gradient, g);
    for (size_t i = 0; i < V * F; i++) assert_true(g[i] == 0);
    free(dy), free(g), free(want);
}

/* ---- the same bits everywhere ------------------------------------------------------------------------------- */

enum { ALL_ROWS = 150, ALL_FEATURES = 331, ALL = ALL_ROWS * ALL_FEATURES };
typedef struct Everything {
    float activation[5][ALL], slope[5][ALL], sum[ALL], copy[ALL], zero[ALL], softmax[ALL], gradient[ALL];
    float norm[ALL], norm_dx[ALL], mean[ALL_ROWS], rstd[ALL_ROWS], dweight[ALL_FEATURES], dbias[ALL_FEATURES],
        embedding[ALL_FEATURES * 20];
    double loss[ALL_ROWS];
    uint8_t correct[ALL_ROWS];
} Everything;

static void do_everything(const float *x, const float *dy, Everything *e) {
    static const Activation kinds[] = {ACT_RELU, ACT_GELU, ACT_GELU_TANH, ACT_TANH, ACT_SIGMOID};
    int32_t ids[ALL_ROWS];
    size_t order[ALL_ROWS + 21];
    for (size_t k = 0; k < 5; k++) {
        op_activation(kinds[k], ALL, x, e->activation[k]);
        op_activation_backward(kinds[k], ALL, x, dy, e->slope[k]);
    }
    op_copy(ALL, dy, e->copy);
    op_copy(ALL, dy, e->sum);
    op_add(ALL, x, e->sum);
    op_zero(ALL, e->zero);
    op_copy(ALL, x, e->softmax);
    op_softmax(ALL_ROWS, ALL_FEATURES, e->softmax);
    for (size_t r = 0; r < ALL_ROWS; r++) ids[r] = (int32_t)(r % 19);
    op_copy(ALL, x, e->gradient);
    op_cross_entropy(ALL_ROWS, ALL_FEATURES, e->gradient, ids, 7, 0.1f, true, e->loss, e->correct);
    op_layer_norm(ALL_ROWS, ALL_FEATURES, 1e-5f, x, dy, dy + 1, e->norm, e->mean, e->rstd);
    op_layer_norm_backward(ALL_ROWS, ALL_FEATURES, x, dy, e->mean, e->rstd, dy, e->norm_dx, false);
    op_layer_norm_gradients(ALL_ROWS, ALL_FEATURES, x, e->mean, e->rstd, dy, e->dweight, e->dbias);
    const EmbeddingGradient gradient = {.rows = ALL_ROWS,
                                        .vocabulary = 20,
                                        .features = ALL_FEATURES,
                                        .ids = ids,
                                        .dy = dy,
                                        .lddy = ALL_FEATURES,
                                        .order = order,
                                        .padding = SIZE_MAX};
    op_embedding_gradient(&gradient, e->embedding);
}

static void test_same_bits(void **unused) {
    (void)unused;
    static const char *const isa[] = {"portable", "neon", "avx2", "avx512"};
    float *x = numbers(ALL), *dy = numbers(ALL);
    Everything *want = malloc(sizeof *want), *got = malloc(sizeof *got);
    assert_true(want && got);
    memset(want, 0xff, sizeof *want);
    for (size_t i = 0; i < ALL; i++) x[i] *= i % 50 ? 3 : 60;
    setenv("LOCKSTEP_ISA", "portable", 1);
    assert_int_equal(ops_start(1), OK);
    do_everything(x, dy, want);
    ops_stop();
    for (size_t i = 0; i < ALL; i++)
        assert_true(want->sum[i] == x[i] + dy[i] && want->copy[i] == dy[i] && want->zero[i] == 0);
    for (size_t i = 0; i < 3; i++)
        for (size_t threads = 1; threads < 6; threads++) {
            setenv("LOCKSTEP_ISA", isa[i], 1);
            omp_set_num_threads((int)threads);
            if (ops_start(threads) != OK) continue;
            memset(got, 0xff, sizeof *got);
            do_everything(x, dy, got);
            assert_memory_equal(got, want, sizeof *got);
            ops_stop();
        }
    free(x), free(dy), free(want), free(got);
}

static void test_start(void **unused) {
    (void)unused;
    setenv("LOCKSTEP_ISA", "sse9", 1);
    assert_int_equal(ops_start(1), ERR_USAGE);
    assert_non_null(strstr(status_message(), "LOCKSTEP_ISA=sse9"));
    assert_non_null(strstr(status_message(), "portable"));
    setenv("LOCKSTEP_ISA", "portable", 1);
    assert_string_equal(ops_isa(), "portable");
    unsetenv("LOCKSTEP_ISA");
    const char *would = ops_isa();
    assert_int_equal(ops_start(3), OK);
    assert_string_equal(ops_isa(), would);
    assert_int_equal(ops_threads(), 3);
    assert_int_equal(ops_start(1), ERR_INTERNAL);
    ops_stop();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accuracy),      cmocka_unit_test(test_limits),    cmocka_unit_test(test_activations),
        cmocka_unit_test(test_layer_norm),    cmocka_unit_test(test_fused),     cmocka_unit_test(test_softmax),
        cmocka_unit_test(test_cross_entropy), cmocka_unit_test(test_embedding), cmocka_unit_test(test_same_bits),
        cmocka_unit_test(test_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
