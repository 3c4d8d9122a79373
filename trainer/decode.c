/* SPDX-License-Identifier: MIT
 *
 * decode.c: see decode.h. Greedy is a beam of one, and a draw is a beam of one for which nothing else is
 * possible. A source that is through takes no part in further steps. */
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
    Beam **beam;          /* [sources] */
    double *log_p;        /* [beams, symbols + 1] */
    Candidate *candidate; /* [symbols + 1] */
    /* The step at hand and the one before, see DecodeStep. */
    size_t *first, *before; /* [sources + 1] */
    size_t *from;           /* [sources beams] */
    int32_t *id;            /* the same */
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
    *d = (Decoder){.engine = engine, .config = *config, .sources = spec->max_beginnings / config->beams, .room = room};
    size_t classes = config->symbols + 1;
    d->beam = calloc(d->sources + 1, sizeof *d->beam);
    d->log_p = calloc(config->beams * classes, sizeof *d->log_p);
    d->candidate = calloc(classes, sizeof *d->candidate);
    d->first = calloc(d->sources + 1, sizeof *d->first);
    d->before = calloc(d->sources + 1, sizeof *d->before);
    d->from = calloc(spec->max_beginnings, sizeof *d->from);
    d->id = calloc(spec->max_beginnings, sizeof *d->id);
    Status status = d->beam && d->log_p && d->candidate && d->first && d->before && d->from && d->id
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
    free(d->first);
    free(d->before);
    free(d->from);
    free(d->id);
    free(d);
    *decoder = NULL;
}

/* What the decoder reads next: the newest symbol of each beginning, at first the one that stands for the start. */
static DecodeStep next_step(Decoder *d, size_t sources, bool starts) {
    size_t *before = d->first, b = 0;
    d->first = d->before;
    d->before = before;
    for (size_t i = d->first[0] = 0; i < sources; i++) {
        const Beam *beam = d->beam[i];
        for (size_t k = 0; k < beam_live(beam); k++, b++) {
            d->from[b] = before[i] + (starts ? 0 : beam_parent(beam, k));
            d->id[b] = starts ? (int32_t)d->config.symbols : beam_beginning(beam, k)[beam_length(beam) - 1];
        }
        d->first[i + 1] = b;
    }
    return (DecodeStep){b, d->first, starts ? NULL : d->from, d->id};
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
    size_t classes = d->config.symbols + 1;
    for (size_t k = 0; k < beam_live(d->beam[i]); k++) {
        const float *logit = out->v + (d->first[i] + k) * out->features;
        double *log_p = d->log_p + k * classes, at0 = log_probability(logit, out->features, 0);
        for (size_t c = 0; c < classes; c++) log_p[c] = at0 + ((double)logit[c] - (double)logit[0]);
        if (d->config.sampling) draw(d, logit, number, beam_length(d->beam[i]), log_p);
    }
    if (beam_live(d->beam[i]) > 0) beam_step(d->beam[i], d->log_p);
}

void decoder_run(Decoder *d, const Batch *batch, uint64_t first, Decoded *out) {
    const size_t sources = batch->rows.sequences;
    for (size_t i = 0; i < sources; i++) {
        size_t length = batch->rows.offset[i + 1] - batch->rows.offset[i];
        size_t most = decode_most(&d->config, length);
        beam_start(d->beam[i], most < d->room ? most : d->room);
    }
    for (DecodeStep step = next_step(d, sources, true); step.beginnings > 0; step = next_step(d, sources, false)) {
        const Value *logits = model_decode(d->engine->model, batch, &step);
        for (size_t i = 0; i < sources; i++) step_source(d, i, first + i, logits);
    }
    for (size_t i = 0; i < sources; i++) {
        BeamResult r = beam_result(d->beam[i]);
        out[i] = (Decoded){r.symbol, r.count, r.log_probability, r.ended};
    }
}
