/* SPDX-License-Identifier: MIT
 *
 * random_config.h: configs drawn from the tables, as YAML, the same in every run. Values are right by construction;
 * rules between keys may be broken. */
#ifndef LOCKSTEP_TESTS_RANDOM_CONFIG_H
#define LOCKSTEP_TESTS_RANDOM_CONFIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "trainer/config.h"
#include "trainer/config_private.h"

enum { TEXT = 1 << 16 };
#define COUNT(array) (sizeof(array) / sizeof *(array))

static uint64_t random_state = 88172645463325252u;

static inline uint64_t next_random(void) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state * 2685821657736338717u >> 16;
}
static inline size_t below(size_t n) {
    return (size_t)(next_random() % n);
}
static inline double unit(void) {
    return (double)(next_random() & 0xFFFFFFFFFFFFu) / 281474976710656.0;
}

/* ---- random values as YAML ------------------------------------------------------------------------- */

typedef struct Text {
    char bytes[TEXT];
    size_t length;
} Text;

static void add(Text *text, const char *format, ...) PRINTF_LIKE(2, 3);
static inline void add(Text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text->bytes + text->length, TEXT - text->length, format, args);
    va_end(args);
    assert_true(n >= 0 && (size_t)n < TEXT - text->length);
    text->length += (size_t)n;
}

static inline void add_string(Text *text) {
    static const char *const piece[] = {
        "a",       "Z",     "0",       "7",           "1e3",  ".",   "/",    "-",       "_",       " ",
        ": ",      " #",    "'",       "\\\"",        "\\\\", "\\n", "\\t",  "\\u00e9", "\\u2028", "\\ufeff",
        "\\u0085", "\\x01", "\\uFFFE", "\\U0001F600", "{",    "[",   "*",    "&",       "!",       "%",
        "@",       "yes",   "null",    "true",        "~",    "0x1", ".inf", "é",       "漢"};
    add(text, "\"");
    for (size_t n = 1 + below(6); n > 0; n--) add(text, "%s", piece[below(COUNT(piece))]);
    add(text, "\"");
}

static inline double number_between(const Key *key) {
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

static inline void add_whole(Text *text, const Key *key) {
    double value = floor(number_between(key));
    bool large = key->type == KEY_INT && below(4) == 0;
    if (value < key->min && key->min != 0) value = ceil(key->min);
    if (large) add(text, "%llu", (unsigned long long)(next_random() >> 1));
    else add(text, below(2) ? "%.0f" : "%.17g", value);
}

static inline void add_value(Text *text, const Key *key) {
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

static inline void add_key(Text *text, const Key *key, const char *indent) {
    static const char *const times[] = {"90s", "3h50m", "01:30:00", "2d1s"};
    add(text, "%s%s: ", indent, key->name);
    if (strcmp(key->name, "max_time") == 0) add(text, "%s", times[below(COUNT(times))]);
    else if (strcmp(key->name, "recompute") == 0) add(text, below(2) ? "all" : "n-0");
    else if (key_is_validation(key) && below(2)) add_string(text);
    else add_value(text, key);
    add(text, "\n");
}

static inline void add_keys(Text *text, const Key *keys, const char *indent) {
    for (const Key *key = keys; key && key->name; key++) {
        bool required = key->fallback == NULL;
        if (strcmp(key->name, "tensorboard") == 0 || (!required && below(4) != 0)) continue;
        add_key(text, key, indent);
    }
}

static inline bool is_word(const char *words, const char *word) {
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

static inline void add_data(Text *text, const Key *keys, const char *indent) {
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
static inline void add_layers(Text *text, size_t depth, bool target) {
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

static inline void random_config(Text *text) {
    text->length = 0;
    for (const Section *section = config_sections; section->name; section++) {
        add(text, "%s:\n", section->name);
        if (strcmp(section->name, "data") == 0 && below(16) > 0) add_data(text, section->keys, "  ");
        else add_keys(text, section->keys, "  ");
    }
    add(text, "model:\n");
    add_layers(text, 0, false);
}

#endif
