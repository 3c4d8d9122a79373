/* SPDX-License-Identifier: MIT
 *
 * test_golden.c: FILE LOCKSTEP [RANKS]. A golden file holds a small model, data and what PyTorch makes of them
 * (make_golden.py). In this process: output, loss and every gradient, cut into one shard and into three.
 * Through the program (with RANKS under mpirun, and then that alone): 20 steps of training, compared by
 * metrics.csv and the last checkpoint. A tensor differs by max |a - b| / max |b|, at most 1e-4; the worst
 * is printed. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/golden/golden_file.h"
#include "trainer/session.h"

static const double tolerance = 1e-4;
static const char *file_path, *program, *ranks;
static Comm *comm;

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
        compare(name, sum, p->count, golden_read("golden/gradient/%s", model_param(e->model, i)->name), tolerance);
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
    compare("loss", &loss, 1, golden_read("golden/loss"), tolerance);
    compare_gradients(session.engine, scale);

    const Value *out = model_forward(model, batch, false);
    compare("output", out->v, rows_of(&batch->rows, out->grain) * out->features, golden_read("golden/output"),
            tolerance);
    char what[64];
    snprintf(what, sizeof what, "output, loss, gradients, %zu shard(s)", shards);
    free(result);
    session_close(&session);
    worst_report(what, tolerance);
}

static void passes_with(size_t shards) {
    char path[4200], init[4200], batch[64];
    snprintf(path, sizeof path, "data.path='%s'", file_path);
    snprintf(init, sizeof init, "run.init_from='%s'", file_path);
    Tensor inputs = golden_read("inputs"); /* more elements than there are sequences */
    snprintf(batch, sizeof batch, "train.batch_size=%zu", inputs.count);
    free(inputs.v);
    const char *override[] = {path, init, batch};
    char *text = golden_text("config");
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
    return run_child(argv + skip, NULL);
}

static void test_training(void **state) {
    (void)state;
    char dir[64], config[96];
    scratch_make(dir);
    snprintf(config, sizeof config, "%s/golden.yaml", dir);
    FILE *out = fopen(config, "w");
    char *text = golden_text("config");
    assert_non_null(out);
    assert_true(fputs(text, out) >= 0 && fclose(out) == 0);
    free(text);
    assert_int_equal(run_program(dir), 0);
    worst_reset();
    compare_column(dir, "loss", "losses", false, tolerance);
    compare_column(dir, "lr", "lrs", false, tolerance);
    compare_column(dir, "grad_norm", "norms", false, tolerance);
    compare_checkpoint(dir, 20, tolerance);
    scratch_remove(dir);
    worst_report("20 steps of training", tolerance);
}

int main(int argc, char **argv) {
    if (argc < 3 || argc > 4) {
        fprintf(stderr, "usage: test_golden FILE LOCKSTEP [RANKS]\n");
        return 2;
    }
    file_path = argv[1];
    golden_open(file_path);
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
