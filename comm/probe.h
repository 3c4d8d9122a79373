/* SPDX-License-Identifier: MIT
 *
 * probe.h: how long the MPI library's own sums take, for comparison. Training never uses them: the order in
 * which they add is not ours to choose. */
#ifndef LOCKSTEP_COMM_PROBE_H
#define LOCKSTEP_COMM_PROBE_H

#include "comm/comm.h"

typedef enum ProbeKind { PROBE_ALLREDUCE, PROBE_IALLREDUCE } ProbeKind;

/* Seconds of one sum of `count` floats over all ranks, MPI_Allreduce or MPI_Iallreduce with MPI_Wait at once; NAN
 * where no MPI was started. Ends with ERR_LOST where it takes longer than LOCKSTEP_TIMEOUT. Collective. */
double probe_mpi(Comm *comm, ProbeKind kind, const float *in, float *out, size_t count);

#endif
