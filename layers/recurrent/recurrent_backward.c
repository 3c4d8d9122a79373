/* SPDX-License-Identifier: MIT
 *
 * recurrent_backward.c: (a') to (d') of recurrent.h, recurrent_forward.c read from bottom to top. */
#include <string.h>

#include "layers/ops/ops.h"
#include "layers/recurrent/recurrent.h"

/* Gradients of the state after each sequence's last step. */
static void load_gradients(const Layer *layer, size_t l, size_t d, const Block *block) {
    const Recurrent *self = layer->self;
    size_t H = self->H, ld = self->ldblock, column = (l * self->D + d) * H;
    bool carries_c = self->cell->carries_c;
    const Value *h_n = layer->out[1], *c_n = carries_c ? layer->out[2] : NULL;
    memset(block->dh, 0, block->count * ld * sizeof(real));
    if (carries_c) memset(block->dc, 0, block->count * ld * sizeof(real));
    for (size_t i = 0; i < block->count; i++) {
        size_t b = block->sequence[i];
        if (h_n->g) memcpy(block->dh + i * ld, h_n->g + b * h_n->features + column, H * sizeof(real));
        if (c_n && c_n->g) memcpy(block->dc + i * ld, c_n->g + b * c_n->features + column, H * sizeof(real));
    }
}

/* Points the step at what the cell read from the step before: c (lstm) or h (gru). */
static void point_before(const Layer *layer, const Pass *pass, size_t l, const Stream *stream, const Block *block,
                         size_t t, CellBackward *step) {
    const Recurrent *self = layer->self;
    bool c = self->cell->carries_c;
    if (t == 0) {
        for (size_t i = 0; i < step->rows; i++) block->before[i] = block->sequence[i];
        step->before = !recurrent_starts(self, pass) ? NULL : c ? stream->initial.c : stream->initial.h;
        step->ldbefore = self->H;
        return;
    }
    for (size_t i = 0; i < step->rows; i++)
        block->before[i] = recurrent_row(&pass->rows, stream, block->sequence[i], t - 1);
    step->before = c ? recurrent_extra(self, l, stream->reverse) : recurrent_h(layer, l) + stream->column;
    step->ldbefore = c ? self->P : self->features;
}

/* (c') and (b') of one block, all steps. */
static void block_backward(const Layer *layer, const Pass *pass, size_t l, size_t d, const Block *block) {
    const Recurrent *self = layer->self;
    const Stream *stream = &self->stream[l * self->D + d];
    const Rows *rows = &pass->rows;
    const real *dout = l + 1 == self->L ? layer->out[0]->g : self->tmp.dx;
    CellBackward step = {.units = self->H,
                         .row = block->row,
                         .before_row = block->before,
                         .gates = recurrent_gates(self, l, d),
                         .ldgates = self->gates,
                         .extra = recurrent_extra(self, l, d),
                         .ldextra = self->P,
                         .dout = dout ? dout + stream->column : NULL,
                         .lddout = self->features,
                         .dgates = block->dgates,
                         .lddgates = self->lddgates,
                         .dh = block->dh,
                         .dc = block->dc,
                         .lddh = self->ldblock};
    load_gradients(layer, l, d, block);
    for (size_t t = length_of(rows, block->sequence[0]); t-- > 0;) {
        ops_pause();
        while (step.rows < block->count && length_of(rows, block->sequence[step.rows]) > t) step.rows++;
        for (size_t i = 0; i < step.rows; i++) block->row[i] = recurrent_row(rows, stream, block->sequence[i], t);
        point_before(layer, pass, l, stream, block, t, &step);
        cell_backward(self->cell->kind, &step);
        if (t == 0 && self->start.kind == STATE_ZEROS) break;
        const Gemm back = {.m = step.rows,
                           .n = self->P,
                           .k = stream->hh_back.k,
                           .a = block->dgates,
                           .lda = self->lddgates,
                           .b = stream->hh_back.v,
                           .c = block->dh,
                           .ldc = self->ldblock,
                           .accumulate = self->cell->h_past_weights};
        if (block->split) gemm(&back);
        else gemm_serial(&back);
    }
    if (self->start.kind != STATE_ZEROS) recurrent_start_take(self, pass, l * self->D + d, block);
}

/* What the gradients of a stream's parameters are formed from. */
typedef struct Leaf {
    const Recurrent *self;
    const real *gates; /* their gradients */
    const real *x, *h; /* what multiplied W_ih and, in the rows of `before`, W_hh */
    size_t I;
    const int64_t *before;
    const real *h0;
    size_t summed; /* the shard whose column sums are in tmp.dbias; SIZE_MAX: none */
} Leaf;

static void weight_ih_gradient(void *context, const Pass *pass, size_t s, real *g) {
    const Leaf *leaf = context;
    const Recurrent *self = leaf->self;
    size_t first = shard_row(&pass->rows, PER_STEP, s), end = shard_row(&pass->rows, PER_STEP, s + 1);
    gemm_tn(&(GemmTn){.m = self->cell->gates * self->H,
                      .n = leaf->I,
                      .k = end - first,
                      .a = leaf->gates + first * self->gates,
                      .lda = self->gates,
                      .order = self->order,
                      .b = leaf->x + first * leaf->I,
                      .ldb = leaf->I,
                      .c = g,
                      .ldc = leaf->I});
}

static void weight_hh_gradient(void *context, const Pass *pass, size_t s, real *g) {
    const Leaf *leaf = context;
    const Recurrent *self = leaf->self;
    size_t first = shard_row(&pass->rows, PER_STEP, s), end = shard_row(&pass->rows, PER_STEP, s + 1);
    gemm_tn(&(GemmTn){.m = self->cell->gates * self->H,
                      .n = self->H,
                      .k = end - first,
                      .a = leaf->gates + first * self->gates,
                      .lda = self->gates,
                      .order = self->order,
                      .b = leaf->h,
                      .ldb = self->features,
                      .b_rows = leaf->before + first,
                      .b0 = leaf->h0,
                      .ldb0 = self->H,
                      .c = g,
                      .ldc = self->H});
}

/* The two biases of a cell that adds them both see the same gradient: sum once. */
static void bias_gradient(void *context, const Pass *pass, size_t s, real *g) {
    Leaf *leaf = context;
    const Recurrent *self = leaf->self;
    size_t first = shard_row(&pass->rows, PER_STEP, s), end = shard_row(&pass->rows, PER_STEP, s + 1);
    size_t count = self->cell->gates * self->H;
    if (leaf->summed != s)
        column_sums(leaf->gates + first * self->gates, self->gates, self->order, end - first, self->tmp.dbias, false);
    leaf->summed = s;
    memcpy(g, self->tmp.dbias, count * sizeof(real));
}

/* (a') and the gradients of (b') */
static void stream_gradients(const Layer *layer, const Pass *pass, size_t l, size_t d) {
    Recurrent *self = layer->self;
    const Stream *stream = &self->stream[l * self->D + d];
    size_t rows = rows_of(&pass->rows, PER_STEP), I = l > 0 ? self->features : self->I;
    real *dx = l > 0 ? self->tmp.dx : layer->in[0]->g, *gates = recurrent_gates(self, l, d);
    Leaf leaf = {.self = self,
                 .gates = gates,
                 .x = recurrent_x(layer, pass, l),
                 .I = I,
                 .h = recurrent_h(layer, l) + stream->column,
                 .before = self->index.before[d],
                 .h0 = recurrent_starts(self, pass) ? stream->initial.h : NULL,
                 .summed = SIZE_MAX};
    if (dx)
        gemm(&(Gemm){.m = rows,
                     .n = I,
                     .k = stream->ih_back.k,
                     .a = gates,
                     .lda = self->gates,
                     .b = stream->ih_back.v,
                     .c = dx,
                     .ldc = I,
                     .accumulate = d > 0});
    grad_shards(pass, stream->p.weight_ih, weight_ih_gradient, &leaf);
    if (self->has_bias) grad_shards(pass, stream->p.bias_ih, bias_gradient, &leaf);
    if (self->cell->bias_inside) {
        cell_gru_swap(rows, self->H, gates, self->gates, recurrent_extra(self, l, d), self->P);
        leaf.summed = SIZE_MAX;
    }
    grad_shards(pass, stream->p.weight_hh, weight_hh_gradient, &leaf);
    if (self->has_bias) grad_shards(pass, stream->p.bias_hh, bias_gradient, &leaf);
}

/* The rows of h_{t-1}; the initial state of sequence b is row -1 - b. */
static void list_before(const Rows *rows, bool reverse, int64_t *before) {
    for (size_t b = 0; b < rows->sequences; b++) {
        size_t first = rows->offset[b], end = rows->offset[b + 1];
        for (size_t r = first; r < end; r++) before[r] = reverse ? (int64_t)r + 1 : (int64_t)r - 1;
        if (end > first) before[reverse ? end - 1 : first] = -1 - (int64_t)b;
    }
}

void recurrent_backward(Layer *layer, const Pass *whole) {
    Recurrent *self = layer->self;
    const Pass stream = pass_stream(whole, layer->in[0]->grain), *pass = &stream;
    const Rows *rows = &pass->rows;
    Blocks blocks = blocks_deal(self, rows);
    for (size_t d = 0; d < self->D; d++) list_before(rows, d > 0, self->index.before[d]);
    if (self->recomputes) recurrent_start_forward(layer, pass);
    for (size_t l = self->L; l-- > 0;) {
        if (self->recomputes && l + 1 < self->L) recurrent_layer_forward(layer, pass, blocks, l, true);
        blocks_run(layer, pass, blocks, l, block_backward);
        for (size_t d = 0; d < self->D; d++) stream_gradients(layer, pass, l, d);
        if (l > 0 && recurrent_drops(self, pass)) {
            DropoutKey key = {pass->seed, pass->step, layer->key, (uint32_t)(l - 1)};
            op_dropout(key, (real)self->dropout, rows->sequences, rows->offset, rows->position, self->features,
                       self->tmp.dx, self->features, self->tmp.dx, self->features);
        }
    }
    recurrent_start_backward(layer, pass);
}
