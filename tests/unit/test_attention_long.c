/* SPDX-License-Identifier: MIT
 *
 * test_attention_long.c: attention over 4,096 steps: some queries against a plain reference, scratch that does
 * not grow with the sequence, and layers whose planned memory stays below a GiB. */
#include "tests/unit/model_fixture.h"

#include "layers/ops/attention.h"

enum { T = 4096, D = 8 };

/* The output of query i in double. */
static void reference(const real *q, const real *k, const real *v, size_t i, size_t keys, double scale, double *out) {
    double most = -INFINITY, sum = 0, *s = calloc(keys, sizeof *s);
    assert_non_null(s);
    for (size_t j = 0; j < keys; j++) {
        for (size_t f = 0; f < D; f++) s[j] += scale * (double)q[i * D + f] * (double)k[j * D + f];
        most = fmax(most, s[j]);
    }
    for (size_t f = 0; f < D; f++) out[f] = 0;
    for (size_t j = 0; j < keys; j++) {
        const double w = exp(s[j] - most);
        sum += w;
        for (size_t f = 0; f < D; f++) out[f] += w * (double)v[j * D + f];
    }
    for (size_t f = 0; f < D; f++) out[f] /= sum;
    free(s);
}

static real *random_rows(uint64_t stream, size_t count) {
    real *x = rig_memory(count, sizeof *x);
    for (size_t i = 0; i < count; i++) x[i] = 3 * sample_real(stream, i);
    return x;
}

static void test_values(void **state) {
    (void)state;
    static const size_t offset[] = {0, T};
    real *q = random_rows(1, T * D), *k = random_rows(2, T * D), *v = random_rows(3, T * D),
         *out = rig_memory(T * D, sizeof *out);
    real *scratch = rig_memory(2 * attention_scratch(D), sizeof *scratch);
    for (int causal = 0; causal < 2; causal++) {
        op_attention(&(Attention){.sequences = 1,
                                  .q_offset = offset,
                                  .k_offset = offset,
                                  .heads = 1,
                                  .d = D,
                                  .scale = 0.5F,
                                  .causal = causal,
                                  .q = q,
                                  .k = k,
                                  .v = v,
                                  .ldq = D,
                                  .ldk = D,
                                  .ldv = D,
                                  .out = out,
                                  .ldo = D,
                                  .scratch = scratch,
                                  .threads = 2});
        for (size_t i = 0; i < T; i += 117) {
            double expected[D];
            reference(q, k, v, i, causal ? i + 1 : T, 0.5, expected);
            for (size_t f = 0; f < D; f++)
                if (fabs((double)out[i * D + f] - expected[f]) > 1e-5)
                    fail_msg("query %zu, feature %zu: %.9g, expected %.9g", i, f, (double)out[i * D + f], expected[f]);
        }
    }
    free(q);
    free(k);
    free(v);
    free(out);
    free(scratch);
}

/* A sum of all gradients of keys is zero, and those of values sum to those of the output. */
static void test_gradients(void **state) {
    (void)state;
    static const size_t offset[] = {0, T};
    real *q = random_rows(1, T * D), *k = random_rows(2, T * D), *v = random_rows(3, T * D),
         *dout = random_rows(4, T * D), *out = rig_memory(T * D, sizeof *out);
    real *dq = rig_memory(T * D, sizeof *dq), *dk = rig_memory(T * D, sizeof *dk), *dv = rig_memory(T * D, sizeof *dv);
    real *scratch = rig_memory(2 * attention_scratch(D), sizeof *scratch), *norm = rig_memory(2 * T, sizeof *norm),
         *delta = rig_memory(T, sizeof *delta);
    const Attention forward = {.sequences = 1,
                               .q_offset = offset,
                               .k_offset = offset,
                               .heads = 1,
                               .d = D,
                               .scale = 0.5F,
                               .causal = true,
                               .q = q,
                               .k = k,
                               .v = v,
                               .ldq = D,
                               .ldk = D,
                               .ldv = D,
                               .out = out,
                               .ldo = D,
                               .norm = norm,
                               .scratch = scratch,
                               .threads = 2};
    op_attention(&forward);
    op_attention_backward(&(AttentionBackward){.forward = forward,
                                               .dout = dout,
                                               .lddo = D,
                                               .dq = dq,
                                               .dk = dk,
                                               .dv = dv,
                                               .lddq = D,
                                               .lddk = D,
                                               .lddv = D,
                                               .delta = delta});
    for (size_t f = 0; f < D; f++) {
        double keys = 0, size = 0, values = 0, outputs = 0;
        for (size_t i = 0; i < T; i++) {
            keys += (double)dk[i * D + f];
            size += fabs((double)dk[i * D + f]);
            values += (double)dv[i * D + f];
            outputs += (double)dout[i * D + f];
        }
        if (fabs(keys) > 1e-5 * size) fail_msg("gradients of keys sum to %g of %g", keys, size);
        if (fabs(values - outputs) > 1e-3 * (1 + fabs(outputs)))
            fail_msg("gradients of values sum to %g, of outputs to %g", values, outputs);
    }
    real *all[] = {q, k, v, dout, out, dq, dk, dv, scratch, norm, delta};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* 4 sequences of 4,096 steps, 8 heads of 64 features. */
static void test_memory(void **state) {
    (void)state;
    MultiHeadChoice heads = {8, KEY_NULL_SIZE, KEY_NULL_SIZE, true, true, 0.1};
    const LayerSpec layer = {.type = layer_type("multi_head_attention"), .name = "att", .config = &heads};
    const char *const probe[] = {"att"};
    const ModelSpec spec = {.layer = &layer,
                            .layers = 1,
                            .loss = {.kind = LOSS_PROBE, .ignore_index = INT64_MIN},
                            .features = 512,
                            .seq_len = T,
                            .max_sequences = 4,
                            .max_rows = 4 * T,
                            .max_length = T,
                            .max_shards = 1,
                            .total_shards = 1,
                            .trains = true,
                            .threads = 8,
                            .probe = probe,
                            .probes = 1,
                            .input_gradient = true};
    Model *model;
    check(model_create(&spec, &model));
    const ModelMemory memory = model_memory(model);
    const size_t bytes =
        memory.activations + memory.saved + memory.tmp + (2 * memory.parameters + memory.packed) * sizeof(real);
    const size_t weights = (size_t)4 * 8 * T * T * sizeof(real);
    if (bytes > (size_t)1 << 30) fail_msg("%zu MiB", bytes >> 20);
    assert_true(weights > (size_t)1 << 30); /* what is never held */
    model_destroy(&model);
}

static int start_two_threads(void **state) {
    (void)state;
    return ops_start(2) == OK ? 0 : 1;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_gradients),
        cmocka_unit_test(test_memory),
    };
    return cmocka_run_group_tests_name("long attention", tests, start_two_threads, stop_kernels);
}
