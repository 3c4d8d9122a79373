/* SPDX-License-Identifier: MIT
 *
 * test_data_decoder.c: targets with lengths of their own, from TSV and HDF5, and what is refused with which
 * message. */
#include "data_files.h"

static DataConfig pairs(const char *path, TokenizerKind tokenizer) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_PAIRS, .path = &held, .paths = 1, .tokenizer = tokenizer, .decoder = true};
}

static DataConfig sequences(const char *path) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_SEQUENCES, .path = &held, .paths = 1, .decoder = true};
}

static void has_targets(const Data *data, Split split, size_t i, const int32_t *expected, size_t count) {
    int32_t classes[16] = {0};
    assert_int_equal(data_target_length(data, split, i), count);
    data_read(data, split, i, NULL, NULL, classes, NULL);
    assert_memory_equal(classes, expected, count * sizeof *expected);
}

static void pairs_of_any_length(void **state) {
    (void)state;
    write_text("p.tsv", "abc\tx\nb\tyxz\n\nca\tzz\r\n");
    DataConfig config = pairs("p.tsv", TOKENIZER_CHAR);
    config.validation = 0.4;
    Data *data = open_data(config);
    const DataInfo *info = data_info(data);
    assert_true(info->ids && info->target_per_step && info->ragged);
    assert_int_equal(info->vocabulary, 3);
    assert_int_equal(info->target_vocabulary, 3);
    assert_int_equal(info->classes, 4);
    assert_int_equal(info->longest, 3);
    assert_int_equal(info->longest_target, 4);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 2);
    assert_int_equal(data_length(data, SPLIT_TRAIN, 1), 1);
    has_targets(data, SPLIT_TRAIN, 0, (int32_t[]){0, 3}, 2);
    has_targets(data, SPLIT_TRAIN, 1, (int32_t[]){1, 0, 2, 3}, 4);
    has_targets(data, SPLIT_VALIDATION, 0, (int32_t[]){2, 2, 3}, 3);
    data_close(&data);
    /* The same lines without a decoder are what they were: an error that names the way out. */
    config.decoder = false;
    open_fails(config, ERR_DATA, LIST("p.tsv:1:", "3 characters", "target 1", "encoder with a decoder"));
    write_text("w.tsv", "the sea\tdas Meer\nsea\tein Meer ist da\n");
    data = open_data(pairs("w.tsv", TOKENIZER_WORD));
    assert_int_equal(data_info(data)->target_vocabulary, 5);
    has_targets(data, SPLIT_ALL, 0, (int32_t[]){2, 0, 5}, 3);
    has_targets(data, SPLIT_ALL, 1, (int32_t[]){3, 0, 4, 1, 5}, 5);
    data_close(&data);
}

static void vocabularies_of_a_model(void **state) {
    (void)state;
    write_text("p.tsv", "abc\tx\nb\tyxz\n");
    Data *trained = open_data(pairs("p.tsv", TOKENIZER_CHAR));
    DataConfig config = pairs("q.tsv", TOKENIZER_CHAR);
    config.vocabulary = data_vocabulary(trained);
    config.target_vocabulary = data_target_vocabulary(trained);
    config.num_classes = data_info(trained)->classes;
    config.targets_if_there = true;
    write_text("q.tsv", "cab\tzy\n");
    Data *data = open_data(config);
    assert_int_equal(data_info(data)->target, TARGET_CLASSES);
    has_targets(data, SPLIT_ALL, 0, (int32_t[]){2, 1, 3}, 3);
    data_close(&data);
    write_text("q.tsv", "\ncab\n\na\n");
    data = open_data(config);
    assert_int_equal(data_info(data)->target, TARGET_NONE);
    assert_int_equal(data_info(data)->target_vocabulary, 3);
    assert_int_equal(data_info(data)->classes, 4);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 2);
    assert_int_equal(data_target_length(data, SPLIT_ALL, 1), 0);
    data_close(&data);
    write_text("q.tsv", "cab\nb\tx\n");
    open_fails(config, ERR_DATA, LIST("q.tsv:2:2:", "give all targets or none"));
    write_text("q.tsv", "b\tx\ncab\n");
    open_fails(config, ERR_DATA, LIST("q.tsv:2:4:", "no TAB in this line"));
    write_text("q.tsv", "b\nca!\n");
    open_fails(config, ERR_DATA, LIST("q.tsv:2:3:", "U+0021 '!'", "input vocabulary"));
    write_text("q.tsv", "b\tx\nca\tq\n");
    open_fails(config, ERR_DATA, LIST("q.tsv:2:4:", "U+0071 'q'", "target vocabulary"));
    data_close(&trained);
}

static void validation_file(void **state) {
    (void)state;
    write_text("p.tsv", "abc\tx\nb\tyxz\n");
    write_text("v.tsv", "d\txw\n");
    DataConfig config = pairs("p.tsv", TOKENIZER_CHAR);
    config.validation_path = "v.tsv";
    Data *data = open_data(config);
    assert_int_equal(data_info(data)->target_vocabulary, 4);
    assert_int_equal(data_info(data)->longest_target, 4);
    has_targets(data, SPLIT_VALIDATION, 0, (int32_t[]){1, 0, 4}, 3);
    has_targets(data, SPLIT_ALL, 1, (int32_t[]){2, 1, 3, 4}, 4);
    data_close(&data);
    write_text("v.tsv", "d\n");
    open_fails(config, ERR_DATA, LIST("v.tsv:1:2:", "no TAB"));
}

static void bad_pairs(void **state) {
    (void)state;
    write_text("p.tsv", "ab\tx\nabc\n");
    open_fails(pairs("p.tsv", TOKENIZER_CHAR), ERR_DATA, LIST("p.tsv:2:4:", "no TAB in this line"));
    write_text("p.tsv", "ab\tx\nabc\t\n");
    open_fails(pairs("p.tsv", TOKENIZER_CHAR), ERR_DATA, LIST("p.tsv:2:5:", "the target is empty"));
    write_text("p.tsv", "ab\tx\n\tb\n");
    open_fails(pairs("p.tsv", TOKENIZER_CHAR), ERR_DATA, LIST("p.tsv:2:1:", "the input is empty"));
    write_text("p.tsv", "ab\tx\nb\t \n");
    open_fails(pairs("p.tsv", TOKENIZER_WORD), ERR_DATA, LIST("p.tsv:2:3:", "the target is empty"));
    write_text("p.tsv", "ab\tx\tz\n");
    open_fails(pairs("p.tsv", TOKENIZER_CHAR), ERR_DATA, LIST("p.tsv:1:5:", "a second TAB"));
}

enum { N = 3, T = 4, U = 2 };
static const int INPUTS[N * T] = {0, 1, 2, 3, 4, 5, 9, 9, 6, 9, 9, 9}, TARGETS[N * U] = {1, 0, 2, 77, 0, 2};

/* Inputs and targets [N, *]; lengths are left out where NULL. */
static hid_t file_of(const int *lengths, const int *target_lengths) {
    hid_t file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), INPUTS);
    h5_ints(file, "targets", DIMS(N, U), TARGETS);
    if (lengths) h5_ints(file, "lengths", DIMS(N), lengths);
    if (target_lengths) h5_ints(file, "target_lengths", DIMS(N), target_lengths);
    return file;
}

static const int lengths[N] = {4, 2, 1}, target_lengths[N] = {2, 1, 2};

static void hdf5_with_both_lengths(void **state) {
    (void)state;
    H5Fclose(file_of(lengths, target_lengths));
    Data *data = open_data(sequences("f"));
    const DataInfo *info = data_info(data);
    assert_int_equal(info->vocabulary, 7);
    assert_int_equal(info->target_vocabulary, 3);
    assert_int_equal(info->classes, 4);
    assert_int_equal(info->longest_target, 3);
    assert_int_equal(data_length(data, SPLIT_ALL, 1), 2);
    has_targets(data, SPLIT_ALL, 0, (int32_t[]){1, 0, 3}, 3);
    has_targets(data, SPLIT_ALL, 1, (int32_t[]){2, 3}, 2);
    has_targets(data, SPLIT_ALL, 2, (int32_t[]){0, 2, 3}, 3);
    data_close(&data);
    DataConfig config = sequences("f");
    config.num_classes = 3;
    open_fails(config, ERR_DATA, LIST("f: targets[1, 0] is 2", "below 2", "the symbols that the model writes"));
    config.decoder = false;
    open_fails(config, ERR_DATA, LIST("f: data set target_lengths", "encoder and a decoder"));
    H5Fclose(file_of(lengths, NULL));
    open_fails(config, ERR_DATA, LIST("f: data set targets: has 2 steps and inputs 4", "encoder and a decoder"));
    data = open_data(sequences("f"));
    assert_int_equal(data_info(data)->target_vocabulary, 78);
    assert_int_equal(data_target_length(data, SPLIT_ALL, 1), 3);
    data_close(&data);
}

static void hdf5_of_features(void **state) {
    (void)state;
    const double x[N * T] = {0, 1, 2, 3, .5, .25, 0, 0, 7, 0, 0, 0};
    hid_t file = h5_new("f");
    h5_reals(file, "inputs", DIMS(N, T, 1), x);
    h5_ints(file, "lengths", DIMS(N), lengths);
    h5_ints(file, "targets", DIMS(N, U), TARGETS);
    h5_ints(file, "target_lengths", DIMS(N), target_lengths);
    h5_attribute(file, "targets", "num_classes", 9);
    H5Fclose(file);
    Data *data = open_data(sequences("f"));
    float got[T];
    assert_int_equal(data_info(data)->target_vocabulary, 9);
    data_read(data, SPLIT_ALL, 1, NULL, got, NULL, NULL);
    assert_true(got[0] == 0.5f && got[1] == 0.25f);
    has_targets(data, SPLIT_ALL, 1, (int32_t[]){2, 9}, 2);
    data_close(&data);
}

static void bad_hdf5(void **state) {
    (void)state;
    H5Fclose(file_of(lengths, (int[]){2, 3, 1}));
    open_fails(sequences("f"), ERR_DATA, LIST("f: target_lengths[1] is 3", "from 1 to the 2 steps of targets"));
    H5Fclose(file_of(lengths, (int[]){2, 0, 1}));
    open_fails(sequences("f"), ERR_DATA, LIST("f: target_lengths[1] is 0"));
    H5Fclose(file_of((int[]){4, 5, 1}, target_lengths));
    open_fails(sequences("f"), ERR_DATA, LIST("f: lengths[1] is 5", "from 1 to the 4 steps of inputs"));
    hid_t file = file_of(lengths, NULL);
    h5_ints(file, "target_lengths", DIMS(2), target_lengths);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: data set target_lengths: must be one integer for each of the 3"));
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), INPUTS);
    h5_ints(file, "targets", DIMS(N), TARGETS);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: data set targets: has 1 dimensions of integers", "decoder"));
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), INPUTS);
    h5_ints(file, "targets", DIMS(N, U), (int[]){1, 0, -100, 0, 0, 2});
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: targets[1, 0] is -100"));
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), INPUTS);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: has no data set targets", "decoder"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_of_any_length),
        cmocka_unit_test(vocabularies_of_a_model),
        cmocka_unit_test(validation_file),
        cmocka_unit_test(bad_pairs),
        cmocka_unit_test(hdf5_with_both_lengths),
        cmocka_unit_test(hdf5_of_features),
        cmocka_unit_test(bad_hdf5),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
