/* SPDX-License-Identifier: MIT
 *
 * checkpoint_write.c: a checkpoint is built as an HDF5 image in memory, where libhdf5 meets no disk that
 * can be full, then digested and written as one file. An image that would take too much of the memory
 * that is left is built in the temporary file itself, in space reserved before. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "io/checkpoint_format.h"
#include "io/files.h"
#include "io/h5.h"
#include "io/metrics.h"

/* Where the image goes, by the name that its readers will see. */
typedef struct Image {
    hid_t file;
    const char *path;
    const CheckpointMeta *meta;
    const NamedArray *const *array; /* in name order */
    size_t arrays;
    size_t estimate; /* of its bytes */
} Image;

static Status broken(const Image *image, const char *object) {
    int error = h5_error_number();
    if (error != 0) return write_failed(error, image->path, image->estimate, object);
    return h5_fail(ERR_WRITE, "cannot write checkpoint (%s): %s", image->path, object);
}

/* ---- what is in the image -------------------------------------------------------------------------- */

static Status put_attributes(const Image *image) {
    const char *base = (const char *)image->meta;
    bool ok = h5_put_text(image->file, "format", CHECKPOINT_FORMAT) &&
              h5_put_integer(image->file, "format_version", CHECKPOINT_FORMAT_VERSION);
    if (!ok) return broken(image, "attribute 'format'");
    for (const Attribute *a = checkpoint_attributes; a->name != NULL; a++) {
        const void *value = base + a->offset;
        const uint64_t *number = value;
        const char *text;
        char hex[33];
        switch (a->kind) {
        case ATTRIBUTE_INTEGER:
            ok = h5_put_integer(image->file, a->name, (int64_t)*number);
            break;
        case ATTRIBUTE_REAL:
            ok = h5_put_real(image->file, a->name, *(const double *)value);
            break;
        case ATTRIBUTE_FLAG:
            ok = h5_put_flag(image->file, a->name, *(const bool *)value);
            break;
        case ATTRIBUTE_DIGEST:
            snprintf(hex, sizeof hex, "%016" PRIx64 "%016" PRIx64, number[0], number[1]);
            ok = h5_put_text(image->file, a->name, hex);
            break;
        case ATTRIBUTE_TEXT:
            ok = h5_put_text(image->file, a->name, value);
            break;
        case ATTRIBUTE_STRING:
            text = *(const char *const *)value;
            ok = h5_put_text(image->file, a->name, text == NULL ? "" : text);
            break;
        }
        if (!ok) return broken(image, a->name);
    }
    return OK;
}

/* Properties of every data set: no times (equal states make equal files), space at once. */
static hid_t data_set_properties(void) {
    hid_t plist = H5Pcreate(H5P_DATASET_CREATE);
    if (plist >= 0 && (H5Pset_obj_track_times(plist, false) < 0 || H5Pset_alloc_time(plist, H5D_ALLOC_TIME_EARLY) < 0))
        h5_release(&plist);
    return plist;
}

/* Intermediate groups of a path are made on the way. */
static hid_t link_properties(void) {
    hid_t plist = H5Pcreate(H5P_LINK_CREATE);
    if (plist >= 0 &&
        (H5Pset_create_intermediate_group(plist, 1) < 0 || H5Pset_char_encoding(plist, H5T_CSET_UTF8) < 0))
        h5_release(&plist);
    return plist;
}

/* Writes one data set and, if `attribute` is there, that attribute on it. */
static Status put_data_set(const Image *image, const char *name, hid_t type, hid_t memory_type, hid_t space,
                           const void *data, const char *attribute, const char *value) {
    H5_SCOPED links = link_properties();
    H5_SCOPED properties = data_set_properties();
    if (links < 0 || properties < 0 || space < 0 || type < 0) return broken(image, name);
    H5_SCOPED set = H5Dcreate2(image->file, name, type, space, links, properties, H5P_DEFAULT);
    if (set < 0) return broken(image, name);
    bool empty = H5Sget_simple_extent_npoints(space) == 0;
    if (!empty && H5Dwrite(set, memory_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, data) < 0) return broken(image, name);
    if (attribute != NULL && !h5_put_text(set, attribute, value)) return broken(image, name);
    return OK;
}

static Status put_array(const Image *image, const NamedArray *array) {
    hsize_t dims[4];
    for (size_t d = 0; d < array->rank; d++) dims[d] = array->dim[d];
    H5_SCOPED space = array->rank == 0 ? H5Screate(H5S_SCALAR) : H5Screate_simple((int)array->rank, dims, NULL);
    return put_data_set(image, array->name, H5T_IEEE_F32LE, H5T_NATIVE_FLOAT, space, array->data, NULL, NULL);
}

/* Entry i is the text, or the byte, of id i. */
static Status put_vocabulary(const Image *image, const char *name, const Vocabulary *vocabulary) {
    if (vocabulary == NULL) return OK;
    hsize_t size = vocabulary->size;
    H5_SCOPED space = H5Screate_simple(1, &size, NULL);
    if (vocabulary->tokenizer != TOKENIZER_BYTE) {
        H5_SCOPED type = h5_text_type();
        const char *tokenizer = tokenizer_name(vocabulary->tokenizer);
        return put_data_set(image, name, type, type, space, vocabulary->token, "tokenizer", tokenizer);
    }
    uint8_t byte[256];
    for (size_t i = 0; i < sizeof byte; i++) byte[i] = (uint8_t)i;
    if (vocabulary->size > sizeof byte)
        return status_fail(ERR_INTERNAL, "checkpoint (%s): a byte vocabulary of %zu", image->path, vocabulary->size);
    return put_data_set(image, name, H5T_STD_U8LE, H5T_NATIVE_UINT8, space, byte, "tokenizer", "byte");
}

static Status put_scaling(const Image *image, const Scaling *scaling) {
    if (scaling == NULL) return OK;
    hsize_t columns = scaling->columns;
    H5_SCOPED space = H5Screate_simple(1, &columns, NULL);
    H5_SCOPED type = h5_text_type();
    H5_SCOPED group = H5Gcreate2(image->file, "scaling", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    if (group < 0 || !h5_put_text(group, "kind", scaling_kind_name(scaling->kind))) return broken(image, "scaling");
    TRY(put_data_set(image, "scaling/name", type, type, space, scaling->name, NULL, NULL));
    TRY(put_data_set(image, "scaling/shift", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, space, scaling->shift, NULL, NULL));
    return put_data_set(image, "scaling/scale", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, space, scaling->scale, NULL, NULL);
}

static Status put_config(const Image *image) {
    const char *config = image->meta->config == NULL ? "" : image->meta->config;
    H5_SCOPED type = h5_text_type();
    H5_SCOPED space = H5Screate(H5S_SCALAR);
    return put_data_set(image, "config", type, type, space, &config, NULL, NULL);
}

static Status put_groups(const Image *image) {
    static const char *const name[] = {"model", "optimizer"};
    for (size_t i = 0; i < 2; i++) {
        H5_SCOPED group = H5Gcreate2(image->file, name[i], H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
        if (group < 0) return broken(image, name[i]);
    }
    return OK;
}

static Status put_all(const Image *image) {
    TRY(put_attributes(image));
    TRY(put_groups(image));
    TRY(put_config(image));
    TRY(put_vocabulary(image, "vocabulary", image->meta->vocabulary));
    TRY(put_vocabulary(image, "target_vocabulary", image->meta->target_vocabulary));
    TRY(put_scaling(image, image->meta->scaling));
    for (size_t i = 0; i < image->arrays; i++) TRY(put_array(image, image->array[i]));
    return H5Fflush(image->file, H5F_SCOPE_LOCAL) < 0 ? broken(image, "flushing the image") : OK;
}

/* What HDF5 1.8 and later read, with checksummed metadata; newer bounds would move with the library. */
static hid_t file_access(void) {
    hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access >= 0 &&
        (H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
         H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 || H5Pset_file_locking(access, false, true) < 0))
        h5_release(&access);
    return access;
}

static hid_t file_creation(void) {
    hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (creation >= 0 &&
        (H5Pset_userblock(creation, CHECKPOINT_BLOCK) < 0 || H5Pset_obj_track_times(creation, false) < 0))
        h5_release(&creation);
    return creation;
}

/* ---- in memory --------------------------------------------------------------------------------------- */

/* Fills the image and finds its bytes, which are libhdf5's until the file is closed. */
static Status build_in_memory(Image *image, char **bytes, size_t *count) {
    H5_SCOPED access = file_access();
    H5_SCOPED creation = file_creation();
    /* The estimate is the step by which the memory grows: one allocation, no copies. */
    if (access < 0 || creation < 0 || H5Pset_fapl_core(access, image->estimate, false) < 0)
        return broken(image, "preparing the image");
    image->file = H5Fcreate(image->path, H5F_ACC_TRUNC, creation, access);
    if (image->file < 0) return broken(image, "creating the image");
    TRY(put_all(image));
    void **handle;
    ssize_t behind_block = H5Fget_file_image(image->file, NULL, 0);
    if (behind_block <= 0 || H5Fget_vfd_handle(image->file, H5P_DEFAULT, (void **)&handle) < 0)
        return broken(image, "reaching the image");
    *bytes = *handle;
    *count = (size_t)behind_block + CHECKPOINT_BLOCK;
    return OK;
}

static Status write_image(char *bytes, size_t count, AtomicFile *file) {
    CheckpointBlock block = {.version = CHECKPOINT_FORMAT_VERSION, .bytes = count - CHECKPOINT_BLOCK};
    Digest *digest = digest_create();
    if (digest == NULL) {
        Status status = write_failed(ENOMEM, file->path, count, "digesting");
        atomic_abandon(file);
        return status;
    }
    digest_add(digest, bytes + CHECKPOINT_BLOCK, count - CHECKPOINT_BLOCK);
    digest_hex(digest, block.digest);
    digest_destroy(&digest);
    checkpoint_block_print(&block, bytes);
    return atomic_write(file, bytes, count);
}

static Status write_in_memory(Image *image, AtomicFile *file) {
    char *bytes = NULL;
    size_t count = 0;
    h5_lock();
    Status status = build_in_memory(image, &bytes, &count);
    h5_unlock();
    if (status != OK) atomic_abandon(file);
    else status = write_image(bytes, count, file); /* a slow disk holds nobody up who reads */
    h5_lock();
    h5_release(&image->file);
    h5_unlock();
    return status;
}

/* ---- straight into the file -------------------------------------------------------------------------- */

static Status build_in_file(Image *image, const AtomicFile *file) {
    H5_SCOPED access = file_access();
    H5_SCOPED creation = file_creation();
    if (access < 0 || creation < 0) return broken(image, "preparing the file");
    image->file = H5Fcreate(file->temporary, H5F_ACC_TRUNC, creation, access);
    if (image->file < 0) return broken(image, "creating the file");
#ifdef FALLOC_FL_KEEP_SIZE
    /* libhdf5 meets a full disk badly: the space is taken first, where the file system can. */
    if (fallocate(file->fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)image->estimate) != 0 && errno != EOPNOTSUPP &&
        errno != ENOSYS && errno != EINTR)
        return write_failed(errno, image->path, image->estimate, "reserving space");
#endif
    TRY(put_all(image));
    hid_t whole = image->file;
    image->file = H5I_INVALID_HID;
    return H5Fclose(whole) < 0 ? broken(image, "closing the file") : OK;
}

static Status seal_file(AtomicFile *file, size_t estimate) {
    struct stat info;
    const char *doing = "reading it back for its digest";
    int error = fstat(file->fd, &info) == 0 ? 0 : errno;
    if (error == 0 && ftruncate(file->fd, info.st_size) != 0) { /* gives back what was reserved too much */
        error = errno;
        doing = "ftruncate";
    }
    if (error == 0) error = checkpoint_seal(file->fd, (uint64_t)info.st_size);
    if (error == 0) return OK;
    return write_failed(error < 0 ? EIO : error, file->path, estimate, doing);
}

static Status write_in_file(Image *image, AtomicFile *file) {
    h5_lock();
    Status status = build_in_file(image, file);
    h5_release(&image->file);
    h5_unlock();
    if (status == OK) status = seal_file(file, image->estimate);
    if (status != OK) atomic_abandon(file);
    return status;
}

/* ---- the whole ---------------------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b) {
    const NamedArray *const *x = a, *const *y = b;
    return strcmp((*x)->name, (*y)->name);
}

static Status check_and_sort(const char *path, const NamedArray *array, size_t arrays, const NamedArray **sorted,
                             size_t *total) {
    for (size_t i = 0; i < arrays; i++) {
        size_t bytes;
        if (!array_name_valid(array[i].name) || !array_bytes(&array[i], &bytes) ||
            __builtin_add_overflow(*total, bytes, total))
            return status_fail(ERR_INTERNAL, "checkpoint (%s): array '%s' has no valid name or size", path,
                               array[i].name);
        sorted[i] = &array[i];
    }
    qsort(sorted, arrays, sizeof *sorted, by_name);
    for (size_t i = 1; i < arrays; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            return status_fail(ERR_INTERNAL, "checkpoint (%s): two arrays are named '%s'", path, sorted[i]->name);
    return OK;
}

static Status digest_state(const char *path, CheckpointMeta *meta, const NamedArray *const *sorted, size_t arrays) {
    Digest *digest = digest_create();
    if (digest == NULL) return write_failed(ENOMEM, path, 0, "digesting");
    digest_add_step(digest, meta->step);
    for (size_t i = 0; i < arrays; i++) {
        size_t bytes;
        digest_add_head(digest, sorted[i]);
        if (array_bytes(sorted[i], &bytes)) digest_add(digest, sorted[i]->data, bytes);
    }
    digest_hex(digest, meta->state_digest);
    digest_destroy(&digest);
    return OK;
}

/* An upper bound in practice: data, text, and what HDF5 spends per object. */
static size_t estimate_image(const CheckpointMeta *meta, size_t arrays, size_t data) {
    size_t tokens = (meta->vocabulary == NULL ? 0 : meta->vocabulary->size) +
                    (meta->target_vocabulary == NULL ? 0 : meta->target_vocabulary->size);
    size_t config = meta->config == NULL ? 0 : strlen(meta->config);
    size_t columns = meta->scaling == NULL ? 0 : meta->scaling->columns;
    return data + arrays * 1024 + tokens * 64 + columns * 256 + config + 65536;
}

Status checkpoint_write_within(const char *path, CheckpointMeta *meta, const NamedArray *array, size_t arrays,
                               size_t most) {
    size_t data = 0;
    const NamedArray **sorted = malloc((arrays + 1) * sizeof *sorted);
    if (sorted == NULL) return write_failed(ENOMEM, path, 0, "sorting names");
    Status status = check_and_sort(path, array, arrays, sorted, &data);
    if (status == OK) status = digest_state(path, meta, sorted, arrays);
    time_t now = time(NULL);
    struct tm utc;
    strftime(meta->created, sizeof meta->created, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));

    char *directory = directory_of(path);
    if (status == OK)
        status = directory == NULL ? write_failed(ENOMEM, path, 0, "allocating its name") : directory_make(directory);
    free(directory);
    AtomicFile file;
    if (status == OK) status = atomic_create(path, &file);
    if (status == OK) {
        Image image = {H5I_INVALID_HID, path, meta, sorted, arrays, estimate_image(meta, arrays, data)};
        status = image.estimate <= most ? write_in_memory(&image, &file) : write_in_file(&image, &file);
        if (status == OK) status = atomic_publish(&file);
    }
    free(sorted);
    return status;
}

/* Bytes that can be had without swapping anything out; the limit of a container counts. */
static size_t memory_left(void) {
    unsigned long long available = 0, value, used;
    char line[256];
    FILE *file = fopen("/proc/meminfo", "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &value) == 1) available = value * 1024;
    if (file != NULL) fclose(file);
    if (available == 0) available = 1ULL << 30;

    bool limited = false;
    if ((file = fopen("/sys/fs/cgroup/memory.max", "re")) != NULL) {
        limited = fscanf(file, "%llu", &value) == 1;
        fclose(file);
    }
    if (limited && (file = fopen("/sys/fs/cgroup/memory.current", "re")) != NULL) {
        if (fscanf(file, "%llu", &used) == 1) {
            unsigned long long left = value > used ? value - used : 0;
            if (left < available) available = left;
        }
        fclose(file);
    }
    return (size_t)available;
}

Status checkpoint_write(const char *path, CheckpointMeta *meta, const NamedArray *array, size_t arrays) {
    return checkpoint_write_within(path, meta, array, arrays, memory_left() / 4);
}
