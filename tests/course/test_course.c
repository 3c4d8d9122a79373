/* SPDX-License-Identifier: MIT
 *
 * test_course.c: CONFIG REFERENCE LOCKSTEP TREE [RANKS]. Trains a config of the course from PyTorch's initial
 * weights and finds what PyTorch found (make_course.py): the losses of all steps within 1e-4 of it, every
 * final weight within 1e-3 of its tensor's largest, the same strings and classes predicted, values within
 * 1e-3. All of it through the program, from the top of the tree. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/golden/golden_file.h"

enum { ARGUMENTS = 64, COLUMNS = 16 };
static const double loss_tolerance = 1e-4, weight_tolerance = 1e-3, value_tolerance = 1e-3;
static const char *config_path, *reference, *program, *ranks;

typedef struct Arguments {
    const char *item[ARGUMENTS + 1];
    size_t count;
} Arguments;

static void add(Arguments *a, const char *item) {
    assert_true(a->count < ARGUMENTS);
    a->item[a->count++] = item;
}

/* The lines of a text, which is changed. */
static void add_lines(Arguments *a, char *lines) {
    for (char *line; (line = strsep(&lines, "\n"));) add(a, line);
}

static void add_program(Arguments *a, const char *command) {
    if (ranks) {
        add(a, "mpirun");
        add(a, "-n");
        add(a, ranks);
    }
    add(a, program);
    add(a, command);
}

static void train(const char *dir) {
    Arguments a = {.count = 0};
    char run[128], init[4200], *overrides = golden_text("overrides");
    snprintf(run, sizeof run, "run.dir='%s/run'", dir);
    snprintf(init, sizeof init, "run.init_from='%s'", reference);
    add_program(&a, "train");
    add(&a, config_path);
    add(&a, run);
    add(&a, init);
    add_lines(&a, overrides);
    assert_int_equal(run_child(a.item, NULL), 0);
    free(overrides);
}

/* The file to predict on; the caller's. */
static char *prepare(const char *dir) {
    if (golden_has("/", "data")) return golden_text("data");
    Arguments a = {.count = 0};
    char *lines = golden_text("prepare"), *path;
    assert_true(asprintf(&path, "%s/data.h5", dir) > 0);
    add(&a, program);
    add(&a, "prepare");
    add_lines(&a, lines);
    add(&a, "-o");
    add(&a, path);
    assert_int_equal(run_child(a.item, NULL), 0);
    free(lines);
    return path;
}

/* ---- predictions ------------------------------------------------------------------------------------------- */

/* The cells of a line, which is changed; none of ours holds a quoted comma unless the whole line is equal. */
static size_t cut(char *line, char *cell[COLUMNS]) {
    size_t count = 0;
    for (char *word; (word = strsep(&line, ",")) && count < COLUMNS;) cell[count++] = word;
    return count;
}

static bool is_number(const char *text, double *out) {
    char *end;
    *out = strtod(text, &end);
    return end != text && *end == '\0' && strchr(text, '.');
}

/* Values are numbers with a point; anything else must be the same text. */
static double line_differs(char *got, char *want) {
    char *a[COLUMNS], *b[COLUMNS];
    double worst = 0, x, y;
    size_t count = cut(got, a);
    if (cut(want, b) != count) return INFINITY;
    for (size_t i = 0; i < count; i++) {
        if (strcmp(a[i], b[i]) == 0) continue;
        if (!is_number(a[i], &x) || !is_number(b[i], &y)) return INFINITY;
        worst = fmax(worst, fabs(x - y) / fmax(fabs(y), 1));
    }
    return worst;
}

static void compare_predictions(const char *path) {
    char *want = golden_text("golden/predicted"), *rest = want, *line, *golden_line, shown[256];
    FILE *in = fopen(path, "r");
    size_t lines = 0, room = 0;
    double worst = 0;
    assert_non_null(in);
    line = NULL;
    for (; (golden_line = strsep(&rest, "\n")) && (rest || *golden_line); lines++) {
        if (getline(&line, &room, in) <= 0) fail_msg("%s: ends after %zu lines", path, lines);
        line[strcspn(line, "\n")] = '\0';
        snprintf(shown, sizeof shown, "line %zu: '%s', PyTorch says '%s'", lines + 1, line, golden_line);
        double difference = line_differs(line, golden_line);
        if (!(difference <= value_tolerance)) fail_msg("%s", shown);
        worst = fmax(worst, difference);
    }
    fclose(in);
    free(line);
    free(want);
    assert_true(lines > 1);
    print_message("             %zu lines of predictions: worst %.1e\n", lines, worst);
}

static void predict(const char *dir, const char *data) {
    Arguments a = {.count = 0};
    char checkpoint[128], out[128];
    snprintf(checkpoint, sizeof checkpoint, "%s/run/checkpoints/last.h5", dir);
    snprintf(out, sizeof out, "%s/predicted.csv", dir);
    add_program(&a, "predict");
    add(&a, checkpoint);
    add(&a, "--data");
    add(&a, data);
    assert_int_equal(run_child(a.item, out), 0);
    compare_predictions(out);
}

/* ---- the test ---------------------------------------------------------------------------------------------- */

static void test_config(void **state) {
    (void)state;
    char dir[64];
    scratch_make(dir);
    train(dir);

    Tensor losses = golden_read("golden/losses");
    worst_reset();
    const char *digest = compare_checkpoint(dir, losses.count, weight_tolerance);
    char *golden_digest = golden_text("data_digest");
    if (strcmp(digest, golden_digest) != 0)
        fail_msg("data_digest %s, PyTorch's numbers are of %s: make_course.py makes them again", digest, golden_digest);
    worst_report("final weights", weight_tolerance);
    free(golden_digest);
    free(losses.v);
    worst_reset();
    compare_column(dir, "loss", "losses", true, loss_tolerance);
    worst_report("losses of all steps", loss_tolerance);

    char *data = prepare(dir);
    predict(dir, data);
    free(data);
    scratch_remove(dir);
}

int main(int argc, char **argv) {
    if (argc < 5 || argc > 6) {
        fprintf(stderr, "usage: test_course CONFIG REFERENCE LOCKSTEP TREE [RANKS]\n");
        return 2;
    }
    config_path = argv[1];
    reference = argv[2];
    program = argv[3];
    ranks = argc == 6 ? argv[5] : NULL;
    if (chdir(argv[4]) != 0) {
        perror(argv[4]);
        return 2;
    }
    golden_open(reference);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_config)};
    return cmocka_run_group_tests_name(config_path, tests, NULL, NULL);
}
