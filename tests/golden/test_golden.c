/* SPDX-License-Identifier: MIT
 *
 * test_golden.c: FILE LOCKSTEP [RANKS]. A golden file holds a small model, data and what PyTorch makes of them
 * (make_golden.py). In this process: output, loss and every gradient, cut into one shard and into three.
 * Through the program (with RANKS under mpirun, and then that alone): 20 steps of training, compared by
 * metrics.csv and the last checkpoint. A tensor differs by max |a - b| / max |b|, at most 1e-4; the worst
 * is printed. */
#include <errno.h>
#include <ftw.h>
#include <hdf5.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "trainer/session.h"

static const double tolerance = 1e-4;
static const char *file_path, *program, *ranks;
static Comm *comm;

/* ---- the golden file --------------------------------------------------------------------------------------- */

typedef struct Tensor {
    size_t count;
    double *v;
} Tensor;

static hid_t open_golden(void) {
    hid_t file = H5Fopen(file_path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (file < 0) fail_msg("%s: cannot be opened", file_path);
    return file;
}

static bool golden_has(const char *group, const char *name) {
    hid_t file = open_golden(), g = H5Gopen2(file, group, H5P_DEFAULT);
    bool has = g >= 0 && H5Lexists(g, name, H5P_DEFAULT) > 0;
    if (g >= 0) H5Gclose(g);
    H5Fclose(file);
    return has;
}

static Tensor golden_read(const char *format, ...) PRINTF_LIKE(1, 2);
static Tensor golden_read(const char *format, ...) {
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

static char *golden_config(void) {
    hid_t file = open_golden(), set = H5Dopen2(file, "config", H5P_DEFAULT), type = H5Dget_type(set);
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

static void worst_reset(void) {
    worst = 0;
    worst_name[0] = '\0';
}

/* Compares got[i] with the golden values and frees them. */
static void compare(const char *name, const float *got, size_t count, Tensor want) {
    double largest = 0, difference = 0;
    if (count != want.count) fail_msg("%s: %zu elements, PyTorch has %zu", name, count, want.count);
    for (size_t i = 0; i < count; i++) {
        double d = fabs((double)got[i] - want.v[i]);
        if (!(d <= difference)) difference = d; /* a NaN stays */
        largest = fmax(largest, fabs(want.v[i]));
    }
    double relative = difference / (largest > 0 ? largest : 1);
    if (!(relative <= worst)) {
        worst = relative;
        snprintf(worst_name, sizeof worst_name, "%s", name);
    }
    if (!(relative <= tolerance))
        print_error("%s: differs from PyTorch's by %.2e of its largest element\n", name, relative);
    free(want.v);
}

static void worst_report(const char *what) {
    print_message("             %s: worst %.1e (%s)\n", what, worst, worst_name);
    if (!(worst <= tolerance)) fail_msg("%s: %s differs by %.2e, more than %.0e", what, worst_name, worst, tolerance);
}

static void must(Status status, const char *what) {
    if (status != OK) fail_msg("%s: exit code %d: %s", what, (int)status, status_message());
}

/* ---- output, loss, gradients -------------------------------------------------------------------------------- */

static void compare_gradients(const Engine *e, double scale) {
    const FoldNode *node;
    size_t segments = reduce_segments(e->reduce, &node);
    for (size_t i = 0; i < model_params(e->model); i++) {
        const Param *p = model_param(e->model, i);
        char name[300];
        snprintf(name, sizeof name, "gradient of %s", p->name);
        if (p->same_as) p = p->same_as;
        assert_int_equal(golden_has("golden/gradient", p->name), !p->frozen);
        if (p->frozen) continue;
        float *sum = calloc(p->count, sizeof *sum);
        assert_non_null(sum);
        for (size_t s = 0; s < segments; s++) {
            const float *g = reduce_gradient(e->reduce, s) + p->offset;
            for (size_t k = 0; k < p->count; k++) sum[k] += (float)scale * g[k];
        }
        compare(name, sum, p->count, golden_read("golden/gradient/%s", model_param(e->model, i)->name));
        free(sum);
    }
}

static void check_passes(const Config *config, size_t shards) {
    Session session;
    must(session_open(comm, config, &session), "data");
    must(session_build(&session, shards), "model");
    must(session_init(&session), "initial weights");
    assert_int_equal(loader_batches(session.loader), 1);
    Model *model = session.engine->model;
    const Batch *batch = loader_load(session.loader, 0, 0, 0, shards);

    ShardResult *result = calloc(shards, sizeof *result);
    assert_non_null(result);
    model_train(model, batch, 1, 1, NULL, NULL, result);
    double sum = fold_doubles(&result->loss, shards, sizeof *result / sizeof(double));
    double targets = fold_doubles(&result->targets, shards, sizeof *result / sizeof(double));
    double scale = config->loss.reduction == REDUCTION_MEAN ? 1 / targets : 1;
    float loss = (float)(sum * scale);
    compare("loss", &loss, 1, golden_read("golden/loss"));
    compare_gradients(session.engine, scale);

    const Value *out = model_forward(model, batch, false);
    compare("output", out->v, rows_of(&batch->rows, out->grain) * out->features, golden_read("golden/output"));
    char what[64];
    snprintf(what, sizeof what, "output, loss, gradients, %zu shard(s)", shards);
    free(result);
    session_close(&session);
    worst_report(what);
}

static void passes_with(size_t shards) {
    char path[4200], init[4200], batch[64];
    snprintf(path, sizeof path, "data.path='%s'", file_path);
    snprintf(init, sizeof init, "run.init_from='%s'", file_path);
    Tensor inputs = golden_read("inputs"); /* more elements than there are sequences */
    snprintf(batch, sizeof batch, "train.batch_size=%zu", inputs.count);
    free(inputs.v);
    const char *override[] = {path, init, batch};
    char *text = golden_config();
    Config *config;
    must(config_parse(text, "golden.yaml", override, 3, &config), "config");
    worst_reset();
    check_passes(config, shards);
    config_destroy(&config);
    free(text);
}

static void test_one_shard(void **state) {
    (void)state;
    passes_with(1);
}

static void test_three_shards(void **state) {
    (void)state;
    passes_with(3);
}

/* ---- training ----------------------------------------------------------------------------------------------- */

static int run_program(const char *dir) {
    char config[4200], run[4200], data[4200], init[4200];
    snprintf(config, sizeof config, "%s/golden.yaml", dir);
    snprintf(run, sizeof run, "run.dir='%s/run'", dir);
    snprintf(data, sizeof data, "data.path='%s'", file_path);
    snprintf(init, sizeof init, "run.init_from='%s'", file_path);
    const char *argv[] = {"mpirun", "-n", ranks, program, "train", config, run, data, init, NULL};
    size_t skip = ranks ? 0 : 3;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        execvp(argv[skip], (char *const *)(argv + skip));
        _exit(127);
    }
    int status;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) fail_msg("waitpid: %s", strerror(errno));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* One column of the `train` rows of metrics.csv, by name. */
static void compare_column(const char *dir, const char *column, const char *golden) {
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
    float *got = calloc(want.count, sizeof *got);
    assert_non_null(got);
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
        got[count++] = strtof(value, NULL);
    }
    fclose(csv);
    compare(column, got, count, want);
    free(got);
}

static void compare_checkpoint(const char *dir) {
    char *path, in_run[4200];
    snprintf(in_run, sizeof in_run, "%s/run", dir);
    must(checkpoint_path(in_run, 20, &path), "checkpoint");
    CheckpointFile *file;
    must(checkpoint_open(path, &file), "checkpoint");
    assert_int_equal(checkpoint_meta(file)->step, 20);
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
        compare(name, v, count, golden_read("golden/final/%s", a->name + 6));
        free(v);
        compared++;
    }
    assert_true(compared > 0);
    checkpoint_close(&file);
    free(path);
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place) {
    (void)info, (void)type, (void)place;
    return remove(path);
}

static void test_training(void **state) {
    (void)state;
    char dir[64], config[96];
    snprintf(dir, sizeof dir, "/tmp/lockstep-golden-%ld", (long)getpid());
    if (mkdir(dir, 0700) != 0) fail_msg("%s: %s", dir, strerror(errno));
    snprintf(config, sizeof config, "%s/golden.yaml", dir);
    FILE *out = fopen(config, "w");
    char *text = golden_config();
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0 && fclose(out) == 0);
    free(text);
    assert_int_equal(run_program(dir), 0);
    worst_reset();
    compare_column(dir, "loss", "losses");
    compare_column(dir, "lr", "lrs");
    compare_column(dir, "grad_norm", "norms");
    compare_checkpoint(dir);
    assert_int_equal(nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS), 0);
    worst_report("20 steps of training");
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: test_golden FILE LOCKSTEP [RANKS]\n");
        return 2;
    }
    file_path = argv[1];
    program = argv[2];
    ranks = argc == 4 ? argv[3] : NULL;
    const struct CMUnitTest training[] = {cmocka_unit_test(test_training)};
    if (ranks) return cmocka_run_group_tests_name("golden, on ranks", training, NULL, NULL);
    if (comm_start(&comm, 1, argv) != OK) {
        fprintf(stderr, "%s\n", status_message());
        return 1;
    }
    const struct CMUnitTest all[] = {cmocka_unit_test(test_one_shard), cmocka_unit_test(test_three_shards),
                                     cmocka_unit_test(test_training)};
    int failed = cmocka_run_group_tests_name("golden", all, NULL, NULL);
    comm_finish(&comm);
    return failed;
}
