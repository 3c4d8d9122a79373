/* SPDX-License-Identifier: MIT
 *
 * config_override.c: section.key=value from the command line, put into the tree before any value is
 * looked at. So an override is checked exactly like the file, and what it replaces is not checked. */
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

#define EXAMPLES "write section.key=value, like optimizer.lr=1e-3 or model.rnn.hidden_size=256"

/* Replaces or adds the entry. */
static void entry_put(Reader *reader, Node *map, const char *key, Place place, Node *value) {
    Entry *old = node_entry(map, key);
    if (old) *old = (Entry){.key = old->key, .place = place, .value = value};
    else node_append(reader, map, key, place, value);
}

/* The section as a map that can be changed; made if it is missing or empty. NULL: the file's is no map. */
static Node *section_map(Reader *reader, Node *root, const char *name, Place place) {
    Entry *entry = node_entry(root, name);
    if (entry && !node_is_null(entry->value)) return entry->value->kind == NODE_MAP ? entry->value : NULL;
    Node *map = node_map(reader, entry ? entry->value->place : place);
    entry_put(reader, root, name, entry ? entry->place : place, map);
    return map;
}

/* The list's item with that index or name; NULL with the problem recorded. */
static Entry *layer_named(Reader *reader, const Node *model, const char *which, Place place) {
    ConfigMemory *memory = reader->memory;
    const char **name = layer_names(reader, model);
    if (which[strspn(which, "0123456789")] == '\0') {
        size_t index = 0;
        for (const char *digit = which; *digit && index < model->count; digit++)
            index = 10 * index + (size_t)(*digit - '0');
        if (index < model->count) return &model->entry[index];
        problem_add(reader, place, NULL, "there is no layer %s; the list has %zu, counted from 0",
                    config_quote(memory, which), model->count);
        return NULL;
    }
    Suggestion suggestion = suggestion_for(which);
    const char *all = "";
    for (size_t i = 0; i < model->count; i++) {
        if (!name[i]) continue;
        if (strcmp(name[i], which) == 0) return &model->entry[i];
        suggestion_offer(&suggestion, name[i]);
        if (strlen(all) < 200) all = config_text(memory, "%s%s%s", all, *all ? ", " : "", name[i]);
    }
    if (suggestion.best)
        problem_add(reader, place, NULL, "there is no layer %s, did you mean '%s'?", config_quote(memory, which),
                    suggestion.best);
    else problem_add(reader, place, NULL, "there is no layer %s; the layers are %s", config_quote(memory, which), all);
    return NULL;
}

/* The group's list of layers, NULL if the item is no group. */
static Node *layers_of(Reader *reader, Entry *item) {
    Node *value;
    const char *kind = layer_item(item->value, &value);
    const Node *map = kind && group_kind(kind) ? layer_map(reader, item) : NULL;
    const Entry *layers = map ? node_entry(map, config_group_keys[0].name) : NULL;
    return layers && layers->value->kind == NODE_LIST ? layers->value : NULL;
}

static void layer_override(Reader *reader, Node *root, const char *path, Place place, Node *value) {
    ConfigMemory *memory = reader->memory;
    const Entry *model = node_entry(root, "model");
    if (!model || model->value->kind != NODE_LIST) {
        problem_add(reader, place, NULL, "the config has no list of layers to change");
        return;
    }
    Node *list = model->value;
    Entry *item = NULL;
    for (const char *dot; list && (dot = strchr(path, '.')) && dot != path; path = dot + 1) {
        item = layer_named(reader, list, config_copy(memory, path, (size_t)(dot - path)), place);
        if (!item) return;
        list = strchr(dot + 1, '.') ? layers_of(reader, item) : NULL;
    }
    if (!item || *path == '\0' || strchr(path, '.')) {
        problem_add(reader, place, NULL,
                    "name a layer and its key; write model.1.hidden_size=256 (counted from 0), "
                    "model.rnn.hidden_size=256 or, in a group, model.encoder.rnn.hidden_size=256");
        return;
    }
    Node *map = layer_map(reader, item);
    if (map) entry_put(reader, map, path, place, value);
}

void override_apply(Reader *reader, Node *root, const char *text, size_t number) {
    ConfigMemory *memory = reader->memory;
    Place place = {.override = text, .number = number, .line = 1, .column = 1};
    const char *equals = strchr(text, '='), *dot = strchr(text, '.');
    if (!equals || !dot || dot > equals || dot == text || dot + 1 == equals) {
        const char *what = equals ? "no section.key before '='" : "not of the form key=value";
        problem_add(reader, place, NULL, "%s; " EXAMPLES, what);
        return;
    }
    const char *section = config_copy(memory, text, (size_t)(dot - text)),
               *key = config_copy(memory, dot + 1, (size_t)(equals - dot - 1));
    Node *value = node_read(reader, equals + 1, strlen(equals + 1), text, number);
    if (!value) return;
    if (strcmp(section, "model") == 0) {
        layer_override(reader, root, key, place, value);
        return;
    }
    if (!config_section(section)) {
        Suggestion suggestion = suggestion_for(section);
        suggestion_offer(&suggestion, "model");
        for (const Section *each = config_sections; each->name; each++) suggestion_offer(&suggestion, each->name);
        if (suggestion.best)
            problem_add(reader, place, NULL, "unknown section '%s', did you mean '%s'?", section, suggestion.best);
        else problem_add(reader, place, NULL, "unknown section '%s'; " EXAMPLES, section);
        return;
    }
    Node *map = section_map(reader, root, section, place);
    if (map) entry_put(reader, map, key, place, value);
}
