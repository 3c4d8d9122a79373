/* SPDX-License-Identifier: MIT
 *
 * checkpoint_scaling.c: the group /scaling of a checkpoint, believed no more than the rest of the file. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint_inspect.h"

/* The number of entries of a list of the wanted type that lies in the file. */
static Status check_list(const CheckpointFile *file, hid_t set, const char *path, hid_t wanted, size_t *count) {
    H5D_layout_t layout;
    hsize_t size;
    TRY(checkpoint_check_storage(file, set, path, &layout));
    H5_SCOPED type = H5Dget_type(set);
    H5_SCOPED space = H5Dget_space(set);
    bool right = type >= 0 && (wanted < 0 ? H5Tis_variable_str(type) > 0 : H5Tequal(type, wanted) > 0);
    if (!right || space < 0 || H5Sget_simple_extent_ndims(space) != 1 ||
        H5Sget_simple_extent_dims(space, &size, NULL) != 1)
        return checkpoint_refuse(file, "/%s is not a list of %s", path, wanted < 0 ? "texts" : "float64");
    if (size < 1 || size > file->bytes / 16)
        return checkpoint_refuse(file, "/%s declares %llu columns", path, (unsigned long long)size);
    *count = (size_t)size;
    return OK;
}

static Status make_named(const CheckpointFile *file, hid_t set, ScalingKind kind, size_t count, Scaling **out) {
    char **token = calloc(count, sizeof *token);
    const char **name = calloc(count, sizeof *name);
    Status status = token && name ? checkpoint_read_texts(file, set, "scaling/name", token, name, count)
                                  : status_fail(ERR_USAGE, "no memory for the scaling of %s", file->path);
    if (status == OK) status = scaling_create(kind, name, count, out);
    for (size_t i = 0; token && i < count; i++)
        if (token[i]) H5free_memory(token[i]);
    free(name);
    free(token);
    return status;
}

static Status read_names(const CheckpointFile *file, hid_t group, ScalingKind kind, Scaling **out) {
    hid_t set;
    size_t count = 0;
    TRY(checkpoint_open_object(file, group, "name", "scaling/name", H5I_DATASET, &set));
    Status status = check_list(file, set, "scaling/name", H5I_INVALID_HID, &count);
    if (status == OK) status = make_named(file, set, kind, count, out);
    h5_release(&set);
    return status;
}

static Status read_numbers(const CheckpointFile *file, hid_t group, const char *name, const char *path, size_t columns,
                           double *out) {
    hid_t set;
    size_t count = 0;
    TRY(checkpoint_open_object(file, group, name, path, H5I_DATASET, &set));
    Status status = check_list(file, set, path, H5T_IEEE_F64LE, &count);
    if (status == OK && count != columns)
        status = checkpoint_refuse(file, "/%s has %zu entries for %zu columns", path, count, columns);
    if (status == OK && H5Dread(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        status = checkpoint_refuse(file, "/%s cannot be read", path);
    h5_release(&set);
    return status;
}

static Status check_values(const CheckpointFile *file, const Scaling *s) {
    for (size_t i = 0; i < s->columns; i++) {
        if (scaling_find(s, s->name[i]) != i)
            return checkpoint_refuse(file, "/scaling/name has '%s' twice", s->name[i]);
        if (!isfinite(s->shift[i]) || !isfinite(s->scale[i]) || !(s->scale[i] > 0))
            return checkpoint_refuse(file, "/scaling: shift %g and scale %g of '%s' scale nothing", s->shift[i],
                                     s->scale[i], s->name[i]);
    }
    return OK;
}

static Status read_group(const CheckpointFile *file, hid_t group, Scaling **out) {
    Names names;
    char *text;
    Status status = checkpoint_list_links(file, group, "scaling", &names);
    if (status == OK && names.count != 3)
        status = checkpoint_refuse(file, "/scaling has %zu members, not name, shift and scale", names.count);
    names_free(&names);
    TRY(status);
    if (!h5_get_text(group, "kind", &text)) return checkpoint_refuse(file, "/scaling has no attribute 'kind'");
    int kind = scaling_kind_parse(text);
    free(text);
    if (kind < 0 || kind == SCALING_NONE) return checkpoint_refuse(file, "/scaling is of no known kind");
    TRY(read_names(file, group, (ScalingKind)kind, out));
    TRY(read_numbers(file, group, "shift", "scaling/shift", (*out)->columns, (*out)->shift));
    TRY(read_numbers(file, group, "scale", "scaling/scale", (*out)->columns, (*out)->scale));
    return check_values(file, *out);
}

Status checkpoint_inspect_scaling(const CheckpointFile *file, Scaling **out) {
    hid_t group;
    TRY(checkpoint_open_object(file, file->h5, "scaling", "scaling", H5I_GROUP, &group));
    Status status = read_group(file, group, out);
    h5_release(&group);
    return status;
}
