/* SPDX-License-Identifier: MIT
 *
 * optimizer.c: see optimizer.h. With g the scaled gradient, d the weight decay, t the step:
 *   (1) adam:  g += d p           adamw: p -= lr d p
 *   (2) m = m + (1 - b1) (g - m)
 *   (3) v = b2 v + (1 - b2) g g
 *   (4) p = p - lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
 *   (4) of a sparse table: eps / sqrt(1 - b2^t), as torch.optim.SparseAdam has it
 *   (5) sgd:   g += d p;  u = momentum u + g;  p -= lr u   (nesterov: lr (g + momentum u))            */
#include "trainer/optimizer.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "comm/region.h"
#include "trainer/checks.h"

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

typedef struct Scalars {
    float scale, decay, shrink, one_b1, b2, one_b2, rate, root, eps, momentum;
} Scalars;

/* A part of a piece, with all that belongs to it. */
typedef struct Strip {
    const float *gradient;
    float *parameter, *slot[OPTIMIZER_MAX_SLOTS];
} Strip;

typedef struct StripBits {
    uint32_t read[CHECK_KINDS], written[CHECK_KINDS];
} StripBits;

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

static inline uint32_t bits_of(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* At most CHECK_STRIP elements, and what their bits come to, as read and as written. In one loop: apart, the sums
 * would wait for memory while the update computes and the other way round. */
WIDE static void adam_strip(size_t n, Scalars s, Strip at, StripBits *bits) {
    const float *restrict gradient = at.gradient;
    float *restrict m = at.slot[0], *restrict v = at.slot[1], *restrict p = at.parameter;
    uint32_t p_read = 0, m_read = 0, v_read = 0, p_written = 0, m_written = 0, v_written = 0;
    for (size_t i = 0; i < n; i++) {
        float old = p[i] * s.shrink, m_old = m[i], v_old = v[i];
        p_read += bits_of(p[i]);
        m_read += bits_of(m_old);
        v_read += bits_of(v_old);
        float g = gradient[i] * s.scale + s.decay * old;
        float m_new = m_old + s.one_b1 * (g - m_old);
        float v_new = s.b2 * v_old + s.one_b2 * (g * g);
        float p_new = old - s.rate * (m_new / (sqrtf(v_new) / s.root + s.eps));
        m[i] = m_new;
        v[i] = v_new;
        p[i] = p_new;
        p_written += bits_of(p_new);
        m_written += bits_of(m_new);
        v_written += bits_of(v_new);
    }
    *bits = (StripBits){{p_read, m_read, v_read}, {p_written, m_written, v_written}};
}

WIDE static void sgd_strip(size_t n, Scalars s, bool nesterov, Strip at, StripBits *bits) {
    const float *restrict gradient = at.gradient;
    float *restrict u = at.slot[0], *restrict p = at.parameter;
    uint32_t p_read = 0, u_read = 0, p_written = 0, u_written = 0;
    for (size_t i = 0; i < n; i++) {
        float p_old = p[i], u_old = u[i];
        float g = gradient[i] * s.scale + s.decay * p_old;
        float u_new = s.momentum * u_old + g;
        float p_new = p_old - s.rate * (nesterov ? g + s.momentum * u_new : u_new);
        p_read += bits_of(p_old);
        u_read += bits_of(u_old);
        u[i] = u_new;
        p[i] = p_new;
        p_written += bits_of(p_new);
        u_written += bits_of(u_new);
    }
    *bits = (StripBits){{p_read, u_read}, {p_written, u_written}};
}

WIDE static void plain_strip(size_t n, Scalars s, Strip at, StripBits *bits) {
    const float *restrict gradient = at.gradient;
    float *restrict p = at.parameter;
    uint32_t p_read = 0, p_written = 0;
    for (size_t i = 0; i < n; i++) {
        float p_old = p[i], p_new = p_old - s.rate * (gradient[i] * s.scale + s.decay * p_old);
        p_read += bits_of(p_old);
        p[i] = p_new;
        p_written += bits_of(p_new);
    }
    *bits = (StripBits){{p_read}, {p_written}};
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

static void update_strip(const Optimizer *o, size_t n, Scalars s, Strip at, StripBits *bits) {
    if (o->config.name != OPTIMIZER_SGD) adam_strip(n, s, at, bits);
    else if (o->slots) sgd_strip(n, s, o->config.nesterov, at, bits);
    else plain_strip(n, s, at, bits);
}

/* A strip that holds rows with rules. Its sums are taken around what happens. */
static void update_rows(const Optimizer *o, size_t n, size_t offset, Scalars s, Strip at, StripBits *bits) {
    float *const data[CHECK_KINDS] = {at.parameter, at.slot[0], at.slot[1]};
    Scalars sparse = s;
    sparse.eps /= s.root;
    for (size_t k = 0; k < 1 + o->slots; k++) bits->read[k] = checks_strip(data[k], n);
    for (size_t done = 0; done < n;) {
        const RowRule rule = row_rule(o->rows, offset + done, n - done);
        Strip part = {.gradient = at.gradient + done, .parameter = at.parameter + done};
        StripBits unused;
        for (size_t k = 0; k < o->slots; k++) part.slot[k] = at.slot[k] + done;
        if (rule.scale != 1)
            for (size_t i = 0; i < rule.count; i++) part.parameter[i] *= rule.scale;
        if (!rule.untouched) update_strip(o, rule.count, rule.sparse ? sparse : s, part, &unused);
        done += rule.count;
    }
    for (size_t k = 0; k < 1 + o->slots; k++) bits->written[k] = checks_strip(data[k], n);
}

/* Nothing is written. */
static void pass_over(const Optimizer *o, size_t n, Strip at, StripBits *bits) {
    bits->read[0] = bits->written[0] = checks_strip(at.parameter, n);
    for (size_t k = 0; k < o->slots; k++) bits->read[k + 1] = bits->written[k + 1] = checks_strip(at.slot[k], n);
}

/* Strips of large tables are mostly of one kind. */
static void update_ruled(const Optimizer *o, size_t n, size_t offset, Scalars s, Strip at, StripBits *bits) {
    const RowRule rule = row_rule(o->rows, offset, n);
    const bool whole = rule.count == n && rule.scale == 1;
    if (whole && rule.untouched) pass_over(o, n, at, bits);
    else if (whole && !rule.sparse) update_strip(o, n, s, at, bits);
    else update_rows(o, n, offset, s, at, bits);
}

/* What is read must be what was written; what is written is noted. */
static void compare(const Optimizer *o, size_t number, const uint64_t read[CHECK_KINDS],
                    const uint64_t written[CHECK_KINDS]) {
    Checks *checks = o->checks;
    for (size_t k = 0; k < 1 + o->slots; k++) {
        if (checks->sum[k][number] != read[k]) checks->wrong[number] |= (unsigned char)(1u << k);
        checks->sum[k][number] = written[k];
    }
}

/* The gradient of at most CHECK_STRIP floats: where it stands or, with zeros for what is not touched, in `room`. */
static const float *strip_gradient(const Optimizer *o, size_t offset, size_t n, const float *gradient, float *room) {
    static const float zeros[CHECK_STRIP];
    if (!o->touched) return gradient + offset;
    TouchedRun run = touched_run(o->touched, offset, offset + n);
    if (run.end - run.first == n) return gradient + offset;
    if (run.first == run.end) return zeros;
    memset(room, 0, n * sizeof *room);
    for (; run.first < run.end; run = touched_run(o->touched, run.end, offset + n))
        memcpy(room + (run.first - offset), gradient + run.first, (run.end - run.first) * sizeof *room);
    return room;
}

/* Floats by their places in the flat block and among the owned: piece `number` of the checks, if there are any. */
static void update_piece(const Optimizer *o, Scalars s, CheckPiece piece, size_t number, const float *gradient,
                         float *parameter) {
    uint64_t read[CHECK_KINDS] = {0}, written[CHECK_KINDS] = {0};
    _Alignas(64) float room[CHECK_STRIP];
    for (size_t done = 0; done < piece.count; done += CHECK_STRIP) {
        size_t n = piece.count - done < CHECK_STRIP ? piece.count - done : CHECK_STRIP;
        StripBits bits = {0};
        Strip at = {.gradient = strip_gradient(o, piece.offset + done, n, gradient, room),
                    .parameter = parameter + piece.offset + done};
        for (size_t k = 0; k < o->slots; k++) at.slot[k] = o->slot[k] + piece.at + done;
        update_ruled(o, n, piece.offset + done, s, at, &bits);
        for (size_t k = 0; k < CHECK_KINDS; k++) {
            read[k] = checks_add(read[k], bits.read[k]);
            written[k] = checks_add(written[k], bits.written[k]);
        }
    }
    if (o->checks) compare(o, number, read, written);
}

void optimizer_update(Optimizer *o, uint64_t step, double lr, double scale, const ReduceChunk *chunk, size_t first,
                      size_t end, const float *gradient, float *parameter) {
    const Scalars s = scalars(&o->config, step, lr, scale);
    PARALLEL((size_t)omp_get_max_threads(), end - first) {
#pragma omp for schedule(static) nowait
        for (size_t c = first; c < end; c++) {
            if (!o->checks) {
                const CheckPiece all = {.offset = chunk[c].offset, .count = chunk[c].count, .at = chunk[c].at};
                update_piece(o, s, all, 0, gradient, parameter);
                continue;
            }
            for (size_t i = o->checks->first[c]; i < o->checks->first[c + 1]; i++)
                update_piece(o, s, o->checks->piece[i], i, gradient, parameter);
        }
    }
}
