/* SPDX-License-Identifier: MIT
 *
 * private.h: private to comm/. The parts of a Comm, and what its files do for each other: node.c the
 * memory that the ranks of a node share, wait.c every wait, inquiry.c whom other nodes wait for, threads.c cores
 * and threads. */
#ifndef LOCKSTEP_COMM_PRIVATE_H
#define LOCKSTEP_COMM_PRIVATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/comm.h"
#include "comm/transport.h"

enum {
    LINE = 128,      /* keeps what two ranks write out of each other's cache lines, pairs of lines included */
    MASK_WORDS = 64, /* processors 0 ... 4095 */
    PHASE_WORDS = 4, /* 31 characters */
    BROADCAST_PIECE = 1 << 17
};

/* What the ranks tell each other once, at the start. */
typedef struct Peer {
    char host[64];
    int64_t pid;
    uint64_t born;             /* the kernel's start time of the process: tells a reused pid */
    uint64_t machine;          /* equal where pids mean the same processes */
    uint64_t share;            /* LOCKSTEP_SHARE: ranks per node at most */
    uint64_t cores;            /* cores in the rank's binding */
    uint64_t domain;           /* NUMA domain of the binding; UINT64_MAX: none, or more than one */
    uint64_t host_cores;       /* cores of the host that the job may use */
    uint64_t threads;          /* OMP_NUM_THREADS, 0 if unset */
    uint64_t mask[MASK_WORDS]; /* processors of the binding */
} Peer;

/* A rank's line on the status board, written by the rank alone. */
typedef struct Slot {
    _Alignas(LINE) _Atomic uint64_t arrived;   /* the last operation of the node that it has entered */
    _Alignas(LINE) _Atomic uint64_t heartbeat; /* monotonic ns */
    _Atomic uint64_t step;
    _Atomic uint64_t phase[PHASE_WORDS];
    _Atomic int64_t waiting_for; /* rank, or -1 */
    _Atomic uint32_t left;       /* has finished in order */
} Slot;

/* The first thing in node memory. After it come the blobs of an exchange, its result and the pieces of
 * a broadcast. */
typedef struct Board {
    _Alignas(LINE) _Atomic uint32_t claimed;  /* somebody reports the lost rank */
    _Alignas(LINE) _Atomic uint64_t released; /* the last exchange whose result stands in node memory */
    _Alignas(LINE) Slot slot[];
} Board;

typedef struct SharedBlock {
    struct SharedBlock *next;
    void *pages;
    size_t bytes;
    bool mapped; /* a mapping of a memfd, else pages_alloc's */
} SharedBlock;

/* What a rank has sent to itself and not yet received. */
typedef struct SelfMessage {
    struct SelfMessage *next;
    size_t bytes;
    unsigned char data[];
} SelfMessage;

/* What this rank has asked, once it has waited in vain for a rank of another node, and what it has answered. */
typedef struct Inquiry {
    Request question, answer, reply;
    size_t asked;
    uint64_t since; /* ns */
    uint64_t waits_for, replied;
} Inquiry;

struct Comm {
    const Transport *transport;
    bool started; /* the transport is up */
    size_t rank, size;
    size_t node, nodes, node_rank, node_size;
    size_t *node_of;    /* [size] */
    size_t *order;      /* [size] ranks, node by node */
    size_t *node_start; /* [nodes + 1] into order */
    size_t *position;   /* [size] where a rank stands in order */
    size_t *lowest;     /* [size] the lowest rank on a rank's host */
    Peer *peers;        /* [size] */
    size_t threads;
    bool crowded; /* more threads than cores here: give the core away while waiting */

    Board *board;
    unsigned char *blobs;     /* [node_size][2][piece] */
    unsigned char *result;    /* [size][piece], in `order` */
    unsigned char *broadcast; /* [2][BROADCAST_PIECE] */
    size_t piece;
    uint64_t sequence; /* operations of the node entered so far */
    SharedBlock *shared;
    SelfMessage *self;
    Request *requests;      /* [2 * nodes] */
    unsigned char *scratch; /* [size] */

    CommWaits waits;

    const char *phase;
    uint64_t step;
    uint64_t timeout_ns;
    uint64_t quiet_until; /* reports nobody before */
    uint64_t phase_began;
    size_t next_suspect; /* whose process is looked at more closely next */
    Inquiry inquiry;
};

/* ---- wait.c ---------------------------------------------------------------------------------------- */

/* One wait: zeroed, then wait_turn as often as the condition does not hold, then wait_over. */
typedef struct Wait {
    uint64_t entered, begun, checked;
    unsigned turns;
} Wait;

/* Passes some time; names `missing`, or any rank found dead, and ends the job when it is lost. */
void wait_turn(Comm *comm, Wait *wait, size_t missing);
void wait_over(Comm *comm, Wait *wait);
void wait_alive(Comm *comm, uint64_t now); /* the heartbeat */
void wait_request(Comm *comm, Request *request, size_t other);
/* Ends the job with one line that names `rank`. */
void wait_lost(Comm *comm, size_t rank, const char *why) __attribute__((noreturn));

uint64_t wait_clock(void);
uint64_t wait_timeout(void);  /* LOCKSTEP_TIMEOUT in ns */
void wait_identify(Peer *me); /* host, pid, born, machine */
/* While MPI itself waits: ends the process with ERR_LOST after the timeout. */
void wait_guard(const char *what, uint64_t timeout_ns);
void wait_unguard(void);

/* ---- inquiry.c ------------------------------------------------------------------------------------- */

/* To be called again and again after a wait since `begun` that is too long: true when *lost, `missing` of another
 * node or whom it turned out to wait for, does not answer. */
bool inquiry_finds_lost(Comm *comm, size_t missing, uint64_t begun, uint64_t now, size_t *lost);
/* Answers a rank that asks, and lets messages progress. */
void inquiry_answer(Comm *comm, size_t waits_for);
/* This rank reports the lost one: others need not. On a node the board tells that. */
void inquiry_claim(Comm *comm);
bool inquiry_claimed(Comm *comm);

/* ---- node.c ---------------------------------------------------------------------------------------- */

/* Finds the nodes and opens the status board; falls back to one rank per node if memory cannot be
 * shared. Collective. */
Status node_start(Comm *comm);
void node_finish(Comm *comm);
/* Enters the next operation of the node: on return blobs and pieces of the one before last are free. */
void node_enter(Comm *comm);
void node_arrive(Comm *comm);
bool node_arrived(const Comm *comm, size_t node_rank, uint64_t sequence);
void node_await(Comm *comm, size_t node_rank, uint64_t sequence);
/* The same for any counter in node memory that a rank of my node raises. */
void node_await_counter(Comm *comm, size_t node_rank, const _Atomic uint64_t *counter, uint64_t least);
void node_await_all(Comm *comm, uint64_t sequence);

/* ---- comm.c ---------------------------------------------------------------------------------------- */

/* comm_exchange in two halves: an operation of the node that says on the board that this rank has come, and the wait
 * for what the others bring to it; of no bytes, for the ranks of the node alone. No other operation in between. */
void exchange_begin(Comm *comm, const void *mine, size_t bytes);
void exchange_end(Comm *comm, const void *mine, size_t bytes, void *all);

/* ---- cores.c --------------------------------------------------------------------------------------- */

/* Fills cores, host_cores, domain and mask. */
void cores_describe(Peer *me);
/* Cores of this host that the processors of `mask` belong to. */
size_t cores_in_mask(const uint64_t mask[static MASK_WORDS]);

/* ---- threads.c ------------------------------------------------------------------------------------- */

/* The number that the environment variable starts with. */
bool threads_environment(const char *name, size_t *value);
/* Before MPI: starts the program again where waiting threads would take cores from working ones. */
void threads_prepare(char **argv);
void threads_describe(Peer *me);
/* Sets the number of threads, flushes denormals on all of them, warns. */
void threads_start(Comm *comm);

#endif
