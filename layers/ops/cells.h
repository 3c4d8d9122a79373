/* SPDX-License-Identifier: MIT
 *
 * cells.h: one time step of a recurrent cell, forward and backward, for a block of sequences. A step of
 * a sequence is a row of the buffers that outlive the step; what passes from step to step is kept in
 * small matrices of the block, whose row i is sequence i of the block.
 *
 * Gates are interleaved (gemm.h): 16 units of gate 0, the same units of gate 1, and so on. Units are
 * padded to a multiple of 16; padding holds finite numbers everywhere and never reaches `out`. All
 * matrices but `out` and `dout` have room for the padding. */
#ifndef LOCKSTEP_LAYERS_OPS_CELLS_H
#define LOCKSTEP_LAYERS_OPS_CELLS_H

#include <stdbool.h>
#include <stddef.h>

#include "layers/real.h"

typedef enum CellKind { CELL_RNN_TANH, CELL_RNN_RELU, CELL_LSTM, CELL_GRU } CellKind;

/* Units [first, end) of one step, first a multiple of 16, end = units or a multiple of 16. */
typedef struct CellForward {
    size_t rows; /* sequences of the block that have this step */
    size_t first, end;
    size_t units;      /* of the whole cell, H */
    const size_t *row; /* [rows] where the step lies in gates, extra and out */
    const real *pre;   /* h W_hh of these units: column 0 is gate 0 of unit `first` */
    size_t ldpre;
    real *gates; /* x W_ih + biases of the whole cell; becomes the gates' values if `keep` */
    size_t ldgates;
    real *extra; /* lstm: c; gru: W_hn h + b_hn; written if `keep` */
    size_t ldextra;
    const real *h; /* block: h before and after the step */
    real *h_next;
    real *c;    /* block, lstm: c before, then after */
    size_t ldh; /* of h, h_next and c */
    real *out;  /* h of the step; NULL: not wanted */
    size_t ldout;
    bool keep;
} CellForward;

typedef struct CellBackward {
    size_t rows, units;
    const size_t *row;
    real *gates; /* the gates' values; become d loss / d pre-activation */
    size_t ldgates;
    real *extra; /* lstm: c; gru: W_hn h + b_hn, becomes its gradient */
    size_t ldextra;
    const real *before; /* lstm: c, gru: h before the step, in rows `before_row`; NULL: zeros */
    const size_t *before_row;
    size_t ldbefore;
    const real *dout; /* in rows `row`; NULL: zeros */
    size_t lddout;
    real *dgates; /* block: the gradient that goes through W_hh (gru's n: that of W_hn h + b_hn) */
    size_t lddgates;
    real *dh;    /* block: from the next step; then what reaches the step before past W_hh (gru, else garbage) */
    real *dc;    /* block, lstm: from the next step, then for the step before */
    size_t lddh; /* of dh and dc */
} CellBackward;

/* One table per instruction set (kernels.h): a function per kind. */
enum { CELL_KINDS = CELL_GRU + 1 };
typedef struct CellKernels {
    void (*forward[CELL_KINDS])(const CellForward *step);
    void (*backward[CELL_KINDS])(const CellBackward *step);
} CellKernels;

/* By the calling thread alone. */
void cell_forward(CellKind kind, const CellForward *step);
void cell_backward(CellKind kind, const CellBackward *step);

/* The rows' n gate in gates [rows, ldgates] and `extra` [rows, ldextra] change places, so that `gates`
 * becomes the gradient that belongs to W_hh. By all threads. */
void cell_gru_swap(size_t rows, size_t units, real *gates, size_t ldgates, real *extra, size_t ldextra);

#endif
