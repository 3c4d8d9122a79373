/* SPDX-License-Identifier: MIT
 *
 * attention_file.c: see attention_file.h. Data sets have their full size from the start. */
#include "io/attention_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "comm/arena.h"
#include "io/column.h"
#include "io/h5_vocabulary.h"

enum { ATTENTION_RANK = 4 };

struct AttentionFile {
    NewH5 out;
    bool open;
    size_t forms;
    const AttentionForm *form;
    hid_t *set; /* [forms] */
};

/* ---- layout ------------------------------------------------------------------------------------------ */

static int dimensions(const AttentionForm *form, size_t sequences, hsize_t dim[ATTENTION_RANK], const char **names) {
    if (form->queries) {
        memcpy(dim, (hsize_t[]){sequences, form->heads, form->queries, form->keys}, ATTENTION_RANK * sizeof *dim);
        *names = "sequence, head, query, key";
        return 4;
    }
    memcpy(dim, (hsize_t[]){sequences, form->keys, form->channels, 0}, ATTENTION_RANK * sizeof *dim);
    *names = form->channels ? "sequence, key, channel" : "sequence, key";
    return form->channels ? 3 : 2;
}

static Status check_size(const char *path, const AttentionForm *form, size_t forms, size_t sequences) {
    size_t total = 0;
    for (size_t i = 0; i < forms; i++) {
        hsize_t dim[ATTENTION_RANK];
        const char *names;
        size_t bytes = sizeof(float);
        int rank = dimensions(&form[i], sequences, dim, &names);
        for (int d = 0; d < rank; d++)
            if (!size_multiply(bytes, (size_t)dim[d], &bytes)) bytes = SIZE_MAX;
        if (bytes == SIZE_MAX || __builtin_add_overflow(total, bytes, &total))
            return status_fail(ERR_USAGE,
                               "%s: the weights of %zu sequences overflow; predict for fewer or shorter ones", path,
                               sequences);
    }
    char folder[4096];
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1, slash ? path : ".");
    struct statvfs disk;
    if (statvfs(folder, &disk) != 0) return OK; /* what is wrong is said when the file is made */
    unsigned long long room = (unsigned long long)disk.f_bavail * disk.f_frsize;
    if (total <= room) return OK;
    return status_fail(ERR_WRITE,
                       "%s: the weights of %zu sequences need %zu bytes and %llu are free; predict for fewer sequences",
                       path, sequences, total, room);
}

static Status create_sets(AttentionFile *file, size_t sequences) {
    for (size_t i = 0; i < file->forms; i++) {
        hsize_t dim[ATTENTION_RANK];
        const char *names;
        char path[512];
        int rank = dimensions(&file->form[i], sequences, dim, &names);
        snprintf(path, sizeof path, "attention/%s", file->form[i].name);
        file->set[i] = new_h5_set(&file->out, path, H5T_IEEE_F32LE, rank, dim);
        if (file->set[i] < 0 || !h5_put_text(file->set[i], "dimensions", names)) return new_h5_fail(&file->out, path);
    }
    return OK;
}

/* ---- what the weights belong to ---------------------------------------------------------------------- */

static Status put_lengths(const AttentionFile *file, const Data *data, const AttentionTargets *targets,
                          size_t sequences) {
    const char *name = targets ? "target_lengths" : "lengths";
    hsize_t count = sequences;
    int64_t *length;
    TRY(cells_allocate(sequences, sizeof *length, name, (void **)&length));
    for (size_t i = 0; i < sequences; i++)
        length[i] = (int64_t)(targets ? targets->length[i] : data_length(data, SPLIT_ALL, i));
    H5_SCOPED set = new_h5_set(&file->out, name, H5T_STD_I64LE, 1, &count);
    Status status = set < 0 ? new_h5_fail(&file->out, name)
                            : new_h5_rows(&file->out, set, H5T_NATIVE_INT64, length, 0, sequences, 1);
    free(length);
    return status;
}

static Status put_inputs(const AttentionFile *file, const Data *data, size_t sequences) {
    size_t steps = data_info(data)->longest;
    hsize_t dim[] = {sequences, steps};
    int32_t *ids;
    if (!data_info(data)->ids) return OK;
    H5_SCOPED set = new_h5_set(&file->out, "inputs", H5T_STD_I32LE, 2, dim);
    if (set < 0) return new_h5_fail(&file->out, "inputs");
    TRY(cells_allocate(steps, sizeof *ids, "inputs", (void **)&ids));
    Status status = OK;
    for (size_t i = 0; i < sequences && status == OK; i++) {
        memset(ids, 0, steps * sizeof *ids);
        data_read(data, SPLIT_ALL, i, ids, NULL, NULL, NULL);
        status = new_h5_rows(&file->out, set, H5T_NATIVE_INT32, ids, i, 1, steps);
    }
    free(ids);
    return status;
}

static Status put_targets(const AttentionFile *file, const Data *data, const AttentionTargets *targets,
                          size_t sequences) {
    hsize_t dim[] = {sequences, targets->longest};
    int32_t *ids;
    TRY(put_lengths(file, data, targets, sequences));
    if (targets->vocabulary && targets->vocabulary->token)
        TRY(h5_vocabulary_write(&file->out, "target_vocabulary", targets->vocabulary));
    H5_SCOPED set = new_h5_set(&file->out, "targets", H5T_STD_I32LE, 2, dim);
    if (set < 0) return new_h5_fail(&file->out, "targets");
    TRY(cells_allocate(targets->longest, sizeof *ids, "targets", (void **)&ids));
    Status status = OK;
    for (size_t i = 0; i < sequences && status == OK; i++) {
        memset(ids, 0, targets->longest * sizeof *ids);
        memcpy(ids, targets->symbol[i], targets->length[i] * sizeof *ids);
        status = new_h5_rows(&file->out, set, H5T_NATIVE_INT32, ids, i, 1, targets->longest);
    }
    free(ids);
    return status;
}

Status attention_file_create(const char *path, const Data *data, const Vocabulary *vocabulary,
                             const AttentionTargets *targets, const AttentionForm *form, size_t forms,
                             AttentionFile **out) {
    size_t sequences = data_sequences(data, SPLIT_ALL);
    *out = NULL;
    TRY(check_size(path, form, forms, sequences));
    AttentionFile *file = calloc(1, sizeof *file);
    hid_t *set = calloc(forms, sizeof *set);
    if (!file || !set) {
        free(file);
        free(set);
        return status_fail(ERR_USAGE, "%s: no memory for %zu data sets", path, forms);
    }
    *file = (AttentionFile){.forms = forms, .form = form, .set = set};
    for (size_t i = 0; i < forms; i++) set[i] = H5I_INVALID_HID;
    *out = file;
    TRY(new_h5_create(path, &file->out));
    file->open = true;
    h5_lock();
    Status status = create_sets(file, sequences);
    if (status == OK) status = put_lengths(file, data, NULL, sequences);
    if (status == OK && targets) status = put_targets(file, data, targets, sequences);
    if (status == OK) status = put_inputs(file, data, sequences);
    if (status == OK && vocabulary && vocabulary->token && data_info(data)->ids)
        status = h5_vocabulary_write(&file->out, "vocabulary", vocabulary);
    h5_unlock();
    return status;
}

/* ---- pieces ------------------------------------------------------------------------------------------ */

Status attention_file_put(AttentionFile *file, size_t form, size_t sequence, size_t head, size_t queries, size_t keys,
                          const float *w) {
    const AttentionForm *f = &file->form[form];
    const hsize_t start_heads[] = {sequence, head, 0, 0}, extent_heads[] = {1, 1, queries, keys};
    const hsize_t start[] = {sequence, 0, 0}, extent[] = {1, keys, f->channels};
    hsize_t cells = f->queries ? queries * keys : keys * (f->channels ? f->channels : 1);
    h5_lock();
    Status status = OK;
    {
        H5_SCOPED space = H5Dget_space(file->set[form]);
        H5_SCOPED memory = H5Screate_simple(1, &cells, NULL);
        if (space < 0 || memory < 0 ||
            H5Sselect_hyperslab(space, H5S_SELECT_SET, f->queries ? start_heads : start, NULL,
                                f->queries ? extent_heads : extent, NULL) < 0 ||
            H5Dwrite(file->set[form], H5T_NATIVE_FLOAT, memory, space, H5P_DEFAULT, w) < 0)
            status = new_h5_fail(&file->out, "writing");
    }
    h5_unlock();
    return status;
}

static void release_sets(AttentionFile *file) {
    h5_lock();
    for (size_t i = 0; i < file->forms; i++) h5_release(&file->set[i]);
    h5_unlock();
}

static void release(AttentionFile **file) {
    free((*file)->set);
    free(*file);
    *file = NULL;
}

Status attention_file_publish(AttentionFile **file) {
    release_sets(*file);
    (*file)->open = false;
    Status status = new_h5_publish(&(*file)->out);
    release(file);
    return status;
}

void attention_file_abandon(AttentionFile **file) {
    if (!*file) return;
    release_sets(*file);
    if ((*file)->open) new_h5_abandon(&(*file)->out);
    release(file);
}
