/* SPDX-License-Identifier: MIT
 *
 * draw.c: one rule per kind of layer. A rule draws a value for every key that its kind has. */
#include "tests/property/draw.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/status.h"
#include "layers/layer.h"
#include "layers/ops/random.h"

/* ---- dice -------------------------------------------------------------------------------------------------- */

static double uniform(Draw *d) {
    return random_uniform(d->stream, d->at++);
}

/* 0 ... n - 1 */
static size_t below(Draw *d, size_t n) {
    return (size_t)(uniform(d) * (double)n);
}

/* 1 ... most: half of them evenly, half of them evenly in their logarithm, so that small ones occur. */
static size_t size_to(Draw *d, size_t most) {
    if (below(d, 2)) return 1 + below(d, most);
    const size_t drawn = (size_t)exp(uniform(d) * log((double)most + 1));
    return drawn < 1 ? 1 : drawn > most ? most : drawn;
}

static size_t size(Draw *d) {
    return size_to(d, DRAW_MOST_SIZE);
}

static const char *flag(Draw *d) {
    return below(d, 2) ? "true" : "false";
}

static double probability(Draw *d) {
    return d->drops ? 0.1 + 0.1 * (double)below(d, 7) : 0;
}

PRINTF_LIKE(2, 3) static void add(Draw *d, const char *format, ...) {
    va_list list;
    va_start(list, format);
    const int n = vsnprintf(d->layers + d->used, sizeof d->layers - d->used, format, list);
    va_end(list);
    if (n < 0 || (size_t)n >= sizeof d->layers - d->used) abort();
    d->used += (size_t)n;
}

static bool has_key(const Draw *d, const char *name) {
    for (const Key *k = layer_type(d->kind)->keys; k->name; k++)
        if (strcmp(k->name, name) == 0) return true;
    return false;
}

/* "null", or a number. */
static const char *or_null(char text[24], bool null, size_t n) {
    snprintf(text, 24, "%zu", n);
    return null ? strcpy(text, "null") : text;
}

/* ---- layers in front ----------------------------------------------------------------------------------------- */

static void reals(Draw *d) {
    d->features = size(d);
}

static void linear_above(Draw *d, const char *name, size_t features, const char *input) {
    add(d, "{\"linear\": {\"name\": \"%s\", \"out_features\": %zu, \"input\": \"%s\"}}, ", name, features, input);
}

static void rnn_above(Draw *d, size_t hidden) {
    static const char *const kinds[] = {"rnn", "gru", "lstm"};
    add(d, "{\"%s\": {\"name\": \"up\", \"hidden_size\": %zu, \"num_layers\": %zu, \"bidirectional\": %s}}, ",
        kinds[below(d, 3)], hidden, 1 + below(d, 2), flag(d));
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

static void draw_activation(Draw *d) {
    static const char *const kinds[] = {"relu", "gelu", "gelu_tanh", "tanh", "sigmoid"};
    reals(d);
    add(d, "{\"activation\": {\"name\": \"it\", \"kind\": \"%s\"}}", kinds[below(d, 5)]);
}

static void draw_basic_attention(Draw *d) {
    const size_t form = below(d, 3), features = size(d);
    reals(d);
    if (form == 0) {
        add(d, "{\"basic_attention\": {\"name\": \"it\", \"query\": \"last\"}}");
    } else if (form == 1) {
        rnn_above(d, size_to(d, 33));
        add(d, "{\"basic_attention\": {\"name\": \"it\", \"query\": \"final\"}}");
    } else {
        linear_above(d, "a", features, "data");
        add(d, "{\"select\": {\"name\": \"q\", \"kind\": \"mean\"}}, ");
        add(d, "{\"basic_attention\": {\"name\": \"it\", \"query\": \"final\", \"input\": [\"a\", \"q\"]}}");
    }
}

static void draw_channel_attention(Draw *d) {
    reals(d);
    add(d, "{\"channel_attention\": {\"name\": \"it\", \"bias\": %s}}", flag(d));
}

static void draw_dropout(Draw *d) {
    reals(d);
    if (below(d, 4) == 0) add(d, "{\"select\": {\"name\": \"s\", \"kind\": \"last\"}}, ");
    add(d, "{\"dropout\": {\"name\": \"it\", \"p\": %g}}", d->drops && below(d, 5) == 0 ? 1 : probability(d));
}

static void draw_embedding(Draw *d) {
    char rows[24], padding[24];
    d->vocabulary = size(d);
    const size_t more = d->vocabulary + below(d, 9);
    or_null(rows, below(d, 2), more);
    or_null(padding, below(d, 2), below(d, d->vocabulary));
    add(d, "{\"embedding\": {\"name\": \"it\", \"num_embeddings\": %s, \"embedding_dim\": %zu, \"padding_idx\": %s",
        rows, size(d), padding);
    if (has_key(d, "max_norm")) {
        const size_t limit = below(d, 3), global = below(d, 3);
        if (limit > 0) add(d, ", \"max_norm\": %g, \"norm_type\": %zu", 0.2 + 2 * uniform(d), 1 + below(d, 3));
        add(d, ", \"scale_grad_by_freq\": %s, \"sparse\": %s", global == 1 ? "true" : "false",
            global == 2 ? "true" : "false");
    }
    add(d, "}}");
}

static void draw_recurrent(Draw *d) {
    static const char *const states[] = {"zeros", "learned", "context"};
    const char *state = states[below(d, 3)];
    const bool context = strcmp(state, "context") == 0, second = context && below(d, 2);
    reals(d);
    if (context && !second) d->context = size(d);
    if (second) linear_above(d, "a", size(d), "data");
    if (second) add(d, "{\"select\": {\"name\": \"c\", \"kind\": \"mean\"}}, ");
    add(d,
        "{\"%s\": {\"name\": \"it\", \"hidden_size\": %zu, \"num_layers\": %zu, \"bidirectional\": %s, \"dropout\": "
        "%g, "
        "\"bias\": %s",
        d->kind, size(d), 1 + below(d, 3), flag(d), probability(d), flag(d));
    add(d, ", \"initial_state\": \"%s\"", state);
    if (second) add(d, ", \"input\": [\"data\", \"c\"]");
    if (strcmp(d->kind, "rnn") == 0) add(d, ", \"nonlinearity\": \"%s\"", below(d, 2) ? "relu" : "tanh");
    add(d, "}}");
}

static void draw_layer_norm(Draw *d) {
    reals(d);
    add(d, "{\"layer_norm\": {\"name\": \"it\", \"eps\": %s, \"elementwise_affine\": %s, \"bias\": %s}}",
        below(d, 2) ? "1.0e-5" : "1.0e-2", flag(d), flag(d));
}

static void draw_linear(Draw *d) {
    char out[24];
    if (below(d, 4) == 0) {
        d->vocabulary = size(d);
        add(d, "{\"embedding\": {\"name\": \"emb\", \"embedding_dim\": %zu}}, ", size(d));
        add(d, "{\"activation\": {\"name\": \"act\", \"kind\": \"tanh\"}}, ");
        add(d, "{\"linear\": {\"name\": \"it\", \"out_features\": %zu, \"bias\": %s, \"tie\": \"emb\"}}", d->vocabulary,
            flag(d));
        return;
    }
    reals(d);
    or_null(out, below(d, 4) == 0, size(d));
    add(d, "{\"linear\": {\"name\": \"it\", \"out_features\": %s, \"bias\": %s, \"tie\": null}}", out, flag(d));
}

static void draw_multi_head_attention(Draw *d) {
    char dim[24], out[24];
    const size_t heads = 1 + below(d, 5), inputs = 1 + below(d, 3);
    const bool free_dim = below(d, 2), free_out = below(d, 2), freely = free_dim || free_out;
    const size_t features = heads * size_to(d, DRAW_MOST_SIZE / heads);
    d->features = features;
    if (inputs > 1) reals(d);
    if (inputs > 1) linear_above(d, "a", features, "data");
    if (inputs > 1) linear_above(d, "b", freely ? size(d) : features, "data");
    if (inputs > 2) linear_above(d, "c", freely ? size(d) : features, "data");
    or_null(dim, !free_dim, size_to(d, 20));
    or_null(out, !free_out, size(d));
    add(d, "{\"multi_head_attention\": {\"name\": \"it\", \"num_heads\": %zu, \"head_dim\": %s, \"out_features\": %s, ",
        heads, dim, out);
    add(d, "\"bias\": %s, \"dropout\": %g, \"causal\": %s", flag(d), probability(d), flag(d));
    add(d, inputs == 3 ? ", \"input\": [\"a\", \"b\", \"c\"]}}" : inputs == 2 ? ", \"input\": [\"a\", \"b\"]}}" : "}}");
}

static void draw_one_hot(Draw *d) {
    char classes[24];
    d->vocabulary = size(d);
    or_null(classes, below(d, 2), d->vocabulary + below(d, 9));
    add(d, "{\"one_hot\": {\"name\": \"it\", \"num_classes\": %s}}", classes);
}

static void draw_positional_encoding(Draw *d) {
    char steps[24];
    reals(d);
    or_null(steps, below(d, 2), DRAW_MOST_STEPS + below(d, 9));
    add(d, "{\"positional_encoding\": {\"name\": \"it\", \"kind\": \"%s\", \"max_len\": %s, \"dropout\": %g}}",
        below(d, 2) ? "sinusoidal" : "learned", steps, probability(d));
}

/* Values with a row per step, and one or none with a row per sequence, which stands in every step. */
static void draw_concat(Draw *d) {
    const size_t steps = 1 + below(d, 3);
    reals(d);
    linear_above(d, "a", size_to(d, 20), "data");
    linear_above(d, "b", size_to(d, 20), "data");
    add(d, "{\"select\": {\"name\": \"s\", \"kind\": \"mean\", \"input\": \"a\"}}, ");
    add(d, "{\"select\": {\"name\": \"t\", \"kind\": \"last\", \"input\": \"b\"}}, ");
    add(d, "{\"concat\": {\"name\": \"it\", \"input\": ");
    if (below(d, 4) == 0) add(d, "[\"s\", \"t\"]}}");
    else
        add(d, steps == 1   ? "[\"s\", \"data\"]}}"
               : steps == 2 ? "[\"a\", \"s\", \"b\"]}}"
                            : "[\"a\", \"data\", \"a\"]}}");
}

/* A branch that ends with as many features as it begins with. */
static void draw_residual(Draw *d) {
    reals(d);
    add(d, "{\"residual\": {\"name\": \"it\", \"layers\": [");
    if (below(d, 2)) add(d, "{\"layer_norm\": {\"name\": \"norm\"}}, ");
    if (below(d, 2)) add(d, "{\"gru\": {\"name\": \"rnn\", \"hidden_size\": %zu}}, ", size_to(d, 20));
    else add(d, "{\"activation\": {\"name\": \"act\", \"kind\": \"gelu\"}}, ");
    add(d, "{\"linear\": {\"name\": \"fc\", \"out_features\": %zu}}]}}", d->features);
}

static void draw_select(Draw *d) {
    static const char *const kinds[] = {"last", "first", "mean", "max", "final"};
    const char *kind = kinds[below(d, 5)];
    reals(d);
    if (strcmp(kind, "final") == 0) rnn_above(d, size_to(d, 33));
    add(d, "{\"select\": {\"name\": \"it\", \"kind\": \"%s\"}}", kind);
}

static void draw_self_attention(Draw *d) {
    char hidden[24];
    reals(d);
    or_null(hidden, below(d, 2), size(d));
    add(d,
        "{\"self_attention\": {\"name\": \"it\", \"hidden_size\": %s, \"bias\": %s, \"dropout\": %g, \"causal\": %s}}",
        hidden, flag(d), probability(d), flag(d));
}

static void draw_transformer(Draw *d) {
    const size_t heads = 1 + below(d, 5), E = heads * size_to(d, DRAW_MOST_SIZE / heads);
    const bool decoder = strcmp(d->kind, "transformer_decoder") == 0, target = decoder && below(d, 2);
    d->features = E;
    if (decoder) reals(d);
    if (decoder) linear_above(d, "m", E, "data");
    if (decoder && !target) linear_above(d, "e", E, "data");
    if (target) {
        d->targets = size(d);
        for (size_t b = 0; b < d->sequences; b++) d->target_length[b] = 1 + below(d, size_to(d, DRAW_MOST_STEPS));
        add(d, "{\"embedding\": {\"name\": \"e\", \"embedding_dim\": %zu, \"input\": \"target\"}}, ", E);
    }
    add(d,
        "{\"%s\": {\"name\": \"it\", \"nhead\": %zu, \"num_layers\": %zu, \"dim_feedforward\": %zu, "
        "\"dropout\": %g, ",
        d->kind, heads, 1 + below(d, 3), size(d), probability(d));
    const char *activation = below(d, 2) ? "relu" : "gelu", *causal = flag(d);
    /* Steps of a target that are yet to be written may not be looked at. */
    if (target) causal = "true";
    add(d, "\"activation\": \"%s\", \"norm_first\": %s, \"causal\": %s, \"norm\": %s, \"bias\": %s, ", activation,
        flag(d), causal, flag(d), flag(d));
    if (decoder) add(d, "\"input\": [\"e\", \"m\"], ");
    add(d, "\"layer_norm_eps\": %s}}", below(d, 2) ? "1.0e-5" : "1.0e-3");
}

static const struct Rule {
    const char *kind;
    void (*draw)(Draw *d);
} rules[] = {
    {"activation", draw_activation},
    {"basic_attention", draw_basic_attention},
    {"channel_attention", draw_channel_attention},
    {"concat", draw_concat},
    {"dropout", draw_dropout},
    {"embedding", draw_embedding},
    {"gru", draw_recurrent},
    {"layer_norm", draw_layer_norm},
    {"linear", draw_linear},
    {"lstm", draw_recurrent},
    {"multi_head_attention", draw_multi_head_attention},
    {"one_hot", draw_one_hot},
    {"positional_encoding", draw_positional_encoding},
    {"residual", draw_residual},
    {"rnn", draw_recurrent},
    {"select", draw_select},
    {"self_attention", draw_self_attention},
    {"transformer_decoder", draw_transformer},
    {"transformer_encoder", draw_transformer},
};

/* ---- a draw ---------------------------------------------------------------------------------------------------- */

/* Two draws of five are equally long. */
static void draw_batch(Draw *d) {
    d->sequences = 1 + below(d, DRAW_MOST_SEQUENCES);
    const size_t longest = size_to(d, DRAW_MOST_STEPS);
    const bool equal = below(d, 5) < 2;
    for (size_t b = 0; b < d->sequences; b++) d->length[b] = equal ? longest : 1 + below(d, longest);
    d->shards = 1 + below(d, 4);
}

bool draw_make(Draw *d, const char *kind, size_t number, uint64_t seed) {
    *d = (Draw){.kind = kind, .number = number, .seed = seed, .drops = number % 5 == 4};
    d->stream = random_name(kind) ^ seed * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)number << 40;
    d->numbers = d->stream + 1;
    for (size_t i = 0; i < sizeof rules / sizeof *rules; i++) {
        if (strcmp(rules[i].kind, kind) != 0) continue;
        draw_batch(d);
        rules[i].draw(d);
        return true;
    }
    return false;
}
