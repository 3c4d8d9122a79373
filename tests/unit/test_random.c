/* SPDX-License-Identifier: MIT
 *
 * test_random.c: Philox against published answers, what is drawn from it against its distribution, and
 * dropout masks against their definition. */
#include <math.h>
#include <omp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "layers/ops/ops.h"
#include "layers/ops/random.h"
#include "layers/ops/scalar.h"

/* The known answers that come with Random123. */
static void test_known_answers(void **unused) {
    (void)unused;
    static const struct {
        uint64_t key, low, high;
        uint32_t want[4];
    } answer[] = {
        {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {0x299f31d0a4093822, 0x85a308d3243f6a88, 0x0370734413198a2e, {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t i = 0; i < sizeof answer / sizeof *answer; i++) {
        uint32_t got[4];
        random_words(answer[i].key, answer[i].low, answer[i].high, got);
        assert_memory_equal(got, answer[i].want, sizeof got);
    }
    assert_true(random_name("") == 0x2d06800538d394c2);
    assert_true(random_name("rnn.weight_ih_l0") != random_name("rnn.weight_hh_l0"));
}

static void test_scalar(void **unused) {
    (void)unused;
    for (int i = 1; i < 100000; i++) {
        const double u = i / 100000.0, x = exp((u - 0.5) * 1400);
        assert_true(fabs(scalar_log(x) - log(x)) <= 4.5e-16 * fabs(log(x)));
        assert_true(fabs(scalar_log(1 - u) - log(1 - u)) <= 4.5e-16 * fabs(log(1 - u)));
        assert_true(fabs(scalar_cos_turns(u) - (double)cosl(2 * acosl(-1) * (long double)u)) < 2.3e-16);
    }
    assert_true(scalar_log(1) == 0 && scalar_log(0) == (double)-INFINITY && isnan(scalar_log(NAN)) &&
                isnan(scalar_log(-1)));
    assert_true(scalar_log((double)INFINITY) == (double)INFINITY);
    assert_true(fabs(scalar_log(0x1p-1074) - log(0x1p-1074)) < 1e-13);
    assert_true(scalar_cos_turns(0) == 1 && scalar_cos_turns(0.5) == -1 && scalar_cos_turns(0.25) == 0 &&
                scalar_cos_turns(0.75) == 0);
}

static void test_moments(void **unused) {
    (void)unused;
    enum { N = 200000 };
    double mean = 0, square = 0, third = 0, fourth = 0, uniform = 0, uniform2 = 0, pair = 0, before = 0;
    for (uint64_t i = 0; i < N; i++) {
        const double x = random_normal(77, i), u = random_uniform(77, i);
        assert_true(u >= 0 && u < 1 && isfinite(x));
        mean += x, square += x * x, third += x * x * x, fourth += x * x * x * x;
        uniform += u, uniform2 += u * u, pair += x * before;
        before = x;
    }
    /* Five standard errors each. */
    const double error = 5 / sqrt(N);
    assert_true(fabs(mean / N) < error && fabs(square / N - 1) < error * sqrt(2) && fabs(third / N) < error * sqrt(15));
    assert_true(fabs(fourth / N - 3) < error * sqrt(96) && fabs(pair / N) < error);
    assert_true(fabs(uniform / N - 0.5) < error * sqrt(1.0 / 12) &&
                fabs(uniform2 / N - 1.0 / 3) < error * sqrt(4.0 / 45));
    assert_true(random_normal(77, 5) == random_normal(77, 5) && random_normal(78, 5) != random_normal(77, 5));
}

static void test_permutation(void **unused) {
    (void)unused;
    static const uint64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 64, 65, 100, 1000, 4095, 4096, 4097, 100003};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t key = 0; key < 3; key++) {
            const uint64_t n = sizes[s];
            uint8_t *seen = calloc(n, 1);
            uint64_t fixed = 0;
            assert_non_null(seen);
            for (uint64_t i = 0; i < n; i++) {
                const uint64_t at = random_permutation(key, n, i);
                assert_true(at < n);
                assert_int_equal(seen[at]++, 0);
                fixed += at == i;
            }
            assert_true(n < 100 || fixed < 20);
            free(seen);
        }
    /* Where element 0 of five goes is even over keys: chi squared with 4 degrees of freedom. */
    double count[5] = {0}, chi = 0;
    for (uint64_t key = 0; key < 10000; key++) count[random_permutation(key, 5, 0)]++;
    for (int i = 0; i < 5; i++) chi += (count[i] - 2000) * (count[i] - 2000) / 2000;
    assert_true(chi < 25);
    assert_true(random_permutation(9, UINT64_MAX, 3) < UINT64_MAX);
}

/* ---- dropout ------------------------------------------------------------------------------------------- */

enum { SEQUENCES = 5, FEATURES = 203, LD = 210 };
static const size_t offset[SEQUENCES + 1] = {0, 70, 70, 71, 150, 240};
static const uint64_t position[SEQUENCES] = {3, 4, 1, 0x500000007, 9};
enum { ROWS = 240 };

static float *drop(DropoutKey key, float p, const float *x) {
    float *y = calloc(ROWS * LD, sizeof *y);
    assert_non_null(y);
    op_dropout(key, p, SEQUENCES, offset, position, FEATURES, x, LD, y, LD);
    return y;
}

/* The definition: word j of counter (c, time, position, step) decides feature 64 b + 16 j + l, c = 16 b + l. */
static bool kept(DropoutKey key, float p, uint64_t place, uint32_t time, uint32_t f) {
    uint32_t site[4], words[4];
    random_words(key.seed, key.layer, (uint64_t)key.site | key.step >> 32 << 32, site);
    const uint64_t k = (uint64_t)(site[1] ^ (uint32_t)(place >> 32)) << 32 | site[0];
    const uint32_t counter = f / 64 * 16 + f % 16;
    random_words(k, (uint64_t)time << 32 | counter, key.step << 32 | (place & 0xffffffff), words);
    return words[f % 64 / 16] >= (uint64_t)((double)p * 0x1p32);
}

static void check_dropout(const float *x) {
    static const DropoutKey keys[] = {{1, 2, 3, 4}, {1, 3, 3, 4}, {1, 2, 3, 5}, {1, 0x700000002, 3, 4}};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        float *y = drop(keys[i], 0.3f, x);
        for (size_t s = 0; s < SEQUENCES; s++)
            for (size_t r = offset[s]; r < offset[s + 1]; r++)
                for (size_t f = 0; f < LD; f++) {
                    const bool keep =
                        f < FEATURES && kept(keys[i], 0.3f, position[s], (uint32_t)(r - offset[s]), (uint32_t)f);
                    assert_true(y[r * LD + f] == (keep ? x[r * LD + f] * (1 / (1 - 0.3f)) : 0.0f));
                }
        free(y);
    }
}

static void test_dropout(void **unused) {
    (void)unused;
    static const char *const isa[] = {"avx512", "avx2", "neon", "portable"};
    float *x = malloc(ROWS * LD * sizeof *x);
    assert_non_null(x);
    for (size_t i = 0; i < ROWS * LD; i++) x[i] = (float)(i % 97) + 1;
    for (size_t i = 0; i < 3; i++)
        for (size_t threads = 1; threads < 4; threads++) {
            setenv("LOCKSTEP_ISA", isa[i], 1);
            omp_set_num_threads((int)threads);
            if (ops_start(threads) != OK) continue;
            check_dropout(x);
            ops_stop();
        }
    double fraction = 0;
    const DropoutKey key = {5, 6, 7, 8};
    float *y = drop(key, 0.1f, x), *none = drop(key, 0, x), *all = drop(key, 1, x);
    for (size_t i = 0; i < ROWS * LD; i++) {
        fraction += i % LD < FEATURES && y[i] == 0;
        assert_true(i % LD >= FEATURES || (none[i] == x[i] && all[i] == 0));
    }
    const double n = ROWS * FEATURES;
    assert_true(fabs(fraction / n - 0.1) < 4 * sqrt(0.1 * 0.9 / n));
    op_dropout(key, 0.1f, SEQUENCES, offset, position, FEATURES, x, LD, x, LD);
    for (size_t i = 0; i < ROWS * LD; i++) assert_true(i % LD >= FEATURES || x[i] == y[i]);
    free(x), free(y), free(none), free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_answers), cmocka_unit_test(test_scalar),  cmocka_unit_test(test_moments),
        cmocka_unit_test(test_permutation),   cmocka_unit_test(test_dropout),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
