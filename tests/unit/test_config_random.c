/* SPDX-License-Identifier: MIT
 *
 * test_config_random.c: properties of the config that must hold for any text. Random configs made from
 * the tables print to a text that parses back to the same values, bit for bit. Mutated texts never do
 * harm, and whatever is refused is refused with file, line and column. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trainer/config.h"
#include "trainer/config_private.h"

enum { CONFIGS = 500, MUTANTS = 6000, TEXT = 1 << 16 };
#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 2685821657736338717u >> 16;
}
static size_t below(size_t n) {
    return (size_t)(next_random() % n);
}
static double unit(void) {
    return (double)(next_random() & 0xFFFFFFFFFFFFu) / 281474976710656.0;
}

/* ---- random values as YAML ------------------------------------------------------------------------- */

typedef struct Text {
    char bytes[TEXT];
    size_t length;
} Text;

static void add(Text *text, const char *format, ...) PRINTF_LIKE(2, 3);
static void add(Text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->bytes + text->length, TEXT - text->length, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT - text->length);
    text->length += (size_t)n;
}

static void add_string(Text *text) {
    static const char *const piece[] = {
        "a",       "Z",     "0",       "7",           "1e3",  ".",   "/",    "-",       "_",       " ",
        ": ",      " #",    "'",       "\\\"",        "\\\\", "\\n", "\\t",  "\\u00e9", "\\u2028", "\\ufeff",
        "\\u0085", "\\x01", "\\uFFFE", "\\U0001F600", "{",    "[",   "*",    "&",       "!",       "%",
        "@",       "yes",   "null",    "true",        "~",    "0x1", ".inf", "é",       "漢"};
    add(text, "\"");
    for (size_t n = 1 + below(6); n > 0; n--) add(text, "%s", piece[below(COUNT(piece))]);
    add(text, "\"");
}

static double number_between(const Key *key) {
    bool limited = key->min != 0 || key->max != 0;
    double low = limited && key->min > -1e6 ? key->min : -1e6,
           high = limited && key->max >= key->min && key->max < 1e6 ? key->max : 1e6, value;
    switch (below(3)) {
    case 0:
        value = low + (high - low) * unit();
        break;
    case 1:
        value = low + pow(10, -300 * unit());
        break;
    default:
        value = below(2) ? low : high;
    }
    return value < low ? low : value > high ? high : value;
}

static void add_whole(Text *text, const Key *key) {
    double value = floor(number_between(key));
    bool large = key->type == KEY_INT && below(4) == 0;
    if (value < key->min && key->min != 0) value = ceil(key->min);
    if (large) add(text, "%llu", (unsigned long long)(next_random() >> 1));
    else add(text, below(2) ? "%.0f" : "%.17g", value);
}

static void add_value(Text *text, const Key *key) {
    const char *start;
    size_t choices = 0;
    if (key->nullable && below(4) == 0) {
        add(text, below(2) ? "null" : "~");
        return;
    }
    switch (key->type) {
    case KEY_BOOL:
        add(text, below(2) ? "true" : "false");
        return;
    case KEY_SIZE:
    case KEY_INT:
        add_whole(text, key);
        return;
    case KEY_REAL:
        add(text, "%.17g", number_between(key));
        return;
    case KEY_CHOICE:
        while (key_choice(key->choices, choices, &start) > 0) choices++;
        choices = key_choice(key->choices, below(choices), &start);
        add(text, "%.*s", (int)choices, start);
        return;
    case KEY_STRING:
        add_string(text);
        return;
    case KEY_PAIR:
        add(text, "[%.17g, %.17g]", number_between(key), number_between(key));
        return;
    case KEY_STRINGS:
        add(text, "[");
        for (size_t n = 1 + below(3); n > 0; n--) {
            add_string(text);
            add(text, n > 1 ? ", " : "");
        }
        add(text, "]");
        return;
    case KEY_LAYERS:
        break;
    }
}

static void add_key(Text *text, const Key *key, const char *indent) {
    static const char *const times[] = {"90s", "3h50m", "01:30:00", "2d1s"};
    add(text, "%s%s: ", indent, key->name);
    if (strcmp(key->name, "max_time") == 0) add(text, "%s", times[below(COUNT(times))]);
    else if (strcmp(key->name, "recompute") == 0) add(text, below(2) ? "all" : "n-0");
    else if (key_is_validation(key) && below(2)) add_string(text);
    else add_value(text, key);
    add(text, "\n");
}

static void add_keys(Text *text, const Key *keys, const char *indent) {
    for (const Key *key = keys; key && key->name; key++) {
        bool required = key->fallback == NULL;
        if (strcmp(key->name, "tensorboard") == 0 || (!required && below(4) != 0)) continue;
        add_key(text, key, indent);
    }
}

static bool is_word(const char *words, const char *word) {
    size_t length = strlen(word);
    for (const char *at = words; (at = strstr(at, word)); at += length)
        if ((at == words || at[-1] == ' ') && (at[length] == ' ' || at[length] == '\0')) return true;
    return false;
}

/* Keys of section data that only some kinds have. Left to chance, nearly all configs would break a rule between
 * them; so all but a few keep to the keys of one kind. What stands in no list is every kind's. */
static const struct {
    const char *kind, *needs, *has;
} data_kinds[] = {
    {"text", "path", "tokenizer seq_len vocab_size"},
    {"sequences", "path", "bucket"},
    {"pairs", "path", "tokenizer bucket vocab_size"},
    {"csv", "path features targets lookback", "horizon stride time scaling"},
    {"synthetic", "task", "sequences seed bucket"},
    {"tokens", "path", "seq_len"},
};

static void add_data(Text *text, const Key *keys, const char *indent) {
    const size_t kind = below(COUNT(data_kinds));
    const bool bpe = below(2);
    for (const Key *key = keys; key->name; key++) {
        bool others = false;
        for (size_t k = 0; k < COUNT(data_kinds); k++)
            others |= is_word(data_kinds[k].needs, key->name) || is_word(data_kinds[k].has, key->name);
        Key needed = *key;
        needed.nullable = false;
        if (is_word(data_kinds[kind].needs, key->name)) {
            add_key(text, &needed, indent);
        } else if (strcmp(key->name, "kind") == 0) {
            add(text, "%skind: %s\n", indent, data_kinds[kind].kind);
        } else if (!others || is_word(data_kinds[kind].has, key->name)) {
            if (strcmp(key->name, "tokenizer") == 0 && bpe) add(text, "%stokenizer: bpe\n", indent);
            else if (below(2) && (bpe || strcmp(key->name, "vocab_size") != 0)) add_key(text, key, indent);
        }
    }
}

/* `target`: the first may read the target, of which few kinds can read all; so most read the data instead. */
static void add_layers(Text *text, size_t depth, bool target) {
    char indent[40];
    size_t kinds = 0;
    while (layer_types()[kinds]) kinds++;
    snprintf(indent, sizeof indent, "%*s", (int)(4 * depth + 6), "");
    for (size_t i = 0, n = 1 + below(depth ? 3 : 5); i < n; i++) {
        const LayerType *type = layer_types()[below(kinds)];
        const bool group = group_kind(type->kind) || (depth < 3 && below(4) == 0);
        const char *kind = group ? config_groups[below(3)].kind : type->kind;
        add(text, "%*s- %s:\n", (int)(4 * depth + 2), "", kind);
        if (below(2)) add(text, "%sname: n-%zu\n", indent, i);
        target |= strcmp(kind, "decoder") == 0;
        const bool both = !group && type->min_inputs > 1, data = both || (target ? below(16) > 0 : below(4) == 0);
        if (data) add(text, "%sinput: %s\n", indent, both ? "[data, data]" : "data");
        target &= !data;
        if (below(4) == 0) add(text, "%sfrozen: true\n", indent);
        if (!group) {
            add_keys(text, type->keys, indent);
        } else if (depth < 3) {
            add(text, "%slayers:\n", indent);
            add_layers(text, depth + 1, target);
        } else {
            add(text, "%slayers: [one_hot]\n", indent);
        }
        target |= group;
    }
}

static void random_config(Text *text) {
    text->length = 0;
    for (const Section *section = config_sections; section->name; section++) {
        add(text, "%s:\n", section->name);
        if (strcmp(section->name, "data") == 0 && below(16) > 0) add_data(text, section->keys, "  ");
        else add_keys(text, section->keys, "  ");
    }
    add(text, "model:\n");
    add_layers(text, 0, false);
}

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
