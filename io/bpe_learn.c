/* SPDX-License-Identifier: MIT
 *
 * bpe_learn.c: which pairs to join. Chunks are counted once; then every join touches the chunks that hold its pair
 * alone, and the pairs wait in a heap by their counts, so learning takes little more than reading the text. */
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "comm/arena.h"
#include "io/bpe_pairs.h"
#include "io/column.h"
#include "io/strings.h"

/* ---- chunks ------------------------------------------------------------------------------------------------- */

typedef struct Chunk {
    size_t start; /* in the pool */
    uint32_t length;
    uint64_t times;
} Chunk;

struct BpeChunks {
    char *pool;
    size_t used, room;
    Chunk *chunk;
    size_t count, chunks;
    uint32_t *slot; /* [slots] number + 1, 0: empty; a power of two */
    size_t slots;
};

Status bpe_chunks_create(BpeChunks **out) {
    *out = calloc(1, sizeof **out);
    return *out ? OK : status_fail(ERR_USAGE, "vocabulary: no memory");
}

void bpe_chunks_destroy(BpeChunks **chunks) {
    if (!*chunks) return;
    free((*chunks)->pool);
    free((*chunks)->chunk);
    free((*chunks)->slot);
    free(*chunks);
    *chunks = NULL;
}

/* Room for `more` elements behind `used`. */
static Status make_room(void **list, size_t used, size_t more, size_t *room, size_t each) {
    size_t wanted, bytes;
    if (__builtin_add_overflow(used, more, &wanted)) wanted = SIZE_MAX;
    if (wanted <= *room) return OK;
    if (wanted < SIZE_MAX / 2 && wanted < 2 * *room) wanted = 2 * *room;
    if (wanted < 64) wanted = 64;
    void *larger = size_multiply(wanted, each, &bytes) ? realloc(*list, bytes) : NULL;
    if (!larger) return status_fail(ERR_USAGE, "vocabulary: no memory to learn pairs; use less text");
    *list = larger;
    *room = wanted;
    return OK;
}

static size_t chunk_slot(const BpeChunks *c, const char *text, size_t length) {
    size_t at = (size_t)XXH3_64bits(text, length) & (c->slots - 1);
    for (; c->slot[at]; at = (at + 1) & (c->slots - 1)) {
        const Chunk *there = &c->chunk[c->slot[at] - 1];
        if (there->length == length && memcmp(c->pool + there->start, text, length) == 0) break;
    }
    return at;
}

static Status rehash(BpeChunks *c) {
    const size_t slots = c->slots ? 2 * c->slots : 4096;
    uint32_t *slot = calloc(slots, sizeof *slot);
    if (!slot || c->count >= UINT32_MAX - 1) {
        free(slot);
        return status_fail(ERR_USAGE, "vocabulary: no memory to learn pairs; use less text");
    }
    free(c->slot);
    c->slot = slot;
    c->slots = slots;
    for (size_t i = 0; i < c->count; i++)
        slot[chunk_slot(c, c->pool + c->chunk[i].start, c->chunk[i].length)] = (uint32_t)i + 1;
    return OK;
}

Status bpe_collect(BpeChunks *c, const char *text, size_t bytes) {
    for (size_t at = 0, end; at < bytes; at = end) {
        end = bpe_chunk(text, bytes, at);
        if (2 * c->count >= c->slots) TRY(rehash(c));
        const size_t slot = chunk_slot(c, text + at, end - at);
        if (c->slot[slot]) {
            c->chunk[c->slot[slot] - 1].times++;
            continue;
        }
        TRY(make_room((void **)&c->pool, c->used, end - at, &c->room, 1));
        TRY(make_room((void **)&c->chunk, c->count, 1, &c->chunks, sizeof *c->chunk));
        memcpy(c->pool + c->used, text + at, end - at);
        c->chunk[c->count++] = (Chunk){c->used, (uint32_t)(end - at), 1};
        c->used += end - at;
        c->slot[slot] = (uint32_t)c->count;
    }
    return OK;
}

/* ---- pairs -------------------------------------------------------------------------------------------------- */

/* A pair of neighbours: how often, and the chunks that held it at some time. */
typedef struct Neighbours {
    BpePair pair;
    uint64_t times;
    uint32_t *chunk;
    size_t count, room;
} Neighbours;

typedef struct Waiting {
    uint64_t times;
    uint32_t number; /* in `pair` */
} Waiting;

typedef struct Learner {
    const BpeChunks *chunks;
    int32_t *id;      /* [bytes of the pool] the tokens of chunk i from its start on */
    uint32_t *length; /* [chunks] tokens */
    uint32_t *done;   /* [chunks] the last join that went through it */
    PairTable number; /* pair -> number in `pair` */
    Neighbours *pair;
    size_t pairs, pair_room;
    Waiting *heap; /* the first has no better one */
    size_t waiting, heap_room;
    Strings spelling; /* of all tokens */
    BpePair *join;
    size_t joins;
} Learner;

/* A pair goes before another: more often, else the smaller ids. */
static bool before(const Learner *l, Waiting a, Waiting b) {
    const BpePair p = l->pair[a.number].pair, q = l->pair[b.number].pair;
    if (a.times != b.times) return a.times > b.times;
    return p.left != q.left ? p.left < q.left : p.right < q.right;
}

static Status heap_push(Learner *l, Waiting w) {
    TRY(make_room((void **)&l->heap, l->waiting, 1, &l->heap_room, sizeof *l->heap));
    size_t at = l->waiting++;
    for (; at > 0 && before(l, w, l->heap[(at - 1) / 2]); at = (at - 1) / 2) l->heap[at] = l->heap[(at - 1) / 2];
    l->heap[at] = w;
    return OK;
}

static Waiting heap_pop(Learner *l) {
    const Waiting top = l->heap[0], last = l->heap[--l->waiting];
    size_t at = 0;
    for (size_t child; (child = 2 * at + 1) < l->waiting; at = child) {
        if (child + 1 < l->waiting && before(l, l->heap[child + 1], l->heap[child])) child++;
        if (!before(l, l->heap[child], last)) break;
        l->heap[at] = l->heap[child];
    }
    l->heap[at] = last;
    return top;
}

static Status neighbours_of(Learner *l, BpePair pair, Neighbours **out) {
    size_t slot;
    bool found;
    TRY(pairs_slot(&l->number, pair, &slot, &found));
    if (!found) {
        TRY(make_room((void **)&l->pair, l->pairs, 1, &l->pair_room, sizeof *l->pair));
        l->pair[l->pairs] = (Neighbours){.pair = pair};
        l->number.value[slot] = (uint32_t)l->pairs++;
    }
    *out = &l->pair[l->number.value[slot]];
    return OK;
}

/* Counts the neighbours in a chunk; those with `fresh` in them (-1: all) are told where they are. */
static Status count_in(Learner *l, size_t chunk, int32_t fresh) {
    const int32_t *id = l->id + l->chunks->chunk[chunk].start;
    for (size_t i = 0; i + 1 < l->length[chunk]; i++) {
        Neighbours *n;
        TRY(neighbours_of(l, (BpePair){id[i], id[i + 1]}, &n));
        n->times += l->chunks->chunk[chunk].times;
        if (fresh >= 0 && id[i] != fresh && id[i + 1] != fresh) continue;
        if (n->count > 0 && n->chunk[n->count - 1] == chunk) continue;
        TRY(make_room((void **)&n->chunk, n->count, 1, &n->room, sizeof *n->chunk));
        n->chunk[n->count++] = (uint32_t)chunk;
    }
    return OK;
}

static void uncount_in(Learner *l, size_t chunk) {
    const int32_t *id = l->id + l->chunks->chunk[chunk].start;
    for (size_t i = 0; i + 1 < l->length[chunk]; i++)
        l->pair[pairs_find(&l->number, (BpePair){id[i], id[i + 1]})].times -= l->chunks->chunk[chunk].times;
}

/* ---- joining ------------------------------------------------------------------------------------------------ */

static void join_in(Learner *l, size_t chunk, BpePair pair, int32_t fresh) {
    int32_t *id = l->id + l->chunks->chunk[chunk].start;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < l->length[chunk]; i++) {
        const bool join = i + 1 < l->length[chunk] && id[i] == pair.left && id[i + 1] == pair.right;
        id[kept++] = join ? fresh : id[i];
        i += join;
    }
    l->length[chunk] = kept;
}

static Status join(Learner *l, size_t number, int32_t fresh) {
    const Neighbours n = l->pair[number]; /* the list may move, its chunks stay */
    const size_t old = l->pairs;
    for (size_t i = 0; i < n.count; i++) {
        const size_t chunk = n.chunk[i];
        if (l->done[chunk] == (uint32_t)fresh) continue;
        l->done[chunk] = (uint32_t)fresh;
        uncount_in(l, chunk);
        join_in(l, chunk, n.pair, fresh);
        TRY(count_in(l, chunk, fresh));
    }
    /* Pairs with a token that did not exist before are new themselves. */
    for (size_t i = old; i < l->pairs; i++) TRY(heap_push(l, (Waiting){l->pair[i].times, (uint32_t)i}));
    return OK;
}

/* The spelling of a pair is added; false if it is there already. */
static Status spell(Learner *l, BpePair pair, bool *fresh) {
    const char *left = strings_text(&l->spelling, (size_t)pair.left),
               *right = strings_text(&l->spelling, (size_t)pair.right);
    char whole[4 * BPE_CHUNK + 1];
    const size_t before_it = strlen(left), behind = strlen(right), count = l->spelling.count;
    uint32_t number;
    memcpy(whole, left, before_it);
    memcpy(whole + before_it, right, behind);
    TRY(strings_add(&l->spelling, whole, before_it + behind, &number));
    *fresh = number == count;
    return OK;
}

static Status learn(Learner *l, size_t tokens) {
    while (l->waiting > 0 && BPE_BYTES + l->joins < tokens) {
        const Waiting top = heap_pop(l);
        const uint64_t times = l->pair[top.number].times;
        if (times < 2) continue;
        if (times != top.times) {
            TRY(heap_push(l, (Waiting){times, top.number}));
            continue;
        }
        const BpePair pair = l->pair[top.number].pair;
        bool fresh;
        TRY(spell(l, pair, &fresh));
        if (!fresh) continue;
        l->join[l->joins++] = pair;
        TRY(join(l, top.number, (int32_t)(BPE_BYTES + l->joins - 1)));
    }
    return OK;
}

static Status start(Learner *l, size_t tokens) {
    const BpeChunks *c = l->chunks;
    TRY(cells_allocate(c->used + 1, sizeof *l->id, "vocabulary", (void **)&l->id));
    TRY(cells_allocate(c->count + 1, sizeof *l->length, "vocabulary", (void **)&l->length));
    TRY(cells_allocate(c->count + 1, sizeof *l->done, "vocabulary", (void **)&l->done));
    TRY(cells_allocate(tokens, sizeof *l->join, "vocabulary", (void **)&l->join));
    for (size_t i = 0; i < c->used; i++) l->id[i] = (unsigned char)c->pool[i];
    for (unsigned byte = 0; byte < BPE_BYTES; byte++) {
        char one = (char)(unsigned char)byte, text[8];
        uint32_t number;
        TRY(strings_add(&l->spelling, text, bpe_spell(&one, 1, text), &number));
    }
    for (size_t i = 0; i < c->count; i++) {
        l->length[i] = c->chunk[i].length;
        l->done[i] = 0;
        TRY(count_in(l, i, -1));
    }
    for (size_t i = 0; i < l->pairs; i++) TRY(heap_push(l, (Waiting){l->pair[i].times, (uint32_t)i}));
    return OK;
}

Status bpe_learn(const BpeChunks *chunks, size_t tokens, Bpe **out) {
    *out = NULL;
    if (tokens < BPE_BYTES || tokens > BPE_MOST_TOKENS)
        return status_fail(ERR_USAGE, "data.vocab_size: %zu; bpe takes %d (bytes alone) to %d", tokens, BPE_BYTES,
                           BPE_MOST_TOKENS);
    Learner l = {.chunks = chunks};
    Status status = start(&l, tokens);
    if (status == OK) status = learn(&l, tokens);
    if (status == OK) status = bpe_from_pairs(l.join, l.joins, out);
    for (size_t i = 0; i < l.pairs; i++) free(l.pair[i].chunk);
    free(l.pair);
    free(l.heap);
    free(l.join);
    free(l.id);
    free(l.length);
    free(l.done);
    pairs_free(&l.number);
    strings_free(&l.spelling);
    return status;
}
