/* SPDX-License-Identifier: MIT
 *
 * test_property.c: layers of random shapes against a reference in double precision, every kind of the registry:
 * forward, the gradient of the input, the gradients of all parameters. A value a passes if
 *
 *   |a - b| <= 8 eps sqrt(K) max|b|, and never more than 1e-4 max|b|
 *
 * with the reference's b, over its whole tensor, eps of single precision, and K the additions that it hangs on
 * along the longest way through the layer (tape.h). Behind a softmax or a normalisation b may be a difference of
 * terms that cancel: the size of the terms counts (tape.h: floor) where it is larger than max|b|.
 *
 *   K   linear: I for y, O for dx, R for dW and db; embedding: 0 for y (the same bits), for dW as often as an id
 *       occurs; layer_norm: 2 F; recurrent: 1 to 3 products of H for every step and layer on the way; attention:
 *       projections, d, the keys, and the way back; transformer_encoder: all of these, layer after layer
 *
 * test_property [--seed S] [--draws N] [--kind K] [--draw NUMBER] [--write STEM]
 *
 * --write leaves the draws for torch_property.py, as STEM.jsonl and STEM.f32. */
#include <errno.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layers/ops/ops.h"
#include "tests/property/record.h"
#include "tests/property/reference.h"
#include "tests/property/subject.h"

enum { KEYS = 32, REDRAWS = 50, FEW = 16 };

typedef struct Options {
    size_t seed, draws, only; /* only: SIZE_MAX: all */
    const char *kind, *stem;
} Options;

/* What has been seen of a kind. */
typedef struct Tally {
    double worst;
    char where[128];
    size_t compared, failed, most_terms;
    bool set[KEYS], varied[KEYS];
    unsigned char first[KEYS][16];
} Tally;

/* ---- the reference's side ---------------------------------------------------------------------------------- */

static bool refer(Reference *r, const Subject *s, const Draw *d, bool training) {
    const char *lacks;
    const size_t R = s->offset[d->sequences];
    *r = (Reference){.tape = tape_create(),
                     .model = s->model,
                     .rows = &s->batch.rows,
                     .training = training,
                     .seed = SUBJECT_SEED,
                     .step = SUBJECT_STEP,
                     .values = 1};
    r->value[0] = (ReferenceValue){.name = "data", .grain = PER_STEP};
    r->value[0].x = t_leaf(r->tape, R, d->vocabulary ? 1 : d->features, d->vocabulary ? NULL : s->x);
    for (size_t i = 0; d->vocabulary && i < R; i++) r->value[0].x->v[i] = s->ids[i];
    if (d->targets) {
        const size_t steps = s->target_offset[d->sequences];
        r->value[r->values] = (ReferenceValue){.name = "target", .grain = PER_TARGET_STEP};
        r->value[r->values].x = t_leaf(r->tape, steps, 1, NULL);
        for (size_t i = 0; i < steps; i++) r->value[r->values].x->v[i] = s->target_ids[i];
        r->values++;
    }
    if (d->context) {
        r->value[r->values] = (ReferenceValue){.name = "context", .grain = PER_SEQUENCE};
        r->value[r->values++].x = t_leaf(r->tape, d->sequences, d->context, s->context);
    }
    if (reference_run(r, s->config->layer, s->config->layers, &lacks)) return true;
    fprintf(stderr, "FAILED: kind %s has no reference; add one to reference_layers.c\n", lacks);
    return false;
}

/* The gradients of the loss, the projection of the outputs; the reference may lack one, which judging reports. */
static void differentiate(Reference *r, const Subject *s) {
    for (size_t i = 0; i < s->outputs; i++) {
        const ReferenceValue *value = reference_value(r, s->name[i]);
        if (value && value->x->rows * value->x->cols == subject_count(s, i)) tensor_seed(value->x, s->weight[i]);
    }
    tape_backward(r->tape);
}

static double most_of(const double *v, const Tensor *t) {
    double most = 0;
    for (size_t i = 0; i < t->rows * t->cols; i++) most = fmax(most, fabs(v[i]));
    return most;
}

static bool cancels(const Tensor *t, double most, double floor, double usual) {
    return t->rows * t->cols < FEW && most > floor && most < 0.05 * usual;
}

/* Where `few` elements are small beside the largest gradient, or beside what values are made of. */
static bool by_chance(const Reference *r, const Subject *s) {
    double usual = r->value[0].x ? most_of(r->value[0].x->g, r->value[0].x) : 0;
    for (size_t i = 0; i < REFERENCE_PARAMS; i++)
        if (r->param[i]) usual = fmax(usual, most_of(r->param[i]->g, r->param[i]));
    const Tensor *x = r->value[0].x;
    if (cancels(x, most_of(x->g, x), x->g_floor, usual)) return true;
    for (size_t i = 0; i < REFERENCE_PARAMS; i++) {
        const Tensor *w = r->param[i];
        if (w && cancels(w, most_of(w->g, w), w->g_floor, usual)) return true;
    }
    for (size_t i = 0; i < s->outputs; i++) {
        const ReferenceValue *value = reference_value(r, s->name[i]);
        if (value && cancels(value->x, most_of(value->x->v, value->x), value->x->v_floor, 1)) return true;
    }
    return false;
}

/* ---- judging ------------------------------------------------------------------------------------------------- */

static double limit_of(size_t terms) {
    return fmin(8 * (double)FLT_EPSILON * sqrt((double)terms), 1e-4);
}

static void judge(Tally *tally, const Draw *d, const char *what, size_t count, const real *a, const double *b,
                  size_t terms, double floor) {
    double most = floor, off = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(b[i]));
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs((double)a[i] - b[i]);
        off = difference <= off ? off : difference; /* takes NaN */
    }
    const double limit = limit_of(terms) * most, ratio = off == 0 ? 0 : off / limit;
    tally->compared++;
    if (terms > tally->most_terms) tally->most_terms = terms;
    if (!(ratio <= tally->worst)) {
        tally->worst = ratio;
        snprintf(tally->where, sizeof tally->where, "draw %zu, %s", d->number, what);
    }
    if (ratio <= 1) return;
    tally->failed++;
    fprintf(stderr,
            "FAILED: kind %s, draw %zu, seed %llu, %s: off by %.3g, %.2f times the limit 8 eps sqrt(%zu) %.3g\n"
            "  model: [%s]\n  shards %zu, lengths",
            d->kind, d->number, (unsigned long long)d->seed, what, off, ratio, terms, most, d->layers, d->shards);
    for (size_t b2 = 0; b2 < d->sequences; b2++) fprintf(stderr, " %zu", d->length[b2]);
    fprintf(stderr, "; alone: --seed %llu --kind %s --draw %zu\n", (unsigned long long)d->seed, d->kind, d->number);
}

/* The projection that training minimises; its terms are what it is measured by. */
static void judge_loss(Tally *tally, const Draw *d, const Subject *s, const Reference *r) {
    double loss = 0, size = 0;
    size_t terms = 0;
    for (size_t i = 0; i < s->outputs; i++) {
        const Tensor *y = reference_value(r, s->name[i])->x;
        terms = y->v_terms > terms ? y->v_terms : terms;
        double most = 0;
        for (size_t k = 0; k < y->rows * y->cols; k++) {
            loss += y->v[k] * (double)s->weight[i][k];
            size += fabs((double)s->weight[i][k]);
            most = fmax(most, fabs(y->v[k]));
        }
        size *= fmax(most, 1);
    }
    const real got = (real)s->loss;
    judge(tally, d, "loss", 1, &got, &loss, terms + 1, size);
}

static void judge_outputs(Tally *tally, const Draw *d, const Subject *s, const Reference *r, Record *record) {
    for (size_t i = 0; i < s->outputs; i++) {
        const ReferenceValue *value = reference_value(r, s->name[i]);
        if (!value || value->x->rows * value->x->cols != subject_count(s, i)) {
            fprintf(stderr, "FAILED: kind %s, draw %zu: the reference has no output %s of this size\n", d->kind,
                    d->number, s->name[i]);
            tally->failed++;
            continue;
        }
        judge(tally, d, s->name[i], subject_count(s, i), s->result[i], value->x->v, value->x->v_terms,
              value->x->v_floor);
        record_tensor(record, "output", s->name[i], value->x, s->result[i], value->x->v_terms, value->x->v_floor);
        record_tensor(record, "projection", s->name[i], value->x, s->weight[i], 0, 0);
    }
}

static void judge_gradients(Tally *tally, const Draw *d, const Subject *s, Reference *r, Record *record) {
    const Tensor *x = r->value[0].x;
    if (!d->vocabulary) {
        judge(tally, d, "input gradient", x->rows * x->cols, model_input(s->model)->g, x->g, tensor_terms(x),
              x->g_floor);
        record_tensor(record, "input", "gradient", x, model_input(s->model)->g, tensor_terms(x), x->g_floor);
    }
    if (d->context) {
        const Tensor *c = reference_value(r, "context")->x;
        const real *g = model_value(s->model, "context")->g;
        judge(tally, d, "context gradient", c->rows * c->cols, g, c->g, tensor_terms(c), c->g_floor);
        record_tensor(record, "context", "gradient", c, g, tensor_terms(c), c->g_floor);
    }
    for (size_t i = 0; i < model_params(s->model); i++) {
        const Param *p = model_param(s->model, i);
        char what[160];
        if (p->same_as) continue;
        const Tensor *w = r->param[i];
        if (!w) {
            fprintf(stderr, "FAILED: kind %s, draw %zu: the reference has not used %s\n", d->kind, d->number, p->name);
            tally->failed++;
            continue;
        }
        snprintf(what, sizeof what, "gradient of %s", p->name);
        judge(tally, d, what, p->count, s->gradient[0] + p->offset, w->g, tensor_terms(w), w->g_floor);
        record_tensor(record, "gradient", p->name, w, s->gradient[0] + p->offset, tensor_terms(w), w->g_floor);
    }
}

static void record_start(Record *record, const Draw *d, const Subject *s) {
    record_draw(record, d, s->offset[d->sequences]);
    if (d->vocabulary) record_ids(record, "ids", s->ids, s->offset[d->sequences]);
    else record_reals(record, "reals", s->x, s->offset[d->sequences], d->features);
    if (d->targets) record_ids(record, "target", s->target_ids, s->target_offset[d->sequences]);
    if (d->context) record_reals(record, "context", s->context, d->sequences, d->context);
    for (size_t i = 0; i < model_params(s->model); i++) record_param(record, model_param(s->model, i));
}

/* ---- one draw -------------------------------------------------------------------------------------------------- */

/* Every key must take two values at least: a new one needs a place in its kind's rule. */
static void note_keys(Tally *tally, const LayerSpec *spec) {
    static const size_t bytes[] = {
        [KEY_BOOL] = sizeof(bool),   [KEY_SIZE] = sizeof(size_t), [KEY_INT] = sizeof(int64_t),
        [KEY_REAL] = sizeof(double), [KEY_CHOICE] = sizeof(int),  [KEY_PAIR] = 16};
    for (size_t k = 0; spec->type->keys[k].name && k < KEYS; k++) {
        const Key *key = &spec->type->keys[k];
        const char *at = (const char *)spec->config + key->offset;
        const bool listed = key->type < sizeof bytes / sizeof *bytes && bytes[key->type] > 0;
        const bool null = key->type == KEY_STRING && !*(const char *const *)at;
        unsigned char value[16] = {0};
        memcpy(value, listed ? at : (const char *)&null, listed ? bytes[key->type] : sizeof null);
        if (tally->set[k] && memcmp(value, tally->first[k], sizeof value) != 0) tally->varied[k] = true;
        memcpy(tally->first[k], value, sizeof value);
        tally->set[k] = true;
    }
}

static bool run_draw(Draw *d, Tally *tally, Record *record) {
    Subject s;
    Reference evaluated, trained;
    bool again = true;
    for (size_t n = 0; again; n++) {
        const Status status = subject_run(&s, d);
        if (status != OK) {
            fprintf(stderr, "FAILED: kind %s, draw %zu: %s\n  model: [%s]\n", d->kind, d->number, status_message(),
                    d->layers);
            subject_free(&s);
            return false;
        }
        if (!refer(&trained, &s, d, true) || (d->drops && !refer(&evaluated, &s, d, false))) return false;
        differentiate(&trained, &s);
        again = n < REDRAWS && (tape_on_a_kink(trained.tape) || by_chance(&trained, &s) ||
                                (d->drops && (tape_on_a_kink(evaluated.tape) || by_chance(&evaluated, &s))));
        if (!again) break;
        if (d->drops) tape_destroy(&evaluated.tape);
        tape_destroy(&trained.tape);
        subject_free(&s);
        d->numbers += 1000;
    }
    note_keys(tally, &s.config->layer[s.config->layers - 1]);
    record_start(record, d, &s);
    judge_outputs(tally, d, &s, d->drops ? &evaluated : &trained, record);
    judge_loss(tally, d, &s, &trained);
    judge_gradients(tally, d, &s, &trained, record);
    record_end(record);
    if (d->drops) tape_destroy(&evaluated.tape);
    tape_destroy(&trained.tape);
    subject_free(&s);
    return true;
}

static size_t run_kind(const LayerType *type, const Options *options, Record *record) {
    Tally tally = {0};
    for (size_t n = 0; n < options->draws; n++) {
        Draw draw;
        if (options->only != SIZE_MAX && n != options->only) continue;
        if (!draw_make(&draw, type->kind, n, options->seed)) {
            fprintf(stderr, "FAILED: kind %s has no rule; add one to draw.c\n", type->kind);
            return 1;
        }
        if (!run_draw(&draw, &tally, record)) return tally.failed + 1;
    }
    for (size_t k = 0; options->only == SIZE_MAX && options->draws >= 20 && type->keys[k].name; k++) {
        if (k < KEYS && tally.varied[k]) continue;
        fprintf(stderr, "FAILED: kind %s: all draws have the same %s; vary it in draw.c\n", type->kind,
                type->keys[k].name);
        tally.failed++;
    }
    printf("%-22s %6zu tensors, K up to %6zu, worst %.3f of the limit (%s)%s\n", type->kind, tally.compared,
           tally.most_terms, tally.worst, tally.where, tally.failed ? "  FAILED" : "");
    return tally.failed;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

static size_t number(const char *text) {
    char *end;
    errno = 0;
    const unsigned long long n = strtoull(text, &end, 10);
    if (errno || end == text || *end) {
        fprintf(stderr, "test_property: '%s' is no number\n", text);
        exit(2);
    }
    return (size_t)n;
}

static Options options_of(int argc, char **argv) {
    Options o = {.seed = 1, .draws = 100, .only = SIZE_MAX};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--seed") == 0) o.seed = number(argv[i + 1]);
        else if (strcmp(argv[i], "--draws") == 0) o.draws = number(argv[i + 1]);
        else if (strcmp(argv[i], "--kind") == 0) o.kind = argv[i + 1];
        else if (strcmp(argv[i], "--draw") == 0) o.only = number(argv[i + 1]);
        else if (strcmp(argv[i], "--write") == 0) o.stem = argv[i + 1];
        else argc = 0;
    }
    if (argc % 2 == 0) {
        fprintf(stderr, "usage: test_property [--seed S] [--draws N] [--kind K] [--draw NUMBER] [--write STEM]\n");
        exit(2);
    }
    if (o.only != SIZE_MAX && o.only >= o.draws) o.draws = o.only + 1;
    return o;
}

int main(int argc, char **argv) {
    const Options options = options_of(argc, argv);
    Record record;
    if (ops_start(2) != OK || !record_open(&record, options.stem)) return 2;
    size_t failed = 0, kinds = 0;
    for (const LayerType *const *type = layer_types(); *type; type++) {
        if (options.kind && strcmp(options.kind, (*type)->kind) != 0) continue;
        failed += run_kind(*type, &options, &record);
        kinds++;
    }
    ops_stop();
    if (!record_close(&record) || kinds == 0) return 2;
    printf("%zu kinds, %zu draws each, seed %zu: %zu failures\n", kinds, options.draws, options.seed, failed);
    return failed ? 1 : 0;
}
