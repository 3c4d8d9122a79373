/* SPDX-License-Identifier: MIT
 *
 * test_config_random.c: properties of the config that must hold for any text. Random configs made from
 * the tables print to a text that parses back to the same values, bit for bit. Mutated texts never do
 * harm, and whatever is refused is refused with file, line and column. */
#include "random_config.h"

enum { CONFIGS = 500, MUTANTS = 6000 };

/* ---- the same values ----------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool same_strings(const StringList *a, const StringList *b) {
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->count; i++) same = same_text(a->item[i], b->item[i]);
    return same;
}

static void assert_same_keys(const char *owner, const Key *keys, const void *one, const void *two) {
    for (const Key *key = keys; key && key->name; key++) {
        const void *a = (const char *)one + key->offset, *b = (const char *)two + key->offset;
        bool same = true;
        switch (key->type) {
        case KEY_BOOL:
            same = *(const bool *)a == *(const bool *)b;
            break;
        case KEY_SIZE:
            same = *(const size_t *)a == *(const size_t *)b;
            break;
        case KEY_INT:
            same = *(const int64_t *)a == *(const int64_t *)b;
            break;
        case KEY_REAL:
            same = memcmp(a, b, sizeof(double)) == 0;
            break;
        case KEY_CHOICE:
            same = *(const int *)a == *(const int *)b;
            break;
        case KEY_STRING:
            same = same_text(*(const char *const *)a, *(const char *const *)b);
            break;
        case KEY_PAIR:
            same = memcmp(a, b, 2 * sizeof(double)) == 0;
            break;
        case KEY_STRINGS:
            same = same_strings(a, b);
            break;
        case KEY_LAYERS:
            break;
        }
        if (!same) fail_msg("%s.%s changed on the way through text", owner, key->name);
    }
}

static void assert_same(const Config *a, const Config *b) {
    for (const Section *section = config_sections; section->name; section++)
        assert_same_keys(section->name, section->keys, (const char *)a + section->offset,
                         (const char *)b + section->offset);
    assert_true(same_text(a->data.validation_path, b->data.validation_path));
    assert_memory_equal(&a->train.max_seconds, &b->train.max_seconds, sizeof(double));
    assert_int_equal(a->layers, b->layers);
    for (size_t i = 0; i < a->layers; i++) {
        const LayerSpec *x = &a->layer[i], *y = &b->layer[i];
        assert_true(x->type == y->type && x->frozen == y->frozen && x->recompute == y->recompute &&
                    same_text(x->name, y->name));
        assert_true(same_strings(&(StringList){x->input, x->inputs}, &(StringList){y->input, y->inputs}));
        assert_same_keys(x->name, x->type->keys, x->config, y->config);
    }
}

/* Prints, parses, compares; with absolute paths nothing differs for a resumed run either. */
static void assert_round_trip(const Config *config) {
    Config *again = NULL;
    char *text = config_print(config, false), *note = NULL;
    assert_non_null(text);
    if (config_parse(text, "printed", NULL, 0, &again) != OK) fail_msg("%s\n%s", text, status_message());
    assert_same(config, again);
    free(text);
    config_destroy(&again);
    text = config_print(config, true);
    if (config_parse(text, "printed", NULL, 0, &again) != OK) fail_msg("%s\n%s", text, status_message());
    char *differences = config_differences(again, config, &note);
    if (differences || note) fail_msg("%s\ndiffers:\n%s\n%s", text, differences ? differences : "", note ? note : "");
    free(text);
    config_destroy(&again);
}

static void test_round_trip(void **state) {
    (void)state;
    static Text text;
    size_t tried = 0;
    for (size_t taken = 0; taken < CONFIGS; tried++) {
        Config *config = NULL;
        random_config(&text);
        if (config_parse(text.bytes, "random", NULL, 0, &config) != OK) {
            /* Values are right by construction: only rules between keys may object. */
            if (strstr(status_message(), "expected") || strstr(status_message(), "must be") ||
                strstr(status_message(), "unknown"))
                fail_msg("%s\n%s", text.bytes, status_message());
            assert_true(tried < 100 * CONFIGS);
            continue;
        }
        assert_round_trip(config);
        config_destroy(&config);
        taken++;
    }
    print_message("%d of %zu random configs broke no rule and came back the same\n", CONFIGS, tried);
}

/* ---- mutants --------------------------------------------------------------------------------------------- */

static const char *const seeds[] = {
    "# a comment\nrun: {dir: runs/x, seed: 3}\ndata:\n  path: [a.txt, \"b c.txt\"]\n  validation: 0.1\nmodel:\n  - "
    "embedding: {name: emb, embedding_dim: 16}\n  - lstm:\n      name: rnn\n"
    "      hidden_size: 32\n      num_layers: 2\n  - select: last\n  - linear\noptimizer:\n  name: sgd\n  lr: 1.0e-3\n "
    " momentum: 0.9\nschedule: {kind: cosine, warmup: 10, steps: 100}\n"
    "train:\n  batch_size: 32\n  max_time: 3h50m\n  clip_norm: 1\neval: {every: 3, early_stop: 2}\n",
    "data: {path: x}\nmodel: [one_hot, {gru: {hidden_size: 3, input: data}}, linear]\nlog: {progress: none}\n",
    "{\"data\": {\"path\": \"x\"}, \"model\": [\"linear\"], \"optimizer\": {\"betas\": [0.9, 0.999]}}",
    "data:\n  path: >\n    folded\n    text\n  tokenizer: |-\n    byte\nmodel:\n- layer_norm\n- linear: 5\n",
};

static const char *const pieces[] = {
    "\t",
    ": ",
    "- ",
    "\n",
    "\n  ",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "'",
    "#",
    "&a ",
    "*a",
    "!!str ",
    "!",
    "---\n",
    "...\n",
    "? ",
    "| ",
    "> ",
    "%YAML 1.1\n",
    "<<: ",
    "null",
    "~",
    "true",
    "yes",
    "1e999",
    "-1",
    "0x1",
    ".nan",
    "1_0",
    "99999999999999999999",
    "\xff",
    "\x01",
    "\xc2\x85",
    "\xe2\x80\xa8",
    "\xef\xbb\xbf",
    "é",
    "model:\n",
    "data: ",
    "name: rnn\n",
    "input: [rnn, emb]\n",
    "optimizer: {lr: 1}\n",
    "- lstm\n",
    "hidden_size: 0\n",
    "[[[[[[[[[[[[[[[[[[",
    "steps: null\n",
    "kind: step\n",
    "early_stop: 1\n",
};

static void mutate(Text *text) {
    size_t at = below(text->length + 1), left = text->length - at, span = left ? below(left < 12 ? left : 12) : 0;
    const char *piece = pieces[below(COUNT(pieces))];
    size_t length = strlen(piece);
    switch (below(4)) {
    case 0: /* a byte changes; 0 would only cut the text */
        if (left) text->bytes[at] = (char)(below(4) ? 32 + below(95) : 1 + below(255));
        return;
    case 1: /* a piece goes */
        memmove(text->bytes + at, text->bytes + at + span, left - span + 1);
        text->length -= span;
        return;
    case 2: /* a piece comes */
        if (text->length + length + 1 > TEXT) return;
        memmove(text->bytes + at + length, text->bytes + at, left + 1);
        memcpy(text->bytes + at, piece, length);
        text->length += length;
        return;
    default: /* the end comes again from somewhere */
        if (text->length + left + 1 > TEXT / 2) return;
        memmove(text->bytes + text->length, text->bytes + at, left);
        text->length += left;
        text->bytes[text->length] = '\0';
    }
}

/* Every line is "c.yaml:line:column: ..." with a line of the text, but for the count of those left out. */
static void assert_places(const Text *text) {
    size_t most = 1;
    for (size_t i = 0; i < text->length; i++)
        most += text->bytes[i] == '\n' || text->bytes[i] == '\r' || (unsigned char)text->bytes[i] == 0x85 ||
                (unsigned char)text->bytes[i] == 0xA8 || (unsigned char)text->bytes[i] == 0xA9;
    const char *at = status_message();
    assert_true(*at != '\0');
    while (*at) {
        size_t line = 0, column = 0;
        int end = 0;
        bool counted = strncmp(at, "c.yaml: and ", 12) == 0;
        if (!counted && (sscanf(at, "c.yaml:%zu:%zu: %n", &line, &column, &end) != 2 || end == 0))
            fail_msg("no place in: %s\nof the text:\n%s", at, text->bytes);
        if (!counted && (line < 1 || line > most || column < 1))
            fail_msg("line %zu of %zu: %s\n%s", line, most, at, text->bytes);
        at += strcspn(at, "\n");
        at += *at == '\n';
    }
}

static void test_mutants(void **state) {
    (void)state;
    static Text text;
    size_t taken = 0;
    for (size_t i = 0; i < COUNT(seeds); i++) {
        Config *config = NULL;
        if (config_parse(seeds[i], "c.yaml", NULL, 0, &config) != OK) fail_msg("%s\n%s", seeds[i], status_message());
        config_destroy(&config);
    }
    for (size_t i = 0; i < MUTANTS; i++) {
        const char *seed = seeds[below(COUNT(seeds))];
        text.length = strlen(seed);
        memcpy(text.bytes, seed, text.length + 1);
        for (size_t n = below(2) ? 1 : 2 + below(4); n > 0; n--) mutate(&text);
        Config *config = NULL;
        Status status = config_parse(text.bytes, "c.yaml", NULL, 0, &config);
        if (status == OK) {
            assert_round_trip(config);
            config_destroy(&config);
            taken++;
        } else {
            assert_int_equal(status, ERR_USAGE);
            assert_null(config);
            assert_places(&text);
        }
    }
    print_message("%zu of %d mutants are configs, the others were refused with their places\n", taken, MUTANTS);
    assert_in_range(taken, MUTANTS / 50, MUTANTS - MUTANTS / 50);
}

/* Overrides of any form never do harm either. */
static void test_overrides(void **state) {
    (void)state;
    static const char *const keys[] = {"data.path",
                                       "model.0.name",
                                       "model.rnn.hidden_size",
                                       "model.2.kind",
                                       "model.",
                                       "optimizer.lr",
                                       "run.dir",
                                       ".",
                                       "a.b",
                                       "model.99999999999999999999.x",
                                       "optimizer.betas",
                                       "train..x"};
    for (size_t i = 0; i < MUTANTS / 4; i++) {
        Text text[2];
        const char *override[2];
        for (size_t k = 0; k < 2; k++) {
            text[k].length = 0;
            text[k].bytes[0] = '\0';
            add(&text[k], "%s=", keys[below(COUNT(keys))]);
            for (size_t n = below(4); n > 0; n--) add(&text[k], "%s", pieces[below(COUNT(pieces))]);
            if (below(8) == 0) mutate(&text[k]);
            override[k] = text[k].bytes;
        }
        Config *config = NULL;
        if (config_parse(seeds[0], "c.yaml", override, 2, &config) == OK) {
            assert_round_trip(config);
            config_destroy(&config);
        } else {
            const char *message = status_message();
            if (strncmp(message, "command line: ", 14) != 0 && strncmp(message, "c.yaml:", 7) != 0)
                fail_msg("%s", message);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_mutants),
        cmocka_unit_test(test_overrides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
