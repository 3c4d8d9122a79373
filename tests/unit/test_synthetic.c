/* SPDX-License-Identifier: MIT
 *
 * test_synthetic.c: the answers of synthetic tasks are right, seeds differ, and any data written as sequences
 * read back as what they were: made data with the same digest. */
#include "data_files.h"

#include <math.h>

#include "io/sequences_write.h"
#include "io/synthetic.h"

static DataConfig made(const char *task, size_t sequences, uint64_t seed) {
    return (DataConfig){.kind = DATA_SYNTHETIC,
                        .synthetic = {.task = synthetic_task(task), .sequences = sequences, .seed = seed}};
}

static void answers_of_classes(void **state) {
    (void)state;
    int32_t in[32], out[32];
    Data *data = open_data(made("copy", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, in, NULL, out, NULL);
        for (size_t t = 0; t < 20; t++) assert_int_equal(out[t], t < 3 ? 0 : in[t - 3]);
    }
    data_close(&data);
    data = open_data(made("reverse", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, in, NULL, out, NULL);
        for (size_t t = 0; t < 6; t++) {
            assert_in_range(in[t], 1, 8);
            assert_int_equal(in[6 + t], 0);
            assert_int_equal(out[t], 0);
            assert_int_equal(out[6 + t], in[5 - t]);
        }
    }
    data_close(&data);
    data = open_data(made("parity", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, in, NULL, out, NULL);
        for (size_t t = 0, ones = 0; t < 16; t++) {
            ones += (size_t)in[t];
            assert_int_equal(out[t], ones % 2);
        }
    }
    data_close(&data);
}

static void majority(void **state) {
    (void)state;
    size_t seen[5] = {0}, shortest = 99, longest = 0;
    Data *data = open_data(made("majority", 1000, 3));
    assert_true(data_info(data)->ragged && !data_info(data)->target_per_step);
    assert_int_equal(data_info(data)->vocabulary, 10);
    assert_int_equal(data_info(data)->classes, 5);
    for (size_t i = 0; i < 1000; i++) {
        int32_t in[32], class;
        size_t count[5] = {0}, length = data_length(data, SPLIT_ALL, i);
        data_read(data, SPLIT_ALL, i, in, NULL, &class, NULL);
        for (size_t t = 0; t < length; t++) count[in[t] % 5]++;
        for (size_t g = 0; g < 5; g++)
            assert_true(count[class] > count[g] || (count[class] == count[g] && class <= (int32_t)g));
        seen[class]++;
        if (length < shortest) shortest = length;
        if (length > longest) longest = length;
    }
    for (size_t g = 0; g < 5; g++) assert_in_range(seen[g], 120, 300);
    assert_int_equal(shortest, 5);
    assert_int_equal(longest, 25);
    data_close(&data);
}

static void answers_of_values(void **state) {
    (void)state;
    float x[64], value;
    Data *data = open_data(made("adding", 50, 3));
    assert_int_equal(data_info(data)->features, 2);
    for (size_t i = 0; i < 50; i++) {
        double sum = 0, marks = 0;
        data_read(data, SPLIT_ALL, i, NULL, x, NULL, &value);
        for (size_t t = 0; t < 20; t++) {
            sum += (double)(x[2 * t] * x[2 * t + 1]);
            marks += (double)x[2 * t + 1];
        }
        assert_true(fabs(sum - (double)value) < 1e-6 && marks == 2);
    }
    data_close(&data);
    data = open_data(made("sine", 50, 3));
    for (size_t i = 0; i < 50; i++) {
        data_read(data, SPLIT_ALL, i, NULL, x, NULL, &value);
        /* sin(a + b) + sin(a - b) = 2 sin(a) cos(b), with b taken from the first three. */
        double twice = (double)(x[0] + x[2]) / (double)x[1];
        if (fabs((double)x[1]) > 0.1) assert_true(fabs(twice * (double)x[23] - (double)x[22] - (double)value) < 1e-4);
    }
    data_close(&data);
}

static void same_digest(Data *one, Data *two, bool same) {
    bool equal = memcmp(data_info(one)->digest, data_info(two)->digest, sizeof data_info(one)->digest) == 0;
    assert_true(equal == same);
}

static void seeds(void **state) {
    (void)state;
    for (int task = 0; task < SYNTHETIC_TASKS; task++) {
        const char *name = synthetic_tasks[task].name;
        Data *one = open_data(made(name, 40, 1)), *again = open_data(made(name, 40, 1)),
             *other = open_data(made(name, 40, 2));
        same_digest(one, again, true);
        same_digest(one, other, false);
        /* More of them begin with the same ones. */
        Data *more = open_data(made(name, 60, 1));
        float x[2][64] = {{0}}, value[2] = {0};
        int32_t ids[2][32] = {{0}}, class[2][32] = {{0}};
        data_read(one, SPLIT_ALL, 39, ids[0], x[0], class[0], &value[0]);
        data_read(more, SPLIT_ALL, 39, ids[1], x[1], class[1], &value[1]);
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
        assert_memory_equal(class[0], class[1], sizeof class[0]);
        assert_memory_equal(&value[0], &value[1], sizeof value[0]);
        data_close(&more);
        data_close(&other);
        data_close(&again);
        data_close(&one);
    }
}

static DataConfig written(const char *path) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_SEQUENCES, .path = &held, .paths = 1};
}

/* Every sequence, and all that the model is told, apart from the vocabularies' texts. */
static void same_content(const Data *one, const Data *two) {
    const DataInfo *a = data_info(one), *b = data_info(two);
    assert_true(a->ids == b->ids && a->features == b->features && a->vocabulary == b->vocabulary &&
                a->target == b->target);
    assert_true(a->target_per_step == b->target_per_step && a->classes == b->classes && a->longest == b->longest);
    assert_int_equal(data_sequences(one, SPLIT_ALL), data_sequences(two, SPLIT_ALL));
    for (size_t i = 0; i < data_sequences(one, SPLIT_ALL); i++) {
        int32_t ids[2][64] = {{0}}, class[2][64] = {{0}};
        float x[2][128] = {{0}}, value[2][64] = {{0}};
        assert_int_equal(data_length(one, SPLIT_ALL, i), data_length(two, SPLIT_ALL, i));
        data_read(one, SPLIT_ALL, i, ids[0], x[0], class[0], value[0]);
        data_read(two, SPLIT_ALL, i, ids[1], x[1], class[1], value[1]);
        assert_memory_equal(ids[0], ids[1], sizeof ids[0]);
        assert_memory_equal(class[0], class[1], sizeof class[0]);
        assert_memory_equal(x[0], x[1], sizeof x[0]);
        assert_memory_equal(value[0], value[1], sizeof value[0]);
    }
}

static void write_and_read(DataConfig config, bool digest) {
    Data *data = open_data(config);
    Status status = sequences_write("out.h5", data);
    if (status != OK) fail_msg("%s", status_message());
    Data *back = open_data(written("out.h5"));
    same_content(data, back);
    if (digest) same_digest(data, back, true);
    data_close(&back);
    data_close(&data);
}

static void round_trips(void **state) {
    (void)state;
    for (int task = 0; task < SYNTHETIC_TASKS; task++) write_and_read(made(synthetic_tasks[task].name, 300, 5), true);
    write_text("pairs.tsv", "hello\tohlol\nab\tcd\nh\xc3\xa9\t\xc3\xa9h\n");
    static const char *const pairs[] = {"pairs.tsv"}, *const table[] = {"table.csv"}, *const a[] = {"a", "b"},
                             *const c[] = {"c"};
    write_and_read((DataConfig){.kind = DATA_PAIRS, .path = pairs, .paths = 1, .tokenizer = TOKENIZER_CHAR}, false);
    write_and_read((DataConfig){.kind = DATA_PAIRS, .path = pairs, .paths = 1, .tokenizer = TOKENIZER_BYTE}, false);
    write_text("table.csv", "a,b,c\n1,2,x\n3,4,y\n5,6,x\n7,8.5,y\n9,10,z\n11,12,x\n");
    DataConfig series = {
        .kind = DATA_CSV,
        .path = table,
        .paths = 1,
        .series = {.feature = a, .features = 2, .target = a, .targets = 2, .lookback = 2, .horizon = 2, .stride = 1}};
    write_and_read(series, false);
    series.series.target = c;
    series.series.targets = series.series.horizon = 1;
    series.series.classes = true;
    write_and_read(series, false);
}

static void refusals(void **state) {
    (void)state;
    open_fails((DataConfig){.kind = DATA_SYNTHETIC, .synthetic = {.task = -1, .sequences = 1}}, ERR_USAGE,
               LIST("data.task"));
    open_fails(made("copy", SIZE_MAX, 1), ERR_USAGE, LIST("data.sequences", "overflow"));
    Data *data = open_data(made("copy", 3, 1));
    assert_int_equal(sequences_write("none/out.h5", data), ERR_WRITE);
    assert_non_null(strstr(status_message(), "none/out.h5"));
    data_close(&data);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_of_classes), cmocka_unit_test(majority),
        cmocka_unit_test(answers_of_values),  cmocka_unit_test(seeds),
        cmocka_unit_test(round_trips),        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
