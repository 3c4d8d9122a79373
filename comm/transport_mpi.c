/* SPDX-License-Identifier: MIT
 *
 * transport_mpi.c: messages over MPI, the only file that knows it. Point-to-point only after the start:
 * the order in which MPI's reductions add is not ours to choose, and their waits have no bound. */
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "comm/transport.h"

_Static_assert(sizeof(MPI_Request) <= sizeof((Request *)0)->handle, "a request holds MPI's handle");

static MPI_Comm world = MPI_COMM_NULL;

/* Open MPI over TCP hands a long message to the connection as a whole, and what the other side must hear before it
 * may send waits behind: two ranks that exchange took turns, at half the speed. Fragments let it through between. */
static void prefer_fragments(void) {
    setenv("OMPI_MCA_btl_tcp_flags", "send", 0);
}

static Status start(size_t *rank, size_t *size) {
    prefer_fragments();
    int provided = MPI_THREAD_SINGLE, r = 0, n = 0;
    if (MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &provided) != MPI_SUCCESS) {
        return status_fail(ERR_USAGE, "MPI (MPI_Init_thread): did not start; try the launcher that belongs to the "
                                      "MPI library named by `lockstep --version --verbose`");
    }
    if (provided < MPI_THREAD_FUNNELED) {
        return status_fail(ERR_USAGE, "MPI (MPI_Init_thread): offers no MPI_THREAD_FUNNELED; use an MPI library with "
                                      "thread support");
    }
    MPI_Comm_dup(MPI_COMM_WORLD, &world);
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(world, MPI_ERRORS_RETURN);
    MPI_Comm_rank(world, &r);
    MPI_Comm_size(world, &n);
    *rank = (size_t)r;
    *size = (size_t)n;
    return OK;
}

static void hosts(size_t *lowest) {
    MPI_Comm host;
    int rank;
    MPI_Comm_rank(world, &rank);
    MPI_Comm_split_type(world, MPI_COMM_TYPE_SHARED, rank, MPI_INFO_NULL, &host);
    unsigned long long first = (unsigned long long)rank;
    MPI_Bcast(&first, 1, MPI_UNSIGNED_LONG_LONG, 0, host);
    MPI_Comm_free(&host);
    int n;
    MPI_Comm_size(world, &n);
    unsigned long long *all = calloc((size_t)n, sizeof *all);
    if (!all) MPI_Abort(MPI_COMM_WORLD, ERR_USAGE);
    MPI_Allgather(&first, 1, MPI_UNSIGNED_LONG_LONG, all, 1, MPI_UNSIGNED_LONG_LONG, world);
    for (int r = 0; r < n; r++) lowest[r] = (size_t)all[r];
    free(all);
}

static void gather(const void *mine, size_t bytes, void *all) {
    MPI_Allgather(mine, (int)bytes, MPI_BYTE, all, (int)bytes, MPI_BYTE, world);
}

static void keep(Request *request, int code, MPI_Request handle) {
    if (code != MPI_SUCCESS) handle = MPI_REQUEST_NULL;
    memcpy(request->handle, &handle, sizeof handle);
    request->pending = true;
}

static void send(Request *request, size_t to, Tag tag, const void *data, size_t bytes) {
    MPI_Request handle = MPI_REQUEST_NULL;
    int code = MPI_Isend(data, (int)bytes, MPI_BYTE, (int)to, (int)tag, world, &handle);
    keep(request, code, handle);
}

static void receive(Request *request, size_t from, Tag tag, void *data, size_t bytes) {
    MPI_Request handle = MPI_REQUEST_NULL;
    int code = MPI_Irecv(data, (int)bytes, MPI_BYTE, (int)from, (int)tag, world, &handle);
    keep(request, code, handle);
}

static Progress test(Request *request) {
    if (!request->pending) return PROGRESS_DONE;
    MPI_Request handle;
    memcpy(&handle, request->handle, sizeof handle);
    if (handle == MPI_REQUEST_NULL) return PROGRESS_BROKEN; /* it never came under way */
    int done = 0;
    if (MPI_Test(&handle, &done, MPI_STATUS_IGNORE) != MPI_SUCCESS) return PROGRESS_BROKEN;
    memcpy(request->handle, &handle, sizeof handle);
    if (!done) return PROGRESS_PENDING;
    request->pending = false;
    return PROGRESS_DONE;
}

static Progress test_some(Request *const requests[], size_t count, size_t *broken) {
    MPI_Request handle[TRANSPORT_SOME];
    int done[TRANSPORT_SOME], number = 0;
    size_t pending = 0;
    for (size_t i = 0; i < count; i++) {
        memcpy(&handle[i], requests[i]->handle, sizeof *handle);
        *broken = i;
        if (requests[i]->pending && handle[i] == MPI_REQUEST_NULL) return PROGRESS_BROKEN;
        if (requests[i]->pending) pending++;
        else handle[i] = MPI_REQUEST_NULL;
    }
    if (pending == 0) return PROGRESS_DONE;
    if (MPI_Testsome((int)count, handle, &number, done, MPI_STATUSES_IGNORE) != MPI_SUCCESS) {
        /* Which one it was, a test of each says. */
        for (*broken = 0; *broken < count; ++*broken)
            if (test(requests[*broken]) == PROGRESS_BROKEN) return PROGRESS_BROKEN;
        return PROGRESS_PENDING;
    }
    for (int i = 0; i < number; i++) {
        memcpy(requests[done[i]]->handle, &handle[done[i]], sizeof *handle);
        requests[done[i]]->pending = false;
    }
    return number > 0 ? PROGRESS_DONE : PROGRESS_PENDING;
}

static bool arrived(Tag tag, size_t *from) {
    int flag = 0;
    MPI_Status message;
    if (MPI_Iprobe(MPI_ANY_SOURCE, (int)tag, world, &flag, &message) != MPI_SUCCESS || !flag) return false;
    *from = (size_t)message.MPI_SOURCE;
    return true;
}

static void finish(void) {
    MPI_Comm_free(&world);
    MPI_Finalize();
}

static void abort_all(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
    _exit(code);
}

const char *transport_mpi_library(void) {
    static char name[MPI_MAX_LIBRARY_VERSION_STRING];
    int length = 0;
    if (name[0] == '\0') MPI_Get_library_version(name, &length);
    name[strcspn(name, "\n")] = '\0';
    return name;
}

const Transport transport_mpi = {
    .start = start,
    .hosts = hosts,
    .gather = gather,
    .send = send,
    .receive = receive,
    .test = test,
    .test_some = test_some,
    .arrived = arrived,
    .finish = finish,
    .abort = abort_all,
};
