/* SPDX-License-Identifier: MIT
 *
 * rnn.c: the simple recurrent network (Elman 1990), stacked, in one or both directions, as torch.nn.RNN.
 *
 *   (1) a_t = W_ih x_t + b_ih + W_hh h_{t-1} + b_hh
 *   (2) h_t = tanh(a_t) or max(0, a_t)
 *
 *   (2') da_t = dh_t (1 - h_t^2), or dh_t where h_t > 0
 *   (1') dh_{t-1} += W_hh^T da_t, dx_t = W_ih^T da_t, dW_hh = sum_t da_t h_{t-1}^T, dW_ih = sum_t da_t x_t^T,
 *        db_ih = db_hh = sum_t da_t
 *
 *   in [R, I]   out [R, D H]   h_n [B, L D H]   saved.gates [R, P]: x's part of a, then h, then da
 *   weight_ih_l<k> [H, I], of upper layers [H, D H]   weight_hh_l<k> [H, H]   bias_ih_l<k>, bias_hh_l<k> [H]
 *
 * One step, (2) and (2'), is in ops/cell_kernels.inc; all round it in recurrent/recurrent.h. */
#include "layers/recurrent/recurrent.h"

static const Cell rnn_tanh = {.kind = CELL_RNN_TANH, .gates = 1};
static const Cell rnn_relu = {.kind = CELL_RNN_RELU, .gates = 1};

static const Key rnn_keys[] = {
    RECURRENT_KEYS,
    {"nonlinearity", KEY_CHOICE, offsetof(RecurrentConfig, nonlinearity), "tanh", 0, 0, "tanh|relu", false,
     "what makes h of the sum"},
    {.name = NULL},
};

static Status rnn_plan(Layer *layer, Plan *plan) {
    const RecurrentConfig *config = layer->config;
    return recurrent_plan(layer, plan, config->nonlinearity == 1 ? &rnn_relu : &rnn_tanh);
}

static const LayerCase rnn_cases[] = {
    RECURRENT_CASES,
    {"relu", &(RecurrentConfig){.hidden_size = 17, .num_layers = 1, .bias = true, .nonlinearity = 1}, .features = 6},
    {.name = NULL},
};

const LayerType layer_rnn = {
    .kind = "rnn",
    .summary = "simple recurrent network with tanh or relu",
    .keys = rnn_keys,
    .shorthand = "hidden_size",
    .config_size = sizeof(RecurrentConfig),
    .self_size = sizeof(Recurrent),
    .max_inputs = 2,
    .needs = true,
    .reads = READS_IN | READS_OUT,
    .plan = rnn_plan,
    .forward = recurrent_forward,
    .backward = recurrent_backward,
    .looks_ahead = recurrent_looks_ahead,
    .advice = recurrent_advice,
    .cases = rnn_cases,
};
