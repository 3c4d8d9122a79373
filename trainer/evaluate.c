/* SPDX-License-Identifier: MIT
 *
 * evaluate.c: see evaluate.h. */
#include "trainer/evaluate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/loader.h"

/* Sums this rank's shards over all batches. A shard's sum over batches is formed in batch order by its
 * owner, whichever rank that is, so the result does not depend on the number of ranks. */
static void sum_shards(Engine *e, Loader *loader, ShardResult *sum, ShardResult *scratch) {
    for (size_t b = 0; b < loader_batches(loader); b++) {
        comm_phase(e->comm, "evaluation", b);
        for (size_t first = e->first_shard, end; first < e->end_shard; first = end) {
            end = engine_group_end(e, first);
            model_evaluate(e->model, loader_load(loader, 0, b, first, end), scratch, NULL);
            for (size_t s = 0; s < end - first; s++) {
                ShardResult *to = sum + (first - e->first_shard) + s;
                to->loss += scratch[s].loss;
                to->targets += scratch[s].targets;
                to->correct += scratch[s].correct;
                to->absolute += scratch[s].absolute;
            }
        }
    }
}

/* Brings all ranks' shards together in global order. */
static void gather(const Engine *e, const ShardResult *mine, size_t most, unsigned char *words, ShardResult *all) {
    size_t bytes = most * sizeof *mine, ranks = comm_size(e->comm);
    comm_exchange(e->comm, mine, bytes, words);
    for (size_t r = 0; r < ranks; r++) {
        size_t first, end;
        fold_range(e->shards, ranks, r, &first, &end);
        memcpy(all + first, words + r * bytes, (end - first) * sizeof *all);
    }
}

static Scores scores(const Config *c, const ShardResult *total, size_t sequences) {
    double n = total->targets;
    Scores s = {.loss = n > 0 ? total->loss / n : NAN,
                .perplexity = NAN,
                .accuracy = NAN,
                .rmse = NAN,
                .mae = NAN,
                .sequences = (double)sequences,
                .targets = n};
    if (isnan(s.loss)) s.loss = NAN; /* printf would show a sign */
    if (c->loss.kind == 0) {
        s.perplexity = exp(s.loss);
        s.accuracy = n > 0 ? total->correct / n : NAN;
    } else {
        s.rmse = sqrt(s.loss);
        s.mae = n > 0 ? total->absolute / n : NAN;
    }
    return s;
}

Status evaluate_split(Engine *e, const Data *data, Split split, Scores *out) {
    Comm *comm = e->comm;
    Loader *loader = NULL;
    size_t most = e->shards / comm_size(comm) + 1;
    ShardResult *mine = calloc(2 * most, sizeof *mine), *all = calloc(e->shards, sizeof *all);
    unsigned char *words = calloc(comm_size(comm) * most, sizeof *mine);
    Status status = mine && all && words
                        ? loader_create(e, data, split, loader_config(e->config, false), &loader)
                        : status_fail(ERR_USAGE, "memory: no room for the results of %zu shards; use fewer", e->shards);
    status = comm_agree(comm, status);
    if (status == OK) {
        engine_settle(e);
        sum_shards(e, loader, mine, mine + most);
        gather(e, mine, most, words, all);
        ShardResult total = engine_fold(e, all);
        *out = scores(e->config, &total, data_sequences(data, split));
    }
    loader_destroy(&loader);
    free(mine);
    free(all);
    free(words);
    return status;
}
