/* SPDX-License-Identifier: MIT
 *
 * test_region.c: parallel regions are done by all their threads, counted where there is more than one, and their times
 * add up. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <omp.h>
#include <time.h>

#include "comm/region.h"

enum { MEMBERS = 3, LOOP = 100 };

static void sleep_ms(long ms) {
    nanosleep(&(struct timespec){.tv_nsec = ms * 1000000}, NULL);
}

static void test_shared_loop(void **state) {
    (void)state;
    int done[LOOP] = {0}, members = 0;
    const uint64_t before = region_times().count;
    PARALLEL(MEMBERS, LOOP) {
        if (omp_get_thread_num() == 0) members = omp_get_num_threads();
#pragma omp for schedule(static) nowait
        for (int i = 0; i < LOOP; i++) done[i]++;
    }
    assert_int_equal(members, MEMBERS);
    for (int i = 0; i < LOOP; i++) assert_int_equal(done[i], 1);
    assert_int_equal(region_times().count - before, 1);
}

static void test_alone(void **state) {
    (void)state;
    int times = 0;
    const RegionTimes before = region_times();
    region_measure(true);
    PARALLEL(1, LOOP) times++;
    PARALLEL(0, 0) times++;
    region_measure(false);
    assert_int_equal(times, 2);
    assert_int_equal(region_times().count, before.count);
    assert_true(region_times().inside == before.inside && region_times().worked == before.worked);
}

/* Nothing is forked for one thread, and all of a loop is its own, however it is shared. */
static void test_alone_shared_loop(void **state) {
    (void)state;
    int done[LOOP] = {0}, level = -1;
    PARALLEL(1, LOOP) {
        level = omp_get_level();
#pragma omp for schedule(static) nowait
        for (int i = 0; i < LOOP; i++) done[i]++;
#pragma omp for schedule(dynamic, 7) nowait
        for (int i = 0; i < LOOP; i++) done[i]++;
    }
    for (int i = 0; i < LOOP; i++) assert_int_equal(done[i], 2);
#ifdef LOCKSTEP_WRAP_PARALLEL
    assert_int_equal(level, 0);
#else
    assert_int_equal(level, 1);
#endif
}

/* Of a team around it nobody else takes a part of the loop. */
static void loop_alone(int *done) {
    PARALLEL(MEMBERS, LOOP) {
#pragma omp for schedule(static) nowait
        for (int i = 0; i < LOOP; i++) done[i]++;
    }
}

static void test_nested_shared_loop(void **state) {
    (void)state;
    int done[MEMBERS][LOOP] = {{0}};
    PARALLEL(MEMBERS, MEMBERS) loop_alone(done[omp_get_thread_num()]);
    for (int i = 0; i < MEMBERS * LOOP; i++) assert_int_equal(done[i / LOOP][i % LOOP], 1);
}

static void count_alone(int *counter) {
    PARALLEL(MEMBERS, MEMBERS)(*counter)++;
}

static void test_nested(void **state) {
    (void)state;
    int inner[MEMBERS] = {0};
    const uint64_t before = region_times().count;
    PARALLEL(MEMBERS, MEMBERS) {
        const int me = omp_get_thread_num();
        count_alone(&inner[me]);
    }
    for (int i = 0; i < MEMBERS; i++) assert_int_equal(inner[i], 1);
    assert_int_equal(region_times().count - before, 1);
}

/* One thread sleeps 30 ms, the others 5: a third of the time of three threads is a little more than work. */
static void test_times(void **state) {
    (void)state;
    const RegionTimes before = region_times();
    region_measure(true);
    PARALLEL(MEMBERS, 2) sleep_ms(omp_get_thread_num() == 1 ? 30 : 5);
    region_measure(false);
    PARALLEL(MEMBERS, 2) sleep_ms(1);
    const RegionTimes after = region_times();
    const uint64_t inside = after.inside - before.inside, worked = after.worked - before.worked;
    assert_int_equal(after.count - before.count, 2);
    assert_true(inside >= 30000000 && worked >= 40000000);
    assert_true(worked < MEMBERS * inside - 20000000);
    assert_true(after.worked_64 - before.worked_64 == (double)worked / 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shared_loop),
        cmocka_unit_test(test_alone),
        cmocka_unit_test(test_alone_shared_loop),
        cmocka_unit_test(test_nested_shared_loop),
        cmocka_unit_test(test_nested),
        cmocka_unit_test(test_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
