/* SPDX-License-Identifier: MIT
 *
 * decode.c: see decode.h. Greedy is a beam of one, and a draw is a beam of one for which nothing else is
 * possible. A source that is through keeps one row a copy: a sequence has at least one step. */
#include "trainer/decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "layers/ops/random.h"
#include "trainer/beam.h"

struct Decoder {
    Engine *engine;
    DecodeConfig config;
    size_t sources, room;
    Beam **beam;           /* [sources] */
    double *log_p;         /* [beams, symbols + 1] */
    Candidate *candidate;  /* [symbols + 1] */
    size_t *target_offset; /* [sources beams + 1] */
    int32_t *target_ids;   /* [rows] */
};

size_t decode_most(const DecodeConfig *c, size_t length) {
    if (c->max_length) return c->max_length;
    return length < SIZE_MAX / 2 - 50 ? 2 * length + 50 : SIZE_MAX;
}

double log_probability(const float *logit, size_t classes, size_t c) {
    double most = -INFINITY, sum = 0;
    for (size_t i = 0; i < classes; i++) most = fmax(most, (double)logit[i]);
    for (size_t i = 0; i < classes; i++) sum += exp((double)logit[i] - most);
    return (double)logit[c] - most - log(sum);
}

Status decoder_create(Engine *engine, const DecodeConfig *config, size_t room, Decoder **out) {
    *out = NULL;
    const ModelSpec *spec = &engine->spec;
    Decoder *d = calloc(1, sizeof *d);
    if (!d) return status_fail(ERR_USAGE, "memory: no room for the decoder; free some");
    *d = (Decoder){.engine = engine, .config = *config, .sources = spec->max_sequences / config->beams, .room = room};
    size_t classes = config->symbols + 1;
    d->beam = calloc(d->sources + 1, sizeof *d->beam);
    d->log_p = calloc(config->beams * classes, sizeof *d->log_p);
    d->candidate = calloc(classes, sizeof *d->candidate);
    d->target_offset = calloc(spec->max_sequences + 1, sizeof *d->target_offset);
    d->target_ids = calloc(spec->max_target_rows + 1, sizeof *d->target_ids);
    Status status = d->beam && d->log_p && d->candidate && d->target_offset && d->target_ids
                        ? OK
                        : status_fail(ERR_USAGE,
                                      "memory: no room to decode %zu sequences at once; make "
                                      "train.batch_size or --beam smaller",
                                      d->sources);
    BeamConfig beam = {config->beams, config->symbols, config->length_penalty};
    for (size_t i = 0; i < d->sources && status == OK; i++) status = beam_create(&beam, room, &d->beam[i]);
    if (status != OK) decoder_destroy(&d);
    *out = d;
    return status;
}

void decoder_destroy(Decoder **decoder) {
    Decoder *d = *decoder;
    if (!d) return;
    for (size_t i = 0; d->beam && i < d->sources; i++) beam_destroy(&d->beam[i]);
    free(d->beam);
    free(d->log_p);
    free(d->candidate);
    free(d->target_offset);
    free(d->target_ids);
    free(d);
    *decoder = NULL;
}

/* What the decoder reads next: the beginnings of each source, behind the symbol that stands for the start. */
static bool write_beginnings(Decoder *d, size_t sources, Rows *rows) {
    const int32_t start = (int32_t)d->config.symbols;
    size_t row = 0, b = 0;
    bool any = false;
    rows->target_longest = 1;
    for (size_t i = 0; i < sources; i++) {
        size_t live = beam_live(d->beam[i]), length = beam_length(d->beam[i]);
        any |= live > 0;
        for (size_t k = 0; k < d->config.beams; k++, b++) {
            size_t count = k < live ? length : 0;
            d->target_ids[row] = start;
            memcpy(d->target_ids + row + 1, beam_beginning(d->beam[i], k < live ? k : 0), count * sizeof start);
            row += count + 1;
            d->target_offset[b + 1] = row;
            if (count + 1 > rows->target_longest) rows->target_longest = count + 1;
        }
    }
    return any;
}

/* The draw is certain, all else impossible; its own probability is that of the model. */
static void draw(const Decoder *d, const float *logit, uint64_t number, size_t length, double *log_p) {
    size_t classes = d->config.symbols + 1;
    size_t pick = (size_t)sampling_pick(d->config.sampling, logit, classes, random_name("predict"),
                                        number << 32 | (uint32_t)length, d->candidate);
    for (size_t c = 0; c < classes; c++)
        if (c != pick) log_p[c] = -INFINITY;
}

static void step_source(Decoder *d, size_t i, uint64_t number, const Value *out) {
    size_t classes = d->config.symbols + 1, first = i * d->config.beams;
    for (size_t k = 0; k < beam_live(d->beam[i]); k++) {
        const float *logit = out->v + (d->target_offset[first + k + 1] - 1) * out->features;
        double *log_p = d->log_p + k * classes, at0 = log_probability(logit, out->features, 0);
        for (size_t c = 0; c < classes; c++) log_p[c] = at0 + ((double)logit[c] - (double)logit[0]);
        if (d->config.sampling) draw(d, logit, number, beam_length(d->beam[i]), log_p);
    }
    if (beam_live(d->beam[i]) > 0) beam_step(d->beam[i], d->log_p);
}

void decoder_run(Decoder *d, const Batch *batch, uint64_t first, Decoded *out) {
    Batch reading = *batch;
    size_t k = d->config.beams, sources = batch->rows.sequences / k;
    reading.rows.target_offset = d->target_offset;
    reading.target_ids = d->target_ids;
    for (size_t i = 0; i < sources; i++) {
        size_t length = batch->rows.offset[i * k + 1] - batch->rows.offset[i * k];
        size_t most = decode_most(&d->config, length);
        beam_start(d->beam[i], most < d->room ? most : d->room);
    }
    while (write_beginnings(d, sources, &reading.rows)) {
        const Value *logits = model_decode(d->engine->model, &reading);
        for (size_t i = 0; i < sources; i++) step_source(d, i, first + i, logits);
    }
    for (size_t i = 0; i < sources; i++) {
        BeamResult r = beam_result(d->beam[i]);
        out[i] = (Decoded){r.symbol, r.count, r.log_probability, r.ended};
    }
}
