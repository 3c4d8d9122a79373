/* SPDX-License-Identifier: MIT
 *
 * bpe.c: chunks, tokens and their texts, and encoding; bpe_learn.c finds the pairs. */
#include "io/bpe.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "comm/arena.h"
#include "io/bpe_pairs.h"
#include "io/strings.h"
#include "io/utf8.h"

struct Bpe {
    size_t tokens;
    BpePair *pair; /* [tokens - 256] */
    char *bytes;   /* of all tokens, one behind the other */
    size_t *start; /* [tokens + 1] */
    PairTable ids; /* pair -> id */
};

/* ---- chunks ------------------------------------------------------------------------------------------------- */

typedef enum ByteClass { LETTER, DIGIT, BLANK, OTHER } ByteClass;

static ByteClass class_of(char c) {
    const unsigned char byte = (unsigned char)c;
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') return LETTER;
    if (byte >= 0x80) return LETTER;
    if (byte >= '0' && byte <= '9') return DIGIT;
    return byte == ' ' || (byte >= '\t' && byte <= '\r') ? BLANK : OTHER;
}

size_t bpe_chunk(const char *text, size_t bytes, size_t at) {
    const size_t most = bytes - at < BPE_CHUNK ? bytes : at + BPE_CHUNK;
    size_t end = at;
    if (text[end] == ' ' && end + 1 < most && class_of(text[end + 1]) != BLANK) end++;
    if (text[end] == '\'' && end + 1 < most && class_of(text[end + 1]) == LETTER) end++;
    const ByteClass class = class_of(text[end]);
    while (end < most && class_of(text[end]) == class &&
           !(end > at && text[end] == '\'' && end + 1 < bytes && class_of(text[end + 1]) == LETTER))
        end++;
    const bool parts = class == BLANK && end - at > 1 && text[end - 1] == ' ';
    return parts && end < bytes && class_of(text[end]) != BLANK ? end - 1 : end;
}

/* ---- tokens ------------------------------------------------------------------------------------------------- */

void bpe_destroy(Bpe **bpe) {
    if (!*bpe) return;
    free((*bpe)->pair);
    free((*bpe)->bytes);
    free((*bpe)->start);
    pairs_free(&(*bpe)->ids);
    free(*bpe);
    *bpe = NULL;
}

static Status no_memory(size_t tokens) {
    return status_fail(ERR_USAGE, "vocabulary: no memory for %zu tokens", tokens);
}

/* Lengths first, in `start`; then the bytes. */
static Status fill_bytes(Bpe *bpe) {
    size_t used = 0;
    for (size_t i = 0; i < bpe->tokens; i++) {
        const BpePair *p = i < BPE_BYTES ? NULL : &bpe->pair[i - BPE_BYTES];
        const size_t length =
            p ? bpe->start[p->left + 1] - bpe->start[p->left] + bpe->start[p->right + 1] - bpe->start[p->right] : 1;
        if (length > BPE_CHUNK)
            return status_fail(ERR_DATA, "vocabulary: token %zu has more than %d bytes", i, BPE_CHUNK);
        bpe->start[i + 1] = used += length;
    }
    bpe->bytes = malloc(used);
    if (!bpe->bytes) return no_memory(bpe->tokens);
    for (size_t i = 0; i < bpe->tokens; i++) {
        char *to = bpe->bytes + bpe->start[i];
        if (i < BPE_BYTES) {
            *to = (char)(unsigned char)i;
            continue;
        }
        const BpePair p = bpe->pair[i - BPE_BYTES];
        size_t left, right;
        const char *l = bpe_token(bpe, (size_t)p.left, &left), *r = bpe_token(bpe, (size_t)p.right, &right);
        memcpy(to, l, left);
        memcpy(to + left, r, right);
    }
    return OK;
}

static Status fill(Bpe *bpe, const BpePair *pair, size_t pairs) {
    for (size_t i = 0; i < pairs; i++) {
        const int64_t id = (int64_t)(BPE_BYTES + i);
        if (pair[i].left < 0 || pair[i].right < 0 || pair[i].left >= id || pair[i].right >= id)
            return status_fail(ERR_DATA, "vocabulary: token %lld does not join two earlier ones", (long long)id);
        size_t slot;
        bool found;
        TRY(pairs_slot(&bpe->ids, pair[i], &slot, &found));
        if (found) return status_fail(ERR_DATA, "vocabulary: token %lld occurs twice", (long long)id);
        bpe->ids.value[slot] = (uint32_t)id;
        bpe->pair[i] = pair[i];
    }
    return fill_bytes(bpe);
}

Status bpe_from_pairs(const BpePair *pair, size_t pairs, Bpe **out) {
    *out = NULL;
    if (pairs > BPE_MOST_TOKENS - BPE_BYTES)
        return status_fail(ERR_DATA, "vocabulary: %zu pairs of bpe; at most %d tokens fit", pairs, BPE_MOST_TOKENS);
    Bpe *bpe = calloc(1, sizeof *bpe);
    if (!bpe) return no_memory(pairs);
    bpe->tokens = BPE_BYTES + pairs;
    bpe->pair = calloc(pairs + 1, sizeof *bpe->pair);
    bpe->start = calloc(bpe->tokens + 1, sizeof *bpe->start);
    Status status = bpe->pair && bpe->start ? fill(bpe, pair, pairs) : no_memory(bpe->tokens);
    if (status == OK) *out = bpe;
    else bpe_destroy(&bpe);
    return status;
}

size_t bpe_tokens(const Bpe *bpe) {
    return bpe->tokens;
}

const char *bpe_token(const Bpe *bpe, size_t id, size_t *bytes) {
    *bytes = bpe->start[id + 1] - bpe->start[id];
    return bpe->bytes + bpe->start[id];
}

/* ---- texts -------------------------------------------------------------------------------------------------- */

static bool shown_as_itself(int32_t byte) {
    return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

static int32_t shown_as(unsigned char byte) {
    if (shown_as_itself(byte)) return byte;
    int32_t before = 0;
    for (int32_t b = 0; b < byte; b++) before += !shown_as_itself(b);
    return 0x100 + before;
}

size_t bpe_spell(const char *bytes, size_t count, char *out) {
    size_t used = 0;
    for (size_t i = 0; i < count; i++) used += utf8_encode(shown_as((unsigned char)bytes[i]), out + used);
    out[used] = '\0';
    return used;
}

size_t bpe_text(const Bpe *bpe, size_t id, char out[BPE_TEXT_ROOM]) {
    size_t bytes;
    const char *token = bpe_token(bpe, id, &bytes);
    if (id < BPE_BYTES) return bpe_spell(token, bytes, out);
    size_t used = 0, right = (size_t)bpe->pair[id - BPE_BYTES].right;
    token = bpe_token(bpe, (size_t)bpe->pair[id - BPE_BYTES].left, &bytes);
    used += bpe_spell(token, bytes, out);
    out[used++] = ' ';
    token = bpe_token(bpe, right, &bytes);
    return used + bpe_spell(token, bytes, out + used);
}

/* Token `id` from its text; `seen` holds the spelling of all earlier ones under their ids. */
static Status read_text(Strings *seen, const char *text, size_t id, BpePair *pair) {
    const char *blank = strchr(text, ' ');
    uint32_t number;
    if (id < BPE_BYTES) {
        char byte = (char)(unsigned char)id, wanted[8];
        const size_t length = bpe_spell(&byte, 1, wanted);
        if (strcmp(text, wanted) != 0)
            return status_fail(ERR_DATA, "vocabulary: token %zu is '%.60s', and for bpe it must be '%s'", id, text,
                               wanted);
        return strings_add(seen, wanted, length, &number);
    }
    const int64_t left = blank ? strings_find(seen, text, (size_t)(blank - text)) : -1,
                  right = blank ? strings_find(seen, blank + 1, strlen(blank + 1)) : -1;
    if (left < 0 || right < 0)
        return status_fail(ERR_DATA, "vocabulary: token %zu, '%.60s', does not join two earlier ones", id, text);
    *pair = (BpePair){(int32_t)left, (int32_t)right};
    char whole[BPE_TEXT_ROOM];
    const size_t before = (size_t)(blank - text), behind = strlen(blank + 1);
    if (before + behind >= sizeof whole)
        return status_fail(ERR_DATA, "vocabulary: token %zu has more than %d bytes", id, BPE_CHUNK);
    memcpy(whole, text, before);
    memcpy(whole + before, blank + 1, behind + 1);
    TRY(strings_add(seen, whole, before + behind, &number));
    return number == id ? OK : status_fail(ERR_DATA, "vocabulary: token %zu, '%.60s', occurs twice", id, text);
}

Status bpe_from_texts(const char *const *text, size_t tokens, Bpe **out) {
    *out = NULL;
    if (tokens < BPE_BYTES || tokens > BPE_MOST_TOKENS)
        return status_fail(ERR_DATA, "vocabulary: %zu tokens; bpe has %d to %d", tokens, BPE_BYTES, BPE_MOST_TOKENS);
    Strings seen = {0};
    BpePair *pair = calloc(tokens, sizeof *pair), none;
    Status status = pair ? OK : no_memory(tokens);
    for (size_t i = 0; i < tokens && status == OK; i++)
        status = read_text(&seen, text[i], i, i < BPE_BYTES ? &none : &pair[i - BPE_BYTES]);
    if (status == OK) status = bpe_from_pairs(pair, tokens - BPE_BYTES, out);
    free(pair);
    strings_free(&seen);
    return status;
}

/* ---- encoding ----------------------------------------------------------------------------------------------- */

static size_t encode_chunk(const Bpe *bpe, const char *text, size_t bytes, int32_t *id) {
    uint32_t joined[BPE_CHUNK]; /* of the pair that begins here; UINT32_MAX: none */
    size_t count = bytes;
    for (size_t i = 0; i < bytes; i++) id[i] = (unsigned char)text[i];
    for (size_t i = 0; i + 1 < count; i++) joined[i] = pairs_find(&bpe->ids, (BpePair){id[i], id[i + 1]});
    while (count > 1) {
        uint32_t lowest = UINT32_MAX;
        for (size_t i = 0; i + 1 < count; i++) lowest = joined[i] < lowest ? joined[i] : lowest;
        if (lowest == UINT32_MAX) break;
        const BpePair wanted = bpe->pair[lowest - BPE_BYTES];
        size_t kept = 0;
        for (size_t i = 0; i < count; i++) {
            const bool join = i + 1 < count && id[i] == wanted.left && id[i + 1] == wanted.right;
            id[kept++] = join ? (int32_t)lowest : id[i];
            i += join;
        }
        count = kept;
        for (size_t i = 0; i + 1 < count; i++) joined[i] = pairs_find(&bpe->ids, (BpePair){id[i], id[i + 1]});
    }
    return count;
}

size_t bpe_encode_chunk(const Bpe *bpe, const char *text, size_t bytes, size_t *at, int32_t id[BPE_CHUNK]) {
    const size_t start = *at;
    *at = bpe_chunk(text, bytes, start);
    return encode_chunk(bpe, text + start, *at - start, id);
}

void bpe_encode(const Bpe *bpe, const char *text, size_t bytes, int32_t *id, size_t *count) {
    for (size_t at = 0; at < bytes;) {
        int32_t chunk[BPE_CHUNK];
        const size_t tokens = bpe_encode_chunk(bpe, text, bytes, &at, chunk);
        memcpy(id + *count, chunk, tokens * sizeof *id);
        *count += tokens;
    }
}
