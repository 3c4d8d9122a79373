/* SPDX-License-Identifier: MIT
 *
 * test_words.c: where words begin and end, what they are joined with, their vocabulary, and text and pairs of
 * words as data. */
#include "data_files.h"

#include "io/words.h"

/* Tokens with '|' between. */
static void cut(const char *text, const char *wanted) {
    char out[256] = "";
    size_t used = 0, bytes = strlen(text);
    for (size_t at = 0, start; word_next(text, bytes, &at, &start);) {
        assert_true(at > start);
        used +=
            (size_t)snprintf(out + used, sizeof out - used, "%s%.*s", used ? "|" : "", (int)(at - start), text + start);
    }
    assert_string_equal(out, wanted);
}

static void cutting(void **state) {
    (void)state;
    cut("", "");
    cut(" \t\r\v\f\u00A0\u3000\u2028", "");
    cut("The cat sat.", "The|cat|sat|.");
    cut("don't 'tis o\u2019er cats' ''", "don't|'|tis|o\u2019er|cats|'|'|'");
    cut("a--b, c;d", "a|-|-|b|,|c|;|d");
    cut("one\n\ntwo\r\n", "one|\n|\n|two|\n");
    cut("x2 3.14 \u0663\u0664", "x2|3|.|14|\u0663\u0664");
    cut("\u00FCber s\u00FC\u00DF e\u0301t\u00E9", "\u00FCber|s\u00FC\u00DF|e\u0301t\u00E9");
    cut("\u4E2D\u6587\u3002\U0001F600\U0001F600", "\u4E2D\u6587|\u3002|\U0001F600|\U0001F600");
    cut("a\x01z", "a|\x01|z");
}

static void not_utf8(void **state) {
    (void)state;
    size_t at = 0, start;
    assert_true(word_next("ab\xff", 3, &at, &start));
    assert_int_equal(at, 2);
    assert_true(word_next("ab\xff", 3, &at, &start));
    assert_int_equal(start, 2);
    assert_int_equal(at, 2);
    Vocabulary *v;
    const char *text = "one\ntwo \xC3.";
    size_t bytes = strlen(text);
    assert_int_equal(vocabulary_from_texts(TOKENIZER_WORD, &text, &bytes, LIST("t.txt"), 1, &v), ERR_DATA);
    assert_non_null(strstr(status_message(), "t.txt:2:5"));
}

/* A text of random characters: what is cut out is the text without its blanks. */
static void nothing_is_lost(void **state) {
    (void)state;
    static const char *const part[] = {"a",  "Z",  "9",      "'",      "\u2019", "-",      ".",   " ",
                                       "\t", "\n", "\u00E9", "\u0301", "\u4E2D", "\u00A0", "\xff"};
    uint32_t chance = 5;
    for (size_t round = 0; round < 5000; round++) {
        char text[128] = "", kept[128] = "", out[128] = "";
        bool whole = true;
        for (size_t n = 0; n < 24; n++) {
            chance = chance * 1664525u + 1013904223u;
            size_t k = (chance >> 8) % (sizeof part / sizeof *part);
            strcat(text, part[k]);
            if (whole) whole = *part[k] != '\xff';
            if (whole && *part[k] != ' ' && *part[k] != '\t' && strcmp(part[k], "\u00A0") != 0) strcat(kept, part[k]);
        }
        for (size_t at = 0, start; word_next(text, strlen(text), &at, &start) && at > start;)
            strncat(out, text + start, at - start);
        assert_string_equal(out, kept);
    }
}

static void vocabulary_and_joining(void **state) {
    (void)state;
    static const char text[] = "\xEF\xBB\xBFThe (old) cat's well-known \u201Csong\u201D, he said:\nthe end!";
    const char *texts[] = {text};
    size_t bytes = strlen(text), count;
    Vocabulary *v, *copy;
    int32_t *id;
    assert_int_equal(vocabulary_from_texts(TOKENIZER_WORD, texts, &bytes, LIST("t.txt"), 1, &v), OK);
    for (size_t i = 1; i < v->size; i++) assert_true(strcmp(v->token[i - 1], v->token[i]) < 0);
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_WORD, (const char *const *)v->token, v->size, &copy), OK);
    assert_int_equal(vocabulary_encode(copy, text, bytes, "t.txt", &id, &count), OK);
    char out[256];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t n;
        const char *token = vocabulary_token(copy, id[i], &n);
        if (i > 0 && vocabulary_parts(copy, id[i - 1], id[i])) out[used++] = ' ';
        memcpy(out + used, token, n);
        used += n;
    }
    out[used] = '\0';
    assert_string_equal(out, text + 3);
    assert_false(vocabulary_parts(copy, -1, id[0]));
    free(id);
    assert_int_equal(vocabulary_encode(v, "the cat's\n old dog", 18, "t.txt", &id, &count), ERR_DATA);
    assert_non_null(strstr(status_message(), "t.txt:2:6: 'dog' is not in the vocabulary of"));
    vocabulary_destroy(&copy);
    vocabulary_destroy(&v);
}

static void text_of_words(void **state) {
    (void)state;
    write_text("a.txt", "the sea, the sea\nand a moon. ");
    write_text("b.txt", "a sea");
    static const char *const path[] = {"?.txt"};
    DataConfig config = {.kind = DATA_TEXT, .path = path, .paths = 1, .tokenizer = TOKENIZER_WORD, .seq_len = 4};
    Data *data = open_data(config);
    const Vocabulary *v = data_vocabulary(data);
    static const char *const words[] = {"\n", ",", ".", "a", "and", "moon", "sea", "the"};
    assert_int_equal(v->size, 8);
    for (size_t i = 0; i < 8; i++) assert_string_equal(v->token[i], words[i]);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 2); /* of 12 tokens */
    int32_t ids[4], next[4];
    const int32_t first[] = {7, 6, 1, 7}, behind[] = {6, 1, 7, 6};
    data_read(data, SPLIT_ALL, 0, ids, NULL, next, NULL);
    assert_memory_equal(ids, first, sizeof ids);
    assert_memory_equal(next, behind, sizeof next);
    write_text("c.txt", "the sea and the\nsun");
    config.path = (const char *const[]){"c.txt"};
    config.vocabulary = v;
    open_fails(config, ERR_DATA, LIST("c.txt:2:1: 'sun' is not in the vocabulary of 8 words"));
    data_close(&data);
    config.vocabulary = NULL;
    write_text("c.txt", "  \t \r ");
    open_fails(config, ERR_DATA, LIST("c.txt", "has 0 tokens"));
    write_bytes("c.txt", "a\0b", 3);
    open_fails(config, ERR_DATA, LIST("c.txt:1:2: a NUL byte is no word"));
}

static void pairs_of_words(void **state) {
    (void)state;
    write_text("p.tsv", "the cat sleeps .\tDET NOUN VERB .\nit's late\tPRON ADJ\n");
    static const char *const path[] = {"p.tsv"};
    DataConfig config = {.kind = DATA_PAIRS, .path = path, .paths = 1, .tokenizer = TOKENIZER_WORD};
    Data *data = open_data(config);
    assert_int_equal(data_info(data)->vocabulary, 6);
    assert_int_equal(data_info(data)->classes, 6);
    assert_int_equal(data_length(data, SPLIT_ALL, 1), 2);
    int32_t ids[4], classes[4];
    data_read(data, SPLIT_ALL, 1, ids, NULL, classes, NULL);
    assert_string_equal(data_vocabulary(data)->token[ids[0]], "it's");
    assert_string_equal(data_target_vocabulary(data)->token[classes[1]], "ADJ");
    data_close(&data);
    write_text("p.tsv", "a b c\tx y\n");
    open_fails(config, ERR_DATA, LIST("p.tsv:1: the input has 3 words and the target 2"));
    write_text("p.tsv", "a b\tx y\n  \t\n");
    open_fails(config, ERR_DATA, LIST("p.tsv:2:1: the input is empty"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cutting),         cmocka_unit_test(not_utf8),
        cmocka_unit_test(nothing_is_lost), cmocka_unit_test(vocabulary_and_joining),
        cmocka_unit_test(text_of_words),   cmocka_unit_test(pairs_of_words),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
