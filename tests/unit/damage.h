/* SPDX-License-Identifier: MIT
 *
 * damage.h: good files that chance has damaged, the same in every run. Data made of one must open, and then read
 * within its own bounds, or fail with a message. */
#ifndef LOCKSTEP_TESTS_DAMAGE_H
#define LOCKSTEP_TESTS_DAMAGE_H

#include "data_files.h"

enum { DAMAGE_ROOM = 1 << 16 };

/* Opening a file may fork, which costs a process with a shadow of its memory many times as much. */
#ifdef __SANITIZE_ADDRESS__
enum { DAMAGE_ONE_OF = 3 };
#else
enum { DAMAGE_ONE_OF = 1 };
#endif

/* 0 ... n - 1, from a state of the test's own. */
static inline size_t below(size_t n) {
    static uint64_t state = 0x9E3779B97F4A7C15u;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (size_t)(state >> 11) % n;
}

static inline bool opens(const DataConfig *config) {
    Data *data = NULL;
    Status status = data_open(config, &data);
    if (status == OK) {
        check_all(data);
    } else {
        assert_true(status == ERR_DATA || status == ERR_USAGE);
        assert_true(strlen(status_message()) > 10);
    }
    data_close(&data);
    return status == OK;
}

typedef struct Damage {
    const char *path; /* of the damaged file */
    size_t rounds;
    /* Writes the file of a round into `file` [DAMAGE_ROOM], damaged; returns its bytes. */
    size_t (*file)(void *context, size_t round, char *file);
    /* How it is opened. */
    DataConfig (*config)(void *context, size_t round);
    void *context;
} Damage;

/* How many rounds still open; under AddressSanitizer a third of them are tried, and it is three times theirs. */
static inline size_t damage_run(const Damage *damage) {
    char *file = malloc(DAMAGE_ROOM);
    assert_non_null(file);
    const size_t rounds = damage->rounds / DAMAGE_ONE_OF;
    size_t opened = 0;
    for (size_t round = 0; round < rounds; round++) {
        const size_t bytes = damage->file(damage->context, round, file);
        assert_in_range(bytes, 0, DAMAGE_ROOM);
        write_bytes(damage->path, file, bytes);
        const DataConfig config = damage->config(damage->context, round);
        opened += opens(&config);
    }
    free(file);
    print_message("%zu damaged, %zu open\n", rounds, opened);
    return opened * DAMAGE_ONE_OF;
}

#endif
