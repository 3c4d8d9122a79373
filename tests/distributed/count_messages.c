/* SPDX-License-Identifier: MIT
 *
 * count_messages.c: a library for LD_PRELOAD that stands between a program and MPI (the standard's profiling
 * interface). It counts what is sent and received, and at MPI_Finalize all ranks compare: a message that nobody
 * received, one received with fewer bytes than room was made for, a request that was not seen to its end. Rank 0
 * prints one line with the counts; its first word is `messages` when all is well and `unmatched` when not.
 *
 * It knows the calls that comm/ makes between ranks; any other call that sends, receives or completes ends the
 * program, so that nothing goes by uncounted. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Pending {
    MPI_Request request;
    int peer, bytes; /* bytes: the room of a receive, -1 for a send */
} Pending;

typedef struct Traffic {
    long long messages, bytes;
} Traffic;

static Pending *pending;
static size_t count, room;
static Traffic *sent, *received; /* [ranks] */
static long long short_messages;

static void fatal(const char *what) {
    fprintf(stderr, "count_messages: %s\n", what);
    PMPI_Abort(MPI_COMM_WORLD, 1);
}

static int ranks(void) {
    int n;
    PMPI_Comm_size(MPI_COMM_WORLD, &n);
    return n;
}

static void ready(void) {
    if (sent) return;
    sent = calloc((size_t)ranks(), sizeof *sent);
    received = calloc((size_t)ranks(), sizeof *received);
    if (!sent || !received) fatal("no memory");
}

static void note(MPI_Request request, int peer, int bytes) {
    if (count == room) {
        room = room ? 2 * room : 256;
        pending = realloc(pending, room * sizeof *pending);
        if (!pending) fatal("no memory");
    }
    pending[count++] = (Pending){request, peer, bytes};
}

int MPI_Isend(const void *data, int n, MPI_Datatype type, int to, int tag, MPI_Comm comm, MPI_Request *request) {
    int size;
    ready();
    PMPI_Type_size(type, &size);
    int code = PMPI_Isend(data, n, type, to, tag, comm, request);
    sent[to].messages++;
    sent[to].bytes += (long long)n * size;
    note(*request, to, -1);
    return code;
}

int MPI_Irecv(void *data, int n, MPI_Datatype type, int from, int tag, MPI_Comm comm, MPI_Request *request) {
    int size;
    ready();
    PMPI_Type_size(type, &size);
    int code = PMPI_Irecv(data, n, type, from, tag, comm, request);
    note(*request, from, n * size);
    return code;
}

static void count_done(MPI_Request handle, const MPI_Status *status) {
    int bytes;
    /* Sends that were over at once may share one handle; they need no telling apart. */
    size_t i = count;
    while (i > 0 && pending[i - 1].request != handle) i--;
    if (i == 0) fatal("a request that nobody has posted");
    Pending p = pending[i - 1];
    pending[i - 1] = pending[--count];
    if (p.bytes < 0) return;
    PMPI_Get_count(status, MPI_BYTE, &bytes);
    received[p.peer].messages++;
    received[p.peer].bytes += bytes;
    short_messages += bytes != p.bytes;
}

int MPI_Test(MPI_Request *request, int *done, MPI_Status *status) {
    MPI_Status mine;
    MPI_Request handle = *request;
    int code = PMPI_Test(request, done, &mine);
    if (status != MPI_STATUS_IGNORE) *status = mine;
    if (*done && handle != MPI_REQUEST_NULL) count_done(handle, &mine);
    return code;
}

int MPI_Testsome(int n, MPI_Request request[], int *number, int done[], MPI_Status status[]) {
    enum { MOST = 64 };
    MPI_Status mine[MOST];
    MPI_Request handle[MOST];
    if (n > MOST) fatal("MPI_Testsome of more requests than there is room for");
    for (int i = 0; i < n; i++) handle[i] = request[i];
    int code = PMPI_Testsome(n, request, number, done, mine);
    for (int i = 0; *number != MPI_UNDEFINED && i < *number; i++) {
        count_done(handle[done[i]], &mine[i]);
        if (status != MPI_STATUSES_IGNORE) status[i] = mine[i];
    }
    return code;
}

int MPI_Finalize(void) {
    int me, n = ranks();
    long long mine[4] = {0, 0, short_messages, (long long)count}, all[4]; /* sent, unmatched, short, unfinished */
    ready();
    Traffic *theirs = calloc((size_t)n, sizeof *theirs); /* what each rank has sent to this one */
    if (!theirs) fatal("no memory");
    PMPI_Comm_rank(MPI_COMM_WORLD, &me);
    PMPI_Alltoall(sent, 2, MPI_LONG_LONG, theirs, 2, MPI_LONG_LONG, MPI_COMM_WORLD);
    for (int r = 0; r < n; r++) {
        mine[0] += sent[r].messages;
        mine[1] += llabs(theirs[r].messages - received[r].messages);
        if (theirs[r].messages == received[r].messages && theirs[r].bytes != received[r].bytes) mine[1]++;
    }
    PMPI_Reduce(mine, all, 4, MPI_LONG_LONG, MPI_SUM, 0, MPI_COMM_WORLD);
    if (me == 0) {
        fprintf(stderr, "%s: %lld sent, %lld not received, %lld short, %lld requests unfinished\n",
                all[1] || all[2] || all[3] ? "unmatched" : "messages", all[0], all[1], all[2], all[3]);
    }
    free(theirs);
    free(sent);
    free(received);
    free(pending);
    return PMPI_Finalize();
}

#define UNCOUNTED(name, ...)                                                                                           \
    int name(__VA_ARGS__) {                                                                                            \
        fatal(#name " is not counted; teach this library");                                                            \
        return MPI_ERR_OTHER;                                                                                          \
    }
#pragma GCC diagnostic ignored "-Wunused-parameter"
UNCOUNTED(MPI_Send, const void *b, int n, MPI_Datatype t, int to, int tag, MPI_Comm c)
UNCOUNTED(MPI_Ssend, const void *b, int n, MPI_Datatype t, int to, int tag, MPI_Comm c)
UNCOUNTED(MPI_Issend, const void *b, int n, MPI_Datatype t, int to, int tag, MPI_Comm c, MPI_Request *r)
UNCOUNTED(MPI_Send_init, const void *b, int n, MPI_Datatype t, int to, int tag, MPI_Comm c, MPI_Request *r)
UNCOUNTED(MPI_Recv_init, void *b, int n, MPI_Datatype t, int from, int tag, MPI_Comm c, MPI_Request *r)
UNCOUNTED(MPI_Recv, void *b, int n, MPI_Datatype t, int from, int tag, MPI_Comm c, MPI_Status *s)
UNCOUNTED(MPI_Sendrecv, const void *b, int n, MPI_Datatype t, int to, int tag, void *b2, int n2, MPI_Datatype t2,
          int from, int tag2, MPI_Comm c, MPI_Status *s)
UNCOUNTED(MPI_Wait, MPI_Request *r, MPI_Status *s)
UNCOUNTED(MPI_Waitall, int n, MPI_Request r[], MPI_Status s[])
UNCOUNTED(MPI_Waitany, int n, MPI_Request r[], int *i, MPI_Status *s)
UNCOUNTED(MPI_Waitsome, int n, MPI_Request r[], int *m, int i[], MPI_Status s[])
UNCOUNTED(MPI_Testall, int n, MPI_Request r[], int *done, MPI_Status s[])
UNCOUNTED(MPI_Testany, int n, MPI_Request r[], int *i, int *done, MPI_Status *s)
UNCOUNTED(MPI_Request_free, MPI_Request *r)
UNCOUNTED(MPI_Cancel, MPI_Request *r)
