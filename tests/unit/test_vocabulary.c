/* SPDX-License-Identifier: MIT
 *
 * test_vocabulary.c: characters in order of their code points, ids there and back, and places in messages. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "io/vocabulary.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__})

/* Copies the text of one id, returns its bytes. */
static size_t decode(const Vocabulary *vocabulary, int32_t id, char *out) {
    size_t bytes;
    const char *token = vocabulary_token(vocabulary, id, &bytes);
    memcpy(out, token, bytes);
    return bytes;
}

static Status from_text(const char *text, size_t bytes, Vocabulary **out) {
    return vocabulary_from_texts(TOKENIZER_CHAR, LIST(text), &bytes, LIST("a.txt"), 1, out);
}

static void assert_says(Status status, const char *const *part, size_t parts) {
    assert_int_equal(status, ERR_DATA);
    for (size_t i = 0; i < parts; i++) {
        if (!strstr(status_message(), part[i])) fail_msg("'%s' does not say '%s'", status_message(), part[i]);
    }
}

static void characters_are_in_code_point_order(void **state) {
    (void)state;
    const char *text[] = {"zaz\r\n", "\xEF\xBB\xBF\xF0\x9F\x98\x80\xC3\xA9\xE2\x82\xAC", "a\xEF\xBB\xBF"};
    size_t bytes[] = {5, 12, 4};
    Vocabulary *v;
    assert_int_equal(vocabulary_from_texts(TOKENIZER_CHAR, text, bytes, LIST("1", "2", "3"), 3, &v), OK);
    const char *expected[] = {"\n", "\r", "a", "z", "\xC3\xA9", "\xE2\x82\xAC", "\xEF\xBB\xBF", "\xF0\x9F\x98\x80"};
    assert_int_equal(v->size, 8);
    for (size_t i = 0; i < v->size; i++) assert_string_equal(v->token[i], expected[i]);
    vocabulary_destroy(&v);
    assert_null(v);
}

static void ids_go_there_and_back(void **state) {
    (void)state;
    const char text[] = "h\xC3\xA9llo\0 \xF0\x9F\x98\x80";
    size_t bytes = sizeof text - 1;
    Vocabulary *v, *copy;
    assert_int_equal(from_text(text, bytes, &v), OK);
    assert_int_equal(v->size, 7);
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_CHAR, (const char *const *)v->token, v->size, &copy), OK);
    vocabulary_destroy(&v);
    int32_t *id;
    size_t count;
    assert_int_equal(vocabulary_encode(copy, text, bytes, "a", &id, &count), OK);
    const int32_t expected[] = {2, 5, 3, 3, 4, 0, 1, 6};
    assert_int_equal(count, 8);
    assert_memory_equal(id, expected, sizeof expected);
    char back[64];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) used += decode(copy, id[i], back + used);
    assert_int_equal(used, bytes);
    assert_memory_equal(back, text, bytes);
    assert_int_equal(decode(copy, 7, back), 3);
    assert_memory_equal(back, "\xEF\xBF\xBD", 3);
    assert_int_equal(decode(copy, -1, back), 3);
    free(id);
    vocabulary_destroy(&copy);
}

static void bytes_are_their_own_ids(void **state) {
    (void)state;
    Vocabulary *v;
    size_t bytes = 3;
    assert_int_equal(vocabulary_from_texts(TOKENIZER_BYTE, LIST("\xFF\xFE."), &bytes, LIST("a"), 1, &v), OK);
    assert_int_equal(v->size, 256);
    assert_null(v->token);
    int32_t *id;
    size_t count;
    assert_int_equal(vocabulary_encode(v, "\xEF\xBB\xBF\xFF", 4, "a", &id, &count), OK);
    assert_int_equal(count, 4);
    assert_int_equal(id[0], 0xEF);
    assert_int_equal(id[3], 0xFF);
    char out[8];
    assert_int_equal(decode(v, id[3], out), 1);
    assert_int_equal((unsigned char)out[0], 0xFF);
    free(id);
    vocabulary_destroy(&v);
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_BYTE, NULL, 256, &v), OK);
    vocabulary_destroy(&v);
    assert_says(vocabulary_from_tokens(TOKENIZER_BYTE, NULL, 255, &v), LIST("255", "256"), 2);
}

static void what_is_not_utf8_has_a_place(void **state) {
    (void)state;
    /* stray continuation, Latin-1, overlong, surrogate, beyond the last code point, cut at the end */
    const char *bad[] = {"\x80", "\xE9t", "\xC0\x80", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xE2\x82"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[32] = "one\r\nt\xC3\xA9o", hex[8];
        size_t prefix = strlen(text), bytes = prefix + strlen(bad[i]);
        strcat(text, bad[i]);
        snprintf(hex, sizeof hex, "0x%02x", (unsigned)(unsigned char)bad[i][0]);
        Vocabulary *v;
        assert_says(from_text(text, bytes, &v), LIST("a.txt:2:4:", "offset 9", hex, "data.tokenizer: byte"), 4);
        assert_null(v);
    }
}

static void unknown_characters_have_a_place_and_a_name(void **state) {
    (void)state;
    Vocabulary *v;
    assert_int_equal(from_text("abc\n", 4, &v), OK);
    int32_t *id = (int32_t *)1;
    size_t count;
    assert_says(vocabulary_encode(v, "ab\nc\xC3\xA9", 6, "--prompt", &id, &count),
                LIST("--prompt:2:2:", "U+00E9", "'\xC3\xA9'", "4 characters"), 4);
    assert_null(id);
    assert_int_equal(count, 0);
    assert_says(vocabulary_encode(v, "\t", 1, "p", &id, &count), LIST("p:1:1:", "U+0009 is"), 2);
    assert_says(vocabulary_encode(v, "\xF4\x8F\xBF\xBF", 4, "p", &id, &count), LIST("U+10FFFF is"), 1);
    assert_says(vocabulary_encode(v, "a\xFF", 2, "p", &id, &count), LIST("p:1:2:", "0xff"), 2);
    assert_int_equal(vocabulary_encode(v, "", 0, "p", &id, &count), OK);
    assert_int_equal(count, 0);
    free(id);
    vocabulary_destroy(&v);
}

static void stored_tokens_are_checked(void **state) {
    (void)state;
    Vocabulary *v;
    assert_says(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("a", "b", "a"), 3, &v),
                LIST("token 2", "U+0061 'a'", "twice"), 3);
    assert_says(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("a", "\xFF"), 2, &v), LIST("token 1", "UTF-8"), 2);
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("<pad>", "z", "a long token"), 3, &v), OK);
    char out[16];
    assert_int_equal(decode(v, 0, out), 5);
    assert_memory_equal(out, "<pad>", 5);
    assert_int_equal(decode(v, 2, out), 12);
    vocabulary_destroy(&v);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_are_in_code_point_order),
        cmocka_unit_test(ids_go_there_and_back),
        cmocka_unit_test(bytes_are_their_own_ids),
        cmocka_unit_test(what_is_not_utf8_has_a_place),
        cmocka_unit_test(unknown_characters_have_a_place_and_a_name),
        cmocka_unit_test(stored_tokens_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
