/* SPDX-License-Identifier: MIT
 *
 * checkpoint_hostile.h: HDF5 objects that no checkpoint of ours has, for tests. */
#ifndef LOCKSTEP_TESTS_CHECKPOINT_HOSTILE_H
#define LOCKSTEP_TESTS_CHECKPOINT_HOSTILE_H

#include <hdf5.h>

#include "checkpoint_fixture.h"

#include "io/checkpoint_format.h"

static inline void put(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims, hid_t plist) {
    hid_t space = rank < 0    ? H5Screate(H5S_NULL)
                  : rank == 0 ? H5Screate(H5S_SCALAR)
                              : H5Screate_simple(rank, dims, NULL);
    hid_t set = H5Dcreate2(file, name, type, space, H5P_DEFAULT, plist, H5P_DEFAULT);
    assert_true(set >= 0);
    H5Dclose(set);
    H5Sclose(space);
}

static inline hid_t properties(H5D_alloc_time_t when) {
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    assert_true(H5Pset_alloc_time(plist, when) >= 0);
    return plist;
}

static inline void put_early(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dims) {
    hid_t plist = properties(H5D_ALLOC_TIME_EARLY);
    put(file, name, type, rank, dims, plist);
    H5Pclose(plist);
}

static inline void drop(hid_t file, const char *name) {
    assert_true(H5Ldelete(file, name, H5P_DEFAULT) >= 0);
}

static const hsize_t FIVE[] = {5};

/* ---- files of other programs ---- */

static inline hid_t foreign_create(const char *path, hsize_t user_block) {
    hid_t plist = H5Pcreate(H5P_FILE_CREATE);
    assert_true(H5Pset_userblock(plist, user_block) >= 0);
    hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, plist, H5P_DEFAULT);
    assert_true(file >= 0);
    H5Pclose(plist);
    H5Gclose(H5Gcreate2(file, "model", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT));
    return file;
}

static inline void write_values(hid_t file, const char *name, hid_t type, hid_t plist) {
    static const float value[] = {1.5F, -2, 3, 4, 5, 6};
    const hsize_t dims[] = {2, 3};
    put(file, name, type, 2, dims, plist);
    hid_t set = H5Dopen2(file, name, H5P_DEFAULT);
    assert_true(H5Dwrite(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) >= 0);
    H5Dclose(set);
}

/* A directory with a pipe in it: a reader that follows a name to it hangs, and the alarm ends the test. */
static inline int hostile_setup(void **state) {
    if (directory_setup(state) != 0) return -1;
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    alarm(120);
    return mkfifo(in_directory("pipe"), 0666);
}

#endif
