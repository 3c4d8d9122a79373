/* SPDX-License-Identifier: MIT
 *
 * data_files.h: for the tests of data: files in a directory of the test's own, HDF5 data sets from C
 * arrays, and what a failed open must say. */
#ifndef LOCKSTEP_TESTS_DATA_FILES_H
#define LOCKSTEP_TESTS_DATA_FILES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>
#include <hdf5.h>

#include "io/data.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define DIMS(...)                                                                                                      \
    (int)(sizeof((const hsize_t[]){__VA_ARGS__}) / sizeof(hsize_t)), (const hsize_t[]) {                               \
        __VA_ARGS__                                                                                                    \
    }

/* Makes a directory under TMPDIR or /tmp and goes there: tests name files without it. */
static inline int enter_directory(void **state) {
    static char path[256];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/lockstep_data_XXXXXX", base ? base : "/tmp");
    *state = path;
    return !mkdtemp(path) || chdir(path) != 0;
}

static inline int leave_directory(void **state) {
    char command[300];
    snprintf(command, sizeof command, "rm -rf '%s'", (const char *)*state);
    return chdir("/") != 0 || system(command) != 0;
}

static inline void write_bytes(const char *path, const void *data, size_t bytes) {
    unlink(path); /* ext4 writes out a file that is cut and written anew, at once */
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

static inline void write_text(const char *path, const char *text) {
    write_bytes(path, text, strlen(text));
}

/* ---- HDF5 ---- */

static inline hid_t h5_new(const char *path) {
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(file >= 0);
    return file;
}

/* `stored` is the type in the file, `memory` that of the values. */
static inline void h5_set(hid_t file, const char *name, hid_t stored, hid_t memory, int rank, const hsize_t *dim,
                          const void *value) {
    hid_t space = H5Screate_simple(rank, dim, NULL);
    hid_t set = H5Dcreate2(file, name, stored, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(set >= 0);
    assert_true(H5Dwrite(set, memory, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static inline void h5_ints(hid_t file, const char *name, int rank, const hsize_t *dim, const int *value) {
    h5_set(file, name, H5T_STD_I64LE, H5T_NATIVE_INT, rank, dim, value);
}

static inline void h5_reals(hid_t file, const char *name, int rank, const hsize_t *dim, const double *value) {
    h5_set(file, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, rank, dim, value);
}

static inline void h5_attribute(hid_t file, const char *object, const char *name, int value) {
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute =
        H5Acreate_by_name(file, object, name, H5T_STD_I32LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    assert_true(attribute >= 0);
    assert_true(H5Awrite(attribute, H5T_NATIVE_INT, &value) >= 0);
    H5Aclose(attribute);
    H5Sclose(space);
}

/* ---- opening ---- */

static inline Data *open_data(DataConfig config) {
    Data *data = NULL;
    Status status = data_open(&config, &data);
    if (status != OK) fail_msg("data_open: %d: %s", (int)status, status_message());
    return data;
}

/* Opening must fail with this code and say every part. */
static inline void open_fails(DataConfig config, Status code, const char *const *part) {
    Data *data = NULL;
    Status status = data_open(&config, &data);
    if (status != code)
        fail_msg("data_open gave %d (%s), not %d", (int)status, status == OK ? "" : status_message(), (int)code);
    assert_null(data);
    for (; *part; part++) {
        if (!strstr(status_message(), *part)) fail_msg("'%s' does not say '%s'", status_message(), *part);
    }
}

/* Reads everything and checks it against the info: for data that nobody has chosen. */
static inline void check_all(const Data *data) {
    const DataInfo *info = data_info(data);
    assert_true(data_sequences(data, SPLIT_ALL) > 0);
    size_t features = info->features ? info->features : 1, columns = info->target == TARGET_VALUES ? info->classes : 1;
    size_t most = info->longest_target > info->longest ? info->longest_target : info->longest;
    int32_t *ids = malloc(info->longest * sizeof *ids), *classes = malloc(most * sizeof *classes);
    float *x = malloc(info->longest * features * sizeof *x), *values = malloc(info->longest * columns * sizeof *values);
    for (int split = 0; split < 3; split++) {
        for (size_t i = 0; i < data_sequences(data, (Split)split); i++) {
            size_t length = data_length(data, (Split)split, i);
            assert_in_range(length, 1, info->longest);
            data_read(data, (Split)split, i, ids, x, classes, values);
            for (size_t t = 0; info->ids && t < length; t++) assert_in_range(ids[t], 0, info->vocabulary - 1);
            size_t targets = data_target_length(data, (Split)split, i);
            if (info->target_vocabulary) assert_in_range(targets, info->target != TARGET_NONE, info->longest_target);
            else assert_int_equal(targets, info->target_per_step ? length : 1);
            for (size_t t = 0; info->target == TARGET_CLASSES && t < targets; t++) {
                if (classes[t] != -100) assert_in_range(classes[t], 0, info->classes - 1);
            }
        }
    }
    free(values);
    free(x);
    free(classes);
    free(ids);
}

#endif
