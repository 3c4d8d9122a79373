/* SPDX-License-Identifier: MIT
 *
 * ops.c: the choice of the instruction set and the threads' scratch memory. */
#include "layers/ops/ops.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "layers/ops/kernels.h"

const Kernels *ops_kernels = &kernels_portable;
static real *scratch;
static size_t scratch_bytes, scratch_threads = 1;
static void (*pause_poll)(void *context);
static void *pause_context;

/* All kernels that this machine can run, the best first; ends with NULL. */
static void supported(const Kernels *list[4]) {
    size_t n = 0;
#ifdef LOCKSTEP_HAVE_X86
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        list[n++] = &kernels_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) list[n++] = &kernels_avx2;
#endif
#ifdef LOCKSTEP_HAVE_NEON
    list[n++] = &kernels_neon; /* part of every AArch64 */
#endif
    list[n++] = &kernels_portable;
    list[n] = NULL;
}

/* NULL if LOCKSTEP_ISA names none of them. */
static const Kernels *choose(void) {
    const Kernels *list[4];
    const char *wanted = getenv("LOCKSTEP_ISA");
    supported(list);
    if (!wanted || !*wanted) return list[0];
    for (size_t i = 0; list[i]; i++)
        if (strcmp(list[i]->name, wanted) == 0) return list[i];
    return NULL;
}

static Status refuse(void) {
    const Kernels *list[4];
    char names[64] = "";
    supported(list);
    for (size_t i = 0; list[i]; i++) {
        if (i > 0) strcat(names, ", ");
        strcat(names, list[i]->name);
    }
    return status_fail(ERR_USAGE,
                       "LOCKSTEP_ISA=%s (environment): this machine has no such kernels; use one of %s, or unset it",
                       getenv("LOCKSTEP_ISA"), names);
}

Status ops_start(size_t threads) {
    const Kernels *chosen = choose();
    size_t bytes;
    if (!chosen) return refuse();
    if (scratch) return status_fail(ERR_INTERNAL, "ops_start (ops): called twice; call ops_stop first");
    if (threads == 0 || !size_multiply3(threads, TN_SCRATCH, sizeof(real), &bytes))
        return status_fail(ERR_INTERNAL, "ops_start (ops): %zu threads", threads);
    scratch = pages_alloc(bytes);
    if (!scratch)
        return status_fail(ERR_USAGE, "scratch memory of %zu threads (%zu bytes): not available; use fewer threads",
                           threads, bytes);
    scratch_bytes = bytes;
    scratch_threads = threads;
    ops_kernels = chosen;
    return OK;
}

void ops_stop(void) {
    if (scratch) pages_free(scratch, scratch_bytes);
    scratch = NULL;
    scratch_threads = 1;
    ops_kernels = &kernels_portable;
}

const char *ops_isa(void) {
    const Kernels *chosen = scratch ? ops_kernels : choose();
    return chosen ? chosen->name : getenv("LOCKSTEP_ISA");
}

size_t ops_threads(void) {
    return scratch_threads;
}

real *ops_scratch(size_t thread) {
    return scratch + thread * TN_SCRATCH;
}

void ops_on_pause(void (*poll)(void *context), void *context) {
    pause_poll = poll;
    pause_context = context;
}

void ops_pause(void) {
    if (pause_poll && omp_get_thread_num() == 0 && omp_get_level() <= 1) pause_poll(pause_context);
}
