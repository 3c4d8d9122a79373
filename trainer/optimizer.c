/* SPDX-License-Identifier: MIT
 *
 * optimizer.c: see optimizer.h. With g the scaled gradient, d the weight decay, t the step:
 *   (1) adam:  g += d p           adamw: p -= lr d p
 *   (2) m = m + (1 - b1) (g - m)
 *   (3) v = b2 v + (1 - b2) g g
 *   (4) p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 *   (5) sgd:   g += d p;  u = momentum u + g;  p -= lr u   (nesterov: lr (g + momentum u))            */
#include "trainer/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "comm/arena.h"
#include "trainer/checks.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

typedef struct Scalars {
    float scale, decay, shrink, one_b1, b2, one_b2, rate, root, eps, momentum;
} Scalars;

size_t optimizer_slots(const OptimizerConfig *config) {
    if (config->name != OPTIMIZER_SGD) return 2;
    return config->momentum != 0 ? 1 : 0;
}

Status optimizer_create(const OptimizerConfig *config, size_t count, Optimizer **out) {
    static const char *const adam[] = {"exp_avg", "exp_avg_sq"};
    *out = NULL;
    Optimizer *o = calloc(1, sizeof *o);
    if (!o) return status_fail(ERR_USAGE, "memory: no room for the optimizer; free some");
    *o = (Optimizer){.config = *config, .count = count, .slots = optimizer_slots(config)};
    for (size_t i = 0; i < o->slots; i++) {
        o->slot_name[i] = config->name == OPTIMIZER_SGD ? "momentum_buffer" : adam[i];
        o->slot[i] = count ? pages_alloc(count * sizeof(float)) : NULL;
        if (count && !o->slot[i]) {
            optimizer_destroy(&o);
            return status_fail(ERR_USAGE,
                               "memory: %zu bytes for the optimizer's moments are not there; use more ranks or a "
                               "smaller model",
                               count * sizeof(float));
        }
    }
    *out = o;
    return OK;
}

void optimizer_destroy(Optimizer **optimizer) {
    Optimizer *o = *optimizer;
    if (!o) return;
    for (size_t i = 0; i < o->slots; i++)
        if (o->slot[i]) pages_free(o->slot[i], o->count * sizeof(float));
    free(o);
    *optimizer = NULL;
}

WIDE static void adam_block(size_t n, Scalars s, const float *restrict gradient, float *restrict m, float *restrict v,
                            float *restrict p) {
    for (size_t i = 0; i < n; i++) {
        float old = p[i] * s.shrink;
        float g = gradient[i] * s.scale + s.decay * old;
        m[i] = m[i] + s.one_b1 * (g - m[i]);
        v[i] = s.b2 * v[i] + s.one_b2 * (g * g);
        p[i] = old - s.rate * (m[i] / (sqrtf(v[i]) / s.root + s.eps));
    }
}

WIDE static void sgd_block(size_t n, Scalars s, bool nesterov, const float *restrict gradient, float *restrict u,
                           float *restrict p) {
    for (size_t i = 0; i < n; i++) {
        float g = gradient[i] * s.scale + s.decay * p[i];
        u[i] = s.momentum * u[i] + g;
        p[i] -= s.rate * (nesterov ? g + s.momentum * u[i] : u[i]);
    }
}

WIDE static void plain_block(size_t n, Scalars s, const float *restrict gradient, float *restrict p) {
    for (size_t i = 0; i < n; i++) p[i] -= s.rate * (gradient[i] * s.scale + s.decay * p[i]);
}

static Scalars scalars(const OptimizerConfig *c, uint64_t step, double lr, double scale) {
    double t = (double)step;
    bool adam = c->name != OPTIMIZER_SGD, decoupled = c->name == OPTIMIZER_ADAMW;
    return (Scalars){.scale = (float)scale,
                     .decay = decoupled ? 0 : (float)c->weight_decay,
                     .shrink = decoupled ? (float)(1 - lr * c->weight_decay) : 1,
                     .one_b1 = (float)(1 - c->betas[0]),
                     .b2 = (float)c->betas[1],
                     .one_b2 = (float)(1 - c->betas[1]),
                     .rate = (float)(adam ? lr / (1 - pow(c->betas[0], t)) : lr),
                     .root = (float)sqrt(1 - pow(c->betas[1], t)),
                     .eps = (float)c->eps,
                     .momentum = (float)c->momentum};
}

/* A part of a chunk that stays in the first-level cache, with all that belongs to it. */
enum { STRIP = 1024 };

typedef struct Strip {
    const float *gradient;
    float *parameter, *slot[OPTIMIZER_MAX_SLOTS];
} Strip;

static void update_strip(const Optimizer *o, size_t n, Scalars s, Strip at) {
    if (o->config.name != OPTIMIZER_SGD) adam_block(n, s, at.gradient, at.slot[0], at.slot[1], at.parameter);
    else if (o->slots) sgd_block(n, s, o->config.nesterov, at.gradient, at.slot[0], at.parameter);
    else plain_block(n, s, at.gradient, at.parameter);
}

static void add_bits(const Optimizer *o, size_t n, Strip at, uint64_t sum[CHECK_KINDS]) {
    sum[0] += checks_bits(at.parameter, n);
    for (size_t k = 0; k < o->slots; k++) sum[1 + k] += checks_bits(at.slot[k], n);
}

static Strip strip_at(const Optimizer *o, size_t offset, size_t at, const float *gradient, float *parameter) {
    Strip strip = {.gradient = gradient + offset, .parameter = parameter + offset};
    for (size_t k = 0; k < o->slots; k++) strip.slot[k] = o->slot[k] + at;
    return strip;
}

/* What is read must be what was written; what is written is noted. */
static void update_piece(const Optimizer *o, Scalars s, size_t number, const float *gradient, float *parameter) {
    Checks *checks = o->checks;
    const CheckPiece *piece = &checks->piece[number];
    uint64_t before[CHECK_KINDS] = {0}, after[CHECK_KINDS] = {0};
    for (size_t done = 0; done < piece->count; done += STRIP) {
        size_t n = piece->count - done < STRIP ? piece->count - done : STRIP;
        Strip strip = strip_at(o, piece->offset + done, piece->at + done, gradient, parameter);
        add_bits(o, n, strip, before);
        update_strip(o, n, s, strip);
        add_bits(o, n, strip, after);
    }
    for (size_t k = 0; k < 1 + o->slots; k++) {
        if (checks->sum[k][number] != before[k]) checks->wrong[number] |= (unsigned char)(1u << k);
        checks->sum[k][number] = after[k];
    }
}

void optimizer_update(Optimizer *o, uint64_t step, double lr, double scale, const ReduceChunk *chunk, size_t first,
                      size_t end, const float *gradient, float *parameter) {
    const Scalars s = scalars(&o->config, step, lr, scale);
#pragma omp parallel for schedule(static)
    for (size_t c = first; c < end; c++) {
        if (!o->checks) {
            update_strip(o, chunk[c].count, s, strip_at(o, chunk[c].offset, chunk[c].at, gradient, parameter));
            continue;
        }
        for (size_t i = o->checks->first[c]; i < o->checks->first[c + 1]; i++)
            update_piece(o, s, i, gradient, parameter);
    }
}
