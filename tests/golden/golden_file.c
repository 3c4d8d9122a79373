/* SPDX-License-Identifier: MIT
 *
 * golden_file.c: see golden_file.h. */
#include "tests/golden/golden_file.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <hdf5.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "io/checkpoint.h"

static const char *file_path;

void golden_open(const char *path) {
    file_path = path;
}

void must(Status status, const char *what) {
    if (status != OK) fail_msg("%s: exit code %d: %s", what, (int)status, status_message());
}

/* ---- the golden file --------------------------------------------------------------------------------------- */

static hid_t open_golden(void) {
    hid_t file = H5Fopen(file_path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) fail_msg("%s: cannot be opened", file_path);
    return file;
}

bool golden_has(const char *group, const char *name) {
    hid_t file = open_golden(), g = H5Gopen2(file, group, H5P_DEFAULT);
    bool has = g >= 0 && H5Lexists(g, name, H5P_DEFAULT) > 0;
    if (g >= 0) H5Gclose(g);
    H5Fclose(file);
    return has;
}

Tensor golden_read(const char *format, ...) {
    char path[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(path, sizeof path, format, arguments);
    va_end(arguments);
    hid_t file = open_golden(), set = H5Dopen2(file, path, H5P_DEFAULT);
    if (set < 0) fail_msg("%s: no %s", file_path, path);
    hid_t space = H5Dget_space(set);
    Tensor t = {.count = (size_t)H5Sget_simple_extent_npoints(space)};
    t.v = calloc(t.count, sizeof *t.v);
    assert_non_null(t.v);
    assert_true(H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, t.v) >= 0);
    H5Sclose(space);
    H5Dclose(set);
    H5Fclose(file);
    return t;
}

char *golden_text(const char *name) {
    hid_t file = open_golden(), set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) fail_msg("%s: no %s", file_path, name);
    hid_t type = H5Dget_type(set);
    char *text = NULL, *copy;
    assert_true(H5Tis_variable_str(type) > 0);
    assert_true(H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, &text) >= 0);
    copy = strdup(text);
    H5free_memory(text);
    H5Tclose(type);
    H5Dclose(set);
    H5Fclose(file);
    assert_non_null(copy);
    return copy;
}

/* ---- comparison ----------------------------------------------------------------------------------------------- */

static double worst;
static char worst_name[256];

void worst_reset(void) {
    worst = 0;
    worst_name[0] = '\0';
}

static void note(const char *name, double relative, double tolerance) {
    if (!(relative <= worst)) {
        worst = relative;
        snprintf(worst_name, sizeof worst_name, "%s", name);
    }
    if (!(relative <= tolerance)) print_error("%s: differs from PyTorch's by %.2e, relative\n", name, relative);
}

static void same_count(const char *name, size_t count, size_t want) {
    if (count != want) fail_msg("%s: %zu elements, PyTorch has %zu", name, count, want);
}

void compare(const char *name, const float *got, size_t count, Tensor want, double tolerance) {
    double largest = 0, difference = 0;
    same_count(name, count, want.count);
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - want.v[i]);
        if (!(d <= difference)) difference = d; /* a NaN stays */
        largest = fmax(largest, fabs(want.v[i]));
    }
    note(name, difference / (largest > 0 ? largest : 1), tolerance);
    free(want.v);
}

static void compare_each(const char *name, const double *got, size_t count, Tensor want, double tolerance) {
    same_count(name, count, want.count);
    double largest = 0;
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        double relative = fabs(got[i] - want.v[i]) / fabs(want.v[i]);
        if (!(relative <= largest)) largest = relative, at = i;
    }
    char where[64];
    snprintf(where, sizeof where, "%s[%zu]", name, at);
    note(where, largest, tolerance);
    free(want.v);
}

void worst_report(const char *what, double tolerance) {
    print_message("             %s: worst %.1e (%s)\n", what, worst, worst_name);
    if (!(worst <= tolerance)) fail_msg("%s: %s differs by %.2e, more than %.0e", what, worst_name, worst, tolerance);
}

/* ---- a run ------------------------------------------------------------------------------------------------ */

int run_child(const char *const *argv, const char *out) {
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        int to = out ? open(out, O_CREAT | O_TRUNC | O_WRONLY, 0600) : STDOUT_FILENO;
        if (to < 0 || dup2(to, STDOUT_FILENO) < 0) _exit(127);
        execvp(argv[0], (char *const *)(uintptr_t)argv);
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) fail_msg("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void scratch_make(char *name) {
    snprintf(name, 64, "/tmp/lockstep-golden-XXXXXX");
    if (!mkdtemp(name)) fail_msg("%s: %s", name, strerror(errno));
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info, (void)type, (void)place;
    return remove(path);
}

void scratch_remove(const char *name) {
    assert_int_equal(nftw(name, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
}

void compare_column(const char *dir, const char *column, const char *golden, bool each, double tolerance) {
    char path[4200], line[1024];
    snprintf(path, sizeof path, "%s/run/metrics.csv", dir);
    FILE *csv = fopen(path, "r");
    if (!csv) fail_msg("%s: %s", path, strerror(errno));
    assert_non_null(fgets(line, sizeof line, csv));
    line[strcspn(line, "\n")] = '\0';
    size_t wanted = 0, split = 0, index = 0, count = 0;
    bool found = false;
    char *rest = line;
    for (char *word; (word = strsep(&rest, ",")); index++) {
        if (strcmp(word, column) == 0) wanted = index, found = true;
        if (strcmp(word, "split") == 0) split = index;
    }
    if (!found) fail_msg("%s: no column %s", path, column);
    Tensor want = golden_read("golden/%s", golden);
    double *got = calloc(want.count, sizeof *got);
    float *single = calloc(want.count, sizeof *single);
    assert_true(got && single);
    while (fgets(line, sizeof line, csv)) {
        rest = line;
        const char *value = NULL;
        bool train = false;
        index = 0;
        for (char *word; (word = strsep(&rest, ",")); index++) {
            if (index == wanted) value = word;
            if (index == split) train = strcmp(word, "train") == 0;
        }
        if (!train) continue;
        assert_true(count < want.count);
        assert_non_null(value);
        got[count] = strtod(value, NULL);
        single[count] = (float)got[count];
        count++;
    }
    fclose(csv);
    if (each) compare_each(column, got, count, want, tolerance);
    else compare(column, single, count, want, tolerance);
    free(single);
    free(got);
}

const char *compare_checkpoint(const char *dir, uint64_t step, double tolerance) {
    static char digest[40];
    char *path, in_run[4200];
    snprintf(in_run, sizeof in_run, "%s/run", dir);
    must(checkpoint_path(in_run, step, &path), "checkpoint");
    CheckpointFile *file;
    must(checkpoint_open(path, &file), "checkpoint");
    assert_int_equal(checkpoint_meta(file)->step, step);
    const uint64_t *half = checkpoint_meta(file)->data_digest;
    snprintf(digest, sizeof digest, "%016llx%016llx", (unsigned long long)half[0], (unsigned long long)half[1]);
    size_t compared = 0;
    for (size_t i = 0; i < checkpoint_arrays(file); i++) {
        const NamedArray *a = checkpoint_array(file, i);
        if (strncmp(a->name, "model/", 6) != 0) continue;
        size_t count = 1;
        for (size_t d = 0; d < a->rank; d++) count *= a->dim[d];
        float *v = calloc(count, sizeof *v);
        assert_non_null(v);
        must(checkpoint_read(file, a->name, a->rank, a->dim, v), a->name);
        char name[300];
        snprintf(name, sizeof name, "final %s", a->name + 6);
        compare(name, v, count, golden_read("golden/final/%s", a->name + 6), tolerance);
        free(v);
        compared++;
    }
    assert_true(compared > 0);
    checkpoint_close(&file);
    free(path);
    return digest;
}
