/* SPDX-License-Identifier: MIT
 *
 * config_layers.c: the model's list. An item is a kind with its keys, `- lstm: {hidden_size: 128}`, a kind
 * alone, `- one_hot`, or a kind with the value of its main key, `- select: last`. */
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

enum { NAME_LONGEST = 100 };

/* ---- forms of an item --------------------------------------------------------------------------------- */

const char *layer_item(const Node *item, Node **value) {
    *value = NULL;
    if (item->broken || node_is_null(item)) return NULL;
    if (item->kind == NODE_SCALAR) return item->text;
    if (item->kind != NODE_MAP || item->count != 1) return NULL;
    if (!node_is_null(item->entry[0].value)) *value = item->entry[0].value;
    return item->entry[0].key;
}

/* The key that a plain value sets, NULL if the kind has none. */
static const char *shorthand_of(const char *kind) {
    const LayerType *type = layer_type(kind);
    return type ? type->shorthand : NULL;
}

Node *layer_map(Reader *reader, Entry *item) {
    Node *value;
    const char *kind = layer_item(item->value, &value);
    if (!kind) return NULL;
    if (value && value->kind == NODE_MAP) return value;
    const char *shorthand = shorthand_of(kind);
    if (value && (value->kind != NODE_SCALAR || !shorthand)) return NULL;
    Node *map = node_map(reader, value ? value->place : item->value->place);
    if (value) node_append(reader, map, shorthand, value->place, value);
    Node *whole = node_map(reader, item->value->place);
    node_append(reader, whole, kind, item->value->kind == NODE_MAP ? item->value->entry[0].place : item->value->place,
                map);
    item->value = whole;
    return map;
}

static void form_reported(Reader *reader, const Node *item, const char *path) {
    if (item->broken) return;
    if (item->kind == NODE_MAP && item->count > 1) {
        const Entry *first = &item->entry[0], *second = &item->entry[1];
        const char *cure = layer_type(first->key) && !layer_type(second->key) ? "indent it further than the kind"
                                                                              : "start each layer with its own '-'";
        problem_add(reader, second->place, path,
                    "%s stands beside %s; a layer is one kind with its keys below it, so %s",
                    config_quote(reader->memory, second->key), config_quote(reader->memory, first->key), cure);
        return;
    }
    problem_add(reader, item->place, path, "expected a layer, like '- lstm: {hidden_size: 128}'");
}

/* ---- names ------------------------------------------------------------------------------------------------ */

/* The scalar given as the layer's name, NULL if there is none. */
static const Node *name_given(const Node *value) {
    const Entry *entry = node_entry(value, "name");
    if (!entry || entry->value->broken || entry->value->kind != NODE_SCALAR || node_is_null(entry->value)) return NULL;
    return entry->value;
}

const char **layer_names(Reader *reader, const Node *model) {
    const char **name = config_take(reader->memory, (model->count + 1) * sizeof *name);
    const char **unnamed = config_take(reader->memory, (model->count + 1) * sizeof *unnamed); /* kinds */
    for (size_t i = 0; i < model->count; i++) {
        Node *value;
        const char *kind = layer_item(model->entry[i].value, &value);
        const Node *given = name_given(value);
        if (given) name[i] = given->text;
        if (given || !kind) continue;
        size_t same = 1;
        for (size_t j = 0; j < i; j++) same += unnamed[j] && strcmp(unnamed[j], kind) == 0;
        unnamed[i] = kind;
        name[i] = same == 1 ? kind : config_text(reader->memory, "%s_%zu", kind, same);
    }
    return name;
}

static bool name_is_fine(const char *name) {
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-";
    double number;
    return name[strspn(name, letters)] == '\0' && strlen(name) <= NAME_LONGEST &&
           number_parse(name, &number) == NUMBER_NONE;
}

/* Reports a name of the wrong form or of an earlier layer; true if the name may stand. */
static bool name_check(Reader *reader, const char *const *name, size_t i, const Node *given, Place place) {
    const char *quoted = config_quote(reader->memory, name[i]),
               *path = config_text(reader->memory, "model.%zu.name", i);
    if (given) place = given->place;
    if (given && !name_is_fine(given->text)) {
        problem_add(reader, place, path,
                    "%s is no name for a layer; use up to %d letters, digits, '_' and '-', not a number", quoted,
                    NAME_LONGEST);
        return false;
    }
    if (strcmp(name[i], "data") == 0) {
        problem_add(reader, place, path, "the name 'data' belongs to the model's input; give another");
        return false;
    }
    for (size_t j = 0; j < i; j++) {
        if (!name[j] || strcmp(name[j], name[i]) != 0) continue;
        problem_add(reader, place, path, "the name %s belongs to layer %zu already; give another", quoted, j);
        return false;
    }
    return true;
}

/* ---- one layer ---------------------------------------------------------------------------------------------- */

static const LayerType *type_of(Reader *reader, const char *kind, Place place, const char *path) {
    const LayerType *type = layer_type(kind);
    if (type) return type;
    Suggestion suggestion = suggestion_for(kind);
    const char *all = "", *quoted = config_quote(reader->memory, kind);
    for (const LayerType *const *each = layer_types(); *each; each++) {
        suggestion_offer(&suggestion, (*each)->kind);
        all = config_text(reader->memory, "%s%s%s", all, *all ? ", " : "", (*each)->kind);
    }
    if (config_is_planned("layer", kind))
        problem_add(reader, place, path, "this version does not have the layer %s; it has %s", quoted, all);
    else if (suggestion.best)
        problem_add(reader, place, path, "unknown layer %s, did you mean '%s'?", quoted, suggestion.best);
    else problem_add(reader, place, path, "unknown layer %s; there are %s", quoted, all);
    return NULL;
}

static void keys_set(Reader *reader, const Key *keys, const Node *map, Place place, const char *path, void *base) {
    for (const Key *key = keys; key && key->name; key++) {
        const Entry *entry = node_entry(map, key->name);
        const char *where = config_text(reader->memory, "%s.%s", path, key->name);
        if (entry) value_set(reader, key, entry->value, where, base);
        else if (key->fallback) value_default(reader, key, where, base);
        else problem_add(reader, place, where, "missing: %s", key->doc ? key->doc : "it has no default");
    }
}

/* Inputs must come from layers above or from the data; which values a layer gives, the model knows. */
static void input_check(Reader *reader, const Node *map, const char *const *name, size_t i, size_t count,
                        const LayerSpec *spec, const char *path) {
    const Entry *entry = node_entry(map, "input");
    const char *where = config_text(reader->memory, "%s.input", path);
    if (!entry) return;
    if (spec->inputs > spec->type->max_inputs && spec->type->max_inputs > 0)
        problem_add(reader, entry->value->place, where, "%zu inputs, but %s reads at most %zu", spec->inputs,
                    spec->type->kind, spec->type->max_inputs);
    for (size_t k = 0; k < spec->inputs; k++) {
        if (!spec->input[k]) continue;
        size_t length = strcspn(spec->input[k], ".");
        const char *base = config_copy(reader->memory, spec->input[k], length),
                   *quoted = config_quote(reader->memory, base);
        Place place = entry->value->kind == NODE_LIST ? entry->value->entry[k].value->place : entry->value->place;
        Suggestion suggestion = suggestion_for(base);
        bool known = strcmp(base, "data") == 0 || strcmp(base, "context") == 0, below = false;
        for (size_t j = 0; j < count; j++) {
            if (!name[j]) continue;
            bool same = strcmp(name[j], base) == 0;
            known |= same && j < i;
            below |= same && j >= i;
            if (j < i) suggestion_offer(&suggestion, name[j]);
        }
        if (known) continue;
        if (below)
            problem_add(reader, place, where, "%s is not above this layer; a layer reads what stands before it",
                        quoted);
        else if (suggestion.best)
            problem_add(reader, place, where, "there is no layer %s, did you mean '%s'?", quoted, suggestion.best);
        else problem_add(reader, place, where, "there is no layer %s above this one; name one, or 'data'", quoted);
    }
}

static void layer_set(Reader *reader, Node *model, const char *const *name, size_t i, LayerSpec *spec) {
    ConfigMemory *memory = reader->memory;
    Entry *item = &model->entry[i];
    Node *value;
    const char *kind = layer_item(item->value, &value), *path = config_text(memory, "model.%zu", i);
    if (!kind) {
        form_reported(reader, item->value, path);
        return;
    }
    Place place = item->value->kind == NODE_MAP ? item->value->entry[0].place : item->value->place;
    if (name_check(reader, name, i, name_given(value), place)) path = config_text(memory, "model.%s", name[i]);
    spec->type = type_of(reader, kind, place, config_text(memory, "model.%zu", i));
    if (!spec->type || (value && value->broken)) return;
    Node *map = layer_map(reader, item);
    if (!map) {
        const char *got = value->kind == NODE_LIST ? "a list" : config_quote(memory, value->text);
        problem_add(reader, value->place, path, "expected the keys of %s, like {frozen: false}, got %s", kind, got);
        return;
    }
    LayerCommon common = {0};
    spec->config = config_take(memory, spec->type->config_size);
    keys_set(reader, config_layer_keys, map, place, path, &common);
    keys_set(reader, spec->type->keys, map, place, path, spec->config);
    for (size_t k = 0; k < map->count; k++) {
        const char *key = map->entry[k].key;
        if (key_find(config_layer_keys, key) || key_find(spec->type->keys, key)) continue;
        const char *shown = config_quote(memory, key);
        key_unknown(reader, &map->entry[k], config_text(memory, "%s.%.*s", path, (int)strlen(shown) - 2, shown + 1),
                    kind, spec->type->keys, config_layer_keys);
    }
    spec->name = name[i];
    spec->input = common.input.item;
    spec->inputs = common.input.count;
    spec->frozen = common.frozen;
    input_check(reader, map, name, i, model->count, spec, path);
}

void layers_set(Reader *reader, Node *model, Config *config) {
    if (model->broken) return;
    if (model->kind != NODE_LIST || model->count == 0) {
        const char *got = node_is_null(model) || model->count == 0 ? "nothing"
                          : model->kind == NODE_MAP                ? "a mapping; start each layer with '-'"
                                                                   : "a text";
        problem_add(reader, model->place, "model",
                    "expected a list of layers, like [{lstm: {hidden_size: 128}}, linear], got %s",
                    model->kind == NODE_SCALAR && !node_is_null(model) ? "a text" : got);
        return;
    }
    if (model->count > CONFIG_MAX_LAYERS) {
        problem_add(reader, model->place, "model", "%zu layers; at most %d are taken", model->count, CONFIG_MAX_LAYERS);
        return;
    }
    const char **name = layer_names(reader, model);
    config->layer = config_take(reader->memory, model->count * sizeof *config->layer);
    config->layers = model->count;
    for (size_t i = 0; i < model->count; i++) layer_set(reader, model, name, i, &config->layer[i]);
}
