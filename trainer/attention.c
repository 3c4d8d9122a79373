/* SPDX-License-Identifier: MIT
 *
 * attention.c: see attention.h. Pieces of weights go from rank to rank one at a time, each behind a note that
 * says what it is: rank 0 writes its own, then takes those of rank 1, and so on, while later ranks wait to
 * send. */
#include "trainer/attention.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"

typedef struct Set {
    const Layer *layer;
    size_t i;
    AttentionSet set;
    char *name;
} Set;

/* What a piece is; set SIZE_MAX: there are no more. */
typedef struct Note {
    size_t set, sequence, head, queries, keys;
} Note;

struct AttentionWriter {
    Look look; /* first */
    Engine *engine;
    Set *set;
    AttentionForm *form;
    size_t sets;
    size_t first;        /* sequence of the data that the pass's first one is */
    AttentionFile *file; /* rank 0 alone */
    Status status;       /* rank 0: of writing; what follows a failure is taken and dropped */
};

static size_t cells_of(const Set *set, size_t queries, size_t keys) {
    return queries * keys * (set->set.channels ? set->set.channels : 1);
}

static void put(AttentionWriter *w, const Note *note) {
    if (w->status == OK)
        w->status =
            attention_file_put(w->file, note->set, note->sequence, note->head, note->queries, note->keys, w->look.w);
}

static void take(Look *look, const Layer *layer, size_t i, size_t sequence, size_t head, size_t queries, size_t keys) {
    AttentionWriter *w = (AttentionWriter *)(void *)look;
    Note note = {.sequence = w->first + sequence, .head = head, .queries = queries, .keys = keys};
    while (w->set[note.set].layer != layer || w->set[note.set].i != i) note.set++;
    if (comm_rank(w->engine->comm) == 0) {
        put(w, &note);
        return;
    }
    comm_send(w->engine->comm, 0, &note, sizeof note);
    comm_send(w->engine->comm, 0, look->w, cells_of(&w->set[note.set], queries, keys) * sizeof *look->w);
}

/* ---- sets ------------------------------------------------------------------------------------------------ */

static Status add_set(AttentionWriter *w, const Layer *layer, size_t i, const AttentionSet *set) {
    Set *grown = realloc(w->set, (w->sets + 1) * sizeof *grown);
    if (!grown) return status_fail(ERR_USAGE, "memory: no room for a list of layers; free some");
    w->set = grown;
    grown[w->sets] = (Set){.layer = layer, .i = i, .set = *set};
    if (asprintf(&grown[w->sets].name, "%s%s%s", layer->name, *set->name ? "/" : "", set->name) < 0)
        return status_fail(ERR_USAGE, "memory: no room for a name; free some");
    w->sets++;
    return OK;
}

static Status find_sets(AttentionWriter *w) {
    for (size_t l = 0; l < model_layers(w->engine->model); l++) {
        const Layer *layer = model_layer(w->engine->model, l);
        AttentionSet set;
        for (size_t i = 0; layer->type->attention && layer->type->attention(layer, i, &set); i++)
            TRY(add_set(w, layer, i, &set));
    }
    if (w->sets) return OK;
    return status_fail(ERR_USAGE, "--attention (command line): the model has no layer of attention; leave it out");
}

static size_t longest(const AttentionWriter *w, const AttentionTargets *targets, Grain grain) {
    const ModelSpec *spec = &w->engine->spec;
    if (grain == PER_SEQUENCE) return 0;
    return grain == PER_STEP ? spec->max_length : targets ? targets->longest : spec->max_target_length;
}

/* Forms, and room for the largest piece. */
static Status make_room(AttentionWriter *w, const AttentionTargets *targets) {
    size_t most = 0;
    w->form = calloc(w->sets, sizeof *w->form);
    if (!w->form) return status_fail(ERR_USAGE, "memory: no room for a list of layers; free some");
    for (size_t i = 0; i < w->sets; i++) {
        const AttentionSet *set = &w->set[i].set;
        w->form[i] = (AttentionForm){.name = w->set[i].name,
                                     .heads = set->heads,
                                     .queries = longest(w, targets, set->query),
                                     .keys = longest(w, targets, set->key),
                                     .channels = set->channels};
        size_t cells;
        if (!size_multiply3(w->form[i].queries ? w->form[i].queries : 1, w->form[i].keys,
                            set->channels ? set->channels : 1, &cells))
            return status_fail(ERR_USAGE, "--attention (command line): the weights of %s overflow", w->set[i].name);
        if (cells > most) most = cells;
    }
    if (!size_multiply(most, sizeof *w->look.w, &most) || !(w->look.w = malloc(most ? most : 1)))
        return status_fail(ERR_USAGE, "memory: no room for %zu bytes of weights of one sequence; use shorter ones",
                           most);
    return OK;
}

Status attention_create(Engine *engine, const Data *data, const Vocabulary *vocabulary, const AttentionTargets *targets,
                        const char *path, AttentionWriter **out) {
    AttentionWriter *w = *out = calloc(1, sizeof *w);
    Status status = w ? OK : status_fail(ERR_USAGE, "memory: no room for weights of attention; free some");
    if (status == OK) {
        *w = (AttentionWriter){.look = {.take = take}, .engine = engine, .status = OK};
        status = find_sets(w);
    }
    if (status == OK) status = make_room(w, targets);
    if (status == OK && comm_rank(engine->comm) == 0)
        status = attention_file_create(path, data, vocabulary, targets, w->form, w->sets, &w->file);
    return comm_agree(engine->comm, status);
}

/* ---- passes ------------------------------------------------------------------------------------------------ */

static void receive_from(AttentionWriter *w, size_t rank) {
    Comm *comm = w->engine->comm;
    for (Note note;;) {
        comm_receive(comm, rank, &note, sizeof note);
        if (note.set == SIZE_MAX) return;
        comm_receive(comm, rank, w->look.w, cells_of(&w->set[note.set], note.queries, note.keys) * sizeof *w->look.w);
        put(w, &note);
    }
}

Status attention_batch(AttentionWriter *w, const Batch *batch, size_t first) {
    Comm *comm = w->engine->comm;
    const Note end = {.set = SIZE_MAX};
    w->first = first;
    model_look(w->engine->model, &w->look);
    Status status = OK;
    if (!model_forward(w->engine->model, batch, false))
        status = status_fail(ERR_USAGE, "memory: no room for the model's output; make train.batch_size smaller");
    model_look(w->engine->model, NULL);
    if (comm_rank(comm) != 0) comm_send(comm, 0, &end, sizeof end);
    for (size_t r = 1; r < comm_size(comm) && comm_rank(comm) == 0; r++) receive_from(w, r);
    return comm_agree(comm, status != OK ? status : w->status);
}

static void release(AttentionWriter **writer) {
    AttentionWriter *w = *writer;
    for (size_t i = 0; i < w->sets; i++) free(w->set[i].name);
    free(w->set);
    free(w->form);
    free(w->look.w);
    free(w);
    *writer = NULL;
}

Status attention_publish(AttentionWriter **writer) {
    Comm *comm = (*writer)->engine->comm;
    Status status = (*writer)->file ? attention_file_publish(&(*writer)->file) : OK;
    release(writer);
    return comm_agree(comm, status);
}

void attention_abandon(AttentionWriter **writer) {
    if (!*writer) return;
    attention_file_abandon(&(*writer)->file);
    release(writer);
}
