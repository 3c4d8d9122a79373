/* SPDX-License-Identifier: MIT
 *
 * config_groups.c: kinds that hold a list of layers, and names across such lists. A group is no layer of its
 * own: its layers stand in the model's one list, named <group>.<layer>; a residual ends with its addition. */
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

const GroupKind config_groups[] = {
    {"decoder", "a group of layers; the first reads the target, what comes before the symbol it is to say", "target",
     false},
    {"encoder", "a group of layers under one name; what a decoder's attention looks at", NULL, false},
    {"residual", NULL, NULL, true}, /* the layer of that kind says what it is */
    {0},
};

const Key config_group_keys[] = {
    {"layers", KEY_LAYERS, 0, NULL, 0, 0, NULL, false,
     "its layers, in order; the first reads what the group reads, and the last one's output is the group's"},
    {0},
};

const GroupKind *group_kind(const char *kind) {
    for (const GroupKind *group = config_groups; group->kind; group++)
        if (strcmp(group->kind, kind) == 0) return group;
    return NULL;
}

const char *group_summary(const GroupKind *group) {
    return group->summary ? group->summary : layer_type(group->kind)->summary;
}

/* ---- names ------------------------------------------------------------------------------------------------ */

bool name_is_taken(const char *name) {
    static const char *const taken[] = {"data", "target", "context"};
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (strcmp(taken[i], name) == 0) return true;
    return false;
}

static const ModelItem *child_named(const ModelItem *group, size_t count, const char *name, size_t length) {
    for (size_t i = count; i-- > 0;) {
        const char *other = group->item[i].name;
        if (other && strlen(other) == length && memcmp(other, name, length) == 0) return &group->item[i];
    }
    return NULL;
}

/* The value that `rest` names in the item: "", or ".layer" and so on, or ".h_n". NULL: there is none yet.
 * *sure: all of `rest` but a layer's own values was found. */
static const char *value_in(Reader *reader, const ModelItem *item, const char *rest, bool *sure) {
    while (*rest == '.') {
        size_t length = strcspn(rest + 1, ".");
        const ModelItem *child = item->item ? child_named(item, item->items, rest + 1, length) : NULL;
        if (!child) break;
        item = child;
        rest += 1 + length;
    }
    *sure = *rest == '\0' || !item->item;
    return item->output ? config_text(reader->memory, "%s%s", item->output, rest) : NULL;
}

const char *scope_value(Reader *reader, const Scope *scope, const char *text, bool *known) {
    const size_t length = strcspn(text, ".");
    const char *found = NULL;
    *known = true;
    if (name_is_taken(text)) return text;
    *known = false;
    for (const Scope *at = scope; at; at = at->outer) {
        /* Of the group that is being read, the layers above are there already. */
        const ModelItem *item = child_named(at->group, at->group->items + (at != scope), text, length);
        bool sure = false;
        const char *value = item ? value_in(reader, item, text + length, &sure) : NULL;
        *known = *known || value || (item && item->broken);
        if (value && sure) return value;
        if (!found) found = value;
    }
    return found;
}

const char *scope_above(const Scope *scope) {
    const ModelItem *group = scope->group;
    return group->items > 0 ? group->item[group->items - 1].output : scope->reads;
}

const char *scope_encoder(const Scope *scope) {
    for (const Scope *at = scope; at; at = at->outer)
        for (size_t i = at->group->items; i-- > 0;)
            if (at->group->item[i].kind && strcmp(at->group->item[i].kind, "encoder") == 0)
                return at->group->item[i].output;
    return NULL;
}

/* Does a list that holds this place have the name further down? */
static bool name_below(const Scope *scope, const char *name) {
    for (const Scope *at = scope; at; at = at->outer)
        for (size_t i = at->group->items; i < at->count; i++)
            if (at->name[i] && strcmp(at->name[i], name) == 0) return true;
    return false;
}

void scope_unknown(Reader *reader, const Scope *scope, const char *text, Place place, const char *where) {
    const char *base = config_copy(reader->memory, text, strcspn(text, ".")),
               *quoted = config_quote(reader->memory, base);
    Suggestion suggestion = suggestion_for(base);
    for (const Scope *at = scope; at; at = at->outer)
        for (size_t i = 0; i < at->group->items; i++)
            if (at->name[i]) suggestion_offer(&suggestion, at->name[i]);
    if (name_below(scope, base))
        problem_add(reader, place, where, "%s is not above this layer; a layer reads what stands before it", quoted);
    else if (suggestion.best)
        problem_add(reader, place, where, "there is no layer %s, did you mean '%s'?", quoted, suggestion.best);
    else problem_add(reader, place, where, "there is no layer %s above this one; name one, or 'data'", quoted);
}
