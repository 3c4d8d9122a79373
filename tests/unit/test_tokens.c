/* SPDX-License-Identifier: MIT
 *
 * test_tokens.c: ids of running text in each form that they may have, which all give the same data; what is
 * damaged or does not fit is named; .npy headers that chance has changed are refused or mean what they say. */
#include "damage.h"

#include "io/npy.h"
#include "io/tokens_write.h"

static DataConfig tokens(const char *path, size_t seq_len) {
    static const char *held;
    held = path;
    return (DataConfig){.kind = DATA_TOKENS, .path = &held, .paths = 1, .seq_len = seq_len};
}

static void write_npy(const char *path, const char *header, const void *data, size_t bytes) {
    char file[1024];
    size_t length = strlen(header);
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = (char)(length & 255);
    file[9] = (char)(length >> 8);
    memcpy(file + 10, header, length);
    memcpy(file + 10 + length, data, bytes);
    write_bytes(path, file, 10 + length + bytes);
}

static void same_data(const Data *a, const Data *b) {
    assert_memory_equal(data_info(a)->digest, data_info(b)->digest, sizeof data_info(a)->digest);
    assert_int_equal(data_info(a)->vocabulary, data_info(b)->vocabulary);
}

static void every_form(void **state) {
    (void)state;
    for (uint16_t top = 9; top < 1000; top = (uint16_t)(top + 900)) {
        const uint16_t id[7] = {1, 0, top, 3, 3, 2, 1};
        int64_t wide[7];
        int plain[7];
        for (size_t i = 0; i < 7; i++) wide[i] = plain[i] = id[i];
        write_bytes("raw.bin", id, sizeof id);
        write_npy("u2.npy", "{'descr': '<u2', 'fortran_order': False, 'shape': (7,), }      \n", id, sizeof id);
        write_npy("i8.npy", "{'descr': '<i8', 'fortran_order': True, 'shape': (7,), }\n", wide, sizeof wide);
        hid_t file = h5_new("t.h5");
        h5_ints(file, "tokens", DIMS(7), plain);
        H5Fclose(file);
        Data *raw = open_data(tokens("raw.bin", 2));
        const DataInfo *info = data_info(raw);
        assert_true(info->ids && info->target_per_step && info->target == TARGET_CLASSES);
        assert_int_equal(info->vocabulary, top + 1);
        assert_int_equal(info->classes, top + 1);
        assert_int_equal(data_sequences(raw, SPLIT_ALL), 3);
        int32_t ids[2], next[2];
        data_read(raw, SPLIT_ALL, 1, ids, NULL, next, NULL);
        assert_true(ids[0] == top && ids[1] == 3 && next[0] == 3 && next[1] == 3);
        static const char *const others[] = {"u2.npy", "i8.npy", "t.h5"};
        for (size_t i = 0; i < 3; i++) {
            Data *other = open_data(tokens(others[i], 2));
            same_data(raw, other);
            data_close(&other);
        }
        data_close(&raw);
    }
}

static void sizes(void **state) {
    (void)state;
    const uint16_t id[6] = {1, 0, 4, 3, 3, 2}, more[4] = {1, 6, 1, 1};
    const int plain[6] = {1, 0, 4, 3, 3, 2};
    write_bytes("raw.bin", id, sizeof id);
    write_bytes("more.bin", more, sizeof more);
    DataConfig config = tokens("raw.bin", 2);
    config.validation_path = "more.bin";
    Data *data = open_data(config);
    assert_int_equal(data_info(data)->vocabulary, 7); /* over both files */
    assert_int_equal(data_sequences(data, SPLIT_VALIDATION), 1);
    data_close(&data);
    config.num_classes = 6; /* the model's */
    open_fails(config, ERR_DATA, LIST("more.bin: holds the id 6, and the vocabulary has 6"));

    hid_t file = h5_new("t.h5");
    h5_ints(file, "tokens", DIMS(6), plain);
    h5_attribute(file, ".", "num_embeddings", 50);
    H5Fclose(file);
    data = open_data(tokens("t.h5", 2));
    assert_int_equal(data_info(data)->vocabulary, 50);
    data_close(&data);
    config = tokens("t.h5", 4);
    config.validation = 0.5;
    open_fails(config, ERR_DATA,
               LIST("t.h5: validation split, the last 0.5 of 6 tokens, has 3 tokens", "needs 5 (data.seq_len 4"));
}

/* What prepare writes of text is that text: same vocabulary, same digest. */
static void prepared_text(void **state) {
    (void)state;
    write_text("text.txt", "the sea, the s\u00E9a\nand a moon; the end. the sea");
    static const char *const path[] = {"text.txt"};
    for (int tokenizer = TOKENIZER_BYTE; tokenizer <= TOKENIZER_WORD; tokenizer++) {
        DataConfig config = {.kind = DATA_TEXT,
                             .path = path,
                             .paths = 1,
                             .tokenizer = (TokenizerKind)tokenizer,
                             .seq_len = 3,
                             .validation = 0.3};
        Data *text = open_data(config);
        size_t count;
        assert_int_equal(tokens_write("out.h5", text, &count), OK);
        config = tokens("out.h5", 3);
        config.validation = 0.3;
        Data *back = open_data(config);
        same_data(text, back);
        assert_int_equal(data_sequences(text, SPLIT_VALIDATION), data_sequences(back, SPLIT_VALIDATION));
        const Vocabulary *v = data_vocabulary(text), *w = data_vocabulary(back);
        assert_true(v->tokenizer == w->tokenizer && v->size == w->size);
        /* A model's vocabulary must be the file's. */
        config.vocabulary = w;
        Data *again = open_data(config);
        same_data(text, again);
        data_close(&again);
        if (tokenizer == TOKENIZER_WORD) {
            const Vocabulary less = {TOKENIZER_WORD, w->size - 1, w->token, NULL};
            config.vocabulary = &less;
            open_fails(config, ERR_DATA, LIST("out.h5: data set vocabulary: is not that of the model"));
        }
        data_close(&back);
        data_close(&text);
    }
}

typedef struct Header {
    const char *text, *message;
} Header;

static void refusals(void **state) {
    (void)state;
    static const Header table[] = {
        {"{'descr': '<f4', 'fortran_order': False, 'shape': (2,), }\n", "no plain integers"},
        {"{'descr': '>u2', 'fortran_order': False, 'shape': (2,), }\n", "not little-endian"},
        {"{'descr': [('a', '<u2')], 'shape': (2,), }\n", "has no 'descr'"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (2, 2), }\n", "not one dimension"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (), }\n", "not one dimension"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (99999999999999999999999,), }\n", "not one dimension"},
        {"{'descr': '<u2', 'fortran_order': False, 'shape': (9223372036854775807,), }\n", "it is cut"},
        {"{'descr': '<u8', 'fortran_order': False, 'shape': (2,), }\n", "it is cut"},
        {"", "has no 'descr'"},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        write_npy("bad.npy", table[i].text, "\1\0\2\0", 4);
        open_fails(tokens("bad.npy", 1), ERR_DATA, (const char *const[]){"bad.npy", table[i].message, NULL});
    }
    write_npy("bad.npy", "{'descr': '<i2', 'fortran_order': False, 'shape': (2,), }\n", "\1\0\376\377", 4);
    open_fails(tokens("bad.npy", 1), ERR_DATA, LIST("bad.npy: number 1 is -2: must be from 0"));
    write_bytes("bad.npy", "\x93NUMPY\x01", 7);
    open_fails(tokens("bad.npy", 1), ERR_DATA, LIST("bad.npy", "it is cut"));
    write_bytes("odd.bin", "\1\0\2", 3);
    open_fails(tokens("odd.bin", 1), ERR_DATA, LIST("odd.bin: has 3 bytes, an odd number"));
    open_fails(tokens("none.h5", 1), ERR_DATA, LIST("none.h5", "No such file"));
    write_text("text.h5", "no HDF5");
    open_fails(tokens("text.h5", 1), ERR_DATA, LIST("text.h5: cannot be opened as HDF5"));
    const int square[4] = {1, 2, 3, 4};
    const double reals[2] = {1, 2};
    hid_t file = h5_new("t.h5");
    h5_ints(file, "tokens", DIMS(2, 2), square);
    H5Fclose(file);
    open_fails(tokens("t.h5", 1), ERR_DATA, LIST("t.h5: data set tokens is not one dimension of integers"));
    file = h5_new("t.h5");
    h5_reals(file, "tokens", DIMS(2), reals);
    H5Fclose(file);
    open_fails(tokens("t.h5", 1), ERR_DATA, LIST("t.h5: data set tokens is not one dimension of integers"));
    file = h5_new("t.h5");
    h5_ints(file, "inputs", DIMS(4), square);
    H5Fclose(file);
    open_fails(tokens("t.h5", 1), ERR_DATA, LIST("t.h5: has no data set tokens"));
}

static size_t damaged_npy(void *context, size_t round, char *file) {
    (void)context;
    static const char header[] = "{'descr': '<i4', 'fortran_order': False, 'shape': (20,), }\n";
    static const char bytes[] = "'{}()<>|,: iu12489\0\xff";
    size_t used = 10 + sizeof header - 1;
    memcpy(file, "\x93NUMPY\x01\x00", 8);
    file[8] = sizeof header - 1;
    file[9] = 0;
    memcpy(file + 10, header, sizeof header - 1);
    for (int i = 0; i < 20; i++) {
        memcpy(file + used, &i, sizeof i);
        used += sizeof i;
    }
    for (size_t n = 1 + round % 3; n > 0; n--) file[6 + below(used - 6)] = bytes[below(sizeof bytes)];
    return round % 4 ? used : 7 + below(used - 7);
}

static DataConfig damaged_tokens(void *context, size_t round) {
    (void)context;
    (void)round;
    return tokens("bad.npy", 3);
}

static void damaged(void **state) {
    (void)state;
    const Damage damage = {"bad.npy", 5000, damaged_npy, damaged_tokens, NULL};
    assert_in_range(damage_run(&damage), 300, 4900);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form), cmocka_unit_test(sizes),   cmocka_unit_test(prepared_text),
        cmocka_unit_test(refusals),   cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
