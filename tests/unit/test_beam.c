/* SPDX-License-Identifier: MIT
 *
 * test_beam.c: beam search against all sequences, against the greedy choice, and against a plain beam search
 * without heap and without stopping early, on random probabilities that depend on the whole beginning. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <xxhash.h>

#include "trainer/beam.h"

enum { MOST_SYMBOLS = 4, MOST_LENGTH = 6, MOST_BEAMS = 20000 };

/* log p of every continuation of a beginning; steep now and then, sometimes impossible or equal. */
static void table(uint64_t seed, const int32_t *beginning, size_t length, size_t symbols, double *out) {
    uint64_t hash = XXH3_64bits_withSeed(beginning, length * sizeof *beginning, seed);
    double sum = 0;
    for (size_t s = 0; s <= symbols; s++) {
        uint64_t bits = XXH3_64bits_withSeed(&s, sizeof s, hash);
        double x = (double)(bits % 8) * (double)(hash % 3 + 1) * 0.5; /* few values: ties are common */
        out[s] = bits % 23 == 0 && s < symbols ? 0 : exp(x - 3);
        sum += out[s];
    }
    for (size_t s = 0; s <= symbols; s++) out[s] = log(out[s] / sum);
}

typedef struct Search {
    uint64_t seed;
    BeamConfig config;
    size_t most;
} Search;

/* Every beginning is one of those before the step, and a symbol more. */
static void check_parents(const Beam *beam, const int32_t *old, size_t room, size_t live) {
    const size_t length = beam_length(beam) - 1;
    for (size_t i = 0; i < beam_live(beam); i++) {
        assert_true(beam_parent(beam, i) < live);
        if (length > 0)
            assert_memory_equal(beam_beginning(beam, i), old + beam_parent(beam, i) * room, length * sizeof *old);
    }
}

static void run(const Search *search, int32_t *out, BeamResult *result) {
    Beam *beam = NULL;
    assert_int_equal(beam_create(&search->config, search->most, &beam), OK);
    size_t classes = search->config.symbols + 1;
    double *log_p = calloc(search->config.beams * classes, sizeof *log_p);
    int32_t *old = calloc(search->config.beams * search->most, sizeof *old);
    beam_start(beam, search->most);
    while (beam_live(beam) > 0) {
        const size_t live = beam_live(beam);
        memcpy(old, beam_beginning(beam, 0), live * search->most * sizeof *old);
        assert_true(beam_live(beam) <= search->config.beams && beam_length(beam) < search->most);
        for (size_t i = 0; i < beam_live(beam); i++)
            table(search->seed, beam_beginning(beam, i), beam_length(beam), search->config.symbols,
                  log_p + i * classes);
        beam_step(beam, log_p);
        check_parents(beam, old, search->most, live);
    }
    free(old);
    *result = beam_result(beam);
    memcpy(out, result->symbol, result->count * sizeof *out);
    result->symbol = out;
    free(log_p);
    beam_destroy(&beam);
}

static double score(const Search *s, double log_p, size_t n) {
    return log_p / pow((double)n, s->config.length_penalty);
}

/* The best score below a beginning, by looking at everything. */
static double optimum(const Search *s, int32_t *beginning, size_t length, double log_p) {
    double p[MOST_SYMBOLS + 1], best = score(s, log_p, length ? length : 1);
    if (length == s->most) return best;
    table(s->seed, beginning, length, s->config.symbols, p);
    best = score(s, log_p + p[s->config.symbols], length + 1);
    for (size_t symbol = 0; symbol < s->config.symbols; symbol++) {
        beginning[length] = (int32_t)symbol;
        double below = optimum(s, beginning, length + 1, log_p + p[symbol]);
        if (below > best) best = below;
    }
    return best;
}

/* The result's numbers are those of its symbols. */
static void consistent(const Search *s, const BeamResult *r) {
    double log_p = 0, p[MOST_SYMBOLS + 1];
    for (size_t t = 0; t < r->count; t++) {
        table(s->seed, r->symbol, t, s->config.symbols, p);
        log_p += p[r->symbol[t]];
    }
    table(s->seed, r->symbol, r->count, s->config.symbols, p);
    if (r->ended) log_p += p[s->config.symbols];
    else assert_int_equal(r->count, s->most);
    assert_true(fabs(log_p - r->log_probability) < 1e-9);
    assert_true(fabs(score(s, log_p, r->count + r->ended) - r->score) < 1e-9);
}

static const double penalties[] = {0, 0.6, 1, 2, -1};

static void wide_beams_find_the_optimum(void **state) {
    (void)state;
    int32_t beginning[MOST_LENGTH + 1], symbol[MOST_LENGTH + 1];
    for (size_t symbols = 1; symbols <= MOST_SYMBOLS; symbols++) {
        for (size_t most = 1; most <= (symbols > 2 ? 4 : MOST_LENGTH); most++) {
            size_t all = 1;
            for (size_t t = 0; t < most; t++) all *= symbols + 1;
            for (uint64_t seed = 0; seed < 20; seed++) {
                Search s = {seed, {all, symbols, penalties[seed % 5]}, most};
                BeamResult r;
                run(&s, symbol, &r);
                consistent(&s, &r);
                assert_true(fabs(r.score - optimum(&s, beginning, 0, 0)) < 1e-9);
            }
        }
    }
}

static void one_beam_is_greedy(void **state) {
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        size_t symbols = 1 + seed % MOST_SYMBOLS, most = 1 + seed % 7 % MOST_LENGTH, length = 0;
        int32_t greedy[MOST_LENGTH + 1], symbol[MOST_LENGTH + 1];
        bool ended = false;
        while (length < most && !ended) {
            double p[MOST_SYMBOLS + 1];
            table(seed, greedy, length, symbols, p);
            size_t best = 0;
            for (size_t c = 1; c <= symbols; c++)
                if (p[c] > p[best]) best = c;
            ended = best == symbols;
            if (!ended) greedy[length++] = (int32_t)best;
        }
        Search s = {seed, {1, symbols, penalties[seed % 5]}, most};
        BeamResult r;
        run(&s, symbol, &r);
        consistent(&s, &r);
        assert_int_equal(r.count, length);
        assert_int_equal(r.ended, ended);
        assert_memory_equal(symbol, greedy, length * sizeof *greedy);
    }
}

/* ---- the plain search -------------------------------------------------------------------------------- */

typedef struct Plain {
    int32_t symbol[MOST_LENGTH + 1];
    size_t count;
    double log_p;
    size_t order; /* among the continuations of a step */
} Plain;

static int by_probability(const void *a, const void *b) {
    const Plain *x = a, *y = b;
    if (x->log_p != y->log_p) return x->log_p > y->log_p ? -1 : 1;
    return x->order < y->order ? -1 : 1;
}

static double plain(const Search *s, Plain *winner) {
    enum { ROOM = 64 * (MOST_SYMBOLS + 1) };
    static Plain live[64], next[ROOM];
    size_t lives = 1, symbols = s->config.symbols;
    double best = -INFINITY;
    live[0] = (Plain){.count = 0};
    for (size_t length = 1; length <= s->most && lives > 0; length++) {
        size_t count = 0, k = 0;
        for (size_t i = 0; i < lives; i++) {
            double p[MOST_SYMBOLS + 1];
            table(s->seed, live[i].symbol, length - 1, symbols, p);
            for (size_t c = 0; c <= symbols; c++) {
                if (p[c] == -INFINITY) continue;
                next[count] = live[i];
                next[count].symbol[length - 1] = (int32_t)c;
                next[count].count = length;
                next[count].order = count;
                next[count++].log_p += p[c];
            }
        }
        qsort(next, count, sizeof *next, by_probability);
        for (size_t i = 0; i < count && i < s->config.beams; i++) {
            bool ends = next[i].symbol[length - 1] == (int32_t)symbols;
            if (!ends && length < s->most) {
                live[k++] = next[i];
                continue;
            }
            double value = score(s, next[i].log_p, length);
            if (!(value > best)) continue;
            best = value;
            *winner = next[i];
            winner->count = length - ends;
        }
        lives = k;
    }
    return best;
}

static void every_width_is_the_plain_search(void **state) {
    (void)state;
    size_t below = 0;
    for (uint64_t seed = 0; seed < 2000; seed++) {
        Search s = {seed, {1 + seed % 9, 1 + seed % MOST_SYMBOLS, penalties[seed % 5]}, 1 + seed % 11 % MOST_LENGTH};
        int32_t symbol[MOST_LENGTH + 1], beginning[MOST_LENGTH + 1];
        BeamResult r;
        Plain winner;
        run(&s, symbol, &r);
        consistent(&s, &r);
        double best = plain(&s, &winner);
        assert_true(fabs(best - r.score) < 1e-9);
        assert_int_equal(winner.count, r.count);
        assert_memory_equal(winner.symbol, symbol, r.count * sizeof *symbol);
        double most = optimum(&s, beginning, 0, 0);
        assert_true(r.score <= most + 1e-9);
        below += r.score < most - 1e-9;
    }
    assert_in_range(below, 50, 1500); /* the tables are hard enough for narrow beams to miss the optimum */
}

static void impossible_symbols(void **state) {
    (void)state;
    BeamConfig config = {3, 2, 1};
    Beam *beam = NULL;
    assert_int_equal(beam_create(&config, 4, &beam), OK);
    beam_start(beam, 4);
    beam_step(beam, (double[]){-INFINITY, 0, (double)NAN});
    assert_int_equal(beam_live(beam), 1);
    assert_int_equal(beam_beginning(beam, 0)[0], 1);
    beam_step(beam, (double[]){-INFINITY, -INFINITY, -0.5});
    assert_int_equal(beam_live(beam), 0);
    BeamResult r = beam_result(beam);
    assert_true(r.ended && r.count == 1 && r.log_probability == -0.5 && r.score == -0.25);
    /* Nothing possible: no result, and no end without one either. */
    beam_start(beam, 4);
    beam_step(beam, (double[]){-INFINITY, -INFINITY, -INFINITY});
    assert_int_equal(beam_live(beam), 0);
    assert_int_equal(beam_result(beam).count, 0);
    beam_destroy(&beam);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_beams_find_the_optimum),
        cmocka_unit_test(one_beam_is_greedy),
        cmocka_unit_test(every_width_is_the_plain_search),
        cmocka_unit_test(impossible_symbols),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
