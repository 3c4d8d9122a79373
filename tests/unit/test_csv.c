/* SPDX-License-Identifier: MIT
 *
 * test_csv.c: series in CSV files: windows, targets, scaling, classes, borders, and where what is wrong is
 * said to be. Ends with files that chance has damaged: reading them fails or gives data that hold together. */
#include "damage.h"

#include <math.h>

static const char *const ab[] = {"a", "b"}, *const c[] = {"c"}, *const b[] = {"b"}, *const day[] = {"series.csv"};

#define assert_near(a, b, within) assert_true(fabs((double)(a) - (double)(b)) <= (double)(within))

/* Rows i = 0, 1, ...: a = i, b = 10 i, c = even or odd, day = d<i>. */
static void write_series(const char *path, size_t first, size_t rows) {
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file, "day,a,b,c\n");
    for (size_t i = first; i < first + rows; i++)
        fprintf(file, "d%zu,%zu,%zu,%s\n", i, i, 10 * i, i % 2 ? "odd" : "even");
    assert_int_equal(fclose(file), 0);
}

static DataConfig series(const char *const *path) {
    return (DataConfig){.kind = DATA_CSV,
                        .path = path,
                        .paths = 1,
                        .series = {.feature = ab,
                                   .features = 2,
                                   .target = b,
                                   .targets = 1,
                                   .lookback = 3,
                                   .horizon = 2,
                                   .stride = 1,
                                   .scaling = SCALING_NONE}};
}

static void read_window(const Data *data, Split split, size_t s, float x[6], float *values, int32_t *class) {
    assert_int_equal(data_length(data, split, s), 3);
    data_read(data, split, s, NULL, x, class, values);
}

static void windows(void **state) {
    (void)state;
    write_series("series.csv", 0, 10);
    DataConfig config = series(day);
    config.series.stride = 2;
    Data *data = open_data(config);
    const DataInfo *info = data_info(data);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 3); /* rows 0-4, 2-6, 4-8 */
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 3);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 0);
    assert_true(!info->ids && info->features == 2 && info->target == TARGET_VALUES && !info->target_per_step);
    assert_int_equal(info->classes, 2);
    assert_int_equal(info->longest, 3);
    for (size_t s = 0; s < 3; s++) {
        float x[6], values[2];
        read_window(data, SPLIT_ALL, s, x, values, NULL);
        for (size_t t = 0; t < 3; t++) {
            assert_near(x[2 * t], 2 * s + t, 0);
            assert_near(x[2 * t + 1], 10 * (2 * s + t), 0);
        }
        assert_near(values[0], 10 * (2 * s + 3), 0);
        assert_near(values[1], 10 * (2 * s + 4), 0);
    }
    data_close(&data);
}

/* Targets of several columns and rows stand row by row. */
static void many_targets(void **state) {
    (void)state;
    write_series("series.csv", 0, 5);
    DataConfig config = series(day);
    config.series.target = ab;
    config.series.targets = 2;
    Data *data = open_data(config);
    float x[6], values[4];
    assert_int_equal(data_info(data)->classes, 4);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 1);
    read_window(data, SPLIT_ALL, 0, x, values, NULL);
    const float wanted[] = {3, 30, 4, 40};
    assert_memory_equal(values, wanted, sizeof wanted);
    data_close(&data);
}

/* 20 rows, a quarter for validation: training windows end before row 15, the others begin at it. */
static void border(void **state) {
    (void)state;
    write_series("series.csv", 0, 20);
    DataConfig config = series(day);
    config.validation = 0.25;
    config.series.horizon = 1;
    Data *data = open_data(config);
    float x[6], value;
    assert_int_equal(data_sequences(data, SPLIT_ALL), 17);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 12);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 2);
    read_window(data, SPLIT_TRAIN, 11, x, &value, NULL);
    assert_near(value, 140, 0);
    read_window(data, SPLIT_VALIDATION, 0, x, &value, NULL);
    assert_near(x[0], 15, 0);
    assert_near(value, 180, 0);
    read_window(data, SPLIT_ALL, 16, x, &value, NULL);
    assert_near(value, 190, 0);
    data_close(&data);
}

/* No window goes on from one file to the next. */
static void many_files(void **state) {
    (void)state;
    write_series("p1.csv", 0, 6);
    write_series("p2.csv", 100, 4);
    write_series("p3.csv", 200, 5);
    const char *const pattern[] = {"p*.csv"};
    DataConfig config = series(pattern);
    Data *data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 2 + 0 + 1);
    float x[6], values[2];
    read_window(data, SPLIT_ALL, 2, x, values, NULL);
    assert_near(x[0], 200, 0);
    assert_near(values[1], 2040, 0);
    data_close(&data);
    config = series(day);
    write_series("series.csv", 0, 6);
    config.validation_path = "p3.csv";
    data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 2);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 1);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 3);
    read_window(data, SPLIT_VALIDATION, 0, x, values, NULL);
    assert_near(x[0], 200, 0);
    data_close(&data);
}

/* Mean, deviation, minimum and width are those of the training rows 0 ... 7 alone. */
static void scaling(void **state) {
    (void)state;
    write_series("series.csv", 0, 16);
    DataConfig config = series(day);
    config.validation = 0.5;
    config.series.scaling = SCALING_STANDARD;
    Data *data = open_data(config);
    const Scaling *s = data_scaling(data);
    float x[6], values[2];
    assert_int_equal(s->columns, 2);
    assert_string_equal(s->name[1], "b");
    assert_near(s->shift[0], 3.5, 1e-12);
    assert_near(s->scale[0], sqrt(5.25), 1e-12);
    read_window(data, SPLIT_VALIDATION, 0, x, values, NULL);
    assert_near(x[0], (8 - 3.5) / sqrt(5.25), 1e-6);
    assert_near(values[0], (110 - 35) / (10 * sqrt(5.25)), 1e-6);
    assert_near(scaling_undo(s, 1, (double)values[0]), 110, 1e-4);

    config.series.scaling = SCALING_MINMAX;
    Data *other = open_data(config);
    read_window(other, SPLIT_TRAIN, 0, x, values, NULL);
    assert_near(x[1], 0, 0);
    assert_near(values[1], 4.0 / 7, 1e-6);
    data_close(&other);

    /* Another file is scaled like the one that was learned from. */
    write_series("other.csv", 50, 5);
    config = series((const char *const[]){"other.csv"});
    config.series.scaling = SCALING_STANDARD;
    config.series.scaled = s;
    other = open_data(config);
    read_window(other, SPLIT_ALL, 0, x, values, NULL);
    assert_near(x[0], (50 - 3.5) / sqrt(5.25), 1e-5);
    data_close(&other);
    data_close(&data);
}

static void constant_column(void **state) {
    (void)state;
    write_text("series.csv", "a,b\n0.1,1\n0.1,2\n0.1,3\n0.1,4\n0.1,5\n");
    DataConfig config = series(day);
    config.series.scaling = SCALING_STANDARD;
    Data *data = open_data(config);
    float x[6], values[2];
    assert_near(data_scaling(data)->scale[0], 1, 0);
    read_window(data, SPLIT_ALL, 0, x, values, NULL);
    assert_near(x[0], 0, 1e-6);
    data_close(&data);
}

static void classes(void **state) {
    (void)state;
    write_series("series.csv", 0, 8);
    DataConfig config = series(day);
    config.series.target = c;
    config.series.horizon = 1;
    config.series.classes = true;
    Data *data = open_data(config);
    const Vocabulary *v = data_target_vocabulary(data);
    float x[6];
    int32_t class;
    assert_int_equal(data_info(data)->target, TARGET_CLASSES);
    assert_int_equal(v->size, 2);
    assert_string_equal(v->token[0], "even");
    for (size_t s = 0; s < 5; s++) {
        read_window(data, SPLIT_ALL, s, x, NULL, &class);
        assert_int_equal(class, (s + 3) % 2);
    }
    /* With the classes of a model, in its order; what it does not know is named. */
    write_text("other.csv", "c,a,b\nodd,1,1\nodd,1,1\nodd,1,1\nodd,1,1\n");
    DataConfig again = config;
    again.path = (const char *const[]){"other.csv"};
    again.target_vocabulary = v;
    again.num_classes = 2;
    Data *other = open_data(again);
    read_window(other, SPLIT_ALL, 0, x, NULL, &class);
    assert_int_equal(class, 1);
    data_close(&other);
    write_text("other.csv", "c,a,b\nodd,1,1\n prime ,1,1\n");
    open_fails(again, ERR_DATA, LIST("other.csv:3:2: c: 'prime' is none of the 2 classes", "even, odd"));
    data_close(&data);

    /* Whole numbers are in their own order, with nothing for those that do not occur. */
    write_text("series.csv", "a,b,c\n1,1,10\n1,1,9\n1,1,-3\n1,1,10\n1,1,9\n");
    data = open_data(config);
    v = data_target_vocabulary(data);
    assert_int_equal(v->size, 3);
    assert_string_equal(v->token[0], "-3");
    assert_string_equal(v->token[1], "9");
    assert_string_equal(v->token[2], "10");
    read_window(data, SPLIT_ALL, 0, x, NULL, &class);
    assert_int_equal(class, 2);
    data_close(&data);
}

/* To predict, the targets need not be there, nor rows behind the last window. */
static void inputs_only(void **state) {
    (void)state;
    write_text("series.csv", "\xEF\xBB\xBF"
                             "when;b;a\r\n\r\n\"x;1\";1;2\r\nx2; 3 ;4\r\nx3;5;6\r\n x4;7;8");
    DataConfig config = series(day);
    config.inputs_only = true;
    config.series.target = c;
    config.series.time = "when";
    config.num_classes = 2;
    Data *data = open_data(config);
    float x[6];
    assert_int_equal(data_sequences(data, SPLIT_ALL), 2);
    assert_int_equal(data_info(data)->target, TARGET_NONE);
    assert_string_equal(data_time(data, SPLIT_ALL, 0), "x3");
    assert_string_equal(data_time(data, SPLIT_ALL, 1), "x4");
    data_read(data, SPLIT_ALL, 0, NULL, x, NULL, NULL);
    const float wanted[] = {2, 1, 4, 3, 6, 5};
    assert_memory_equal(x, wanted, sizeof wanted);
    data_close(&data);
}

typedef struct Refusal {
    const char *text, *message;
} Refusal;

static void places(void **state) {
    (void)state;
    static const Refusal table[] = {
        {"a,b\n1,2\n3,x y\n", "series.csv:3:3: b: 'x y' is not a number"},
        {"a,b\n1,\033[1m\xff\n", "series.csv:2:3: b: '?[1m?' is not a number"},
        {"a,b\n1,\n", "series.csv:2:3: b: this field is empty"},
        {"a,b\n\n\n1,2\n  nan,2\n", "series.csv:5:3: a: 'nan' is not a number"},
        {"a,b\n1,2\n0x10,2\n", "series.csv:3:1: a: '0x10' is not a number"},
        {"a,b\n1,2\n1e39,2\n", "series.csv:3:1: a: 1e39 is too large"},
        {"a,b,\"t\n\"\n1,2,\"x\n\ny\"\n1,z,\n", "series.csv:6:3: b: 'z'"},
        {"a,b\r\n1,2\r\n1,\"2\r\n", "series.csv:3:3: the \" that begins this field has no end"},
        {"a,b\n1,2\"\n", "series.csv:2:4: a \" inside a field"},
        {"a,b\n1,2\n1\n", "series.csv:3:1: this row has 1 fields and the first line has 2"},
        {"a,b\n1,2\n1,2,3\n", "series.csv:3:1: this row has 3 fields"},
        {"a,b,a\n1,2,3\n", "series.csv:1: 2 columns are named a"},
        {"a,c,d\n1,2,3\n", "series.csv:1: no column b; there are: a, c, d"},
        {"\n\n  \n", "series.csv: holds no line of column names"},
        {"a,b\n1,2\n1,2\n1,2\n1,2\n", "series.csv: the series has 4 rows, and one sequence needs 5"},
        {"a,b\n", "series.csv: the series has 0 rows"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        write_text("series.csv", table[i].text);
        open_fails(series(day), ERR_DATA, (const char *const[]){table[i].message, NULL});
    }
    write_bytes("series.csv", "a,b\n1,\0\n", 8);
    open_fails(series(day), ERR_DATA, LIST("series.csv:2:3: a NUL byte"));
    open_fails(series((const char *const[]){"none.csv"}), ERR_DATA, LIST("none.csv", "No such file"));
    DataConfig config = series(day);
    config.series.classes = true;
    open_fails(config, ERR_USAGE, LIST("data.targets", "loss.kind: mse"));
    config.series.horizon = 1;
    write_text("series.csv", "a,b\n1,2.5\n");
    open_fails(config, ERR_USAGE, LIST("series.csv:2:3: b: '2.5' is no class", "loss.kind: mse"));
    config.series.features = 1;
    write_text("series.csv", "a,b\n1,\xff\n");
    open_fails(config, ERR_DATA, LIST("series.csv:2:3: b: not UTF-8"));
    write_series("series.csv", 0, 20);
    config = series(day);
    config.validation = 0.1;
    open_fails(config, ERR_DATA,
               LIST("validation split has 2 rows, and one sequence needs 5 (data.lookback 3", "raise data.validation"));
    config.validation = 0.9;
    open_fails(config, ERR_DATA, LIST("training split has 2 rows", "lower data.validation"));
}

/* The digest is of what the model sees: not of the file's name, of columns unused, nor of the border. */
static void digest(void **state) {
    (void)state;
    write_series("series.csv", 0, 20);
    write_text("head.csv", "");
    Data *one = open_data(series(day));
    DataConfig config = series((const char *const[]){"moved.csv"});
    rename("series.csv", "moved.csv");
    Data *two = open_data(config);
    assert_memory_equal(data_info(one)->digest, data_info(two)->digest, sizeof data_info(one)->digest);
    data_close(&two);
    config.validation = 0.5;
    two = open_data(config);
    assert_memory_equal(data_info(one)->digest, data_info(two)->digest, sizeof data_info(one)->digest);
    data_close(&two);
    config.series.stride = 2;
    two = open_data(config);
    assert_memory_not_equal(data_info(one)->digest, data_info(two)->digest, sizeof data_info(one)->digest);
    data_close(&two);
    data_close(&one);
}

static size_t damaged_series(void *context, size_t round, char *file) {
    (void)context;
    (void)round;
    static const char bytes[] = "\",;\n\r\t 0123456789.eE+-x\0\xff";
    size_t used = (size_t)snprintf(file, DAMAGE_ROOM, "day,a,b,c\n");
    for (int i = 0; i < 12; i++)
        used +=
            (size_t)snprintf(file + used, DAMAGE_ROOM - used, "d%d,%d,%d.5,%s\n", i, i, i, i % 2 ? "x" : "\"y\"\"z\"");
    for (size_t n = below(4); n > 0; n--) file[below(used)] = bytes[below(sizeof bytes)];
    return used - below(3) * below(used) / 2;
}

static DataConfig series_of_round(void *context, size_t round) {
    (void)context;
    DataConfig config = series(day);
    config.validation = round % 3 ? 0 : 0.45;
    config.series.scaling = (ScalingKind)(round % 3);
    config.series.classes = round % 2;
    config.series.time = round % 5 ? NULL : "day";
    config.inputs_only = round % 5 == 0;
    config.num_classes = config.inputs_only ? 2 : 0;
    if (config.series.classes) {
        config.series.target = c;
        config.series.horizon = 1;
    }
    return config;
}

static void damaged(void **state) {
    (void)state;
    const Damage damage = {"series.csv", 4000, damaged_series, series_of_round, NULL};
    assert_in_range(damage_run(&damage), 400, 3999);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows),    cmocka_unit_test(many_targets), cmocka_unit_test(border),
        cmocka_unit_test(many_files), cmocka_unit_test(scaling),      cmocka_unit_test(constant_column),
        cmocka_unit_test(classes),    cmocka_unit_test(inputs_only),  cmocka_unit_test(places),
        cmocka_unit_test(digest),     cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
