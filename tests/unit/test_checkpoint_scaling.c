/* SPDX-License-Identifier: MIT
 *
 * test_checkpoint_scaling.c: the scaling of a series and vocabularies of words come back from a checkpoint as
 * they were; a scaling that scales nothing, or twice, is refused though the file's digests are right. */
#include "checkpoint_fixture.h"

static char *column[] = {"temperature", "\xc3\xa9t\xc3\xa9", "a/b"};
static double shift[] = {-3.25, 1.0 / 3, 1e300}, scale[] = {2, 1e-9, 5e-324};
static char *word[] = {"", "no", "yes, or maybe", "\xe4\xb8\xad"};

static Status save(const char *path, const Scaling *scaling, const Vocabulary *classes) {
    CheckpointMeta meta = small_meta(3);
    meta.scaling = scaling;
    if (classes) meta.target_vocabulary = classes;
    return checkpoint_write(path, &meta, small_array, SMALL_ARRAYS);
}

static void comes_back(void **state) {
    (void)state;
    const char *path = in_directory("whole.h5");
    const Vocabulary words = {TOKENIZER_WORD, 4, word, NULL};
    const Scaling scaling = {SCALING_MINMAX, 3, column, shift, scale};
    CheckpointFile *file;
    assert_int_equal(save(path, &scaling, &words), OK);
    assert_int_equal(checkpoint_open(path, &file), OK);
    const Scaling *read = checkpoint_meta(file)->scaling;
    assert_non_null(read);
    assert_int_equal(read->kind, SCALING_MINMAX);
    assert_int_equal(read->columns, 3);
    assert_memory_equal(read->shift, shift, sizeof shift);
    assert_memory_equal(read->scale, scale, sizeof scale);
    for (size_t i = 0; i < 3; i++) assert_string_equal(read->name[i], column[i]);
    const Vocabulary *classes = checkpoint_meta(file)->target_vocabulary;
    assert_int_equal(classes->tokenizer, TOKENIZER_WORD);
    assert_int_equal(classes->size, 4);
    for (size_t i = 0; i < 4; i++) assert_string_equal(classes->token[i], word[i]);
    checkpoint_close(&file);

    assert_int_equal(save(path, NULL, NULL), OK);
    assert_int_equal(checkpoint_open(path, &file), OK);
    assert_null(checkpoint_meta(file)->scaling);
    checkpoint_close(&file);
}

static void refused(void **state) {
    (void)state;
    static double zero[] = {2, 0, 1}, negative[] = {-1, 1, 1}, unknown[] = {1, 1, NAN};
    static char *twice[] = {"a", "b", "a"}, *same[] = {"no", "yes", "no"};
    const struct {
        Scaling scaling;
        const char *message;
    } table[] = {
        {{SCALING_STANDARD, 3, column, shift, zero}, "scale 0 of '\xc3\xa9t\xc3\xa9'"},
        {{SCALING_STANDARD, 3, column, shift, negative}, "scale -1 of 'temperature'"},
        {{SCALING_STANDARD, 3, column, shift, unknown}, "of 'a/b' scale nothing"},
        {{SCALING_STANDARD, 3, column, unknown, scale}, "shift nan"},
        {{SCALING_STANDARD, 3, twice, shift, scale}, "has 'a' twice"},
        {{SCALING_NONE, 3, column, shift, scale}, "of no known kind"},
        {{SCALING_STANDARD, 0, column, shift, scale}, "declares 0 columns"},
    };
    const char *path = in_directory("bad.h5");
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        assert_int_equal(save(path, &table[i].scaling, NULL), OK);
        expect_refused(path, table[i].message);
    }
    const Vocabulary words = {TOKENIZER_WORD, 3, same, NULL};
    assert_int_equal(save(path, NULL, &words), OK);
    expect_refused(path, "token 2, 'no', occurs twice");
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(comes_back), cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, directory_setup, directory_teardown);
}
