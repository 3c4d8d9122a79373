/* SPDX-License-Identifier: MIT
 *
 * config_compare.c: what differs between the config of a checkpoint and that of now, key by key, as far
 * as a resumed run may not change it. Values are the same if they print the same, paths made absolute. */
#include <stdlib.h>
#include <string.h>

#include "trainer/config_private.h"

/* May change on resume: data.path is compared by the data's digest elsewhere, shards_at_once and recompute
 * never change bits, and shards, which does, gets a note of its own. */
static bool may_change(const char *section, const char *key) {
    static const char *const sections[] = {"eval", "checkpoint", "log", "comm"};
    static const char *const keys[][2] = {{"run", "dir"},      {"data", "path"},      {"train", "steps"},
                                          {"train", "epochs"}, {"train", "max_time"}, {"train", "shards_at_once"},
                                          {"train", "shards"}, {"train", "recompute"}};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (strcmp(sections[i], section) == 0) return true;
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strcmp(keys[i][0], section) == 0 && strcmp(keys[i][1], key) == 0) return true;
    return false;
}

static const char *value_text(ConfigMemory *memory, const Key *key, const void *base) {
    char *text = NULL;
    size_t bytes;
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return "";
    value_print(out, key, base, true);
    if (fclose(out) != 0) return "";
    const char *kept = config_copy(memory, text, bytes);
    free(text);
    return kept;
}

static void keys_compare(FILE *out, ConfigMemory *memory, const char *path, const Key *keys, const void *saved,
                         const void *now) {
    for (const Key *key = keys; key && key->name; key++) {
        if (may_change(path, key->name)) continue;
        const char *old = value_text(memory, key, saved), *new = value_text(memory, key, now);
        if (strcmp(old, new) != 0) fprintf(out, "  %s.%s: %s -> %s\n", path, key->name, old, new);
    }
}

/* ---- layers ------------------------------------------------------------------------------------------------ */

static const LayerSpec *layer_named(const Config *config, const char *name) {
    for (size_t i = 0; i < config->layers; i++)
        if (strcmp(config->layer[i].name, name) == 0) return &config->layer[i];
    return NULL;
}

static void layer_compare(FILE *out, ConfigMemory *memory, const LayerSpec *old, const LayerSpec *new) {
    if (old->type != new->type) {
        fprintf(out, "  model.%s: %s -> %s\n", old->name, old->type->kind, new->type->kind);
        return;
    }
    LayerCommon a = {.name = old->name, .input = {.item = old->input, .count = old->inputs}, .frozen = old->frozen};
    LayerCommon b = {.name = new->name, .input = {.item = new->input, .count = new->inputs}, .frozen = new->frozen};
    const char *path = config_text(memory, "model.%s", old->name);
    keys_compare(out, memory, path, config_layer_keys, &a, &b);
    keys_compare(out, memory, path, old->type->keys, old->config, new->config);
}

static void order_print(FILE *out, const Config *config) {
    for (size_t i = 0; i < config->layers; i++) fprintf(out, "%s%s", i ? ", " : "", config->layer[i].name);
}

static void layers_compare(FILE *out, ConfigMemory *memory, const Config *saved, const Config *now) {
    bool same_set = saved->layers == now->layers, same_order = same_set;
    for (size_t i = 0; i < saved->layers; i++) {
        const LayerSpec *old = &saved->layer[i], *new = layer_named(now, old->name);
        if (new) layer_compare(out, memory, old, new);
        else fprintf(out, "  model.%s: %s -> none\n", old->name, old->type->kind);
        same_set = same_set && new;
        same_order = same_order && strcmp(old->name, now->layer[i].name) == 0;
    }
    for (size_t i = 0; i < now->layers; i++)
        if (!layer_named(saved, now->layer[i].name))
            fprintf(out, "  model.%s: none -> %s\n", now->layer[i].name, now->layer[i].type->kind);
    if (!same_set || same_order) return;
    fputs("  model: ", out);
    order_print(out, saved);
    fputs(" -> ", out);
    order_print(out, now);
    fputc('\n', out);
}

/* ---- the whole ------------------------------------------------------------------------------------------------ */

/* Without shards in the new config those of the checkpoint stay. */
static char *shards_note(const Config *saved, const Config *now) {
    enum { ROOM = 80 };
    char old[32] = "null";
    if (now->train.shards == KEY_NULL_SIZE || now->train.shards == saved->train.shards) return NULL;
    if (saved->train.shards != KEY_NULL_SIZE) snprintf(old, sizeof old, "%zu", saved->train.shards);
    char *note = malloc(ROOM);
    if (note) snprintf(note, ROOM, "  train.shards: %s -> %zu", old, now->train.shards);
    return note;
}

char *config_differences(const Config *saved, const Config *now, char **note) {
    char *text = NULL;
    size_t bytes = 0;
    if (note) *note = shards_note(saved, now);
    FILE *out = open_memstream(&text, &bytes);
    if (!out) return NULL;
    ConfigMemory *memory = config_memory_create();
    for (const Section *section = config_sections; section->name; section++) {
        keys_compare(out, memory, section->name, section->keys, (const char *)saved + section->offset,
                     (const char *)now + section->offset);
        if (strcmp(section->name, "data") == 0) layers_compare(out, memory, saved, now);
    }
    config_memory_destroy(&memory);
    if (fclose(out) != 0 || bytes == 0) {
        free(text);
        return NULL;
    }
    text[bytes - 1] = '\0'; /* the last line feed: the message's own line ends there */
    return text;
}
