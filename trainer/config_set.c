/* SPDX-License-Identifier: MIT
 *
 * config_set.c: typed values from nodes, as the tables of keys ask for them. The type is the key's, never
 * guessed from the text: 1e-3 is a number where a number is wanted and a name where a text is. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

static const double EXACT = 9007199254740992.0; /* 2^53: whole numbers up to here have one double each */

/* ---- numbers --------------------------------------------------------------------------------------- */

static bool digit(char c) {
    return c >= '0' && c <= '9';
}

/* [0-9]+ [. [0-9]*] | . [0-9]+, then an exponent maybe; the whole text. */
static bool decimal(const char *at) {
    size_t digits = 0;
    for (; digit(*at); at++) digits++;
    if (*at == '.')
        for (at++; digit(*at); at++) digits++;
    if (digits == 0) return false;
    if (*at == 'e' || *at == 'E') {
        at++;
        if (*at == '+' || *at == '-') at++;
        if (!digit(*at)) return false;
        while (digit(*at)) at++;
    }
    return *at == '\0';
}

static bool word_is(const char *text, const char *list) {
    const char *start;
    for (size_t k = 0, length; (length = key_choice(list, k, &start)) > 0; k++) {
        size_t same = 0;
        while (same < length && text[same] && (text[same] | 0x20) == (start[same] | 0x20)) same++;
        if (same == length && text[same] == '\0') return true;
    }
    return false;
}

static bool decimal_without_underscores(const char *text) {
    char plain[64];
    size_t n = 0;
    for (; *text; text++) {
        if (n + 1 == sizeof plain) return false;
        if (*text != '_') plain[n++] = *text;
    }
    plain[n] = '\0';
    return decimal(plain);
}

static bool significant(const char *text) { /* a digit other than 0 before the exponent */
    for (; *text && *text != 'e' && *text != 'E'; text++)
        if (*text >= '1' && *text <= '9') return true;
    return false;
}

NumberFault number_parse(const char *text, double *out) {
    const char *at = text + (*text == '+' || *text == '-');
    if (word_is(at, "inf|.inf|infinity|nan|.nan")) return NUMBER_NOT_FINITE;
    if (at[0] == '0' && (at[1] | 0x20) >= 'a' && strchr("xob", at[1] | 0x20)) {
        char *end;
        strtoull(at + 2, &end, 16);
        return end != at + 2 && *end == '\0' ? NUMBER_BASE : NUMBER_NONE;
    }
    if (!decimal(at))
        return strchr(at, '_') && digit(*at) && decimal_without_underscores(at) ? NUMBER_UNDERSCORE : NUMBER_NONE;
    if (at[0] == '0' && digit(at[1])) return NUMBER_ZERO;
    *out = strtod(text, NULL);
    if (!isfinite(*out)) return NUMBER_TOO_LARGE;
    return *out == 0 && significant(at) ? NUMBER_TOO_SMALL : NUMBER_FINE;
}

/* ---- what was expected -------------------------------------------------------------------------------- */

static const char *type_words(Reader *reader, const Key *key) {
    if (key_is_validation(key)) return "a fraction or a path";
    switch (key->type) {
    case KEY_BOOL:
        return "true or false";
    case KEY_SIZE:
    case KEY_INT:
        return "a whole number";
    case KEY_REAL:
        return "a number";
    case KEY_CHOICE:
        return config_text(reader->memory, "one of %s", key_choices(reader->memory, key->choices));
    case KEY_STRING:
        return "a text";
    case KEY_PAIR:
        return "two numbers, like [0.9, 0.999]";
    case KEY_STRINGS:
        return "a text or a list of texts";
    case KEY_LAYERS:
        return "a list of layers";
    }
    return "a value";
}

static const char *node_words(Reader *reader, const Node *node) {
    if (node->kind == NODE_LIST) return "a list";
    if (node->kind == NODE_MAP) return "a mapping of keys";
    if (node_is_null(node)) return "null";
    return config_quote(reader->memory, node->text);
}

static void wrong_type(Reader *reader, const Key *key, const Node *node, const char *path, const char *cure) {
    problem_add(reader, node->place, path, "expected %s, got %s%s", type_words(reader, key), node_words(reader, node),
                cure);
}

static void out_of_range(Reader *reader, const Key *key, const Node *node, const char *path) {
    char range[96];
    problem_add(reader, node->place, path, "must be %s, is %s", key_range(key, range), node->text);
}

static bool in_range(const Key *key, double value) {
    if (key->min == 0 && key->max == 0) return true;
    return value >= key->min && (value <= key->max || key->max < key->min);
}

/* ---- one value of each type ---------------------------------------------------------------------------- */

/* A plain scalar that is a number, else a problem that names the remedy. */
static bool number_of(Reader *reader, const Key *key, const Node *node, const char *path, double *out) {
    double quoted;
    if (node->kind == NODE_SCALAR && !node->plain) {
        wrong_type(reader, key, node, path,
                   number_parse(node->text, &quoted) == NUMBER_FINE ? " in quotes; remove the quotes" : "");
        return false;
    }
    if (node->kind != NODE_SCALAR || node_is_null(node)) {
        wrong_type(reader, key, node, path,
                   key->nullable || node->kind != NODE_SCALAR ? "" : "; leave the key out for its default");
        return false;
    }
    const char *cure = "";
    switch (number_parse(node->text, out)) {
    case NUMBER_FINE:
        return true;
    case NUMBER_NONE:
        break;
    case NUMBER_NOT_FINITE:
        cure = "; it must be finite";
        break;
    case NUMBER_TOO_LARGE:
        cure = "; too large for a double, which ends at 1.8e308";
        break;
    case NUMBER_TOO_SMALL:
        cure = "; too small for a double, write 0";
        break;
    case NUMBER_UNDERSCORE:
        cure = "; write it without underscores";
        break;
    case NUMBER_BASE:
        cure = "; write it in decimal";
        break;
    case NUMBER_ZERO:
        cure = "; write it without leading zeros";
        break;
    }
    wrong_type(reader, key, node, path, cure);
    return false;
}

/* A whole number as sign and magnitude; 1e3 and 100.0 are whole, 1.5 is not. */
static bool whole_of(Reader *reader, const Key *key, const Node *node, const char *path, bool *negative,
                     uint64_t *magnitude) {
    double value;
    if (!number_of(reader, key, node, path, &value)) return false;
    const char *digits = node->text + (*node->text == '+' || *node->text == '-');
    *negative = *node->text == '-';
    if (digits[strspn(digits, "0123456789")] == '\0') {
        errno = 0;
        *magnitude = strtoull(digits, NULL, 10);
        if (errno == 0 && *magnitude <= INT64_MAX) return true;
    } else if (fabs(value) <= EXACT) {
        *magnitude = (uint64_t)fabs(value);
        if ((double)*magnitude == fabs(value)) return true;
        wrong_type(reader, key, node, path, "");
        return false;
    }
    problem_add(reader, node->place, path, "%s is too large; the limit is %s", config_quote(reader->memory, node->text),
                digits[strspn(digits, "0123456789")] ? "2^53 for numbers with a point or an exponent" : "2^63 - 1");
    return false;
}

static void size_set(Reader *reader, const Key *key, const Node *node, const char *path, size_t *out) {
    bool negative;
    uint64_t magnitude;
    if (!whole_of(reader, key, node, path, &negative, &magnitude)) return;
    if (negative && magnitude > 0 && key->min == 0 && key->max == 0)
        problem_add(reader, node->place, path, "must be >= 0, is %s", node->text);
    else if (!in_range(key, negative ? -(double)magnitude : (double)magnitude)) out_of_range(reader, key, node, path);
    else *out = (size_t)magnitude;
}

static void int_set(Reader *reader, const Key *key, const Node *node, const char *path, int64_t *out) {
    bool negative;
    uint64_t magnitude;
    if (!whole_of(reader, key, node, path, &negative, &magnitude)) return;
    int64_t value = negative ? -(int64_t)magnitude : (int64_t)magnitude;
    if (!in_range(key, (double)value)) out_of_range(reader, key, node, path);
    else *out = value;
}

static void real_set(Reader *reader, const Key *key, const Node *node, const char *path, double *out) {
    double value;
    if (!number_of(reader, key, node, path, &value)) return;
    if (!in_range(key, value)) out_of_range(reader, key, node, path);
    else *out = value;
}

static void bool_set(Reader *reader, const Key *key, const Node *node, const char *path, bool *out) {
    if (node->kind == NODE_SCALAR && node->plain &&
        (strcmp(node->text, "true") == 0 || strcmp(node->text, "false") == 0)) {
        *out = *node->text == 't';
        return;
    }
    const char *cure = "";
    if (node->kind == NODE_SCALAR && word_is(node->text, "yes|y|on|true|1")) cure = "; write true";
    if (node->kind == NODE_SCALAR && word_is(node->text, "no|n|off|false|0")) cure = "; write false";
    if (node->kind == NODE_SCALAR && !node->plain && *cure)
        cure = config_text(reader->memory, "%s, without quotes", cure);
    wrong_type(reader, key, node, path, cure);
}

static void choice_set(Reader *reader, const Key *key, const Node *node, const char *path, int *out) {
    if (node->kind != NODE_SCALAR || node_is_null(node)) {
        wrong_type(reader, key, node, path, "");
        return;
    }
    Suggestion suggestion = suggestion_for(node->text);
    const char *start;
    for (size_t k = 0, length; (length = key_choice(key->choices, k, &start)) > 0; k++) {
        const char *name = config_copy(reader->memory, start, length);
        if (strcmp(name, node->text) == 0) {
            *out = (int)k;
            return;
        }
        suggestion_offer(&suggestion, name);
    }
    if (suggestion.best)
        problem_add(reader, node->place, path, "unknown value %s, did you mean '%s'?",
                    config_quote(reader->memory, node->text), suggestion.best);
    else wrong_type(reader, key, node, path, "");
}

static const char *text_of(Reader *reader, const Key *key, const Node *node, const char *path) {
    if (node->kind != NODE_SCALAR || node_is_null(node)) {
        wrong_type(reader, key, node, path, "");
    } else if (*node->text == '\0') {
        problem_add(reader, node->place, path, "must not be empty");
    } else if (node->plain && word_is(node->text, "true|false")) {
        wrong_type(reader, key, node, path, "; quote it if it is meant as a text");
    } else {
        return node->text;
    }
    return NULL;
}

static void strings_set(Reader *reader, const Key *key, const Node *node, const char *path, StringList *out) {
    bool list = node->kind == NODE_LIST;
    size_t count = list ? node->count : 1;
    if (count == 0) {
        problem_add(reader, node->place, path, "the list is empty; expected %s", type_words(reader, key));
        return;
    }
    *out = (StringList){.item = config_take(reader->memory, count * sizeof *out->item), .count = count};
    for (size_t i = 0; i < count; i++) {
        const Node *item = list ? node->entry[i].value : node;
        out->item[i] = item->broken ? NULL : text_of(reader, key, item, path);
    }
}

static void pair_set(Reader *reader, const Key *key, const Node *node, const char *path, double *out) {
    if (node->kind != NODE_LIST || node->count != 2) {
        const char *got = node->kind == NODE_LIST ? config_text(reader->memory, "; it has %zu items", node->count) : "";
        wrong_type(reader, key, node, path, got);
        return;
    }
    Key part = *key;
    part.type = KEY_REAL;
    part.nullable = true;
    for (size_t i = 0; i < 2; i++)
        if (!node->entry[i].value->broken)
            real_set(reader, &part, node->entry[i].value, config_text(reader->memory, "%s.%zu", path, i), &out[i]);
}

static void null_set(const Key *key, void *value) {
    switch (key->type) {
    case KEY_BOOL:
        *(bool *)value = false;
        break;
    case KEY_SIZE:
        *(size_t *)value = KEY_NULL_SIZE;
        break;
    case KEY_INT:
        *(int64_t *)value = INT64_MIN;
        break;
    case KEY_REAL:
        *(double *)value = NAN;
        break;
    case KEY_CHOICE:
        *(int *)value = -1;
        break;
    case KEY_STRING:
        *(const char **)value = NULL;
        break;
    case KEY_PAIR:
        ((double *)value)[0] = ((double *)value)[1] = NAN;
        break;
    case KEY_STRINGS:
        *(StringList *)value = (StringList){0};
        break;
    case KEY_LAYERS:
        break;
    }
}

void value_set(Reader *reader, const Key *key, Node *node, const char *path, void *base) {
    void *value = (char *)base + key->offset;
    size_t problems = reader->problems;
    if (node->broken) return;
    if (key->nullable && node_is_null(node)) {
        null_set(key, value);
        return;
    }
    switch (key->type) {
    case KEY_BOOL:
        bool_set(reader, key, node, path, value);
        break;
    case KEY_SIZE:
        size_set(reader, key, node, path, value);
        break;
    case KEY_INT:
        int_set(reader, key, node, path, value);
        break;
    case KEY_REAL:
        real_set(reader, key, node, path, value);
        break;
    case KEY_CHOICE:
        choice_set(reader, key, node, path, value);
        break;
    case KEY_STRING: {
        const char *text = text_of(reader, key, node, path);
        if (text) *(const char **)value = text;
        break;
    }
    case KEY_PAIR:
        pair_set(reader, key, node, path, value);
        break;
    case KEY_STRINGS:
        strings_set(reader, key, node, path, value);
        break;
    case KEY_LAYERS: /* config_layers.c reads it */
        break;
    }
    node->broken = reader->problems != problems;
}

void value_default(Reader *reader, const Key *key, const char *path, void *base) {
    const char *text = key->fallback;
    Node *node = *text == '[' ? node_read(reader, text, strlen(text), NULL, 0) : node_scalar(reader, (Place){0}, text);
    if (node) value_set(reader, key, node, path, base);
}

void validation_set(Reader *reader, const Key *key, Node *node, const char *path, DataSection *data) {
    double value;
    size_t problems = reader->problems;
    if (node->broken) return;
    bool text = node->kind == NODE_SCALAR && !node_is_null(node) && *node->text &&
                !(node->plain && word_is(node->text, "true|false"));
    NumberFault fault = text ? number_parse(node->text, &value) : NUMBER_NONE;
    if (!text) {
        wrong_type(reader, key, node, path, node_is_null(node) ? "; 0 means no validation" : "");
    } else if (node->plain && fault != NUMBER_NONE) {
        value_set(reader, key, node, path, data);
    } else if (node->plain && node->text[strspn(node->text, "0123456789.")] == '%') {
        wrong_type(reader, key, node, path, "; write 0.1 for 10 %");
    } else {
        data->validation = 0;
        data->validation_path = node->text;
    }
    node->broken |= reader->problems != problems;
}

/* ---- keys that nobody knows ------------------------------------------------------------------------------- */

/* The section that has the key, if it is exactly one. */
static const char *owner_of(const char *name) {
    const char *owner = NULL;
    for (const Section *section = config_sections; section->name; section++) {
        if (!key_find(section->keys, name)) continue;
        if (owner) return NULL;
        owner = section->name;
    }
    return owner;
}

void key_unknown(Reader *reader, const Entry *entry, const char *path, const char *owner, const Key *keys,
                 const Key *more) {
    ConfigMemory *memory = reader->memory;
    if (reader->problems >= PROBLEMS_SHOWN) { /* nobody will read it: only count */
        reader->problems++;
        return;
    }
    Suggestion suggestion = suggestion_for(entry->key);
    const char *all = "";
    const Key *const table[] = {keys, more};
    for (size_t t = 0; t < 2; t++)
        for (const Key *key = table[t]; key && key->name; key++) {
            suggestion_offer(&suggestion, key->name);
            all = config_text(memory, "%s%s%s", all, *all ? ", " : "", key->name);
        }
    const char *home = owner_of(entry->key);
    if (suggestion.best) problem_add(reader, entry->place, path, "unknown key, did you mean '%s'?", suggestion.best);
    else if (home)
        problem_add(reader, entry->place, path, "unknown key; it belongs to %s: %s.%s", home, home, entry->key);
    else problem_add(reader, entry->place, path, "unknown key; %s has %s", owner, all);
}
