/* SPDX-License-Identifier: MIT
 *
 * test_bpe.c: byte pairs: where chunks end, pairs and ids against a reference that counts everything anew for every
 * join, any bytes there and back, texts of a vocabulary, and running text as data. */
#include "damage.h"

#include "io/bpe.h"
#include "io/vocabulary.h"

enum { MOST = 2000, LEARNED = 400 };

/* ---- the reference -------------------------------------------------------------------------------------------- */

/* All chunks of a text, each with its own ids; -1 stands between two chunks. */
typedef struct Plain {
    int32_t id[2 * MOST];
    size_t count;
    char token[LEARNED][BPE_CHUNK];
    size_t length[LEARNED], tokens;
} Plain;

static void plain_start(Plain *p, const char *text, size_t bytes) {
    *p = (Plain){.tokens = 256};
    for (int i = 0; i < 256; i++) {
        p->token[i][0] = (char)(unsigned char)i;
        p->length[i] = 1;
    }
    for (size_t at = 0, end; at < bytes; at = end) {
        end = bpe_chunk(text, bytes, at);
        for (size_t i = at; i < end; i++) p->id[p->count++] = (unsigned char)text[i];
        p->id[p->count++] = -1;
    }
}

static void plain_join(Plain *p, int32_t left, int32_t right, int32_t fresh) {
    size_t kept = 0;
    for (size_t i = 0; i < p->count; i++) {
        const bool join = i + 1 < p->count && p->id[i] == left && p->id[i + 1] == right;
        p->id[kept++] = join ? fresh : p->id[i];
        i += join;
    }
    p->count = kept;
}

static bool plain_has(const Plain *p, const char *bytes, size_t length) {
    for (size_t i = 0; i < p->tokens; i++)
        if (p->length[i] == length && memcmp(p->token[i], bytes, length) == 0) return true;
    return false;
}

/* The pair that comes next, false if none occurs twice. */
static bool plain_best(const Plain *p, int32_t *left, int32_t *right) {
    static uint16_t times[LEARNED][LEARNED];
    unsigned best = 1;
    memset(times, 0, sizeof times);
    for (size_t i = 0; i + 1 < p->count; i++)
        if (p->id[i] >= 0 && p->id[i + 1] >= 0) times[p->id[i]][p->id[i + 1]]++;
    for (size_t l = 0; l < p->tokens; l++)
        for (size_t r = 0; r < p->tokens; r++) {
            char whole[2 * BPE_CHUNK];
            if (times[l][r] <= best) continue;
            memcpy(whole, p->token[l], p->length[l]);
            memcpy(whole + p->length[l], p->token[r], p->length[r]);
            if (plain_has(p, whole, p->length[l] + p->length[r])) continue;
            best = times[l][r];
            *left = (int32_t)l;
            *right = (int32_t)r;
        }
    return best > 1;
}

static size_t plain_learn(Plain *p, size_t tokens, BpePair *pair) {
    int32_t l, r;
    while (p->tokens < tokens && plain_best(p, &l, &r)) {
        pair[p->tokens - 256] = (BpePair){l, r};
        memcpy(p->token[p->tokens], p->token[l], p->length[l]);
        memcpy(p->token[p->tokens] + p->length[l], p->token[r], p->length[r]);
        p->length[p->tokens] = p->length[l] + p->length[r];
        plain_join(p, l, r, (int32_t)p->tokens++);
    }
    return p->tokens;
}

static Bpe *learn(const char *text, size_t bytes, size_t tokens) {
    BpeChunks *chunks;
    Bpe *bpe;
    assert_int_equal(bpe_chunks_create(&chunks), OK);
    assert_int_equal(bpe_collect(chunks, text, bytes), OK);
    if (bpe_learn(chunks, tokens, &bpe) != OK) fail_msg("%s", status_message());
    bpe_chunks_destroy(&chunks);
    return bpe;
}

/* Few letters, so that counts are equal and pairs overlap; or any bytes at all. */
static size_t random_text(char text[MOST]) {
    static const char letters[] = "aaabbc  'n1\n";
    const size_t bytes = below(MOST), kinds = 1 + below(sizeof letters - 1);
    const bool any = below(4) == 0;
    for (size_t i = 0; i < bytes; i++) text[i] = any ? (char)(unsigned char)below(256) : letters[below(kinds)];
    return bytes;
}

/* ---- tests ------------------------------------------------------------------------------------------------------ */

static void cut(const char *text, const char *wanted) {
    char out[512] = "";
    size_t bytes = strlen(text), used = 0;
    for (size_t at = 0, end; at < bytes; at = end) {
        end = bpe_chunk(text, bytes, at);
        used += (size_t)snprintf(out + used, sizeof out - used, "%s%.*s", at ? "|" : "", (int)(end - at), text + at);
    }
    assert_string_equal(out, wanted);
}

static void chunks(void **state) {
    (void)state;
    cut("The cat's 12 mats.", "The| cat|'s| 12| mats|.");
    cut("a  b\n\n c\t d", "a| | b|\n\n| c|\t| d");
    cut("\u00E9t\u00E9 don't (x2) ''tis'", "\u00E9t\u00E9| don|'t| (|x|2|)| '|'tis|'");
    cut("   ", "   ");
    char long_run[131];
    memset(long_run, 'a', 130);
    long_run[130] = '\0';
    assert_int_equal(bpe_chunk(long_run, 130, 0), 64);
    assert_int_equal(bpe_chunk(long_run, 130, 128), 130);
}

static void against_the_reference(void **state) {
    (void)state;
    static char text[MOST];
    static Plain plain;
    size_t joins = 0;
    for (size_t round = 0; round < 150; round++) {
        const size_t bytes = random_text(text), wanted = 256 + below(60);
        BpePair pair[LEARNED];
        plain_start(&plain, text, bytes);
        const size_t tokens = plain_learn(&plain, wanted, pair);
        Bpe *bpe = learn(text, bytes, wanted), *same;
        assert_int_equal(bpe_tokens(bpe), tokens);
        assert_int_equal(bpe_from_pairs(pair, tokens - 256, &same), OK);
        for (size_t i = 0; i < tokens; i++) {
            char a[BPE_TEXT_ROOM], b[BPE_TEXT_ROOM];
            size_t length;
            const char *token = bpe_token(bpe, i, &length);
            assert_int_equal(length, plain.length[i]);
            assert_memory_equal(token, plain.token[i], length);
            bpe_text(bpe, i, a);
            bpe_text(same, i, b);
            assert_string_equal(a, b);
        }
        /* The ids of the text are what its own joins have left. */
        int32_t *id = malloc((bytes + 1) * sizeof *id);
        size_t count = 0, at = 0;
        bpe_encode(bpe, text, bytes, id, &count);
        for (size_t i = 0; i < plain.count; i++)
            if (plain.id[i] >= 0) assert_int_equal(id[at++], plain.id[i]);
        assert_int_equal(at, count);
        joins += tokens - 256;
        free(id);
        bpe_destroy(&same);
        bpe_destroy(&bpe);
    }
    assert_true(joins > 1000);
}

static void there_and_back(void **state) {
    (void)state;
    static char text[MOST], other[MOST], back[MOST];
    for (size_t round = 0; round < 100; round++) {
        const size_t bytes = random_text(text), more = random_text(other);
        Vocabulary *v, *copy;
        int32_t *id;
        size_t count, used = 0;
        assert_int_equal(vocabulary_from_bpe(learn(text, bytes, 300), &v), OK);
        assert_int_equal(vocabulary_from_tokens(TOKENIZER_BPE, (const char *const *)v->token, v->size, &copy), OK);
        assert_int_equal(vocabulary_encode(copy, other, more, "x", &id, &count), OK);
        for (size_t i = 0; i < count; i++) {
            size_t length;
            const char *token = vocabulary_token(v, id[i], &length);
            assert_true(used + length <= more);
            memcpy(back + used, token, length);
            used += length;
        }
        assert_int_equal(used, more);
        assert_memory_equal(back, other, more);
        assert_false(count > 1 && vocabulary_parts(copy, id[0], id[1]));
        free(id);
        vocabulary_destroy(&copy);
        vocabulary_destroy(&v);
    }
}

static void refused(const char *const *text, size_t tokens, const char *part) {
    Vocabulary *v;
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_BPE, text, tokens, &v), ERR_DATA);
    if (!strstr(status_message(), part)) fail_msg("'%s' does not say '%s'", status_message(), part);
}

static void texts(void **state) {
    (void)state;
    Vocabulary *v;
    assert_int_equal(vocabulary_from_bpe(learn("to to to", 8, 300), &v), OK);
    assert_int_equal(v->size, 258); /* "t o", then " to": the pairs that occur twice */
    assert_string_equal(v->token['a'], "a");
    assert_string_equal(v->token[0], "\u0100");
    assert_string_equal(v->token[' '], "\u0120");
    assert_string_equal(v->token[0xAD], "\u0143");
    assert_string_equal(v->token[0xFF], "\u00FF");
    assert_string_equal(v->token[256], "t o");
    assert_string_equal(v->token[257], "\u0120 to");
    const char *text[259];
    for (size_t i = 0; i < v->size; i++) text[i] = v->token[i];
    refused(text, 255, "255 tokens; bpe has 256");
    text[258] = "\u0120t o";
    refused(text, 259, "token 258, '\u0120t o', does not join two earlier ones");
    text[258] = "to";
    refused(text, 259, "does not join two");
    text[258] = "\u0120 to";
    refused(text, 259, "occurs twice");
    text['a'] = "b";
    refused(text, 258, "token 97 is 'b', and for bpe it must be 'a'");
    vocabulary_destroy(&v);

    Bpe *bpe;
    assert_int_equal(bpe_from_pairs((BpePair[]){{256, 'a'}}, 1, &bpe), ERR_DATA);
    assert_int_equal(bpe_from_pairs((BpePair[]){{'a', 'b'}, {'a', 'b'}}, 2, &bpe), ERR_DATA);
    assert_int_equal(bpe_from_pairs((BpePair[]){{'a', -1}}, 1, &bpe), ERR_DATA);
    BpePair doubled[7];
    for (int i = 0; i < 7; i++) doubled[i] = (BpePair){i ? 255 + i : 'a', i ? 255 + i : 'a'};
    assert_int_equal(bpe_from_pairs(doubled, 7, &bpe), ERR_DATA); /* 128 bytes */
    assert_null(bpe);
}

/* Pairs come from the training text alone; sizes that make no sense are refused. */
static void data(void **state) {
    (void)state;
    write_text("a.txt", "abababababababababab");
    write_text("b.txt", "xyxyxyxyxyxyxyxyxyxy");
    static const char *const paths[] = {"?.txt"};
    DataConfig config = {.kind = DATA_TEXT,
                         .path = paths,
                         .paths = 1,
                         .tokenizer = TOKENIZER_BPE,
                         .vocab_size = 260,
                         .seq_len = 4,
                         .validation = 0.5};
    Data *data = open_data(config);
    const Vocabulary *v = data_vocabulary(data);
    for (size_t i = 256; i < v->size; i++) assert_null(strchr(v->token[i], 'x'));
    assert_string_equal(v->token[256], "a b");
    assert_string_equal(v->token[257], "ab ab");
    Data *again = open_data(config);
    assert_memory_equal(data_info(data)->digest, data_info(again)->digest, sizeof data_info(data)->digest);
    data_close(&again);
    config.validation = 0;
    again = open_data(config);
    assert_string_equal(data_vocabulary(again)->token[257], "x y");
    assert_int_not_equal(data_info(data)->digest[0], data_info(again)->digest[0]);
    data_close(&again);
    config.vocabulary = v;
    again = open_data(config);
    assert_int_equal(data_info(again)->vocabulary, v->size);
    data_close(&again);
    data_close(&data);
    config.vocabulary = NULL;
    config.vocab_size = 255;
    open_fails(config, ERR_USAGE, LIST("data.vocab_size: 255", "256"));
    config.kind = DATA_PAIRS;
    config.path = LIST("a.txt");
    open_fails(config, ERR_USAGE, LIST("bpe is for running text"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks),         cmocka_unit_test(against_the_reference),
        cmocka_unit_test(there_and_back), cmocka_unit_test(texts),
        cmocka_unit_test(data),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
