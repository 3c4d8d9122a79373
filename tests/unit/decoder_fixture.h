/* SPDX-License-Identifier: MIT
 *
 * decoder_fixture.h: models with an encoder and a decoder, as lists of layers, on ragged sources and targets: the
 * recurrent form (both directions, a bridge for the state, attention beside the states) and the transformer. */
#ifndef LOCKSTEP_TESTS_DECODER_FIXTURE_H
#define LOCKSTEP_TESTS_DECODER_FIXTURE_H

#include "layers/recurrent/recurrent.h"
#include "layers/transformer/transformer.h"
#include "tests/unit/model_fixture.h"

enum { SYMBOLS = 6, WORDS = 11, SEQ2SEQ_LAYERS = 12 };

typedef struct Seq2Seq {
    LayerSpec layer[SEQ2SEQ_LAYERS];
    size_t layers;
    EmbeddingChoice embedding;
    RecurrentConfig encoder, decoder;
    TransformerConfig transformer, writer;
    LinearChoice out;
    const char *input[SEQ2SEQ_LAYERS][2];
    int select; /* final */
    int none;   /* of kinds without keys, or their defaults */
} Seq2Seq;

static inline void seq2seq_add(Seq2Seq *s, const char *kind, const char *name, void *config, const char *first,
                               const char *second) {
    size_t l = s->layers++;
    assert_true(l < SEQ2SEQ_LAYERS);
    s->input[l][0] = first;
    s->input[l][1] = second;
    s->layer[l] = (LayerSpec){.type = layer_type(kind),
                              .name = name,
                              .config = config,
                              .input = s->input[l],
                              .inputs = second  ? 2
                                        : first ? 1
                                                : 0};
    if (!s->layer[l].type) fail_msg("there is no %s", kind);
}

/* Encoder in both directions; the decoder starts from a linear map of its final state, and at every step looks at
 * the encoder's rows, Luong's way. */
static inline void seq2seq_recurrent(Seq2Seq *s, const char *kind) {
    *s = (Seq2Seq){.embedding = {KEY_NULL_SIZE, 4, INT64_MIN, NAN, 2, false, false},
                   .encoder = {.hidden_size = 3, .num_layers = 1, .bidirectional = true, .bias = true},
                   .decoder = {.hidden_size = 6, .num_layers = 1, .bias = true, .initial_state = STATE_CONTEXT},
                   .out = {SYMBOLS + 1, true, NULL},
                   .select = 4};
    seq2seq_add(s, "embedding", "encoder.emb", &s->embedding, "data", NULL);
    seq2seq_add(s, kind, "encoder.rnn", &s->encoder, NULL, NULL);
    seq2seq_add(s, "select", "final", &s->select, "encoder.rnn", NULL);
    seq2seq_add(s, "embedding", "decoder.emb", &s->embedding, "target", NULL);
    seq2seq_add(s, kind, "decoder.rnn", &s->decoder, "decoder.emb", "final");
    seq2seq_add(s, "basic_attention", "decoder.attention", &s->none, "encoder.rnn", "decoder.rnn");
    seq2seq_add(s, "concat", "decoder.concat", &s->none, "decoder.rnn", "decoder.attention");
    seq2seq_add(s, "linear", "decoder.fc", &s->out, NULL, NULL);
}

static inline void seq2seq_transformer(Seq2Seq *s, bool norm_first) {
    *s = (Seq2Seq){.embedding = {KEY_NULL_SIZE, 6, INT64_MIN, NAN, 2, false, false},
                   .transformer = {2, 2, 9, 0, norm_first, norm_first, false, norm_first, true, 1e-5},
                   .writer = {2, 2, 9, 0, norm_first, norm_first, true, norm_first, true, 1e-5},
                   .out = {SYMBOLS + 1, true, NULL}};
    seq2seq_add(s, "embedding", "encoder.emb", &s->embedding, "data", NULL);
    seq2seq_add(s, "transformer_encoder", "encoder.att", &s->transformer, NULL, NULL);
    seq2seq_add(s, "embedding", "decoder.emb", &s->embedding, "target", NULL);
    seq2seq_add(s, "transformer_decoder", "decoder.att", &s->writer, "decoder.emb", "encoder.att");
    seq2seq_add(s, "linear", "decoder.fc", &s->out, NULL, NULL);
}

static inline void seq2seq_sample(Sample *sample, size_t sequences, size_t stretch) {
    sample_make(sample, sequences, stretch, 0, WORDS, PER_STEP, SYMBOLS + 1);
    sample_target(sample, SYMBOLS + 1);
}

static inline ModelSpec seq2seq_spec(const Seq2Seq *s, const Sample *sample) {
    return rig_spec(sample, s->layer, s->layers, LOSS_CROSS_ENTROPY);
}

#endif
