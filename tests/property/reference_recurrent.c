/* SPDX-License-Identifier: MIT
 *
 * reference_recurrent.c: rnn, gru and lstm as torch.nn has them, one sequence and one step at a time. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/property/reference_layers.h"

typedef struct State {
    Tensor *h, *c; /* [1, H]; c: lstm alone */
} State;

typedef struct CellWeights {
    const LayerSpec *spec;
    Tensor *ih, *hh, *bias_ih, *bias_hh;
    size_t H;
} CellWeights;

static Tensor *gate(Reference *r, Tensor *a, size_t H, size_t g, Curve curve) {
    return t_curve(r->tape, t_cols(r->tape, a, g * H, H), curve);
}

/* a: W_ih x + b_ih of this step. */
static State step(Reference *r, const CellWeights *w, Tensor *a, State s) {
    const size_t H = w->H;
    Tape *tape = r->tape;
    Tensor *p = t_linear(tape, s.h, w->hh);
    if (w->bias_hh) p = t_add(tape, p, w->bias_hh);
    if (strcmp(w->spec->type->kind, "rnn") == 0) {
        const Curve curve = key_choice_of(w->spec, "nonlinearity") == 1 ? CURVE_RELU : CURVE_TANH;
        return (State){t_curve(tape, t_add(tape, a, p), curve), NULL};
    }
    if (strcmp(w->spec->type->kind, "lstm") == 0) {
        Tensor *sum = t_add(tape, a, p);
        Tensor *i = gate(r, sum, H, 0, CURVE_SIGMOID), *f = gate(r, sum, H, 1, CURVE_SIGMOID),
               *g = gate(r, sum, H, 2, CURVE_TANH), *o = gate(r, sum, H, 3, CURVE_SIGMOID);
        Tensor *c = t_add(tape, t_multiply(tape, f, s.c), t_multiply(tape, i, g));
        return (State){t_multiply(tape, o, t_curve(tape, c, CURVE_TANH)), c};
    }
    Tensor *rz = t_curve(tape, t_add(tape, t_cols(tape, a, 0, 2 * H), t_cols(tape, p, 0, 2 * H)), CURVE_SIGMOID);
    Tensor *reset = t_cols(tape, rz, 0, H), *z = t_cols(tape, rz, H, H);
    Tensor *inner = t_add(tape, t_cols(tape, a, 2 * H, H), t_multiply(tape, reset, t_cols(tape, p, 2 * H, H)));
    Tensor *n = t_curve(tape, inner, CURVE_TANH);
    return (State){t_add(tape, t_multiply(tape, t_affine(tape, z, -1, 1), n), t_multiply(tape, z, s.h)), NULL};
}

static CellWeights weights_of(Reference *r, const LayerSpec *spec, size_t l, bool reverse) {
    static const char *const names[] = {"weight_ih", "weight_hh", "bias_ih", "bias_hh"};
    Tensor *of[4];
    for (size_t i = 0; i < 4; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s_l%zu%s", names[i], l, reverse ? "_reverse" : "");
        of[i] = reference_param(r, name);
    }
    return (CellWeights){spec, of[0], of[1], of[2], of[3], key_size(spec, "hidden_size")};
}

/* One layer in one direction: h of all rows, and the last states [B, H]. */
static Tensor *stream(Reference *r, const CellWeights *w, Tensor *x, bool reverse, const State *initial, State *last) {
    const size_t R = x->rows, B = r->rows->sequences;
    Tensor **row = calloc(R + 1, sizeof *row), *h[64], *c[64];
    if (!row) abort();
    Tensor *a = t_linear(r->tape, x, w->ih);
    if (w->bias_ih) a = t_add(r->tape, a, w->bias_ih);
    for (size_t b = 0; b < B; b++) {
        const size_t first = r->rows->offset[b], T = reference_length(r, b);
        State s = initial[b];
        for (size_t t = 0; t < T; t++) {
            const size_t at = first + (reverse ? T - 1 - t : t);
            s = step(r, w, t_rows(r->tape, a, at, 1), s);
            row[at] = s.h;
        }
        h[b] = s.h;
        c[b] = s.c;
    }
    last->h = t_stack(r->tape, h, B);
    last->c = c[0] ? t_stack(r->tape, c, B) : NULL;
    Tensor *y = t_stack(r->tape, row, R);
    free(row);
    return y;
}

/* What all sequences start from in layer and direction ld, [B, H]: of state "h" or "c". */
static Tensor *start(Reference *r, const LayerSpec *spec, const LayerInput *in, const char *state, size_t ld) {
    const size_t H = key_size(spec, "hidden_size"), B = r->rows->sequences;
    char name[32];
    if (key_choice_of(spec, "initial_state") == 0) return t_constant(r->tape, B, H, NULL);
    if (key_choice_of(spec, "initial_state") == 1) {
        size_t index[64];
        for (size_t b = 0; b < B; b++) index[b] = ld;
        snprintf(name, sizeof name, "%s_0", state);
        return t_gather(r->tape, reference_param(r, name), index, B);
    }
    snprintf(name, sizeof name, "init_%s.", state);
    const ReferenceValue *context = in->count > 1 ? in->of[1] : reference_value(r, "context");
    return t_cols(r->tape, reference_dense(r, context->x, name), ld * H, H);
}

static Tensor *beside(Reference *r, Tensor *left, Tensor *right) {
    return left && right ? t_beside(r->tape, left, right) : right;
}

void reference_recurrent(Reference *r, const LayerSpec *spec, const LayerInput *in) {
    const size_t L = key_size(spec, "num_layers"), D = key_flag(spec, "bidirectional") ? 2 : 1;
    const bool carries_c = strcmp(spec->type->kind, "lstm") == 0;
    Tensor *x = in->of[0]->x, *h_n = NULL, *c_n = NULL;
    for (size_t l = 0; l < L; l++) {
        if (l > 0) x = reference_drop(r, x, key_real(spec, "dropout"), (uint32_t)(l - 1), PER_STEP);
        Tensor *y = NULL;
        for (size_t d = 0; d < D; d++) {
            State initial[64], last;
            Tensor *h_0 = start(r, spec, in, "h", l * D + d),
                   *c_0 = carries_c ? start(r, spec, in, "c", l * D + d) : NULL;
            for (size_t b = 0; b < r->rows->sequences; b++)
                initial[b] = (State){t_rows(r->tape, h_0, b, 1), c_0 ? t_rows(r->tape, c_0, b, 1) : NULL};
            const CellWeights w = weights_of(r, spec, l, d > 0);
            y = beside(r, y, stream(r, &w, x, d > 0, initial, &last));
            h_n = beside(r, h_n, last.h);
            c_n = beside(r, c_n, last.c);
        }
        x = y;
    }
    reference_give(r, "", x, PER_STEP);
    reference_give(r, "h_n", h_n, PER_SEQUENCE);
    if (carries_c) reference_give(r, "c_n", c_n, PER_SEQUENCE);
}
