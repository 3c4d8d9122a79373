/* SPDX-License-Identifier: MIT
 *
 * h5_new.c: libhdf5 writes the temporary file by its name; syncing and renaming are files.c's. */
#include "io/h5_new.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Status new_h5_fail(const NewH5 *file, const char *what) {
    int error = h5_error_number();
    if (error != 0) return write_failed(error, file->path, 0, what);
    return h5_fail(ERR_WRITE, "cannot write %s: %s", file->path, what);
}

/* What HDF5 1.8 and later read; the same content gives the same bytes. */
static Status create(NewH5 *file) {
    H5_SCOPED access = H5Pcreate(H5P_FILE_ACCESS);
    H5_SCOPED creation = H5Pcreate(H5P_FILE_CREATE);
    if (access < 0 || creation < 0 || H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
        H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 || H5Pset_file_locking(access, false, true) < 0 ||
        H5Pset_obj_track_times(creation, false) < 0)
        return new_h5_fail(file, "preparing the file");
    file->file = H5Fcreate(file->atomic.temporary, H5F_ACC_TRUNC, creation, access);
    return file->file < 0 ? new_h5_fail(file, "creating the file") : OK;
}

Status new_h5_create(const char *path, NewH5 *out) {
    *out = (NewH5){.path = path, .file = H5I_INVALID_HID};
    TRY(atomic_create(path, &out->atomic));
    h5_lock();
    Status status = create(out);
    h5_unlock();
    if (status != OK) atomic_abandon(&out->atomic);
    return status;
}

Status new_h5_publish(NewH5 *file) {
    h5_lock();
    hid_t whole = file->file;
    file->file = H5I_INVALID_HID;
    Status status = H5Fclose(whole) < 0 ? new_h5_fail(file, "closing the file") : OK;
    h5_unlock();
    if (status == OK) return atomic_publish(&file->atomic);
    atomic_abandon(&file->atomic);
    return status;
}

void new_h5_abandon(NewH5 *file) {
    h5_lock();
    h5_release(&file->file);
    h5_unlock();
    atomic_abandon(&file->atomic);
}

/* The groups on the way to `name`. Not by libhdf5's intermediate groups, which keep the time of their making: the
 * same contents are to be the same bytes. */
static bool make_groups(const NewH5 *file, const char *name) {
    H5_SCOPED creation = H5Pcreate(H5P_GROUP_CREATE);
    if (creation < 0 || H5Pset_obj_track_times(creation, false) < 0) return false;
    for (const char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
        char path[512];
        int n = snprintf(path, sizeof path, "%.*s", (int)(slash - name), name);
        if (n < 0 || (size_t)n >= sizeof path) return false;
        if (H5Lexists(file->file, path, H5P_DEFAULT) > 0) continue;
        H5_SCOPED group = H5Gcreate2(file->file, path, H5P_DEFAULT, creation, H5P_DEFAULT);
        if (group < 0) return false;
    }
    return true;
}

hid_t new_h5_set(const NewH5 *file, const char *name, hid_t type, int rank, const hsize_t *dim) {
    H5_SCOPED space = rank ? H5Screate_simple(rank, dim, NULL) : H5Screate(H5S_SCALAR);
    H5_SCOPED links = H5Pcreate(H5P_LINK_CREATE);
    H5_SCOPED creation = H5Pcreate(H5P_DATASET_CREATE);
    if (space < 0 || links < 0 || creation < 0 || !make_groups(file, name) ||
        H5Pset_char_encoding(links, H5T_CSET_UTF8) < 0 || H5Pset_obj_track_times(creation, false) < 0)
        return H5I_INVALID_HID;
    return H5Dcreate2(file->file, name, type, space, links, creation, H5P_DEFAULT);
}

Status new_h5_texts(const NewH5 *file, const char *name, char *const *text, size_t count) {
    hsize_t dim = count;
    H5_SCOPED type = h5_text_type();
    H5_SCOPED set = type < 0 ? H5I_INVALID_HID : new_h5_set(file, name, type, 1, &dim);
    if (set < 0 || (count && H5Dwrite(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0))
        return new_h5_fail(file, name);
    return OK;
}

Status new_h5_rows(const NewH5 *file, hid_t set, hid_t type, const void *row, size_t first, size_t count,
                   size_t width) {
    hsize_t start[H5S_MAX_RANK] = {first}, extent[H5S_MAX_RANK], cells = count * width;
    if (count == 0 || set < 0) return OK;
    H5_SCOPED space = H5Dget_space(set);
    H5_SCOPED memory = H5Screate_simple(1, &cells, NULL);
    if (space < 0 || memory < 0 || H5Sget_simple_extent_dims(space, extent, NULL) < 1)
        return new_h5_fail(file, "writing");
    extent[0] = count;
    if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, extent, NULL) < 0 ||
        H5Dwrite(set, type, memory, space, H5P_DEFAULT, row) < 0)
        return new_h5_fail(file, "writing");
    return OK;
}
