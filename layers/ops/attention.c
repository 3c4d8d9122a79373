/* SPDX-License-Identifier: MIT
 *
 * attention.c: how threads share attention. A task is a span of queries of one head of one sequence
 * (forward) or the head of a sequence as a whole (backward), computed alike by whoever takes it. A thread begins with
 * the sequences whose rows it has in the operations around (blocks.h), then helps the others. */
#include "layers/ops/attention.h"

#include <omp.h>
#include <stdatomic.h>

#include "comm/arena.h"
#include "layers/ops/blocks.h"
#include "layers/ops/kernels.h"
#include "layers/ops/random.h"

/* Multiply-adds below which one thread is done before others would have begun. */
static const double SERIAL_WORK = 1 << 18;

size_t attention_scratch(size_t d) {
    size_t wide;
    const size_t rows = 3 * ATTENTION_KEYS + 2 * ATTENTION_QUERIES;
    const size_t fixed = 2 * ATTENTION_QUERIES * ATTENTION_LD;
    if (d > SIZE_MAX / 2 || !size_multiply(rows, panel_round(d), &wide) || wide > SIZE_MAX - fixed) return SIZE_MAX;
    return wide + fixed;
}

static size_t longest_of(size_t sequences, const size_t *offset) {
    size_t longest = 0;
    for (size_t b = 0; b < sequences; b++)
        if (offset[b + 1] - offset[b] > longest) longest = offset[b + 1] - offset[b];
    return longest;
}

static size_t keys_of(const Attention *a, size_t b) {
    return (a->k_end ? a->k_end[b] : a->k_offset[b + 1]) - a->k_offset[b];
}

static size_t team_of(const Attention *a) {
    const double features = (double)a->heads * (double)a->d;
    size_t keys = 0;
    for (size_t b = 0; b < a->sequences; b++)
        if (keys_of(a, b) > keys) keys = keys_of(a, b);
    return (double)a->q_offset[a->sequences] * (double)keys * features < SERIAL_WORK ? 1 : a->threads;
}

/* What the masks of one head have in common: Philox's key; see dropout in rows.c. */
static AttentionDrop drop_of(const Attention *a, size_t b, size_t head) {
    AttentionDrop drop = {.on = a->p > 0};
    uint32_t w[4];
    if (!drop.on) return drop;
    const uint32_t site = a->key.site + ((uint32_t)(head + 1) << 16);
    random_words(a->key.seed, a->key.layer, (uint64_t)site | a->key.step >> 32 << 32, w);
    drop.key[0] = w[0];
    drop.key[1] = w[1] ^ (uint32_t)(a->position[b] >> 32);
    drop.position = (uint32_t)a->position[b];
    drop.step = (uint32_t)a->key.step;
    drop.threshold = a->p < 1 ? (uint32_t)((double)a->p * 0x1p32) : UINT32_MAX;
    drop.scale = a->p < 1 ? 1 / (1 - a->p) : 0; /* p = 1: what the threshold lets through becomes 0 */
    return drop;
}

static AttentionTask task_of(const Attention *a, size_t b, size_t head) {
    const size_t q0 = a->q_offset[b], k0 = a->k_offset[b], column = head * a->d;
    return (AttentionTask){.queries = a->q_offset[b + 1] - q0,
                           .keys = keys_of(a, b),
                           .q = a->q + q0 * a->ldq + column,
                           .k = a->k + k0 * a->ldk + column,
                           .q_row = q0,
                           .k_row = k0,
                           .column = column,
                           .norm = a->norm ? a->norm + 2 * (head * a->q_offset[a->sequences] + q0) : NULL,
                           .drop = drop_of(a, b, head)};
}

static real *scratch_of(const Attention *a) {
    return a->scratch + (size_t)omp_get_thread_num() * attention_scratch(a->d);
}

/* Tasks in order, a share to each slot; the threads of a slot take it from its beginning, then what others have left. */
enum { SLOTS = 64 };
typedef struct Queue {
    size_t tasks, team, slots;
    struct {
        _Alignas(64) _Atomic size_t taken;
    } slot[SLOTS];
} Queue;

static void queue_fill(Queue *queue, size_t tasks, size_t team) {
    queue->tasks = tasks;
    queue->team = team;
    queue->slots = least(team, SLOTS);
    for (size_t s = 0; s < queue->slots; s++) atomic_init(&queue->slot[s].taken, 0);
}

/* The next task of thread `me`, which has seen the end of *looked slots, its own first; false: none is left. */
static bool queue_take(Queue *queue, size_t me, size_t *looked, size_t *task) {
    for (; *looked < queue->slots; ++*looked) {
        const size_t s = (fraction(queue->slots, me, queue->team) + *looked) % queue->slots;
        const Share share = share_of(queue->tasks, 1, s, queue->slots);
        const size_t taken = atomic_fetch_add_explicit(&queue->slot[s].taken, 1, memory_order_relaxed);
        *task = share.first + taken;
        if (taken < share.end - share.first) return true;
    }
    return false;
}

/* The statement that follows is done for each task n of `tasks`, by whichever thread of the team. */
#define EACH_TASK(team, tasks)                                                                                         \
    Queue queue;                                                                                                       \
    queue_fill(&queue, tasks, team);                                                                                   \
    PARALLEL(team, tasks)                                                                                              \
    for (size_t looked = 0, n; queue_take(&queue, (size_t)omp_get_thread_num(), &looked, &n);)

void op_attention(const Attention *a) {
    const size_t spans = (longest_of(a->sequences, a->q_offset) + ATTENTION_SPAN - 1) / ATTENTION_SPAN;
    const size_t tasks = a->sequences * a->heads * spans;
    if (tasks == 0) return;
    EACH_TASK(team_of(a), tasks) {
        const size_t b = n / spans / a->heads, first = n % spans * ATTENTION_SPAN;
        AttentionTask task = task_of(a, b, n / spans % a->heads);
        if (first >= task.queries) continue;
        task.first = first;
        task.end = task.queries - first < ATTENTION_SPAN ? task.queries : first + ATTENTION_SPAN;
        ops_kernels->attention.forward(a, &task, scratch_of(a));
        ops_pause();
    }
}

void op_attention_backward(const AttentionBackward *backward) {
    const Attention *a = &backward->forward;
    const size_t tasks = a->sequences * a->heads;
    if (tasks == 0) return;
    EACH_TASK(team_of(a), tasks) {
        AttentionTask task = task_of(a, n / a->heads, n % a->heads);
        task.end = task.queries;
        task.delta = backward->delta + n % a->heads * a->q_offset[a->sequences] + task.q_row;
        ops_kernels->attention.backward(backward, &task, scratch_of(a));
        ops_pause();
    }
}

void op_attention_weights(const Attention *a, size_t sequence, size_t head, real *w) {
    AttentionTask task = task_of(a, sequence, head);
    task.end = task.queries;
    ops_kernels->attention.weights(a, &task, w, a->scratch);
}

/* ---- softmax over time ----------------------------------------------------------------------------------- */

enum { TIME_COLUMNS = 64 };

static size_t time_team(size_t rows, size_t features) {
    return (double)rows * (double)features < (double)(1 << 15) ? 1 : ops_threads();
}

/* Both directions: w is NULL forward. */
static void over_time(size_t sequences, const size_t *offset, size_t features, const real *w, real *x) {
    const size_t chunks = (features + TIME_COLUMNS - 1) / TIME_COLUMNS, tasks = sequences * chunks;
    if (tasks == 0) return;
    PARALLEL(time_team(offset[sequences], features), tasks) {
#pragma omp for schedule(dynamic, 1) nowait
        for (size_t n = 0; n < tasks; n++) {
            const size_t b = n / chunks, f = n % chunks * TIME_COLUMNS, at = offset[b] * features + f;
            const size_t rows = offset[b + 1] - offset[b],
                         count = features - f < TIME_COLUMNS ? features - f : TIME_COLUMNS;
            if (w) ops_kernels->attention.time_backward(rows, features, count, w + at, x + at);
            else ops_kernels->attention.time(rows, features, count, x + at);
        }
    }
}

void op_softmax_time(size_t sequences, const size_t *offset, size_t features, real *x) {
    over_time(sequences, offset, features, NULL, x);
}

void op_softmax_time_backward(size_t sequences, const size_t *offset, size_t features, const real *w, real *dw) {
    over_time(sequences, offset, features, w, dw);
}
