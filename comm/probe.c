/* SPDX-License-Identifier: MIT
 *
 * probe.c: see probe.h. */
#include "comm/probe.h"

#include <limits.h>
#include <math.h>

#include "comm/private.h"

#ifdef LOCKSTEP_HAVE_MPI
#include <mpi.h>

double probe_mpi(Comm *comm, ProbeKind kind, const float *in, float *out, size_t count) {
    if (comm->transport != &transport_mpi || count > INT_MAX) return NAN;
    comm_barrier(comm);
    wait_guard("a sum by the MPI library", comm->timeout_ns);
    uint64_t since = wait_clock();
    if (kind == PROBE_ALLREDUCE) {
        MPI_Allreduce(in, out, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD);
    } else {
        MPI_Request request;
        MPI_Iallreduce(in, out, (int)count, MPI_FLOAT, MPI_SUM, MPI_COMM_WORLD, &request);
        MPI_Wait(&request, MPI_STATUS_IGNORE);
    }
    double seconds = (double)(wait_clock() - since) * 1e-9;
    wait_unguard();
    return seconds;
}
#else
double probe_mpi(Comm *comm, ProbeKind kind, const float *in, float *out, size_t count) {
    (void)comm, (void)kind, (void)in, (void)out, (void)count;
    return NAN;
}
#endif
