/* SPDX-License-Identifier: MIT
 *
 * bench_gemm.c: speed of the matrix products at the shapes of training, as a share of what a loop of
 * register-only multiply-adds (mul and add apart count as two) reaches next to each measurement, and,
 * where a CBLAS was found, against its sgemm, which packs its operands in every call.
 *
 *   OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 bench_gemm [rounds] [substring of a label]
 *   LOCKSTEP_ISA=avx2 bench_gemm     chooses kernels as in the program
 *
 * Rounds of (peak, ours, theirs) alternate, each at least 10 ms; the best of each counts, as other
 * work on the machine only ever slows things down. One thread is timed in its own processor time. */
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "comm/arena.h"
#include "layers/ops/gemm.h"
#include "layers/ops/ops.h"

#ifdef HAVE_CBLAS
#include <cblas.h>
#endif

static double now(void) {
    struct timespec t;
    clock_gettime(ops_threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Enough independent chains for every vector unit; the compiler picks the widest of `target`. */
#define PEAK(name, bytes, chains, target)                                                                              \
    target static float name(long n) {                                                                                 \
        typedef float v __attribute__((vector_size(bytes)));                                                           \
        v acc[chains], x = {0}, y = {0};                                                                               \
        __asm__ volatile("" : "+m"(x), "+m"(y));                                                                       \
        for (int c = 0; c < (chains); c++) acc[c] = x + (float)c;                                                      \
        for (long i = 0; i < n; i++) {                                                                                 \
            _Pragma("GCC unroll 32") for (int c = 0; c < (chains); c++) acc[c] = acc[c] * x + y;                       \
        }                                                                                                              \
        float sum = 0;                                                                                                 \
        for (int c = 0; c < (chains); c++) sum += acc[c][0];                                                           \
        return sum;                                                                                                    \
    }
#if defined(__x86_64__)
PEAK(peak_avx512, 64, 24, __attribute__((target("avx512f"), optimize("fp-contract=fast"))))
PEAK(peak_avx2, 32, 12, __attribute__((target("avx2,fma"), optimize("fp-contract=fast"))))
#endif
PEAK(peak_plain, 16, 12, __attribute__((optimize("fp-contract=fast"))))

static volatile float sink;

static double peak(void) {
    const long n = 1000000 / 2;
    double flops = 2.0 * 12 * 4, start = now();
#pragma omp parallel
    {
        float sum;
#if defined(__x86_64__)
        if (__builtin_cpu_supports("avx512f")) sum = peak_avx512(n);
        else if (__builtin_cpu_supports("avx2")) sum = peak_avx2(n);
        else
#endif
            sum = peak_plain(n);
        sink = sum;
    }
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f")) flops = 2.0 * 24 * 16;
    else if (__builtin_cpu_supports("avx2")) flops = 2.0 * 12 * 8;
#endif
    return flops * (double)n * (double)ops_threads() / (now() - start) * 1e-9;
}

typedef struct Shape {
    const char *label;
    bool transposed; /* C = A^T B */
    size_t m, n, k;
} Shape;

typedef struct Operands {
    float *a, *w, *b, *c;
} Operands;

static void ours(const Shape *s, const Operands *o) {
    if (s->transposed)
        gemm_tn(&(GemmTn){.m = s->m,
                          .n = s->n,
                          .k = s->k,
                          .a = o->a,
                          .lda = s->m,
                          .order = in_order(s->m),
                          .b = o->w,
                          .ldb = s->n,
                          .c = o->c,
                          .ldc = s->n});
    else gemm(&(Gemm){.m = s->m, .n = s->n, .k = s->k, .a = o->a, .lda = s->k, .b = o->b, .c = o->c, .ldc = s->n});
}

static void theirs(const Shape *s, const Operands *o) {
#ifdef HAVE_CBLAS
    const int m = (int)s->m, n = (int)s->n, k = (int)s->k;
    if (s->transposed) cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, m, n, k, 1, o->a, m, o->w, n, 0, o->c, n);
    else cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, m, n, k, 1, o->a, k, o->w, k, 0, o->c, n);
#else
    (void)s, (void)o;
#endif
}

/* GF/s of enough calls for 10 ms. */
static double speed(void (*product)(const Shape *, const Operands *), const Shape *s, const Operands *o) {
    const double flops = 2.0 * (double)s->m * (double)s->n * (double)s->k, start = now();
    double calls = 0, passed = 0;
    do {
        product(s, o);
        calls++;
        passed = now() - start;
    } while (passed < 0.01);
    return flops * calls / passed * 1e-9;
}

static float *operand(size_t n) {
    float *x = pages_alloc(n * sizeof *x);
    if (!x) exit(1);
    for (size_t i = 0; i < n; i++) x[i] = (float)(i % 13) - 6;
    return x;
}

static void measure(const Shape *s, int rounds) {
    const size_t c = s->m * s->n, a = s->m * s->k, w = s->n * s->k, b = packed_count(s->k, s->n);
    const Operands o = {operand(a), operand(w), operand(b), operand(c)};
    double best[3] = {0};
    if (!s->transposed) pack_transposed(o.w, s->k, s->k, in_order(s->n), 0, panel_count(s->n), o.b);
    for (int round = 0; round < rounds; round++) {
        const double got[3] = {peak(), speed(ours, s, &o), speed(theirs, s, &o)};
        for (int i = 0; i < 3; i++)
            if (got[i] > best[i]) best[i] = got[i];
    }
    printf("%-12s m %5zu n %5zu k %5zu  %7.1f GF/s  %5.1f %% of %5.1f", s->label, s->m, s->n, s->k, best[1],
           100 * best[1] / best[0], best[0]);
#ifdef HAVE_CBLAS
    printf("   cblas %7.1f  %4.2fx", best[2], best[1] / best[2]);
#endif
    putchar('\n');
    fflush(stdout);
    pages_free(o.a, a * sizeof(float)), pages_free(o.w, w * sizeof(float)), pages_free(o.b, b * sizeof(float)),
        pages_free(o.c, c * sizeof(float));
}

int main(int argc, char **argv) {
    static const Shape shapes[] = {
        {"generate", false, 1, 2048, 512},   {"step", false, 4, 2048, 512},       {"step", false, 16, 2048, 512},
        {"step", false, 32, 2048, 512},      {"step", false, 32, 512, 128},       {"step", false, 64, 768, 256},
        {"tokens", false, 4096, 2048, 512},  {"tokens", false, 4096, 512, 2048},  {"tokens", false, 4096, 1024, 256},
        {"tokens", false, 4096, 512, 128},   {"classes", false, 4096, 65, 512},   {"classes", false, 1024, 32000, 256},
        {"square", false, 256, 256, 256},    {"square", false, 1024, 1024, 1024}, {"gradient", true, 2048, 512, 4096},
        {"gradient", true, 1024, 256, 4096}, {"gradient", true, 512, 128, 4096},  {"gradient", true, 65, 512, 4096},
        {"gradient", true, 512, 512, 128},
    };
    const int rounds = argc > 1 ? atoi(argv[1]) : 10;
    if (ops_start((size_t)omp_get_max_threads()) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 2;
    }
    printf("%s, %zu threads\n", ops_isa(), ops_threads());
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (argc < 3 || strstr(shapes[i].label, argv[2])) measure(&shapes[i], rounds > 0 ? rounds : 1);
    ops_stop();
    return 0;
}
