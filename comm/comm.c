/* SPDX-License-Identifier: MIT
 *
 * comm.c: start and end of the ranks, and what they tell each other. Within a node everything goes
 * through the node's memory; between nodes the first rank of each node speaks for it, directly with
 * every other one, so that whoever waits knows for whom. */
#include "comm/comm.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <time.h>

#include "comm/log.h"
#include "comm/private.h"

/* ---- start and end --------------------------------------------------------------------------------- */

/* Tasks of the Slurm step or job that this process was started in, as its launcher announced them. */
static size_t announced_ranks(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS", "MPI_LOCALNRANKS"};
    size_t ranks;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (threads_environment(names[i], &ranks)) return ranks;
    }
    return threads_environment("PMIX_RANK", &ranks) && ranks > 0 ? ranks + 1 : 1;
}

static size_t announced_rank(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID",
                                        "MPI_LOCALRANKID"};
    size_t rank;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (threads_environment(names[i], &rank)) return rank;
    }
    return 0;
}

bool comm_launched(void) {
    static const char *const names[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (getenv(names[i])) return true;
    }
    size_t tasks;
    return threads_environment("SLURM_STEP_NUM_TASKS", &tasks) && tasks > 1;
}

const char *comm_library(void) {
#ifdef LOCKSTEP_HAVE_MPI
    return transport_mpi_library();
#else
    return "none";
#endif
}

static Status start_transport(Comm *comm) {
    comm->transport = &transport_serial;
#ifdef LOCKSTEP_HAVE_MPI
    if (comm_launched()) comm->transport = &transport_mpi;
#endif
    TRY(comm->transport->start(&comm->rank, &comm->size));
    comm->started = true;
    size_t announced = comm_launched() ? announced_ranks() : 1;
    if (comm->size > 1 || announced <= 1) return OK;
    comm->rank = announced_rank();
    log_speak(comm->rank == 0);
#ifdef LOCKSTEP_HAVE_MPI
    if (!getenv("OMPI_COMM_WORLD_SIZE") && getenv("SLURM_STEP_NUM_TASKS")) {
        return status_fail(ERR_USAGE,
                           "ranks (Slurm step): %zu tasks were started but MPI sees one; start them with "
                           "`srun --mpi=pmix`, or with mpirun inside the allocation",
                           announced);
    }
    return status_fail(ERR_USAGE,
                       "ranks (launcher): %zu were started but MPI (%s) sees one; start them with the launcher of "
                       "that library",
                       announced, comm_library());
#else
    return status_fail(ERR_USAGE,
                       "ranks (launcher): %zu were started but this lockstep was built without MPI; build it with "
                       "-DLOCKSTEP_MPI=ON or start it without a launcher",
                       announced);
#endif
}

static Status meet(Comm *comm) {
    Peer *me = calloc(1, sizeof *me);
    comm->peers = calloc(comm->size, sizeof *comm->peers);
    if (!me || !comm->peers) {
        free(me);
        return status_fail(ERR_USAGE, "memory for %zu ranks: not available", comm->size);
    }
    size_t share;
    const char *hook = getenv("LOCKSTEP_SHARE");
    me->share = hook && strcmp(hook, "none") == 0 ? 1 : SIZE_MAX;
    if (threads_environment("LOCKSTEP_SHARE", &share) && share > 0) me->share = share;
    wait_identify(me);
    threads_describe(me);
    comm->transport->gather(me, sizeof *me, comm->peers);
    free(me);
    return node_start(comm);
}

/* Frees what a failed start has left; MPI, if it is up, ends with all ranks or with none. */
static Status start_failed(Comm *comm, Status status, bool met) {
    if (!met && comm->rank > 0) {
        /* A launcher ends the job at the first rank that fails: let the one that speaks be it. */
        struct timespec moment = {.tv_nsec = 300000000};
        nanosleep(&moment, NULL);
    }
    if (comm->started) comm->transport->finish();
    wait_unguard();
    node_finish(comm);
    free(comm->peers);
    free(comm);
    return status;
}

Status comm_start(Comm **out, int argc, char **argv) {
    *out = NULL;
    if (argc > 0 && argv) threads_prepare(argv);
    Comm *comm = calloc(1, sizeof *comm);
    if (!comm) return status_fail(ERR_USAGE, "memory: not available");
    comm->phase = "";
    comm->timeout_ns = wait_timeout();
    if (comm_launched()) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        log_speak(announced_rank() == 0);
        wait_guard("the start of the ranks", comm->timeout_ns);
    }
    Status status = start_transport(comm);
    if (status != OK) return start_failed(comm, status, false);
    log_speak(comm->rank == 0);
    status = meet(comm);
    if (status != OK) return start_failed(comm, status, true);
    wait_unguard();
    threads_start(comm);
    *out = comm;
    return OK;
}

void comm_finish(Comm **out) {
    Comm *comm = *out;
    if (!comm) return;
    comm_barrier(comm);
    atomic_store(&comm->board->slot[comm->node_rank].left, 1);
    if (comm->size > 1) wait_guard("the end of the ranks", comm->timeout_ns);
    comm->transport->finish();
    if (comm->size > 1) wait_unguard();
    node_finish(comm);
    while (comm->self) {
        SelfMessage *message = comm->self;
        comm->self = message->next;
        free(message);
    }
    free(comm->peers);
    free(comm);
    *out = NULL;
}

/* For the small things without which nothing can be agreed any more. */
static void *need(Comm *comm, void *memory) {
    if (!memory) {
        log_speak(true);
        log_error("memory (rank %zu, host %s): not available; use fewer ranks per node", comm->rank, comm_host(comm));
        comm_abort(comm, ERR_USAGE);
    }
    return memory;
}

/* ---- who we are --------------------------------------------------------------------------------------- */

size_t comm_rank(const Comm *comm) {
    return comm->rank;
}

size_t comm_size(const Comm *comm) {
    return comm->size;
}

size_t comm_node(const Comm *comm) {
    return comm->node;
}

size_t comm_nodes(const Comm *comm) {
    return comm->nodes;
}

size_t comm_node_rank(const Comm *comm) {
    return comm->node_rank;
}

size_t comm_node_size(const Comm *comm) {
    return comm->node_size;
}

CommWaits comm_waits(const Comm *comm) {
    return comm->waits;
}
size_t comm_threads(const Comm *comm) {
    return comm->threads;
}

const char *comm_host(const Comm *comm) {
    return comm->peers[comm->rank].host;
}

void comm_phase(Comm *comm, const char *phase, uint64_t step) {
    Slot *mine = &comm->board->slot[comm->node_rank];
    if (phase != comm->phase) {
        char text[PHASE_WORDS * 8] = "";
        memcpy(text, phase, strnlen(phase, sizeof text - 1)); /* several times a step: no printf */
        for (size_t i = 0; i < PHASE_WORDS; i++) {
            uint64_t word;
            memcpy(&word, text + 8 * i, sizeof word);
            atomic_store_explicit(&mine->phase[i], word, memory_order_relaxed);
        }
    }
    comm->phase = phase;
    comm->step = step;
    comm->phase_began = wait_clock();
    atomic_store_explicit(&mine->step, step, memory_order_relaxed);
    wait_alive(comm, comm->phase_began);
}

/* ---- exchange ------------------------------------------------------------------------------------------- */

/* Leaders tell each other their nodes' blobs; comm->result then holds everybody's, in `order`. */
static void exchange_nodes(Comm *comm, size_t bytes) {
    Request *sends = comm->requests, *receives = comm->requests + comm->nodes;
    unsigned char *mine = comm->result + comm->node_start[comm->node] * bytes;
    for (size_t i = 0; i < comm->node_size; i++) {
        memcpy(mine + i * bytes, comm->blobs + (2 * i + comm->sequence % 2) * comm->piece, bytes);
    }
    for (size_t n = 0; n < comm->nodes; n++) {
        if (n == comm->node) continue;
        size_t first = comm->node_start[n], leader = comm->order[first];
        comm->transport->receive(&receives[n], leader, TAG_EXCHANGE, comm->result + first * bytes,
                                 (comm->node_start[n + 1] - first) * bytes);
        comm->transport->send(&sends[n], leader, TAG_EXCHANGE, mine, comm->node_size * bytes);
    }
    for (size_t n = 0; n < comm->nodes; n++) {
        size_t leader = comm->order[comm->node_start[n]];
        if (n == comm->node) continue;
        wait_request(comm, &receives[n], leader);
        wait_request(comm, &sends[n], leader);
    }
    atomic_store_explicit(&comm->board->released, comm->sequence, memory_order_release);
}

static void offer_piece(Comm *comm, const void *mine, size_t bytes) {
    node_enter(comm);
    if (bytes > 0) memcpy(comm->blobs + (2 * comm->node_rank + comm->sequence % 2) * comm->piece, mine, bytes);
    node_arrive(comm);
}

static void take_piece(Comm *comm, size_t bytes, unsigned char *all, size_t stride) {
    size_t turn = comm->sequence % 2;
    if (comm->nodes == 1) {
        node_await_all(comm, comm->sequence);
        for (size_t r = 0; r < comm->size; r++) {
            memcpy(all + r * stride, comm->blobs + (2 * comm->position[r] + turn) * comm->piece, bytes);
        }
        return;
    }
    if (comm->node_rank == 0) {
        node_await_all(comm, comm->sequence);
        exchange_nodes(comm, bytes);
    } else {
        Wait wait = {0};
        while (atomic_load_explicit(&comm->board->released, memory_order_acquire) < comm->sequence) {
            wait_turn(comm, &wait, comm->order[comm->node_start[comm->node]]);
        }
        wait_over(comm, &wait);
    }
    for (size_t r = 0; r < comm->size; r++) memcpy(all + r * stride, comm->result + comm->position[r] * bytes, bytes);
}

static size_t piece_at(const Comm *comm, size_t done, size_t bytes) {
    return bytes - done < comm->piece ? bytes - done : comm->piece;
}

void exchange_begin(Comm *comm, const void *mine, size_t bytes) {
    offer_piece(comm, mine, piece_at(comm, 0, bytes));
}

void exchange_end(Comm *comm, const void *mine, size_t bytes, void *all) {
    if (bytes == 0) {
        node_await_all(comm, comm->sequence);
        return;
    }
    const unsigned char *from = mine;
    unsigned char *to = all;
    size_t piece = piece_at(comm, 0, bytes);
    take_piece(comm, piece, to, bytes);
    for (size_t done = piece; done < bytes; done += piece) {
        piece = piece_at(comm, done, bytes);
        offer_piece(comm, from + done, piece);
        take_piece(comm, piece, to + done, bytes);
    }
}

void comm_exchange(Comm *comm, const void *mine, size_t bytes, void *all) {
    if (comm->size == 1) {
        memcpy(all, mine, bytes);
    } else if (bytes > 0) {
        exchange_begin(comm, mine, bytes);
        exchange_end(comm, mine, bytes, all);
    }
}

void comm_node_barrier(Comm *comm) {
    if (comm->node_size == 1) return;
    node_enter(comm);
    node_arrive(comm);
    node_await_all(comm, comm->sequence);
}

void comm_barrier(Comm *comm) {
    if (comm->nodes == 1) {
        comm_node_barrier(comm);
        return;
    }
    unsigned char nothing = 0;
    comm_exchange(comm, &nothing, 1, comm->scratch);
}

/* ---- broadcast ---------------------------------------------------------------------------------------- */

static void broadcast_piece(Comm *comm, size_t root, unsigned char *data, size_t bytes) {
    size_t node = comm->node_of[root], writer = comm->node_start[comm->node];
    if (node == comm->node) writer = comm->position[root];
    node_enter(comm);
    unsigned char *piece = comm->broadcast + comm->sequence % 2 * BROADCAST_PIECE;
    if (comm->order[writer] != comm->rank) {
        node_arrive(comm);
        node_await(comm, writer - comm->node_start[comm->node], comm->sequence);
        memcpy(data, piece, bytes);
        return;
    }
    if (comm->rank == root) {
        memcpy(piece, data, bytes);
        for (size_t n = 0; n < comm->nodes; n++) {
            if (n == node) continue;
            comm->transport->send(&comm->requests[n], comm->order[comm->node_start[n]], TAG_BROADCAST, data, bytes);
        }
    } else {
        Request request = {0};
        comm->transport->receive(&request, root, TAG_BROADCAST, data, bytes);
        wait_request(comm, &request, root);
        memcpy(piece, data, bytes);
    }
    node_arrive(comm);
    for (size_t n = 0; n < comm->nodes && comm->rank == root; n++) {
        if (n != node) wait_request(comm, &comm->requests[n], comm->order[comm->node_start[n]]);
    }
}

void comm_broadcast(Comm *comm, size_t root, void *data, size_t bytes) {
    if (comm->size == 1) return;
    unsigned char *at = data;
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < BROADCAST_PIECE ? bytes - done : BROADCAST_PIECE;
        broadcast_piece(comm, root, at + done, piece);
        done += piece;
    }
}

/* ---- agreement ------------------------------------------------------------------------------------------ */

typedef struct Verdict {
    uint32_t status, length; /* of the message with its end */
} Verdict;

Status comm_agree(Comm *comm, Status mine) {
    if (comm->size == 1) return mine;
    Verdict verdict = {.status = (uint32_t)mine};
    if (mine != OK) verdict.length = (uint32_t)strlen(status_message()) + 1;
    Verdict *all = need(comm, calloc(comm->size, sizeof *all));
    comm_exchange(comm, &verdict, sizeof verdict, all);
    size_t failing = 0, lowest = comm->size;
    for (size_t r = comm->size; r-- > 0;) {
        if (all[r].status == OK) continue;
        failing++;
        lowest = r;
    }
    Verdict first = failing > 0 ? all[lowest] : verdict;
    free(all);
    if (failing == 0) return OK;
    char *message = need(comm, calloc(first.length, 1));
    if (comm->rank == lowest) memcpy(message, status_message(), first.length);
    comm_broadcast(comm, lowest, message, first.length);
    if (failing == comm->size) status_fail((Status)first.status, "%s", message);
    else if (failing == 1) status_fail((Status)first.status, "%s [rank %zu]", message, lowest);
    else
        status_fail((Status)first.status, "%s [rank %zu and %zu more of %zu]", message, lowest, failing - 1,
                    comm->size);
    free(message);
    return (Status)first.status;
}

/* ---- point to point ---------------------------------------------------------------------------------------- */

static void keep_for_self(Comm *comm, const void *data, size_t bytes) {
    SelfMessage *message = need(comm, malloc(sizeof *message + bytes)), **last = &comm->self;
    message->next = NULL;
    message->bytes = bytes;
    memcpy(message->data, data, bytes);
    while (*last) last = &(*last)->next;
    *last = message;
}

void comm_send(Comm *comm, size_t to, const void *data, size_t bytes) {
    if (to == comm->rank) {
        keep_for_self(comm, data, bytes);
        return;
    }
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < TRANSPORT_PIECE ? bytes - done : TRANSPORT_PIECE;
        Request request = {0};
        comm->transport->send(&request, to, TAG_POINT, (const unsigned char *)data + done, piece);
        wait_request(comm, &request, to);
        done += piece;
    }
}

void comm_receive(Comm *comm, size_t from, void *data, size_t bytes) {
    if (from == comm->rank) {
        SelfMessage *message = comm->self;
        if (!message) wait_lost(comm, from, "it waits for a message from itself");
        comm->self = message->next;
        memcpy(data, message->data, bytes < message->bytes ? bytes : message->bytes);
        free(message);
        return;
    }
    for (size_t done = 0; done < bytes;) {
        size_t piece = bytes - done < TRANSPORT_PIECE ? bytes - done : TRANSPORT_PIECE;
        Request request = {0};
        comm->transport->receive(&request, from, TAG_POINT, (unsigned char *)data + done, piece);
        wait_request(comm, &request, from);
        done += piece;
    }
}
