/* SPDX-License-Identifier: MIT
 *
 * checkpoint_format.h: what the writer and the reader of checkpoints share, private to io/: the user block,
 * the digests, and the table of root attributes.
 *
 * The user block is 512 bytes of text, so that `head -c 512` shows it:
 *
 *   Lockstep checkpoint
 *   format 1
 *   bytes <of the HDF5 image behind the block>
 *   xxh3-128 <of that image, hex>
 *   <a note, padded with spaces>
 *   block-xxh3-64 <of all of the block before this line, hex>
 *
 * Every byte of it follows from the three numbers; a block that differs in any byte is refused. */
#ifndef LOCKSTEP_IO_CHECKPOINT_FORMAT_H
#define LOCKSTEP_IO_CHECKPOINT_FORMAT_H

#include "io/checkpoint.h"

enum { CHECKPOINT_BLOCK = 512 };

#define CHECKPOINT_FORMAT "lockstep-checkpoint"

/* ---- the user block ---------------------------------------------------------------------------- */

typedef enum BlockState {
    BLOCK_ABSENT,  /* not a file of ours, or not the start of one */
    BLOCK_DAMAGED, /* ours, but its own checksum is wrong */
    BLOCK_NEWER,   /* whole, of a format that we do not know: `version` says which */
    BLOCK_SOUND
} BlockState;

typedef struct CheckpointBlock {
    unsigned version;
    uint64_t bytes;
    char digest[33];
} CheckpointBlock;

void checkpoint_block_print(const CheckpointBlock *block, char out[CHECKPOINT_BLOCK]);
BlockState checkpoint_block_parse(const char in[CHECKPOINT_BLOCK], CheckpointBlock *out);

/* Digests the open file behind its block and writes the block. 0, an errno, or -1 if the file is cut
 * meanwhile. */
int checkpoint_seal(int fd, uint64_t file_bytes);

/* ---- digests: XXH3-128, hex with the high half first as xxhsum prints it -------------------------- */

typedef struct Digest Digest;

Digest *digest_create(void); /* NULL when memory is short */
void digest_destroy(Digest **digest);
void digest_add(Digest *digest, const void *data, size_t bytes);
void digest_hex(const Digest *digest, char out[33]);
/* Adds bytes [offset, offset + bytes) of a file. 0, an errno, or -1 if the file ends before. */
int digest_add_file(Digest *digest, int fd, uint64_t offset, uint64_t bytes);

/* state_digest: first the step, then each array in name order, its head followed by its data. */
void digest_add_step(Digest *digest, uint64_t step);
void digest_add_head(Digest *digest, const NamedArray *array);

/* ---- arrays ------------------------------------------------------------------------------------- */

/* Bytes of the array as float32; false on overflow or rank > 4. */
bool array_bytes(const NamedArray *array, size_t *out);
/* "model/<name>" or "optimizer/<slot>/<name>", no component empty, "." or "..", no control characters. */
bool array_name_valid(const char *name);
/* "[65, 256]" */
void shape_print(size_t rank, const size_t *dim, char out[128]);

/* ---- the root attributes ---------------------------------------------------------------------------- */

typedef enum AttributeKind {
    ATTRIBUTE_INTEGER, /* uint64_t, stored as int64 */
    ATTRIBUTE_REAL,    /* double */
    ATTRIBUTE_FLAG,    /* bool */
    ATTRIBUTE_DIGEST,  /* uint64_t[2], stored as 32 hex digits */
    ATTRIBUTE_TEXT,    /* char[room] */
    ATTRIBUTE_STRING   /* const char * */
} AttributeKind;

typedef struct Attribute {
    const char *name; /* NULL ends the table */
    AttributeKind kind;
    size_t offset; /* in CheckpointMeta */
    size_t room;
} Attribute;

extern const Attribute checkpoint_attributes[];

/* checkpoint_write with another limit: an image of more than `most` bytes is not made in memory but
 * written by libhdf5 straight into the temporary file and read back for its digest. */
MUST_CHECK Status checkpoint_write_within(const char *path, CheckpointMeta *meta, const NamedArray *array,
                                          size_t arrays, size_t most);

#endif
