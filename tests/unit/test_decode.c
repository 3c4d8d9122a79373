/* SPDX-License-Identifier: MIT
 *
 * test_decode.c: a decoder that goes on from its state, symbol by symbol, with beginnings that branch and end,
 * gives the bits that the whole model gives for the whole of each beginning; memory that is not meant to live
 * is poisoned. And what cannot go on so is refused. */
#include "tests/unit/decoder_fixture.h"

enum { MOST_EACH = 3, MOST = MOST_EACH * SAMPLE_SEQUENCES, STEPS = 6, CONTEXT = 3 };

typedef struct Position {
    int kind;
    size_t max_len;
    double dropout;
} Position;

static Position learned = {1, KEY_NULL_SIZE, 0};
static MultiHeadChoice self = {2, KEY_NULL_SIZE, KEY_NULL_SIZE, true, true, 0},
                       cross = {3, KEY_NULL_SIZE, KEY_NULL_SIZE, true, false, 0}, sizes = {2, 5, 7, false, false, 0};
static int mean = 2;
static SelfChoice causal = {9, true, true, 0}, ahead = {9, true, false, 0};

/* ---- beginnings ------------------------------------------------------------------------------------------ */

typedef struct Beginnings {
    size_t count, first[SAMPLE_SEQUENCES + 1], source[MOST], from[MOST];
    int32_t symbol[MOST][STEPS], newest[MOST];
} Beginnings;

/* One of each source, later 0 to MOST_EACH of those that are left, each behind any of the step before. */
static void grow(Beginnings *now, const Beginnings *old, size_t sources, size_t step, uint64_t seed) {
    *now = (Beginnings){.count = 0};
    for (size_t i = 0; i < sources; i++) {
        const size_t parents = step ? old->first[i + 1] - old->first[i] : 1;
        size_t children = step ? (size_t)(random_uniform(seed, 100 * step + i) * (MOST_EACH + 0.8)) : 1;
        for (size_t k = 0; k < children && parents > 0; k++) {
            const size_t b = now->count++, draw = 1000 * step + b;
            now->source[b] = i;
            now->from[b] = step ? old->first[i] + (size_t)(random_uniform(seed, draw) * (double)parents) : i;
            if (step) memcpy(now->symbol[b], old->symbol[now->from[b]], step * sizeof(int32_t));
            now->newest[b] = now->symbol[b][step] = (int32_t)(random_uniform(seed + 1, draw) * (SYMBOLS + 1));
        }
        now->first[i + 1] = now->count;
    }
}

/* The whole of every beginning as a sequence of its own, with its own copy of the source. */
static void spread(const Beginnings *now, size_t steps, const Sample *sample, Batch *batch, size_t *offset,
                   size_t *target, int32_t *ids, int32_t *target_ids, real *context) {
    offset[0] = target[0] = 0;
    for (size_t b = 0; b < now->count; b++) {
        const size_t first = sample->offset[now->source[b]], length = sample->offset[now->source[b] + 1] - first;
        memcpy(ids + offset[b], sample->ids + first, length * sizeof *ids);
        memcpy(target_ids + target[b], now->symbol[b], steps * sizeof *target_ids);
        memcpy(context + b * CONTEXT, sample->context + now->source[b] * CONTEXT, CONTEXT * sizeof *context);
        offset[b + 1] = offset[b] + length;
        target[b + 1] = target[b] + steps;
    }
    batch->rows.sequences = now->count;
    batch->rows.offset = offset;
    batch->rows.target_offset = target;
    batch->rows.target_longest = steps;
    batch->ids = ids;
    batch->target_ids = target_ids;
    batch->context = context;
}

static void compare(const char *what, const Beginnings *now, size_t step, const Value *whole, const Value *alone) {
    const size_t F = whole->features;
    for (size_t b = 0; b < now->count; b++)
        for (size_t f = 0; f < F; f++) {
            const real a = whole->v[(b * (step + 1) + step) * F + f], c = alone->v[b * F + f];
            if (memcmp(&a, &c, sizeof a) != 0)
                fail_msg("%s: symbol %zu of beginning %zu, class %zu: %.9g, decoded %.9g", what, step, b, f, (double)a,
                         (double)c);
        }
}

/* A search, and another one in the same memory. */
static void search(const char *what, Rig *whole, Rig *alone, uint64_t seed) {
    const Sample *sample = alone->sample;
    size_t offset[MOST + 1], target[MOST + 1];
    int32_t ids[MOST * 6], target_ids[MOST * STEPS];
    real context[MOST * CONTEXT];
    Beginnings now = {0}, old;
    assert_non_null(model_forward(alone->model, &alone->batch, false));
    for (size_t step = 0; step < STEPS; step++) {
        Batch batch = whole->batch;
        old = now;
        grow(&now, &old, sample->sequences, step, seed);
        if (now.count == 0) return;
        spread(&now, step + 1, sample, &batch, offset, target, ids, target_ids, context);
        const DecodeStep next = {now.count, now.first, step ? now.from : NULL, now.newest};
        const Value *a = model_forward(whole->model, &batch, false);
        const Value *b = model_decode(alone->model, &alone->batch, &next);
        assert_true(a && b);
        compare(what, &now, step, a, b);
    }
}

static void decodes(const char *what, const Seq2Seq *s, bool trains, LossKind loss) {
    Sample sample;
    Rig whole, alone;
    seq2seq_sample(&sample, SAMPLE_SEQUENCES, 1);
    sample_context(&sample, CONTEXT);
    ModelSpec spec = seq2seq_spec(s, &sample);
    spec.loss.kind = loss;
    spec.trains = trains;
    spec.max_sequences = MOST;
    spec.max_target_rows = MOST * STEPS;
    ModelSpec both = spec;
    both.max_rows = MOST * 6;
    rig_start(&whole, &both, &sample, 0, 1, 1);
    spec.max_beginnings = MOST;
    rig_start(&alone, &spec, &sample, 0, 1, 1);
    model_poison(alone.model, !trains);
    if (trains) rig_train(&alone, NULL, NULL);
    for (uint64_t seed = 1; seed < 9; seed += 2) search(what, &whole, &alone, seed);
    rig_stop(&whole);
    rig_stop(&alone);
    sample_free(&sample);
}

/* With and without a loss that visits the last layer in chunks; between training steps. */
static void decodes_alike(const char *what, const Seq2Seq *s) {
    decodes(what, s, false, LOSS_NONE);
    decodes(what, s, false, LOSS_CROSS_ENTROPY);
    decodes(what, s, true, LOSS_CROSS_ENTROPY);
}

/* ---- models ---------------------------------------------------------------------------------------------- */

static void test_recurrent(void **state) {
    (void)state;
    static const char *const kind[] = {"rnn", "gru", "lstm"};
    for (size_t i = 0; i < 3; i++) {
        Seq2Seq s;
        seq2seq_recurrent(&s, kind[i]);
        s.decoder.num_layers = 2;
        decodes_alike(kind[i], &s);
        s.input[6][0] = "final"; /* a row per source in every step, with the attention */
        decodes_alike("final state in every step", &s);
        s.input[4][1] = "context";
        s.input[6][0] = "context";
        decodes_alike("the data's context", &s);
    }
}

static void test_transformer(void **state) {
    (void)state;
    Seq2Seq s;
    seq2seq_transformer(&s, false);
    decodes_alike("post-norm", &s);
    seq2seq_transformer(&s, true);
    decodes_alike("pre-norm", &s);
    /* What decodes stands above the encoder too. */
    LayerSpec embedding = s.layer[2];
    memmove(&s.layer[1], &s.layer[0], 2 * sizeof *s.layer);
    s.layer[0] = embedding;
    decodes_alike("embedding first", &s);
}

/* Positions, causal attention of both forms, and attention to an encoder with its three ways to be fed. */
static void test_attention(void **state) {
    (void)state;
    Seq2Seq s;
    seq2seq_recurrent(&s, "gru");
    s.embedding.embedding_dim = 6;
    s.layers = 4;
    seq2seq_add(&s, "positional_encoding", "decoder.pos", &learned, "decoder.emb", NULL);
    seq2seq_add(&s, "multi_head_attention", "decoder.self", &self, NULL, NULL);
    seq2seq_add(&s, "multi_head_attention", "decoder.other", &self, "decoder.self", "decoder.pos");
    seq2seq_add(&s, "multi_head_attention", "decoder.cross", &cross, "decoder.other", "encoder.rnn");
    seq2seq_add(&s, "multi_head_attention", "decoder.sizes", &sizes, "decoder.cross", "encoder.emb");
    seq2seq_add(&s, "self_attention", "decoder.one", &causal, NULL, NULL);
    seq2seq_add(&s, "linear", "decoder.fc", &s.out, NULL, NULL);
    decodes_alike("attention", &s);
}

/* ---- what cannot be carried on --------------------------------------------------------------------------- */

static void refused(const char *message, const Seq2Seq *s) {
    Sample sample;
    Model *model;
    seq2seq_sample(&sample, SAMPLE_SEQUENCES, 1);
    ModelSpec spec = seq2seq_spec(s, &sample);
    check(model_create(&spec, &model)); /* no harm where it is not to write */
    model_destroy(&model);
    spec.max_beginnings = 1;
    assert_int_equal(model_create(&spec, &model), ERR_USAGE);
    if (!strstr(status_message(), message)) fail_msg("'%s' is not in: %s", message, status_message());
    sample_free(&sample);
}

static void test_looking_ahead_is_refused(void **state) {
    (void)state;
    Seq2Seq s;
    seq2seq_recurrent(&s, "gru");
    s.decoder.bidirectional = true;
    s.decoder.hidden_size = 3;
    refused("decoder.rnn.bidirectional: it looks at steps of 'decoder.emb' that a decoder is yet to write", &s);
    seq2seq_transformer(&s, false);
    s.writer.causal = false;
    refused("decoder.att.causal: it looks at steps", &s);
    seq2seq_transformer(&s, false);
    s.input[3][1] = "decoder.emb";
    refused("decoder.att: it looks at steps", &s);
    seq2seq_transformer(&s, false);
    s.layer[3] = (LayerSpec){.type = layer_type("self_attention"),
                             .name = "decoder.att",
                             .config = &ahead,
                             .input = s.input[3],
                             .inputs = 1};
    refused("decoder.att.causal: it looks at steps", &s);
    seq2seq_recurrent(&s, "lstm");
    s.input[6][1] = "decoder.rnn.h_n";
    refused("decoder.concat.input: 'decoder.rnn.h_n' is made of all steps of the target", &s);
    seq2seq_recurrent(&s, "lstm");
    s.layer[5] = (LayerSpec){
        .type = layer_type("select"), .name = "decoder.attention", .config = &mean, .input = s.input[5], .inputs = 1};
    s.input[5][0] = "decoder.rnn";
    refused("decoder.attention: it looks at steps of 'decoder.rnn'", &s);
}

static void test_rows_are_gathered_in_place(void **state) {
    (void)state;
    enum { ROWS = 9, FEATURES = 2 * GATHER_COLUMNS + 5, LD = FEATURES + 3 };
    static const size_t from[] = {3, 3, 0, 2, 4, 8, 8};
    real *x = rig_memory(ROWS * LD, sizeof *x), *tmp = rig_memory(ROWS * GATHER_COLUMNS, sizeof *tmp);
    for (size_t i = 0; i < ROWS * LD; i++) x[i] = sample_real(7, i);
    op_gather_rows(7, from, FEATURES, x, LD, tmp);
    for (size_t r = 0; r < ROWS; r++)
        for (size_t f = 0; f < LD; f++) {
            const size_t row = r < 7 && f < FEATURES ? from[r] : r;
            assert_true(x[r * LD + f] == sample_real(7, row * LD + f));
        }
    free(x);
    free(tmp);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recurrent),
        cmocka_unit_test(test_transformer),
        cmocka_unit_test(test_attention),
        cmocka_unit_test(test_looking_ahead_is_refused),
        cmocka_unit_test(test_rows_are_gathered_in_place),
    };
    return cmocka_run_group_tests(tests, start_kernels, stop_kernels);
}
