/* SPDX-License-Identifier: MIT
 *
 * test_carried.c: a model with attention, positions and a recurrent layer that reads sequences in ragged parts,
 * each pass going on from the one before, gives the bits of one pass over the whole; so does its second go after
 * the state is reset. */
#include "layers/transformer/transformer.h"
#include "tests/unit/model_fixture.h"

typedef struct PositionalChoice {
    int kind;
    size_t max_len;
    double dropout;
} PositionalChoice;

enum { IDS = 11, E = 12, STRETCH = 12 };

/* The first parts have first_part, first_part + 1, ... steps, the next ones 1 and 3 in turn. */
static void check_parts(Rig *rig, const Sample *sample, const real *whole, size_t F, size_t first_part) {
    size_t done[SAMPLE_SEQUENCES] = {0}, offset[SAMPLE_SEQUENCES + 1] = {0};
    int32_t *ids = rig_memory(sample_rows(sample, PER_STEP), sizeof *ids);
    model_reset_state(rig->model);
    for (size_t turn = 0; done[SAMPLE_SEQUENCES - 1] < 6 * STRETCH; turn++) {
        size_t from[SAMPLE_SEQUENCES], longest = 0;
        for (size_t b = 0; b < SAMPLE_SEQUENCES; b++) {
            size_t all = 6 * STRETCH, want = turn == 0 ? first_part + b : turn % 2 ? 1 : 3;
            if (want > all - done[b]) want = all - done[b];
            from[b] = done[b];
            offset[b + 1] = offset[b] + want;
            memcpy(ids + offset[b], sample->ids + b * all + from[b], want * sizeof *ids);
            done[b] += want;
            if (want > longest) longest = want;
        }
        bool empty = false;
        for (size_t b = 0; b < SAMPLE_SEQUENCES; b++) empty |= offset[b + 1] == offset[b];
        if (empty) break; /* a sequence has at least one step */
        Batch batch = rig->batch;
        batch.ids = ids;
        batch.rows.offset = offset;
        batch.rows.longest = longest;
        const Value *out = model_forward(rig->model, &batch, true);
        assert_non_null(out);
        for (size_t b = 0; b < SAMPLE_SEQUENCES; b++)
            for (size_t i = 0; i < (offset[b + 1] - offset[b]) * F; i++) {
                real want = whole[(b * 6 * STRETCH + from[b]) * F + i], got = out->v[offset[b] * F + i];
                if (memcmp(&want, &got, sizeof want) != 0)
                    fail_msg("sequence %zu, step %zu: %.9g, in one pass %.9g", b, from[b] + i / F, (double)got,
                             (double)want);
            }
    }
    assert_true(done[0] > 4 * STRETCH);
    free(ids);
}

static void check_list(LayerSpec *layer, size_t layers) {
    Sample sample;
    Rig rig;
    sample_make(&sample, SAMPLE_SEQUENCES, STRETCH, 0, IDS, PER_STEP, 5);
    /* Equal lengths: 7 sequences of 72 steps. */
    free(sample.ids);
    for (size_t b = 0; b <= SAMPLE_SEQUENCES; b++) sample.offset[b] = b * 6 * STRETCH;
    sample.ids = rig_memory(SAMPLE_SEQUENCES * 6 * STRETCH, sizeof *sample.ids);
    for (size_t r = 0; r < SAMPLE_SEQUENCES * 6 * STRETCH; r++)
        sample.ids[r] = (int32_t)(random_uniform(1, r) * (double)IDS);
    ModelSpec spec = rig_spec(&sample, layer, layers, LOSS_NONE);
    spec.trains = false;
    spec.carries = true;
    rig_start(&rig, &spec, &sample, 0, 1, 1);
    for (size_t i = 0; i < model_memory(rig.model).parameters; i++) rig.parameters[i] = sample_real(60, i) / 2;
    model_pack(rig.model, 0, 1);
    model_poison(rig.model, true);
    const Value *out = model_forward(rig.model, &rig.batch, false);
    assert_non_null(out);
    size_t count = SAMPLE_SEQUENCES * 6 * STRETCH * out->features;
    real *whole = rig_memory(count, sizeof *whole);
    memcpy(whole, out->v, count * sizeof *whole);
    check_parts(&rig, &sample, whole, out->features, 1);
    check_parts(&rig, &sample, whole, out->features, 30);
    free(whole);
    rig_stop(&rig);
    sample_free(&sample);
}

static void test_attention(void **state) {
    (void)state;
    for (int learned = 0; learned < 2; learned++)
        for (int norm_first = 0; norm_first < 2; norm_first++) {
            LayerSpec layer[] = {
                {.type = layer_type("embedding"),
                 .name = "emb",
                 .config = &(EmbeddingChoice){KEY_NULL_SIZE, E, INT64_MIN, NAN, 2, false, false}},
                {.type = layer_type("positional_encoding"),
                 .name = "pos",
                 .config = &(PositionalChoice){learned, KEY_NULL_SIZE, 0.2}},
                {.type = layer_type("transformer_encoder"),
                 .name = "enc",
                 .config = &(TransformerConfig){2, 3, 17, 0.1, learned, norm_first, true, true, true, 1e-5}},
                {.type = layer_type("multi_head_attention"),
                 .name = "heads",
                 .config = &(MultiHeadChoice){3, 5, 7, true, true, 0}},
                {.type = layer_type("self_attention"), .name = "self", .config = &(SelfChoice){9, true, true, 0}},
            };
            check_list(layer, 5);
        }
}

static void test_with_a_recurrent_layer(void **state) {
    (void)state;
    LayerSpec layer[] = {
        {.type = layer_type("embedding"),
         .name = "emb",
         .config = &(EmbeddingChoice){KEY_NULL_SIZE, E, INT64_MIN, NAN, 2, false, false}},
        spec_of("lstm", "rnn", 3),
        {.type = layer_type("self_attention"), .name = "self", .config = &(SelfChoice){KEY_NULL_SIZE, true, true, 0}},
    };
    check_list(layer, 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_attention), cmocka_unit_test(test_with_a_recurrent_layer)};
    return cmocka_run_group_tests_name("carried state", tests, start_kernels, stop_kernels);
}
