/* SPDX-License-Identifier: MIT
 *
 * comm.h: ranks and the nodes they live on. Starts MPI only under a launcher; alone (or built without
 * MPI) everything here works as one rank. A node is a set of ranks that share memory: the ranks of a
 * host, or one rank by itself where sharing is not possible. Any wait for other ranks ends within a
 * bounded time: a rank that has died or shows no life is named and the program ends with ERR_LOST. */
#ifndef LOCKSTEP_COMM_COMM_H
#define LOCKSTEP_COMM_COMM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

typedef struct Comm Comm;

/* Starts the ranks, finds nodes and threads, sets the number of OpenMP threads, flushes denormals on
 * all of them, and warns with the exact remedy where threads share cores or cores lie idle. May start
 * the program again once (OMP_WAIT_POLICY=passive or a short GOMP_SPINCOUNT) before MPI is up. The result
 * is the caller's: comm_finish. Collective. */
MUST_CHECK Status comm_start(Comm **out, int argc, char **argv);

/* Ends MPI. After a failure that not all ranks share use comm_abort. Collective. */
void comm_finish(Comm **comm);

/* Prints nothing; ends all ranks with `code` at once. Local, does not return. */
void comm_abort(Comm *comm, Status code) __attribute__((noreturn));

/* Local. */
size_t comm_rank(const Comm *comm);
size_t comm_size(const Comm *comm);
size_t comm_node(const Comm *comm); /* index of my node, 0 ... comm_nodes - 1 */
size_t comm_nodes(const Comm *comm);
size_t comm_node_rank(const Comm *comm); /* my index among the ranks of my node */
size_t comm_node_size(const Comm *comm);
size_t comm_threads(const Comm *comm);
const char *comm_host(const Comm *comm);
bool comm_launched(void); /* launcher variables are set; callable before comm_start */

/* Bytes of one data cache of that level, 1 to 5; 0 where the system does not say. Local. */
size_t comm_cache(unsigned level);
/* Caches of that level that the threads of this rank may spread over; 0 where the system does not say. Local. */
size_t comm_caches(const Comm *comm, unsigned level);

/* The MPI library's version string, or "none" in a build without it; starts nothing. Local. */
const char *comm_library(void);

/* What this rank does now, for the message that names it if it is lost. `phase` is a literal. Local. */
void comm_phase(Comm *comm, const char *phase, uint64_t step);

/* All ranks return the same Status: that of the lowest failing rank, OK if none fails; after it
 * status_message() is the same everywhere, with the rank's number where it failed on some ranks only.
 * Collective. */
MUST_CHECK Status comm_agree(Comm *comm, Status mine);

/* all[r * bytes ...] = rank r's `mine`. Bounded wait, small messages. Collective. */
void comm_exchange(Comm *comm, const void *mine, size_t bytes, void *all);

/* Collective. */
void comm_barrier(Comm *comm);
void comm_broadcast(Comm *comm, size_t root, void *data, size_t bytes);

/* Waits for the ranks of my node alone, with everything they wrote visible. Collective on the node. */
void comm_node_barrier(Comm *comm);

/* How often this rank has waited for another one since the start, and how long; arrivals without a wait do not count.
 * Local. */
typedef struct CommWaits {
    uint64_t count;
    double seconds;
} CommWaits;
CommWaits comm_waits(const Comm *comm);

/* Which ranks form a node: those of a host (at the start), those bound to one NUMA domain of it (ranks bound to
 * several, or to none, as those of a host), or each by itself. LOCKSTEP_SHARE (none, or the most ranks of a node),
 * where it is set, decides instead. Before anything is shared. ERR_USAGE if memory is short. Collective. */
typedef enum CommShare { COMM_SHARE_NODE, COMM_SHARE_NUMA, COMM_SHARE_NONE } CommShare;
MUST_CHECK Status comm_regroup(Comm *comm, CommShare share);

/* Tries whether `bytes` of node memory can be had; if not, says so and lets each rank be a node by itself. Before
 * anything is shared. Collective. */
MUST_CHECK Status comm_reserve(Comm *comm, size_t bytes);

/* One block of `bytes` zeroed bytes per node, seen by all its ranks; page-aligned. ERR_USAGE on all
 * ranks if the memory is not there. Freed by comm_finish. Collective. */
MUST_CHECK Status comm_share(Comm *comm, size_t bytes, const char *what, void **out);

/* Point to point between any two ranks, in pieces; both ends must name the same size. Collective
 * between the two ranks. A send to oneself is a copy. */
void comm_send(Comm *comm, size_t to, const void *data, size_t bytes);
void comm_receive(Comm *comm, size_t from, void *data, size_t bytes);

#endif
