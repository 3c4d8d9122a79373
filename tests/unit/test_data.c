/* SPDX-License-Identifier: MIT
 *
 * test_data.c: text and pairs: every token where it belongs, every message with its place and numbers. */
#include <errno.h>
#include <math.h>

#include "data_files.h"

/* Copies the text of one id, returns its bytes. */
static size_t decode(const Vocabulary *vocabulary, int32_t id, char *out) {
    size_t bytes;
    const char *token = vocabulary_token(vocabulary, id, &bytes);
    memcpy(out, token, bytes);
    return bytes;
}

static DataConfig text(const char *const *path, TokenizerKind tokenizer, size_t seq_len) {
    size_t paths = 0;
    while (path[paths]) paths++;
    return (DataConfig){.kind = DATA_TEXT, .path = path, .paths = paths, .tokenizer = tokenizer, .seq_len = seq_len};
}

static DataConfig pairs(const char *const *path) {
    return (DataConfig){.kind = DATA_PAIRS, .path = path, .paths = 1, .tokenizer = TOKENIZER_CHAR};
}

/* The inputs and targets of a window of text, as text. */
static void assert_window(const Data *data, Split split, size_t i, const char *input, const char *target) {
    int32_t ids[64], classes[64];
    const Vocabulary *v = data_vocabulary(data), *w = data_target_vocabulary(data) ? data_target_vocabulary(data) : v;
    size_t length = data_length(data, split, i), used = 0, target_used = 0;
    char out[512], target_out[512];
    data_read(data, split, i, ids, NULL, classes, NULL);
    for (size_t t = 0; t < length; t++) {
        used += decode(v, ids[t], out + used);
        target_used += decode(w, classes[t], target_out + target_used);
    }
    out[used] = target_out[target_used] = '\0';
    assert_string_equal(out, input);
    assert_string_equal(target_out, target);
}

/* ---- text -------------------------------------------------------------------------------------------- */

static void windows_do_not_overlap(void **state) {
    (void)state;
    write_text("t", "abcdefghijklm"); /* 13 = 3 * 4 + 1 */
    for (int tokenizer = 0; tokenizer < 2; tokenizer++) {
        Data *data = open_data(text(LIST("t"), (TokenizerKind)tokenizer, 4));
        assert_int_equal(data_sequences(data, SPLIT_TRAIN), 3);
        assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 0);
        assert_int_equal(data_sequences(data, SPLIT_ALL), 3);
        assert_window(data, SPLIT_TRAIN, 0, "abcd", "bcde");
        assert_window(data, SPLIT_TRAIN, 1, "efgh", "fghi");
        assert_window(data, SPLIT_TRAIN, 2, "ijkl", "jklm");
        const DataInfo *info = data_info(data);
        assert_true(info->ids && info->target_per_step && !info->ragged);
        assert_int_equal(info->target, TARGET_CLASSES);
        assert_int_equal(info->vocabulary, tokenizer == TOKENIZER_BYTE ? 256 : 13);
        assert_int_equal(info->classes, info->vocabulary);
        assert_int_equal(info->longest, 4);
        assert_true(fabs(info->unigram_entropy - log(12)) < 1e-12);
        data_close(&data);
        assert_null(data);
    }
    write_text("t", "abcdefghijkl"); /* the last target of the third window is missing */
    Data *data = open_data(text(LIST("t"), TOKENIZER_CHAR, 4));
    assert_int_equal(data_sequences(data, SPLIT_ALL), 2);
    data_close(&data);
}

static void fraction_is_the_end_of_the_text(void **state) {
    (void)state;
    write_text("t", "abcdefghijklmnopqrst");
    DataConfig config = text(LIST("t"), TOKENIZER_CHAR, 3);
    config.validation = 0.4; /* 12 tokens and 8 */
    Data *data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 3);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 2);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 6);
    assert_window(data, SPLIT_TRAIN, 2, "ghi", "hij");
    assert_window(data, SPLIT_VALIDATION, 0, "mno", "nop");
    assert_window(data, SPLIT_VALIDATION, 1, "pqr", "qrs");
    assert_window(data, SPLIT_ALL, 5, "pqr", "qrs");
    uint64_t digest = data_info(data)->digest[0];
    data_close(&data);
    config.validation = 0;
    config.seq_len = 5;
    data = open_data(config);
    assert_true(data_info(data)->digest[0] == digest);
    data_close(&data);
}

static void fraction_counts_as_it_is_written(void **state) {
    (void)state;
    char buffer[101];
    memset(buffer, 'x', 100);
    write_bytes("t", buffer, 100);
    DataConfig config = text(LIST("t"), TOKENIZER_BYTE, 28);
    config.validation = 0.29; /* of 100: 29, one window of 28 and its last target */
    Data *data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 1);
    assert_true(data_info(data)->unigram_entropy == 0);
    data_close(&data);
}

static void validation_file_is_a_split_of_its_own(void **state) {
    (void)state;
    write_text("train", "abcabcab");
    write_text("valid", "xyaxy");
    DataConfig config = text(LIST("train"), TOKENIZER_CHAR, 2);
    config.validation = 0.5; /* not used */
    config.validation_path = "valid";
    Data *data = open_data(config);
    assert_int_equal(data_info(data)->vocabulary, 5);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 3);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 2);
    assert_int_equal(data_sequences(data, SPLIT_ALL), 5);
    assert_window(data, SPLIT_TRAIN, 2, "bc", "ca");
    assert_window(data, SPLIT_VALIDATION, 1, "ax", "xy");
    assert_window(data, SPLIT_ALL, 2, "bc", "ca");
    assert_window(data, SPLIT_ALL, 3, "xy", "ya");
    /* six targets of the training file: b c a b c a */
    assert_true(fabs(data_info(data)->unigram_entropy - log(3)) < 1e-12);
    data_close(&data);
}

static void files_follow_each_other(void **state) {
    (void)state;
    assert_int_equal(mkdir("many", 0700), 0);
    write_text("many/b.txt", "\xEF\xBB\xBF"
                             "4567");
    write_text("many/a.txt", "0123");
    write_text("many/c.md", "!!!!");
    write_text("last[1].txt", "89\r\n");
    for (int tokenizer = 0; tokenizer < 2; tokenizer++) {
        Data *data = open_data(text(LIST("many/*.txt", "last[1].txt"), (TokenizerKind)tokenizer, 5));
        if (tokenizer == TOKENIZER_CHAR) {
            assert_int_equal(data_info(data)->vocabulary, 12);
            assert_window(data, SPLIT_ALL, 0, "01234", "12345");
            assert_window(data, SPLIT_ALL, 1, "56789", "6789\r");
        } else {
            assert_window(data, SPLIT_ALL, 0, "0123\xEF", "123\xEF\xBB");
        }
        data_close(&data);
    }
    write_text("joined", "0123456789\r\n");
    Data *one = open_data(text(LIST("joined"), TOKENIZER_CHAR, 5));
    Data *many = open_data(text(LIST("many/?.txt", "last[1].txt"), TOKENIZER_CHAR, 5));
    assert_memory_equal(data_info(one)->digest, data_info(many)->digest, 16);
    data_close(&many);
    write_text("joined", "0123456789\r\r");
    many = open_data(text(LIST("joined"), TOKENIZER_CHAR, 5));
    assert_memory_not_equal(data_info(one)->digest, data_info(many)->digest, 16);
    data_close(&many);
    data_close(&one);
}

static void many_characters_need_wider_cells(void **state) {
    (void)state;
    for (size_t codes = 200; codes <= 70000; codes += 34900) { /* 200, 35,100 and 70,000: cells of 1, 2 and 4 bytes */
        size_t used = 0;
        char *buffer = malloc(4 * codes + 4);
        for (size_t i = 0; i < codes; i++) {
            uint32_t code = (uint32_t)i + 0x10000;
            const unsigned char c[] = {(unsigned char)(0xF0 | code >> 18), (unsigned char)(0x80 | (code >> 12 & 63)),
                                       (unsigned char)(0x80 | (code >> 6 & 63)), (unsigned char)(0x80 | (code & 63))};
            memcpy(buffer + used, c, 4);
            used += 4;
        }
        write_bytes("wide", buffer, used);
        free(buffer);
        Data *data = open_data(text(LIST("wide"), TOKENIZER_CHAR, codes - 1));
        assert_int_equal(data_info(data)->vocabulary, codes);
        int32_t *ids = malloc(codes * sizeof *ids), *classes = malloc(codes * sizeof *classes);
        data_read(data, SPLIT_TRAIN, 0, ids, NULL, classes, NULL);
        for (size_t i = 0; i + 1 < codes; i++) {
            assert_int_equal(ids[i], i);
            assert_int_equal(classes[i], i + 1);
        }
        free(classes);
        free(ids);
        data_close(&data);
    }
}

static void a_given_vocabulary_rules(void **state) {
    (void)state;
    write_text("t", "cabbac");
    Vocabulary *v;
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("x", "c", "b", "a"), 4, &v), OK);
    DataConfig config = text(LIST("t"), TOKENIZER_CHAR, 5);
    config.vocabulary = v;
    Data *data = open_data(config);
    int32_t ids[5];
    data_read(data, SPLIT_ALL, 0, ids, NULL, NULL, NULL);
    const int32_t expected[] = {1, 3, 2, 2, 3};
    assert_memory_equal(ids, expected, sizeof expected);
    assert_int_equal(data_info(data)->vocabulary, 4);
    data_close(&data);
    config.num_classes = 9;
    data = open_data(config);
    assert_int_equal(data_info(data)->classes, 9);
    data_close(&data);
    config.num_classes = 3;
    open_fails(config, ERR_DATA, LIST("t:", "4 classes", "has 3"));
    config.num_classes = 0;
    write_text("t", "cab\nb\xC3\xA9"
                    "c");
    open_fails(config, ERR_DATA, LIST("t:1:4:", "U+000A is not", "4 characters"));
    write_text("t", "cabb\xC3\xA9"
                    "c");
    open_fails(config, ERR_DATA, LIST("t:1:5:", "U+00E9 '\xC3\xA9'"));
    config.tokenizer = TOKENIZER_BYTE;
    open_fails(config, ERR_USAGE, LIST("data.tokenizer"));
    vocabulary_destroy(&v);
}

static void text_that_cannot_be_used_says_why(void **state) {
    (void)state;
    open_fails(text(LIST("nowhere.txt"), TOKENIZER_CHAR, 4), ERR_DATA, LIST("nowhere.txt", strerror(ENOENT)));
    open_fails(text(LIST("no*.txt"), TOKENIZER_CHAR, 4), ERR_DATA, LIST("no*.txt", "no file matches"));
    open_fails(text(LIST("."), TOKENIZER_BYTE, 4), ERR_DATA, LIST("(.)", "directory"));
    open_fails(text(LIST("/dev/null"), TOKENIZER_BYTE, 4), ERR_DATA, LIST("/dev/null", "not a regular file"));
    write_text("empty", "");
    write_text("ten", "0123456789");
    open_fails(text(LIST("ten", "empty"), TOKENIZER_CHAR, 4), ERR_DATA, LIST("(empty)", "is empty"));
    write_text("latin", "a\nb\xE9");
    open_fails(text(LIST("ten", "latin"), TOKENIZER_CHAR, 4), ERR_DATA,
               LIST("latin:2:2:", "0xe9", "offset 3", "data.tokenizer: byte"));
    write_text("mark", "\xEF\xBB\xBF"
                       "a\xE9");
    open_fails(text(LIST("mark"), TOKENIZER_CHAR, 4), ERR_DATA, LIST("mark:1:2:", "offset 4"));
    write_text("mark", "\xEF\xBB\xBF");
    open_fails(text(LIST("mark"), TOKENIZER_CHAR, 4), ERR_DATA, LIST("mark:", "0 tokens", "needs 5"));
    open_fails(text(LIST("ten"), TOKENIZER_CHAR, 10), ERR_DATA, LIST("ten:", "10 tokens", "needs 11", "data.seq_len"));
    open_fails(text(LIST("ten", "ten"), TOKENIZER_BYTE, 20), ERR_DATA, LIST("ten and 1 more", "20 tokens", "needs 21"));
    DataConfig config = text(LIST("ten"), TOKENIZER_CHAR, 4);
    config.validation = 0.25;
    open_fails(config, ERR_DATA,
               LIST("ten:", "validation split", "0.25 of 10", "2 tokens", "needs 5", "data.validation"));
    config.validation = 0.6;
    open_fails(config, ERR_DATA, LIST("training split", "4 tokens", "needs 5", "lower data.validation"));
    config.validation_path = "latin";
    config.tokenizer = TOKENIZER_BYTE;
    open_fails(config, ERR_DATA, LIST("latin:", "validation split", "4 tokens", "needs 5"));
    config.validation_path = NULL;
    config.validation = 1;
    open_fails(config, ERR_USAGE, LIST("data.validation"));
    config.validation = NAN;
    open_fails(config, ERR_USAGE, LIST("data.validation"));
    open_fails(text(LIST("ten"), TOKENIZER_CHAR, 0), ERR_USAGE, LIST("data.seq_len"));
    open_fails(text(LIST("ten"), TOKENIZER_CHAR, SIZE_MAX), ERR_USAGE, LIST("data.seq_len"));
    open_fails((DataConfig){.kind = DATA_TEXT, .seq_len = 1}, ERR_USAGE, LIST("data.path"));
}

/* ---- pairs ------------------------------------------------------------------------------------------- */

static void pairs_have_two_vocabularies(void **state) {
    (void)state;
    write_text("p", "\xEF\xBB\xBFhello\tohlol\r\n\n\r\nh\xC3\xA9\txy\nlast\tLAST");
    Data *data = open_data(pairs(LIST("p")));
    assert_int_equal(data_sequences(data, SPLIT_ALL), 3);
    assert_window(data, SPLIT_TRAIN, 0, "hello", "ohlol");
    assert_window(data, SPLIT_TRAIN, 1, "h\xC3\xA9", "xy");
    assert_window(data, SPLIT_TRAIN, 2, "last", "LAST");
    const DataInfo *info = data_info(data);
    assert_int_equal(info->vocabulary, 8); /* a e h l o s t é */
    assert_int_equal(info->classes, 9);    /* A L S T h l o x y */
    assert_string_equal(data_target_vocabulary(data)->token[0], "A");
    assert_int_equal(info->longest, 5);
    assert_true(info->ragged && info->ids && info->target_per_step);
    assert_true(isnan(info->unigram_entropy));
    data_close(&data);
}

static void hello_is_the_classic(void **state) {
    (void)state;
    Data *data = open_data(pairs(LIST(TEST_SOURCE_DIR "/../configs/hello.tsv")));
    int32_t ids[5], classes[5];
    data_read(data, SPLIT_TRAIN, 0, ids, NULL, classes, NULL);
    const int32_t hello[] = {1, 0, 2, 2, 3}, ohlol[] = {2, 0, 1, 2, 1};
    assert_memory_equal(ids, hello, sizeof hello);
    assert_memory_equal(classes, ohlol, sizeof ohlol);
    assert_int_equal(data_info(data)->vocabulary, 4);
    assert_int_equal(data_info(data)->classes, 3);
    assert_false(data_info(data)->ragged);
    data_close(&data);
}

static void pairs_split_and_share_vocabularies(void **state) {
    (void)state;
    write_text("p", "aa\tbb\ncc\tdd\nee\tff\n");
    write_text("q", "zz\tyy\nz\tx\n");
    DataConfig config = pairs(LIST("p"));
    config.validation = 0.5;
    Data *data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 2);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 1);
    assert_window(data, SPLIT_VALIDATION, 0, "ee", "ff");
    assert_window(data, SPLIT_ALL, 2, "ee", "ff");
    Vocabulary *input, *target;
    assert_int_equal(
        vocabulary_from_tokens(TOKENIZER_CHAR, (const char *const *)data_vocabulary(data)->token, 3, &input), OK);
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("f", "d", "b"), 3, &target), OK);
    data_close(&data);
    config.validation_path = "q";
    data = open_data(config);
    assert_int_equal(data_sequences(data, SPLIT_TRAIN), 3);
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 2);
    assert_int_equal(data_info(data)->vocabulary, 4);
    assert_int_equal(data_info(data)->classes, 5);
    assert_true(data_info(data)->ragged);
    assert_window(data, SPLIT_ALL, 4, "z", "x");
    data_close(&data);
    config.vocabulary = input;
    config.target_vocabulary = target;
    open_fails(config, ERR_DATA, LIST("q:1:1:", "U+007A 'z'", "input vocabulary"));
    write_text("q", "ac\tbx\n");
    open_fails(config, ERR_DATA, LIST("q:1:5:", "U+0078 'x'", "target vocabulary"));
    config.validation_path = NULL;
    data = open_data(config);
    assert_window(data, SPLIT_TRAIN, 1, "cc", "dd");
    int32_t classes[2];
    data_read(data, SPLIT_VALIDATION, 0, NULL, NULL, classes, NULL);
    assert_int_equal(classes[0], 0);
    data_close(&data);
    vocabulary_destroy(&input);
    vocabulary_destroy(&target);
}

static void pairs_that_cannot_be_used_say_why(void **state) {
    (void)state;
    DataConfig config = pairs(LIST("p"));
    write_text("p", "ab\tcd\n\nab\xC3\xA9\tcd\n");
    open_fails(config, ERR_DATA, LIST("p:3:", "has 3 characters", "target 2", "encoder with a decoder"));
    config.tokenizer = TOKENIZER_BYTE;
    open_fails(config, ERR_DATA, LIST("p:3:", "has 4 bytes", "target 2"));
    write_text("p", "ab\xC3\xA9\tcdef\n");
    Data *data = open_data(config);
    assert_int_equal(data_info(data)->vocabulary, 256);
    assert_int_equal(data_info(data)->classes, 256);
    data_close(&data);
    config.tokenizer = TOKENIZER_CHAR;
    write_text("p", "ab\tcd\nabcd\r\n");
    open_fails(config, ERR_DATA, LIST("p:2:5:", "no TAB", "input TAB target"));
    write_text("p", "ab\tcd\n\xC3\xA9\tc\td\n");
    open_fails(config, ERR_DATA, LIST("p:2:4:", "second TAB"));
    write_text("p", "\tcd\n");
    open_fails(config, ERR_DATA, LIST("p:1:1:", "input is empty"));
    write_text("p", "ab\tc\xE9");
    open_fails(config, ERR_DATA, LIST("p:1:5:", "0xe9", "offset 4"));
    write_text("p", "a\xE2\x82\tcd\n"); /* the character must not reach over the TAB */
    open_fails(config, ERR_DATA, LIST("p:1:2:", "0xe2", "offset 1"));
    write_text("p", "\n\r\n\n");
    open_fails(config, ERR_DATA, LIST("p:", "no pairs"));
    open_fails(pairs(LIST("nowhere")), ERR_DATA, LIST("nowhere", strerror(ENOENT)));
    write_text("p", "a\tb\n");
    config.validation = 0.5;
    open_fails(config, ERR_DATA, LIST("p:", "validation split", "0.5 of 1 sequences"));
    config.paths = 2;
    config.path = LIST("p", "p");
    open_fails(config, ERR_USAGE, LIST("pairs", "2"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_do_not_overlap),
        cmocka_unit_test(fraction_is_the_end_of_the_text),
        cmocka_unit_test(fraction_counts_as_it_is_written),
        cmocka_unit_test(validation_file_is_a_split_of_its_own),
        cmocka_unit_test(files_follow_each_other),
        cmocka_unit_test(many_characters_need_wider_cells),
        cmocka_unit_test(a_given_vocabulary_rules),
        cmocka_unit_test(text_that_cannot_be_used_says_why),
        cmocka_unit_test(pairs_have_two_vocabularies),
        cmocka_unit_test(hello_is_the_classic),
        cmocka_unit_test(pairs_split_and_share_vocabularies),
        cmocka_unit_test(pairs_that_cannot_be_used_say_why),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
