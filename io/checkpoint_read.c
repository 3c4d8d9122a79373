/* SPDX-License-Identifier: MIT
 *
 * checkpoint_read.c: a checkpoint is believed step by step: a regular file, the user block, the digest of
 * everything behind it, and only then libhdf5; then each link and data set (checkpoint_inspect.c), and
 * at last state_digest over what was found. Data of ours is read straight from the verified file. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "io/checkpoint_inspect.h"
#include "io/files.h"

Status checkpoint_refuse(const CheckpointFile *file, const char *format, ...) {
    char why[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(why, sizeof why, format, args);
    va_end(args);
    /* Names come from the file: none may break the line or move the terminal's cursor. */
    for (char *c = why; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
    return status_fail(ERR_CHECKPOINT, "%s refused (%s): %s", file->native ? "checkpoint" : "weights", file->path, why);
}

/* ---- before libhdf5 ---------------------------------------------------------------------------------- */

static Status open_regular(CheckpointFile *file) {
    struct stat info;
    /* Not blocking, or a named pipe would hold us for ever. */
    file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0 || fstat(file->fd, &info) != 0)
        return status_fail(ERR_CHECKPOINT, "cannot open checkpoint (%s): %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode)) return checkpoint_refuse(file, "it is not a regular file");
    if (info.st_size == 0) return checkpoint_refuse(file, "the file is empty");
    file->bytes = (uint64_t)info.st_size;
    file->device = info.st_dev;
    file->inode = info.st_ino;
    return OK;
}

static Status read_failed(const CheckpointFile *file, int error) {
    if (error < 0) return checkpoint_refuse(file, "it was cut while it was read");
    return status_fail(ERR_CHECKPOINT, "cannot read checkpoint (%s): %s", file->path, strerror(error));
}

static Status read_block(const CheckpointFile *file, BlockState *state, CheckpointBlock *block) {
    char text[CHECKPOINT_BLOCK] = {0};
    size_t n = file->bytes < sizeof text ? (size_t)file->bytes : sizeof text;
    int error = read_at(file->fd, text, n, 0);
    if (error != 0) return read_failed(file, error);
    *state = checkpoint_block_parse(text, block);
    return OK;
}

static Status verify_image(const CheckpointFile *file, const CheckpointBlock *block) {
    uint64_t there = file->bytes - CHECKPOINT_BLOCK;
    if (there < block->bytes)
        return checkpoint_refuse(file, "it is cut: %" PRIu64 " of %" PRIu64 " bytes are there", file->bytes,
                                 block->bytes + CHECKPOINT_BLOCK);
    if (there > block->bytes) return checkpoint_refuse(file, "%" PRIu64 " bytes follow its end", there - block->bytes);
    Digest *digest = digest_create();
    if (digest == NULL) return status_fail(ERR_USAGE, "no memory to verify %s", file->path);
    char hex[33];
    int error = digest_add_file(digest, file->fd, CHECKPOINT_BLOCK, block->bytes);
    digest_hex(digest, hex);
    digest_destroy(&digest);
    if (error != 0) return read_failed(file, error);
    if (strcmp(hex, block->digest) != 0)
        return checkpoint_refuse(file, "it is damaged: its digest is %s, its user block says %s", hex, block->digest);
    return OK;
}

static Status verify_block(const CheckpointFile *file, BlockState state, const CheckpointBlock *block) {
    switch (state) {
    case BLOCK_ABSENT:
        return checkpoint_refuse(file,
                                 "it does not start as a Lockstep checkpoint: foreign, damaged or without its digest");
    case BLOCK_DAMAGED:
        return checkpoint_refuse(file, "it is damaged: its user block (the first 512 bytes) has a wrong checksum");
    case BLOCK_NEWER:
        return checkpoint_refuse(file, "it has format %u, this program reads %d; use the Lockstep that wrote it",
                                 block->version, CHECKPOINT_FORMAT_VERSION);
    case BLOCK_SOUND:
        break;
    }
    return file->bytes < CHECKPOINT_BLOCK ? checkpoint_refuse(file, "it is cut") : verify_image(file, block);
}

/* A file of another kind is at least HDF5 by its signature, at 0 or a power of two from 512 on. */
static Status find_signature(const CheckpointFile *file) {
    static const unsigned char signature[8] = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};
    for (uint64_t offset = 0; offset + sizeof signature <= file->bytes && offset <= UINT64_MAX / 4;
         offset = offset == 0 ? 512 : offset * 2) {
        unsigned char found[sizeof signature];
        int error = read_at(file->fd, found, sizeof found, offset);
        if (error != 0) return read_failed(file, error);
        if (memcmp(found, signature, sizeof found) == 0) return OK;
    }
    return checkpoint_refuse(file, "it is not an HDF5 file");
}

/* ---- opening ------------------------------------------------------------------------------------------ */

/* With the lock held. libhdf5 opens by name: what it opened must be what was verified. */
static Status open_parser(CheckpointFile *file) {
    struct stat info;
    int *descriptor;
    file->h5 = h5_open_read(file->path);
    if (file->h5 < 0)
        return h5_fail(ERR_CHECKPOINT, "%s refused (%s): damaged or cut", file->native ? "checkpoint" : "weights",
                       file->path);
    if (H5Fget_vfd_handle(file->h5, H5P_DEFAULT, (void **)&descriptor) < 0 || fstat(*descriptor, &info) != 0)
        return h5_fail(ERR_CHECKPOINT, "cannot read checkpoint (%s)", file->path);
    if (info.st_dev != file->device || info.st_ino != file->inode || (uint64_t)info.st_size != file->bytes)
        return checkpoint_refuse(file, "it was replaced while it was read; try again");
    return OK;
}

/* Everything that needs libhdf5 to find out. With the lock held. */
static Status parse(CheckpointFile *file) {
    TRY(open_parser(file));
    if (file->native) {
        TRY(checkpoint_inspect_meta(file));
    } else {
        char *format = NULL;
        bool ours = h5_get_text(file->h5, "format", &format) && strcmp(format, CHECKPOINT_FORMAT) == 0;
        free(format);
        if (ours)
            return checkpoint_refuse(
                file, "it is a Lockstep checkpoint without its digest: damaged, or written again by another "
                      "program; copy /model into a new file to use its weights");
    }
    return checkpoint_inspect_arrays(file);
}

static Status verify_state(const CheckpointFile *file) {
    Digest *digest = digest_create();
    if (digest == NULL) return status_fail(ERR_USAGE, "no memory to verify %s", file->path);
    int error = 0;
    digest_add_step(digest, file->meta.step);
    for (size_t i = 0; i < file->arrays && error == 0; i++) {
        digest_add_head(digest, &file->array[i]);
        error = digest_add_file(digest, file->fd, file->place[i].offset, file->place[i].bytes);
    }
    char hex[33];
    digest_hex(digest, hex);
    digest_destroy(&digest);
    if (error != 0) return read_failed(file, error);
    if (strcmp(hex, file->meta.state_digest) != 0)
        return checkpoint_refuse(file, "state_digest is %s, its attribute says %s", hex, file->meta.state_digest);
    return OK;
}

static Status make(const char *path, CheckpointFile **out) {
    CheckpointFile *file = calloc(1, sizeof *file);
    *out = NULL;
    if (file == NULL || (file->path = strdup(path)) == NULL) {
        free(file);
        return status_fail(ERR_USAGE, "no memory to open %s", path);
    }
    file->fd = -1;
    file->h5 = H5I_INVALID_HID;
    file->native = true;
    file->meta.best_loss = NAN;
    file->meta.config = file->meta.optimizer = "";
    *out = file;
    return OK;
}

/* All that can be known before libhdf5. A file that is not ours passes if `foreign` allows it. */
static Status verify(CheckpointFile *file, bool foreign) {
    BlockState state = BLOCK_ABSENT;
    CheckpointBlock block;
    TRY(open_regular(file));
    TRY(read_block(file, &state, &block));
    if (state != BLOCK_ABSENT || !foreign) return verify_block(file, state, &block);
    file->native = false;
    return find_signature(file);
}

static Status open_as(const char *path, bool foreign, CheckpointFile **out) {
    TRY(make(path, out));
    Status status = verify(*out, foreign);
    if (status == OK) {
        h5_lock();
        status = parse(*out);
        h5_unlock();
    }
    if (status == OK && (*out)->native) status = verify_state(*out);
    if (status != OK) checkpoint_close(out);
    return status;
}

Status checkpoint_open(const char *path, CheckpointFile **out) {
    return open_as(path, false, out);
}

Status checkpoint_open_any(const char *path, CheckpointFile **out) {
    return open_as(path, true, out);
}

void checkpoint_close(CheckpointFile **out) {
    CheckpointFile *file = *out;
    if (file == NULL) return;
    h5_lock();
    h5_release(&file->h5);
    h5_unlock();
    if (file->fd >= 0) close(file->fd);
    for (size_t i = 0; i < file->arrays; i++) free((char *)(uintptr_t)file->array[i].name);
    free(file->array);
    free(file->place);
    vocabulary_destroy(&file->vocabulary);
    vocabulary_destroy(&file->target_vocabulary);
    scaling_destroy(&file->scaling);
    free(file->config);
    free(file->optimizer);
    free(file->path);
    free(file);
    *out = NULL;
}

/* ---- reading -------------------------------------------------------------------------------------------- */

const CheckpointMeta *checkpoint_meta(const CheckpointFile *file) {
    return &file->meta;
}

size_t checkpoint_bytes(const CheckpointFile *file) {
    return (size_t)file->bytes;
}

size_t checkpoint_arrays(const CheckpointFile *file) {
    return file->arrays;
}

const NamedArray *checkpoint_array(const CheckpointFile *file, size_t i) {
    return &file->array[i];
}

static int by_name(const void *key, const void *array) {
    return strcmp(key, ((const NamedArray *)array)->name);
}

static Status convert(const CheckpointFile *file, const NamedArray *array, float *out) {
    H5_SCOPED set = H5Dopen2(file->h5, array->name, H5P_DEFAULT);
    if (set < 0 || H5Dread(set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        return h5_fail(ERR_CHECKPOINT, "cannot read /%s (%s)", array->name, file->path);
    return OK;
}

Status checkpoint_read(const CheckpointFile *file, const char *name, size_t rank, const size_t *dim, float *out) {
    const NamedArray *array =
        file->arrays == 0 ? NULL : bsearch(name, file->array, file->arrays, sizeof *array, by_name);
    if (array == NULL) return checkpoint_refuse(file, "it holds no /%s", name);
    bool same = array->rank == rank && rank <= 4;
    for (size_t d = 0; same && d < rank; d++) same = array->dim[d] == dim[d];
    if (!same) {
        char is[128], wanted[128];
        shape_print(array->rank, array->dim, is);
        shape_print(rank, dim, wanted);
        return checkpoint_refuse(file, "/%s has shape %s, the model needs %s", name, is, wanted);
    }
    const ArrayPlace *place = &file->place[array - file->array];
    if (place->bytes == 0 && place->direct) return OK;
    if (place->direct) {
        int error = read_at(file->fd, out, place->bytes, place->offset);
        return error == 0 ? OK : read_failed(file, error);
    }
    h5_lock();
    Status status = convert(file, array, out);
    h5_unlock();
    return status;
}

/* ---- for `info` ------------------------------------------------------------------------------------------- */

static Status classify(CheckpointFile *file, H5Kind *out) {
    char *format = NULL;
    TRY(open_parser(file));
    bool ours = h5_get_text(file->h5, "format", &format) && strcmp(format, CHECKPOINT_FORMAT) == 0;
    free(format);
    if (ours)
        return checkpoint_refuse(
            file, "it is a Lockstep checkpoint without its digest: damaged, or written again by another program");
    bool lengths = H5Lexists(file->h5, "target_lengths", H5P_DEFAULT) > 0;
    *out = H5Lexists(file->h5, "inputs", H5P_DEFAULT) > 0   ? (lengths ? H5_DECODER_DATA : H5_DATA)
           : H5Lexists(file->h5, "tokens", H5P_DEFAULT) > 0 ? H5_TOKENS
                                                            : H5_OTHER;
    return OK;
}

Status checkpoint_sniff(const char *path, H5Kind *out) {
    CheckpointFile *file;
    TRY(make(path, &file));
    Status status = verify(file, true);
    *out = H5_CHECKPOINT;
    if (status == OK && !file->native) {
        h5_lock();
        status = classify(file, out);
        h5_unlock();
    }
    checkpoint_close(&file);
    return status;
}
