/* SPDX-License-Identifier: MIT
 *
 * recurrent.h: what rnn, lstm and gru share: everything but the equations of one step. A layer file
 * hands in its Cell; stacking, directions, dropout between layers, ragged lengths, state and the
 * products round the cell are done here.
 *
 *   G gates, H hidden, P = H rounded up to 16, L layers, D directions, B sequences, R rows
 *
 *   forward, per layer and direction                              backward, bottom-up
 *   (a) gates [R,GP] = x W_ih^T + b           all rows at once    (a') dx = dgates W_ih, dW_ih = dgates^T x
 *   (b) pre   [.,GP] = h_{t-1} W_hh^T (+ b)   per block and step  (b') dh_{t-1} = dgates W_hh, dW_hh = dgates^T h_{t-1}
 *   (c) gates, h, c  = cell(gates, pre)       per block and step  (c') dgates = cell'(gates, dh, dc)
 *   (d) x of the next layer = dropout(h)                          (d') dh = dropout'(dx)
 *
 *   h_0, and c_0 of an lstm [L D, H]: zeros; or parameters that all sequences share; or
 *   init_h(context), init_c(context) of one row per sequence, linear maps (recurrent_start.c). A state that
 *   is carried on from an earlier pass comes before them.
 *
 * (b) and (c) run over blocks of sequences, each block for the whole length without a barrier. Where a thread would have one
 * or two sequences and W_hh is large, threads share the units of each step instead, and each keeps to its part of
 * W_hh. Where the blocks share the sequences out evenly among several threads, (a) is done by block as well, so
 * that a thread reads from its own caches what it wrote, forward and backward. The bits depend on none of this.
 * A block's sequences are ordered by falling length, so those that still have a step at t are the first ones;
 * step t of the reverse direction is row length - 1 - t.
 *
 * Inside, PER_STEP means the stream of the layer's input, be it the data's or the target's.
 *
 * With train.recompute each of several layers saves its h alone; gates, c and dropped h have room once, which holds
 * those of the last layer and then what (d), (a) to (c) make again, layer by layer. */
#ifndef LOCKSTEP_LAYERS_RECURRENT_RECURRENT_H
#define LOCKSTEP_LAYERS_RECURRENT_RECURRENT_H

#include "layers/layer.h"
#include "layers/ops/cells.h"

enum { RECURRENT_MAX_LAYERS = 32 };

typedef struct RecurrentConfig {
    size_t hidden_size, num_layers;
    bool bidirectional, bias;
    double dropout;
    int nonlinearity;  /* rnn alone: 0 tanh, 1 relu */
    int initial_state; /* InitialState */
} RecurrentConfig;

typedef enum InitialState { STATE_ZEROS, STATE_LEARNED, STATE_CONTEXT } InitialState;

/* clang-format off */
/* The keys of all three; name, type, place, default, least, most, choices, nullable, help. */
#define RECURRENT_KEYS \
    {"hidden_size", KEY_SIZE, offsetof(RecurrentConfig, hidden_size), NULL, 1, 1 << 24, NULL, false, \
     "features of the hidden state"}, \
    {"num_layers", KEY_SIZE, offsetof(RecurrentConfig, num_layers), "1", 1, RECURRENT_MAX_LAYERS, NULL, false, \
     "recurrent layers on top of each other"}, \
    {"bidirectional", KEY_BOOL, offsetof(RecurrentConfig, bidirectional), "false", 0, 0, NULL, false, \
     "also read each sequence from its end; gives twice the features"}, \
    {"dropout", KEY_REAL, offsetof(RecurrentConfig, dropout), "0", 0, 1, NULL, false, \
     "probability, on the output of each layer but the last"}, \
    {"bias", KEY_BOOL, offsetof(RecurrentConfig, bias), "true", 0, 0, NULL, false, "add bias_ih and bias_hh"}, \
    {"initial_state", KEY_CHOICE, offsetof(RecurrentConfig, initial_state), "zeros", 0, 0, "zeros|learned|context", \
     false, "h_0 (and c_0): zeros, parameters, or a linear map of the second input, by default the data's context"}

/* Configs for the generic tests of all three. */
#define RECURRENT_CASES \
    {"one unit", &(RecurrentConfig){.hidden_size = 1, .num_layers = 1, .bias = true}, .features = 3}, \
    {"no bias", &(RecurrentConfig){.hidden_size = 5, .num_layers = 1}, .features = 4}, \
    {"three layers, both directions", \
     &(RecurrentConfig){.hidden_size = 6, .num_layers = 3, .bidirectional = true, .bias = true}, .features = 2}, \
    {"dropout between layers", &(RecurrentConfig){.hidden_size = 19, .num_layers = 2, .dropout = 0.4, .bias = true}, \
     .features = 5}, \
    {"learned initial state, both directions", \
     &(RecurrentConfig){ \
         .hidden_size = 5, .num_layers = 2, .bidirectional = true, .bias = true, .initial_state = STATE_LEARNED}, \
     .features = 3}, \
    {"initial state from a context, dropout", \
     &(RecurrentConfig){ \
         .hidden_size = 17, .num_layers = 2, .dropout = 0.3, .bias = true, .initial_state = STATE_CONTEXT}, \
     .features = 2}, \
    {"both directions without bias, initial state from a context", \
     &(RecurrentConfig){.hidden_size = 7, .num_layers = 1, .bidirectional = true, .initial_state = STATE_CONTEXT}, \
     .features = 4}
/* clang-format on */

/* What tells the cells apart. */
typedef struct Cell {
    CellKind kind;
    size_t gates;        /* G */
    bool extra;          /* saves P more reals per step (CellForward.extra) */
    bool carries_c;      /* a second state: c */
    bool bias_inside;    /* the last gate's bias_hh belongs to the recurrent product (gru) */
    bool h_past_weights; /* part of dh reaches the step before without W_hh (gru) */
} Cell;

/* One layer in one direction. */
typedef struct Stream {
    struct {
        Param *weight_ih, *weight_hh, *bias_ih, *bias_hh;
    } p;
    Packed ih, hh;           /* (a), (b) */
    Packed ih_back, hh_back; /* (a'), (b') */
    struct {
        real *gates, *extra;
    } saved; /* [R, GP], [R, P] */
    struct {
        real *h, *c;
    } initial; /* [B, H] what a pass that did not start from zeros started from */
    struct {
        real *h, *c;
    } state; /* [B, H] */
    bool reverse;
    size_t column; /* of this direction in the layer's output */
} Stream;

/* Where sequences start: [0] is h_0, [1] an lstm's c_0; S = L D H, in PyTorch's order of h_0. */
typedef struct Start {
    InitialState kind;
    size_t states, S;
    Param *learned[2];          /* [L D, H] */
    Param *weight[2], *bias[2]; /* [S, C], [S] */
    Packed forward[2], backward[2];
    real *v[2], *g[2]; /* tmp [B, S] */
    real *begun;       /* state [B]: 1 where a carried state takes the place of the start */
    real *went_on;     /* saved [B]: `begun` as the pass found it */
} Start;

typedef struct Recurrent {
    const Cell *cell;
    size_t I, H, P, L, D;
    size_t features; /* D H */
    size_t gates;    /* G P */
    Interleave order;
    double dropout;
    bool trains, recomputes, has_bias;
    size_t threads, block_rows; /* blocks of at most so many sequences */
    size_t lddgates, ldblock;   /* leading dimensions of a block's matrices */
    size_t group;               /* units per call of (b) and (c) */
    size_t scratch;             /* reals per thread */
    Stream stream[RECURRENT_MAX_LAYERS * 2];
    Start start;
    struct {
        real *h[RECURRENT_MAX_LAYERS];       /* [R, DH] outputs of the layers below the last */
        real *dropped[RECURRENT_MAX_LAYERS]; /* [R, DH] h after dropout; the first for all where it recomputes */
    } saved;
    struct {
        real *gates[2], *h[2]; /* instead of the saved ones where no backward is planned */
        real *bias;            /* [D, GP] interleaved: what (a) adds */
        real *bias_inside;     /* [D, GP] what (b) adds */
        real *dbias;           /* [GH] */
        real *dx;              /* [R, DH] gradient of what an upper layer reads */
        real *scratch;         /* [threads, scratch] */
    } tmp;
    struct {
        size_t *order;      /* [B] sequences, block after block, each by falling length */
        size_t *sorted;     /* [B] */
        size_t *count;      /* [longest + 2] */
        size_t *row;        /* [threads, 2, block_rows] */
        int64_t *before[2]; /* [R] per direction: rows of h_{t-1}, for dW_hh */
    } index;
} Recurrent;

Status recurrent_plan(Layer *layer, Plan *plan, const Cell *cell);
void recurrent_forward(Layer *layer, const Pass *pass);
void recurrent_backward(Layer *layer, const Pass *pass);
const char *recurrent_looks_ahead(const void *config, size_t inputs, size_t i);
const char *recurrent_advice(const Layer *layer);

/* ---- inside ---------------------------------------------------------------------------------------- */

/* Sequences of one block of one stream, and a thread's memory for them. */
typedef struct Block {
    size_t count;
    bool split;             /* threads share its units */
    bool own;               /* its thread computes (a) for its rows */
    const size_t *sequence; /* [count], by falling length */
    size_t *row, *before;   /* [count] for the step at hand */
    real *h[2], *c;         /* [count, ldblock] forward */
    real *dh, *dc;          /* [count, ldblock] backward */
    real *dgates;           /* [count, lddgates] */
} Block;

/* How the sequences of a pass are cut into blocks. */
typedef struct Blocks {
    size_t count, sequences;
    bool split; /* blocks follow each other, all threads sharing the units of each */
    bool own;   /* a block's thread computes (a) too; the same thread in every pass */
} Blocks;

/* Deals the sequences out to blocks (index.order) of near equal work. */
Blocks blocks_deal(Recurrent *self, const Rows *rows);
/* Does `run` for every block and direction d of layer l: a thread a block, or all threads one after the other. */
typedef void BlockRun(const Layer *layer, const Pass *pass, size_t l, size_t d, const Block *block);
void blocks_run(const Layer *layer, const Pass *pass, Blocks blocks, size_t l, BlockRun *run);
/* C = (start) + A B for the rows of a block's sequences, by the calling thread; `product` is that of all rows. */
void block_product(const Rows *rows, const Block *block, const Gemm *product);
/* The calling thread's memory for the recurrent product of a group of units (Block.pre). */
real *blocks_pre(const Recurrent *self);

static inline size_t length_of(const Rows *rows, size_t sequence) {
    return rows->offset[sequence + 1] - rows->offset[sequence];
}

/* Row of step t of a sequence; the reverse direction starts at each sequence's own last row. */
static inline size_t recurrent_row(const Rows *rows, const Stream *stream, size_t sequence, size_t t) {
    return stream->reverse ? rows->offset[sequence + 1] - 1 - t : rows->offset[sequence] + t;
}

/* The layer whose memory layer l uses for what can be made again. */
static inline size_t recurrent_room(const Recurrent *self, size_t l) {
    return self->recomputes ? 0 : l;
}
static inline real *recurrent_gates(const Recurrent *self, size_t l, size_t d) {
    return self->trains ? self->stream[recurrent_room(self, l) * self->D + d].saved.gates : self->tmp.gates[d];
}
static inline real *recurrent_extra(const Recurrent *self, size_t l, size_t d) {
    return self->stream[recurrent_room(self, l) * self->D + d].saved.extra;
}
/* h of layer l after dropout. */
static inline real *recurrent_dropped(const Recurrent *self, size_t l) {
    return self->saved.dropped[recurrent_room(self, l)];
}

/* ---- recurrent_start.c ---- */
Status recurrent_start_plan(Layer *layer, Plan *plan);
/* Before the first layer and behind the last one of a forward pass. */
void recurrent_start_forward(Layer *layer, const Pass *pass);
void recurrent_start_done(Layer *layer, const Pass *pass);
/* What sequence b of a stream starts from: [H] of state k, NULL: zeros. */
const real *recurrent_start_of(const Recurrent *self, const Pass *pass, size_t stream, size_t k, size_t b);
/* Can a sequence of this pass start from anything but zeros? */
static inline bool recurrent_starts(const Recurrent *self, const Pass *pass) {
    return pass->carry_state || self->start.kind != STATE_ZEROS;
}
/* The gradients of a block's first states, once its stream is through; then those of all parameters. */
void recurrent_start_take(const Recurrent *self, const Pass *pass, size_t stream, const Block *block);
void recurrent_start_backward(Layer *layer, const Pass *pass);

/* h of layer l with all its directions (NULL: nobody reads it), and what layer l reads. */
real *recurrent_h(const Layer *layer, size_t l);
const real *recurrent_x(const Layer *layer, const Pass *pass, size_t l);
bool recurrent_drops(const Recurrent *self, const Pass *pass);

/* (d), (a) to (c) of layer l. `again`: to make again what its backward reads; states are left as they are. */
void recurrent_layer_forward(const Layer *layer, const Pass *pass, Blocks blocks, size_t l, bool again);

#endif
