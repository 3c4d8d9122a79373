/* SPDX-License-Identifier: MIT
 *
 * rank_test.h: what the files of rank_reduce share. */
#ifndef LOCKSTEP_TESTS_RANK_TEST_H
#define LOCKSTEP_TESTS_RANK_TEST_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "comm/comm.h"

extern size_t failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition) && failures++ < 10) fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);           \
    } while (0)

static inline uint64_t hash(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u + c * 0x94d049bb133111ebu + 1;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static inline void pause_a_little(uint64_t key) {
    struct timespec time = {.tv_nsec = (long)(key % 4) * 500000};
    if (time.tv_nsec > 0) nanosleep(&time, NULL);
}

static inline bool same_bits(const void *a, const void *b, size_t bytes) {
    return memcmp(a, b, bytes) == 0;
}

/* What ranks tell each other, and where they are (rank_talk.c). Collective. */
void check_talk(Comm *comm);

#endif
