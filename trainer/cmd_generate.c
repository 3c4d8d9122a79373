/* SPDX-License-Identifier: MIT
 *
 * cmd_generate.c: lockstep generate: text from a language model, token by token, each step one pass over
 * one row that goes on from the layers' state. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "layers/ops/random.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/restore.h"
#include "trainer/sampling.h"

typedef struct Generation {
    Sampling sampling;
    size_t length;
    const char *prompt;
} Generation;

/* `before` is the token in front, -1 where nothing is to be put between. */
static void emit(const Vocabulary *v, int32_t before, int32_t id) {
    size_t bytes;
    const char *token = vocabulary_token(v, id, &bytes);
    if (vocabulary_parts(v, before, id)) putchar(' ');
    fwrite(token, 1, bytes, stdout);
}

/* The last row of logits after feeding `count` tokens, on top of what was fed before if `carry`. */
static const float *feed(Engine *e, const int32_t *ids, size_t count, bool carry) {
    size_t offset[2] = {0, count}, shard[2] = {0, 1};
    uint64_t position = 0;
    Batch batch = {.rows = {.sequences = 1,
                            .offset = offset,
                            .position = &position,
                            .shards = 1,
                            .total_shards = 1,
                            .shard = shard,
                            .longest = count},
                   .ids = ids};
    const Value *out = model_forward(e->model, &batch, carry);
    return out->v + (count - 1) * out->features;
}

/* What was written so far. A token is read once and the rest is in the layers' state: h of a recurrent layer, the
 * keys and values of attention. Attention sees `window` tokens (0: there is none); once they are full, every
 * further token shifts their positions, and the last `window` tokens are read anew. */
typedef struct History {
    int32_t *ids; /* [prompt + length] */
    size_t count, fed, window;
} History;

static const float *next_logits(Engine *e, History *h) {
    bool carry = h->window == 0 || h->count <= h->window;
    size_t first = carry ? h->fed : h->count - h->window;
    h->fed = h->count;
    return feed(e, h->ids + first, h->count - first, carry);
}

static void write_tokens(Engine *e, const Vocabulary *v, const Generation *s, History *h, Candidate *candidate,
                         size_t classes) {
    int32_t before = isspace((unsigned char)s->prompt[strlen(s->prompt) - 1]) ? -1 : h->ids[h->count - 1];
    model_reset_state(e->model);
    fputs(s->prompt, stdout);
    for (size_t i = 0; i < s->length; i++) {
        int32_t id = sampling_pick(&s->sampling, next_logits(e, h), classes, random_name("generate"), i, candidate);
        emit(v, before, id);
        h->ids[h->count++] = before = id;
    }
    putchar('\n');
}

static Status write_text(Engine *e, const Vocabulary *v, const Generation *s, const int32_t *prompt, size_t count,
                         size_t window) {
    size_t classes = v->size < model_output(e->model)->features ? v->size : model_output(e->model)->features, most;
    if (__builtin_add_overflow(count, s->length, &most) || !size_multiply(most, sizeof *prompt, &most)) most = SIZE_MAX;
    Candidate *candidate = calloc(classes, sizeof *candidate);
    History history = {.ids = malloc(most), .count = count, .window = window};
    Status status = OK;
    if (candidate && history.ids) {
        memcpy(history.ids, prompt, count * sizeof *prompt);
        write_tokens(e, v, s, &history, candidate, classes);
        if (fflush(stdout) != 0)
            status = status_fail(ERR_WRITE, "standard output: cannot be written; check where it goes");
    } else {
        status = status_fail(ERR_USAGE, "memory: no room for %zu tokens; lower --length", s->length);
    }
    free(history.ids);
    free(candidate);
    return status;
}

static bool flag_of(const LayerSpec *layer, const char *name, bool fallback) {
    for (const Key *k = layer->type->keys; k && k->name; k++)
        if (strcmp(k->name, name) == 0) return *(const bool *)((const char *)layer->config + k->offset);
    return fallback;
}

/* A layer that looks ahead cannot write text token by token. */
static Status refuse_looking_ahead(const Config *c) {
    for (size_t i = 0; i < c->layers; i++) {
        const LayerSpec *l = &c->layer[i];
        bool both = flag_of(l, "bidirectional", false), ahead = !flag_of(l, "causal", true);
        if (both || ahead)
            return status_fail(
                ERR_USAGE, "generate: layer %s is %s: it reads what is yet to be written; train a model %s", l->name,
                both ? "bidirectional" : "not causal", both ? "with one direction" : "with causal: true");
    }
    return OK;
}

/* Tokens that a model with attention looks at; 0 for one that goes on from its state. */
static size_t window_of(const Config *c) {
    for (size_t i = 0; i < c->layers; i++)
        if (c->layer[i].type->window) return c->data.seq_len;
    return 0;
}

static Status check(const Restored *r, const Generation *s) {
    if (!r->vocabulary)
        return status_fail(ERR_USAGE, "generate: %s holds no vocabulary: it was not trained on text", r->path);
    if (!s->prompt || !*s->prompt)
        return status_fail(ERR_USAGE, "--prompt TEXT missing (command line); give at least one character");
    if (s->length == 0) return status_fail(ERR_USAGE, "--length N missing (command line); e.g. --length 200");
    TRY(sampling_check(&s->sampling));
    if (r->config->data.kind != DATA_TEXT && r->config->data.kind != DATA_TOKENS)
        return status_fail(ERR_USAGE, "generate: %s is not a model of text (data.kind: text)", r->path);
    return refuse_looking_ahead(r->config);
}

static Status generate(Comm *comm, const Restored *r, const Generation *s) {
    TRY(comm_agree(comm, check(r, s)));
    int32_t *ids = NULL;
    size_t count = 0;
    TRY(comm_agree(comm, vocabulary_encode(r->vocabulary, s->prompt, strlen(s->prompt), "--prompt", &ids, &count)));
    if (count == 0) {
        free(ids);
        return status_fail(ERR_USAGE, "--prompt (command line): holds blanks alone; give at least one word");
    }
    DataInfo info = {.ids = true,
                     .vocabulary = (size_t)r->vocabulary_size,
                     .target = TARGET_NONE,
                     .target_per_step = true,
                     .classes = (size_t)r->classes};
    size_t window = window_of(r->config);
    /* The text comes from rank 0; others only share its memory. */
    EngineUse use = {.info = &info,
                     .shards = comm_size(comm),
                     .batch_size = comm_size(comm),
                     .max_length = window ? window : count,
                     .carries = true};
    Engine *engine = NULL;
    Status status = engine_create(comm, r->config, &use, &engine);
    if (status == OK) status = engine_load(engine, r->file);
    if (status == OK)
        status = comm_agree(comm, comm_rank(comm) == 0 ? write_text(engine, r->vocabulary, s, ids, count, window) : OK);
    engine_destroy(&engine);
    free(ids);
    return status;
}

Status command_generate(Comm *comm, int argc, char **argv) {
    Generation s = {.sampling = {.temperature = 1, .top_p = 1}};
    const Option table[] = {{"prompt", OPTION_TEXT, &s.prompt},
                            {"length", OPTION_SIZE, &s.length},
                            {"temperature", OPTION_REAL, &s.sampling.temperature},
                            {"top-k", OPTION_SIZE, &s.sampling.top_k},
                            {"top-p", OPTION_REAL, &s.sampling.top_p},
                            {"seed", OPTION_SIZE, &s.sampling.seed},
                            {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("generate", argc, argv, table, &rest, &count));
    TRY(arguments_file_and_overrides("generate", rest, count, "CHECKPOINT"));
    if (count > 1) return status_fail(ERR_USAGE, "%s (command line): generate takes no key=value", rest[1]);
    Restored restored;
    Status status = restore_open(comm, rest[0], NULL, 0, &restored);
    if (status == OK) status = generate(comm, &restored, &s);
    restore_close(&restored);
    return status;
}
