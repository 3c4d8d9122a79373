/* SPDX-License-Identifier: MIT
 *
 * config_fixture.h: what the tests of configs share: texts that are read, and texts that are refused with
 * exactly these lines. */
#ifndef LOCKSTEP_TESTS_CONFIG_FIXTURE_H
#define LOCKSTEP_TESTS_CONFIG_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "trainer/config.h"
#include "trainer/config_private.h"
#include "trainer/suggest.h"

enum { MOST = 12, EXPECTED = 8192 };
#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Two lines that are a whole config; tests go on at line 3. */
#define BASE "data: {path: a.txt}\nmodel: [linear]\n"
/* Stands for the list of all kinds of layers at the end of a message. */
#define LAYERS "@"

static inline size_t count_of(const char *const *list) {
    size_t n = 0;
    while (n < MOST && list[n]) n++;
    return n;
}

static inline Config *good(const char *text, const char *const *override) {
    Config *config = NULL;
    Status status = config_parse(text, "c.yaml", override, override ? count_of(override) : 0, &config);
    if (status != OK) fail_msg("%s\n-> %s", text, status_message());
    assert_non_null(config);
    return config;
}

static inline void append(char *to, const char *text) {
    assert_true(strlen(to) + strlen(text) < EXPECTED);
    strcat(to, text);
}

/* The message of a wrong config is exactly `lines`. */
static inline void assert_refused(const char *name, const char *text, const char *const *override,
                                  const char *const *lines) {
    char expected[EXPECTED] = "";
    for (size_t i = 0; i < MOST && lines[i]; i++) {
        bool kinds = lines[i][strlen(lines[i]) - 1] == *LAYERS;
        append(expected, i ? "\n" : "");
        append(expected, lines[i]);
        if (kinds) expected[strlen(expected) - 1] = '\0';
        for (const LayerType *const *type = layer_types(); kinds && *type; type++) {
            append(expected, type == layer_types() ? "" : ", ");
            append(expected, (*type)->kind);
        }
        if (kinds) append(expected, ", decoder, encoder");
    }
    Config *config = NULL;
    Status status = config_parse(text, "c.yaml", override, override ? count_of(override) : 0, &config);
    if (status != ERR_USAGE || config || strcmp(status_message(), expected) != 0)
        fail_msg("%s\nexpected:\n%s\ngot (%d):\n%s", name, expected, status, status == OK ? "" : status_message());
}

/* ---- what is refused -------------------------------------------------------------------------------- */

#endif
