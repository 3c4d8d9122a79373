/* SPDX-License-Identifier: MIT
 *
 * rank_reduce.c: one rank of a test; the exit code is the verdict. Every rank works out by itself, from
 * the leaves, what all ranks together must come to, and compares bits.
 *
 *   rank_reduce reduce SHARDS COUNT   the ordered sum, publish, collect, distribute, agree, exchange
 *   rank_reduce kill|stop RANK        that rank dies or stops at step 3; the others must not wait for ever
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

enum { STEPS = 4, LANES = 16 };

static size_t failures;

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition) && failures++ < 10) fprintf(stderr, "rank_reduce.c:%d: %s\n", __LINE__, #condition);          \
    } while (0)

static uint64_t hash(uint64_t a, uint64_t b, uint64_t c) {
    uint64_t x = a * 0x9e3779b97f4a7c15u + b * 0xbf58476d1ce4e5b9u + c * 0x94d049bb133111ebu + 1;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

static void pause_a_little(uint64_t key) {
    struct timespec time = {.tv_nsec = (long)(key % 4) * 500000};
    if (time.tv_nsec > 0) nanosleep(&time, NULL);
}

static bool same_bits(const void *a, const void *b, size_t bytes) {
    return memcmp(a, b, bytes) == 0;
}

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
} Case;

/* Writes my gradients and announces them in an order of their own, with gaps as padding leaves them. */
static void write_gradients(Case *c, uint64_t step, bool spoil) {
    const FoldNode *segment;
    size_t segments = reduce_segments(c->reduce, &segment), rank = comm_rank(c->comm);
    size_t part = 1 + (size_t)(hash(rank, step, 5) % 50000);
    for (size_t end = c->count; end > 0;) {
        size_t first = end > part ? end - part : 0;
        for (size_t s = 0; s < segments; s++) {
            float *gradient = reduce_gradient(c->reduce, s);
            for (size_t i = first; i < end; i++) gradient[i] = fold_leaves(segment[s], c->shards, i, step);
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
        CHECK(same_bits(reduce_summed(c->reduce) + chunk[i].offset, c->expected + chunk[i].offset,
                        chunk[i].count * sizeof(float)));
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
        for (size_t i = chunk[k].offset; i < chunk[k].offset + chunk[k].count; i++) c->params[i] -= 0.25f * gradient[i];
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
        for (uint64_t step = 1; step <= 2 * STEPS; step++) {
            reduce_overlap(c.reduce, step <= STEPS);
            bool spoil = step == 2 && count > 0;
            comm_phase(comm, "reduce", step);
            for (size_t i = 0; i < count; i++) c.expected[i] = fold_leaves(fold_root(shards), shards, i, step);
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
}

/* ---- what ranks tell each other ------------------------------------------------------------------------ */

static void check_places(Comm *comm) {
    size_t size = comm_size(comm),
           mine[4] = {comm_rank(comm), comm_node(comm), comm_node_rank(comm), comm_node_size(comm)};
    size_t *all = calloc(size, sizeof mine), on_node = 0;
    comm_exchange(comm, mine, sizeof mine, all);
    for (size_t r = 0; r < size; r++) {
        const size_t *theirs = all + 4 * r;
        CHECK(theirs[0] == r && theirs[1] < comm_nodes(comm) && theirs[2] < theirs[3]);
        if (theirs[1] == mine[1]) CHECK(theirs[3] == mine[3] && (theirs[2] == mine[2]) == (r == mine[0]));
        on_node += theirs[1] == mine[1];
    }
    CHECK(on_node == mine[3]);
    free(all);
}

static void check_exchange(Comm *comm) {
    static const size_t sizes[] = {1, 7, 64, 1000, 8192, 8193, 30000};
    size_t rank = comm_rank(comm), size = comm_size(comm);
    unsigned char *mine = malloc(30000), *all = malloc(30000 * size);
    for (size_t round = 0; round < 60; round++) {
        size_t bytes = sizes[round % (sizeof sizes / sizeof sizes[0])];
        for (size_t i = 0; i < bytes; i++) mine[i] = (unsigned char)hash(rank, i, round);
        if (round % 5 == 0) pause_a_little(hash(rank, round, 1));
        comm_exchange(comm, mine, bytes, all);
        for (size_t i = 0; i < bytes * size; i++) CHECK(all[i] == (unsigned char)hash(i / bytes, i % bytes, round));
        if (round % 3 == 0) comm_barrier(comm);
        if (round % 4 == 0) comm_node_barrier(comm);
    }
    free(mine);
    free(all);
}

static void check_broadcast(Comm *comm) {
    static const size_t sizes[] = {1, 5000, 131072, 400001};
    unsigned char *data = malloc(400001);
    for (size_t round = 0; round < 4 * comm_size(comm); round++) {
        size_t bytes = sizes[round % 4], root = round / 4;
        for (size_t i = 0; i < bytes; i++) data[i] = comm_rank(comm) == root ? (unsigned char)hash(root, i, bytes) : 0;
        comm_broadcast(comm, root, data, bytes);
        for (size_t i = 0; i < bytes; i++) CHECK(data[i] == (unsigned char)hash(root, i, bytes));
    }
    free(data);
}

static void check_point_to_point(Comm *comm) {
    static const size_t sizes[] = {0, 1, 100000, ((size_t)64 << 20) + 5};
    size_t rank = comm_rank(comm), size = comm_size(comm);
    for (size_t k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        size_t bytes = sizes[k];
        unsigned char *data = malloc(bytes + 1);
        for (size_t from = 0; from < size; from++) {
            size_t to = (from + k) % size;
            if (rank == from) {
                for (size_t i = 0; i < bytes; i++) data[i] = (unsigned char)(i * 7 + from + k);
                comm_send(comm, to, data, bytes);
            }
            if (rank == to) {
                memset(data, 0, bytes);
                comm_receive(comm, from, data, bytes);
                size_t wrong = 0;
                for (size_t i = 0; i < bytes; i++) wrong += data[i] != (unsigned char)(i * 7 + from + k);
                CHECK(wrong == 0);
            }
        }
        free(data);
    }
}

/* The ranks of `failing` (a bit each) fail with messages of their own. */
static void check_agree(Comm *comm) {
    size_t rank = comm_rank(comm), size = comm_size(comm);
    for (size_t failing = 0; failing < (size_t)1 << size && failing < 32; failing++) {
        bool fails = failing >> rank & 1;
        Status mine = fails ? status_fail(ERR_DATA + (Status)(rank % 2), "file %zu is damaged", rank) : OK;
        Status agreed = comm_agree(comm, mine);
        char expected[128];
        size_t lowest = 0, count = 0;
        while (failing > 0 && !(failing >> lowest & 1)) lowest++;
        for (size_t r = 0; r < size; r++) count += failing >> r & 1;
        CHECK(agreed == (failing == 0 ? OK : ERR_DATA + (Status)(lowest % 2)));
        if (failing == 0) continue;
        if (count == size) snprintf(expected, sizeof expected, "file %zu is damaged", lowest);
        else if (count == 1) snprintf(expected, sizeof expected, "file %zu is damaged [rank %zu]", lowest, lowest);
        else
            snprintf(expected, sizeof expected, "file %zu is damaged [rank %zu and %zu more of %zu]", lowest, lowest,
                     count - 1, size);
        CHECK(strcmp(status_message(), expected) == 0);
    }
}

static void check_share(Comm *comm) {
    void *memory;
    size_t mine = comm_node_rank(comm), size = comm_node_size(comm);
    CHECK(comm_share(comm, size * 5000, "a test", &memory) == OK);
    unsigned char *bytes = memory;
    for (size_t i = 0; i < size * 5000; i++) CHECK(bytes[i] == 0);
    comm_node_barrier(comm);
    memset(bytes + mine * 5000, (int)(mine + 1), 5000);
    comm_node_barrier(comm);
    for (size_t i = 0; i < size * 5000; i++) CHECK(bytes[i] == i / 5000 + 1);
    CHECK(comm_share(comm, (size_t)1 << 46, "the impossible", &memory) == ERR_USAGE);
    CHECK(strstr(status_message(), "the impossible") && strstr(status_message(), "MiB needed"));
}

static void check_threads(const Comm *comm) {
    size_t flushed = 0, threads = 0;
#pragma omp parallel
    {
        volatile float tiny = 1e-30f, factor = 1e-10f;
        float product = tiny * factor;
#pragma omp critical
        {
            flushed += product == 0.0f;
            threads++;
        }
    }
    CHECK(threads == comm_threads(comm));
    const char *asked = getenv("OMP_NUM_THREADS");
    if (asked) CHECK(threads == strtoull(asked, NULL, 10));
    if (threads > (size_t)sysconf(_SC_NPROCESSORS_ONLN)) CHECK(getenv("OMP_WAIT_POLICY") != NULL);
    CHECK(flushed == threads);
}

/* ---- losing a rank --------------------------------------------------------------------------------------- */

static void carry_on(int signal) {
    (void)signal; /* as the trainer does at SIGTERM: it finishes its step */
}

static void lose(Comm *comm, int how, size_t victim) {
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
    if (strcmp(task, "kill") == 0) lose(comm, SIGKILL, number);
    if (strcmp(task, "stop") == 0) lose(comm, SIGSTOP, number);
    if (strcmp(task, "measure") == 0) measure(comm, number);
    if (strcmp(task, "reduce") == 0 && argc == 4) {
        check_threads(comm);
        check_places(comm);
        check_exchange(comm);
        check_broadcast(comm);
        check_point_to_point(comm);
        check_agree(comm);
        check_share(comm);
        check_reduce(comm, number, strtoull(argv[3], NULL, 10));
    } else if (strcmp(task, "measure") != 0) {
        failures++;
    }
    Status verdict = comm_agree(comm, failures > 0 ? status_fail(ERR_INTERNAL, "%zu checks failed", failures) : OK);
    if (verdict != OK) log_error("%s", status_message());
    comm_finish(&comm);
    return (int)verdict;
}
