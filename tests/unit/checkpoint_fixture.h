/* SPDX-License-Identifier: MIT
 *
 * checkpoint_fixture.h: a directory that goes away, and a small state to save, for the tests of
 * checkpoints and metrics. */
#ifndef LOCKSTEP_TESTS_CHECKPOINT_FIXTURE_H
#define LOCKSTEP_TESTS_CHECKPOINT_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "io/checkpoint.h"

#define UNUSED __attribute__((unused))

/* ---- a directory ------------------------------------------------------------------------------------ */

static char directory[64];

static UNUSED int directory_setup(void **state) {
    (void)state;
    strcpy(directory, "/tmp/lockstep_test_XXXXXX");
    return mkdtemp(directory) == NULL;
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *level) {
    (void)info, (void)kind, (void)level;
    return remove(path);
}

static UNUSED int directory_teardown(void **state) {
    (void)state;
    return nftw(directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* "<directory>/<name>"; four calls may be in use at once. */
static UNUSED const char *in_directory(const char *name) {
    static char path[4][256];
    static unsigned turn;
    char *out = path[turn++ % 4];
    snprintf(out, sizeof path[0], "%s/%s", directory, name);
    return out;
}

static UNUSED char *slurp(const char *path, size_t *bytes) {
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *bytes = (size_t)ftell(file);
    rewind(file);
    char *text = calloc(*bytes + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, *bytes, file), *bytes);
    fclose(file);
    return text;
}

static UNUSED void spill(const char *path, const void *data, size_t bytes) {
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, bytes, file), bytes);
    assert_int_equal(fclose(file), 0);
}

/* Entries of a directory whose name contains `part`. */
static UNUSED size_t count_entries(const char *path, const char *part) {
    size_t count = 0;
    DIR *stream = opendir(path);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            count += strstr(entry->d_name, part) != NULL;
    closedir(stream);
    return count;
}

/* ---- a state ------------------------------------------------------------------------------------------ */

enum { SMALL_ARRAYS = 9, SMALL_FLOATS = 128 };
static float small_data[SMALL_ARRAYS][SMALL_FLOATS];

/* Not in name order, every rank from 0 to 4, as a run of Adam has them. */
static UNUSED const NamedArray small_array[SMALL_ARRAYS] = {
    {"model/rnn.weight_ih_l0", 2, {8, 4}, small_data[0]},
    {"model/fc.bias", 1, {5}, small_data[1]},
    {"model/scale", 0, {0}, small_data[2]},
    {"model/conv", 4, {2, 3, 4, 5}, small_data[3]},
    {"optimizer/exp_avg/rnn.weight_ih_l0", 2, {8, 4}, small_data[4]},
    {"optimizer/exp_avg/fc.bias", 1, {5}, small_data[5]},
    {"optimizer/exp_avg_sq/rnn.weight_ih_l0", 2, {8, 4}, small_data[6]},
    {"optimizer/exp_avg_sq/fc.bias", 1, {5}, small_data[7]},
    {"model/Z", 3, {2, 2, 2}, small_data[8]},
};

static char *small_token[] = {"\n", " ", "a", "\xc3\xa9", "\xe4\xb8\xad", "\xf0\x9f\x98\x80"};
static UNUSED const Vocabulary small_vocabulary = {TOKENIZER_CHAR, 6, small_token, NULL};
static UNUSED const Vocabulary byte_vocabulary = {TOKENIZER_BYTE, 256, NULL, NULL};

static UNUSED CheckpointMeta small_meta(uint64_t step) {
    for (size_t a = 0; a < SMALL_ARRAYS; a++)
        for (size_t i = 0; i < SMALL_FLOATS; i++) small_data[a][i] = (float)sin((double)(step + 100 * a + i));
    small_data[0][0] = -0.0F;
    small_data[1][0] = 1.0e-42F;
    CheckpointMeta meta = {
        .step = step,
        .epoch = 3,
        .seed = (uint64_t)-7,
        .shards = 4,
        .data_digest = {0x0123456789abcdefULL, 0xfedcba9876543210ULL},
        .best_loss = 1.25,
        .best_step = 5,
        .evaluations_since_best = 2,
        .finished = true,
        .optimizer = "adam",
        .config = "run: {seed: -7}  # \xc3\xa9\n",
        .vocabulary = &small_vocabulary,
        .target_vocabulary = &byte_vocabulary,
        .program_version = "0.1.0",
        .vocabulary_size = 6,
        .features = 0,
        .classes = 5,
    };
    return meta;
}

static UNUSED void write_small(const char *path, uint64_t step) {
    CheckpointMeta meta = small_meta(step);
    Status status = checkpoint_write(path, &meta, small_array, SMALL_ARRAYS);
    if (status != OK) print_error("%s\n", status_message());
    assert_int_equal(status, OK);
}

/* checkpoint_open fails so, and says `part`. */
static UNUSED void expect_refused(const char *path, const char *part) {
    CheckpointFile *file;
    assert_int_equal(checkpoint_open(path, &file), ERR_CHECKPOINT);
    assert_null(file);
    if (strstr(status_message(), part) == NULL || strstr(status_message(), path) == NULL)
        fail_msg("\"%s\" does not name \"%s\" and \"%s\"", status_message(), path, part);
    assert_null(strchr(status_message(), '\n'));
}

#endif
