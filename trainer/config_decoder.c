/* SPDX-License-Identifier: MIT
 *
 * config_decoder.c: layers that read the target go on from step to step when a model writes, so none of them may
 * look at steps that are yet to be written: in training it would see the answer, and without it be lost. */
#include <string.h>

#include "trainer/config_private.h"

typedef struct Walk {
    Reader *reader;
    const Config *config;
    bool *decodes; /* [config->layers] depends on the target */
} Walk;

/* Where the value's name is that of a layer's state, the length of the layer's own; else all of it. */
static size_t stem_of(const char *value, bool *state) {
    const size_t length = strlen(value);
    *state = length > 4 && (strcmp(value + length - 4, ".h_n") == 0 || strcmp(value + length - 4, ".c_n") == 0);
    return *state ? length - 4 : length;
}

/* Does input i of layer l depend on the target, and is it a final state? */
static bool reads_target(const Walk *walk, size_t l, size_t i, bool *state) {
    const LayerSpec *spec = &walk->config->layer[l];
    *state = false;
    if (spec->inputs == 0) return l > 0 && walk->decodes[l - 1];
    if (!spec->input[i]) return false;
    if (strcmp(spec->input[i], "target") == 0) return true;
    const size_t stem = stem_of(spec->input[i], state);
    for (size_t j = 0; j < l; j++) {
        const char *name = walk->config->layer[j].name;
        if (name && strlen(name) == stem && memcmp(name, spec->input[i], stem) == 0) return walk->decodes[j];
    }
    return false;
}

/* The place of one of the layer's keys, of the whole layer where the key is not given. */
static Place place_of(const Node *item, const Node *map, const char *key) {
    const Entry *entry = node_entry(map, key);
    return entry ? entry->value->place : item->place;
}

static void check_input(const Walk *walk, const LayerSpec *spec, size_t i, bool own, const Node *item, const Node *map,
                        const char *where) {
    const char *key = spec->type->looks_ahead ? spec->type->looks_ahead(spec->config, spec->inputs, i) : NULL;
    if (!key) return;
    if (*key && own) {
        const Key *found = key_find(spec->type->keys, key);
        const bool now = *(const bool *)((const char *)spec->config + found->offset);
        problem_add(walk->reader, place_of(item, map, key), config_text(walk->reader->memory, "%s.%s", where, key),
                    "%s lets a step of a decoder see those behind it, which are yet to be written; set %s: %s%s",
                    now ? "true" : "false", key, now ? "false" : "true",
                    strcmp(key, "bidirectional") == 0 ? ", both directions are for the encoder" : "");
        return;
    }
    problem_add(walk->reader, place_of(item, map, "input"), where,
                "%s looks at all steps of what the decoder writes, also those that are yet to be written; let it read "
                "the encoder, or leave it out",
                spec->type->kind);
}

static void check_layer(const Walk *walk, const ModelItem *item, const Node *node, const Node *map, const char *where) {
    const LayerSpec *spec = item->layer;
    const size_t l = (size_t)(spec - walk->config->layer);
    bool own = false;
    for (size_t i = 0; i < (spec->inputs ? spec->inputs : 1); i++) {
        bool state = false;
        if (!reads_target(walk, l, i, &state)) continue;
        walk->decodes[l] = true;
        own |= i == 0;
        if (!state) {
            check_input(walk, spec, i, own, node, map, where);
            continue;
        }
        problem_add(walk->reader, place_of(node, map, "input"), config_text(walk->reader->memory, "%s.input", where),
                    "'%s' is the state behind the last step, which a decoder is yet to write; read '%.*s', which has a "
                    "row for every step",
                    spec->input[i], (int)strlen(spec->input[i]) - 4, spec->input[i]);
    }
}

/* Items of the list and of the groups in it, beside their nodes; a group's addition behind its layers. */
static void check_list(const Walk *walk, const ModelItem *group, const Node *list, const char *path) {
    for (size_t i = 0; list && list->kind == NODE_LIST && i < group->items && i < list->count; i++) {
        const ModelItem *item = &group->item[i];
        Node *map;
        if (item->broken || !item->name || !layer_item(list->entry[i].value, &map)) continue;
        const char *where = config_text(walk->reader->memory, "%s.%s", path, item->name);
        const Entry *inner = node_entry(map, config_group_keys[0].name);
        if (item->item) check_list(walk, item, inner ? inner->value : NULL, where);
        if (item->layer) check_layer(walk, item, list->entry[i].value, map, where);
    }
}

void decoder_check(Reader *reader, const Node *model, const Config *config) {
    Walk walk = {reader, config, config_take(reader->memory, (config->layers + 1) * sizeof(bool))};
    check_list(&walk, &config->model, model, "model");
}
