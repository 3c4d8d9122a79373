/* SPDX-License-Identifier: MIT
 *
 * recurrent_forward.c: (a) to (d) of recurrent.h. */
#include <string.h>

#include "comm/region.h"
#include "layers/ops/ops.h"
#include "layers/recurrent/recurrent.h"

real *recurrent_h(const Layer *layer, size_t l) {
    const Recurrent *self = layer->self;
    if (l + 1 == self->L) return layer->out[0]->v;
    return self->trains ? self->saved.h[l] : self->tmp.h[l % 2];
}

bool recurrent_drops(const Recurrent *self, const Pass *pass) {
    return pass->training && self->dropout > 0;
}

const real *recurrent_x(const Layer *layer, const Pass *pass, size_t l) {
    const Recurrent *self = layer->self;
    if (l == 0) return layer->in[0]->v;
    return recurrent_drops(self, pass) ? recurrent_dropped(self, l - 1) : recurrent_h(layer, l - 1);
}

/* One step's worth of a bias in interleaved order: bias_ih + bias_hh without what the recurrent product
 * adds, or (inside) that alone. */
static void gather_bias(const Recurrent *self, const Stream *stream, bool inside, real *bias) {
    size_t G = self->cell->gates, H = self->H;
    const real *ih = stream->p.bias_ih->v, *hh = stream->p.bias_hh->v;
    for (size_t u = 0; u < self->P; u++)
        for (size_t g = 0; g < G; g++) {
            bool in_product = self->cell->bias_inside && g + 1 == G;
            real sum = 0;
            if (u < H && inside && in_product) sum = hh[g * H + u];
            if (u < H && !inside) sum = in_product ? ih[g * H + u] : ih[g * H + u] + hh[g * H + u];
            bias[(u / PANEL * G + g) * PANEL + u % PANEL] = sum;
        }
}

static void gather_biases(const Recurrent *self, size_t l) {
    for (size_t d = 0; d < self->D && self->has_bias; d++) {
        gather_bias(self, &self->stream[l * self->D + d], false, self->tmp.bias + d * self->gates);
        gather_bias(self, &self->stream[l * self->D + d], true, self->tmp.bias_inside + d * self->gates);
    }
}

/* (a) */
static Gemm input_product(const Layer *layer, const Pass *pass, size_t l, size_t d) {
    const Recurrent *self = layer->self;
    const Stream *stream = &self->stream[l * self->D + d];
    return (Gemm){.m = rows_of(&pass->rows, PER_STEP),
                  .n = self->gates,
                  .k = stream->ih.k,
                  .a = recurrent_x(layer, pass, l),
                  .lda = stream->ih.k,
                  .b = stream->ih.v,
                  .c = recurrent_gates(self, l, d),
                  .ldc = self->gates,
                  .bias = self->has_bias ? self->tmp.bias + d * self->gates : NULL};
}

/* The state a block starts from, into h[0] and c. */
static void load_state(const Recurrent *self, size_t index, const Pass *pass, const Block *block) {
    const Stream *stream = &self->stream[index];
    size_t H = self->H, ld = self->ldblock;
    bool carries_c = self->cell->carries_c;
    memset(block->h[0], 0, block->count * ld * sizeof(real));
    memset(block->h[1], 0, block->count * ld * sizeof(real));
    if (carries_c) memset(block->c, 0, block->count * ld * sizeof(real));
    if (!recurrent_starts(self, pass)) return;
    for (size_t i = 0; i < block->count; i++) {
        size_t b = block->sequence[i];
        const real *h = recurrent_start_of(self, pass, index, 0, b);
        const real *c = carries_c ? recurrent_start_of(self, pass, index, 1, b) : NULL;
        memcpy(block->h[0] + i * ld, h, H * sizeof(real));
        if (carries_c) memcpy(block->c + i * ld, c, H * sizeof(real));
        if (!pass->backward) continue;
        memcpy(stream->initial.h + b * H, h, H * sizeof(real));
        if (carries_c) memcpy(stream->initial.c + b * H, c, H * sizeof(real));
    }
}

/* What a block ends with: h after an odd number of steps lies in h[1]. */
static void store_state(const Layer *layer, const Pass *pass, size_t l, size_t d, const Block *block) {
    const Recurrent *self = layer->self;
    const Stream *stream = &self->stream[l * self->D + d];
    size_t H = self->H, ld = self->ldblock, column = (l * self->D + d) * H;
    bool carries_c = self->cell->carries_c;
    const Value *h_n = layer->out[1], *c_n = carries_c ? layer->out[2] : NULL;
    for (size_t i = 0; i < block->count; i++) {
        size_t b = block->sequence[i];
        const real *h = block->h[length_of(&pass->rows, b) % 2] + i * ld, *c = block->c + i * ld;
        if (h_n->v) memcpy(h_n->v + b * h_n->features + column, h, H * sizeof(real));
        if (c_n && c_n->v) memcpy(c_n->v + b * c_n->features + column, c, H * sizeof(real));
        if (!pass->carry_state) continue;
        memcpy(stream->state.h + b * H, h, H * sizeof(real));
        if (carries_c) memcpy(stream->state.c + b * H, c, H * sizeof(real));
    }
}

/* The recurrent product of a first step that starts from zero. */
static void fill_pre(size_t rows, size_t columns, const real *bias, real *pre, size_t ldpre) {
    for (size_t i = 0; i < rows; i++) {
        if (bias) memcpy(pre + i * ldpre, bias, columns * sizeof(real));
        else memset(pre + i * ldpre, 0, columns * sizeof(real));
    }
}

/* (b) and (c) of one step, units [first, end), by the calling thread. */
static void step_forward(const Recurrent *self, size_t index, bool begins, CellForward step, size_t first, size_t end) {
    const Stream *stream = &self->stream[index];
    const size_t G = self->cell->gates;
    const real *bias = NULL;
    real *pre = blocks_pre(self);
    if (self->cell->bias_inside && self->has_bias) bias = self->tmp.bias_inside + index % self->D * self->gates;
    step.pre = pre;
    for (step.first = first; step.first < end; step.first = step.end) {
        step.end = step.first + self->group < end ? step.first + self->group : end;
        const size_t columns = (step.end - step.first) * G;
        const real *start = bias ? bias + step.first * G : NULL;
        if (begins) fill_pre(step.rows, columns, start, pre, step.ldpre);
        else
            gemm_serial(&(Gemm){.m = step.rows,
                                .n = columns,
                                .k = self->H,
                                .a = step.h,
                                .lda = self->ldblock,
                                .b = stream->hh.v + packed_count(self->H, step.first * G),
                                .c = pre,
                                .ldc = step.ldpre,
                                .bias = start});
        cell_forward(self->cell->kind, &step);
    }
}

/* The same of all units, by all threads. */
static void step_forward_shared(const Recurrent *self, size_t index, bool begins, const CellForward *step) {
    const size_t panels = self->P / PANEL, parts = panels < self->threads ? panels : self->threads;
    PARALLEL(self->threads, panels) {
#pragma omp for schedule(static) nowait
        for (size_t part = 0; part < parts; part++)
            step_forward(self, index, begins, *step, part * panels / parts * PANEL,
                         (part + 1) * panels / parts * PANEL);
    }
}

/* (b) and (c) of one block, all steps; (a) too where the block's thread does all of it. */
static void block_forward(const Layer *layer, const Pass *pass, size_t l, size_t d, const Block *block, bool again) {
    const Recurrent *self = layer->self;
    const size_t index = l * self->D + d;
    const Stream *stream = &self->stream[index];
    const Rows *rows = &pass->rows;
    real *out = recurrent_h(layer, l);
    CellForward step = {.units = self->H,
                        .rows = block->count,
                        .row = block->row,
                        .ldpre = self->group * self->cell->gates,
                        .gates = recurrent_gates(self, l, d),
                        .ldgates = self->gates,
                        .extra = recurrent_extra(self, l, d),
                        .ldextra = self->P,
                        .c = block->c,
                        .ldh = self->ldblock,
                        .out = out ? out + stream->column : NULL,
                        .ldout = self->features,
                        .keep = pass->backward && (again || !self->recomputes || l + 1 == self->L)};
    const Gemm input = input_product(layer, pass, l, d);
    if (block->own) block_product(rows, block, &input);
    load_state(self, index, pass, block);
    for (size_t t = 0;; t++) {
        ops_pause();
        while (step.rows > 0 && length_of(rows, block->sequence[step.rows - 1]) <= t) step.rows--;
        if (step.rows == 0) break;
        for (size_t i = 0; i < step.rows; i++) block->row[i] = recurrent_row(rows, stream, block->sequence[i], t);
        step.h = block->h[t % 2];
        step.h_next = block->h[(t + 1) % 2];
        const bool begins = t == 0 && !recurrent_starts(self, pass);
        if (block->split) step_forward_shared(self, index, begins, &step);
        else step_forward(self, index, begins, step, 0, self->P);
    }
    if (!again) store_state(layer, pass, l, d, block);
}

/* (d) into what layer l reads. */
static void drop_between(const Layer *layer, const Pass *pass, size_t l) {
    const Recurrent *self = layer->self;
    const Rows *rows = &pass->rows;
    DropoutKey key = {pass->seed, pass->step, layer->key, (uint32_t)(l - 1)};
    op_dropout(key, (real)self->dropout, rows->sequences, rows->offset, rows->position, self->features,
               recurrent_h(layer, l - 1), self->features, recurrent_dropped(self, l - 1), self->features);
}

static void forward_first(const Layer *layer, const Pass *pass, size_t l, size_t d, const Block *block) {
    block_forward(layer, pass, l, d, block, false);
}

static void forward_again(const Layer *layer, const Pass *pass, size_t l, size_t d, const Block *block) {
    block_forward(layer, pass, l, d, block, true);
}

void recurrent_layer_forward(const Layer *layer, const Pass *pass, Blocks blocks, size_t l, bool again) {
    const Recurrent *self = layer->self;
    if (l > 0 && recurrent_drops(self, pass)) drop_between(layer, pass, l);
    gather_biases(self, l);
    for (size_t d = 0; d < self->D && !blocks.own; d++) {
        const Gemm input = input_product(layer, pass, l, d);
        gemm(&input);
    }
    blocks_run(layer, pass, blocks, l, again ? forward_again : forward_first);
}

/* Waits for the parameters of layer l and those below it. */
static void layer_need(const Recurrent *self, const Pass *pass, size_t l) {
    const Stream *last = &self->stream[(l + 1) * self->D - 1];
    pass_need(pass, self->has_bias ? last->p.bias_hh : last->p.weight_hh);
}

void recurrent_forward(Layer *layer, const Pass *whole) {
    Recurrent *self = layer->self;
    const Pass stream = pass_stream(whole, layer->in[0]->grain), *pass = &stream;
    Blocks blocks = blocks_deal(self, &pass->rows);
    recurrent_start_forward(layer, pass);
    for (size_t l = 0; l < self->L; l++) {
        layer_need(self, pass, l);
        recurrent_layer_forward(layer, pass, blocks, l, false);
    }
    recurrent_start_done(layer, pass);
}
