/* SPDX-License-Identifier: MIT
 *
 * rank_reduce.c: one rank of a test; the exit code is the verdict. Every rank works out by itself, from
 * the leaves, what all ranks together must come to, and compares bits.
 *
 *   rank_reduce reduce SHARDS COUNT ...   exchange, messages, agreement, node memory; and for each pair of
 *                                         numbers the ordered sum, publish, collect and distribute
 *   rank_reduce kill|stop RANK        that rank dies or stops at step 3; the others must not wait for ever
 *   rank_reduce chain LAST            so does the last, and every other one waits for the next
 *   rank_reduce measure COUNT         milliseconds of a sum and a publish */
#include <math.h>
#include <omp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "comm/comm.h"
#include "comm/log.h"
#include "comm/reduce.h"
#include "tests/distributed/rank_test.h"

enum { STEPS = 4, LANES = 16 };

size_t failures;

/* ---- what must come out --------------------------------------------------------------------------- */

/* Magnitudes over 2^24, so that the order of additions shows. */
static float leaf(size_t shard, size_t i, uint64_t step) {
    uint64_t x = hash(shard, i, step);
    float mantissa = (float)(x >> 40) / 16777216.0f - 0.5f;
    return ldexpf(mantissa, (int)(x % 24));
}

static float fold_leaves(FoldNode node, size_t shards, size_t i, uint64_t step) {
    if (node.level == 0) return leaf(node.first, i, step);
    FoldNode left = {.first = node.first, .level = node.level - 1};
    FoldNode right = {.first = node.first + ((size_t)1 << left.level), .level = left.level};
    float sum = fold_leaves(left, shards, i, step);
    return right.first < shards ? sum + fold_leaves(right, shards, i, step) : sum;
}

static double squares_by_chunk(const float *x, size_t count) {
    double total = 0;
    for (size_t chunk = 0; chunk < count; chunk += REDUCE_CHUNK) {
        double lane[LANES] = {0};
        for (size_t i = chunk; i < count && i < chunk + REDUCE_CHUNK; i++) {
            double value = (double)x[i];
            lane[i % LANES] += value * value;
        }
        for (size_t half = 1; half < LANES; half *= 2) {
            for (size_t i = 0; i < LANES; i += 2 * half) lane[i] += lane[i + half];
        }
        total += lane[0];
    }
    return total;
}

/* ---- the two-phase step --------------------------------------------------------------------------- */

typedef struct Case {
    Comm *comm;
    size_t count, shards;
    float *params, *expected_params, *expected;
    Reduce *reduce;
    TouchedTable table[2][2]; /* of odd and of even steps: parameters of the one before may be under way */
    Touched touched[2], *now;
} Case;

/* Half of the steps have tables of which not all rows are touched: few, most, and of the second one now and then none,
 * so that whole messages are empty. */
static void touch_rows(Case *c, uint64_t step) {
    c->now = &c->touched[step % 2];
    *c->now = (Touched){.table = c->table[step % 2], .tables = step & 2 && c->count > 1000 ? 2 : 0};
    for (size_t i = 0; i < c->now->tables; i++) {
        TouchedTable *t = &c->now->table[i];
        size_t third = c->count / 3 / 16 * 16;
        *t = (TouchedTable){.offset = i ? third + 32 : 16, .width = i ? 48 : 37, .count = t->count};
        t->rows = (i ? c->count - t->offset - 16 : third) / t->width;
        uint32_t *count = realloc((void *)(uintptr_t)t->count, t->rows * sizeof *count);
        if (!count) exit(1);
        for (size_t row = 0; row < t->rows; row++) {
            uint64_t x = hash(i, row / (1 + step % 2), step) % 16;
            count[row] = (uint32_t)(i == 1 && step & 4 ? 0 : step & 1 ? x == 0 : x != 0);
        }
        t->count = count;
    }
    reduce_touched(c->reduce, c->now);
    reduce_kept(c->reduce, c->now);
}

static bool is_touched(const Case *c, size_t i) {
    for (size_t k = 0; k < c->now->tables; k++) {
        const TouchedTable *t = &c->now->table[k];
        if (i >= t->offset && i < t->offset + t->rows * t->width) return t->count[(i - t->offset) / t->width] > 0;
    }
    return true;
}

/* Writes my gradients and announces them in an order of their own, with gaps as padding leaves them. */
static void write_gradients(Case *c, uint64_t step, bool spoil) {
    const FoldNode *segment;
    size_t segments = reduce_segments(c->reduce, &segment), rank = comm_rank(c->comm);
    size_t part = 1 + (size_t)(hash(rank, step, 5) % 50000);
    for (size_t end = c->count; end > 0;) {
        size_t first = end > part ? end - part : 0;
        for (size_t s = 0; s < segments; s++) {
            float *gradient = reduce_gradient(c->reduce, s);
            for (size_t i = first; i < end; i++)
                gradient[i] = is_touched(c, i) ? fold_leaves(segment[s], c->shards, i, step) : NAN;
        }
        if (spoil && first == 0 && rank + 1 == comm_size(c->comm))
            reduce_gradient(c->reduce, 0)[0] = step % 2 ? NAN : INFINITY;
        size_t gap = hash(rank, step, end) % 3 == 0 && end - first > 16 ? 16 : 0;
        reduce_ready(c->reduce, first, end - first - gap);
        reduce_poll(c->reduce);
        end = first;
        pause_a_little(hash(rank, step, end));
    }
}

static void check_sum(Case *c, uint64_t step, bool spoil) {
    size_t size = comm_size(c->comm);
    uint64_t word[3] = {comm_rank(c->comm), step, hash(comm_rank(c->comm), step, 9)},
             *words = calloc(size, sizeof word);
    ReduceSum sum;
    reduce_sum(c->reduce, word, sizeof word, words, &sum);
    for (size_t r = 0; r < size; r++) {
        CHECK(words[3 * r] == r && words[3 * r + 1] == step && words[3 * r + 2] == hash(r, step, 9));
    }
    free(words);
    CHECK(sum.finite == !spoil);
    if (spoil) return;
    size_t chunks, at = 0;
    const ReduceChunk *chunk = reduce_chunks(c->reduce, &chunks);
    for (size_t i = 0; i < chunks; at += chunk[i++].count) {
        CHECK(chunk[i].at == at && (i == 0 || chunk[i].offset > chunk[i - 1].offset));
        for (size_t k = chunk[i].offset; k < chunk[i].offset + chunk[i].count; k++)
            CHECK(!is_touched(c, k) || same_bits(reduce_summed(c->reduce) + k, c->expected + k, sizeof(float)));
    }
    CHECK(at == reduce_owned(c->reduce));
    double squares = squares_by_chunk(c->expected, c->count);
    CHECK(same_bits(&sum.sum_of_squares, &squares, sizeof squares));
}

/* Half of the rounds ask for the parameters piece by piece, as a forward does. */
static void await_parameters(Case *c, uint64_t step) {
    if (step % 2) reduce_settle(c->reduce);
    for (size_t first = 0; first < c->count; first += 50000) {
        size_t count = c->count - first < 50000 ? c->count - first : 50000;
        reduce_need(c->reduce, first, count);
        CHECK(same_bits(c->params + first, c->expected_params + first, count * sizeof(float)));
        pause_a_little(hash(comm_rank(c->comm), step, first));
        reduce_poll(c->reduce);
    }
}

static void check_publish(Case *c, uint64_t step) {
    size_t chunks;
    const ReduceChunk *chunk = reduce_chunks(c->reduce, &chunks);
    const float *gradient = reduce_summed(c->reduce);
    for (size_t k = 0; k < chunks; k++) {
        for (size_t i = chunk[k].offset; i < chunk[k].offset + chunk[k].count; i++)
            if (is_touched(c, i)) c->params[i] -= 0.25f * gradient[i];
        if (hash(step, k, 4) % 2) reduce_written(c->reduce, k + 1);
    }
    pause_a_little(hash(comm_rank(c->comm), step, 3));
    reduce_publish(c->reduce);
    for (size_t i = 0; i < c->count; i++) c->expected_params[i] -= 0.25f * c->expected[i];
    await_parameters(c, step);
}

static void check_slices(Case *c) {
    size_t chunks, owned = reduce_owned(c->reduce), rank = comm_rank(c->comm);
    const ReduceChunk *chunk = reduce_chunks(c->reduce, &chunks);
    float *slice = malloc((owned + 1) * sizeof(float)), *whole = malloc((c->count + 1) * sizeof(float));
    for (size_t root = 0; root < comm_size(c->comm); root++) {
        for (size_t k = 0; k < chunks; k++)
            for (size_t i = 0; i < chunk[k].count; i++) slice[chunk[k].at + i] = leaf(root, chunk[k].offset + i, 77);
        memset(whole, 0xff, c->count * sizeof(float));
        reduce_collect(c->reduce, root, slice, rank == root ? whole : NULL);
        for (size_t i = 0; rank == root && i < c->count; i++) {
            float value = leaf(root, i, 77);
            CHECK(same_bits(&whole[i], &value, sizeof value));
            whole[i] = leaf(root, i, 78);
        }
        reduce_distribute(c->reduce, root, rank == root ? whole : NULL, slice);
        for (size_t k = 0; k < chunks; k++) {
            for (size_t i = 0; i < chunk[k].count; i++) {
                float value = leaf(root, chunk[k].offset + i, 78);
                CHECK(same_bits(&slice[chunk[k].at + i], &value, sizeof value));
            }
        }
    }
    free(slice);
    free(whole);
}

static void check_reduce(Comm *comm, size_t shards, size_t count) {
    Case c = {.comm = comm, .count = count, .shards = shards};
    void *params;
    CHECK(comm_share(comm, count * sizeof(float), "parameters", &params) == OK);
    if (failures > 0) return;
    c.params = params;
    c.expected_params = calloc(count + 1, sizeof(float));
    c.expected = calloc(count + 1, sizeof(float));
    if (shards < comm_size(comm)) {
        CHECK(reduce_create(comm, c.params, count, shards, &c.reduce) == ERR_USAGE);
        CHECK(strstr(status_message(), "fewer shards") != NULL);
    } else {
        CHECK(reduce_create(comm, c.params, count, shards, &c.reduce) == OK);
        CHECK(reduce_stage(c.reduce) == OK);
        for (uint64_t step = 1; step <= 2 * STEPS; step++) {
            reduce_overlap(c.reduce, step <= STEPS);
            bool spoil = step == 2 && count > 0;
            comm_phase(comm, "reduce", step);
            touch_rows(&c, step);
            for (size_t i = 0; i < count; i++)
                c.expected[i] = is_touched(&c, i) ? fold_leaves(fold_root(shards), shards, i, step) : 0;
            write_gradients(&c, step, spoil);
            check_sum(&c, step, spoil);
            if (!spoil) check_publish(&c, step); /* a step that is given up has no second phase */
        }
        reduce_settle(c.reduce);
        check_slices(&c);
    }
    reduce_destroy(&c.reduce);
    free(c.expected);
    free(c.expected_params);
    for (size_t i = 0; i < 4; i++) free((void *)(uintptr_t)c.table[i / 2][i % 2].count);
}

/* ---- losing a rank --------------------------------------------------------------------------------------- */

static void carry_on(int signal) {
    (void)signal; /* as the trainer does at SIGTERM: it finishes its step */
}

static void lose(Comm *comm, int how, size_t victim, bool chain) {
    struct sigaction action = {.sa_handler = carry_on};
    sigaction(SIGTERM, &action, NULL);
    Reduce *reduce;
    void *params;
    size_t count = 100000;
    if (comm_share(comm, count * sizeof(float), "parameters", &params) != OK) exit(1);
    if (reduce_create(comm, params, count, comm_size(comm), &reduce) != OK) exit(1);
    for (uint64_t step = 1; step <= 5; step++) {
        comm_phase(comm, "backward", step);
        if (step == 3 && comm_rank(comm) == victim) raise(how);
        comm_phase(comm, "reduce", step);
        ReduceSum sum;
        char word;
        if (chain && step == 3) comm_receive(comm, comm_rank(comm) + 1, &word, 1);
        reduce_sum(reduce, NULL, 0, NULL, &sum);
        reduce_publish(reduce);
    }
    exit(1); /* nobody was lost */
}

/* ---- time -------------------------------------------------------------------------------------------------- */

static double milliseconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec * 1e-6;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum { ROUNDS = 41, SUM = 0, PUBLISH = 1, COPY = 2, KINDS = 3 };

typedef struct Span {
    double start, end;
} Span;

/* From the first rank's start to the last rank's end, sorted: a rank that was put aside while others worked
 * must not make the whole look fast. The ranks of a host share its clock. */
static void sort_spans(Comm *comm, const Span *mine, double *ms) {
    size_t size = comm_size(comm);
    Span *all = malloc(size * ROUNDS * sizeof *all);
    if (!all) exit(1);
    comm_exchange(comm, mine, ROUNDS * sizeof *mine, all);
    for (size_t round = 0; round < ROUNDS; round++) {
        Span whole = all[round];
        for (size_t r = 1; r < size; r++) {
            const Span *span = &all[r * ROUNDS + round];
            if (span->start < whole.start) whole.start = span->start;
            if (span->end > whole.end) whole.end = span->end;
        }
        ms[round] = whole.end - whole.start;
    }
    free(all);
    qsort(ms, ROUNDS, sizeof *ms, ascending);
}

static void measure(Comm *comm, size_t count) {
    static Span span[KINDS][ROUNDS];
    double ms[KINDS][ROUNDS];
    Reduce *reduce;
    void *params;
    if (comm_share(comm, count * sizeof(float), "parameters", &params) != OK) exit(1);
    if (reduce_create(comm, params, count, comm_size(comm), &reduce) != OK) exit(1);
    float *gradient = reduce_gradient(reduce, 0), *from = malloc(count * 4), *to = malloc(count * 4);
    if (!from || !to) exit(1);
    memset(from, 1, count * 4);
    for (size_t round = 0; round < ROUNDS; round++) {
        comm_barrier(comm);
        span[COPY][round].start = milliseconds();
        memcpy(to, from, count * 4);
        span[COPY][round].end = milliseconds();
        for (size_t i = 0; i < count; i++) gradient[i] = (float)(i + round) + to[i];
        comm_barrier(comm);
        ReduceSum sum;
        span[SUM][round].start = milliseconds();
        reduce_sum(reduce, NULL, 0, NULL, &sum);
        span[SUM][round].end = span[PUBLISH][round].start = milliseconds();
        reduce_publish(reduce);
        span[PUBLISH][round].end = milliseconds();
    }
    for (size_t kind = 0; kind < KINDS; kind++) sort_spans(comm, span[kind], ms[kind]);
    /* On one node: each gradient is read once, the sum written once; a single rank only reads. */
    double ranks = (double)comm_size(comm), floats = (double)count * 4;
    double moved = (comm_size(comm) == 1 ? 1 : ranks + 1) * floats, copied = ranks * 2 * floats;
    if (comm_rank(comm) == 0) {
        printf("ranks %zu nodes %zu threads %zu, ms median (best): sum %.2f (%.2f), publish %.2f (%.2f), memcpy %.2f "
               "(%.2f); GB/s at the median (best): sum %.1f (%.1f), memcpy %.1f (%.1f)\n",
               comm_size(comm), comm_nodes(comm), comm_threads(comm), ms[SUM][ROUNDS / 2], ms[SUM][0],
               ms[PUBLISH][ROUNDS / 2], ms[PUBLISH][0], ms[COPY][ROUNDS / 2], ms[COPY][0],
               moved / ms[SUM][ROUNDS / 2] * 1e-6, moved / ms[SUM][0] * 1e-6, copied / ms[COPY][ROUNDS / 2] * 1e-6,
               copied / ms[COPY][0] * 1e-6);
    }
    free(from);
    free(to);
    reduce_destroy(&reduce);
}

int main(int argc, char **argv) {
    Comm *comm;
    Status status = comm_start(&comm, argc, argv);
    if (status != OK) {
        log_error("%s", status_message());
        return (int)status;
    }
    const char *task = argc > 1 ? argv[1] : "";
    size_t number = argc > 2 ? strtoull(argv[2], NULL, 10) : 0;
    if (strcmp(task, "kill") == 0) lose(comm, SIGKILL, number, false);
    if (strcmp(task, "stop") == 0) lose(comm, SIGSTOP, number, false);
    if (strcmp(task, "chain") == 0) lose(comm, SIGSTOP, number, true);
    if (strcmp(task, "measure") == 0) measure(comm, number);
    if (strcmp(task, "reduce") == 0 && argc >= 4 && argc % 2 == 0) {
        check_talk(comm);
        for (int i = 2; i < argc && failures == 0; i += 2) {
            check_reduce(comm, strtoull(argv[i], NULL, 10), strtoull(argv[i + 1], NULL, 10));
            if (failures > 0) fprintf(stderr, "in %s shards of %s floats\n", argv[i], argv[i + 1]);
        }
    } else if (strcmp(task, "measure") != 0) {
        failures++;
    }
    Status verdict = comm_agree(comm, failures > 0 ? status_fail(ERR_INTERNAL, "%zu checks failed", failures) : OK);
    if (verdict != OK) log_error("%s", status_message());
    comm_finish(&comm);
    return (int)verdict;
}
