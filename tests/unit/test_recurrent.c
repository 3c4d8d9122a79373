/* SPDX-License-Identifier: MIT
 *
 * test_recurrent.c: rnn, lstm and gru against their equations (reference_recurrent.h), on ragged
 * batches, in both directions, stacked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/recurrent_fixture.h"
#include "tests/unit/reference_recurrent.h"

/* ---- against the equations ---------------------------------------------------------------------------- */

static double *doubles(size_t count, const real *from) {
    double *p = calloc(count + 1, sizeof *p);
    assert_non_null(p);
    for (size_t i = 0; from && i < count; i++) p[i] = (double)from[i];
    return p;
}

static void near(const char *what, size_t count, const real *got, const double *expected) {
    double largest = 0.0, worst = 0.0;
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        double difference = fabs((double)got[i] - expected[i]);
        if (fabs(expected[i]) > largest) largest = fabs(expected[i]);
        if (!(difference <= worst)) {
            worst = difference;
            place = i;
        }
    }
    if (count > 0 && largest == 0.0) fail_msg("%s: the reference is zero everywhere", what);
    if (!(worst <= 2e-5 * (largest + 0.05)))
        fail_msg("%s[%zu]: got %.9g, expected %.9g (largest %.3g)", what, place, (double)got[place], expected[place],
                 largest);
}

static ReferenceKind reference_kind(const Setup *setup) {
    if (strcmp(setup->kind, "lstm") == 0) return REF_LSTM;
    if (strcmp(setup->kind, "gru") == 0) return REF_GRU;
    return setup->config.nonlinearity == 1 ? REF_RELU : REF_TANH;
}

/* A parameter and the matching gradient, in double. */
static void reference_param(const Rig *rig, size_t l, size_t d, const char *stem, double **v, double **g) {
    char name[64];
    snprintf(name, sizeof name, "rnn.%s_l%zu%s", stem, l, d > 0 ? "_reverse" : "");
    const Param *param = rig_param(rig, name);
    *v = doubles(param->count, param->v);
    *g = doubles(param->count, NULL);
}

static void reference_start(Reference *ref, const Rig *rig, const double *mask) {
    const RecurrentConfig *config = &rig->config;
    *ref = (Reference){.kind = reference_kind(&rig->setup),
                       .I = rig->setup.I,
                       .H = config->hidden_size,
                       .L = config->num_layers,
                       .D = config->bidirectional ? 2 : 1,
                       .B = rig->setup.B,
                       .offset = rig->offset,
                       .mask = mask};
    size_t G = ref_gates(ref->kind), R = rig->R;
    ref->x = doubles(R * ref->I, rig->x);
    ref->h_n = doubles(ref->B * ref->L * rig->F, NULL);
    ref->c_n = doubles(ref->B * ref->L * rig->F, NULL);
    for (size_t l = 0; l < ref->L; l++) {
        ref->h[l] = doubles(R * rig->F, NULL);
        ref->in[l] = doubles(R * rig->F, NULL);
        for (size_t d = 0; d < ref->D; d++) {
            ReferenceStream *s = &ref->stream[l * ref->D + d];
            s->act = doubles(R * G * ref->H, NULL);
            s->c = doubles(R * ref->H, NULL);
            s->m = doubles(R * ref->H, NULL);
            reference_param(rig, l, d, "weight_ih", &s->w_ih, &s->dw_ih);
            reference_param(rig, l, d, "weight_hh", &s->w_hh, &s->dw_hh);
            if (!config->bias) continue;
            reference_param(rig, l, d, "bias_ih", &s->b_ih, &s->db_ih);
            reference_param(rig, l, d, "bias_hh", &s->b_hh, &s->db_hh);
        }
    }
}

static void reference_stop(Reference *ref) {
    free((void *)(uintptr_t)ref->x);
    free(ref->h_n);
    free(ref->c_n);
    for (size_t l = 0; l < ref->L; l++) {
        free(ref->h[l]);
        free(ref->in[l]);
    }
    for (size_t i = 0; i < ref->L * ref->D; i++) {
        ReferenceStream *s = &ref->stream[i];
        double *all[] = {s->w_ih,  s->w_hh,  s->b_ih, s->b_hh, s->dw_ih, s->dw_hh,
                         s->db_ih, s->db_hh, s->act,  s->c,    s->m};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++) free(all[k]);
    }
}

static void near_gradient(const Rig *rig, size_t l, size_t d, const char *stem, const double *expected) {
    char name[64];
    snprintf(name, sizeof name, "rnn.%s_l%zu%s", stem, l, d > 0 ? "_reverse" : "");
    const Param *param = rig_param(rig, name);
    near(name, param->count, rig->gradient + param->offset, expected);
}

/* Trains one step and compares loss, input gradient and every parameter's gradient. */
static void compare(const Setup *setup, const double *mask) {
    Rig rig;
    Reference ref;
    rig_start(&rig, setup);
    rig_train(&rig);
    reference_start(&ref, &rig, mask);
    reference_forward(&ref);
    size_t states = setup->B * ref.L * rig.F, at = 0;
    double *seen[3] = {ref.h[ref.L - 1], ref.h_n, ref.c_n}, *grad[3] = {NULL}, loss = 0.0, got = 0.0;
    for (size_t k = 0; k < 3; k++) {
        if (!(rig.setup.probes & (1U << k))) continue;
        size_t count = k == 0 ? rig.R * rig.F : states;
        grad[k] = doubles(count, rig.weight[at++]);
        for (size_t i = 0; i < count; i++) loss += grad[k][i] * seen[k][i];
    }
    double *dx = doubles(rig.R * setup->I, NULL);
    reference_backward(&ref, grad[0], grad[1], grad[2], dx);
    for (size_t s = 0; s < rig.setup.shards; s++) got += rig.result[s].loss;
    if (!(fabs(got - loss) <= 2e-5 * (fabs(loss) + (double)rig.R)))
        fail_msg("loss: got %.9g, expected %.9g", got, loss);
    near("input", rig.R * setup->I, model_input(rig.model)->g, dx);
    for (size_t l = 0; l < ref.L; l++)
        for (size_t d = 0; d < ref.D; d++) {
            ReferenceStream *s = &ref.stream[l * ref.D + d];
            near_gradient(&rig, l, d, "weight_ih", s->dw_ih);
            if (rig.spec.max_length > 1) near_gradient(&rig, l, d, "weight_hh", s->dw_hh);
            if (!s->b_ih) continue;
            near_gradient(&rig, l, d, "bias_ih", s->db_ih);
            near_gradient(&rig, l, d, "bias_hh", s->db_hh);
        }
    for (size_t k = 0; k < 3; k++) free(grad[k]);
    free(dx);
    reference_stop(&ref);
    rig_stop(&rig);
}

static void test_recurrent_matches_equations(void **state) {
    (void)state;
    static const size_t H[] = {1, 5, 16, 17, 33}, T[] = {1, 2, 9}, B[] = {1, 3, 7};
    for (size_t k = 0; k < KINDS; k++)
        for (size_t h = 0; h < 5; h++)
            for (size_t t = 0; t < 3; t++) {
                Setup setup = {.kind = kinds[k],
                               .config = {.hidden_size = H[h], .num_layers = 1, .bias = true},
                               .I = 1 + h,
                               .threads = 2};
                setup.probes = OUT | H_N | (k == 1 ? C_N : 0);
                ragged(&setup, B[(h + t) % 3], T[t]);
                compare(&setup, NULL);
            }
}

static void test_recurrent_stacked_both_directions(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (size_t layers = 1; layers <= 3; layers++) {
            Setup setup = {
                .kind = kinds[k],
                .config = {.hidden_size = 6 * layers, .num_layers = layers, .bidirectional = true, .bias = layers != 2},
                .I = 4,
                .threads = 3};
            setup.probes = OUT | H_N | (k == 1 ? C_N : 0);
            ragged(&setup, 5, 7);
            compare(&setup, NULL);
            setup.config.bidirectional = false;
            compare(&setup, NULL);
        }
}

static void test_recurrent_relu(void **state) {
    (void)state;
    Setup setup = {.kind = "rnn",
                   .config = {.hidden_size = 21, .num_layers = 2, .bias = true, .nonlinearity = 1},
                   .I = 3,
                   .threads = 1};
    ragged(&setup, 6, 5);
    compare(&setup, NULL);
}

static void test_recurrent_many_sequences_and_shards(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        Setup setup = {.kind = kinds[k],
                       .config = {.hidden_size = 40, .num_layers = 2, .bias = true},
                       .I = 9,
                       .threads = 2,
                       .shards = 5};
        ragged(&setup, MAX_B, 17);
        compare(&setup, NULL);
    }
}

static void test_recurrent_more_shards_than_sequences(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        Setup setup = {.kind = kinds[k],
                       .config = {.hidden_size = 4, .num_layers = 1, .bias = true},
                       .I = 2,
                       .threads = 2,
                       .shards = 6};
        ragged(&setup, 4, 6);
        compare(&setup, NULL);
    }
}

/* Only some outputs are read: the others have no memory or no gradient. */
static void test_recurrent_single_outputs(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (unsigned probe = OUT; probe <= C_N; probe *= 2) {
            if (probe == C_N && k != 1) continue;
            Setup setup = {.kind = kinds[k],
                           .config = {.hidden_size = 18, .num_layers = 2, .bidirectional = true, .bias = true},
                           .I = 3,
                           .threads = 2,
                           .probes = probe};
            ragged(&setup, 6, 8);
            compare(&setup, NULL);
        }
}

static void test_recurrent_dropout_between_layers(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        Setup setup = {
            .kind = kinds[k],
            .config = {.hidden_size = 10, .num_layers = 3, .bidirectional = true, .bias = true, .dropout = 0.3},
            .I = 3,
            .threads = 2};
        ragged(&setup, 6, 8);
        Rig rig;
        rig_start(&rig, &setup);
        size_t count = rig.R * rig.F;
        real *ones = reals(count), *drop = reals(count);
        double *mask = calloc(2 * count, sizeof *mask);
        for (size_t i = 0; i < count; i++) ones[i] = 1;
        size_t dropped = 0;
        for (uint32_t site = 0; site < 2; site++) {
            DropoutKey key = {11, 5, model_layer(rig.model, 0)->key, site};
            op_dropout(key, REAL(0.3), setup.B, rig.offset, rig.position, rig.F, ones, rig.F, drop, rig.F);
            for (size_t i = 0; i < count; i++) {
                mask[site * count + i] = (double)drop[i];
                dropped += drop[i] == 0;
            }
        }
        assert_in_range(dropped, count / 3, count);
        rig_stop(&rig);
        compare(&setup, mask);
        free(ones);
        free(drop);
        free(mask);
    }
}

/* ---- the user's side ------------------------------------------------------------------------------------- */

static void test_recurrent_names_and_shapes(void **state) {
    (void)state;
    static const char *const names[] = {
        "rnn.weight_ih_l0",         "rnn.weight_hh_l0",         "rnn.bias_ih_l0",         "rnn.bias_hh_l0",
        "rnn.weight_ih_l0_reverse", "rnn.weight_hh_l0_reverse", "rnn.bias_ih_l0_reverse", "rnn.bias_hh_l0_reverse",
        "rnn.weight_ih_l1",         "rnn.weight_hh_l1",         "rnn.bias_ih_l1",         "rnn.bias_hh_l1",
        "rnn.weight_ih_l1_reverse", "rnn.weight_hh_l1_reverse", "rnn.bias_ih_l1_reverse", "rnn.bias_hh_l1_reverse"};
    Setup setup = {.kind = "gru",
                   .config = {.hidden_size = 4, .num_layers = 2, .bidirectional = true, .bias = true},
                   .I = 3,
                   .B = 1,
                   .length = {2},
                   .threads = 1};
    Rig rig;
    rig_start(&rig, &setup);
    assert_int_equal(model_params(rig.model), 16);
    for (size_t i = 0; i < 16; i++) {
        const Param *param = model_param(rig.model, i);
        assert_string_equal(param->name, names[i]);
        assert_int_equal(param->dim[0], 12);
        if (param->rank == 2) assert_int_equal(param->dim[1], i % 4 == 1 ? 4 : i < 8 ? 3 : 8);
        double largest = 0;
        for (size_t j = 0; j < param->count; j++) largest = fmax(largest, fabs((double)param->v[j]));
        assert_true(largest <= 0.5 && largest > 0.3);
    }
    rig_stop(&rig);
}

static void test_recurrent_advice(void **state) {
    (void)state;
    Setup setup = {.kind = "lstm",
                   .config = {.hidden_size = 4, .num_layers = 1, .bias = true, .dropout = 0.1},
                   .I = 3,
                   .B = 1,
                   .length = {2},
                   .threads = 1};
    Rig rig;
    rig_start(&rig, &setup);
    const Layer *layer = model_layer(rig.model, 0);
    assert_non_null(layer->type->advice(layer));
    rig_stop(&rig);
    setup.config.num_layers = 2;
    rig_start(&rig, &setup);
    layer = model_layer(rig.model, 0);
    assert_null(layer->type->advice(layer));
    rig_stop(&rig);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recurrent_matches_equations),
        cmocka_unit_test(test_recurrent_stacked_both_directions),
        cmocka_unit_test(test_recurrent_relu),
        cmocka_unit_test(test_recurrent_many_sequences_and_shards),
        cmocka_unit_test(test_recurrent_more_shards_than_sequences),
        cmocka_unit_test(test_recurrent_single_outputs),
        cmocka_unit_test(test_recurrent_dropout_between_layers),
        cmocka_unit_test(test_recurrent_names_and_shapes),
        cmocka_unit_test(test_recurrent_advice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
