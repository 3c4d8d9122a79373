/* SPDX-License-Identifier: MIT
 *
 * config_help.c: the tables of keys as text on stdout, at most 100 columns wide. */
#include <stdio.h>
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

enum { WIDTH = 100, TYPE_WIDTH = 9 };

/* ---- text in columns ------------------------------------------------------------------------------------ */

/* Prints words, a new line at WIDTH, continuing at column `left`; the cursor stands there already. */
static void wrap_print(const char *text, size_t left) {
    size_t column = left;
    while (*text) {
        size_t word = strcspn(text, " ");
        if (column > left && column + 1 + word > WIDTH) {
            printf("\n%*s", (int)left, "");
            column = left;
        }
        column += (size_t)printf("%s%.*s", column > left ? " " : "", (int)word, text);
        text += word;
        while (*text == ' ') text++;
    }
    putchar('\n');
}

static const char *type_name(const Key *key) {
    if (key_is_validation(key)) return "number, text";
    switch (key->type) {
    case KEY_BOOL:
        return "boolean";
    case KEY_SIZE:
    case KEY_INT:
        return "integer";
    case KEY_REAL:
        return "number";
    case KEY_CHOICE:
        return "choice";
    case KEY_STRING:
        return "text";
    case KEY_PAIR:
        return "2 numbers";
    case KEY_STRINGS:
        return "texts";
    case KEY_LAYERS:
        return "layers";
    }
    return "value";
}

/* "true, false", the choices or the range; "" without limits. */
static const char *limits(ConfigMemory *memory, const Key *key) {
    char range[96];
    if (key->type == KEY_BOOL) return "true, false";
    if (key->type == KEY_CHOICE) return key_choices(memory, key->choices);
    if (key->type == KEY_STRING || key->type == KEY_STRINGS || key->type == KEY_LAYERS) return "";
    return config_text(memory, "%s", key_range(key, range));
}

static const char *default_text(const Key *key) {
    return key->fallback ? key->fallback : "required";
}

static size_t wider(size_t width, const char *text) {
    return strlen(text) > width ? strlen(text) : width;
}

/* One row per key; `also` (maybe NULL) is a second table in the same columns. */
static void table_print(ConfigMemory *memory, const Key *keys, const Key *also) {
    const Key *const table[] = {keys, also};
    size_t name = 0, type = TYPE_WIDTH, fallback = 0;
    for (size_t t = 0; t < 2; t++)
        for (const Key *key = table[t]; key && key->name; key++) {
            name = wider(name, key->name);
            type = wider(type, type_name(key));
            fallback = wider(fallback, default_text(key));
        }
    for (size_t t = 0; t < 2; t++)
        for (const Key *key = table[t]; key && key->name; key++) {
            const char *limit = key->type == KEY_BOOL ? "" : limits(memory, key), *doc = key->doc ? key->doc : "";
            printf("  %-*s  %-*s  %-*s  ", (int)name, key->name, (int)type, type_name(key), (int)fallback,
                   default_text(key));
            wrap_print(*limit ? config_text(memory, "%s (%s)", doc, limit) : doc, name + type + fallback + 8);
        }
}

/* Kinds of layers, then those of groups. */
static void kinds_print(void) {
    size_t width = 0;
    for (const LayerType *const *type = layer_types(); *type; type++) width = wider(width, (*type)->kind);
    for (const LayerType *const *type = layer_types(); *type; type++) {
        if (group_kind((*type)->kind)) continue;
        printf("  %-*s  ", (int)width, (*type)->kind);
        wrap_print((*type)->summary ? (*type)->summary : "", width + 4);
    }
    puts("\nKinds that hold layers, `- encoder: [LAYERS]`; a layer in one is named encoder.rnn:");
    for (const GroupKind *group = config_groups; group->kind; group++) {
        printf("  %-*s  ", (int)width, group->kind);
        wrap_print(group_summary(group), width + 4);
    }
}

/* ---- what there is to explain ------------------------------------------------------------------------------ */

static void section_print(ConfigMemory *memory, const Section *section) {
    printf("%s: %s\n", section->name, section->doc);
    table_print(memory, section->keys, NULL);
}

static void model_print(ConfigMemory *memory) {
    puts("model: the layers, a list; each reads the one above it, the first one the data");
    puts("  model:");
    puts("    - embedding: {name: emb, embedding_dim: 128}   # a kind with its keys");
    puts("    - lstm:                                        # or the keys below it");
    puts("        hidden_size: 256");
    puts("    - linear                                       # a kind alone: all defaults");
    puts("\nKeys of every layer:");
    table_print(memory, config_layer_keys, NULL);
    puts("\nKinds of layers; `lockstep help lstm` tells a kind's keys:");
    kinds_print();
}

static void kind_print(ConfigMemory *memory, const LayerType *type) {
    printf("%s: ", type->kind);
    wrap_print(type->summary ? type->summary : "a layer", strlen(type->kind) + 2);
    table_print(memory, type->keys, config_layer_keys);
    if (type->shorthand) printf("`- %s: VALUE` sets %s.\n", type->kind, type->shorthand);
}

static void group_print(ConfigMemory *memory, const GroupKind *group) {
    printf("%s: ", group->kind);
    wrap_print(group_summary(group), strlen(group->kind) + 2);
    table_print(memory, config_group_keys, config_layer_keys);
    printf("`- %s: [LAYERS]` sets %s.\n", group->kind, config_group_keys[0].name);
}

static void field_print(const char *name, const char *text) {
    if (*text == '\0') return;
    printf("  %-13s", name);
    wrap_print(text, 15);
}

static void key_print(ConfigMemory *memory, const char *owner, bool layer, const Key *key) {
    printf("%s.%s\n", owner, key->name);
    field_print("meaning", key->doc ? key->doc : "");
    field_print("type", key->nullable ? config_text(memory, "%s, or null", type_name(key)) : type_name(key));
    field_print(key->type == KEY_CHOICE || key->type == KEY_BOOL ? "choices" : "range", limits(memory, key));
    field_print("default", key->fallback ? key->fallback : "none: it must be given");
    field_print("command line",
                layer ? config_text(memory, "model.NAME.%s=VALUE, NAME the layer's name or index", key->name)
                      : config_text(memory, "%s.%s=VALUE", owner, key->name));
}

static void all_print(ConfigMemory *memory) {
    puts("The keys of a config: type, default (\"required\": none), meaning and limits. Any of them can be set");
    puts("on the command line, section.key=value: optimizer.lr=1e-3, model.rnn.hidden_size=256. One key,");
    puts("section or kind of layer: `lockstep help KEY`.");
    for (const Section *section = config_sections; section->name; section++) {
        putchar('\n');
        section_print(memory, section);
        if (strcmp(section->name, "data") != 0) continue;
        putchar('\n');
        model_print(memory);
    }
}

/* ---- finding it -------------------------------------------------------------------------------------------- */

/* "section.key" and "kind.key". */
static bool dotted_print(ConfigMemory *memory, const char *name) {
    const char *dot = strchr(name, '.');
    if (!dot) return false;
    const char *owner = config_copy(memory, name, (size_t)(dot - name));
    const Section *section = config_section(owner);
    const LayerType *type = layer_type(owner);
    const GroupKind *group = group_kind(owner);
    const Key *key = section ? key_find(section->keys, dot + 1) : NULL;
    if (!key && group) key = key_find(config_group_keys, dot + 1);
    if (!key && type) key = key_find(type->keys, dot + 1);
    if (!key && (type || group || strcmp(owner, "model") == 0)) key = key_find(config_layer_keys, dot + 1);
    if (key) key_print(memory, owner, !section, key);
    return key != NULL;
}

/* A key without its section: wherever it occurs. */
static bool bare_print(ConfigMemory *memory, const char *name) {
    size_t found = 0;
    for (const Section *section = config_sections; section->name; section++) {
        const Key *key = key_find(section->keys, name);
        if (!key) continue;
        if (found++) putchar('\n');
        key_print(memory, section->name, false, key);
    }
    for (const LayerType *const *type = layer_types(); *type; type++) {
        const Key *key = key_find((*type)->keys, name);
        if (!key) continue;
        if (found++) putchar('\n');
        key_print(memory, (*type)->kind, true, key);
    }
    const Key *other = found ? NULL : key_find(config_layer_keys, name);
    if (!found && !other) other = key_find(config_group_keys, name);
    if (other) key_print(memory, "model", true, other);
    return found > 0 || other;
}

static void keys_offer(ConfigMemory *memory, Suggestion *suggestion, const char *owner, const Key *keys, bool dotted) {
    for (const Key *key = keys; key && key->name; key++)
        suggestion_offer(suggestion, dotted ? config_text(memory, "%s.%s", owner, key->name) : key->name);
}

static Status unknown(ConfigMemory *memory, const char *name) {
    Suggestion suggestion = suggestion_for(name);
    bool dotted = strchr(name, '.') != NULL;
    suggestion_offer(&suggestion, "model");
    for (const Section *section = config_sections; section->name; section++) {
        suggestion_offer(&suggestion, section->name);
        keys_offer(memory, &suggestion, section->name, section->keys, dotted);
    }
    for (const LayerType *const *type = layer_types(); *type; type++) {
        suggestion_offer(&suggestion, (*type)->kind);
        keys_offer(memory, &suggestion, (*type)->kind, (*type)->keys, dotted);
        if (dotted) keys_offer(memory, &suggestion, (*type)->kind, config_layer_keys, true);
    }
    for (const GroupKind *group = config_groups; group->kind; group++) {
        suggestion_offer(&suggestion, group->kind);
        keys_offer(memory, &suggestion, group->kind, config_group_keys, dotted);
        if (dotted) keys_offer(memory, &suggestion, group->kind, config_layer_keys, true);
    }
    keys_offer(memory, &suggestion, "model", config_layer_keys, dotted);
    const char *quoted = config_quote(memory, name);
    if (suggestion.best)
        return status_fail(ERR_USAGE, "%s (command line): no such key, section or kind of layer, did you mean '%s'?",
                           quoted, suggestion.best);
    return status_fail(ERR_USAGE,
                       "%s (command line): no such key, section or kind of layer; `lockstep help` lists them", quoted);
}

Status config_help(const char *key) {
    ConfigMemory *memory = config_memory_create();
    Status status = OK;
    const char *name = key && strncmp(key, "model.", 6) == 0 && key[6] ? key + 6 : key;
    if (!key) all_print(memory);
    else if (config_section(key)) section_print(memory, config_section(key));
    else if (strcmp(key, "model") == 0) model_print(memory);
    else if (group_kind(name)) group_print(memory, group_kind(name));
    else if (layer_type(name)) kind_print(memory, layer_type(name));
    else if (!dotted_print(memory, key) && !dotted_print(memory, name) &&
             (strchr(key, '.') || !bare_print(memory, key)))
        status = unknown(memory, key);
    config_memory_destroy(&memory);
    return status;
}
