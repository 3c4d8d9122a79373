/* SPDX-License-Identifier: MIT
 *
 * wait.c: every wait for another rank has an end. A waiting rank spins, then yields, then sleeps; every
 * 50 ms it notes on the status board that it lives and what it waits for, and looks whether the
 * processes that it can see are still there. A rank is lost when its process is gone, or when it has
 * noted nothing on the board for LOCKSTEP_TIMEOUT seconds (default 300). A rank of another node cannot be
 * seen: it gets a while longer, so that its own node, which knows more, speaks first; then it is asked whom it
 * waits for. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sched.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "comm/log.h"
#include "comm/private.h"

enum {
    SPINS = 4000,     /* about 100 us of pauses */
    SPINS_CROWDED = 1 /* whoever has work does not get it done while others spin */
};
static const uint64_t millisecond = 1000000;
static const uint64_t second = 1000000000;

uint64_t wait_clock(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * second + (uint64_t)now.tv_nsec;
}

uint64_t wait_timeout(void) {
    size_t seconds;
    if (!threads_environment("LOCKSTEP_TIMEOUT", &seconds) || seconds > 1000000) seconds = 300;
    return seconds * second;
}

static void sleep_ns(uint64_t ns) {
    struct timespec time = {.tv_sec = (time_t)(ns / second), .tv_nsec = (long)(ns % second)};
    nanosleep(&time, NULL);
}

/* Whatever signals come, as a launcher sends them when it ends a job. */
static void sleep_until(uint64_t end) {
    for (uint64_t now = wait_clock(); now < end; now = wait_clock()) sleep_ns(end - now);
}

/* ---- processes ----------------------------------------------------------------------------------- */

/* State letter and start time of a process; false if there is none. */
static bool read_process(int64_t pid, char *state, uint64_t *born) {
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/%lld/stat", (long long)pid);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return false;
    ssize_t length = read(file, text, sizeof text - 1);
    close(file);
    if (length <= 0) return false;
    text[length] = '\0';
    const char *after_name = strrchr(text, ')');
    if (!after_name || after_name[1] != ' ') return false;
    *state = after_name[2];
    const char *field = after_name + 2;
    for (int i = 3; i < 22 && field; i++) {
        field = strchr(field, ' ');
        if (field) field++;
    }
    *born = field ? strtoull(field, NULL, 10) : 0;
    return true;
}

static uint64_t mix(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *byte = data;
    for (size_t i = 0; i < bytes; i++) hash = (hash ^ byte[i]) * 1099511628211u;
    return hash;
}

void wait_identify(Peer *me) {
    char state, boot[64] = "";
    if (gethostname(me->host, sizeof me->host) != 0) snprintf(me->host, sizeof me->host, "unknown");
    me->host[sizeof me->host - 1] = '\0';
    me->pid = getpid();
    if (!read_process(me->pid, &state, &me->born)) me->born = 0;
    FILE *file = fopen("/proc/sys/kernel/random/boot_id", "r");
    if (file) {
        if (!fgets(boot, sizeof boot, file)) boot[0] = '\0';
        fclose(file);
    }
    struct stat space = {0};
    if (stat("/proc/self/ns/pid", &space) != 0) space.st_ino = 0;
    me->machine = mix(14695981039346656037u, me->host, strlen(me->host));
    me->machine = mix(me->machine, boot, strlen(boot));
    me->machine = mix(me->machine, &space.st_ino, sizeof space.st_ino);
}

static Slot *slot_of(const Comm *comm, size_t rank) {
    if (comm->node_of[rank] != comm->node) return NULL;
    return &comm->board->slot[comm->position[rank] - comm->node_start[comm->node]];
}

/* `closely` reads the process's state too, which finds the unburied and a pid that was given away. */
static bool is_gone(const Comm *comm, size_t rank, bool closely) {
    const Peer *peer = &comm->peers[rank];
    if (rank == comm->rank || peer->machine != comm->peers[comm->rank].machine) return false;
    const Slot *slot = slot_of(comm, rank);
    if (slot && atomic_load(&slot->left)) return false;
    if (kill((pid_t)peer->pid, 0) != 0 && errno == ESRCH) return true;
    char state;
    uint64_t born;
    if (!closely || peer->born == 0) return false;
    if (!read_process(peer->pid, &state, &born)) return kill((pid_t)peer->pid, 0) != 0 && errno == ESRCH;
    return state == 'Z' || state == 'X' || born != peer->born;
}

/* ---- the end of a job ------------------------------------------------------------------------------ */

static void leave(int signal) {
    (void)signal;
    _exit(ERR_LOST);
}

static char guard_line[160];

static void guard_expired(int signal) {
    (void)signal;
    if (log_speaks()) {
        ssize_t written = write(STDERR_FILENO, guard_line, strlen(guard_line));
        (void)written;
    }
    _exit(ERR_LOST);
}

static void alarm_in(uint64_t ns, void (*handler)(int)) {
    struct sigaction action = {.sa_handler = handler};
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGALRM);
    sigaction(SIGALRM, &action, NULL);
    pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    alarm((unsigned)((ns + second - 1) / second));
}

void wait_guard(const char *what, uint64_t timeout_ns) {
    snprintf(guard_line, sizeof guard_line,
             "lockstep: error: %s took longer than %llu s (LOCKSTEP_TIMEOUT); a rank was lost, start the same command "
             "again\n",
             what, (unsigned long long)(timeout_ns / second));
    alarm_in(timeout_ns, guard_expired);
}

void wait_unguard(void) {
    alarm(0);
    signal(SIGALRM, SIG_DFL);
}

static void print_lost(const Comm *comm, size_t rank, const char *why) {
    const Peer *peer = &comm->peers[rank];
    const Slot *slot = slot_of(comm, rank);
    char phase[PHASE_WORDS * 8] = "", line[640], waiter[48] = "";
    uint64_t step = comm->step;
    if (slot) {
        for (size_t i = 0; i < PHASE_WORDS; i++) {
            uint64_t word = atomic_load(&slot->phase[i]);
            memcpy(phase + 8 * i, &word, sizeof word);
        }
        step = atomic_load(&slot->step);
    } else {
        snprintf(phase, sizeof phase, "%s", comm->phase);
        snprintf(waiter, sizeof waiter, " (as seen by rank %zu)", comm->rank);
    }
    phase[sizeof phase - 1] = '\0';
    int length =
        snprintf(line, sizeof line,
                 "lockstep: error: rank %zu (host %s, pid %lld) was lost in phase %s at step %llu%s: %s; start the "
                 "same command again to resume\n",
                 rank, peer->host, (long long)peer->pid, phase, (unsigned long long)step, waiter, why);
    ssize_t written = write(STDERR_FILENO, line, length < (int)sizeof line ? (size_t)length : sizeof line - 1);
    (void)written;
}

/* How long others should have the word before this rank reports `rank`. Where both share a node the
 * board decides. Else the ranks of its node come first, then the lowest rank; what they say ends the job. */
static uint64_t courtesy(const Comm *comm, size_t rank) {
    if (slot_of(comm, rank)) return 0;
    size_t node = comm->node_of[rank], turn = comm->rank - (rank < comm->rank ? 1 : 0);
    if (comm->node_start[node + 1] - comm->node_start[node] > 1) turn++;
    if (turn == 0) return 0;
    return 3 * second + (turn < 10 ? turn : 10) * 300 * millisecond;
}

/* The process that started this one, if it is one of those that start ranks; else 0. */
static pid_t launcher(uint64_t *born) {
    static const char *const names[] = {"mpirun",  "mpiexec", "orterun", "orted",
                                        "prterun", "prted",   "hydra",   "mpiexec.hydra"};
    char path[64], name[64] = "", state;
    pid_t parent = getppid();
    snprintf(path, sizeof path, "/proc/%lld/comm", (long long)parent);
    FILE *file = fopen(path, "r");
    if (!file) return 0;
    if (!fgets(name, sizeof name, file)) name[0] = '\0';
    fclose(file);
    name[strcspn(name, "\n")] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(name, names[i]) == 0) return read_process(parent, &state, born) ? parent : 0;
    }
    return 0;
}

/* A launcher that cannot reach one of its hosts any more waits for it, for a quarter of an hour or for ever
 * (Open MPI 4.1), also when all ranks have ended. A process outside the job gives it some time, then ends it. */
static void end_launcher(uint64_t timeout_ns) {
    uint64_t born = 0, now_born, grace = timeout_ns < 5 * second ? 5 * second : 15 * second;
    pid_t parent = launcher(&born);
    if (parent == 0 || fork() != 0) return;
    char state;
    signal(SIGTERM, SIG_IGN);
    setsid();
    close_range(0, ~0U, 0); /* a launcher waits for whoever holds the ends of its pipes */
    sleep_until(wait_clock() + grace);
    if (read_process(parent, &state, &now_born) && now_born == born) kill(parent, SIGKILL);
    _exit(0);
}

void wait_lost(Comm *comm, size_t rank, const char *why) {
    uint64_t word = wait_clock() + courtesy(comm, rank);
    /* Silent, but alive: its neighbours must not take this rank for the lost one. */
    bool claimed = false;
    for (uint64_t now = wait_clock(); !claimed && (now < word || now < comm->quiet_until); now = wait_clock()) {
        wait_alive(comm, now);
        if (comm->nodes > 1) inquiry_answer(comm, rank);
        sleep_ns(50 * millisecond);
        claimed = inquiry_claimed(comm);
    }
    if (claimed || atomic_exchange(&comm->board->claimed, 1) != 0) {
        sleep_until(wait_clock() + 10 * second);
        _exit(ERR_LOST);
    }
    inquiry_claim(comm);
    print_lost(comm, rank, why);
    end_launcher(comm->timeout_ns);
    comm_abort(comm, ERR_LOST);
}

void comm_abort(Comm *comm, Status code) {
    fflush(NULL);
    alarm_in(5 * second, leave);
    comm->transport->abort((int)code);
    _exit((int)code);
}

/* ---- waiting ---------------------------------------------------------------------------------------- */

static void check_lives(Comm *comm, const Wait *wait, size_t missing, uint64_t now) {
    size_t gone = is_gone(comm, missing, true) ? missing : comm->size;
    for (size_t r = 0; r < comm->size && gone == comm->size; r++) {
        if (is_gone(comm, r, r == comm->next_suspect)) gone = r;
    }
    comm->next_suspect = (comm->next_suspect + 1) % comm->size;
    if (gone == comm->size) return;
    /* After so long a phase, a rank of another node that is gone has more likely reported whom we all wait for. */
    uint64_t begun = comm->phase_began && comm->phase_began < wait->begun ? comm->phase_began : wait->begun;
    bool late = now - begun > comm->timeout_ns / 2;
    if (late && !slot_of(comm, gone)) comm->quiet_until = now + 5 * second;
    wait_lost(comm, gone, "its process is gone");
}

/* On a node the board knows for how long; a rank of another node, or whom that one waits for, gives no answer. */
static bool shows_no_life(Comm *comm, const Wait *wait, size_t missing, uint64_t now, size_t *lost) {
    const Slot *slot = slot_of(comm, missing);
    if (!slot) {
        if (now - wait->begun <= comm->timeout_ns + comm->timeout_ns / 4 + 2 * second) return false;
        return inquiry_finds_lost(comm, missing, wait->begun, now, lost);
    }
    uint64_t seen = atomic_load(&slot->heartbeat);
    uint64_t since = seen > wait->begun ? seen : wait->begun;
    *lost = missing;
    return now > since && now - since > comm->timeout_ns;
}

static void check_time(Comm *comm, const Wait *wait, size_t missing, uint64_t now) {
    char why[128];
    size_t lost;
    uint64_t waited = now - wait->begun;
    if (shows_no_life(comm, wait, missing, now, &lost)) {
        snprintf(why, sizeof why, "it shows no life for %llu s (LOCKSTEP_TIMEOUT)",
                 (unsigned long long)(slot_of(comm, lost) ? comm->timeout_ns / second : waited / second));
        wait_lost(comm, lost, why);
    }
    if (waited <= 2 * comm->timeout_ns + 10 * second) return;
    snprintf(why, sizeof why, "it lives but did not come to phase %s in %llu s", comm->phase,
             (unsigned long long)(waited / second));
    wait_lost(comm, missing, why);
}

void wait_alive(Comm *comm, uint64_t now) {
    Slot *mine = slot_of(comm, comm->rank);
    uint64_t last = atomic_load_explicit(&mine->heartbeat, memory_order_relaxed);
    /* Who was stopped for long has been reported itself: it does not accuse those who left since. */
    if (now > last && now - last > comm->timeout_ns / 2) comm->quiet_until = now + 5 * second;
    atomic_store_explicit(&mine->heartbeat, now, memory_order_relaxed);
}

static void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void wait_turn(Comm *comm, Wait *wait, size_t missing) {
    unsigned spins = comm->crowded ? SPINS_CROWDED : SPINS;
    if (wait->turns == 0) wait->entered = wait_clock();
    if (++wait->turns < spins) {
        relax();
        return;
    }
    uint64_t now = wait_clock();
    if (wait->begun == 0) wait->begun = wait->checked = now;
    if (now - wait->checked > 50 * millisecond) {
        wait->checked = now;
        Slot *mine = slot_of(comm, comm->rank);
        wait_alive(comm, now);
        atomic_store(&mine->waiting_for, (int64_t)missing);
        check_lives(comm, wait, missing, now);
        check_time(comm, wait, missing, now);
    }
    if (comm->nodes > 1) inquiry_answer(comm, missing);
    uint64_t waited = now - wait->begun;
    if (waited > 100 * millisecond) sleep_ns(200000);
    else if (comm->crowded && waited > 2 * millisecond) sleep_ns(50000);
    else sched_yield();
}

void wait_over(Comm *comm, Wait *wait) {
    if (wait->turns > 0) {
        comm->waits.count++;
        comm->waits.seconds += 1e-9 * (double)(wait_clock() - wait->entered);
    }
    if (wait->begun != wait->checked) {
        Slot *mine = slot_of(comm, comm->rank);
        atomic_store(&mine->waiting_for, -1);
        wait_alive(comm, wait_clock());
    }
    *wait = (Wait){0};
}

void wait_request(Comm *comm, Request *request, size_t other) {
    Wait wait = {0};
    Progress progress;
    while ((progress = comm->transport->test(request)) == PROGRESS_PENDING) wait_turn(comm, &wait, other);
    if (progress == PROGRESS_BROKEN) wait_lost(comm, other, "its connection broke");
    wait_over(comm, &wait);
}
