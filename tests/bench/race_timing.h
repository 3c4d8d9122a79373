/* SPDX-License-Identifier: MIT
 *
 * race_timing.h: what race_llmc.c and race_kann.c measure; race_others.py puts it beside their copies. */
#ifndef LOCKSTEP_TESTS_BENCH_RACE_TIMING_H
#define LOCKSTEP_TESTS_BENCH_RACE_TIMING_H

#include <stdio.h>
#include <time.h>

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void print_memory(void) {
    char line[256];
    unsigned long kib = 0;
    FILE *status = fopen("/proc/self/status", "r");
    while (status && fgets(line, sizeof line, status))
        if (sscanf(line, "VmHWM: %lu", &kib) == 1) break;
    if (status) fclose(status);
    printf("memory %lu\n", kib * 1024);
}

#endif
