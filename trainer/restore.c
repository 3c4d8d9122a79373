/* SPDX-License-Identifier: MIT
 *
 * restore.c: see restore.h. Text travels as one block of zero-terminated strings, then the numbers of the
 * scaling. */
#include "trainer/restore.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is sent first: how much follows, and the figures. */
typedef struct Header {
    uint64_t step, shards, vocabulary_size, features, classes;
    size_t bytes, tokens, target_tokens;
    int tokenizer, target_tokenizer;
    bool has_vocabulary, has_target_vocabulary;
    size_t columns; /* of the scaling, 0: none */
    ScalingKind scaling;
} Header;

static size_t pack_tokens(const Vocabulary *v, char *out) {
    size_t used = 0;
    if (!v || !v->token) return 0;
    for (size_t i = 0; i < v->size; i++) {
        size_t n = strlen(v->token[i]) + 1;
        if (out) memcpy(out + used, v->token[i], n);
        used += n;
    }
    return used;
}

static size_t pack_scaling(const Scaling *s, char *out) {
    size_t used = 0;
    if (!s) return 0;
    for (size_t i = 0; i < s->columns; i++) {
        size_t n = strlen(s->name[i]) + 1;
        if (out) memcpy(out + used, s->name[i], n);
        used += n;
    }
    size_t numbers = s->columns * sizeof(double);
    if (out) memcpy(out + used, s->shift, numbers);
    if (out) memcpy(out + used + numbers, s->scale, numbers);
    return used + 2 * numbers;
}

static Header describe(const CheckpointMeta *m) {
    const Vocabulary *v = m->vocabulary, *t = m->target_vocabulary;
    const Scaling *s = m->scaling;
    return (Header){.step = m->step,
                    .shards = m->shards,
                    .vocabulary_size = m->vocabulary_size,
                    .features = m->features,
                    .classes = m->classes,
                    .bytes =
                        strlen(m->config) + 1 + pack_tokens(v, NULL) + pack_tokens(t, NULL) + pack_scaling(s, NULL),
                    .columns = s ? s->columns : 0,
                    .scaling = s ? s->kind : SCALING_NONE,
                    .tokens = v ? v->size : 0,
                    .target_tokens = t ? t->size : 0,
                    .tokenizer = v ? (int)v->tokenizer : 0,
                    .target_tokenizer = t ? (int)t->tokenizer : 0,
                    .has_vocabulary = v != NULL,
                    .has_target_vocabulary = t != NULL};
}

/* A character vocabulary of `count` strings from the block; *at moves behind them. */
static Status unpack_tokens(int tokenizer, size_t count, const char **at, Vocabulary **out) {
    if (tokenizer == TOKENIZER_BYTE) return vocabulary_from_tokens(TOKENIZER_BYTE, NULL, count, out);
    const char **token = calloc(count ? count : 1, sizeof *token);
    if (!token) return status_fail(ERR_USAGE, "memory: no room for a vocabulary of %zu; free some", count);
    for (size_t i = 0; i < count; i++) {
        token[i] = *at;
        *at += strlen(*at) + 1;
    }
    Status status = vocabulary_from_tokens((TokenizerKind)tokenizer, token, count, out);
    free(token);
    return status;
}

static Status unpack_scaling(const Header *h, const char **at, Scaling **out) {
    const char **name = calloc(h->columns, sizeof *name);
    if (!name) return status_fail(ERR_USAGE, "memory: no room for the scaling of %zu columns; free some", h->columns);
    for (size_t i = 0; i < h->columns; i++) {
        name[i] = *at;
        *at += strlen(*at) + 1;
    }
    Status status = scaling_create(h->scaling, name, h->columns, out);
    free(name);
    if (status != OK) return status;
    size_t numbers = h->columns * sizeof(double);
    memcpy((*out)->shift, *at, numbers);
    memcpy((*out)->scale, *at + numbers, numbers);
    *at += 2 * numbers;
    return OK;
}

static Status unpack(const Header *h, const char *block, const char *const *override, size_t overrides, Restored *out) {
    char name[512];
    snprintf(name, sizeof name, "config in %s", out->path);
    TRY(config_parse(block, name, override, overrides, &out->config));
    const char *at = block + strlen(block) + 1;
    if (h->has_vocabulary) TRY(unpack_tokens(h->tokenizer, h->tokens, &at, &out->vocabulary));
    if (h->has_target_vocabulary)
        TRY(unpack_tokens(h->target_tokenizer, h->target_tokens, &at, &out->target_vocabulary));
    if (h->columns) TRY(unpack_scaling(h, &at, &out->scaling));
    return OK;
}

Status restore_open(Comm *comm, const char *path, const char *const *override, size_t overrides, Restored *out) {
    *out = (Restored){.path = path};
    bool root = comm_rank(comm) == 0;
    Status status = root ? checkpoint_open(path, &out->file) : OK;
    if (status == OK && root && !checkpoint_meta(out->file)->config)
        status = status_fail(ERR_CHECKPOINT, "%s: holds no config; use a checkpoint that `lockstep train` wrote", path);
    TRY(comm_agree(comm, status));
    Header header = {0};
    if (root) header = describe(checkpoint_meta(out->file));
    comm_broadcast(comm, 0, &header, sizeof header);
    char *block = malloc(header.bytes);
    TRY(comm_agree(
        comm, block ? OK : status_fail(ERR_USAGE, "memory: %zu bytes for the config are not there", header.bytes)));
    if (root) {
        const CheckpointMeta *m = checkpoint_meta(out->file);
        size_t used = strlen(m->config) + 1;
        memcpy(block, m->config, used);
        used += pack_tokens(m->vocabulary, block + used);
        used += pack_tokens(m->target_vocabulary, block + used);
        pack_scaling(m->scaling, block + used);
    }
    comm_broadcast(comm, 0, block, header.bytes);
    out->step = header.step;
    out->shards = header.shards;
    out->vocabulary_size = header.vocabulary_size;
    out->features = header.features;
    out->classes = header.classes;
    status = unpack(&header, block, override, overrides, out);
    free(block);
    return comm_agree(comm, status);
}

DataKnown restore_known(const Restored *r) {
    return (DataKnown){.vocabulary = r->vocabulary,
                       .target_vocabulary = r->target_vocabulary,
                       .scaling = r->scaling,
                       .classes = (size_t)r->classes};
}

void restore_close(Restored *r) {
    if (r->file) checkpoint_close(&r->file);
    if (r->config) config_destroy(&r->config);
    vocabulary_destroy(&r->vocabulary);
    vocabulary_destroy(&r->target_vocabulary);
    scaling_destroy(&r->scaling);
    *r = (Restored){0};
}
