/* SPDX-License-Identifier: MIT
 *
 * test_checkpoint_dir.c: the directory of checkpoints: names, links, pruning; writes that fail or are killed
 * leave the old state as it was. */
#define _GNU_SOURCE
#include "checkpoint_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "io/checkpoint_format.h"
#include "io/metrics.h"

static const char *in_checkpoints(const char *name) {
    char below[192];
    snprintf(below, sizeof below, "checkpoints/%s", name);
    return in_directory(below);
}

static void touch(const char *path) {
    spill(path, "", 0);
}

static void write_step(uint64_t step) {
    char *path;
    assert_int_equal(checkpoint_path(directory, step, &path), OK);
    write_small(path, step);
    free(path);
}

static void expect_steps(size_t count, const uint64_t *expected) {
    uint64_t *steps;
    size_t n;
    assert_int_equal(checkpoint_list(directory, &steps, &n), OK);
    assert_int_equal(n, count);
    for (size_t i = 0; i < n; i++) assert_int_equal(steps[i], expected[i]);
    free(steps);
}

/* ---- names ------------------------------------------------------------------------------------------- */

static void names_and_order(void **state) {
    (void)state;
    char *path;
    expect_steps(0, NULL);
    assert_int_equal(checkpoint_path("run/a", 42, &path), OK);
    assert_string_equal(path, "run/a/checkpoints/step-000000042.h5");
    free(path);
    assert_int_equal(checkpoint_path("r", 12345678901ULL, &path), OK);
    assert_string_equal(path, "r/checkpoints/step-12345678901.h5");
    free(path);

    static const char *const name[] = {
        "step-000000002.h5",
        "step-000000010.h5",
        "step-12345678901.h5",
        "step-00000003.h5",
        "step-0000000003.h5",
        "step-000000003.h5x",
        "step-000000003",
        "xstep-000000003.h5",
        "step--00000003.h5",
        "step-99999999999999999999999.h5",
        ".step-000000003.h5.tmp.h.1",
        "best.h5",
    };
    assert_int_equal(directory_make(in_directory("checkpoints")), OK);
    for (size_t i = 0; i < sizeof name / sizeof *name; i++) touch(in_checkpoints(name[i]));
    expect_steps(3, (const uint64_t[]){12345678901ULL, 10, 2});

    uint64_t *steps;
    size_t count;
    assert_int_equal(checkpoint_list(in_checkpoints("best.h5"), &steps, &count), ERR_CHECKPOINT);
    assert_null(steps);
}

/* ---- links --------------------------------------------------------------------------------------------- */

static void expect_link(const char *name, const char *target) {
    char found[64] = "";
    assert_true(readlink(in_checkpoints(name), found, sizeof found - 1) > 0);
    assert_string_equal(found, target);
}

static void links_replace_links(void **state) {
    (void)state;
    write_step(2);
    write_step(4);
    assert_int_equal(checkpoint_link(directory, "last.h5", 2), OK);
    expect_link("last.h5", "step-000000002.h5");
    assert_int_equal(checkpoint_link(directory, "last.h5", 4), OK);
    expect_link("last.h5", "step-000000004.h5");
    assert_int_equal(count_entries(in_directory("checkpoints"), "tmp"), 0);
    CheckpointFile *file;
    assert_int_equal(checkpoint_open(in_checkpoints("last.h5"), &file), OK);
    assert_int_equal(checkpoint_meta(file)->step, 4);
    checkpoint_close(&file);

    /* A link into nowhere, and a directory in its place. */
    assert_int_equal(checkpoint_link(directory, "best.h5", 9), OK);
    expect_refused(in_checkpoints("best.h5"), "No such file");
    assert_int_equal(unlink(in_checkpoints("best.h5")), 0);
    assert_int_equal(mkdir(in_checkpoints("best.h5"), 0777), 0);
    assert_int_equal(checkpoint_link(directory, "best.h5", 4), ERR_WRITE);
    assert_non_null(strstr(status_message(), "best.h5"));
    assert_int_equal(count_entries(in_directory("checkpoints"), "tmp"), 0);
}

/* ---- pruning -------------------------------------------------------------------------------------------- */

static void pruning_keeps_the_newest_and_the_linked(void **state) {
    (void)state;
    assert_int_equal(checkpoint_prune(directory, 3), OK); /* nothing there is fine */
    assert_int_equal(directory_make(in_directory("checkpoints")), OK);
    for (unsigned step = 1; step <= 9; step++) {
        char name[32];
        snprintf(name, sizeof name, "step-%09u.h5", step);
        touch(in_checkpoints(name));
    }
    touch(in_checkpoints("notes.txt"));
    touch(in_checkpoints("step-5.h5"));
    assert_int_equal(checkpoint_link(directory, "best.h5", 3), OK);
    assert_int_equal(checkpoint_link(directory, "last.h5", 9), OK);
    assert_int_equal(checkpoint_prune(directory, 4), OK);
    expect_steps(5, (const uint64_t[]){9, 8, 7, 6, 3});
    assert_int_equal(checkpoint_prune(directory, SIZE_MAX), OK);
    expect_steps(5, (const uint64_t[]){9, 8, 7, 6, 3});
    assert_int_equal(checkpoint_link(directory, "best.h5", 8), OK);
    assert_int_equal(checkpoint_prune(directory, 1), OK);
    expect_steps(2, (const uint64_t[]){9, 8});
    assert_int_equal(checkpoint_prune(directory, 0), OK);
    expect_steps(2, (const uint64_t[]){9, 8});
    assert_int_equal(access(in_checkpoints("notes.txt"), F_OK), 0);
    assert_int_equal(access(in_checkpoints("step-5.h5"), F_OK), 0);
}

static void pruning_removes_what_the_dead_left(void **state) {
    (void)state;
    char host[65], name[160];
    assert_int_equal(gethostname(host, sizeof host), 0);
    for (char *c = host; *c != '\0'; c++)
        if (strchr("-.", *c) == NULL && !((*c >= '0' && *c <= '9') || ((*c | 32) >= 'a' && (*c | 32) <= 'z'))) *c = '_';
    pid_t dead = fork();
    if (dead == 0) _exit(0);
    assert_int_equal(waitpid(dead, NULL, 0), dead);
    pid_t unasked = fork(); /* dead too, and keeps its id until its parent asks for it */
    if (unasked == 0) _exit(0);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)unasked, &info, WEXITED | WNOWAIT), 0);
    const struct {
        const char *base, *host;
        long pid, age;
        bool stays;
    } left[] = {
        {"step-000000003.h5", host, dead, 0, false},
        {"step-000000003.h5", host, getpid(), 90000, true},
        {"step-000000004.h5", "elsewhere.org", 7, 0, true},
        {"step-000000005.h5", "elsewhere.org", 7, 90000, false},
        {"step-000000006.h5", host, unasked, 0, false},
        {"best.h5", host, dead, 0, false},
        {"thesis.h5", host, dead, 0, true},
        {"step-3.h5", host, dead, 0, true},
    };
    assert_int_equal(directory_make(in_directory("checkpoints")), OK);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(name, sizeof name, ".%s.tmp.%s.%ld", left[i].base, left[i].host, left[i].pid);
        touch(in_checkpoints(name));
        struct timespec then[2] = {{.tv_sec = time(NULL) - left[i].age}, {.tv_sec = time(NULL) - left[i].age}};
        assert_int_equal(utimensat(AT_FDCWD, in_checkpoints(name), then, 0), 0);
    }
    snprintf(name, sizeof name, ".config.yaml.tmp.%s.%ld", host, (long)dead);
    touch(in_directory(name));
    assert_int_equal(checkpoint_prune(directory, 3), OK);
    assert_int_not_equal(access(in_directory(name), F_OK), 0);
    for (size_t i = 0; i < sizeof left / sizeof *left; i++) {
        snprintf(name, sizeof name, ".%s.tmp.%s.%ld", left[i].base, left[i].host, left[i].pid);
        if ((access(in_checkpoints(name), F_OK) == 0) != left[i].stays) fail_msg("%s", name);
    }
    assert_int_equal(waitpid(unasked, NULL, 0), unasked);
}

/* ---- writes that fail -------------------------------------------------------------------------------------- */

/* In a child, so that the limit ends with it. */
static void expect_limited_write_fails(size_t most, rlim_t limit) {
    const char *path = in_checkpoints("step-000000010.h5");
    size_t before_bytes, after_bytes;
    char *before = slurp(path, &before_bytes);
    pid_t child = fork();
    if (child == 0) {
        const struct rlimit all = {limit, limit};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &all) != 0) _exit(1);
        CheckpointMeta meta = small_meta(11);
        if (checkpoint_write_within(path, &meta, small_array, SMALL_ARRAYS, most) != ERR_WRITE) _exit(2);
        const char *message = status_message();
        bool says = strstr(message, path) != NULL && strstr(message, strerror(EFBIG)) != NULL &&
                    strstr(message, " bytes)") != NULL;
        if (!says) print_error("%s\n", message);
        _exit(says ? 0 : 3);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_true(WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), 0);
    char *after = slurp(path, &after_bytes);
    assert_int_equal(after_bytes, before_bytes);
    assert_memory_equal(after, before, before_bytes);
    free(before);
    free(after);
    assert_int_equal(count_entries(in_directory("checkpoints"), ""), 1);
    CheckpointFile *file;
    assert_int_equal(checkpoint_open(path, &file), OK);
    checkpoint_close(&file);
}

static void a_full_disk_changes_nothing(void **state) {
    (void)state;
    write_step(10);
    struct stat info;
    assert_int_equal(stat(in_checkpoints("step-000000010.h5"), &info), 0);
    for (rlim_t limit = 0; limit < (rlim_t)info.st_size; limit += 1499) {
        expect_limited_write_fails(SIZE_MAX, limit);
        expect_limited_write_fails(0, limit);
    }
}

static void an_unwritable_directory_is_named(void **state) {
    (void)state;
    CheckpointMeta meta = small_meta(10);
    touch(in_directory("file"));
    assert_int_equal(checkpoint_write(in_directory("file/a.h5"), &meta, small_array, SMALL_ARRAYS), ERR_WRITE);
    assert_non_null(strstr(status_message(), strerror(ENOTDIR)));
    assert_int_equal(directory_make(in_directory("file/run/checkpoints")), ERR_WRITE);
    assert_non_null(strstr(status_message(), "file"));
    assert_int_equal(directory_make(in_directory("a/b//c/")), OK);
    assert_int_equal(directory_make(in_directory("a/b/c")), OK);
    assert_int_equal(file_write(in_directory("none/config.yaml"), "x"), ERR_WRITE);
    assert_non_null(strstr(status_message(), "config.yaml (0 bytes)"));
    if (geteuid() == 0) return; /* for whom no directory is unwritable */
    assert_int_equal(chmod(in_directory("a"), 0555), 0);
    Status status = checkpoint_write(in_directory("a/a.h5"), &meta, small_array, SMALL_ARRAYS);
    assert_int_equal(chmod(in_directory("a"), 0755), 0);
    assert_int_equal(status, ERR_WRITE);
    assert_non_null(strstr(status_message(), "make the directory writable"));
}

static void a_missing_directory_is_made(void **state) {
    (void)state;
    write_small(in_directory("x/y/z.h5"), 10);
    CheckpointFile *file;
    assert_int_equal(checkpoint_open(in_directory("x/y/z.h5"), &file), OK);
    checkpoint_close(&file);
}

static void whole_files(void **state) {
    (void)state;
    size_t bytes;
    assert_int_equal(file_write(in_directory("config.yaml"), "a: 1\n"), OK);
    assert_int_equal(file_write(in_directory("config.yaml"), "b: 2\nc: 3\n"), OK);
    char *text = slurp(in_directory("config.yaml"), &bytes);
    assert_string_equal(text, "b: 2\nc: 3\n");
    free(text);
    assert_int_equal(count_entries(directory, ""), 1);
}

/* ---- a writer thread ---------------------------------------------------------------------------------- */

static void *write_fifty(void *out) {
    Status *status = out;
    CheckpointMeta meta = small_meta(1);
    *status = OK;
    for (uint64_t step = 1; step <= 50 && *status == OK; step++) {
        char *path;
        meta.step = step;
        *status = checkpoint_path(directory, step, &path);
        if (*status == OK)
            *status = checkpoint_write_within(path, &meta, small_array, SMALL_ARRAYS, step % 2 ? SIZE_MAX : 0);
        free(path);
    }
    return NULL;
}

static void a_writer_thread_and_a_reader(void **state) {
    (void)state;
    pthread_t writer;
    Status status;
    size_t read = 0;
    write_small(in_directory("other.h5"), 1);
    assert_int_equal(pthread_create(&writer, NULL, write_fifty, &status), 0);
    for (uint64_t step = 0; step < 50; read++) {
        uint64_t *steps;
        size_t count;
        CheckpointFile *file;
        assert_int_equal(checkpoint_open(in_directory("other.h5"), &file), OK);
        checkpoint_close(&file);
        assert_int_equal(checkpoint_list(directory, &steps, &count), OK);
        if (count > 0) {
            char *path;
            step = steps[0];
            assert_int_equal(checkpoint_path(directory, step, &path), OK);
            assert_int_equal(checkpoint_open_any(path, &file), OK);
            assert_int_equal(checkpoint_meta(file)->step, step);
            checkpoint_close(&file);
            free(path);
        }
        free(steps);
    }
    assert_int_equal(pthread_join(writer, NULL), 0);
    assert_int_equal(status, OK);
    assert_true(read > 1);
}

/* ---- writers that are killed ----------------------------------------------------------------------------------- */

static void write_for_ever(uint64_t first, size_t most) {
    for (uint64_t step = first;; step++) {
        char *path;
        CheckpointMeta meta = small_meta(step);
        if (checkpoint_path(directory, step, &path) != OK ||
            checkpoint_write_within(path, &meta, small_array, SMALL_ARRAYS, most) != OK ||
            checkpoint_link(directory, "last.h5", step) != OK || checkpoint_prune(directory, 3) != OK)
            _exit(1);
        free(path);
    }
}

static void killed_writers_leave_whole_files(void **state) {
    (void)state;
    enum { KILLS = 50 };
    uint64_t newest = 0;
    struct timespec start, end;
    clock_gettime(CLOCK_MONOTONIC, &start);
    for (uint64_t step = 1; step <= 5; step++) write_step(step);
    clock_gettime(CLOCK_MONOTONIC, &end);
    const double one = ((double)(end.tv_sec - start.tv_sec) + 1e-9 * (double)(end.tv_nsec - start.tv_nsec)) / 5;
    size_t verified = 0, interrupted = 0;
    for (unsigned kill_number = 0; kill_number < KILLS; kill_number++) {
        pid_t child = fork();
        if (child == 0) write_for_ever(newest + 1, kill_number % 2 ? SIZE_MAX : 0);
        usleep((useconds_t)(1e6 * one * (0.5 + 0.0618 * kill_number))); /* half a write to three and a half */
        assert_int_equal(kill(child, SIGKILL), 0);
        int code;
        assert_int_equal(waitpid(child, &code, 0), child);
        assert_true(WIFSIGNALED(code) && WTERMSIG(code) == SIGKILL);
        interrupted += count_entries(in_directory("checkpoints"), ".tmp.") > 0;

        uint64_t *steps;
        size_t count;
        assert_int_equal(checkpoint_list(directory, &steps, &count), OK);
        for (size_t i = 0; i < count; i++) {
            char *path;
            CheckpointFile *file;
            assert_int_equal(checkpoint_path(directory, steps[i], &path), OK);
            Status status = checkpoint_open(path, &file);
            if (status != OK) print_error("%s\n", status_message());
            assert_int_equal(status, OK);
            assert_int_equal(checkpoint_meta(file)->step, steps[i]);
            checkpoint_close(&file);
            free(path);
            verified++;
        }
        assert_true(count > 0 && steps[0] >= newest);
        newest = steps[0];
        free(steps);
    }
    assert_true(newest > 5);
    print_message("%d kills, %zu of them inside a write, %zu files verified\n", KILLS, interrupted, verified);
    assert_true(verified > KILLS && interrupted > 0);
    assert_int_equal(checkpoint_prune(directory, 3), OK);
    assert_int_equal(count_entries(in_directory("checkpoints"), ".tmp."), 0);
}

int main(void) {
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(names_and_order),
        WITH_DIRECTORY(links_replace_links),
        WITH_DIRECTORY(pruning_keeps_the_newest_and_the_linked),
        WITH_DIRECTORY(pruning_removes_what_the_dead_left),
        WITH_DIRECTORY(a_full_disk_changes_nothing),
        WITH_DIRECTORY(an_unwritable_directory_is_named),
        WITH_DIRECTORY(a_missing_directory_is_made),
        WITH_DIRECTORY(whole_files),
        WITH_DIRECTORY(a_writer_thread_and_a_reader),
        WITH_DIRECTORY(killed_writers_leave_whole_files),
    };
    return cmocka_run_group_tests_name("checkpoint_dir", tests, NULL, NULL);
}
