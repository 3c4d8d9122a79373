/* SPDX-License-Identifier: MIT
 *
 * checks.c: see checks.h. */
#include "trainer/checks.h"

#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__)
#define WIDE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define WIDE
#endif

typedef uint32_t Word __attribute__((may_alias));

WIDE static uint32_t strip_bits(const Word *word, size_t count) {
    uint32_t sum = 0;
    for (size_t i = 0; i < count; i++) sum += word[i];
    return sum;
}

uint32_t checks_strip(const float *x, size_t count) {
    return strip_bits((const Word *)x, count);
}

uint64_t checks_bits(const float *x, size_t count) {
    uint64_t sum = 0;
    for (size_t done = 0; done < count; done += CHECK_STRIP) {
        size_t n = count - done < CHECK_STRIP ? count - done : CHECK_STRIP;
        sum = checks_add(sum, checks_strip(x + done, n));
    }
    return sum;
}

/* ---- pieces ------------------------------------------------------------------------------------------------- */

/* Pieces of the floats [offset, offset + count), whose first stands at `at` among the owned; NULL: only counts. */
static size_t cut(const Checks *c, size_t offset, size_t count, size_t at, CheckPiece *out) {
    size_t pieces = 0, low = 0, high = c->frozen;
    while (high - low > 1) { /* the tensor that holds the first float */
        size_t middle = low + (high - low) / 2;
        if (c->tensor[middle].offset <= offset) low = middle;
        else high = middle;
    }
    for (size_t end = offset + count; offset < end; low++) {
        size_t stop = c->tensor[low].offset + c->tensor[low].span, part = (stop < end ? stop : end) - offset;
        if (part == 0) continue;
        if (out) out[pieces] = (CheckPiece){.offset = offset, .count = part, .at = at, .tensor = low};
        pieces++;
        offset += part;
        at += part;
    }
    return pieces;
}

static bool plan(Checks *c) {
    size_t chunks;
    const ReduceChunk *chunk = reduce_chunks(c->reduce, &chunks);
    c->first = calloc(chunks + 1, sizeof *c->first);
    if (!c->first) return false;
    for (size_t i = 0; i < chunks; i++)
        c->first[i + 1] = c->first[i] + cut(c, chunk[i].offset, chunk[i].count, chunk[i].at, NULL);
    c->pieces = c->first[chunks];
    c->piece = calloc(c->pieces + 1, sizeof *c->piece);
    c->wrong = calloc(c->pieces + 1, 1);
    c->frozen_sum = calloc(c->tensors - c->frozen + 1, sizeof *c->frozen_sum);
    if (!c->piece || !c->wrong || !c->frozen_sum) return false;
    for (size_t i = 0; i < chunks; i++) cut(c, chunk[i].offset, chunk[i].count, chunk[i].at, c->piece + c->first[i]);
    for (size_t k = 0; k < 1 + c->optimizer->slots; k++)
        if (!(c->sum[k] = calloc(c->pieces + 1, sizeof *c->sum[k]))) return false;
    return true;
}

Status checks_create(Comm *comm, Reduce *reduce, Optimizer *optimizer, float *params, const CheckTensor *tensor,
                     size_t tensors, size_t frozen, Checks **out) {
    *out = NULL;
    Checks *c = calloc(1, sizeof *c);
    if (c)
        *c = (Checks){.comm = comm,
                      .reduce = reduce,
                      .optimizer = optimizer,
                      .params = params,
                      .tensor = tensor,
                      .tensors = tensors,
                      .frozen = frozen,
                      .every = 100};
    if (!c || !plan(c)) {
        checks_destroy(&c);
        return status_fail(ERR_USAGE, "memory: no room for sums of the parameters; free some");
    }
    optimizer->checks = c;
    *out = c;
    return OK;
}

void checks_destroy(Checks **checks) {
    Checks *c = *checks;
    if (!c) return;
    if (c->optimizer) c->optimizer->checks = NULL;
    for (size_t k = 0; k < CHECK_KINDS; k++) free(c->sum[k]);
    free(c->piece);
    free(c->first);
    free(c->wrong);
    free(c->frozen_sum);
    free(c);
    *checks = NULL;
}

/* ---- what I own ------------------------------------------------------------------------------------------------ */

static const float *data_of(const Checks *c, const CheckPiece *piece, size_t kind) {
    return kind == 0 ? c->params + piece->offset : c->optimizer->slot[kind - 1] + piece->at;
}

void checks_keep(Checks *c) {
    for (size_t k = 0; k < 1 + c->optimizer->slots; k++)
        for (size_t i = 0; i < c->pieces; i++)
            c->sum[k][i] = checks_bits(data_of(c, &c->piece[i], k), c->piece[i].count);
    for (size_t t = c->frozen; t < c->tensors && comm_node_rank(c->comm) == 0; t++)
        c->frozen_sum[t - c->frozen] = checks_bits(c->params + c->tensor[t].offset, c->tensor[t].span);
    c->kept = true;
}

static void note(Checks *c, size_t piece, size_t kind) {
    if (c->found) return;
    c->found = true;
    c->wrong_piece = piece;
    c->wrong_kind = kind;
}

bool checks_found(Checks *c, uint64_t step) {
    if (!c->found) c->step = step;
    for (size_t i = 0; i < c->pieces; i++) {
        for (size_t k = 0; c->wrong[i] && k < CHECK_KINDS; k++)
            if (c->wrong[i] >> k & 1) note(c, i, k);
        c->wrong[i] = 0;
    }
    return c->found;
}

static Status changed(const Checks *c, const char *tensor, const char *what) {
    return status_fail(ERR_REPLICAS,
                       "memory changed (rank %zu on host %s, tensor '%s', step %llu): its %s is not as it was written; "
                       "test that host's memory and start the same command again, from the newest checkpoint",
                       comm_rank(c->comm), comm_host(c->comm), tensor, (unsigned long long)c->step, what);
}

static Status own_status(const Checks *c) {
    if (!c->found) return OK;
    return changed(c, c->tensor[c->piece[c->wrong_piece].tensor].name,
                   c->wrong_kind == 0 ? "value" : c->optimizer->slot_name[c->wrong_kind - 1]);
}

Status checks_agree(Checks *c) {
    return comm_agree(c->comm, own_status(c));
}

/* ---- before a save ------------------------------------------------------------------------------------------------ */

static Status verify_own(Checks *c) {
    for (size_t k = 0; k < 1 + c->optimizer->slots; k++)
        for (size_t i = 0; i < c->pieces; i++)
            if (checks_bits(data_of(c, &c->piece[i], k), c->piece[i].count) != c->sum[k][i]) note(c, i, k);
    TRY(own_status(c));
    for (size_t t = c->frozen; t < c->tensors && comm_node_rank(c->comm) == 0; t++)
        if (checks_bits(c->params + c->tensor[t].offset, c->tensor[t].span) != c->frozen_sum[t - c->frozen])
            return changed(c, c->tensor[t].name, "value");
    return OK;
}

/* Each rank of a node compares its part of the node's copy with the sums of the owners. */
static Status compare_copy(const Checks *c, size_t owner, const uint64_t *sum) {
    size_t mine = comm_node_rank(c->comm), ranks = comm_node_size(c->comm), seen = 0, count;
    ReduceChunk chunk;
    for (size_t i = 0; reduce_chunk_of(c->reduce, owner, i, &chunk); i++) {
        CheckPiece piece[REDUCE_CHUNK / 16];
        count = cut(c, chunk.offset, chunk.count, chunk.at, piece);
        for (size_t p = 0; p < count; p++, seen++) {
            if (seen % ranks != mine) continue;
            if (checks_bits(c->params + piece[p].offset, piece[p].count) == sum[seen]) continue;
            return status_fail(ERR_REPLICAS,
                               "replicas differ (rank %zu on host %s, tensor '%s', step %llu): its node's copy is not "
                               "what rank %zu has sent; test memory and network of that host and start the same "
                               "command again, from the newest checkpoint",
                               comm_rank(c->comm), comm_host(c->comm), c->tensor[piece[p].tensor].name,
                               (unsigned long long)c->step, owner);
        }
    }
    return OK;
}

static Status compare_nodes(Checks *c) {
    size_t ranks = comm_size(c->comm), mine = c->pieces, most = 0, *count = calloc(ranks, sizeof *count);
    if (!count) return status_fail(ERR_USAGE, "memory: no room to compare nodes; free some");
    comm_exchange(c->comm, &mine, sizeof mine, count);
    for (size_t r = 0; r < ranks; r++) most = count[r] > most ? count[r] : most;
    free(count);
    uint64_t *all = calloc((ranks + 1) * most + 1, sizeof *all), *sums = all + ranks * most;
    Status status = all ? OK : status_fail(ERR_USAGE, "memory: no room to compare nodes; free some");
    TRY(comm_agree(c->comm, status));
    memcpy(sums, c->sum[0], c->pieces * sizeof *sums);
    comm_exchange(c->comm, sums, most * sizeof *sums, all);
    for (size_t r = 0; r < ranks && status == OK; r++) status = compare_copy(c, r, all + r * most);
    free(all);
    return status;
}

Status checks_verify(Checks *c, uint64_t step) {
    if (!c->kept) return OK;
    checks_found(c, step);
    TRY(comm_agree(c->comm, verify_own(c)));
    if (comm_nodes(c->comm) == 1) return OK;
    return comm_agree(c->comm, compare_nodes(c));
}
