/* SPDX-License-Identifier: MIT
 *
 * gru.c: gated recurrent unit (Cho et al. 2014), stacked, in one or both directions, as torch.nn.GRU: the
 * reset gate acts after the recurrent product; gate order r, z, n.
 *
 *   (1) a_t = W_ih x_t + b_ih                                                      [3 H]
 *   (2) p_t = W_hh h_{t-1} + b_hh                                                  [3 H], m = p_n
 *   (3) r = sigmoid(a_r + p_r), z = sigmoid(a_z + p_z), n = tanh(a_n + r m)
 *   (4) h_t = (1 - z) n + z h_{t-1}
 *
 *   (4') dn = dh (1 - z), dz = dh (h_{t-1} - n), dh_{t-1} = dh z
 *   (3') da_n = dn (1 - n^2), dm = da_n r, da_r = da_n m r (1 - r), da_z = dz z (1 - z), dp = (da_r, da_z, dm)
 *   (2') dh_{t-1} += W_hh^T dp_t, dW_hh = sum_t dp_t h_{t-1}^T, db_hh = sum_t dp_t
 *   (1') dx_t = W_ih^T da_t, dW_ih = sum_t da_t x_t^T, db_ih = sum_t da_t
 *
 *   in [R, I]   out [R, D H]   h_n [B, L D H]   saved.gates [R, 3 P]: a, then r z n, then da, then dp
 *   saved.extra [R, P]: m, then dm, then da_n   weight_ih_l<k> [3 H, I], of upper layers [3 H, D H]
 *   weight_hh_l<k> [3 H, H]   bias_ih_l<k>, bias_hh_l<k> [3 H]
 *
 * One step, (3), (4) and (4'), (3'), is in ops/cell_kernels.inc; all round it in recurrent/recurrent.h. */
#include "layers/recurrent/recurrent.h"

static const Cell gru = {.kind = CELL_GRU, .gates = 3, .extra = true, .bias_inside = true, .h_past_weights = true};

static const Key gru_keys[] = {RECURRENT_KEYS, {.name = NULL}};

static Status gru_plan(Layer *layer, Plan *plan) {
    return recurrent_plan(layer, plan, &gru);
}

static const LayerCase gru_cases[] = {RECURRENT_CASES, {.name = NULL}};

const LayerType layer_gru = {
    .kind = "gru",
    .summary = "gated recurrent unit",
    .keys = gru_keys,
    .shorthand = "hidden_size",
    .config_size = sizeof(RecurrentConfig),
    .self_size = sizeof(Recurrent),
    .max_inputs = 2,
    .needs = true,
    .reads = READS_IN | READS_OUT,
    .plan = gru_plan,
    .forward = recurrent_forward,
    .backward = recurrent_backward,
    .looks_ahead = recurrent_looks_ahead,
    .advice = recurrent_advice,
    .cases = gru_cases,
};
