/* SPDX-License-Identifier: MIT
 *
 * checkpoint_inspect.c: a file whose digest is right may still have been made to deceive, and a foreign
 * one has no digest. No name in a file is ever followed out of it: links are hard, data lies in the
 * file itself, filters are the built-in ones, sizes fit what is stored. Types and layouts are looked at
 * before shapes, because asking for the shape of a virtual data set may open other files. */
#include "io/checkpoint_inspect.h"

#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"

enum { DEFLATE_MOST = 1100 }; /* deflate makes nothing smaller than 1/1032 */

/* ---- links ---------------------------------------------------------------------------------------------- */

void names_free(Names *names) {
    for (size_t i = 0; i < names->count; i++) free(names->name[i]);
    free(names->name);
    free(names->soft);
}

static herr_t collect(hid_t group, const char *name, const H5L_info_t *info, void *data) {
    (void)group;
    Names *names = data;
    char *copy = strdup(name);
    names->short_of_memory = copy == NULL;
    if (copy == NULL) return 1;
    if (info->type != H5L_TYPE_HARD) {
        names->soft = copy;
        return 1;
    }
    if (names->count == names->room) {
        size_t room = names->room == 0 ? 64 : 2 * names->room;
        char **grown = realloc(names->name, room * sizeof *grown);
        if (grown == NULL) {
            free(copy);
            names->short_of_memory = true;
            return 1;
        }
        names->name = grown;
        names->room = room;
    }
    names->name[names->count++] = copy;
    return 0;
}

Status checkpoint_list_links(const CheckpointFile *file, hid_t group, const char *path, Names *names) {
    *names = (Names){0};
    if (H5Literate(group, H5_INDEX_NAME, H5_ITER_NATIVE, NULL, collect, names) < 0)
        return h5_fail(ERR_CHECKPOINT, "checkpoint refused (%s): cannot list /%s", file->path, path);
    if (names->short_of_memory) return status_fail(ERR_USAGE, "no memory to list %s", file->path);
    if (names->soft != NULL)
        return checkpoint_refuse(file, "/%s%s%s is a soft or external link; only data in the file itself is read", path,
                                 path[0] == '\0' ? "" : "/", names->soft);
    return OK;
}

Status checkpoint_open_object(const CheckpointFile *file, hid_t group, const char *name, const char *path,
                              H5I_type_t kind, hid_t *out) {
    H5O_info_t info;
    *out = H5Oopen(group, name, H5P_DEFAULT);
    if (*out < 0) return h5_fail(ERR_CHECKPOINT, "checkpoint refused (%s): cannot open /%s", file->path, path);
    if (H5Iget_type(*out) != kind) {
        h5_release(out);
        return checkpoint_refuse(file, "/%s is not a %s", path, kind == H5I_GROUP ? "group" : "data set");
    }
    if (H5Oget_info2(*out, &info, H5O_INFO_BASIC) < 0 || (file->native && info.rc != 1)) {
        h5_release(out);
        return checkpoint_refuse(file, "/%s is stored once under several names", path);
    }
    return OK;
}

/* ---- data sets ------------------------------------------------------------------------------------------- */

Status checkpoint_check_storage(const CheckpointFile *file, hid_t set, const char *path, H5D_layout_t *layout) {
    H5_SCOPED plist = H5Dget_create_plist(set);
    if (plist < 0) return h5_fail(ERR_CHECKPOINT, "checkpoint refused (%s): /%s", file->path, path);
    *layout = H5Pget_layout(plist);
    if (*layout == H5D_VIRTUAL)
        return checkpoint_refuse(file, "/%s is a virtual data set; only data in the file itself is read", path);
    if (H5Pget_external_count(plist) != 0)
        return checkpoint_refuse(file, "/%s has external storage; only data in the file itself is read", path);
    int filters = H5Pget_nfilters(plist);
    if (filters < 0 || *layout < 0) return h5_fail(ERR_CHECKPOINT, "checkpoint refused (%s): /%s", file->path, path);
    for (unsigned i = 0; i < (unsigned)filters; i++) {
        size_t values = 0;
        unsigned flags, config;
        H5Z_filter_t filter = H5Pget_filter2(plist, i, &flags, &values, NULL, 0, NULL, &config);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32)
            return checkpoint_refuse(file, "/%s uses filter %d; known are deflate, shuffle and fletcher32", path,
                                     (int)filter);
    }
    if (file->native && *layout != H5D_CONTIGUOUS)
        return checkpoint_refuse(file, "/%s is not stored in one piece", path);
    return OK;
}

static Status check_type(const CheckpointFile *file, hid_t set, const char *path, bool *single) {
    H5_SCOPED type = H5Dget_type(set);
    *single = type >= 0 && H5Tequal(type, H5T_IEEE_F32LE) > 0;
    if (*single || (!file->native && type >= 0 && H5Tequal(type, H5T_IEEE_F64LE) > 0)) return OK;
    return checkpoint_refuse(file, "/%s is not %s", path,
                             file->native ? "float32 (little endian)" : "float32 or float64 (little endian)");
}

static Status check_shape(const CheckpointFile *file, hid_t set, const char *path, NamedArray *array) {
    hsize_t dims[H5S_MAX_RANK];
    size_t bytes;
    H5_SCOPED space = H5Dget_space(set);
    int rank = space < 0 ? -1 : H5Sget_simple_extent_ndims(space);
    if (rank < 0 || H5Sget_simple_extent_type(space) == H5S_NULL)
        return checkpoint_refuse(file, "/%s has no shape", path);
    if (rank > 4) return checkpoint_refuse(file, "/%s has %d dimensions, at most 4 are read", path, rank);
    H5Sget_simple_extent_dims(space, dims, NULL);
    array->rank = (size_t)rank;
    for (size_t d = 0; d < array->rank; d++) {
        if (dims[d] > SIZE_MAX) return checkpoint_refuse(file, "/%s has a shape that overflows", path);
        array->dim[d] = (size_t)dims[d];
    }
    if (array_bytes(array, &bytes)) return OK;
    char shape[128];
    shape_print(array->rank, array->dim, shape);
    return checkpoint_refuse(file, "/%s has a shape that overflows: %s", path, shape);
}

/* The declared size against what is stored, and the place of data that can be read directly. */
static Status check_size(const CheckpointFile *file, hid_t set, const NamedArray *array, bool single,
                         H5D_layout_t layout, ArrayPlace *place) {
    char shape[128];
    shape_print(array->rank, array->dim, shape);
    *place = (ArrayPlace){.direct = single && layout == H5D_CONTIGUOUS};
    size_t bytes = 0;
    if (!array_bytes(array, &bytes) || (!single && !size_multiply(bytes, 2, &bytes)))
        return checkpoint_refuse(file, "/%s has a shape that overflows: %s", array->name, shape);
    place->bytes = bytes;
    if (bytes == 0) return OK;
    uint64_t stored = H5Dget_storage_size(set);
    bool fits = layout == H5D_CHUNKED ? stored > 0 && bytes / DEFLATE_MOST <= stored : stored == bytes;
    if (!fits || stored > file->bytes)
        return checkpoint_refuse(file, "/%s of shape %s takes %zu bytes, but %llu are stored", array->name, shape,
                                 bytes, (unsigned long long)stored);
    if (!place->direct) return OK;
    haddr_t offset = H5Dget_offset(set);
    if (offset == HADDR_UNDEF || offset > file->bytes || file->bytes - offset < bytes)
        return checkpoint_refuse(file, "/%s of shape %s lies outside the file", array->name, shape);
    place->offset = offset;
    return OK;
}

static Status inspect_set(CheckpointFile *file, hid_t set, const char *path) {
    NamedArray array = {.name = path};
    ArrayPlace place;
    H5D_layout_t layout;
    bool single;
    TRY(checkpoint_check_storage(file, set, path, &layout));
    TRY(check_type(file, set, path, &single));
    TRY(check_shape(file, set, path, &array));
    TRY(check_size(file, set, &array, single, layout, &place));
    if (file->arrays == file->room) {
        size_t room = file->room == 0 ? 64 : 2 * file->room;
        NamedArray *grown = realloc(file->array, room * sizeof *grown);
        if (grown != NULL) file->array = grown;
        ArrayPlace *places = realloc(file->place, room * sizeof *places);
        if (places != NULL) file->place = places;
        if (grown == NULL || places == NULL) return status_fail(ERR_USAGE, "no memory for the names of %s", file->path);
        file->room = room;
    }
    array.name = strdup(path);
    if (array.name == NULL) return status_fail(ERR_USAGE, "no memory for the names of %s", file->path);
    file->array[file->arrays] = array;
    file->place[file->arrays++] = place;
    return OK;
}

/* ---- groups ------------------------------------------------------------------------------------------------ */

static char *join(const char *path, const char *name) {
    size_t bytes = strlen(path) + strlen(name) + 2;
    char *joined = malloc(bytes);
    if (joined != NULL) snprintf(joined, bytes, "%s%s%s", path, path[0] == '\0' ? "" : "/", name);
    return joined;
}

static Status inspect_group(CheckpointFile *file, hid_t parent, const char *name, const char *path, unsigned groups);

static Status inspect_member(CheckpointFile *file, hid_t group, const char *name, const char *path, unsigned groups) {
    if (groups > 0) return inspect_group(file, group, name, path, groups - 1);
    if (!array_name_valid(path)) return checkpoint_refuse(file, "/%s is not a name of ours", path);
    hid_t set;
    TRY(checkpoint_open_object(file, group, name, path, H5I_DATASET, &set));
    Status status = inspect_set(file, set, path);
    h5_release(&set);
    return status;
}

/* A group with `groups` levels of groups below it, and below those data sets alone. */
static Status inspect_group(CheckpointFile *file, hid_t parent, const char *name, const char *path, unsigned groups) {
    Names names;
    hid_t group;
    TRY(checkpoint_open_object(file, parent, name, path, H5I_GROUP, &group));
    Status status = checkpoint_list_links(file, group, path, &names);
    for (size_t i = 0; i < names.count && status == OK; i++) {
        char *below = join(path, names.name[i]);
        status = below == NULL ? status_fail(ERR_USAGE, "no memory to list %s", file->path)
                               : inspect_member(file, group, names.name[i], below, groups);
        free(below);
    }
    names_free(&names);
    h5_release(&group);
    return status;
}

/* An array and its place travel together through the sort. */
typedef struct Pair {
    NamedArray array;
    ArrayPlace place;
} Pair;

static int by_name(const void *a, const void *b) {
    return strcmp(((const Pair *)a)->array.name, ((const Pair *)b)->array.name);
}

static Status sort_arrays(CheckpointFile *file) {
    Pair *pair = malloc((file->arrays + 1) * sizeof *pair);
    if (pair == NULL) return status_fail(ERR_USAGE, "no memory for the names of %s", file->path);
    for (size_t i = 0; i < file->arrays; i++) pair[i] = (Pair){file->array[i], file->place[i]};
    qsort(pair, file->arrays, sizeof *pair, by_name);
    for (size_t i = 0; i < file->arrays; i++) {
        file->array[i] = pair[i].array;
        file->place[i] = pair[i].place;
    }
    free(pair);
    return OK;
}

static int name_against(const void *key, const void *array) {
    return strcmp(key, ((const NamedArray *)array)->name);
}

/* What an optimizer keeps belongs to a parameter and has its shape. */
static Status match_optimizer(const CheckpointFile *file) {
    for (size_t i = 0; i < file->arrays; i++) {
        const NamedArray *array = &file->array[i];
        if (strncmp(array->name, "optimizer/", 10) != 0) continue;
        char *name = join("model", strrchr(array->name, '/') + 1);
        if (name == NULL) return status_fail(ERR_USAGE, "no memory for the names of %s", file->path);
        const NamedArray *owner = bsearch(name, file->array, file->arrays, sizeof *owner, name_against);
        free(name);
        if (owner == NULL) return checkpoint_refuse(file, "/%s belongs to no parameter in /model", array->name);
        if (owner->rank != array->rank || memcmp(owner->dim, array->dim, array->rank * sizeof *array->dim) != 0)
            return checkpoint_refuse(file, "/%s has another shape than /%s", array->name, owner->name);
    }
    return OK;
}

Status checkpoint_inspect_arrays(CheckpointFile *file) {
    H5L_info_t link;
    if (H5Lexists(file->h5, "model", H5P_DEFAULT) <= 0)
        return checkpoint_refuse(file, "it has no group /model with a data set per parameter");
    if (H5Lget_info(file->h5, "model", &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
        return checkpoint_refuse(file, "/model is a soft or external link; only data in the file itself is read");
    TRY(inspect_group(file, file->h5, "model", "model", 0));
    if (file->native) TRY(inspect_group(file, file->h5, "optimizer", "optimizer", 1));
    TRY(sort_arrays(file));
    return match_optimizer(file);
}

const char *checkpoint_library(void) {
    return H5_VERS_INFO + sizeof "HDF5 library version: " - 1;
}
