/* SPDX-License-Identifier: MIT
 *
 * checkpoint_inspect.h: the open file, and what must hold of each of its objects; private to io/. */
#ifndef LOCKSTEP_IO_CHECKPOINT_INSPECT_H
#define LOCKSTEP_IO_CHECKPOINT_INSPECT_H

#include <sys/types.h>

#include "io/checkpoint_format.h"
#include "io/h5.h"

/* Where the bytes of an array lie. */
typedef struct ArrayPlace {
    bool direct;     /* float32 in one piece: read without libhdf5 */
    uint64_t offset; /* from the start of the file */
    size_t bytes;
} ArrayPlace;

struct CheckpointFile {
    char *path;
    int fd;
    uint64_t bytes;
    dev_t device;
    ino_t inode;
    bool native; /* ours and verified; else foreign */
    hid_t h5;
    CheckpointMeta meta;
    NamedArray *array; /* in name order, names owned */
    ArrayPlace *place; /* [arrays] */
    size_t arrays, room;
    Vocabulary *vocabulary, *target_vocabulary;
    Scaling *scaling;
    char *config, *optimizer;
};

typedef struct Names {
    char **name;
    size_t count, room;
    char *soft; /* the first link that is not hard */
    bool short_of_memory;
} Names;

/* ERR_CHECKPOINT: "checkpoint refused (PATH): ..." */
Status checkpoint_refuse(const CheckpointFile *file, const char *format, ...) PRINTF_LIKE(2, 3);

/* The names in a group, all of them hard links. `path` is for messages: "", "model". names_free in any
 * case. With libhdf5's lock held, as all that follows. */
MUST_CHECK Status checkpoint_list_links(const CheckpointFile *file, hid_t group, const char *path, Names *names);
void names_free(Names *names);

/* Opens what a hard link of `group` leads to and demands its kind: H5I_GROUP or H5I_DATASET. */
MUST_CHECK Status checkpoint_open_object(const CheckpointFile *file, hid_t group, const char *name, const char *path,
                                         H5I_type_t kind, hid_t *out);

/* Where and how the data lies: in the file, not virtual, with built-in filters. */
MUST_CHECK Status checkpoint_check_storage(const CheckpointFile *file, hid_t set, const char *path,
                                           H5D_layout_t *layout);

/* Of a native file: the attributes, the objects at the root, /config and the vocabularies, into the meta. */
MUST_CHECK Status checkpoint_inspect_meta(CheckpointFile *file);

/* The group /scaling. */
MUST_CHECK Status checkpoint_inspect_scaling(const CheckpointFile *file, Scaling **out);

/* The texts of a list of texts; token and text have room for `size`. A text without bytes is read as "". What
 * token points at is the caller's: H5free_memory. */
MUST_CHECK Status checkpoint_read_texts(const CheckpointFile *file, hid_t set, const char *name, char **token,
                                        const char **text, size_t size);

/* The data sets of /model and, of a native file, /optimizer, into array and place, in name order. */
MUST_CHECK Status checkpoint_inspect_arrays(CheckpointFile *file);

#endif
