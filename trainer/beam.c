/* SPDX-License-Identifier: MIT
 *
 * beam.c: see beam.h. The K best continuations are kept in a heap whose root is the worst of them. */
#include "trainer/beam.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"

typedef struct Continuation {
    double log_p;
    size_t beginning;
    int32_t symbol;
} Continuation;

struct Beam {
    BeamConfig config;
    size_t room, most, live, length, kept;
    double *log_p;                   /* [K] of the beginnings */
    size_t *parent;                  /* [K] */
    int32_t *symbol, *spare, *found; /* [K, room] the beginnings, the next ones; [room] the result */
    Continuation *best;              /* [K] */
    BeamResult result;
    bool any;
};

Status beam_create(const BeamConfig *config, size_t room, Beam **out) {
    *out = NULL;
    size_t k = config->beams, cells;
    Beam *b = size_multiply(k, room, &cells) ? calloc(1, sizeof *b) : NULL;
    if (b) {
        *b = (Beam){.config = *config, .room = room};
        b->log_p = calloc(k, sizeof *b->log_p);
        b->parent = calloc(k, sizeof *b->parent);
        b->symbol = calloc(cells, sizeof *b->symbol);
        b->spare = calloc(cells, sizeof *b->spare);
        b->found = calloc(room, sizeof *b->found);
        b->best = calloc(k, sizeof *b->best);
    }
    *out = b;
    if (b && b->log_p && b->parent && b->symbol && b->spare && b->found && b->best) return OK;
    beam_destroy(out);
    return status_fail(ERR_USAGE, "memory: no room for %zu beams of %zu symbols; use fewer", k, room);
}

void beam_destroy(Beam **beam) {
    Beam *b = *beam;
    if (!b) return;
    free(b->log_p);
    free(b->parent);
    free(b->symbol);
    free(b->spare);
    free(b->found);
    free(b->best);
    free(b);
    *beam = NULL;
}

void beam_start(Beam *b, size_t most) {
    b->most = most;
    b->live = 1;
    b->length = b->kept = 0;
    b->log_p[0] = 0;
    b->any = false;
    b->result = (BeamResult){.symbol = b->found, .log_probability = -INFINITY, .score = -INFINITY};
}

size_t beam_live(const Beam *b) {
    return b->live;
}

size_t beam_length(const Beam *b) {
    return b->length;
}

const int32_t *beam_beginning(const Beam *b, size_t i) {
    return b->symbol + i * b->room;
}

size_t beam_parent(const Beam *b, size_t i) {
    return b->parent[i];
}

BeamResult beam_result(const Beam *b) {
    return b->result;
}

/* ---- the K best -------------------------------------------------------------------------------------- */

static bool better(const Continuation *x, const Continuation *y) {
    if (x->log_p != y->log_p) return x->log_p > y->log_p;
    if (x->beginning != y->beginning) return x->beginning < y->beginning;
    return x->symbol < y->symbol;
}

static int by_rank(const void *x, const void *y) {
    return better(x, y) ? -1 : 1;
}

/* Moves the continuation at i up to where the one above it is worse. */
static void rise(Continuation *heap, size_t i) {
    Continuation moving = heap[i];
    for (; i > 0 && better(&heap[(i - 1) / 2], &moving); i = (i - 1) / 2) heap[i] = heap[(i - 1) / 2];
    heap[i] = moving;
}

/* Puts it where the worst was, then down to where those below it are better. */
static void replace_worst(Continuation *heap, size_t count, Continuation moving) {
    size_t i = 0;
    for (;;) {
        size_t worst = 2 * i + 1;
        if (worst >= count) break;
        if (worst + 1 < count && better(&heap[worst], &heap[worst + 1])) worst++;
        if (better(&heap[worst], &moving)) break;
        heap[i] = heap[worst];
        i = worst;
    }
    heap[i] = moving;
}

static void offer(Beam *b, Continuation c) {
    if (!(c.log_p > -INFINITY)) return; /* NaN neither */
    if (b->kept < b->config.beams) {
        b->best[b->kept] = c;
        rise(b->best, b->kept++);
    } else if (better(&c, &b->best[0])) {
        replace_worst(b->best, b->kept, c);
    }
}

/* ---- a step ------------------------------------------------------------------------------------------ */

static double score_of(const Beam *b, double log_p, size_t symbols) {
    return b->config.length_penalty == 0 ? log_p : log_p / pow((double)symbols, b->config.length_penalty);
}

static void finish(Beam *b, const Continuation *c, bool ended) {
    double score = score_of(b, c->log_p, b->length);
    if (b->any && !(score > b->result.score)) return;
    b->any = true;
    b->result.count = b->length - 1;
    memcpy(b->found, beam_beginning(b, c->beginning), b->result.count * sizeof *b->found);
    if (!ended) b->found[b->result.count++] = c->symbol;
    b->result.log_probability = c->log_p;
    b->result.score = score;
    b->result.ended = ended;
}

static void go_on(Beam *b, const Continuation *c, size_t at) {
    int32_t *to = b->spare + at * b->room;
    memcpy(to, beam_beginning(b, c->beginning), (b->length - 1) * sizeof *to);
    to[b->length - 1] = c->symbol;
    b->parent[at] = c->beginning;
}

/* The first beginning is the most probable one. */
static bool decided(const Beam *b) {
    if (!b->any) return false;
    double next = score_of(b, b->log_p[0], b->length + 1), last = score_of(b, b->log_p[0], b->most);
    return b->result.score >= fmax(next, last);
}

void beam_step(Beam *b, const double *log_p) {
    size_t classes = b->config.symbols + 1, live = 0;
    b->kept = 0;
    for (size_t i = 0; i < b->live; i++)
        for (size_t s = 0; s < classes; s++)
            offer(b, (Continuation){b->log_p[i] + log_p[i * classes + s], i, (int32_t)s});
    qsort(b->best, b->kept, sizeof *b->best, by_rank);
    b->length++;
    for (size_t i = 0; i < b->kept; i++) {
        bool ends = b->best[i].symbol == (int32_t)b->config.symbols;
        if (ends || b->length == b->most) finish(b, &b->best[i], ends);
        else go_on(b, &b->best[i], live++);
    }
    int32_t *old = b->symbol;
    b->symbol = b->spare;
    b->spare = old;
    for (size_t i = 0, k = 0; i < b->kept && k < live; i++)
        if (b->best[i].symbol != (int32_t)b->config.symbols) b->log_p[k++] = b->best[i].log_p;
    b->live = live;
    if (live > 0 && decided(b)) b->live = 0;
}
