/* SPDX-License-Identifier: MIT
 *
 * test_checkpoint_hostile.c: files with a right digest and wrong contents, each refused with a message of its
 * own; files of other programs. What a hostile name points at is a pipe: a reader that followed it would
 * hang, and the alarm would end the test. */
#include "checkpoint_hostile.h"

typedef struct Hostile {
    void (*change)(hid_t file);
    const char *says;
} Hostile;

/* ---- links -------------------------------------------------------------------------------------------- */

static void soft_link(hid_t file) {
    assert_true(H5Lcreate_soft("/model/fc.bias", file, "/model/more", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}
static void soft_group(hid_t file) {
    assert_true(H5Lmove(file, "model", file, "optimizer/m", H5P_DEFAULT, H5P_DEFAULT) >= 0);
    assert_true(H5Lcreate_soft("/optimizer/m", file, "/model", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}
static void external_at(hid_t file, const char *name) {
    assert_true(H5Lcreate_external(in_directory("pipe"), "/x", file, name, H5P_DEFAULT, H5P_DEFAULT) >= 0);
}
static void external_set(hid_t file) {
    drop(file, "model/fc.bias");
    external_at(file, "model/fc.bias");
}
static void external_slot(hid_t file) {
    drop(file, "optimizer/exp_avg");
    external_at(file, "optimizer/exp_avg");
}
static void external_vocabulary(hid_t file) {
    drop(file, "vocabulary");
    external_at(file, "vocabulary");
}
static void two_names(hid_t file) {
    assert_true(H5Lcreate_hard(file, "model/fc.bias", file, "model/other", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}
static void two_groups(hid_t file) {
    drop(file, "optimizer");
    assert_true(H5Lcreate_hard(file, "model", file, "optimizer", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}
static void cycle(hid_t file) {
    assert_true(H5Lcreate_hard(file, "model", file, "model/self", H5P_DEFAULT, H5P_DEFAULT) >= 0);
}

/* ---- storage -------------------------------------------------------------------------------------------- */

static void external_storage(hid_t file) {
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_external(plist, in_directory("pipe"), 0, 20) >= 0);
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 1, FIVE, plist);
    H5Pclose(plist);
}
static void virtual_set(hid_t file) {
    hid_t space = H5Screate_simple(1, FIVE, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_virtual(plist, space, in_directory("pipe"), "/x", space) >= 0);
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 1, FIVE, plist);
    H5Pclose(plist);
    H5Sclose(space);
}
static void virtual_config(hid_t file) {
    hid_t space = H5Screate_simple(1, FIVE, NULL), plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_virtual(plist, space, in_directory("pipe"), "/x", space) >= 0);
    drop(file, "config");
    put(file, "config", H5T_IEEE_F32LE, 1, FIVE, plist);
    H5Pclose(plist);
    H5Sclose(space);
}
static void chunked(hid_t file) {
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(plist, 1, FIVE) >= 0 && H5Pset_deflate(plist, 1) >= 0);
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 1, FIVE, plist);
    H5Pclose(plist);
}
static size_t no_filter(unsigned flags, size_t n, const unsigned *values, size_t bytes, size_t *room, void **data) {
    (void)flags, (void)n, (void)values, (void)room, (void)data;
    return bytes;
}
static void foreign_filter(hid_t file) {
    const H5Z_class2_t class = {H5Z_CLASS_T_VERS, 32123, 1, 1, "ours alone", NULL, NULL, no_filter};
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Zregister(&class) >= 0);
    assert_true(H5Pset_chunk(plist, 1, FIVE) >= 0 && H5Pset_filter(plist, 32123, H5Z_FLAG_MANDATORY, 0, NULL) >= 0);
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 1, FIVE, plist);
    H5Pclose(plist);
    H5Zunregister(32123);
}
static void never_stored(hid_t file) {
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 1, FIVE, H5P_DEFAULT);
}
static void huge(hid_t file) {
    const hsize_t dims[] = {(hsize_t)1 << 40, 1000};
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 2, dims, H5P_DEFAULT);
}

/* ---- types and shapes --------------------------------------------------------------------------------------- */

static void integers(hid_t file) {
    drop(file, "model/fc.bias");
    put_early(file, "model/fc.bias", H5T_STD_I32LE, 1, FIVE);
}
static void doubles(hid_t file) {
    drop(file, "model/fc.bias");
    put_early(file, "model/fc.bias", H5T_IEEE_F64LE, 1, FIVE);
}
static void big_endian(hid_t file) {
    drop(file, "model/fc.bias");
    put_early(file, "model/fc.bias", H5T_IEEE_F32BE, 1, FIVE);
}
static void five_dimensions(hid_t file) {
    const hsize_t dims[] = {1, 1, 1, 1, 5};
    drop(file, "model/fc.bias");
    put_early(file, "model/fc.bias", H5T_IEEE_F32LE, 5, dims);
}
static void no_space(hid_t file) {
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, -1, NULL, H5P_DEFAULT);
}
static void group_as_set(hid_t file) {
    H5Gclose(H5Gcreate2(file, "model/g", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
}
static void type_as_set(hid_t file) {
    hid_t type = H5Tcopy(H5T_IEEE_F32LE);
    assert_true(H5Tcommit2(file, "model/t", type, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT) >= 0);
    H5Tclose(type);
}
static void set_as_slot(hid_t file) {
    put_early(file, "optimizer/x", H5T_IEEE_F32LE, 1, FIVE);
}
static void stray_moment(hid_t file) {
    put_early(file, "optimizer/exp_avg/nobody", H5T_IEEE_F32LE, 1, FIVE);
}
static void moment_of_another_shape(hid_t file) {
    const hsize_t dims[] = {6};
    drop(file, "optimizer/exp_avg/fc.bias");
    put_early(file, "optimizer/exp_avg/fc.bias", H5T_IEEE_F32LE, 1, dims);
}
static void control_character(hid_t file) {
    put_early(file, "model/a\nb", H5T_IEEE_F32LE, 1, FIVE);
}

/* ---- presence, attributes, texts ------------------------------------------------------------------------------ */

static void no_model(hid_t file) {
    drop(file, "model");
}
static void no_optimizer(hid_t file) {
    drop(file, "optimizer");
}
static void no_config(hid_t file) {
    drop(file, "config");
}
static void missing_parameter(hid_t file) {
    drop(file, "model/scale");
}
static void stranger(hid_t file) {
    put_early(file, "payload", H5T_STD_U8LE, 1, FIVE);
}
static void attribute(hid_t file, const char *name, hid_t type, const void *value) {
    hid_t space = H5Screate(H5S_SCALAR);
    H5Adelete(file, name);
    hid_t made = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(made >= 0 && H5Awrite(made, type, value) >= 0);
    H5Aclose(made);
    H5Sclose(space);
}
static void no_step(hid_t file) {
    assert_true(H5Adelete(file, "step") >= 0);
}
static void step_of_text(hid_t file) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 2);
    attribute(file, "step", type, "10");
    H5Tclose(type);
}
static void another_step(hid_t file) {
    const int64_t step = 11;
    attribute(file, "step", H5T_NATIVE_INT64, &step);
}
static void another_format(hid_t file) {
    hid_t type = H5Tcopy(H5T_C_S1);
    H5Tset_size(type, 8);
    attribute(file, "format", type, "whatever");
    H5Tclose(type);
}
static void newer_version(hid_t file) {
    const int64_t version = 2;
    attribute(file, "format_version", H5T_NATIVE_INT64, &version);
}
static void digest_too_long(hid_t file) {
    hid_t type = H5Tcopy(H5T_C_S1);
    char text[4000];
    memset(text, 'f', sizeof text);
    H5Tset_size(type, sizeof text);
    attribute(file, "state_digest", type, text);
    H5Tclose(type);
}
static void another_value(hid_t file) {
    const float value[5] = {1, 2, 3, 4, 5};
    hid_t set = H5Dopen2(file, "model/fc.bias", H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0);
    H5Dclose(set);
}
static void config_of_numbers(hid_t file) {
    drop(file, "config");
    put_early(file, "config", H5T_STD_I32LE, 1, FIVE);
}
static void vocabulary_of_numbers(hid_t file) {
    drop(file, "vocabulary");
    put_early(file, "vocabulary", H5T_STD_I32LE, 1, FIVE);
}
static void put_tokens(hid_t file, const char *tokenizer, size_t size, const char *const *token) {
    const hsize_t dims[] = {size};
    hid_t type = H5Tcopy(H5T_C_S1), space = H5Screate_simple(1, dims, NULL);
    H5Tset_size(type, H5T_VARIABLE);
    H5Tset_cset(type, H5T_CSET_UTF8);
    drop(file, "vocabulary");
    hid_t set = H5Dcreate2(file, "vocabulary", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    if (token != NULL) assert_true(H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, token) >= 0);
    attribute(set, "tokenizer", type, &tokenizer);
    H5Dclose(set);
    H5Sclose(space);
    H5Tclose(type);
}
static void vocabulary_twice_the_same(hid_t file) {
    const char *const token[] = {"a", "b", "a"};
    put_tokens(file, "char", 3, token);
}
static void vocabulary_not_utf8(hid_t file) {
    const char *const token[] = {"a", "\xff"};
    put_tokens(file, "char", 2, token);
}
static void vocabulary_huge(hid_t file) {
    put_tokens(file, "char", (size_t)1 << 40, NULL);
}
static void vocabulary_of_another_kind(hid_t file) {
    const char *const token[] = {"a"};
    put_tokens(file, "words", 1, token);
}
static void vocabulary_without_tokenizer(hid_t file) {
    hid_t set = H5Dopen2(file, "vocabulary", H5P_DEFAULT);
    assert_true(H5Adelete(set, "tokenizer") >= 0);
    H5Dclose(set);
}
static void unchanged(hid_t file) {
    (void)file;
}

static const Hostile HOSTILE[] = {
    {soft_link, "/model/more is a soft or external link"},
    {soft_group, "/model is a soft or external link"},
    {external_set, "/model/fc.bias is a soft or external link"},
    {external_slot, "/optimizer/exp_avg is a soft or external link"},
    {external_vocabulary, "/vocabulary is a soft or external link"},
    {two_names, "is stored once under several names"},
    {two_groups, "is stored once under several names"},
    {cycle, "/model is stored once under several names"},
    {external_storage, "/model/fc.bias has external storage"},
    {virtual_set, "/model/fc.bias is a virtual data set"},
    {virtual_config, "/config is a virtual data set"},
    {chunked, "/model/fc.bias is not stored in one piece"},
    {foreign_filter, "/model/fc.bias uses filter 32123"},
    {never_stored, "/model/fc.bias of shape [5] takes 20 bytes, but 0 are stored"},
    {huge, "/model/fc.bias of shape [1099511627776, 1000] takes 4398046511104000 bytes, but 0 are stored"},
    {integers, "/model/fc.bias is not float32"},
    {doubles, "/model/fc.bias is not float32"},
    {big_endian, "/model/fc.bias is not float32"},
    {five_dimensions, "/model/fc.bias has 5 dimensions"},
    {no_space, "/model/fc.bias has no shape"},
    {group_as_set, "/model/g is not a data set"},
    {type_as_set, "/model/t is not a data set"},
    {set_as_slot, "/optimizer/x is not a group"},
    {stray_moment, "/optimizer/exp_avg/nobody belongs to no parameter"},
    {moment_of_another_shape, "/optimizer/exp_avg/fc.bias has another shape"},
    {control_character, "/model/a?b is not a name of ours"},
    {no_model, "/model is missing"},
    {no_optimizer, "/optimizer is missing"},
    {no_config, "/config is missing"},
    {missing_parameter, "state_digest is"},
    {stranger, "/payload does not belong in a checkpoint"},
    {no_step, "attribute 'step' is missing"},
    {step_of_text, "attribute 'step' is missing or of another type"},
    {another_step, "state_digest is"},
    {another_format, "attribute 'format' is not"},
    {newer_version, "attribute 'format_version' is not 1"},
    {digest_too_long, "attribute 'state_digest' is missing or of another type"},
    {another_value, "state_digest is"},
    {config_of_numbers, "/config is not one text"},
    {vocabulary_of_numbers, "/vocabulary has no attribute 'tokenizer'"},
    {vocabulary_twice_the_same, "occurs twice"},
    {vocabulary_not_utf8, "is not UTF-8"},
    {vocabulary_huge, "/vocabulary declares 1099511627776 tokens"},
    {vocabulary_of_another_kind, "/vocabulary is not a list of tokens"},
    {vocabulary_without_tokenizer, "/vocabulary has no attribute 'tokenizer'"},
};

static void change(const char *path, void (*how)(hid_t file), bool reseal) {
    hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    assert_true(file >= 0);
    how(file);
    assert_true(H5Fclose(file) >= 0);
    int fd = open(path, O_RDWR);
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    if (reseal) assert_int_equal(checkpoint_seal(fd, (uint64_t)info.st_size), 0);
    close(fd);
}

static void hostile_contents_are_refused(void **state) {
    (void)state;
    const char *path = in_directory("a.h5");
    CheckpointFile *file;
    char copy[256];
    strcpy(copy, path);
    write_small(copy, 10);
    change(copy, unchanged, true);
    assert_int_equal(checkpoint_open(copy, &file), OK); /* the seal of this test is a right one */
    checkpoint_close(&file);
    for (size_t i = 0; i < sizeof HOSTILE / sizeof *HOSTILE; i++) {
        write_small(copy, 10);
        change(copy, HOSTILE[i].change, true);
        expect_refused(copy, HOSTILE[i].says);
        assert_int_equal(checkpoint_open_any(copy, &file), ERR_CHECKPOINT);
    }
}

/* ---- other programs' files -------------------------------------------------------------------------------------- */

static void bomb(hid_t file) {
    const hsize_t dims[] = {(hsize_t)1 << 20, (hsize_t)1 << 18}, chunk[] = {256, 256};
    static const float value[256 * 256];
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE), all = H5Screate_simple(2, dims, NULL),
          part = H5Screate_simple(2, chunk, NULL);
    const hsize_t start[] = {0, 0};
    assert_true(H5Pset_chunk(plist, 2, chunk) >= 0 && H5Pset_deflate(plist, 9) >= 0);
    drop(file, "model/fc.bias");
    hid_t set = H5Dcreate2(file, "model/fc.bias", H5T_IEEE_F32LE, all, H5P_DEFAULT, plist, H5P_DEFAULT);
    H5Sselect_hyperslab(all, H5S_SELECT_SET, start, NULL, chunk, NULL);
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, part, all, H5P_DEFAULT, value) >= 0);
    H5Dclose(set);
    H5Sclose(part);
    H5Sclose(all);
    H5Pclose(plist);
}
static void overflowing(hid_t file) {
    const hsize_t dims[] = {(hsize_t)1 << 31, (hsize_t)1 << 31}, chunk[] = {1, 1};
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_chunk(plist, 2, chunk) >= 0);
    drop(file, "model/fc.bias");
    put(file, "model/fc.bias", H5T_IEEE_F32LE, 2, dims, plist);
    H5Pclose(plist);
}

static void hostile_weights_are_refused(void **state) {
    (void)state;
    static const Hostile hostile[] = {
        {soft_link, "/model/more is a soft or external link"},
        {external_set, "/model/fc.bias is a soft or external link"},
        {external_storage, "/model/fc.bias has external storage"},
        {virtual_set, "/model/fc.bias is a virtual data set"},
        {foreign_filter, "/model/fc.bias uses filter 32123"},
        {integers, "/model/fc.bias is not float32 or float64"},
        {five_dimensions, "/model/fc.bias has 5 dimensions"},
        {group_as_set, "/model/g is not a data set"},
        {cycle, "/model/self is not a data set"},
        {no_model, "it has no group /model"},
        {never_stored, "but 0 are stored"},
        {bomb, "/model/fc.bias of shape [1048576, 262144] takes 1099511627776 bytes"},
        {overflowing, "/model/fc.bias has a shape that overflows"},
    };
    char path[256];
    strcpy(path, in_directory("w.h5"));
    for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
        CheckpointFile *file;
        hid_t made = foreign_create(path, 0);
        put_early(made, "model/fc.bias", H5T_IEEE_F32LE, 1, FIVE);
        H5Fclose(made);
        assert_int_equal(checkpoint_open_any(path, &file), OK);
        checkpoint_close(&file);
        change(path, hostile[i].change, false);
        assert_int_equal(checkpoint_open_any(path, &file), ERR_CHECKPOINT);
        if (strstr(status_message(), hostile[i].says) == NULL)
            fail_msg("\"%s\" lacks \"%s\"", status_message(), hostile[i].says);
    }
}

/* ---- info's question ------------------------------------------------------------------------------------------------ */

int main(void) {
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, hostile_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(hostile_contents_are_refused),
        WITH_DIRECTORY(hostile_weights_are_refused),
    };
    return cmocka_run_group_tests_name("checkpoint_hostile", tests, NULL, NULL);
}
