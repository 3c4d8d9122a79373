/* SPDX-License-Identifier: MIT
 *
 * checkpoint_format.c: the user block, the digests and the root attributes of a checkpoint. */
#include "io/checkpoint_format.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "comm/arena.h"
#include "io/files.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "checkpoints are hashed and written as they lie in memory");

const Attribute checkpoint_attributes[] = {
    {"program_version", ATTRIBUTE_TEXT, offsetof(CheckpointMeta, program_version), 32},
    {"step", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, step), 0},
    {"epoch", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, epoch), 0},
    {"seed", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, seed), 0},
    {"shards", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, shards), 0},
    {"data_digest", ATTRIBUTE_DIGEST, offsetof(CheckpointMeta, data_digest), 0},
    {"state_digest", ATTRIBUTE_TEXT, offsetof(CheckpointMeta, state_digest), 33},
    {"created", ATTRIBUTE_TEXT, offsetof(CheckpointMeta, created), 32},
    {"best_loss", ATTRIBUTE_REAL, offsetof(CheckpointMeta, best_loss), 0},
    {"best_step", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, best_step), 0},
    {"evaluations_since_best", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, evaluations_since_best), 0},
    {"finished", ATTRIBUTE_FLAG, offsetof(CheckpointMeta, finished), 0},
    {"vocabulary_size", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, vocabulary_size), 0},
    {"features", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, features), 0},
    {"classes", ATTRIBUTE_INTEGER, offsetof(CheckpointMeta, classes), 0},
    {"optimizer", ATTRIBUTE_STRING, offsetof(CheckpointMeta, optimizer), 0},
    {0},
};

/* ---- digests ------------------------------------------------------------------------------------- */

enum { PIECE = 1 << 20 };

static XXH3_state_t *state_of(Digest *digest) {
    return (XXH3_state_t *)digest;
}

Digest *digest_create(void) {
    XXH3_state_t *state = XXH3_createState();
    if (state != NULL) XXH3_128bits_reset(state);
    return (Digest *)state;
}

void digest_destroy(Digest **digest) {
    if (*digest != NULL) XXH3_freeState(state_of(*digest));
    *digest = NULL;
}

void digest_add(Digest *digest, const void *data, size_t bytes) {
    if (bytes > 0) XXH3_128bits_update(state_of(digest), data, bytes);
}

void digest_hex(const Digest *digest, char out[33]) {
    XXH128_hash_t hash = XXH3_128bits_digest((const XXH3_state_t *)digest);
    snprintf(out, 33, "%016" PRIx64 "%016" PRIx64, (uint64_t)hash.high64, (uint64_t)hash.low64);
}

int digest_add_file(Digest *digest, int fd, uint64_t offset, uint64_t bytes) {
    void *piece = malloc(PIECE);
    int error = piece == NULL ? ENOMEM : 0;
    while (bytes > 0 && error == 0) {
        size_t n = bytes < PIECE ? (size_t)bytes : PIECE;
        error = read_at(fd, piece, n, offset);
        if (error == 0) digest_add(digest, piece, n);
        offset += n;
        bytes -= n;
    }
    free(piece);
    return error;
}

void digest_add_step(Digest *digest, uint64_t step) {
    digest_add(digest, &step, sizeof step);
}

void digest_add_head(Digest *digest, const NamedArray *array) {
    uint64_t number = array->rank;
    digest_add(digest, array->name, strlen(array->name) + 1);
    digest_add(digest, &number, sizeof number);
    for (size_t d = 0; d < array->rank; d++) {
        number = array->dim[d];
        digest_add(digest, &number, sizeof number);
    }
}

/* ---- arrays ---------------------------------------------------------------------------------------- */

bool array_bytes(const NamedArray *array, size_t *out) {
    size_t bytes = sizeof(float);
    if (array->rank > 4) return false;
    for (size_t d = 0; d < array->rank; d++)
        if (!size_multiply(bytes, array->dim[d], &bytes)) return false;
    *out = bytes;
    return true;
}

bool array_name_valid(const char *name) {
    size_t components = 1, length = 0;
    for (const char *c = name; *c != '\0'; c++) {
        if ((unsigned char)*c < 0x20 || *c == 0x7f) return false;
        if (*c != '/') {
            length++;
            continue;
        }
        if (length == 0 || (length == 1 && c[-1] == '.') || (length == 2 && c[-1] == '.' && c[-2] == '.')) return false;
        components++;
        length = 0;
    }
    const char *last = name + strlen(name) - length;
    if (length == 0 || strcmp(last, ".") == 0 || strcmp(last, "..") == 0) return false;
    if (strncmp(name, "model/", 6) == 0) return components == 2;
    return strncmp(name, "optimizer/", 10) == 0 && components == 3;
}

void shape_print(size_t rank, const size_t *dim, char out[128]) {
    size_t at = 1;
    strcpy(out, "[");
    for (size_t d = 0; d < rank; d++) at += (size_t)snprintf(out + at, 128 - at, d == 0 ? "%zu" : ", %zu", dim[d]);
    snprintf(out + at, 128 - at, "]");
}

/* ---- the user block -------------------------------------------------------------------------------- */

static const char MAGIC[] = "Lockstep checkpoint\n";
static const char NOTE[] = "HDF5 begins at byte 512: h5py, h5dump and HDFView open this file as it is.\n"
                           "The digest covers all that follows; a program that changes this file voids it.\n";
static const char LAST[] = "\nblock-xxh3-64 ";
/* The last line, its line feeds in front and behind included. */
enum { TAIL = sizeof LAST - 1 + 16 + 1, HEAD = CHECKPOINT_BLOCK - TAIL };

static void print_tail(char block[CHECKPOINT_BLOCK]) {
    char tail[TAIL + 1];
    snprintf(tail, sizeof tail, "%s%016" PRIx64 "\n", LAST, (uint64_t)XXH3_64bits(block, HEAD));
    memcpy(block + HEAD, tail, TAIL);
}

void checkpoint_block_print(const CheckpointBlock *block, char out[CHECKPOINT_BLOCK]) {
    char head[CHECKPOINT_BLOCK];
    int n = snprintf(head, sizeof head, "%sformat %u\nbytes %" PRIu64 "\nxxh3-128 %s\n%s", MAGIC, block->version,
                     block->bytes, block->digest, NOTE);
    memset(out, ' ', CHECKPOINT_BLOCK);
    memcpy(out, head, (size_t)n);
    print_tail(out);
}

BlockState checkpoint_block_parse(const char in[CHECKPOINT_BLOCK], CheckpointBlock *out) {
    char text[CHECKPOINT_BLOCK + 1], again[CHECKPOINT_BLOCK];
    *out = (CheckpointBlock){0};
    if (memcmp(in, MAGIC, sizeof MAGIC - 1) != 0) return BLOCK_ABSENT;
    memcpy(text, in, CHECKPOINT_BLOCK);
    text[CHECKPOINT_BLOCK] = '\0';
    print_tail(text);
    if (memcmp(text, in, CHECKPOINT_BLOCK) != 0) return BLOCK_DAMAGED;
    if (sscanf(text + sizeof MAGIC - 1, "format %9u", &out->version) != 1) return BLOCK_DAMAGED;
    if (out->version != CHECKPOINT_FORMAT_VERSION) return BLOCK_NEWER;
    if (sscanf(text + sizeof MAGIC - 1, "format %*u bytes %19" SCNu64 " xxh3-128 %32s", &out->bytes, out->digest) != 2)
        return BLOCK_DAMAGED;
    checkpoint_block_print(out, again);
    return memcmp(again, in, CHECKPOINT_BLOCK) == 0 ? BLOCK_SOUND : BLOCK_DAMAGED;
}

int checkpoint_seal(int fd, uint64_t file_bytes) {
    CheckpointBlock block = {.version = CHECKPOINT_FORMAT_VERSION, .bytes = file_bytes - CHECKPOINT_BLOCK};
    char text[CHECKPOINT_BLOCK];
    Digest *digest = digest_create();
    if (digest == NULL) return ENOMEM;
    int error = digest_add_file(digest, fd, CHECKPOINT_BLOCK, block.bytes);
    digest_hex(digest, block.digest);
    digest_destroy(&digest);
    if (error != 0) return error;
    checkpoint_block_print(&block, text);
    return write_at(fd, text, sizeof text, 0);
}
