/* SPDX-License-Identifier: MIT
 *
 * test_status.c: messages are kept per thread, put in context, cut at 16 KiB, and passed up by TRY. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "comm/status.h"

static void fail_records_message_and_code(void **state) {
    (void)state;
    assert_int_equal(status_fail(ERR_DATA, "%s (%d)", "short", 3), ERR_DATA);
    assert_string_equal(status_message(), "short (3)");
}

static void context_stands_in_front(void **state) {
    (void)state;
    status_fail(ERR_DATA, "inner");
    assert_int_equal(status_context(ERR_USAGE, "layer %d", 2), ERR_USAGE);
    assert_int_equal(status_context(ERR_USAGE, "config"), ERR_USAGE);
    assert_string_equal(status_message(), "config: layer 2: inner");
}

static void arguments_may_be_the_old_message(void **state) {
    (void)state;
    status_fail(ERR_DATA, "first");
    status_fail(ERR_DATA, "%s and %s", status_message(), status_message());
    assert_string_equal(status_message(), "first and first");
    status_context(ERR_DATA, "again %s", status_message());
    assert_string_equal(status_message(), "again first and first: first and first");
}

static void long_messages_are_cut(void **state) {
    (void)state;
    enum { LONG = 40000 };
    char *text = malloc(LONG);
    assert_non_null(text);
    memset(text, 'x', LONG - 1);
    text[LONG - 1] = '\0';
    status_fail(ERR_DATA, "%s", text);
    assert_int_equal(strlen(status_message()), 16383);
    status_context(ERR_DATA, "where");
    assert_int_equal(strlen(status_message()), 16383);
    assert_memory_equal(status_message(), "where: xxx", 10);
    status_context(ERR_DATA, "%s", text);
    assert_true(strlen(status_message()) <= 16383);
    free(text);
}

static void *other_thread(void *seen) {
    strcpy(seen, status_message());
    status_fail(ERR_WRITE, "theirs");
    return NULL;
}

static void messages_belong_to_a_thread(void **state) {
    (void)state;
    char seen[16384] = "?";
    pthread_t thread;
    status_fail(ERR_DATA, "mine");
    assert_int_equal(pthread_create(&thread, NULL, other_thread, seen), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_string_equal(seen, "");
    assert_string_equal(status_message(), "mine");
}

static Status passes_up(Status inner, int *reached) {
    TRY(inner);
    *reached = 1;
    return OK;
}

static void try_returns_at_a_failure(void **state) {
    (void)state;
    int reached = 0;
    assert_int_equal(passes_up(ERR_CHECKPOINT, &reached), ERR_CHECKPOINT);
    assert_int_equal(reached, 0);
    assert_int_equal(passes_up(OK, &reached), OK);
    assert_int_equal(reached, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fail_records_message_and_code),    cmocka_unit_test(context_stands_in_front),
        cmocka_unit_test(arguments_may_be_the_old_message), cmocka_unit_test(long_messages_are_cut),
        cmocka_unit_test(messages_belong_to_a_thread),      cmocka_unit_test(try_returns_at_a_failure),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
