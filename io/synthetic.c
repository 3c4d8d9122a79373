/* SPDX-License-Identifier: MIT
 *
 * synthetic.c: the tasks. What is drawn is a hash of seed, task, sequence and place. */
#include <math.h>
#include <string.h>

#include "io/synthetic_parts.h"

enum { COPY, REVERSE, PARITY, ADDING, MAJORITY, SINE, DATES, REVERSE_TEXT, NUMBER_WORDS, CAPTION };
enum { COPY_DELAY = 3, SYMBOLS = 8, GROUPS = 5, PLACES = 3, OBJECTS = 3, CAPTION_END = 1 + PLACES * OBJECTS };

const SyntheticTask synthetic_tasks[SYNTHETIC_TASKS] = {
    [COPY] = {"copy", true, true, TARGET_CLASSES, 20, 20, SYMBOLS + 1, 0, SYMBOLS + 1, NULL, NULL, 0},
    [REVERSE] = {"reverse", true, true, TARGET_CLASSES, 12, 12, SYMBOLS + 1, 0, SYMBOLS + 1, NULL, NULL, 0},
    [PARITY] = {"parity", true, true, TARGET_CLASSES, 16, 16, 2, 0, 2, NULL, NULL, 0},
    [ADDING] = {"adding", false, false, TARGET_VALUES, 20, 20, 0, 2, 1, NULL, NULL, 0},
    [MAJORITY] = {"majority", true, false, TARGET_CLASSES, 25, 5, 10, 0, GROUPS, NULL, NULL, 0},
    [SINE] = {"sine", false, false, TARGET_VALUES, 24, 24, 0, 1, 1, NULL, NULL, 0},
    [DATES] = TEXT_TASK("dates", DATE_CHARACTERS, DATE_TARGET_CHARACTERS),
    [REVERSE_TEXT] = TEXT_TASK("reverse_text", LETTERS, LETTERS),
    [NUMBER_WORDS] = TEXT_TASK("number_words", NUMBER_CHARACTERS, DIGITS),
    [CAPTION] = {"caption", true, true, TARGET_CLASSES, PLACES *OBJECTS + 1, PLACES + 1, CAPTION_END + 1, 0,
                 CAPTION_END + 1, NULL, NULL, PLACES *OBJECTS},
};

int synthetic_task(const char *name) {
    for (int i = 0; i < SYNTHETIC_TASKS; i++)
        if (strcmp(synthetic_tasks[i].name, name) == 0) return i;
    return -1;
}

/* In [0, 1), a multiple of 2^-24: the same float everywhere. */
static float uniform(Dice *dice) {
    return (float)(dice_draw(dice) >> 40) * 0x1p-24F;
}

static void make_copy(Dice *dice, SyntheticSequence *s) {
    for (size_t t = 0; t < s->length; t++) {
        s->ids[t] = (int64_t)(1 + dice_below(dice, SYMBOLS));
        s->classes[t] = t < COPY_DELAY ? 0 : s->ids[t - COPY_DELAY];
    }
}

static void make_reverse(Dice *dice, SyntheticSequence *s) {
    size_t half = s->length / 2;
    for (size_t t = 0; t < half; t++) s->ids[t] = (int64_t)(1 + dice_below(dice, SYMBOLS));
    for (size_t t = half; t < s->length; t++) s->classes[t] = s->ids[s->length - 1 - t];
}

static void make_parity(Dice *dice, SyntheticSequence *s) {
    int64_t odd = 0;
    for (size_t t = 0; t < s->length; t++) {
        s->ids[t] = (int64_t)dice_below(dice, 2);
        odd ^= s->ids[t];
        s->classes[t] = odd;
    }
}

static void make_adding(Dice *dice, SyntheticSequence *s) {
    for (size_t t = 0; t < s->length; t++) s->x[2 * t] = uniform(dice);
    size_t half = s->length / 2, first = dice_below(dice, half), second = half + dice_below(dice, half);
    s->x[2 * first + 1] = s->x[2 * second + 1] = 1;
    s->value = s->x[2 * first] + s->x[2 * second];
}

/* Half of the symbols are of one group, so that ties are rare; the lowest group wins them. */
static void make_majority(Dice *dice, SyntheticSequence *s) {
    size_t count[GROUPS] = {0}, favourite = dice_below(dice, GROUPS), best = 0;
    for (size_t t = 0; t < s->length; t++) {
        size_t group = dice_below(dice, 2) ? favourite : dice_below(dice, GROUPS);
        s->ids[t] = (int64_t)(group + GROUPS * dice_below(dice, 2));
        count[group]++;
    }
    for (size_t g = 1; g < GROUPS; g++)
        if (count[g] > count[best]) best = g;
    s->classes[0] = (int64_t)best;
}

static void make_sine(Dice *dice, SyntheticSequence *s) {
    double frequency = 0.2 + 0.6 * (double)uniform(dice), phase = 6.283185307179586 * (double)uniform(dice);
    for (size_t t = 0; t < s->length; t++) s->x[t] = (float)sin(phase + frequency * (double)t);
    s->value = (float)sin(phase + frequency * (double)s->length);
}

/* One object in each place of a picture is bright; the caption names them, place after place, object k with k + 1
 * words. Input is the word before: 0 at the beginning. */
static void make_caption(Dice *dice, SyntheticSequence *s) {
    size_t t = 0;
    for (size_t p = 0; p < PLACES; p++) {
        size_t bright = dice_below(dice, OBJECTS);
        for (size_t k = 0; k < OBJECTS; k++)
            s->context[p * OBJECTS + k] = 0.25F * uniform(dice) + (k == bright ? 0.75F : 0);
        for (size_t n = 0; n <= bright; n++) s->classes[t++] = (int64_t)(1 + p * OBJECTS + bright);
    }
    s->classes[t++] = CAPTION_END;
    for (size_t i = 1; i < t; i++) s->ids[i] = s->classes[i - 1];
    s->length = s->targets = t;
}

void synthetic_make(int task, uint64_t seed, uint64_t sequence, SyntheticSequence *out) {
    static void (*const make[SYNTHETIC_TASKS])(Dice *, SyntheticSequence *) = {
        [COPY] = make_copy,       [REVERSE] = make_reverse,           [PARITY] = make_parity,
        [ADDING] = make_adding,   [MAJORITY] = make_majority,         [SINE] = make_sine,
        [DATES] = synthetic_date, [REVERSE_TEXT] = synthetic_reverse, [NUMBER_WORDS] = synthetic_number,
        [CAPTION] = make_caption};
    const SyntheticTask *t = &synthetic_tasks[task];
    Dice dice = {seed, {(uint64_t)task, sequence, 0}};
    *out = (SyntheticSequence){.length = t->steps};
    if (t->alphabet) return make[task](&dice, out);
    if (t->least_steps < t->steps) out->length = t->least_steps + dice_below(&dice, t->steps - t->least_steps + 1);
    make[task](&dice, out);
    out->targets = t->per_step ? out->length : 1;
}
