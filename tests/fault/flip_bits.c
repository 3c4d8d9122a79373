/* SPDX-License-Identifier: MIT
 *
 * flip_bits.c: a training run in whose memory bits flip.
 *
 *   flip_bits CONFIG FLIPS   so many flips of one bit, each in a place, at a step and on a rank of its own, in
 *                            parameters, moments and nodes' copies: each must be found and named, and is undone
 *   flip_bits CONFIG save    one flip, then a save: ends as the program does, with 72 and no checkpoint */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "io/metrics.h"
#include "layers/ops/random.h"
#include "trainer/checks.h"
#include "trainer/save.h"
#include "trainer/session.h"

typedef struct Trial {
    Session session;
    uint64_t step, draws;
    float *params, *slot[OPTIMIZER_MAX_SLOTS]; /* as they were before the flip */
    size_t named;
} Trial;

/* The same on all ranks. */
static size_t draw(Trial *t, size_t below) {
    char key[64];
    snprintf(key, sizeof key, "flip %llu", (unsigned long long)t->draws++);
    return below > 0 ? (size_t)(random_name(key) % below) : 0;
}

static void remember(Trial *t, bool back) {
    Engine *e = t->session.engine;
    Optimizer *o = t->session.optimizer;
    size_t bytes = e->memory.parameters * sizeof(float), mine = o->count * sizeof(float);
    if (back && comm_node_rank(e->comm) == 0) memcpy(e->parameters, t->params, bytes);
    if (!back) memcpy(t->params, e->parameters, bytes);
    for (size_t k = 0; k < o->slots; k++) {
        if (back) memcpy(o->slot[k], t->slot[k], mine);
        else memcpy(t->slot[k], o->slot[k], mine);
    }
    comm_barrier(e->comm);
    if (!back) return;
    engine_pack(e);
    checks_keep(t->session.checks);
    t->session.checks->found = false;
    comm_barrier(e->comm);
}

/* Every rank draws alike; the victim flips. Parameters by their tensors, slots by what the victim owns. */
static void flip(Trial *t, size_t victim, size_t kind, char want[static 256]) {
    Session *s = &t->session;
    Engine *e = s->engine;
    size_t place = draw(t, SIZE_MAX), bit = draw(t, 32);
    const char *name = "";
    if (comm_rank(e->comm) == victim && s->checks->pieces > 0) {
        const CheckPiece *piece = &s->checks->piece[place % s->checks->pieces];
        size_t within = place / 7919 % piece->count;
        float *at =
            kind == 0 ? &e->parameters[piece->offset + within] : &s->optimizer->slot[kind - 1][piece->at + within];
        uint32_t word;
        memcpy(&word, at, sizeof word);
        word ^= (uint32_t)1 << bit;
        memcpy(at, &word, sizeof word);
        name = s->tensor[piece->tensor].name;
    }
    char mine[128] = "";
    snprintf(mine, sizeof mine, "%s", name);
    comm_broadcast(e->comm, victim, mine, sizeof mine);
    snprintf(want, 256, "(rank %zu on host %s, tensor '%s', step ", victim, comm_host(e->comm), mine);
}

/* A parameter of the victim's node that another node owns. */
static bool flip_copy(Trial *t, size_t victim, char want[static 256]) {
    Session *s = &t->session;
    Engine *e = s->engine;
    size_t owner = comm_size(e->comm), place = draw(t, SIZE_MAX), nodes[2] = {comm_node(e->comm), 0};
    size_t *all = calloc(comm_size(e->comm), sizeof *nodes);
    if (!all) exit(1);
    comm_exchange(e->comm, nodes, sizeof *nodes, all);
    for (size_t r = 0; r < comm_size(e->comm); r++)
        if (all[r] != all[victim]) owner = r;
    free(all);
    ReduceChunk chunk;
    if (owner == comm_size(e->comm) || !reduce_chunk_of(e->reduce, owner, 0, &chunk)) return false;
    size_t at = chunk.offset + place % chunk.count, tensor = 0;
    while (s->tensor[tensor].offset + s->tensor[tensor].span <= at) tensor++;
    if (comm_rank(e->comm) == victim) {
        uint32_t word;
        memcpy(&word, &e->parameters[at], sizeof word);
        word ^= (uint32_t)1 << draw(t, 32);
        memcpy(&e->parameters[at], &word, sizeof word);
    } else {
        draw(t, 32);
    }
    snprintf(want, 256, "tensor '%s', step ", s->tensor[tensor].name);
    return true;
}

static Status steps(Trial *t, size_t count) {
    for (size_t i = 0; i < count; i++) {
        StepResult r;
        TRY(stepper_take(t->session.stepper, ++t->step, 0, &r));
    }
    engine_settle(t->session.engine);
    return OK;
}

static Status one(Trial *t) {
    Session *s = &t->session;
    char want[256] = "";
    size_t kind = draw(t, 2 + s->optimizer->slots), victim = draw(t, comm_size(s->comm)), sooner = draw(t, 3);
    TRY(steps(t, 1 + draw(t, 2)));
    remember(t, false);
    Status status;
    if (kind == 1 + s->optimizer->slots && flip_copy(t, victim, want)) {
        comm_barrier(s->comm);
        status = checks_verify(s->checks, t->step);
    } else {
        flip(t, victim, kind % (1 + s->optimizer->slots), want);
        comm_barrier(s->comm);
        /* By the next update, which is told with the one after it, or before a save. */
        status = sooner == 0 ? checks_verify(s->checks, t->step) : steps(t, 2);
    }
    bool named = status == ERR_REPLICAS && strstr(status_message(), want);
    if (!named && comm_rank(s->comm) == 0)
        fprintf(stderr, "not found: kind %zu, %s: status %d, %s\n", kind, want, (int)status, status_message());
    t->named += named;
    remember(t, true);
    return OK;
}

static Status save_flipped(Trial *t, const Config *config) {
    Session *s = &t->session;
    Saver *saver = NULL;
    char want[256];
    TRY(comm_agree(s->comm, comm_rank(s->comm) == 0 ? directory_make(config->run.dir) : OK));
    TRY(steps(t, 3));
    TRY(saver_create(s->engine, s->optimizer, s->data, s->config_text, &saver));
    flip(t, comm_size(s->comm) - 1, 1, want);
    comm_barrier(s->comm);
    RunState state = {.step = t->step};
    Status status = saver_save(saver, &state, true);
    saver_destroy(&saver);
    return status;
}

static Status go(Comm *comm, const Config *config, const char *what) {
    Trial t = {0};
    Session *s = &t.session;
    Status status = session_open(comm, config, s);
    if (status == OK) status = session_build(s, comm_size(comm));
    if (status == OK) status = session_init(s);
    if (status == OK && strcmp(what, "save") == 0) {
        status = save_flipped(&t, config);
    } else if (status == OK) {
        size_t flips = strtoull(what, NULL, 10);
        t.params = calloc(s->engine->memory.parameters, sizeof *t.params);
        for (size_t k = 0; k < s->optimizer->slots; k++) t.slot[k] = calloc(s->optimizer->count + 1, sizeof(float));
        for (size_t i = 0; i < flips && status == OK; i++) status = one(&t);
        if (comm_rank(comm) == 0) printf("%zu of %zu flips found and named\n", t.named, flips);
        free(t.params);
        for (size_t k = 0; k < s->optimizer->slots; k++) free(t.slot[k]);
    }
    session_close(s);
    return status;
}

int main(int argc, char **argv) {
    Comm *comm = NULL;
    Config *config = NULL;
    if (argc != 3) return ERR_USAGE;
    Status status = comm_start(&comm, argc, argv);
    if (status == OK) status = comm_agree(comm, config_load(argv[1], NULL, 0, &config));
    if (status == OK) status = go(comm, config, argv[2]);
    if (status != OK) log_error("%s", status_message());
    config_destroy(&config);
    comm_finish(&comm);
    return (int)status;
}
