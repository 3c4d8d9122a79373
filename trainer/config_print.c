/* SPDX-License-Identifier: MIT
 *
 * config_print.c: values and whole configs as YAML. Numbers are as short as they can be and still come
 * back bit for bit; texts are quoted where YAML of any version could take them for something else. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "trainer/config_private.h"

/* ---- values ------------------------------------------------------------------------------------------ */

static void real_print(FILE *out, double value) {
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtod(text, NULL) == value) break;
    }
    char *exponent = strchr(text, 'e');
    if (!exponent || strchr(text, '.')) fputs(text, out);
    else fprintf(out, "%.*s.0%s", (int)(exponent - text), text, exponent); /* YAML 1.1 readers want the point */
}

static bool stands_plain(const char *text) {
    static const char *const taken[] = {"true", "false", "yes", "no", "on", "off", "y", "n", "null"};
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    static const char others[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./-";
    if (!strchr(letters, *text) && !(strchr("/._", *text) && text[1] && strchr(letters, text[1]))) return false;
    if (text[strspn(text, others)] != '\0') return false;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcasecmp(text, taken[i]) == 0) return false;
    double number;
    return number_parse(text, &number) == NUMBER_NONE;
}

/* Two- and three-byte characters that YAML would fold, refuse or drop inside quotes; 0: none here. */
static unsigned special(const unsigned char *at) {
    if (at[0] == 0xC2 && at[1] >= 0x80 && at[1] <= 0x9F) return at[1];
    if ((at[0] & 0xF0) != 0xE0 || !at[1] || !at[2]) return 0;
    unsigned c = (at[0] & 0x0Fu) << 12 | (at[1] & 0x3Fu) << 6 | (at[2] & 0x3Fu);
    return c == 0x2028 || c == 0x2029 || c == 0xFEFF || c >= 0xFFFE ? c : 0;
}

void text_print(FILE *out, const char *text) {
    if (*text && stands_plain(text)) {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const unsigned char *at = (const unsigned char *)text; *at; at++) {
        unsigned c = special(at);
        if (c) {
            fprintf(out, "\\u%04X", c);
            at += c < 0x800 ? 1 : 2;
        } else if (*at == '"' || *at == '\\') {
            fprintf(out, "\\%c", *at);
        } else if (*at < 0x20 || *at == 0x7F) {
            fprintf(out, "\\x%02X", *at);
        } else {
            fputc(*at, out);
        }
    }
    fputc('"', out);
}

static void path_print(FILE *out, const char *path, bool absolute) {
    char *here = absolute && *path != '/' ? getcwd(NULL, 0) : NULL;
    while (here && path[0] == '.' && path[1] == '/') path += 2;
    size_t room = here ? strlen(here) + strlen(path) + 2 : 0;
    char *whole = here ? malloc(room) : NULL;
    if (whole) snprintf(whole, room, "%s%s%s", here, here[1] ? "/" : "", path);
    text_print(out, whole ? whole : path);
    free(whole);
    free(here);
}

static void strings_print(FILE *out, const StringList *list, bool absolute) {
    if (list->count == 1) {
        path_print(out, list->item[0], absolute);
        return;
    }
    fputc('[', out);
    for (size_t i = 0; i < list->count; i++) {
        if (i) fputs(", ", out);
        path_print(out, list->item[i], absolute);
    }
    fputc(']', out);
}

void value_print(FILE *out, const Key *key, const void *base, bool absolute) {
    const void *value = (const char *)base + key->offset;
    const double *pair = value;
    const char *start;
    absolute = absolute && key_is_path(key);
    if (key_is_validation(key) && ((const DataSection *)base)->validation_path) {
        /* In quotes a text that looks like a number stays a path; text_print sees to it. */
        path_print(out, ((const DataSection *)base)->validation_path, absolute);
        return;
    }
    switch (key->type) {
    case KEY_BOOL:
        fputs(*(const bool *)value ? "true" : "false", out);
        return;
    case KEY_SIZE:
        if (*(const size_t *)value == KEY_NULL_SIZE) break;
        fprintf(out, "%zu", *(const size_t *)value);
        return;
    case KEY_INT:
        if (*(const int64_t *)value == INT64_MIN) break;
        fprintf(out, "%lld", (long long)*(const int64_t *)value);
        return;
    case KEY_REAL:
        if (isnan(*pair)) break;
        real_print(out, *pair);
        return;
    case KEY_CHOICE: {
        if (*(const int *)value < 0) break;
        size_t length = key_choice(key->choices, (size_t) * (const int *)value, &start);
        fprintf(out, "%.*s", (int)length, start);
        return;
    }
    case KEY_STRING:
        if (!*(const char *const *)value) break;
        path_print(out, *(const char *const *)value, absolute);
        return;
    case KEY_PAIR:
        if (isnan(*pair)) break;
        fputc('[', out);
        real_print(out, pair[0]);
        fputs(", ", out);
        real_print(out, pair[1]);
        fputc(']', out);
        return;
    case KEY_STRINGS:
        if (((const StringList *)value)->count == 0) break;
        strings_print(out, value, absolute);
        return;
    case KEY_LAYERS: /* a group's, printed with it */
        return;
    }
    fputs("null", out);
}

/* ---- the config ------------------------------------------------------------------------------------------ */

static void keys_print(FILE *out, const Key *keys, const void *base, const char *indent, bool absolute) {
    for (const Key *key = keys; key && key->name; key++) {
        fprintf(out, "%s%s: ", indent, key->name);
        value_print(out, key, base, absolute);
        fputc('\n', out);
    }
}

static void items_print(FILE *out, const ModelItem *group, size_t depth) {
    char indent[4 * CONFIG_MAX_DEPTH + 8];
    const size_t left = 4 * depth + 2;
    snprintf(indent, sizeof indent, "%*s", (int)left + 4, "");
    for (size_t i = 0; i < group->items; i++) {
        const ModelItem *item = &group->item[i];
        LayerCommon common = {.name = item->name, .input = item->input, .frozen = item->frozen};
        fprintf(out, "%*s- %s:\n", (int)left, "", item->kind);
        keys_print(out, config_layer_keys, &common, indent, false);
        if (item->item) {
            fprintf(out, "%s%s:\n", indent, config_group_keys[0].name);
            items_print(out, item, depth + 1);
        } else {
            keys_print(out, item->layer->type->keys, item->layer->config, indent, false);
        }
    }
}

static void model_print(FILE *out, const Config *config) {
    fputs("model:\n", out);
    items_print(out, &config->model, 0);
}

char *config_print(const Config *config, bool absolute) {
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return NULL;
    for (const Section *section = config_sections; section->name; section++) {
        fprintf(out, "%s:\n", section->name);
        keys_print(out, section->keys, (const char *)config + section->offset, "  ", absolute);
        if (strcmp(section->name, "data") == 0) model_print(out, config);
    }
    bool failed = ferror(out) != 0;
    if (fclose(out) != 0 || failed) {
        free(text);
        return NULL;
    }
    return text;
}
