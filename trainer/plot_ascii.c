/* SPDX-License-Identifier: MIT
 *
 * plot_ascii.c: points in a field of characters. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "trainer/plot.h"

enum { WIDTH = 72, HEIGHT = 20 };

typedef struct Field {
    char cell[HEIGHT][WIDTH + 1];
    double left, right, bottom, top;
} Field;

static void widen(Field *f, const Curve *curve) {
    for (size_t i = 0; i < curve->points; i++) {
        f->left = fmin(f->left, curve->step[i]);
        f->right = fmax(f->right, curve->step[i]);
        f->bottom = fmin(f->bottom, curve->loss[i]);
        f->top = fmax(f->top, curve->loss[i]);
    }
}

static size_t place(double value, double low, double high, size_t cells) {
    if (!(high > low)) return 0;
    /* Halves first: the difference of two finite numbers may not be finite. */
    double share = (value / 2 - low / 2) / (high / 2 - low / 2);
    return (size_t)lround(share * (double)(cells - 1));
}

static void draw(Field *f, const Curve *curve, char mark) {
    for (size_t i = 0; i < curve->points; i++) {
        size_t column = place(curve->step[i], f->left, f->right, WIDTH);
        size_t row = HEIGHT - 1 - place(curve->loss[i], f->bottom, f->top, HEIGHT);
        f->cell[row][column] = mark;
    }
}

static void print(const Field *f) {
    printf("loss\n");
    for (size_t row = 0; row < HEIGHT; row++) {
        char label[16] = "";
        double value = f->top - (f->top - f->bottom) * (double)row / (HEIGHT - 1);
        if (row % 5 == 0 || row == HEIGHT - 1) snprintf(label, sizeof label, "%.4g", value);
        size_t end = WIDTH;
        while (end > 0 && f->cell[row][end - 1] == ' ') end--;
        printf("%10s |%.*s\n", label, (int)end, f->cell[row]);
    }
    printf("%10s +", "");
    for (size_t i = 0; i < WIDTH; i++) putchar('-');
    printf("\n%10s  %-*.0f%.0f  step\n", "", WIDTH - 8, f->left, f->right);
}

void plot_ascii(const PlotRun *run, size_t runs) {
    Field f = {.left = INFINITY, .right = -INFINITY, .bottom = INFINITY, .top = -INFINITY};
    memset(f.cell, ' ', sizeof f.cell);
    for (size_t i = 0; i < runs; i++) {
        widen(&f, &run[i].curves.train);
        widen(&f, &run[i].curves.validation);
    }
    for (size_t i = 0; i < runs; i++) draw(&f, &run[i].curves.train, (char)('a' + i));
    for (size_t i = 0; i < runs; i++) draw(&f, &run[i].curves.validation, (char)('A' + i));
    print(&f);
    for (size_t i = 0; i < runs; i++) {
        printf("%c training", (char)('a' + i));
        if (run[i].curves.validation.points) printf(", %c validation", (char)('A' + i));
        printf("  %s\n", run[i].name);
    }
}
