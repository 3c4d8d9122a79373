/* SPDX-License-Identifier: MIT
 *
 * rank_memory.c: one rank of a test: what training really takes of memory, over all ranks, against the formula:
 * parameters and packed weights once per node, moments once per job, a gradient per segment of a rank, and the
 * rank's own activations. Shared pages count once (Pss).
 *
 *   mpirun -n RANKS rank_memory CONFIG */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "trainer/session.h"

static double proportional_bytes(void) {
    char line[256];
    unsigned long long kib = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %llu", &kib) == 1) break;
    if (file) fclose(file);
    return (double)kib * 1024;
}

/* Over all ranks, none of which goes on before all have looked. */
static double sum_over_ranks(Comm *comm, double mine) {
    double *all = calloc(comm_size(comm), sizeof *all), sum = 0;
    if (!all) exit(1);
    comm_exchange(comm, &mine, sizeof mine, all);
    for (size_t r = 0; r < comm_size(comm); r++) sum += all[r];
    free(all);
    comm_barrier(comm);
    return sum;
}

static Status measure(Comm *comm, const Config *config) {
    Session s;
    TRY(session_open(comm, config, &s));
    comm_barrier(comm);
    double before = sum_over_ranks(comm, proportional_bytes());
    Status status = session_build(&s, comm_size(comm));
    if (status == OK) status = session_init(&s);
    for (uint64_t step = 1; step <= 3 && status == OK; step++) {
        StepResult r;
        status = stepper_take(s.stepper, step, 0, &r);
    }
    if (status != OK) return status;
    engine_settle(s.engine);
    comm_barrier(comm);
    double taken = sum_over_ranks(comm, proportional_bytes()) - before;

    const ModelMemory *m = &s.engine->memory;
    const FoldNode *segment;
    double node = sizeof(float) * (double)(m->parameters + m->packed) * (double)comm_nodes(comm);
    double moments = sizeof(float) * sum_over_ranks(comm, (double)(s.optimizer->slots * s.optimizer->count));
    double gradients = sizeof(float) * (double)m->trainable *
                       sum_over_ranks(comm, (double)reduce_segments(s.engine->reduce, &segment));
    double own = sum_over_ranks(comm, (double)(m->activations + m->saved + m->tmp + m->state));
    double formula = node + moments + gradients + own, mib = 1048576;
    if (comm_rank(comm) == 0)
        printf(
            "%zu ranks: parameters and packed weights %.1f MiB, moments %.1f, gradients %.1f, activations %.1f: %.1f; "
            "measured %.1f, %+.1f %%\n",
            comm_size(comm), node / mib, moments / mib, gradients / mib, own / mib, formula / mib, taken / mib,
            100 * (taken / formula - 1));
    /* Moments once per job, whoever holds them. */
    if (moments != sizeof(float) * (double)(s.optimizer->slots * m->trainable))
        status = status_fail(ERR_INTERNAL, "moments exist more than once");
    if (fabs(taken / formula - 1) > 0.05)
        status =
            status_fail(ERR_INTERNAL, "memory (measured): %.1f MiB, the formula says %.1f", taken / mib, formula / mib);
    session_close(&s);
    return status;
}

int main(int argc, char **argv) {
    Comm *comm = NULL;
    Config *config = NULL;
    if (argc != 2) return ERR_USAGE;
    Status status = comm_start(&comm, argc, argv);
    if (status == OK) status = comm_agree(comm, config_load(argv[1], NULL, 0, &config));
    if (status == OK) status = measure(comm, config);
    if (status != OK) log_error("%s", status_message());
    config_destroy(&config);
    comm_finish(&comm);
    return (int)status;
}
