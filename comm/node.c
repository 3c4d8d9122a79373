/* SPDX-License-Identifier: MIT
 *
 * node.c: which ranks form a node, and the memory they share. Memory is a memfd of the node's first rank
 * that the others open through /proc: it needs no /dev/shm and leaves nothing behind. Each step is agreed
 * by all ranks before the next, so that a failure on one is a decision of all. The status board is the
 * trial: if it cannot be shared somewhere, every rank of the job becomes a node of its own. */
#define _GNU_SOURCE /* memfd_create */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "comm/arena.h"
#include "comm/log.h"
#include "comm/private.h"

typedef void Gather(Comm *comm, const void *mine, size_t bytes, void *all);

/* ---- nodes ----------------------------------------------------------------------------------------- */

/* The lowest rank that may share a node with rank r. */
static size_t companion(const Comm *comm, size_t r, CommShare share) {
    const uint64_t domain = comm->peers[r].domain;
    for (size_t other = comm->lowest[r]; share != COMM_SHARE_NONE && other < r; other++) {
        if (comm->lowest[other] != comm->lowest[r]) continue;
        if (share == COMM_SHARE_NODE || comm->peers[other].domain == domain) return other;
    }
    return r;
}

/* Those that may share, in order, at most `limit` to a node; nodes numbered by their lowest rank. */
static Status form_nodes(Comm *comm, CommShare share, size_t limit) {
    size_t *on_host = calloc(comm->size, sizeof *on_host);
    size_t *newest = calloc(comm->size, sizeof *newest);
    if (!on_host || !newest) {
        free(on_host);
        free(newest);
        return status_fail(ERR_USAGE, "memory for %zu ranks: not available", comm->size);
    }
    comm->nodes = 0;
    for (size_t r = 0; r < comm->size; r++) {
        size_t host = companion(comm, r, share);
        if (on_host[host]++ % limit == 0) newest[host] = comm->nodes++;
        comm->node_of[r] = newest[host];
    }
    free(on_host);
    free(newest);

    size_t placed = 0;
    for (size_t n = 0; n < comm->nodes; n++) {
        comm->node_start[n] = placed;
        for (size_t r = 0; r < comm->size; r++) {
            if (comm->node_of[r] != n) continue;
            comm->position[r] = placed;
            comm->order[placed++] = r;
        }
    }
    comm->node_start[comm->nodes] = placed;
    comm->node = comm->node_of[comm->rank];
    comm->node_rank = comm->position[comm->rank] - comm->node_start[comm->node];
    comm->node_size = comm->node_start[comm->node + 1] - comm->node_start[comm->node];
    return OK;
}

static size_t node_leader(const Comm *comm) {
    return comm->order[comm->node_start[comm->node]];
}

/* ---- one block of node memory ------------------------------------------------------------------------ */

/* A rank's part in making a block. */
typedef struct Offer {
    int64_t pid, descriptor;
    uint32_t failed;
    char why[124];
} Offer;

static void refuse(Offer *offer, const char *what) {
    offer->failed = 1;
    snprintf(offer->why, sizeof offer->why, "%s: %s", what, strerror(errno));
}

static size_t nodes_of_host(const Comm *comm) {
    size_t count = 0;
    for (size_t n = 0; n < comm->nodes; n++) {
        const Peer *first = &comm->peers[comm->order[comm->node_start[n]]];
        if (first->machine == comm->peers[comm->rank].machine) count++;
    }
    return count;
}

/* The leader's part: the memory must be there, for each node of this host. */
static void make_block(const Comm *comm, SharedBlock *block, Offer *offer) {
    size_t available = memory_available(), needed;
    if (!size_multiply(block->bytes, nodes_of_host(comm), &needed)) needed = SIZE_MAX;
    if (needed > available) {
        offer->failed = 1;
        snprintf(offer->why, sizeof offer->why, "%.1f MiB needed, %.1f MiB available on host %.40s",
                 (double)needed / 1048576.0, (double)available / 1048576.0, comm_host(comm));
        return;
    }
    if (comm->node_size == 1) {
        block->pages = pages_alloc(block->bytes);
        if (!block->pages) refuse(offer, "memory");
        return;
    }
    offer->pid = getpid();
    offer->descriptor = memfd_create("lockstep", MFD_CLOEXEC);
    if (offer->descriptor < 0) {
        refuse(offer, "memfd_create");
    } else if (ftruncate((int)offer->descriptor, (off_t)block->bytes) != 0) {
        refuse(offer, "ftruncate of a memfd");
    } else {
        void *pages = mmap(NULL, block->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, (int)offer->descriptor, 0);
        if (pages == MAP_FAILED) refuse(offer, "mmap of a memfd");
        else block->pages = pages;
    }
}

/* The others' part. */
static void open_block(SharedBlock *block, const Offer *leader, Offer *offer) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%lld/fd/%lld", (long long)leader->pid, (long long)leader->descriptor);
    int descriptor = open(path, O_RDWR | O_CLOEXEC);
    if (descriptor < 0) {
        refuse(offer, path);
        return;
    }
    void *pages = mmap(NULL, block->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (pages == MAP_FAILED) refuse(offer, "mmap of a memfd");
    else block->pages = pages;
    close(descriptor);
}

static void release_block(SharedBlock *block) {
    if (block->pages && block->mapped) munmap(block->pages, block->bytes);
    else pages_free(block->pages, block->bytes);
    free(block);
}

/* The first rank that failed, else `size`. */
static size_t first_failed(const Comm *comm, const Offer *offers) {
    size_t r = 0;
    while (r < comm->size && !offers[r].failed) r++;
    return r;
}

/* The same result on all ranks; `why` says the lowest failing rank's reason. */
static bool share_block(Comm *comm, Gather *gather, size_t bytes, char why[static 160], SharedBlock **out) {
    Offer mine = {.descriptor = -1}, *offers = calloc(comm->size, sizeof *offers);
    SharedBlock *block = calloc(1, sizeof *block);
    if (!offers || !block) {
        log_speak(true);
        log_error("memory (rank %zu, host %s): not available; use fewer ranks per node", comm->rank, comm_host(comm));
        comm_abort(comm, ERR_USAGE);
    }
    block->bytes = bytes;
    block->mapped = comm->node_size > 1;
    if (comm->node_rank == 0) make_block(comm, block, &mine);
    gather(comm, &mine, sizeof mine, offers);
    size_t failed = first_failed(comm, offers);
    if (failed == comm->size) {
        if (comm->node_rank != 0) open_block(block, &offers[node_leader(comm)], &mine);
        gather(comm, &mine, sizeof mine, offers);
        failed = first_failed(comm, offers);
    }
    if (mine.descriptor >= 0) close((int)mine.descriptor);
    if (failed < comm->size) {
        snprintf(why, 160, "%s [rank %zu]", offers[failed].why, failed);
        release_block(block);
        block = NULL;
    } else {
        if (block->mapped) madvise(block->pages, bytes, MADV_HUGEPAGE);
        block->next = comm->shared;
        comm->shared = block;
    }
    free(offers);
    *out = block;
    return block != NULL;
}

static void exchange_offers(Comm *comm, const void *mine, size_t bytes, void *all) {
    comm_exchange(comm, mine, bytes, all);
}

Status comm_share(Comm *comm, size_t bytes, const char *what, void **out) {
    char why[160];
    SharedBlock *block;
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    *out = NULL;
    size_t rounded = bytes > SIZE_MAX / 2 ? SIZE_MAX / 2 / page * page : (bytes + page - 1) / page * page;
    if (rounded == 0) rounded = page;
    if (!share_block(comm, exchange_offers, rounded, why, &block)) {
        return status_fail(ERR_USAGE, "node memory for %s: %s; make the model smaller or use fewer ranks per node",
                           what, why);
    }
    *out = block->pages;
    return OK;
}

/* ---- the status board ---------------------------------------------------------------------------------- */

static void gather_at_start(Comm *comm, const void *mine, size_t bytes, void *all) {
    comm->transport->gather(mine, bytes, all);
}

static size_t piece_bytes(size_t ranks) {
    size_t piece = ((size_t)256 << 10) / ranks / 64 * 64;
    return piece < 512 ? 512 : piece > 8192 ? 8192 : piece;
}

static bool open_board(Comm *comm, char why[static 160]) {
    comm->piece = piece_bytes(comm->size);
    size_t slots = sizeof(Board) + comm->node_size * sizeof(Slot);
    size_t blobs = comm->node_size * 2 * comm->piece;
    size_t result = comm->nodes > 1 ? comm->size * comm->piece : 0;
    SharedBlock *block;
    if (!share_block(comm, gather_at_start, slots + blobs + result + 2 * (size_t)BROADCAST_PIECE, why, &block))
        return false;
    comm->board = block->pages;
    comm->blobs = (unsigned char *)block->pages + slots;
    comm->result = comm->blobs + blobs;
    comm->broadcast = comm->result + result;
    return true;
}

static void say_nodes(const Comm *comm, const char *what) {
    size_t hosts = 0;
    for (size_t r = 0; r < comm->size; r++) hosts += comm->lowest[r] == r;
    if (comm->nodes > hosts)
        log_info("%s: %zu nodes on %zu host%s, each with its own copy of the parameters", what, comm->nodes, hosts,
                 hosts == 1 ? "" : "s");
}

/* Forms nodes and opens their boards. */
static Status open_nodes(Comm *comm, CommShare share, size_t limit, const char *what) {
    char why[160];
    TRY(form_nodes(comm, share, limit));
    if (what) say_nodes(comm, what);
    if (!open_board(comm, why)) {
        log_warn("memory of a node cannot be shared (%s): each rank keeps its own copy of the parameters", why);
        TRY(form_nodes(comm, COMM_SHARE_NONE, 1));
        if (!open_board(comm, why)) return status_fail(ERR_USAGE, "memory for the status board: %s", why);
    }
    comm->requests = calloc(2 * comm->nodes, sizeof *comm->requests);
    if (!comm->requests) return status_fail(ERR_USAGE, "memory for %zu nodes: not available", comm->nodes);
    comm->sequence = 0;
    Slot *mine = &comm->board->slot[comm->node_rank];
    atomic_store(&mine->waiting_for, -1);
    atomic_store(&mine->heartbeat, wait_clock());
    comm->phase = "";
    comm_phase(comm, "start", 0);
    return OK;
}

Status node_start(Comm *comm) {
    size_t count = comm->size, limit = (size_t)comm->peers[0].share;
    comm->lowest = calloc(count, sizeof *comm->lowest);
    comm->node_of = calloc(count, sizeof *comm->node_of);
    comm->order = calloc(count, sizeof *comm->order);
    comm->node_start = calloc(count + 1, sizeof *comm->node_start);
    comm->position = calloc(count, sizeof *comm->position);
    comm->scratch = calloc(count, 1);
    if (!comm->lowest || !comm->node_of || !comm->order || !comm->node_start || !comm->position || !comm->scratch)
        return status_fail(ERR_USAGE, "memory for %zu ranks: not available", count);
    comm->transport->hosts(comm->lowest);
    return open_nodes(comm, COMM_SHARE_NODE, limit, "LOCKSTEP_SHARE");
}

static void close_nodes(Comm *comm) {
    while (comm->shared) {
        SharedBlock *block = comm->shared;
        comm->shared = block->next;
        release_block(block);
    }
    free(comm->requests);
    comm->requests = NULL;
}

/* All ranks have left the old board before any of it goes. */
static Status reopen(Comm *comm, CommShare share, const char *what) {
    unsigned char nothing = 0;
    comm_barrier(comm);
    wait_guard("the forming of nodes", comm->timeout_ns);
    comm->transport->gather(&nothing, 1, comm->scratch);
    close_nodes(comm);
    Status status = open_nodes(comm, share, SIZE_MAX, what);
    wait_unguard();
    if (status == OK) return OK;
    log_speak(true);
    log_error("%s", status_message());
    comm_abort(comm, status);
}

Status comm_regroup(Comm *comm, CommShare share) {
    if (comm->size == 1 || share == COMM_SHARE_NODE || comm->peers[0].share != SIZE_MAX) return OK;
    return reopen(comm, share, share == COMM_SHARE_NUMA ? "comm.share: numa" : "comm.share: none");
}

Status comm_reserve(Comm *comm, size_t bytes) {
    char why[160];
    SharedBlock *block;
    if (comm->nodes == comm->size) return OK;
    if (share_block(comm, exchange_offers, bytes + 1, why, &block)) {
        comm->shared = block->next;
        release_block(block);
        return OK;
    }
    log_warn("node memory of %.1f MiB cannot be had (%s): each rank keeps its own copy of the parameters",
             (double)bytes / 1048576.0, why);
    return reopen(comm, COMM_SHARE_NONE, NULL);
}

void node_finish(Comm *comm) {
    close_nodes(comm);
    free(comm->lowest);
    free(comm->scratch);
    free(comm->node_of);
    free(comm->order);
    free(comm->node_start);
    free(comm->position);
}

/* ---- operations of a node ---------------------------------------------------------------------------------
 * Every rank of a node goes through the same sequence of operations and counts them on its line of the
 * board. Who has arrived at one has done with all before it, so two buffers used in turn are enough. */

bool node_arrived(const Comm *comm, size_t node_rank, uint64_t sequence) {
    return atomic_load_explicit(&comm->board->slot[node_rank].arrived, memory_order_acquire) >= sequence;
}

void node_await_counter(Comm *comm, size_t node_rank, const _Atomic uint64_t *counter, uint64_t least) {
    Wait wait = {0};
    while (atomic_load_explicit(counter, memory_order_acquire) < least) {
        wait_turn(comm, &wait, comm->order[comm->node_start[comm->node] + node_rank]);
    }
    wait_over(comm, &wait);
}

void node_await(Comm *comm, size_t node_rank, uint64_t sequence) {
    node_await_counter(comm, node_rank, &comm->board->slot[node_rank].arrived, sequence);
}

void node_await_all(Comm *comm, uint64_t sequence) {
    for (size_t i = 0; i < comm->node_size; i++) node_await(comm, i, sequence);
}

void node_enter(Comm *comm) {
    node_await_all(comm, comm->sequence);
    comm->sequence++;
}

void node_arrive(Comm *comm) {
    atomic_store_explicit(&comm->board->slot[comm->node_rank].arrived, comm->sequence, memory_order_release);
}
