/* SPDX-License-Identifier: MIT
 *
 * registry.c: from a kind's name to its table. The list itself is layer_list.h. */
#include <string.h>

#include "layers/layer.h"

#define LAYER(kind) extern const LayerType layer_##kind;
#include "layers/layer_list.h"
#undef LAYER

static const LayerType *const types[] = {
#define LAYER(kind) &layer_##kind,
#include "layers/layer_list.h"
#undef LAYER
    NULL,
};

const LayerType *const *layer_types(void) {
    return types;
}

const LayerType *layer_type(const char *kind) {
    for (const LayerType *const *type = types; *type; type++)
        if (strcmp((*type)->kind, kind) == 0) return *type;
    return NULL;
}
