/* SPDX-License-Identifier: MIT
 *
 * rank_talk.c: places, threads, exchanges, broadcasts, messages, agreement and node memory of rank_reduce. */
#include <omp.h>
#include <stdlib.h>
#include <unistd.h>

#include "comm/fold.h"
#include "comm/row_counts.h"
#include "tests/distributed/rank_test.h"

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

static uint32_t *count_ids(const RowCountsUse *use, size_t first_shard, size_t end_shard, size_t sequences, size_t step,
                           uint32_t *counts) {
    size_t first, end, unused;
    fold_items(sequences, use->shards, first_shard, &first, &unused);
    fold_items(sequences, use->shards, end_shard - 1, &unused, &end);
    for (size_t i = first * use->ids; i < end * use->ids; i++) counts[hash(i, step, 6) % use->rows]++;
    return counts;
}

/* Batches that touch few of the rows, and nearly all; longer than a piece; and one that is not full. */
static void check_counts(Comm *comm) {
    size_t size = comm_size(comm);
    const RowCountsUse uses[] = {{5000, size + 2, 2 * size + 3, 7},
                                 {70, size, 5 * size, 9},
                                 {200001, size, size, 100},
                                 {300000, 2 * size, 2 * size, 40000}};
    for (size_t k = 0; k < sizeof uses / sizeof uses[0]; k++) {
        const RowCountsUse *use = &uses[k];
        RowCounts *counts;
        size_t first, end;
        fold_range(use->shards, size, comm_rank(comm), &first, &end);
        CHECK(row_counts_create(comm, use, &counts) == OK);
        for (size_t step = 1; step <= 3; step++) {
            size_t sequences = step == 3 ? use->sequences - 1 : use->sequences;
            count_ids(use, first, end, sequences, step, row_counts_begin(counts));
            row_counts_sum(counts);
            uint32_t *want = count_ids(use, 0, use->shards, sequences, step, calloc(use->rows, sizeof *want));
            CHECK(same_bits(row_counts_total(counts), want, use->rows * sizeof *want));
            free(want);
        }
        row_counts_destroy(&counts);
    }
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

void check_talk(Comm *comm) {
    check_threads(comm);
    check_places(comm);
    check_exchange(comm);
    check_broadcast(comm);
    check_point_to_point(comm);
    check_agree(comm);
    check_share(comm);
    check_counts(comm);
}
