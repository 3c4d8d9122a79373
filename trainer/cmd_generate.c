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
    const char *prompt, *prompts; /* the text, or a file of them */
} Generation;

/* `before` is the token in front, -1 where nothing is to be put between. */
static void emit(const Vocabulary *v, int32_t before, int32_t id) {
    size_t bytes;
    const char *token = vocabulary_token(v, id, &bytes);
    if (vocabulary_parts(v, before, id)) putchar(' ');
    fwrite(token, 1, bytes, stdout);
}

/* What was written so far. A token is read once and the rest is in the layers' state: h of a recurrent layer, the
 * keys and values of attention. */
typedef struct Text {
    char *prompt;
    int32_t *ids; /* [prompt + length] */
    size_t prompted, count, fed;
} Text;

/* Texts that are written side by side, each the same as alone. Attention sees `window` tokens (0: there is
 * none); once one text has filled them, every further token shifts its positions, and the last `window` tokens
 * of all are read anew. */
typedef struct Texts {
    Text *text;
    size_t count, window;
    size_t *offset;     /* [count + 1] */
    uint64_t *position; /* [count] */
    int32_t *ids;       /* of a pass */
} Texts;

static const Value *feed(Engine *e, Texts *t) {
    size_t shard[2] = {0, t->count}, longest = 0;
    bool carry = true;
    for (size_t i = 0; i < t->count; i++) carry &= t->window == 0 || t->text[i].count <= t->window;
    for (size_t i = 0; i < t->count; i++) {
        Text *text = &t->text[i];
        size_t kept = text->count < t->window ? text->count : t->window;
        size_t first = carry ? text->fed : text->count - kept, count = text->count - first;
        memcpy(t->ids + t->offset[i], text->ids + first, count * sizeof *t->ids);
        t->offset[i + 1] = t->offset[i] + count;
        t->position[i] = i;
        text->fed = text->count;
        if (count > longest) longest = count;
    }
    Batch batch = {.rows = {.sequences = t->count,
                            .offset = t->offset,
                            .position = t->position,
                            .shards = 1,
                            .total_shards = 1,
                            .shard = shard,
                            .longest = longest},
                   .ids = t->ids};
    return model_forward(e->model, &batch, carry);
}

static int32_t before_first(const Text *text) {
    return isspace((unsigned char)text->prompt[strlen(text->prompt) - 1]) ? -1 : text->ids[text->prompted - 1];
}

/* One text appears token by token, several one after the other at the end. */
static void write_tokens(Engine *e, const Vocabulary *v, const Generation *s, Texts *t, Candidate *candidate,
                         size_t classes) {
    int32_t before = before_first(&t->text[0]);
    model_reset_state(e->model);
    if (t->count == 1) fputs(t->text[0].prompt, stdout);
    for (size_t i = 0; i < s->length; i++) {
        const Value *out = feed(e, t);
        for (size_t k = 0; k < t->count; k++) {
            const float *logits = out->v + (t->offset[k + 1] - 1) * out->features;
            int32_t id = sampling_pick(&s->sampling, logits, classes, random_name("generate"), i, candidate);
            if (t->count == 1) emit(v, before, id);
            t->text[k].ids[t->text[k].count++] = before = id;
        }
    }
    if (t->count == 1) putchar('\n');
    for (size_t k = 0; k < t->count && t->count > 1; k++) {
        const Text *text = &t->text[k];
        before = before_first(text);
        fputs(text->prompt, stdout);
        for (size_t i = text->prompted; i < text->count; i++) {
            emit(v, before, text->ids[i]);
            before = text->ids[i];
        }
        putchar('\n');
    }
}

static Status write_texts(Engine *e, const Vocabulary *v, const Generation *s, Texts *t) {
    size_t classes = v->size < model_output(e->model)->features ? v->size : model_output(e->model)->features;
    Candidate *candidate = calloc(classes, sizeof *candidate);
    t->offset = calloc(t->count + 1, sizeof *t->offset);
    t->position = calloc(t->count, sizeof *t->position);
    t->ids = calloc(e->spec.max_rows, sizeof *t->ids);
    Status status = OK;
    if (candidate && t->offset && t->position && t->ids) {
        write_tokens(e, v, s, t, candidate, classes);
        if (fflush(stdout) != 0)
            status = status_fail(ERR_WRITE, "standard output: cannot be written; check where it goes");
    } else {
        status = status_fail(ERR_USAGE, "memory: no room for %zu texts; give fewer prompts", t->count);
    }
    free(candidate);
    return status;
}

/* ---- prompts -------------------------------------------------------------------------------------------- */

/* `where` names the prompt in messages. */
static Status add_prompt(const Vocabulary *v, const Generation *s, const char *prompt, const char *where, Texts *t) {
    Text *grown = realloc(t->text, (t->count + 1) * sizeof *grown);
    if (!grown) return status_fail(ERR_USAGE, "memory: no room for %zu prompts; give fewer", t->count + 1);
    t->text = grown;
    Text *text = &grown[t->count++];
    *text = (Text){.prompt = strdup(prompt)};
    int32_t *ids = NULL;
    TRY(vocabulary_encode(v, prompt, strlen(prompt), where, &ids, &text->count));
    text->prompted = text->count;
    size_t most;
    if (__builtin_add_overflow(text->count, s->length, &most) || !size_multiply(most, sizeof *ids, &most))
        most = SIZE_MAX;
    text->ids = text->count ? realloc(ids, most) : ids;
    if (text->count == 0) {
        free(ids);
        text->ids = NULL;
        return status_fail(ERR_USAGE, "%s (command line): holds blanks alone; give at least one word", where);
    }
    if (text->ids && text->prompt) return OK;
    if (!text->ids) free(ids);
    return status_fail(ERR_USAGE, "memory: no room for %zu tokens; lower --length", s->length);
}

/* A prompt a line. */
static Status read_prompts(const Vocabulary *v, const Generation *s, Texts *t) {
    FILE *file = fopen(s->prompts, "r");
    if (!file)
        return status_fail(ERR_DATA, "%s: cannot be read; --prompts names a file with a prompt a line", s->prompts);
    char *line = NULL, where[512];
    size_t room = 0, number = 0;
    Status status = OK;
    for (ssize_t n; status == OK && (n = getline(&line, &room, file)) >= 0;) {
        number++;
        if (n > 0 && line[n - 1] == '\n') line[n - 1] = '\0';
        snprintf(where, sizeof where, "%s:%zu", s->prompts, number);
        status = *line ? add_prompt(v, s, line, where, t)
                       : status_fail(ERR_DATA, "%s: is empty; give at least one character a line", where);
    }
    free(line);
    fclose(file);
    if (status == OK && t->count == 0) status = status_fail(ERR_DATA, "%s: is empty; give a prompt a line", s->prompts);
    return status;
}

static void release(Texts *t) {
    for (size_t i = 0; i < t->count; i++) {
        free(t->text[i].prompt);
        free(t->text[i].ids);
    }
    free(t->text);
    free(t->offset);
    free(t->position);
    free(t->ids);
}

/* ---- the command ---------------------------------------------------------------------------------------- */

/* A layer that looks ahead cannot write text token by token. */
static Status refuse_looking_ahead(const Config *c) {
    for (size_t l = 0; l < c->layers; l++) {
        const LayerSpec *spec = &c->layer[l];
        for (size_t i = 0; spec->type->looks_ahead && i < (spec->inputs ? spec->inputs : 1); i++) {
            const char *key = spec->type->looks_ahead(spec->config, spec->inputs, i);
            if (!key) continue;
            const bool both = strcmp(key, "bidirectional") == 0;
            return status_fail(
                ERR_USAGE, "generate: layer %s is %s: it reads what is yet to be written; train a model %s", spec->name,
                both   ? "bidirectional"
                : *key ? "not causal"
                       : spec->type->kind,
                both   ? "with one direction"
                : *key ? "with causal: true"
                       : "without it");
        }
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
    if (s->prompt && s->prompts)
        return status_fail(ERR_USAGE, "--prompt and --prompts (command line): give one of them");
    if (!s->prompts && (!s->prompt || !*s->prompt))
        return status_fail(ERR_USAGE, "--prompt TEXT missing (command line); give at least one character");
    if (s->length == 0) return status_fail(ERR_USAGE, "--length N missing (command line); e.g. --length 200");
    TRY(sampling_check(&s->sampling));
    if (r->config->data.kind != DATA_TEXT && r->config->data.kind != DATA_TOKENS)
        return status_fail(ERR_USAGE, "generate: %s is not a model of text (data.kind: text)", r->path);
    return refuse_looking_ahead(r->config);
}

static Status run(Comm *comm, const Restored *r, const Generation *s, Texts *t) {
    TRY(comm_agree(comm, s->prompts ? read_prompts(r->vocabulary, s, t)
                                    : add_prompt(r->vocabulary, s, s->prompt, "--prompt", t)));
    DataInfo info = {.ids = true,
                     .vocabulary = (size_t)r->vocabulary_size,
                     .target = TARGET_NONE,
                     .target_per_step = true,
                     .classes = (size_t)r->classes};
    size_t longest = 0, batch;
    t->window = window_of(r->config);
    for (size_t i = 0; i < t->count; i++)
        if (t->text[i].count > longest) longest = t->text[i].count;
    if (!size_multiply(comm_size(comm), t->count, &batch)) batch = SIZE_MAX;
    /* The texts come from rank 0; others only share its memory. */
    EngineUse use = {.info = &info,
                     .shards = comm_size(comm),
                     .batch_size = batch,
                     .max_length = t->window ? t->window : longest,
                     .carries = true};
    Engine *engine = NULL;
    Status status = engine_create(comm, r->config, &use, &engine);
    if (status == OK) status = engine_load(engine, r->file);
    if (status == OK) status = comm_agree(comm, comm_rank(comm) == 0 ? write_texts(engine, r->vocabulary, s, t) : OK);
    engine_destroy(&engine);
    return status;
}

static Status generate(Comm *comm, const Restored *r, const Generation *s) {
    Texts texts = {0};
    TRY(comm_agree(comm, check(r, s)));
    Status status = run(comm, r, s, &texts);
    release(&texts);
    return status;
}

Status command_generate(Comm *comm, int argc, char **argv) {
    Generation s = {.sampling = {.temperature = 1, .top_p = 1}};
    const Option table[] = {
        {"prompt", OPTION_TEXT, &s.prompt},        {"prompts", OPTION_TEXT, &s.prompts},
        {"length", OPTION_SIZE, &s.length},        {"temperature", OPTION_REAL, &s.sampling.temperature},
        {"top-k", OPTION_SIZE, &s.sampling.top_k}, {"top-p", OPTION_REAL, &s.sampling.top_p},
        {"seed", OPTION_SIZE, &s.sampling.seed},   {0}};
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
