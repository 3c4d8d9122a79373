/* SPDX-License-Identifier: MIT
 *
 * test_data_context.c: the context of data: a row of numbers for each sequence, in files and in the task that
 * needs it. */
#include <math.h>

#include "data_files.h"
#include "io/synthetic.h"

enum { N = 4, T = 3 };

static const int IDS[N * T] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};

static DataConfig sequences(const char *path) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_SEQUENCES, .path = &held, .paths = 1};
}

/* Read beside the rest, part of the digest, of one width in all files. */
static void contexts(void **state) {
    (void)state;
    enum { C = 2 };
    double context[N * C];
    uint64_t digest[2] = {0};
    for (size_t i = 0; i < N * C; i++) context[i] = (double)i - 2.5;
    for (int turn = 0; turn < 2; turn++) {
        hid_t file = h5_new("f");
        h5_ints(file, "inputs", DIMS(N, T), IDS);
        h5_reals(file, "context", DIMS(N, C), context);
        H5Fclose(file);
        Data *data = open_data(sequences("f"));
        assert_int_equal(data_info(data)->context, C);
        for (size_t i = 0; i < N; i++) {
            float read[C];
            data_context(data, SPLIT_ALL, i, read);
            for (size_t c = 0; c < C; c++) assert_true(read[c] == (float)context[i * C + c]);
        }
        assert_true(turn == 0 || data_info(data)->digest[0] != digest[0]);
        digest[0] = data_info(data)->digest[0];
        data_close(&data);
        context[N * C - 1] += 1;
    }
    hid_t file = h5_new("v");
    h5_ints(file, "inputs", DIMS(N, T), IDS);
    H5Fclose(file);
    DataConfig config = sequences("f");
    config.validation_path = "v";
    open_fails(config, ERR_DATA, LIST("v: context have another form than in f"));
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), IDS);
    h5_reals(file, "context", DIMS(N), context);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: data set context: has 1 dimensions", "[N, C]"));
    context[3] = (double)NAN;
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), IDS);
    h5_reals(file, "context", DIMS(N, C), context);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: context[1, 1] is nan", "finite"));
}

/* The context says the caption, and nothing else does: the brightest of each place, said as often as its number. */
static void captions(void **state) {
    (void)state;
    enum { PLACES = 3, OBJECTS = 3, END = 1 + PLACES * OBJECTS };
    DataConfig config = {.kind = DATA_SYNTHETIC,
                         .synthetic = {.task = synthetic_task("caption"), .sequences = 200, .seed = 4}};
    Data *data = open_data(config);
    const DataInfo *info = data_info(data);
    assert_int_equal(info->context, PLACES * OBJECTS);
    assert_true(info->ids && info->target_per_step && info->ragged);
    size_t different = 0;
    for (size_t i = 0; i < 200; i++) {
        float context[PLACES * OBJECTS];
        int32_t ids[SYNTHETIC_STEPS], classes[SYNTHETIC_STEPS];
        size_t length = data_length(data, SPLIT_ALL, i), t = 0;
        data_read(data, SPLIT_ALL, i, ids, NULL, classes, NULL);
        data_context(data, SPLIT_ALL, i, context);
        for (size_t p = 0; p < PLACES; p++) {
            size_t best = 0;
            for (size_t k = 1; k < OBJECTS; k++)
                if (context[p * OBJECTS + k] > context[p * OBJECTS + best]) best = k;
            for (size_t n = 0; n <= best; n++) assert_int_equal(classes[t++], 1 + p * OBJECTS + best);
            if (p == 0 && best > 0) different++;
        }
        assert_int_equal(classes[t++], END);
        assert_int_equal(t, length);
        assert_int_equal(ids[0], 0);
        for (size_t k = 1; k < length; k++) assert_int_equal(ids[k], classes[k - 1]);
    }
    assert_in_range(different, 100, 170);
    data_close(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(contexts), cmocka_unit_test(captions)};
    return cmocka_run_group_tests_name("context of data", tests, enter_directory, leave_directory);
}
