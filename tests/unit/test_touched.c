/* SPDX-License-Identifier: MIT
 *
 * test_touched.c: runs of touched floats over random tables, rows of any width, against a map of single floats;
 * packing and unpacking; sums of squares in parts have the bits of the sum over a block that holds zeros. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "comm/touched.h"
#include "comm/tree.h"

enum { FLOATS = 4096, ROUNDS = 400, TABLES = 3 };

static uint64_t state = 88172645463325252u;

static size_t below(size_t limit) {
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 20) % limit;
}

static TouchedTable table[TABLES];
static uint32_t counts[TABLES][FLOATS];
static bool map[FLOATS];
static float full[FLOATS], block[FLOATS];

/* Random tables, sometimes side by side; what is touched of them few, about half, all or none. */
static Touched draw(void) {
    size_t at = below(2) * below(100), tables = 0;
    for (size_t i = 0; i < FLOATS; i++) map[i] = true;
    for (; tables < below(TABLES + 1) && at + 300 < FLOATS; tables++) {
        TouchedTable t = {.offset = at, .width = 1 + below(90), .count = counts[tables]};
        t.rows = 1 + below((FLOATS - at) / t.width);
        size_t of = 1 + below(9), kind = below(4);
        for (size_t row = 0; row < t.rows; row++) {
            bool touched = kind == 0 ? below(of * 4) == 0 : kind == 1 ? below(2) : kind == 2;
            counts[tables][row] = touched ? 1 + (uint32_t)below(5) : 0;
            for (size_t k = 0; k < t.width; k++) map[at + row * t.width + k] = touched;
        }
        table[tables] = t;
        at += t.rows * t.width + below(3) * below(60);
    }
    return (Touched){.table = table, .tables = tables};
}

static void test_runs(void **unused) {
    (void)unused;
    for (size_t round = 0; round < ROUNDS; round++) {
        Touched touched = draw();
        size_t first = below(FLOATS), end = first + below(FLOATS - first + 1), at = first, floats = 0;
        EACH_TOUCHED(run, &touched, first, end) {
            assert_true(run.first >= at && run.first < run.end && run.end <= end);
            assert_true(at == first || run.first > at); /* runs are as long as they can be */
            for (size_t i = at; i < run.first; i++) assert_false(map[i]);
            for (size_t i = run.first; i < run.end; i++) assert_true(map[i]);
            floats += run.end - run.first;
            at = run.end;
        }
        for (size_t i = at; i < end; i++) assert_false(map[i]);
        assert_int_equal(touched_floats(&touched, first, end), floats);
    }
}

static void test_packing(void **unused) {
    (void)unused;
    for (size_t round = 0; round < ROUNDS; round++) {
        Touched touched = draw();
        size_t first = below(FLOATS), end = first + below(FLOATS - first + 1), count = end - first;
        for (size_t i = 0; i < count; i++) block[i] = map[first + i] ? (float)(i + 1) : NAN;
        size_t packed = touched_pack(&touched, first, end, block, block);
        assert_int_equal(packed, touched_floats(&touched, first, end));
        for (size_t i = 1; i < packed; i++) assert_true(block[i] > block[i - 1]);
        memmove(block + (count - packed), block, packed * sizeof *block);
        memcpy(full, block + (count - packed), packed * sizeof *block);
        touched_unpack(&touched, first, end, block + (count - packed), block);
        for (size_t i = 0; i < count; i++)
            if (map[first + i]) assert_true(block[i] == (float)(i + 1));
        for (size_t i = 0; i < count; i++) block[i] = -1;
        touched_unpack(&touched, first, end, full, block);
        for (size_t i = 0; i < count; i++) assert_true(block[i] == (map[first + i] ? (float)(i + 1) : -1.0f));
    }
}

static void test_squares(void **unused) {
    (void)unused;
    for (size_t round = 0; round < ROUNDS; round++) {
        Touched touched = draw();
        size_t count = 16 * (1 + below(FLOATS / 16));
        for (size_t i = 0; i < count; i++) {
            block[i] = map[i] ? ldexpf((float)below(1u << 20) - 500000.0f, -(int)below(40)) : NAN;
            full[i] = map[i] ? block[i] : 0.0f;
        }
        TreeSquares parts = {0}, whole = {0};
        EACH_TOUCHED(run, &touched, 0, count)
        tree_squares_add(&parts, block + run.first, run.first, run.end - run.first);
        tree_squares_add(&whole, full, 0, count);
        double have = tree_squares_sum(&parts), want = tree_squares_sum(&whole), plain = 0;
        assert_memory_equal(&have, &want, sizeof have);
        for (size_t i = 0; i < count; i++) plain += (double)full[i] * (double)full[i];
        assert_true(fabs(have - plain) <= 1e-9 * plain);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_packing),
        cmocka_unit_test(test_squares),
    };
    return cmocka_run_group_tests_name("touched", tests, NULL, NULL);
}
