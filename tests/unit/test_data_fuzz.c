/* SPDX-License-Identifier: MIT
 *
 * test_data_fuzz.c: small good files with bytes changed, lost, repeated and put in. Each must open, and
 * then read within its own bounds, or fail with a message that names the file. The mutations are the same
 * in every run. */

#include "damage.h"

enum { MUTATIONS = 600 };

static size_t mutate(char *data, size_t bytes) {
    for (size_t i = 1 + below(4); i > 0; i--) {
        size_t at = bytes ? below(bytes) : 0, length = 1 + below(8);
        switch (bytes ? below(6) : 5) {
        case 0:
            data[at] = (char)below(256);
            break;
        case 1:
            data[at] = (char)(data[at] ^ 1 << below(8));
            break;
        case 2:
            data[at] = "\t\n\r\0\xFF\xEF\x7F\x01"[below(8)];
            break;
        case 3:
            bytes = below(8) ? bytes : at;
            break;
        case 4:
            if (at + length > bytes) break;
            memmove(data + at, data + at + length, bytes - at - length);
            bytes -= length;
            break;
        default:
            if (bytes + length > DAMAGE_ROOM) break;
            memmove(data + at + length, data + at, bytes - at);
            for (size_t k = 0; k < length; k++) data[at + k] = (char)below(256);
            bytes += length;
        }
    }
    return bytes;
}

/* Keeps the length, which HDF5 checks first: then mutations get past it. */
static size_t mutate_in_place(char *data, size_t bytes) {
    for (size_t i = 1 + below(4); i > 0; i--) {
        size_t at = below(bytes);
        data[at] = (char)(below(2) ? (int)below(256) : data[at] ^ 1 << below(8));
    }
    return bytes;
}

static size_t read_back(const char *path, char *out) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t bytes = fread(out, 1, DAMAGE_ROOM, file);
    fclose(file);
    assert_in_range(bytes, 1, DAMAGE_ROOM - 1);
    return bytes;
}

typedef struct Mutations {
    const DataConfig *config;
    char *good; /* [DAMAGE_ROOM] */
    size_t bytes;
    size_t (*change)(char *, size_t);
} Mutations;

static size_t mutation(void *context, size_t round, char *file) {
    const Mutations *m = context;
    (void)round;
    memcpy(file, m->good, m->bytes);
    return m->change(file, m->bytes);
}

static DataConfig same_config(void *context, size_t round) {
    (void)round;
    return *((const Mutations *)context)->config;
}

/* How many of the mutations of file "good" still open. */
static size_t run(const DataConfig *config, size_t (*change)(char *, size_t), size_t mutations) {
    Mutations m = {.config = config, .good = malloc(DAMAGE_ROOM), .change = change};
    assert_non_null(m.good);
    m.bytes = read_back("good", m.good);
    const Damage damage = {"bad", mutations, mutation, same_config, &m};
    const size_t opened = damage_run(&damage);
    free(m.good);
    return opened;
}

static void mutated_text(void **state) {
    (void)state;
    write_text("good", "\xEF\xBB\xBFThe quick br\xC3\xB6wn fox\r\njumps over \xE2\x82\xAC 5 and a \xF0\x9F\xA6\x8A.\n");
    DataConfig config = {.kind = DATA_TEXT,
                         .path = LIST("bad"),
                         .paths = 1,
                         .tokenizer = TOKENIZER_CHAR,
                         .seq_len = 7,
                         .validation = 0.3};
    assert_in_range(run(&config, mutate, MUTATIONS), MUTATIONS / 10, MUTATIONS - MUTATIONS / 10);
    config.tokenizer = TOKENIZER_BYTE;
    assert_in_range(run(&config, mutate, MUTATIONS), MUTATIONS / 10, MUTATIONS);
    Vocabulary *v;
    assert_int_equal(vocabulary_from_tokens(TOKENIZER_CHAR, LIST("T", "h", "e", " ", "q", "u", "i", "c", "k"), 9, &v),
                     OK);
    config.vocabulary = v;
    config.tokenizer = TOKENIZER_CHAR;
    config.validation = 0;
    assert_in_range(run(&config, mutate, MUTATIONS), 0, 100);
    vocabulary_destroy(&v);
}

static void mutated_pairs(void **state) {
    (void)state;
    write_text("good", "hello\tohlol\ncat\tdog\r\n\nh\xC3\xA9llo\t\xE2\x82\xACuro?\nx\ty\n");
    DataConfig config = {
        .kind = DATA_PAIRS, .path = LIST("bad"), .paths = 1, .tokenizer = TOKENIZER_CHAR, .validation = 0.25};
    assert_in_range(run(&config, mutate, MUTATIONS), MUTATIONS / 10, MUTATIONS - MUTATIONS / 10);
    config.decoder = true;
    assert_in_range(run(&config, mutate, MUTATIONS), MUTATIONS / 10, MUTATIONS - MUTATIONS / 10);
    config.targets_if_there = true;
    assert_in_range(run(&config, mutate, MUTATIONS), MUTATIONS / 10, MUTATIONS - MUTATIONS / 10);
    config.decoder = config.targets_if_there = false;
    config.tokenizer = TOKENIZER_BYTE;
    write_text("good", "hello\tohlol\ncat\tdog\r\n\nx\ty\n");
    config.validation = 0.5;
    assert_in_range(run(&config, mutate, MUTATIONS), MUTATIONS / 10, MUTATIONS - MUTATIONS / 10);
}

static void write_good_sequences(bool latest, bool decoder) {
    enum { N = 6, T = 4 };
    int ids[N * T], length[N];
    double y[N * T];
    const char *token[] = {"a", "b", "c", "d", "e"};
    for (int i = 0; i < N * T; i++) {
        ids[i] = i % 5;
        y[i] = i;
    }
    for (int i = 0; i < N; i++) length[i] = 1 + i % T;
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), type = H5Tcopy(H5T_C_S1);
    if (latest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    hid_t file = H5Fcreate("good", H5F_ACC_TRUNC, H5P_DEFAULT, access);
    h5_ints(file, "inputs", DIMS(N, T), ids);
    if (latest) h5_reals(file, "targets", DIMS(N, T, 1), y);
    else h5_ints(file, "targets", DIMS(N, T), ids);
    h5_ints(file, "lengths", DIMS(N), length);
    if (decoder) h5_ints(file, "target_lengths", DIMS(N), length);
    h5_attribute(file, "targets", "num_classes", 5);
    H5Tset_size(type, H5T_VARIABLE);
    h5_set(file, "vocabulary", type, type, DIMS(5), token);
    H5Tclose(type);
    H5Pclose(access);
    H5Fclose(file);
}

/* libhdf5 crashes on some of these, and loops on a few until its time is up: the process that reads them
 * ends, and this one gets a message. */
static void mutated_sequences(void **state) {
    (void)state;
    DataConfig config = {.kind = DATA_SEQUENCES, .path = LIST("bad"), .paths = 1, .validation = 0.25};
    for (int latest = 0; latest < 2; latest++) {
        write_good_sequences(latest, false);
        assert_in_range(run(&config, mutate_in_place, MUTATIONS / 2), 100, MUTATIONS / 2 - 20);
        assert_in_range(run(&config, mutate, MUTATIONS / 4), 0, MUTATIONS / 4 - 50);
    }
    write_good_sequences(false, true);
    config.decoder = true;
    assert_in_range(run(&config, mutate_in_place, MUTATIONS / 4), 50, MUTATIONS / 4 - 10);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mutated_text),
        cmocka_unit_test(mutated_pairs),
        cmocka_unit_test(mutated_sequences),
    };
    return cmocka_run_group_tests(tests, enter_directory, leave_directory);
}
