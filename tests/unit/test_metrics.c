/* SPDX-License-Identifier: MIT
 *
 * test_metrics.c: metrics.csv, byte for byte. */
#define _GNU_SOURCE
#include "checkpoint_fixture.h"

#include <sys/resource.h>

#include "io/metrics.h"

#define HEADER "step,epoch,split,loss,accuracy,lr,grad_norm,tokens_per_s,seconds\n"

static void expect_file(const char *expected) {
    size_t bytes;
    char *text = slurp(in_directory("metrics.csv"), &bytes);
    assert_string_equal(text, expected);
    assert_int_equal(bytes, strlen(expected));
    free(text);
    assert_int_equal(count_entries(directory, ""), 1);
}

static void open_and_close(uint64_t step) {
    Metrics *metrics;
    Status status = metrics_open(directory, step, &metrics);
    if (status != OK) print_error("%s\n", status_message());
    assert_int_equal(status, OK);
    metrics_close(&metrics);
    assert_null(metrics);
}

static void rows_have_nine_digits_and_gaps(void **state) {
    (void)state;
    Metrics *metrics;
    assert_int_equal(metrics_open(directory, 0, &metrics), OK);
    expect_file(HEADER);
    MetricsRow row = {10, 0.1, "train", 1.0 / 3, NAN, 1e-3, 123456789.123, 2897.5, NAN};
    assert_int_equal(metrics_append(metrics, &row), OK);
    expect_file(HEADER "10,0.1,train,0.333333333,,0.001,123456789,2897.5,\n");
    row = (MetricsRow){12345678901ULL, NAN, "validation", INFINITY, 1, 0, -0.0, 1e300, 1e-300};
    assert_int_equal(metrics_append(metrics, &row), OK);
    metrics_close(&metrics);
    expect_file(HEADER "10,0.1,train,0.333333333,,0.001,123456789,2897.5,\n"
                       "12345678901,,validation,inf,1,0,-0,1e+300,1e-300\n");
}

static void appending_goes_on(void **state) {
    (void)state;
    Metrics *metrics;
    MetricsRow row = {1, 1, "train", 1, 1, 1, 1, 1, 1};
    for (uint64_t i = 1; i <= 3; i++) {
        assert_int_equal(metrics_open(directory, i - 1, &metrics), OK);
        row.step = i;
        assert_int_equal(metrics_append(metrics, &row), OK);
        metrics_close(&metrics);
    }
    expect_file(HEADER "1,1,train,1,1,1,1,1,1\n2,1,train,1,1,1,1,1,1\n3,1,train,1,1,1,1,1,1\n");
}

static void rows_after_the_step_go(void **state) {
    (void)state;
    static const char text[] =
        HEADER "10,,train,1,,,,,\n20,,train,2,,,,,\n20,,validation,3,,,,,\n30,,train,4,,,,,\n25,,train,5,,,,,\n";
    const char *path = in_directory("metrics.csv");
    spill(path, text, sizeof text - 1);
    open_and_close(30);
    expect_file(text);
    open_and_close(29);
    expect_file(HEADER "10,,train,1,,,,,\n20,,train,2,,,,,\n20,,validation,3,,,,,\n25,,train,5,,,,,\n");
    open_and_close(20);
    expect_file(HEADER "10,,train,1,,,,,\n20,,train,2,,,,,\n20,,validation,3,,,,,\n");
    open_and_close(0);
    expect_file(HEADER);
    spill(in_directory("metrics.csv"), "", 0);
    open_and_close(5);
    expect_file(HEADER);
}

static void a_half_row_goes(void **state) {
    (void)state;
    static const char whole[] = HEADER "10,,train,1,,,,,\n", half[] = HEADER "10,,train,1,,,,,\n20,,tra";
    for (size_t bytes = sizeof whole - 1; bytes < sizeof half; bytes++) { /* the last with a NUL, as after a crash */
        spill(in_directory("metrics.csv"), half, bytes);
        open_and_close(100);
        expect_file(whole);
    }
}

static void other_files_are_refused(void **state) {
    (void)state;
    static const char *const text[] = {
        "a,b\n1,2\n",
        "step,epoch\n",
        HEADER "10,,train,1,,,,\n",
        HEADER "x,,train,1,,,,,\n10,,train,1,,,,,\n",
        HEADER "99999999999999999999,,train,1,,,,,\n",
        HEADER "\n",
    };
    for (size_t i = 0; i < sizeof text / sizeof *text; i++) {
        Metrics *metrics;
        spill(in_directory("metrics.csv"), text[i], strlen(text[i]));
        assert_int_equal(metrics_open(directory, 100, &metrics), ERR_DATA);
        assert_null(metrics);
        assert_non_null(strstr(status_message(), i < 2 ? "metrics.csv:1)" : "metrics.csv:2)"));
        expect_file(text[i]);
    }
}

static void a_failing_append_leaves_whole_rows(void **state) {
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        Metrics *metrics;
        const struct rlimit all = {sizeof HEADER + 30, sizeof HEADER + 30};
        const MetricsRow row = {1, 1, "train", 1, 1, 1, 1, 1, 1};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &all) != 0 || metrics_open(directory, 0, &metrics) != OK) _exit(1);
        if (metrics_append(metrics, &row) != OK || metrics_append(metrics, &row) != ERR_WRITE) _exit(2);
        bool named = strstr(status_message(), "metrics.csv") != NULL;
        metrics_close(&metrics);
        _exit(named ? 0 : 3);
    }
    int code;
    assert_int_equal(waitpid(child, &code, 0), child);
    assert_true(WIFEXITED(code));
    assert_int_equal(WEXITSTATUS(code), 0);
    expect_file(HEADER "1,1,train,1,1,1,1,1,1\n");
    Metrics *metrics;
    assert_int_equal(metrics_open(in_directory("absent"), 0, &metrics), ERR_WRITE);
    assert_non_null(strstr(status_message(), "absent/metrics.csv"));
}

int main(void) {
#define WITH_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, directory_setup, directory_teardown)
    const struct CMUnitTest tests[] = {
        WITH_DIRECTORY(rows_have_nine_digits_and_gaps), WITH_DIRECTORY(appending_goes_on),
        WITH_DIRECTORY(rows_after_the_step_go),         WITH_DIRECTORY(a_half_row_goes),
        WITH_DIRECTORY(other_files_are_refused),        WITH_DIRECTORY(a_failing_append_leaves_whole_rows),
    };
    return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
