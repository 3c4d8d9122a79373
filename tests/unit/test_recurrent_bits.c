/* SPDX-License-Identifier: MIT
 *
 * test_recurrent_bits.c: what must not change a bit of rnn, lstm and gru: threads, the instruction set, other
 * sequences in the batch, and the place where a sequence is cut when state is carried. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/unit/recurrent_fixture.h"

static void same_bits_on_any_threads(Setup setup) {
    static const size_t threads[] = {1, 2, 3, 5};
    Rig first;
    for (size_t i = 0; i < 4; i++) {
        Rig rig;
        setup.threads = threads[i];
        rig_start(&rig, &setup);
        rig_train(&rig);
        if (i == 0) {
            first = rig;
            continue;
        }
        size_t trainable = model_memory(rig.model).trainable;
        assert_memory_equal(rig.gradient, first.gradient, trainable * sizeof(real));
        assert_memory_equal(model_input(rig.model)->g, model_input(first.model)->g, rig.R * setup.I * sizeof(real));
        assert_memory_equal(rig.result, first.result, setup.shards * sizeof(ShardResult));
        rig_stop(&rig);
    }
    rig_stop(&first);
}

static void test_recurrent_bits_do_not_depend_on_threads(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        Setup setup = {.kind = kinds[k],
                       .config = {.hidden_size = 37, .num_layers = 2, .bidirectional = true, .bias = true},
                       .I = 11,
                       .shards = 2};
        setup.probes = OUT | H_N;
        ragged(&setup, 23, 9);
        same_bits_on_any_threads(setup);
    }
}

/* Few sequences of a layer that is large enough for threads to share its units. */
static void test_recurrent_bits_do_not_depend_on_who_has_which_unit(void **state) {
    (void)state;
    static const size_t H[KINDS] = {451, 250, 250};
    for (size_t k = 0; k < KINDS * 2; k++) {
        Setup setup = {.kind = kinds[k % KINDS],
                       .config = {.hidden_size = H[k % KINDS],
                                  .num_layers = 2,
                                  .bidirectional = k >= KINDS,
                                  .bias = true,
                                  .initial_state = k >= KINDS ? STATE_LEARNED : STATE_ZEROS},
                       .I = 3,
                       .shards = 1};
        setup.probes = OUT | H_N;
        ragged(&setup, 3, 6);
        same_bits_on_any_threads(setup);
    }
}

static void test_recurrent_bits_do_not_depend_on_instruction_set(void **state) {
    (void)state;
    static const char *const sets[] = {"portable", "neon", "avx2", "avx512"};
    for (size_t k = 0; k < KINDS; k++) {
        Setup setup = {.kind = kinds[k],
                       .config = {.hidden_size = 37, .num_layers = 2, .bidirectional = true, .bias = true},
                       .I = 11,
                       .threads = 2};
        setup.probes = OUT | H_N;
        ragged(&setup, 11, 9);
        Rig first;
        for (size_t i = 0; i < 3; i++) {
            setenv("LOCKSTEP_ISA", sets[i], 1);
            ops_stop();
            if (ops_start(1) != OK) continue; /* this machine lacks the set */
            Rig rig;
            rig_start(&rig, &setup);
            assert_string_equal(ops_isa(), sets[i]);
            rig_train(&rig);
            if (i == 0) {
                first = rig;
                continue;
            }
            assert_memory_equal(rig.gradient, first.gradient, model_memory(rig.model).trainable * sizeof(real));
            assert_memory_equal(model_input(rig.model)->g, model_input(first.model)->g, rig.R * setup.I * sizeof(real));
            rig_stop(&rig);
        }
        unsetenv("LOCKSTEP_ISA");
        rig_stop(&first);
    }
}

/* out and the input's gradient of each sequence do not depend on what else is in the batch. */
static void test_recurrent_bits_do_not_depend_on_batch(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++)
        for (int both = 0; both < 2; both++) {
            Setup setup = {.kind = kinds[k],
                           .config = {.hidden_size = 50, .num_layers = 2, .bidirectional = both, .bias = true},
                           .I = 6,
                           .threads = 2};
            ragged(&setup, 19, 6);
            Rig whole;
            rig_start(&whole, &setup);
            Batch batch = rig_batch(&whole);
            const Value *out = model_forward(whole.model, &batch, false);
            real *kept = reals(whole.R * whole.F);
            memcpy(kept, out->v, whole.R * whole.F * sizeof(real));
            rig_train(&whole);
            for (size_t b = 0; b < setup.B; b++) {
                Setup one = setup;
                Rig rig;
                size_t row = whole.offset[b];
                one.B = 1;
                one.length[0] = setup.length[b];
                rig_start(&rig, &one);
                memcpy(rig.x, whole.x + row * setup.I, rig.R * setup.I * sizeof(real));
                memcpy(rig.weight[0], whole.weight[0] + row * rig.F, rig.R * rig.F * sizeof(real));
                Batch single = rig_batch(&rig);
                out = model_forward(rig.model, &single, false);
                assert_memory_equal(out->v, kept + row * rig.F, rig.R * rig.F * sizeof(real));
                rig_train(&rig);
                assert_memory_equal(model_input(rig.model)->g, model_input(whole.model)->g + row * setup.I,
                                    rig.R * setup.I * sizeof(real));
                rig_stop(&rig);
            }
            free(kept);
            rig_stop(&whole);
        }
}

/* A model planned for inference gives what the training one gives; and both go on from their state. */
static void test_recurrent_carried_state(void **state) {
    (void)state;
    enum { B = 5, T = 9, CUT = 4 };
    for (size_t k = 0; k < KINDS * 3; k++)
        for (int infers = 0; infers < 2; infers++) {
            Setup setup = {
                .kind = kinds[k % KINDS],
                .config = {.hidden_size = 20, .num_layers = 3, .bias = true, .initial_state = (int)(k / KINDS)},
                .I = 6,
                .threads = 2,
                .infers = infers,
                .B = B};
            for (size_t b = 0; b < B; b++) setup.length[b] = T;
            Rig rig;
            rig_start(&rig, &setup);
            if (setup.config.initial_state == STATE_LEARNED) {
                const Param *h_0 = rig_param(&rig, "rnn.h_0");
                for (size_t i = 0; i < h_0->count; i++) h_0->v[i] = noise(77, i);
            }
            Batch batch = rig_batch(&rig);
            real *whole = reals(rig.R * rig.F), *x = reals(rig.R * setup.I);
            memcpy(whole, model_forward(rig.model, &batch, false)->v, rig.R * rig.F * sizeof(real));
            model_reset_state(rig.model);
            for (int part = 0; part < 2; part++) {
                size_t first = part ? CUT : 0, length = part ? T - CUT : CUT, offset[B + 1] = {0};
                for (size_t b = 0; b < B; b++) {
                    offset[b + 1] = offset[b] + length;
                    memcpy(x + offset[b] * setup.I, rig.x + (b * T + first) * setup.I, length * setup.I * sizeof(real));
                }
                batch.x = x;
                batch.rows.offset = offset;
                batch.rows.longest = length;
                const Value *out = model_forward(rig.model, &batch, true);
                for (size_t b = 0; b < B; b++)
                    assert_memory_equal(out->v + offset[b] * rig.F, whole + (b * T + first) * rig.F,
                                        length * rig.F * sizeof(real));
            }
            free(whole);
            free(x);
            rig_stop(&rig);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recurrent_bits_do_not_depend_on_threads),
        cmocka_unit_test(test_recurrent_bits_do_not_depend_on_who_has_which_unit),
        cmocka_unit_test(test_recurrent_bits_do_not_depend_on_instruction_set),
        cmocka_unit_test(test_recurrent_bits_do_not_depend_on_batch),
        cmocka_unit_test(test_recurrent_carried_state),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
