/* SPDX-License-Identifier: MIT
 *
 * work.c: see work.h. Counters only grow: after round n a job's are n times its parts. */
#include "comm/work.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "comm/private.h"

typedef struct Job {
    _Alignas(LINE) _Atomic uint64_t taken;
    _Atomic uint64_t done;
    _Atomic uint64_t last; /* rank that took one last, for the message that names it */
} Job;

struct Work {
    Comm *comm;
    Job *job; /* node memory */
};

Status work_create(Comm *comm, size_t jobs, Work **out) {
    *out = NULL;
    void *memory = NULL;
    TRY(comm_share(comm, (jobs + 1) * sizeof(Job), "shared work", &memory));
    Work *work = calloc(1, sizeof *work);
    TRY(comm_agree(comm, work ? OK : status_fail(ERR_USAGE, "memory for shared work: not available; free some")));
    *work = (Work){.comm = comm, .job = memory};
    *out = work;
    return OK;
}

void work_destroy(Work **work) {
    free(*work);
    *work = NULL;
}

bool work_take(Work *work, size_t job, uint64_t round, size_t parts, size_t *part) {
    Job *j = &work->job[job];
    uint64_t end = round * parts, taken = atomic_load_explicit(&j->taken, memory_order_relaxed);
    do {
        if (taken >= end) return false;
    } while (!atomic_compare_exchange_weak(&j->taken, &taken, taken + 1));
    atomic_store_explicit(&j->last, work->comm->rank, memory_order_relaxed);
    *part = (size_t)(taken - (end - parts));
    return true;
}

void work_done(Work *work, size_t job) {
    atomic_fetch_add_explicit(&work->job[job].done, 1, memory_order_release);
}

void work_await(Work *work, size_t job, uint64_t round, size_t parts) {
    Job *j = &work->job[job];
    Wait wait = {0};
    while (atomic_load_explicit(&j->done, memory_order_acquire) < round * parts)
        wait_turn(work->comm, &wait, (size_t)atomic_load_explicit(&j->last, memory_order_relaxed));
    wait_over(work->comm, &wait);
}
