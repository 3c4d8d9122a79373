/* SPDX-License-Identifier: MIT
 *
 * test_data_sequences.c: HDF5 files as h5py would write them, in every layout that is allowed; and every
 * file that is not, with what its message must name. */
#include <errno.h>
#include <math.h>

#include "data_files.h"

enum { N = 4, T = 3, F = 2 };

static const int IDS[N * T] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
static const double X[N * T * F] = {0, .5,  1, 1.5, 2, 2.5, 3, 3.5, 4,  4.5,  5,  5.5,
                                    6, 6.5, 7, 7.5, 8, 8.5, 9, 9.5, 10, 10.5, 11, 11.5};

static DataConfig sequences(const char *path) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_SEQUENCES, .path = &held, .paths = 1};
}

static void every_step_has_a_class(void **state) {
    (void)state;
    hid_t file = h5_new("f");
    const int classes[N * T] = {0, 1, 2, 0, -100, 2, 300, 1, 0, 0, 0, 0};
    h5_ints(file, "inputs", DIMS(N, T), IDS);
    h5_ints(file, "targets", DIMS(N, T), classes);
    H5Fclose(file);
    DataConfig config = sequences("f");
    config.validation = 0.25;
    Data *data = open_data(config);
    const DataInfo *info = data_info(data);
    assert_true(info->ids && info->target_per_step && !info->ragged);
    assert_int_equal(info->target, TARGET_CLASSES);
    assert_int_equal(info->vocabulary, 12);
    assert_int_equal(info->classes, 301);
    assert_int_equal(info->longest, T);
    assert_null(data_vocabulary(data));
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 3);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 1);
    for (size_t s = 0; s < N; s++) {
        int32_t ids[T], c[T];
        data_read(data, SPLIT_ALL, s, ids, NULL, c, NULL);
        for (size_t t = 0; t < T; t++) {
            assert_int_equal(ids[t], IDS[s * T + t]);
            assert_int_equal(c[t], classes[s * T + t]);
        }
    }
    int32_t ids[T];
    data_read(data, SPLIT_VALIDATION, 0, ids, NULL, NULL, NULL);
    assert_int_equal(ids[0], 9);
    data_close(&data);
    config.validation = 0.2;
    open_fails(config, ERR_DATA, LIST("f:", "validation split", "0.2 of 4 sequences", "data.validation"));
}

static void every_sequence_has_a_class(void **state) {
    (void)state;
    hid_t file = h5_new("f");
    const int classes[N] = {1, 0, 2, 1};
    h5_set(file, "inputs", H5T_STD_U8BE, H5T_NATIVE_INT, DIMS(N, T), IDS);
    h5_set(file, "targets", H5T_STD_I16BE, H5T_NATIVE_INT, DIMS(N), classes);
    h5_attribute(file, "targets", "num_classes", 5);
    h5_attribute(file, "/", "num_embeddings", 20);
    H5Fclose(file);
    Data *data = open_data(sequences("f"));
    const DataInfo *info = data_info(data);
    assert_int_equal(info->classes, 5);
    assert_int_equal(info->vocabulary, 20);
    assert_false(info->target_per_step);
    for (size_t s = 0; s < N; s++) {
        int32_t c[2] = {7, 7}, ids[T];
        data_read(data, SPLIT_TRAIN, s, ids, NULL, c, NULL);
        assert_int_equal(c[0], classes[s]);
        assert_int_equal(c[1], 7);
        assert_int_equal(ids[2], IDS[s * T + 2]);
    }
    data_close(&data);
    DataConfig config = sequences("f");
    config.num_classes = 3;
    data = open_data(config);
    assert_int_equal(data_info(data)->classes, 3);
    data_close(&data);
    config.num_classes = 2;
    open_fails(config, ERR_DATA, LIST("f: targets[2] is 2", "below 2", "model's classes"));
}

static void booleans_are_classes(void **state) {
    (void)state;
    hid_t file = h5_new("f"), type = H5Tenum_create(H5T_STD_I8LE);
    const int8_t flag[] = {0, 1}, classes[N] = {1, 0, 0, 1};
    H5Tenum_insert(type, "FALSE", &flag[0]);
    H5Tenum_insert(type, "TRUE", &flag[1]);
    h5_ints(file, "inputs", DIMS(N, T), IDS);
    h5_set(file, "targets", type, type, DIMS(N), classes);
    H5Tclose(type);
    H5Fclose(file);
    Data *data = open_data(sequences("f"));
    assert_int_equal(data_info(data)->classes, 2);
    int32_t c;
    data_read(data, SPLIT_ALL, 3, NULL, NULL, &c, NULL);
    assert_int_equal(c, 1);
    data_close(&data);
}

static void values_belong_to_steps_or_sequences(void **state) {
    (void)state;
    const int ranks[] = {1, 2, 3};
    for (size_t r = 0; r < 3; r++) {
        hid_t file = h5_new("f");
        const hsize_t dim[] = {N, r == 1 ? F : T, F};
        h5_reals(file, "inputs", DIMS(N, T, F), X);
        h5_reals(file, "targets", ranks[r], dim, X);
        H5Fclose(file);
        Data *data = open_data(sequences("f"));
        const DataInfo *info = data_info(data);
        assert_false(info->ids);
        assert_int_equal(info->vocabulary, 0);
        assert_int_equal(info->features, F);
        assert_int_equal(info->target, TARGET_VALUES);
        assert_int_equal(info->target_per_step, r == 2);
        assert_int_equal(info->classes, r == 0 ? 1 : F);
        size_t numbers = r == 0 ? 1 : r == 1 ? F : T * F;
        for (size_t s = 0; s < N; s++) {
            float x[T * F], values[T * F];
            data_read(data, SPLIT_TRAIN, s, NULL, x, NULL, values);
            for (size_t i = 0; i < T * F; i++) assert_true(x[i] == (float)X[s * T * F + i]);
            for (size_t i = 0; i < numbers; i++) assert_true(values[i] == (float)X[s * numbers + i]);
        }
        data_close(&data);
    }
}

static void what_lies_behind_the_length_is_not_looked_at(void **state) {
    (void)state;
    for (int per_step = 0; per_step < 2; per_step++) {
        hid_t file = h5_new("f");
        double x[N * T * F], y[N * T];
        const int length[N] = {3, 1, 2, 1};
        for (size_t i = 0; i < N * T * F; i++) x[i] = i / F % T < (size_t)length[i / F / T] ? X[i] : (double)NAN;
        for (size_t i = 0; i < N * T; i++) y[i] = !per_step || i % T < (size_t)length[i / T] ? (double)i : INFINITY;
        h5_reals(file, "inputs", DIMS(N, T, F), x);
        h5_ints(file, "lengths", DIMS(N), length);
        if (per_step) h5_reals(file, "targets", DIMS(N, T, 1), y);
        else h5_reals(file, "targets", DIMS(N, 3), y);
        H5Fclose(file);
        DataConfig config = sequences("f");
        config.validation = 0.5;
        Data *data = open_data(config);
        assert_true(data_info(data)->ragged);
        assert_int_equal(data_info(data)->longest, 3);
        for (size_t s = 0; s < N; s++) {
            Split split = s < 2 ? SPLIT_TRAIN : SPLIT_VALIDATION;
            float got[T * F], values[T];
            assert_int_equal(data_length(data, split, s % 2), length[s]);
            assert_int_equal(data_length(data, SPLIT_ALL, s), length[s]);
            data_read(data, split, s % 2, NULL, got, NULL, values);
            for (size_t i = 0; i < (size_t)length[s] * F; i++) assert_true(got[i] == (float)X[s * T * F + i]);
            for (size_t i = 0; i < (per_step ? (size_t)length[s] : 3); i++)
                assert_true(values[i] == (float)(s * T + i));
        }
        data_close(&data);
    }
}

static void full_lengths_are_like_none(void **state) {
    (void)state;
    uint64_t digest[2][2];
    for (int with = 0; with < 2; with++) {
        hid_t file = h5_new("f");
        const int length[N] = {T, T, T, T};
        h5_set(file, "inputs", with ? H5T_STD_I8LE : H5T_STD_U64BE, H5T_NATIVE_INT, DIMS(N, T), IDS);
        if (with) h5_ints(file, "lengths", DIMS(N), length);
        H5Fclose(file);
        Data *data = open_data(sequences("f"));
        assert_false(data_info(data)->ragged);
        assert_int_equal(data_info(data)->target, TARGET_NONE);
        memcpy(digest[with], data_info(data)->digest, 16);
        data_close(&data);
    }
    assert_memory_equal(digest[0], digest[1], 16);
}

static void compressed_chunks_read_alike(void **state) {
    (void)state;
    enum { MANY = 5000, STEPS = 300 };
    int *ids = malloc(sizeof *ids * MANY * STEPS);
    for (size_t i = 0; i < MANY * STEPS; i++) ids[i] = (int)((i * 2654435761u >> 7) % 70001);
    hid_t file = h5_new("f"), list = H5Pcreate(H5P_DATASET_CREATE), space = H5Screate_simple(DIMS(MANY, STEPS), NULL);
    H5Pset_chunk(list, DIMS(37, 300));
    H5Pset_deflate(list, 1);
    hid_t set = H5Dcreate2(file, "inputs", H5T_STD_I32LE, space, H5P_DEFAULT, list, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_INT, H5S_ALL, H5S_ALL, H5P_DEFAULT, ids) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
    Data *data = open_data(sequences("f"));
    assert_int_equal(data_sequences(data, SPLIT_ALL), MANY);
    for (size_t s = 0; s < MANY; s++) {
        int32_t got[STEPS];
        data_read(data, SPLIT_ALL, s, got, NULL, NULL, NULL);
        assert_memory_equal(got, ids + s * STEPS, sizeof got);
    }
    data_close(&data);
    free(ids);
}

static void cells_widen_as_numbers_grow(void **state) {
    (void)state;
    const int ids[] = {1, 255, 256, 2, 65535, 3, 65536, 4};
    for (hsize_t count = 1; count <= 4; count++) {
        hid_t file = h5_new("f");
        h5_ints(file, "inputs", DIMS(count, 2), ids);
        H5Fclose(file);
        Data *data = open_data(sequences("f"));
        for (size_t s = 0; s < count; s++) {
            int32_t got[2];
            data_read(data, SPLIT_ALL, s, got, NULL, NULL, NULL);
            assert_memory_equal(got, ids + 2 * s, sizeof got);
        }
        data_close(&data);
    }
}

static void put_vocabulary(hid_t file, const char *const *token, size_t count, bool variable) {
    char fixed[16][4] = {""};
    for (size_t i = 0; i < count; i++) memcpy(fixed[i], token[i], strlen(token[i]));
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, variable ? H5T_VARIABLE : 4);
    H5Tset_strpad(type, H5T_STR_NULLPAD);
    h5_set(file, "vocabulary", type, type, 1, (const hsize_t[]){count}, variable ? (const void *)token : fixed);
    H5Tclose(type);
}

static void ids_have_text(void **state) {
    (void)state;
    const char *tokens[] = {"", "a", "bb", "cccc", "\xC3\xA9", "f", "g", "h", "i", "j", "k", "l", "m"};
    for (int variable = 0; variable < 2; variable++) {
        hid_t file = h5_new("f");
        h5_ints(file, "inputs", DIMS(N, T), IDS);
        put_vocabulary(file, tokens, 13, variable);
        H5Fclose(file);
        Data *data = open_data(sequences("f"));
        assert_int_equal(data_info(data)->vocabulary, 13);
        for (size_t i = 0; i < 13; i++) assert_string_equal(data_vocabulary(data)->token[i], tokens[i]);
        data_close(&data);
        file = h5_new("f");
        h5_ints(file, "inputs", DIMS(N, T), IDS);
        put_vocabulary(file, tokens, 11, variable);
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA, LIST("f: inputs[3, 2] is 11", "below 11", "data set vocabulary"));
    }
    Vocabulary *v;
    DataConfig config = sequences("f");
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("", "b", "c"), 3, &v), OK);
    config.vocabulary = v;
    open_fails(config, ERR_DATA, LIST("f:", "vocabulary", "id 1", "'a'", "'b'"));
    vocabulary_destroy(&v);
    const double ones[2] = {1, 1};
    hid_t file = h5_new("f");
    h5_ints(file, "inputs", DIMS(1, 2), IDS);
    h5_reals(file, "vocabulary", DIMS(2), ones);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f:", "vocabulary", "strings"));
}

static void validation_file_has_the_same_layout(void **state) {
    (void)state;
    const int classes[] = {3, 7};
    hid_t file = h5_new("f");
    h5_ints(file, "inputs", DIMS(N, T), IDS);
    h5_ints(file, "targets", DIMS(N), IDS);
    H5Fclose(file);
    file = h5_new("v");
    h5_ints(file, "inputs", DIMS(2, 4), IDS);
    h5_ints(file, "targets", DIMS(2), classes);
    H5Fclose(file);
    DataConfig config = sequences("f");
    config.validation_path = "v";
    Data *data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 4);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 2);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 6);
    assert_int_equal(data_info(data)->classes, 8);
    assert_int_equal(data_info(data)->longest, 4);
    assert_true(data_info(data)->ragged);
    int32_t ids[4], c;
    data_read(data, SPLIT_ALL, 5, ids, NULL, &c, NULL);
    assert_int_equal(ids[0], 4);
    assert_int_equal(c, 7);
    data_close(&data);
    file = h5_new("v");
    h5_ints(file, "inputs", DIMS(2, 4), IDS);
    h5_reals(file, "targets", DIMS(2, 1), X);
    H5Fclose(file);
    open_fails(config, ERR_DATA, LIST("v:", "targets", "f;"));
    config.validation_path = "nowhere";
    open_fails(config, ERR_DATA, LIST("nowhere", strerror(ENOENT)));
}

/* ---- files that are wrong ------------------------------------------------------------------------------ */

typedef struct Wrong {
    int inputs[3], targets[3], lengths[3]; /* shapes, 0 ends; inputs[0] < 0: no such data set */
    char kind[4];                          /* i or f for each of the three */
    const char *says;
} Wrong;

static const Wrong WRONG[] = {
    {{-1}, {2}, {0}, "iii", "no data set inputs"},
    {{4}, {4}, {0}, "iii", "inputs: has 1 dimensions of integers"},
    {{4, 3}, {4}, {0}, "fii", "inputs: has 2 dimensions of floats"},
    {{4, 3}, {3}, {0}, "iii", "targets: has 3 sequences and inputs 4"},
    {{4, 3}, {4, 2}, {0}, "iii", "targets: has 2 steps and inputs 3; classes are [N, T] or [N]"},
    {{4, 3}, {4, 2, 1}, {0}, "ifi", "targets: has 2 steps and inputs 3; values per step"},
    {{4, 3}, {4, 3, 1}, {0}, "iii", "3 dimensions of integers"},
    {{4, 3}, {4}, {3}, "iii", "lengths: must be one integer for each of the 4"},
    {{4, 3}, {4}, {4}, "iif", "lengths: must be one integer for each of the 4"},
    {{4, 3}, {4}, {4, 1}, "iii", "lengths: must be one integer for each of the 4"},
};

static int rank_of(const int shape[3], hsize_t dim[3]) {
    int rank = 0;
    for (; rank < 3 && shape[rank] > 0; rank++) dim[rank] = (hsize_t)shape[rank];
    return rank;
}

static void shapes_that_do_not_fit(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof WRONG / sizeof *WRONG; i++) {
        const int *shape[] = {WRONG[i].inputs, WRONG[i].targets, WRONG[i].lengths};
        const char *name[] = {"inputs", "targets", "lengths"};
        hid_t file = h5_new("f");
        for (size_t j = 0; j < 3; j++) {
            hsize_t dim[3];
            int rank = rank_of(shape[j], dim);
            if (rank == 0) continue;
            if (WRONG[i].kind[j] == 'i') h5_ints(file, name[j], rank, dim, IDS);
            else h5_reals(file, name[j], rank, dim, X);
        }
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA, LIST("f:", WRONG[i].says));
    }
}

static void values_that_may_not_be(void **state) {
    (void)state;
    int ids[N * T], classes[N * T];
    const int lengths[N] = {3, 3, 0, 3}, longer[N] = {3, 3, 3, 4};
    memcpy(ids, IDS, sizeof ids);
    memcpy(classes, IDS, sizeof classes);
    struct {
        int *at, value;
        const char *says;
    } wrong[] = {
        {&ids[7], -1, "f: inputs[2, 1] is -1"},
        {&ids[7], -100, "f: inputs[2, 1] is -100"},
        {&ids[11], INT32_MAX, "f: inputs[3, 2] is 2147483647"},
        {&classes[3], -1, "f: targets[1, 0] is -1"},
        {&classes[3], 12, "f: targets[1, 0] is 12: must be 0 or more (or -100, ignored) and below 12, attribute"}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int before = *wrong[i].at;
        *wrong[i].at = wrong[i].value;
        hid_t file = h5_new("f");
        h5_ints(file, "inputs", DIMS(N, T), ids);
        h5_ints(file, "targets", DIMS(N, T), classes);
        h5_attribute(file, "/", "num_classes", 12);
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA, LIST(wrong[i].says));
        *wrong[i].at = before;
    }
    for (int i = 0; i < 2; i++) {
        hid_t file = h5_new("f");
        h5_ints(file, "inputs", DIMS(N, T), ids);
        h5_ints(file, "lengths", DIMS(N), i ? longer : lengths);
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA,
                   LIST(i ? "f: lengths[3] is 4" : "f: lengths[2] is 0", "from 1 to the 3 steps"));
    }
    double x[N * T * F];
    const double bad[] = {NAN, INFINITY, -1e300};
    const char *name[] = {"is nan", "is inf", "is -inf"};
    for (size_t i = 0; i < 3; i++) {
        memcpy(x, X, sizeof x);
        x[2 * T * F + 1 * F + 1] = bad[i];
        hid_t file = h5_new("f");
        h5_reals(file, "inputs", DIMS(N, T, F), i == 1 ? X : x);
        h5_reals(file, "targets", DIMS(N, T, F), i == 1 ? x : X);
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA,
                   LIST(i == 1 ? "f: targets[2, 1, 1]" : "f: inputs[2, 1, 1]", name[i], "finite"));
    }
}

static void huge_numbers_do_not_wrap(void **state) {
    (void)state;
    const uint64_t ids[2] = {1, UINT64_C(1) << 63}, low[2] = {1, UINT64_C(1) << 32};
    for (int i = 0; i < 2; i++) {
        hid_t file = h5_new("f");
        h5_set(file, "inputs", H5T_STD_U64LE, H5T_NATIVE_UINT64, DIMS(1, 2), i ? ids : low);
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA, LIST("f: inputs[0, 1] is", i ? "9223372036854775807" : "4294967296"));
    }
    /* chunks that were never written: no file is too small to claim a large data set */
    hid_t file = h5_new("f"), list = H5Pcreate(H5P_DATASET_CREATE),
          space = H5Screate_simple(DIMS((hsize_t)1 << 40, 1 << 20), NULL);
    H5Pset_chunk(list, DIMS(1, 1024));
    H5Dclose(H5Dcreate2(file, "inputs", H5T_STD_I32LE, space, H5P_DEFAULT, list, H5P_DEFAULT));
    H5Sclose(space);
    H5Pclose(list);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_USAGE, LIST("inputs", "1152921504606846976 bytes"));
}

static void files_that_are_not_ours_to_read(void **state) {
    (void)state;
    const int one = 1;
    hid_t later = h5_new("f");
    h5_ints(later, "inputs", DIMS(N, T), IDS);
    h5_ints(later, "target_lengths", DIMS(1), &one);
    H5Fclose(later);
    open_fails(sequences("f"), ERR_DATA, LIST("f:", "target_lengths", "not supported"));
    for (int i = 0; i < 2; i++) {
        hid_t file = h5_new("f");
        h5_ints(file, "inputs", DIMS(N, T), IDS);
        h5_ints(file, "targets", DIMS(N, T), IDS);
        h5_attribute(file, i ? "inputs" : "targets", i ? "num_embeddings" : "num_classes", i ? 0 : -1);
        H5Fclose(file);
        open_fails(sequences("f"), ERR_DATA, LIST("f:", i ? "num_embeddings" : "num_classes", "one integer"));
    }
    hid_t file = h5_new("f"), group = H5Gcreate2(file, "inputs", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    H5Gclose(group);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f: inputs: is not a data set"));
    file = h5_new("f");
    h5_set(file, "inputs", H5T_STD_REF_OBJ, H5T_STD_REF_OBJ, DIMS(2, 1), (const hobj_ref_t[2]){0, 0});
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f:", "inputs", "neither integers nor floats"));
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(0, 3), &one);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f:", "inputs", "is empty", "dimension 0"));
    file = h5_new("f");
    h5_ints(file, "inputs", DIMS(1, 1, 1, 1), &one);
    H5Fclose(file);
    open_fails(sequences("f"), ERR_DATA, LIST("f:", "inputs", "4 dimensions"));
    write_text("f", "inputs,targets\n");
    open_fails(sequences("f"), ERR_DATA, LIST("f:", "HDF5", "data.kind: sequences"));
    write_text("f", "");
    open_fails(sequences("f"), ERR_DATA, LIST("(f)", "is empty"));
    open_fails(sequences("nowhere"), ERR_DATA, LIST("nowhere", strerror(ENOENT)));
    DataConfig two = {.kind = DATA_SEQUENCES, .path = LIST("f", "f"), .paths = 2};
    open_fails(two, ERR_USAGE, LIST("sequences", "2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_step_has_a_class),
        cmocka_unit_test(every_sequence_has_a_class),
        cmocka_unit_test(booleans_are_classes),
        cmocka_unit_test(values_belong_to_steps_or_sequences),
        cmocka_unit_test(what_lies_behind_the_length_is_not_looked_at),
        cmocka_unit_test(full_lengths_are_like_none),
        cmocka_unit_test(compressed_chunks_read_alike),
        cmocka_unit_test(cells_widen_as_numbers_grow),
        cmocka_unit_test(ids_have_text),
        cmocka_unit_test(validation_file_has_the_same_layout),
        cmocka_unit_test(shapes_that_do_not_fit),
        cmocka_unit_test(values_that_may_not_be),
        cmocka_unit_test(huge_numbers_do_not_wrap),
        cmocka_unit_test(files_that_are_not_ours_to_read),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
