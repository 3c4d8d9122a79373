/* SPDX-License-Identifier: MIT
 *
 * recurrent_blocks.c: how the sequences of a pass are cut into blocks that threads take one at a time. */
#include <omp.h>

#include "comm/region.h"
#include "layers/ops/ops.h"
#include "layers/recurrent/recurrent.h"

static size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

/* Counting sort by falling length; equal lengths keep their order. */
static void sort_by_length(Recurrent *self, const Rows *rows) {
    size_t *start = self->index.count, longest = rows->longest;
    for (size_t n = 0; n <= longest + 1; n++) start[n] = 0;
    /* Length n is counted in the slot behind its own, so that the sums become its first place. */
    for (size_t b = 0; b < rows->sequences; b++) start[longest - length_of(rows, b) + 1]++;
    for (size_t n = 0; n < longest; n++) start[n + 1] += start[n];
    for (size_t b = 0; b < rows->sequences; b++) self->index.sorted[start[longest - length_of(rows, b)]++] = b;
}

static size_t block_start(size_t sequences, size_t blocks, size_t b) {
    size_t whole = sequences / blocks, rest = sequences % blocks;
    return b * whole + (b < rest ? b : rest);
}

/* Whether threads do better on units than on sequences: a few rows are multiplied at the rate at which W_hh
 * [GP, H] comes from a cache, and fewer rows than threads leave some of these without work. In small steps one
 * thread is done before others would have begun. */
static bool shares_units(const Recurrent *self, size_t sequences, size_t share) {
    enum { FEW_ROWS = 2, LEAST_WORK = 1 << 19 };
    const bool more_rows = sequences > share, idle = sequences * self->D < self->threads;
    return share <= FEW_ROWS && (more_rows || idle) && sequences * self->H > LEAST_WORK / self->gates;
}

/* Whether threads that compute all of their blocks' products are done at about the same time. */
static bool is_even(size_t sequences, size_t blocks, size_t tasks, size_t threads) {
    enum { SHARE = 16 };
    const size_t largest = divide_up(sequences, blocks);
    return threads > 1 && tasks % threads == 0 && (largest * blocks - sequences) * SHARE <= sequences;
}

Blocks blocks_deal(Recurrent *self, const Rows *rows) {
    size_t B = rows->sequences, D = self->D, threads = self->threads;
    if (B == 0) return (Blocks){0};
    size_t share = divide_up(B * D, threads);
    const bool split = shares_units(self, B, share);
    size_t blocks = divide_up(B, split || self->block_rows < share ? self->block_rows : share);
    /* As many tasks as the threads can take in whole turns. */
    if (!split) blocks = divide_up(divide_up(blocks * D, threads) * threads, D);
    if (blocks > B) blocks = B;

    sort_by_length(self, rows);
    const size_t *sorted = self->index.sorted;
    const bool equal = length_of(rows, sorted[0]) == length_of(rows, sorted[B - 1]);
    /* Dealt in turn, so that each block gets its part of the long ones; equal ones so that blocks are rows in order. */
    for (size_t i = 0; i < B; i++)
        self->index.order[equal ? i : block_start(B, blocks, i % blocks) + i / blocks] = sorted[i];
    return (Blocks){blocks, B, split, !split && is_even(B, blocks, blocks * D, threads)};
}

static Block blocks_get(const Recurrent *self, Blocks blocks, size_t b) {
    size_t thread = (size_t)omp_get_thread_num(), rows = self->block_rows;
    size_t first = block_start(blocks.sequences, blocks.count, b);
    size_t end = block_start(blocks.sequences, blocks.count, b + 1);
    real *scratch = self->tmp.scratch + thread * self->scratch;
    Block block = {
        .count = end - first, .split = blocks.split, .own = blocks.own, .sequence = self->index.order + first};
    block.row = self->index.row + thread * 2 * rows;
    block.before = block.row + rows;
    /* Forward and backward use the same memory in turn. */
    block.h[0] = scratch;
    block.h[1] = block.h[0] + rows * self->ldblock;
    block.c = block.h[1] + rows * self->ldblock;
    block.dh = scratch;
    block.dc = block.dh + rows * self->ldblock;
    block.dgates = block.dc + rows * self->ldblock;
    return block;
}

/* Rows of sequences that follow each other are multiplied at once. */
static void product_panels(const Rows *rows, const Block *block, const Gemm *panels) {
    for (size_t i = 0, end = 0; i < block->count; i = end) {
        end = i + 1;
        while (end < block->count && block->sequence[end] == block->sequence[end - 1] + 1) end++;
        Gemm part = *panels;
        const size_t first = rows->offset[block->sequence[i]];
        part.m = rows->offset[block->sequence[end - 1] + 1] - first;
        part.a += first * part.lda;
        part.c += first * part.ldc;
        gemm_serial(&part);
    }
    ops_pause();
}

void block_product(const Rows *rows, const Block *block, const Gemm *product) {
    enum { COLUMNS = 16 * PANEL }; /* whose part of B stays in a cache for all rows */
    for (size_t j = 0; j < product->n; j += COLUMNS) {
        Gemm panels = *product;
        panels.n = product->n - j < COLUMNS ? product->n - j : COLUMNS;
        panels.b += packed_count(product->k, j);
        panels.c += j;
        if (panels.bias) panels.bias += j;
        product_panels(rows, block, &panels);
    }
}

real *blocks_pre(const Recurrent *self) {
    const size_t states = 3 * self->block_rows * self->ldblock;
    return self->tmp.scratch + (size_t)omp_get_thread_num() * self->scratch + states;
}

static void run_task(const Layer *layer, const Pass *pass, Blocks blocks, size_t l, BlockRun *run, size_t task) {
    const Block block = blocks_get(layer->self, blocks, task % blocks.count);
    run(layer, pass, l, task / blocks.count, &block);
}

void blocks_run(const Layer *layer, const Pass *pass, Blocks blocks, size_t l, BlockRun *run) {
    const Recurrent *self = layer->self;
    const size_t tasks = blocks.count * self->D;
    /* Not in a region of one thread: libgomp makes threads anew for each one inside it. */
    if (blocks.split) {
        for (size_t task = 0; task < tasks; task++) run_task(layer, pass, blocks, l, run, task);
        return;
    }
    PARALLEL(tasks > 1 ? self->threads : 1, pass->rows.sequences * self->D) {
        if (blocks.own) {
#pragma omp for schedule(static) nowait
            for (size_t task = 0; task < tasks; task++) run_task(layer, pass, blocks, l, run, task);
        } else {
#pragma omp for schedule(dynamic, 1) nowait
            for (size_t task = 0; task < tasks; task++) run_task(layer, pass, blocks, l, run, task);
        }
    }
}
