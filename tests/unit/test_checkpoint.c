/* SPDX-License-Identifier: MIT
 *
 * test_checkpoint.c: what is written is read again bit for bit, by us and by h5py; damage of any kind is
 * refused. */
#define _GNU_SOURCE
#include "checkpoint_fixture.h"

#include <xxhash.h>

#include "io/checkpoint_format.h"

/* ---- round trip ---------------------------------------------------------------------------------------- */

static void expect_same_arrays(const CheckpointFile *file) {
    assert_int_equal(checkpoint_arrays(file), SMALL_ARRAYS);
    for (size_t i = 1; i < SMALL_ARRAYS; i++)
        assert_true(strcmp(checkpoint_array(file, i - 1)->name, checkpoint_array(file, i)->name) < 0);
    for (size_t i = 0; i < SMALL_ARRAYS; i++) {
        const NamedArray *array = &small_array[i];
        float data[SMALL_FLOATS];
        size_t bytes;
        assert_true(array_bytes(array, &bytes));
        assert_int_equal(checkpoint_read(file, array->name, array->rank, array->dim, data), OK);
        assert_memory_equal(data, array->data, bytes);
    }
}

static void expect_same_meta(const CheckpointMeta *is, const CheckpointMeta *was) {
    assert_int_equal(is->step, was->step);
    assert_int_equal(is->epoch, was->epoch);
    assert_int_equal(is->seed, was->seed);
    assert_int_equal(is->shards, was->shards);
    assert_int_equal(is->data_digest[0], was->data_digest[0]);
    assert_int_equal(is->data_digest[1], was->data_digest[1]);
    assert_true(is->best_loss == was->best_loss);
    assert_int_equal(is->best_step, was->best_step);
    assert_int_equal(is->evaluations_since_best, was->evaluations_since_best);
    assert_int_equal(is->finished, was->finished);
    assert_int_equal(is->vocabulary_size, was->vocabulary_size);
    assert_int_equal(is->features, was->features);
    assert_int_equal(is->classes, was->classes);
    assert_string_equal(is->optimizer, was->optimizer);
    assert_string_equal(is->config, was->config);
    assert_string_equal(is->state_digest, was->state_digest);
    assert_string_equal(is->created, was->created);
    assert_string_equal(is->program_version, was->program_version);
    assert_int_equal(is->vocabulary->tokenizer, TOKENIZER_CHAR);
    assert_int_equal(is->vocabulary->size, 6);
    for (size_t i = 0; i < 6; i++) assert_string_equal(is->vocabulary->token[i], small_token[i]);
    assert_int_equal(is->target_vocabulary->tokenizer, TOKENIZER_BYTE);
    assert_int_equal(is->target_vocabulary->size, 256);
}

static void round_trip_within(size_t most) {
    const char *path = in_directory("a.h5");
    CheckpointMeta meta = small_meta(10);
    assert_int_equal(checkpoint_write_within(path, &meta, small_array, SMALL_ARRAYS, most), OK);
    CheckpointFile *file;
    Status status = checkpoint_open(path, &file);
    if (status != OK) print_error("%s\n", status_message());
    assert_int_equal(status, OK);
    expect_same_arrays(file);
    expect_same_meta(checkpoint_meta(file), &meta);
    struct stat info;
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(checkpoint_bytes(file), info.st_size);
    checkpoint_close(&file);
    assert_null(file);
    assert_int_equal(checkpoint_open_any(path, &file), OK);
    expect_same_meta(checkpoint_meta(file), &meta);
    checkpoint_close(&file);
    assert_int_equal(count_entries(directory, "tmp"), 0);
}

static void round_trip(void **state) {
    (void)state;
    round_trip_within(SIZE_MAX);
}

static void round_trip_streamed(void **state) {
    (void)state;
    round_trip_within(0);
}

static void without_texts(void **state) {
    (void)state;
    const char *path = in_directory("a.h5");
    CheckpointMeta meta = {.step = 1, .best_loss = NAN}, *read;
    assert_int_equal(checkpoint_write(path, &meta, NULL, 0), OK);
    CheckpointFile *file;
    assert_int_equal(checkpoint_open(path, &file), OK);
    read = (CheckpointMeta *)(uintptr_t)checkpoint_meta(file);
    assert_true(isnan(read->best_loss));
    assert_null(read->vocabulary);
    assert_null(read->target_vocabulary);
    assert_string_equal(read->config, "");
    assert_string_equal(read->optimizer, "");
    assert_false(read->finished);
    assert_int_equal(checkpoint_arrays(file), 0);
    float one;
    assert_int_equal(checkpoint_read(file, "model/x", 0, NULL, &one), ERR_CHECKPOINT);
    checkpoint_close(&file);
}

/* The definition in checkpoint.h, followed by hand. */
static void state_digest_is_as_documented(void **state) {
    (void)state;
    static const size_t order[SMALL_ARRAYS] = {8, 3, 1, 0, 2, 5, 4, 7, 6};
    static unsigned char buffer[SMALL_ARRAYS * (SMALL_FLOATS * 4 + 128)];
    size_t at = 0;
    CheckpointMeta meta = small_meta(10);
    uint64_t number = 10;
#define ADD(p, n) (memcpy(buffer + at, p, n), at += (n))
    ADD(&number, 8);
    for (size_t i = 0; i < SMALL_ARRAYS; i++) {
        const NamedArray *array = &small_array[order[i]];
        size_t elements = 1;
        ADD(array->name, strlen(array->name) + 1);
        number = array->rank;
        ADD(&number, 8);
        for (size_t d = 0; d < array->rank; d++) {
            number = array->dim[d];
            ADD(&number, 8);
            elements *= array->dim[d];
        }
        ADD(array->data, 4 * elements);
    }
    XXH128_hash_t hash = XXH3_128bits(buffer, at);
    char hex[33];
    snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)hash.high64, (unsigned long long)hash.low64);
    assert_int_equal(checkpoint_write(in_directory("a.h5"), &meta, small_array, SMALL_ARRAYS), OK);
    assert_string_equal(meta.state_digest, hex);

    NamedArray other[SMALL_ARRAYS];
    for (size_t i = 0; i < SMALL_ARRAYS; i++) other[i] = small_array[SMALL_ARRAYS - 1 - i];
    assert_int_equal(checkpoint_write(in_directory("b.h5"), &meta, other, SMALL_ARRAYS), OK);
    assert_string_equal(meta.state_digest, hex);
    meta.step++;
    assert_int_equal(checkpoint_write(in_directory("b.h5"), &meta, other, SMALL_ARRAYS), OK);
    assert_string_not_equal(meta.state_digest, hex);
}

static void reading_another_shape_names_both(void **state) {
    (void)state;
    const char *path = in_directory("a.h5");
    write_small(path, 10);
    CheckpointFile *file;
    float data[SMALL_FLOATS];
    assert_int_equal(checkpoint_open(path, &file), OK);
    const size_t dim[] = {8, 5};
    assert_int_equal(checkpoint_read(file, "model/rnn.weight_ih_l0", 2, dim, data), ERR_CHECKPOINT);
    assert_non_null(strstr(status_message(), "/model/rnn.weight_ih_l0 has shape [8, 4], the model needs [8, 5]"));
    assert_int_equal(checkpoint_read(file, "model/rnn.weight_ih_l0", 1, dim, data), ERR_CHECKPOINT);
    assert_int_equal(checkpoint_read(file, "model/absent", 1, dim, data), ERR_CHECKPOINT);
    assert_non_null(strstr(status_message(), "no /model/absent"));
    checkpoint_close(&file);
}

static void names_are_checked(void **state) {
    (void)state;
    static const char *const bad[] = {"model",        "model/",     "model/a/b",     "optimizer/x", "optimizer/x/",
                                      "config/x",     "model/..",   "model/.",       "/model/a",    "optimizer/./x",
                                      "optimizer//x", "model/a\nb", "optimizer/../x"};
    float x = 0;
    CheckpointMeta meta = {.step = 1};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        NamedArray array = {bad[i], 0, {0}, &x};
        assert_int_equal(checkpoint_write(in_directory("a.h5"), &meta, &array, 1), ERR_INTERNAL);
    }
    NamedArray twice[] = {{"model/a", 0, {0}, &x}, {"model/a", 0, {0}, &x}};
    assert_int_equal(checkpoint_write(in_directory("a.h5"), &meta, twice, 2), ERR_INTERNAL);
    NamedArray bomb = {"model/a", 4, {SIZE_MAX / 2, 3, 1, 1}, &x};
    assert_int_equal(checkpoint_write(in_directory("a.h5"), &meta, &bomb, 1), ERR_INTERNAL);
    assert_int_equal(count_entries(directory, ""), 0);
}

/* ---- other programs --------------------------------------------------------------------------------------- */

static const char PYTHON[] =
    "import h5py, numpy, sys\n"
    "f = h5py.File(sys.argv[1], 'r')\n"
    "a = dict(f.attrs)\n"
    "assert a['format'] == 'lockstep-checkpoint' and a['format_version'] == 1, a\n"
    "assert a['step'] == 10 and a['seed'] == -7 and a['epoch'] == 3 and a['shards'] == 4, a\n"
    "assert a['data_digest'] == '0123456789abcdeffedcba9876543210', a\n"
    "assert len(a['state_digest']) == 32 and a['created'].endswith('Z'), a\n"
    "assert a['best_loss'] == 1.25 and a['best_step'] == 5 and a['evaluations_since_best'] == 2, a\n"
    "assert a['finished'] is numpy.True_ or a['finished'] == True and a['finished'].dtype == bool, a\n"
    "assert a['optimizer'] == 'adam' and a['program_version'] == '0.1.0', a\n"
    "assert a['vocabulary_size'] == 6 and a['features'] == 0 and a['classes'] == 5, a\n"
    "assert len(a) == 18, a\n"
    "assert f['config'][()].decode() == 'run: {seed: -7}  # \\u00e9\\n'\n"
    "v = f['vocabulary']\n"
    "assert list(v.asstr()[()]) == ['\\n', ' ', 'a', '\\u00e9', '\\u4e2d', '\\U0001f600'], v[()]\n"
    "assert v.attrs['tokenizer'] == 'char'\n"
    "v = f['target_vocabulary']\n"
    "assert v.attrs['tokenizer'] == 'byte' and v.dtype == 'uint8' and (v[()] == numpy.arange(256)).all()\n"
    "assert set(f['model']) == {'rnn.weight_ih_l0', 'fc.bias', 'scale', 'conv', 'Z'}\n"
    "assert set(f['optimizer/exp_avg']) == {'rnn.weight_ih_l0', 'fc.bias'} == set(f['optimizer']['exp_avg_sq'])\n"
    "for name, base, shape in [('model/rnn.weight_ih_l0', 0, (8, 4)), ('model/conv', 300, (2, 3, 4, 5)), "
    "('model/scale', 200, ())]:\n"
    "    x = f[name][()]\n"
    "    assert x.dtype == numpy.float32 and x.shape == shape, (name, x.dtype, x.shape)\n"
    "    y = numpy.sin(10.0 + base + numpy.arange(max(1, x.size))).astype('float32').reshape(shape)\n"
    "    if base == 0: y[0, 0] = 0\n"
    "    assert numpy.abs(x - y).max() < 1e-6, name\n";

static int run(const char *command) {
    int code = system(command); /* NOLINT: a fixed command on files of this test */
    return WIFEXITED(code) ? WEXITSTATUS(code) : -1;
}

static void other_programs_read_it(void **state) {
    (void)state;
    char command[1024];
    bool any = false;
    spill(in_directory("read.py"), PYTHON, sizeof PYTHON - 1);
    for (size_t most = 0; most <= 1; most++) {
        CheckpointMeta meta = small_meta(10);
        assert_int_equal(
            checkpoint_write_within(in_directory("a.h5"), &meta, small_array, SMALL_ARRAYS, most ? SIZE_MAX : 0), OK);
        if (run("python3 -c 'import h5py' 2>/dev/null") == 0) {
            any = true;
            snprintf(command, sizeof command, "python3 %s %s", in_directory("read.py"), in_directory("a.h5"));
            assert_int_equal(run(command), 0);
        }
        if (run("command -v h5dump h5ls >/dev/null") == 0) {
            any = true;
            snprintf(command, sizeof command,
                     "h5dump %s | grep -q 'fc.bias' && h5ls -r %s | grep -q '/optimizer/exp_avg_sq/fc.bias'",
                     in_directory("a.h5"), in_directory("a.h5"));
            assert_int_equal(run(command), 0);
        }
    }
    if (!any) skip();
}

static void user_block_is_readable(void **state) {
    (void)state;
    size_t bytes;
    write_small(in_directory("a.h5"), 10);
    char *text = slurp(in_directory("a.h5"), &bytes);
    char expected[64];
    snprintf(expected, sizeof expected, "Lockstep checkpoint\nformat 1\nbytes %zu\nxxh3-128 ", bytes - 512);
    assert_memory_equal(text, expected, strlen(expected));
    assert_int_equal(text[511], '\n');
    for (size_t i = 0; i < 512; i++) assert_true(text[i] == '\n' || (text[i] >= ' ' && text[i] <= '~'));
    assert_memory_equal(text + 512, "\x89HDF\r\n\x1a\n", 8);
    XXH128_hash_t hash = XXH3_128bits(text + 512, bytes - 512);
    snprintf(expected, sizeof expected, "%016llx%016llx\n", (unsigned long long)hash.high64,
             (unsigned long long)hash.low64);
    assert_non_null(memmem(text, 512, expected, 33));
    free(text);
}

/* ---- damage ------------------------------------------------------------------------------------------------- */

static size_t accepted(const char *path) {
    CheckpointFile *file;
    H5Kind kind;
    size_t count = 0;
    Status status[3];
    status[0] = checkpoint_open(path, &file);
    if (status[0] == OK) checkpoint_close(&file);
    status[1] = checkpoint_open_any(path, &file);
    if (status[1] == OK) checkpoint_close(&file);
    status[2] = checkpoint_sniff(path, &kind);
    for (size_t i = 0; i < 3; i++) {
        count += status[i] == OK;
        assert_true(status[i] == OK || status[i] == ERR_CHECKPOINT);
    }
    return count;
}

static void every_flipped_bit_is_refused(void **state) {
    (void)state;
    size_t bytes, wrong = 0;
    const char *path = in_directory("a.h5");
    write_small(path, 10);
    assert_int_equal(accepted(path), 3);
    char *text = slurp(path, &bytes);
    int fd = open(path, O_RDWR);
    uint64_t random = 12345;
    for (size_t i = 0; i < 512 + 2000; i++) {
        random = random * 6364136223846793005ULL + 1442695040888963407ULL;
        size_t offset = i < 512 ? i : (size_t)(random >> 20) % bytes;
        char flipped = (char)(text[offset] ^ (1 << (random >> 60) % 8));
        assert_int_equal(pwrite(fd, &flipped, 1, (off_t)offset), 1);
        wrong += accepted(path);
        assert_int_equal(pwrite(fd, &text[offset], 1, (off_t)offset), 1);
    }
    assert_int_equal(wrong, 0);
    assert_int_equal(accepted(path), 3);
    close(fd);
    free(text);
}

static void every_cut_is_refused(void **state) {
    (void)state;
    size_t bytes, wrong = 0;
    const char *path = in_directory("a.h5");
    write_small(path, 10);
    free(slurp(path, &bytes));
    for (size_t length = bytes; length-- > 0;) {
        assert_int_equal(truncate(path, (off_t)length), 0);
        wrong += accepted(path);
        if (length == 0) expect_refused(path, "the file is empty");
        if (length > 512 && length % 500 == 0) expect_refused(path, "it is cut");
    }
    assert_int_equal(wrong, 0);
}

static void mixtures_are_refused(void **state) {
    (void)state;
    size_t bytes, other_bytes;
    const char *path = in_directory("a.h5");
    write_small(path, 10);
    write_small(in_directory("b.h5"), 11);
    char *text = slurp(path, &bytes), *other = slurp(in_directory("b.h5"), &other_bytes);
    assert_int_equal(bytes, other_bytes);
    char *mixed = malloc(bytes + 1);
    for (size_t cut = 512; cut < bytes; cut += 997) {
        memcpy(mixed, text, cut);
        memcpy(mixed + cut, other + cut, bytes - cut);
        /* Equal halves make an equal file. */
        if (memcmp(mixed, text, bytes) == 0) continue;
        spill(path, mixed, bytes);
        assert_int_equal(accepted(path), 0);
        memset(mixed + cut, 0, bytes - cut);
        if (memcmp(mixed, text, bytes) == 0) continue;
        spill(path, mixed, bytes);
        assert_int_equal(accepted(path), 0);
    }
    memcpy(mixed, text, bytes);
    mixed[bytes] = 0;
    spill(path, mixed, bytes + 1);
    expect_refused(path, "1 bytes follow its end");
    free(mixed);
    free(text);
    free(other);
}

static void what_is_no_file_is_refused(void **state) {
    (void)state;
    expect_refused(in_directory("absent.h5"), "No such file");
    assert_int_equal(mkdir(in_directory("d.h5"), 0777), 0);
    expect_refused(in_directory("d.h5"), "not a regular file");
    assert_int_equal(mkfifo(in_directory("p.h5"), 0666), 0);
    expect_refused(in_directory("p.h5"), "not a regular file");
    spill(in_directory("t.h5"), "text\n", 5);
    expect_refused(in_directory("t.h5"), "does not start as a Lockstep checkpoint");
    CheckpointFile *file;
    assert_int_equal(checkpoint_open_any(in_directory("t.h5"), &file), ERR_CHECKPOINT);
    assert_non_null(strstr(status_message(), "not an HDF5 file"));

    CheckpointBlock block = {.version = 2, .bytes = 0, .digest = "00000000000000000000000000000000"};
    char text[CHECKPOINT_BLOCK];
    checkpoint_block_print(&block, text);
    spill(in_directory("n.h5"), text, sizeof text);
    expect_refused(in_directory("n.h5"), "it has format 2, this program reads 1");
}

int main(void) {
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(round_trip),
        WITH_DIRECTORY(round_trip_streamed),
        WITH_DIRECTORY(without_texts),
        WITH_DIRECTORY(state_digest_is_as_documented),
        WITH_DIRECTORY(reading_another_shape_names_both),
        WITH_DIRECTORY(names_are_checked),
        WITH_DIRECTORY(other_programs_read_it),
        WITH_DIRECTORY(user_block_is_readable),
        WITH_DIRECTORY(every_flipped_bit_is_refused),
        WITH_DIRECTORY(every_cut_is_refused),
        WITH_DIRECTORY(mixtures_are_refused),
        WITH_DIRECTORY(what_is_no_file_is_refused),
    };
    return cmocka_run_group_tests_name("checkpoint", tests, NULL, NULL);
}
