/* SPDX-License-Identifier: MIT
 *
 * test_checkpoint_foreign.c: weights of other programs are read, and files of all
 * kinds are told apart. */
#include "checkpoint_hostile.h"

static void foreign_weights_are_read(void **state) {
    (void)state;
    static const char *const name[] = {"model/chunked", "model/compact", "model/double", "model/linked",
                                       "model/single"};
    const hsize_t chunk[] = {2, 2};
    const size_t dim[] = {2, 3};
    char path[256];
    strcpy(path, in_directory("w.h5"));
    for (hsize_t user_block = 0; user_block <= 1024; user_block += 1024) {
        hid_t file = foreign_create(path, user_block), plist = H5Pcreate(H5P_DATASET_CREATE),
              compact = H5Pcreate(H5P_DATASET_CREATE);
        H5Pset_chunk(plist, 2, chunk);
        H5Pset_shuffle(plist);
        H5Pset_deflate(plist, 6);
        H5Pset_fletcher32(plist);
        H5Pset_layout(compact, H5D_COMPACT);
        write_values(file, "model/single", H5T_IEEE_F32LE, H5P_DEFAULT);
        write_values(file, "model/double", H5T_IEEE_F64LE, H5P_DEFAULT);
        write_values(file, "model/chunked", H5T_IEEE_F32LE, plist);
        write_values(file, "model/compact", H5T_IEEE_F32LE, compact);
        H5Lcreate_hard(file, "model/single", file, "model/linked", H5P_DEFAULT, H5P_DEFAULT);
        H5Pclose(plist);
        H5Pclose(compact);
        H5Fclose(file);

        CheckpointFile *weights;
        Status status = checkpoint_open_any(path, &weights);
        if (status != OK) print_error("%s\n", status_message());
        assert_int_equal(status, OK);
        assert_int_equal(checkpoint_arrays(weights), 5);
        assert_string_equal(checkpoint_meta(weights)->state_digest, "");
        for (size_t i = 0; i < 5; i++) {
            float value[6] = {0};
            assert_string_equal(checkpoint_array(weights, i)->name, name[i]);
            assert_int_equal(checkpoint_read(weights, name[i], 2, dim, value), OK);
            assert_true(value[0] == 1.5F && value[1] == -2 && value[5] == 6);
        }
        checkpoint_close(&weights);
        expect_refused(path, "does not start as a Lockstep checkpoint");
    }
}

/* More than is stored, behind a filter: a few bytes that would become a terabyte. */
static void expect_unknown(const char *path, const char *says) {
    H5Kind kind;
    assert_int_equal(checkpoint_sniff(path, &kind), ERR_CHECKPOINT);
    if (strstr(status_message(), says) == NULL) fail_msg("\"%s\" lacks \"%s\"", status_message(), says);
}

static void kinds_are_told_apart(void **state) {
    (void)state;
    H5Kind kind;
    size_t bytes;
    char path[256];
    strcpy(path, in_directory("a.h5"));
    write_small(path, 10);
    assert_int_equal(checkpoint_sniff(path, &kind), OK);
    assert_int_equal(kind, H5_CHECKPOINT);

    char *text = slurp(path, &bytes);
    spill(in_directory("bare.h5"), text + 512, bytes - 512);
    expect_unknown(in_directory("bare.h5"), "without its digest");
    text[bytes - 1] ^= 1;
    spill(in_directory("flipped.h5"), text, bytes);
    expect_unknown(in_directory("flipped.h5"), "it is damaged: its digest is");
    spill(in_directory("head.h5"), text, 100);
    expect_unknown(in_directory("head.h5"), "damaged");
    free(text);
    spill(in_directory("empty.h5"), "", 0);
    expect_unknown(in_directory("empty.h5"), "empty");
    expect_unknown(in_directory("absent.h5"), "No such file");

    hid_t file = foreign_create(path, 0);
    put_early(file, "weights", H5T_IEEE_F32LE, 1, FIVE);
    H5Fclose(file);
    assert_int_equal(checkpoint_sniff(path, &kind), OK);
    assert_int_equal(kind, H5_OTHER);
    file = foreign_create(path, 0);
    put_early(file, "inputs", H5T_IEEE_F32LE, 1, FIVE);
    H5Fclose(file);
    assert_int_equal(checkpoint_sniff(path, &kind), OK);
    assert_int_equal(kind, H5_DATA);
    text = slurp(path, &bytes);
    spill(path, text, bytes - 1);
    expect_unknown(path, "damaged or cut");
    free(text);
}

int main(void) {
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, hostile_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(foreign_weights_are_read),
        WITH_DIRECTORY(kinds_are_told_apart),
    };
    return cmocka_run_group_tests_name("checkpoint_foreign", tests, NULL, NULL);
}
