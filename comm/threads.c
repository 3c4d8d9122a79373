/* SPDX-License-Identifier: MIT
 *
 * threads.c: how many threads a rank has, where they run, and what to tell a user whose launcher has put
 * them in the wrong place. OMP_NUM_THREADS decides where it is set; else a rank takes the cores of its
 * binding, divided among the ranks whose bindings overlap with it. */
#include <errno.h>
#include <omp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "comm/log.h"
#include "comm/private.h"

bool threads_environment(const char *name, size_t *value) {
    const char *text = getenv(name);
    if (!text || text[0] < '0' || text[0] > '9') return false;
    errno = 0;
    unsigned long long number = strtoull(text, NULL, 10);
    if (errno != 0) return false;
    *value = (size_t)number;
    return true;
}

static size_t threads_asked(void) {
    size_t threads;
    return threads_environment("OMP_NUM_THREADS", &threads) && threads <= 65536 ? threads : 0;
}

/* ---- before MPI ------------------------------------------------------------------------------------ */

/* Ranks on this host, as the launcher says. */
static size_t local_ranks(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_STEP_TASKS_PER_NODE"};
    size_t ranks;
    for (size_t i = 0; comm_launched() && i < sizeof names / sizeof names[0]; i++) {
        if (threads_environment(names[i], &ranks) && ranks > 0) return ranks;
    }
    return 1;
}

/* Programs that want a core at this moment, this one and its ranks not counted: the least of many looks,
 * since most that run are done soon, and a system's own work comes and goes. 0 where the system does not say. */
static size_t others_running(size_t ranks) {
    enum { LOOKS = 20, PAUSE_NS = 700000 };
    size_t least = SIZE_MAX;
    for (int look = 0; look < LOOKS; look++) {
        FILE *file = fopen("/proc/loadavg", "r");
        if (!file) return 0;
        size_t running;
        const bool read = fscanf(file, "%*s %*s %*s %zu/", &running) == 1;
        fclose(file);
        if (!read) return 0;
        if (running < least) least = running;
        if (least <= ranks) return 0;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_NS}, NULL);
    }
    return least - ranks;
}

/* Sets how threads are to wait, so many of each of this host's ranks; false: as they would anyway. */
static bool choose_waiting(const Peer *me, size_t threads, size_t ranks) {
    if (threads > me->cores || threads * ranks > me->host_cores) setenv("OMP_WAIT_POLICY", "passive", 1);
    else if (others_running(ranks) + threads * ranks > me->host_cores) setenv("GOMP_SPINCOUNT", "1000", 1);
    else return false;
    return true;
}

/* OMP_PROC_BIND has bound this thread to one of its places, which would be all that is left of them after a restart. */
static void leave_place(const Peer *me) {
    cpu_set_t set;
    if (omp_get_num_places() == 0) return;
    CPU_ZERO(&set);
    for (size_t i = 0; i < MASK_WORDS * 64 && i < CPU_SETSIZE; i++)
        if (me->mask[i / 64] >> (i % 64) & 1) CPU_SET(i, &set);
    (void)sched_setaffinity(0, sizeof set, &set);
}

/* Threads that wait by spinning take the core from one that works, if there are more threads than
 * cores, ours alone or with those of other programs. libgomp reads how long to spin once, when it is
 * loaded: so the program starts again with it. A thousand turns are some 20 us: on an idle machine
 * libgomp's own 300,000 are up to 5 % faster, beside several busy programs they were 2 to 10 times slower. */
void threads_prepare(char **argv) {
    static const char *const chosen[] = {"LOCKSTEP_RESTARTED", "OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME"};
    for (size_t i = 0; i < sizeof chosen / sizeof chosen[0]; i++) {
        if (getenv(chosen[i])) return;
    }
    const size_t asked = threads_asked(), ranks = local_ranks();
    Peer *me = asked == 1 ? NULL : calloc(1, sizeof *me);
    if (!me) return;
    cores_describe(me);
    const size_t sharing = (ranks * me->cores + me->host_cores - 1) / me->host_cores;
    const size_t threads = asked > 0 ? asked : me->cores / sharing;
    const bool restarts = threads > 1 && choose_waiting(me, threads, ranks);
    if (restarts) leave_place(me);
    free(me);
    if (!restarts) return;
    setenv("LOCKSTEP_RESTARTED", "1", 1);
    execv("/proc/self/exe", argv);
    unsetenv("OMP_WAIT_POLICY"); /* it did not start: slower, but right */
    unsetenv("GOMP_SPINCOUNT");
}

/* ---- the number of threads -------------------------------------------------------------------------- */

void threads_describe(Peer *me) {
    cores_describe(me);
    me->threads = threads_asked();
}

static bool masks_overlap(const Peer *a, const Peer *b) {
    bool overlap = false;
    for (size_t i = 0; i < MASK_WORDS; i++) overlap |= (a->mask[i] & b->mask[i]) != 0;
    return overlap;
}

/* Threads of rank r, the same answer on every rank. */
static size_t threads_of(const Comm *comm, size_t r) {
    const Peer *peer = &comm->peers[r];
    if (peer->threads > 0) return (size_t)peer->threads;
    size_t sharing = 0;
    for (size_t other = 0; other < comm->size; other++) {
        const Peer *p = &comm->peers[other];
        if (other == r || (p->machine == peer->machine && masks_overlap(p, peer))) sharing++;
    }
    return peer->cores > sharing ? (size_t)peer->cores / sharing : 1;
}

/* Whether the ranks that may run on my cores have more threads than there are cores. */
static bool is_crowded(const Comm *comm) {
    const Peer *me = &comm->peers[comm->rank];
    size_t overlapping = 0, on_host = 0;
    for (size_t r = 0; r < comm->size; r++) {
        const Peer *peer = &comm->peers[r];
        if (peer->machine != me->machine) continue;
        size_t threads = threads_of(comm, r);
        on_host += threads;
        if (r == comm->rank || memcmp(peer->mask, me->mask, sizeof me->mask) == 0) overlapping += threads;
    }
    return overlapping > me->cores || on_host > me->host_cores;
}

static void flush_denormals(void) {
#if defined(__x86_64__)
    _mm_setcsr(_mm_getcsr() | 0x8040u); /* flush to zero, denormals are zero */
#elif defined(__aarch64__)
    uint64_t control;
    __asm__ volatile("mrs %0, fpcr" : "=r"(control));
    __asm__ volatile("msr fpcr, %0" : : "r"(control | (uint64_t)1 << 24));
#endif
}

/* ---- warnings ----------------------------------------------------------------------------------------- */

static size_t ranks_beside(const Comm *comm, size_t r) {
    size_t count = 0;
    for (size_t other = 0; other < comm->size; other++) count += comm->peers[other].machine == comm->peers[r].machine;
    return count;
}

/* How to get ranks with so many cores each. */
static void remedy(const Comm *comm, size_t cores, char *text, size_t bytes) {
    if (getenv("OMPI_COMM_WORLD_SIZE")) {
        snprintf(text, bytes,
                 "start with `mpirun --map-by slot:PE=%zu -n %zu ...` or `mpirun --bind-to none -n %zu ...`", cores,
                 comm->size, comm->size);
    } else if (getenv("SLURM_STEP_ID")) {
        snprintf(text, bytes, "start with `srun --cpus-per-task=%zu ...`", cores);
    } else {
        snprintf(text, bytes, "let the launcher give each rank %zu cores", cores);
    }
}

/* The cores of rank r's host, divided among the ranks there. */
static size_t fair_cores(const Comm *comm, size_t r) {
    size_t fair = (size_t)comm->peers[r].host_cores / ranks_beside(comm, r);
    return fair > 0 ? fair : 1;
}

/* Says so if rank r has more threads than cores. */
static bool warn_threads(const Comm *comm, size_t r) {
    const Peer *peer = &comm->peers[r];
    size_t threads = threads_of(comm, r), ranks = ranks_beside(comm, r), fair = fair_cores(comm, r);
    char text[160];
    if (peer->threads > 1 && threads > fair) {
        log_warn("threads (host %s): OMP_NUM_THREADS=%zu with %zu rank%s on %zu cores; set OMP_NUM_THREADS=%zu",
                 peer->host, threads, ranks, ranks == 1 ? "" : "s", (size_t)peer->host_cores, fair);
        return true;
    }
    if (threads <= peer->cores) return false;
    remedy(comm, threads, text, sizeof text);
    log_warn("threads (rank %zu, host %s): %zu threads are bound to %zu of %zu cores; %s", r, peer->host, threads,
             (size_t)peer->cores, (size_t)peer->host_cores, text);
    return true;
}

/* Says so if more than half of rank 0's host lies idle because its ranks are bound to few cores. */
static void warn_idle(const Comm *comm) {
    const Peer *first = &comm->peers[0];
    uint64_t mask[MASK_WORDS] = {0};
    for (size_t r = 0; r < comm->size; r++) {
        const Peer *peer = &comm->peers[r];
        if (peer->machine != first->machine) continue;
        if (peer->threads > 0 || peer->cores >= peer->host_cores) return;
        for (size_t i = 0; i < MASK_WORDS; i++) mask[i] |= peer->mask[i];
    }
    size_t used = cores_in_mask(mask), cores = (size_t)first->host_cores;
    if (2 * used >= cores) return;
    char text[160];
    remedy(comm, fair_cores(comm, 0), text, sizeof text);
    log_warn("binding (host %s): %zu of %zu cores lie idle because the launcher bound the ranks to the others; %s",
             first->host, cores - used, cores, text);
}

static void warn(const Comm *comm) {
    for (size_t r = 0; r < comm->size; r++) {
        if (warn_threads(comm, r)) return;
    }
    if (comm_launched()) warn_idle(comm);
}

void threads_start(Comm *comm) {
    comm->threads = threads_of(comm, comm->rank);
    comm->crowded = is_crowded(comm);
    omp_set_dynamic(0);
    omp_set_num_threads((int)comm->threads);
    flush_denormals();
    int granted = 1;
#pragma omp parallel
    {
        flush_denormals();
#pragma omp master
        granted = omp_get_num_threads();
    }
    comm->threads = (size_t)granted;
    if (comm->rank == 0) warn(comm);
}
