/* SPDX-License-Identifier: MIT
 *
 * race_kann.c: training steps of an LSTM over one-hot ids in kann, timed. race_others.py compiles it in a copy of a
 * checkout of kann, as one of that one's examples.
 *
 *     program TOKENS VOCABULARY HIDDEN LAYERS SEQUENCES LENGTH STEPS THREADS
 *
 * TOKENS is a file of 16-bit ids. Prints "step LOSS SECONDS" for each step and "memory BYTES" at the end. kann has no
 * Adam: its RMSprop steps instead. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kann.h"
#include "race_timing.h"

typedef struct Text {
    const uint16_t *id;
    size_t count; /* of ids that have a next one */
} Text;

typedef struct Shape {
    int vocabulary, hidden, layers, sequences, length, steps, threads;
} Shape;

static int read_text(const char *path, Text *text) {
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) return 0;
    const size_t bytes = (size_t)ftell(file);
    uint16_t *id = malloc(bytes + 2);
    rewind(file);
    const int whole = id && bytes > 2 && fread(id, 1, bytes, file) == bytes;
    fclose(file);
    *text = (Text){id, bytes / 2 - 1};
    return whole;
}

static kann_t *network(const Shape *s) {
    kad_node_t *t = kann_layer_input(s->vocabulary);
    for (int l = 0; l < s->layers; l++) t = kann_layer_lstm(t, s->hidden, 0);
    return kann_new(kann_layer_cost(t, s->vocabulary, KANN_C_CEM), 0);
}

/* Sequence b is the b-th window of the text, the batch after it begins where this one ends. */
static void fill(const Shape *s, const Text *text, size_t step, float **x, float **y) {
    const size_t V = (size_t)s->vocabulary, B = (size_t)s->sequences, T = (size_t)s->length;
    const size_t batches = text->count / (B * T), first = step % batches * B * T;
    for (size_t t = 0; t < T; t++) {
        memset(x[t], 0, B * V * sizeof(float));
        memset(y[t], 0, B * V * sizeof(float));
        for (size_t b = 0; b < B; b++) {
            x[t][b * V + text->id[first + b * T + t]] = 1;
            y[t][b * V + text->id[first + b * T + t + 1]] = 1;
        }
    }
}

static float **rows(const Shape *s) {
    float **x = calloc((size_t)s->length, sizeof *x);
    for (int t = 0; x && t < s->length; t++) {
        x[t] = calloc((size_t)s->sequences * (size_t)s->vocabulary, sizeof(float));
        if (!x[t]) return NULL;
    }
    return x;
}

static int train(const Shape *s, const Text *text) {
    kann_t *net = network(s), *unrolled = kann_unroll(net, s->length);
    const int variables = kann_size_var(net);
    float **x = rows(s), **y = rows(s), *squares = calloc((size_t)variables, sizeof *squares);
    if (!x || !y || !squares) return 1;
    kann_set_batch_size(unrolled, s->sequences);
    kann_mt(unrolled, s->threads, s->sequences);
    kann_switch(unrolled, 1);
    kann_feed_bind(unrolled, KANN_F_IN, 0, x);
    kann_feed_bind(unrolled, KANN_F_TRUTH, 0, y);
    for (int step = 0; step < s->steps; step++) {
        const double since = now();
        fill(s, text, (size_t)step, x, y);
        const float loss = kann_cost(unrolled, 0, 1);
        kann_RMSprop(variables, 1e-3f, 0, 0.9f, unrolled->g, unrolled->x, squares);
        printf("step %.6f %.9f\n", (double)loss, now() - since);
    }
    print_memory();
    return 0;
}

int main(int argc, char **argv) {
    Text text;
    if (argc != 9 || !read_text(argv[1], &text)) return 2;
    const Shape s = {atoi(argv[2]), atoi(argv[3]), atoi(argv[4]), atoi(argv[5]),
                     atoi(argv[6]), atoi(argv[7]), atoi(argv[8])};
    if (text.count < (size_t)s.sequences * (size_t)s.length) return 2;
    kann_srand(1);
    return train(&s, &text);
}
