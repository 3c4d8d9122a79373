/* SPDX-License-Identifier: MIT
 *
 * test_help.c: the help is the manual, so everything must be in it: every key of every section and kind
 * of layer with its type, default and meaning, in lines that fit a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "trainer/config.h"
#include "trainer/config_private.h"

/* What config_help(key) writes to stdout; free(). */
static char *help_of(const char *key, Status expected) {
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_true(kept >= 0 && dup2(fileno(file), STDOUT_FILENO) >= 0);
    Status status = config_help(key);
    fflush(stdout);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    assert_int_equal(status, expected);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    long bytes = ftell(file);
    assert_true(bytes >= 0);
    rewind(file);
    char *text = calloc((size_t)bytes + 1, 1);
    assert_non_null(text);
    assert_int_equal(fread(text, 1, (size_t)bytes, file), bytes);
    fclose(file);
    return text;
}

/* All white space as single blanks, to look for wrapped sentences. */
static char *flat(const char *text) {
    char *out = calloc(strlen(text) + 1, 1);
    assert_non_null(out);
    size_t n = 0;
    for (; *text; text++) {
        bool space = *text == ' ' || *text == '\n';
        if (!space) out[n++] = *text;
        else if (n > 0 && out[n - 1] != ' ') out[n++] = ' ';
    }
    return out;
}

static void assert_contains(const char *text, const char *piece) {
    if (!strstr(text, piece)) fail_msg("'%s' is not in:\n%s", piece, text);
}

static void assert_narrow(const char *text) {
    while (*text) {
        size_t length = strcspn(text, "\n");
        if (length > 100) fail_msg("%zu columns: %.*s", length, (int)length, text);
        text += length + (text[length] == '\n');
    }
}

/* A row of the table that starts at `from`: name, type, default and all of the meaning. */
static void assert_rows(const char *from, const Key *keys) {
    char row[400];
    char *words = flat(from);
    for (const Key *key = keys; key && key->name; key++) {
        assert_non_null(key->doc);
        snprintf(row, sizeof row, "\n  %s ", key->name);
        assert_contains(from, row);
        snprintf(row, sizeof row, " %s %s", key->fallback ? key->fallback : "required", key->doc);
        assert_contains(words, row);
    }
    free(words);
}

static void test_all(void **state) {
    (void)state;
    char *text = help_of(NULL, OK);
    assert_narrow(text);
    for (const Section *section = config_sections; section->name; section++) {
        char title[40];
        snprintf(title, sizeof title, "\n%s: ", section->name);
        assert_contains(text, title);
        assert_rows(strstr(text, title), section->keys);
    }
    assert_contains(text, "\nmodel: ");
    assert_rows(strstr(text, "\nmodel: "), config_layer_keys);
    char *words = flat(text);
    for (const LayerType *const *type = layer_types(); *type; type++) {
        char row[300];
        assert_non_null((*type)->summary);
        snprintf(row, sizeof row, " %s %s", (*type)->kind, (*type)->summary);
        assert_contains(words, row);
    }
    free(words);
    free(text);
}

static void test_sections_and_kinds(void **state) {
    (void)state;
    for (const Section *section = config_sections; section->name; section++) {
        char *text = help_of(section->name, OK);
        assert_narrow(text);
        assert_rows(text, section->keys);
        free(text);
    }
    for (const LayerType *const *type = layer_types(); *type; type++) {
        char *text = help_of((*type)->kind, OK), name[80];
        assert_narrow(text);
        assert_rows(text, (*type)->keys);
        assert_rows(text, config_layer_keys);
        snprintf(name, sizeof name, "model.%s", (*type)->kind);
        char *again = help_of(name, OK);
        assert_string_equal(text, again);
        free(again);
        free(text);
    }
    char *text = help_of("model", OK);
    assert_contains(text, "  lstm ");
    assert_contains(text, "\n  frozen ");
    free(text);
}

static void check_key(const char *owner, const Key *key) {
    char name[120], line[300], range[96];
    snprintf(name, sizeof name, "%s.%s", owner, key->name);
    char *text = help_of(name, OK), *words = flat(text);
    assert_narrow(text);
    snprintf(line, sizeof line, "%s meaning %s type ", name, key->doc);
    assert_contains(words, line);
    snprintf(line, sizeof line, " default %s ", key->fallback ? key->fallback : "none: it must be given");
    assert_contains(words, line);
    bool number = key->type == KEY_SIZE || key->type == KEY_INT || key->type == KEY_REAL;
    if (number && *key_range(key, range)) {
        snprintf(line, sizeof line, " range %s ", range);
        assert_contains(words, line);
    }
    if (key->nullable) assert_contains(words, ", or null ");
    free(words);
    free(text);
}

static void test_each_key(void **state) {
    (void)state;
    for (const Section *section = config_sections; section->name; section++)
        for (const Key *key = section->keys; key->name; key++) check_key(section->name, key);
    for (const LayerType *const *type = layer_types(); *type; type++)
        for (const Key *key = (*type)->keys; key && key->name; key++) check_key((*type)->kind, key);
}

static void test_examples(void **state) {
    (void)state;
    char *text = help_of("optimizer.lr", OK);
    assert_string_equal(text, "optimizer.lr\n  meaning      learning rate, the peak of the schedule\n  type         "
                              "number\n  range        >= 0\n"
                              "  default      1.0e-3\n  command line optimizer.lr=VALUE\n");
    free(text);
    text = help_of("schedule.kind", OK);
    assert_contains(text, "\n  choices      constant, linear, cosine, step\n");
    free(text);
    text = help_of("optimizer.betas", OK);
    assert_contains(text, "\n  range        0 <= x < 1\n");
    free(text);
    text = help_of("hidden_size", OK);
    assert_contains(text, "lstm.hidden_size\n");
    assert_contains(text, "gru.hidden_size\n");
    assert_contains(text, "  command line model.NAME.hidden_size=VALUE");
    free(text);
    text = help_of("every", OK);
    assert_contains(text, "eval.every\n");
    assert_contains(text, "log.every\n");
    free(text);
}

static void test_unknown(void **state) {
    (void)state;
    static const struct {
        const char *key, *message;
    } cases[] = {
        {"optimizer.lrr",
         "'optimizer.lrr' (command line): no such key, section or kind of layer, did you mean 'optimizer.lr'?"},
        {"lsmt", "'lsmt' (command line): no such key, section or kind of layer, did you mean 'lstm'?"},
        {"lstm.hiden_size",
         "'lstm.hiden_size' (command line): no such key, section or kind of layer, did you mean 'lstm.hidden_size'?"},
        {"hiden_size",
         "'hiden_size' (command line): no such key, section or kind of layer, did you mean 'hidden_size'?"},
        {"pineapple", "'pineapple' (command line): no such key, section or kind of layer; `lockstep help` lists them"},
        {"", "'' (command line): no such key, section or kind of layer; `lockstep help` lists them"},
        {"model.", "'model.' (command line): no such key, section or kind of layer, did you mean 'model'?"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = help_of(cases[i].key, ERR_USAGE);
        assert_string_equal(text, "");
        assert_string_equal(status_message(), cases[i].message);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all),      cmocka_unit_test(test_sections_and_kinds),
        cmocka_unit_test(test_each_key), cmocka_unit_test(test_examples),
        cmocka_unit_test(test_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
