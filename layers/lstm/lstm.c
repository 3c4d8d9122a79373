/* SPDX-License-Identifier: MIT
 *
 * lstm.c: long short-term memory (Hochreiter and Schmidhuber 1997, with forget gates: Gers et al. 2000),
 * stacked, in one or both directions, as torch.nn.LSTM; gate order i, f, g, o.
 *
 *   (1) a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh                               [4 H]
 *   (2) i = sigmoid(a_i), f = sigmoid(a_f), g = tanh(a_g), o = sigmoid(a_o)
 *   (3) c_t = f c_{t-1} + i g
 *   (4) h_t = o tanh(c_t)
 *
 *   (4') do = dh tanh(c_t), dc += dh o (1 - tanh(c_t)^2)
 *   (3') di = dc g, df = dc c_{t-1}, dg = dc i, dc_{t-1} = dc f
 *   (2') da_i = di i (1 - i), da_f = df f (1 - f), da_g = dg (1 - g^2), da_o = do o (1 - o)
 *   (1') dh_{t-1} += W_hh^T da_t, dx_t = W_ih^T da_t, dW_hh = sum_t da_t h_{t-1}^T, dW_ih = sum_t da_t x_t^T,
 *        db_ih = db_hh = sum_t da_t
 *
 *   in [R, I]   out [R, D H]   h_n, c_n [B, L D H]   saved.gates [R, 4 P]: x's part of a, then i f g o, then da
 *   saved.extra [R, P]: c   weight_ih_l<k> [4 H, I], of upper layers [4 H, D H]   weight_hh_l<k> [4 H, H]
 *   bias_ih_l<k>, bias_hh_l<k> [4 H]
 *
 * One step, (2) to (4) and (4') to (2'), is in ops/cell_kernels.inc; all round it in
 * recurrent/recurrent.h. */
#include "layers/recurrent/recurrent.h"

static const Cell lstm = {.kind = CELL_LSTM, .gates = 4, .extra = true, .carries_c = true};

static const Key lstm_keys[] = {RECURRENT_KEYS, {.name = NULL}};

static Status lstm_plan(Layer *layer, Plan *plan) {
    return recurrent_plan(layer, plan, &lstm);
}

static const LayerCase lstm_cases[] = {RECURRENT_CASES, {.name = NULL}};

const LayerType layer_lstm = {
    .kind = "lstm",
    .summary = "long short-term memory",
    .keys = lstm_keys,
    .shorthand = "hidden_size",
    .config_size = sizeof(RecurrentConfig),
    .self_size = sizeof(Recurrent),
    .max_inputs = 2,
    .needs = true,
    .reads = READS_IN | READS_OUT,
    .plan = lstm_plan,
    .forward = recurrent_forward,
    .backward = recurrent_backward,
    .looks_ahead = recurrent_looks_ahead,
    .advice = recurrent_advice,
    .cases = lstm_cases,
};
