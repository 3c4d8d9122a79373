/* SPDX-License-Identifier: MIT
 *
 * make_data.c: make_data KIND FILE: HDF5 files as they should not be, for the tests of the whole program.
 *   nothing    no data sets at all
 *   nan        `sequences` with one input that is not a number
 *   targets    targets for another number of sequences than inputs
 *   classes    a target below 0
 *   weights    /model with a bias of another shape and a parameter that no model has */
#include <hdf5.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { N = 3, T = 4, F = 2 };

static int set(hid_t file, const char *name, hid_t type, int rank, const hsize_t *dim, const void *value) {
    hid_t groups = H5Pcreate(H5P_LINK_CREATE), space = H5Screate_simple(rank, dim, NULL);
    H5Pset_create_intermediate_group(groups, 1);
    hid_t data = H5Dcreate2(file, name, type, space, groups, H5P_DEFAULT, H5P_DEFAULT);
    int failed = data < 0 || H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, value) < 0;
    H5Dclose(data);
    H5Sclose(space);
    H5Pclose(groups);
    return failed;
}

static int fill(hid_t file, const char *kind) {
    float x[N * T * F];
    int target[N] = {0, 1, 2};
    for (int i = 0; i < N * T * F; i++) x[i] = (float)i / 8;
    if (strcmp(kind, "nothing") == 0) return 0;
    if (strcmp(kind, "weights") == 0)
        return set(file, "model/fc.bias", H5T_NATIVE_FLOAT, 1, (hsize_t[]){5}, x) ||
               set(file, "model/fc.extra", H5T_NATIVE_FLOAT, 2, (hsize_t[]){2, 3}, x);
    hsize_t targets = N;
    if (strcmp(kind, "nan") == 0) x[(1 * T + 2) * F + 1] = NAN;
    else if (strcmp(kind, "targets") == 0) targets = N - 1;
    else if (strcmp(kind, "classes") == 0) target[1] = -1;
    else return 1;
    return set(file, "inputs", H5T_NATIVE_FLOAT, 3, (hsize_t[]){N, T, F}, x) ||
           set(file, "targets", H5T_NATIVE_INT, 1, &targets, target);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    hid_t file = H5Fcreate(argv[2], H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    if (file < 0) return 1;
    int failed = fill(file, argv[1]);
    return H5Fclose(file) < 0 || failed;
}
