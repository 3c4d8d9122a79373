/* SPDX-License-Identifier: MIT
 *
 * config_check.c: rules between keys. A value that is not the default and can have no effect is an error:
 * whoever wrote it expects something that will not happen. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "trainer/config_private.h"
#include "trainer/suggest.h"

/* ---- durations -------------------------------------------------------------------------------------- */

/* Up to nine digits; 0 digits read if there are none or more. */
static size_t digits_read(const char *text, double *out) {
    size_t n = 0;
    *out = 0;
    for (; text[n] >= '0' && text[n] <= '9'; n++) *out = 10 * *out + (text[n] - '0');
    return n <= 9 ? n : 0;
}

static bool clock_parse(const char *text, double *seconds) {
    double part[3];
    for (size_t i = 0; i < 3; i++) {
        size_t n = digits_read(text, &part[i]);
        if (n == 0 || (i > 0 && (n != 2 || part[i] >= 60)) || text[n] != (i < 2 ? ':' : '\0')) return false;
        text += n + (i < 2);
    }
    *seconds = part[0] * 3600 + part[1] * 60 + part[2];
    return true;
}

bool duration_parse(const char *text, double *seconds) {
    static const char units[] = "dhms";
    static const double length[] = {86400, 3600, 60, 1};
    if (strchr(text, ':')) return clock_parse(text, seconds) && *seconds > 0;
    *seconds = 0;
    for (size_t unit = 0; *text; unit++) { /* each unit once, from days down */
        double value;
        size_t n = digits_read(text, &value);
        const char *found = n > 0 && text[n] ? strchr(units, text[n]) : NULL;
        if (!found || (size_t)(found - units) < unit) return false;
        unit = (size_t)(found - units);
        *seconds += value * length[unit];
        text += n + 1;
    }
    return *seconds > 0;
}

/* ---- rules ------------------------------------------------------------------------------------------------ */

typedef struct Check {
    Reader *reader;
    const Node *root;
    const Config *config;
} Check;

/* The node of "section.key", NULL if the key is not given. */
static const Node *given(const Check *check, const char *path) {
    const char *dot = strchr(path, '.');
    const Entry *section = node_entry(check->root, config_copy(check->reader->memory, path, (size_t)(dot - path)));
    const Entry *entry = section ? node_entry(section->value, dot + 1) : NULL;
    return entry ? entry->value : NULL;
}

/* A rule between the keys `path` and `other` is broken: says so at the place of the first that is given.
 * Silent if one of them has a problem of its own. */
static void breach(const Check *check, const char *path, const char *other, const char *format, ...) PRINTF_LIKE(4, 5);
static void breach(const Check *check, const char *path, const char *other, const char *format, ...) {
    const Node *node = given(check, path), *second = given(check, other);
    if ((node && node->broken) || (second && second->broken)) return;
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    Place place = node ? node->place : second ? second->place : check->root->place;
    problem_add(check->reader, place, path, "%s", text);
}

static void no_effect(const Check *check, bool set, const char *path, const char *kind_path, const char *kind,
                      const char *cure) {
    if (set) breach(check, path, kind_path, "has no effect with %s; remove it, or use %s", kind, cure);
}

static void optimizer_check(const Check *check) {
    const OptimizerConfig *o = &check->config->optimizer;
    const char *name = o->name == OPTIMIZER_ADAM ? "adam" : "adamw";
    if (o->name == OPTIMIZER_SGD) {
        no_effect(check, o->betas[0] != 0.9 || o->betas[1] != 0.999, "optimizer.betas", "optimizer.name", "sgd",
                  "adam or adamw");
        no_effect(check, o->eps != 1e-8, "optimizer.eps", "optimizer.name", "sgd", "adam or adamw");
        if (o->nesterov && o->momentum == 0)
            breach(check, "optimizer.nesterov", "optimizer.momentum", "needs a momentum above 0, like momentum: 0.9");
    } else {
        no_effect(check, o->momentum != 0, "optimizer.momentum", "optimizer.name", name, "sgd");
        no_effect(check, o->nesterov, "optimizer.nesterov", "optimizer.name", name, "sgd");
    }
}

static void schedule_check(const Check *check) {
    static const char *const kinds[] = {"constant", "linear", "cosine", "step"};
    const ScheduleConfig *s = &check->config->schedule;
    const char *kind = kinds[s->kind], *at = "schedule.kind";
    bool ends = s->kind == SCHEDULE_LINEAR || s->kind == SCHEDULE_COSINE;
    if (s->kind == SCHEDULE_STEP && s->step_size == KEY_NULL_SIZE)
        breach(check, "schedule.step_size", at,
               "missing: the kind step needs the steps between two drops, like step_size: 1000");
    no_effect(check, s->kind != SCHEDULE_STEP && s->step_size != KEY_NULL_SIZE, "schedule.step_size", at, kind, "step");
    no_effect(check, s->kind != SCHEDULE_STEP && s->gamma != 0.1, "schedule.gamma", at, kind, "step");
    no_effect(check, !ends && s->min_lr != 0, "schedule.min_lr", at, kind, "linear or cosine");
    no_effect(check, !ends && s->steps != KEY_NULL_SIZE, "schedule.steps", at, kind, "linear or cosine");
    bool own = s->steps != KEY_NULL_SIZE;
    size_t total = own ? s->steps : check->config->train.steps;
    const char *end = own ? "schedule.steps" : "train.steps";
    if (ends && total != KEY_NULL_SIZE && s->warmup > total)
        breach(check, "schedule.warmup", end, "%zu steps of warm-up do not fit into %s: %zu", s->warmup, end, total);
    if (ends && s->min_lr > check->config->optimizer.lr)
        breach(check, "schedule.min_lr", "optimizer.lr",
               "%.15g is above optimizer.lr: %.15g; the schedule goes down to it", s->min_lr,
               check->config->optimizer.lr);
}

static void train_check(const Check *check, TrainConfig *t) {
    if (t->epochs != KEY_NULL_SIZE && !given(check, "train.steps")) t->steps = KEY_NULL_SIZE;
    if (t->steps == KEY_NULL_SIZE && t->epochs == KEY_NULL_SIZE)
        breach(check, "train.steps", "train.epochs",
               "neither train.steps nor train.epochs is set; the run needs an end, give one of them");
    t->max_seconds = NAN;
    if (t->max_time && !duration_parse(t->max_time, &t->max_seconds)) {
        t->max_seconds = NAN;
        breach(check, "train.max_time", "train.max_time", "expected 90s, 3h50m or HH:MM:SS, got %s",
               config_quote(check->reader->memory, t->max_time));
    }
}

static const char *data_kind(const Check *check) {
    const char *start;
    const Key *key = key_find(config_section("data")->keys, "kind");
    size_t length = key_choice(key->choices, (size_t)check->config->data.kind, &start);
    return config_copy(check->reader->memory, start, length);
}

static void series_check(const Check *check) {
    const DataSection *d = &check->config->data;
    const char *at = "data.kind", *kind = data_kind(check);
    if (d->kind != DATA_CSV) {
        no_effect(check, d->features.count > 0, "data.features", at, kind, "csv");
        no_effect(check, d->targets.count > 0, "data.targets", at, kind, "csv");
        no_effect(check, d->lookback != KEY_NULL_SIZE, "data.lookback", at, kind, "csv");
        no_effect(check, d->horizon != 1, "data.horizon", at, kind, "csv");
        no_effect(check, d->stride != 1, "data.stride", at, kind, "csv");
        no_effect(check, d->time != NULL, "data.time", at, kind, "csv");
        no_effect(check, d->scaling != SCALING_STANDARD, "data.scaling", at, kind, "csv");
        return;
    }
    no_effect(check, d->tokenizer != TOKENIZER_CHAR, "data.tokenizer", at, kind, "text");
    if (d->features.count == 0)
        breach(check, "data.features", at,
               "missing: csv needs the columns that the model reads, like [temperature, pressure]");
    if (d->targets.count == 0)
        breach(check, "data.targets", at, "missing: csv needs the columns that the model predicts, like [temperature]");
    if (d->lookback == KEY_NULL_SIZE)
        breach(check, "data.lookback", at, "missing: csv needs the rows of one sequence, like lookback: 24");
    if (check->config->loss.kind == 0 && (d->targets.count > 1 || d->horizon > 1))
        breach(
            check, d->targets.count > 1 ? "data.targets" : "data.horizon", "loss.kind",
            "with loss.kind: cross_entropy the target is one column of the next row; for numbers set loss.kind: mse");
}

static void synthetic_check(const Check *check) {
    const DataSection *d = &check->config->data;
    const char *at = "data.kind", *kind = data_kind(check);
    bool synthetic = d->kind == DATA_SYNTHETIC;
    if (!synthetic) {
        no_effect(check, d->task >= 0, "data.task", at, kind, "synthetic");
        no_effect(check, d->sequences != 1000, "data.sequences", at, kind, "synthetic");
        no_effect(check, d->seed != 1, "data.seed", at, kind, "synthetic");
        if (given(check, "data.path") && d->path.count == 0)
            breach(check, "data.path", at, "missing: only the kind synthetic has no file");
        return;
    }
    no_effect(check, d->path.count > 0, "data.path", at, kind, "a kind that reads files");
    no_effect(check, d->validation_path != NULL, "data.validation", at, kind, "a fraction");
    no_effect(check, d->tokenizer != TOKENIZER_CHAR, "data.tokenizer", at, kind, "text");
    if (d->task < 0) breach(check, "data.task", at, "missing: synthetic needs the name of a task, like copy");
}

static void data_check(const Check *check) {
    const Config *c = check->config;
    const bool bpe = c->data.tokenizer == TOKENIZER_BPE;
    no_effect(check, !bpe && c->data.vocab_size != 1024, "data.vocab_size", "data.tokenizer",
              tokenizer_name((TokenizerKind)c->data.tokenizer), "bpe");
    if (bpe && c->data.kind == DATA_PAIRS)
        breach(check, "data.tokenizer", "data.kind", "bpe is for running text; pairs take char, byte or word");
    no_effect(check, c->data.kind == DATA_TOKENS && c->data.tokenizer != TOKENIZER_CHAR, "data.tokenizer", "data.kind",
              "tokens", "text");
    bool even = c->data.kind == DATA_TEXT || c->data.kind == DATA_TOKENS || c->data.kind == DATA_CSV;
    no_effect(check, c->data.bucket && even, "data.bucket", "data.kind", data_kind(check),
              "sequences, pairs or synthetic, whose sequences differ in length");
    bool validates = c->data.validation > 0 || c->data.validation_path;
    if (c->eval.early_stop != KEY_NULL_SIZE && !validates)
        breach(check, "eval.early_stop", "data.validation", "needs validation data; set data.validation, like 0.1");
    if (c->eval.early_stop != KEY_NULL_SIZE && c->eval.every == KEY_NULL_SIZE)
        breach(check, "eval.early_stop", "eval.every", "counts evaluations, but eval.every is null; set it, like 200");
    if (c->loss.kind == 1) {
        no_effect(check, c->loss.label_smoothing != 0, "loss.label_smoothing", "loss.kind", "mse", "cross_entropy");
        no_effect(check, c->loss.ignore_index != INT64_MIN, "loss.ignore_index", "loss.kind", "mse", "cross_entropy");
        if (c->data.kind == DATA_TEXT || c->data.kind == DATA_PAIRS || c->data.kind == DATA_TOKENS)
            breach(check, "loss.kind", "data.kind",
                   "mse needs targets that are numbers, and data of kind %s has classes; use cross_entropy",
                   data_kind(check));
    }
    if (c->log.tensorboard)
        breach(check, "log.tensorboard", "log.tensorboard",
               "this version does not write TensorBoard events; leave it false, metrics.csv has the numbers");
}

/* ---- sparse tables ------------------------------------------------------------------------------------------ */

/* Why a sparse table cannot be trained so, NULL if it can: as in PyTorch, where absent rows must have nothing to do. */
static const char *sparse_refusal(const Check *check, const LayerSpec *layer) {
    const OptimizerConfig *o = &check->config->optimizer;
    const Key *by_freq = key_find(layer->type->keys, "scale_grad_by_freq");
    if (by_freq && *(const bool *)((const char *)layer->config + by_freq->offset))
        return "does not go with scale_grad_by_freq: true; set one of the two to false";
    if (o->name == OPTIMIZER_ADAMW)
        return "does not go with optimizer.name: adamw, which decays all rows; use adam, or sparse: false";
    if (o->weight_decay != 0)
        return "does not go with optimizer.weight_decay, which acts on all rows; set that to 0, or use sparse: false";
    if (o->name == OPTIMIZER_SGD && o->momentum != 0)
        return "does not go with optimizer.momentum, which moves all rows; set that to 0, or use sparse: false";
    return NULL;
}

/* Items of the list and of the groups in it, beside their nodes. */
static void sparse_check(const Check *check, const ModelItem *group, const Node *list, const char *path) {
    for (size_t i = 0; list && list->kind == NODE_LIST && i < group->items; i++) {
        const ModelItem *item = &group->item[i];
        Node *map;
        if (item->broken || !item->name || !layer_item(list->entry[i].value, &map)) continue;
        const char *where = config_text(check->reader->memory, "%s.%s", path, item->name);
        const Entry *inner = node_entry(map, config_group_keys[0].name), *sparse = node_entry(map, "sparse");
        if (item->item) sparse_check(check, item, inner ? inner->value : NULL, where);
        const Key *key = item->layer ? key_find(item->layer->type->keys, "sparse") : NULL;
        if (!key || !sparse || item->layer->frozen || !*(const bool *)((const char *)item->layer->config + key->offset))
            continue;
        const char *why = sparse_refusal(check, item->layer);
        if (why)
            problem_add(check->reader, sparse->value->place,
                        config_text(check->reader->memory, "%s.%s", where, key->name), "%s", why);
    }
}

/* ---- layers that recompute ------------------------------------------------------------------------------ */

/* Offers the full names of all items; true if one of them is `name`, or might be and had a problem itself. */
static bool name_known(const Check *check, const ModelItem *group, const char *prefix, const char *name,
                       Suggestion *suggestion) {
    bool known = false;
    for (size_t i = 0; i < group->items; i++) {
        const ModelItem *item = &group->item[i];
        known |= item->broken;
        if (!item->name) continue;
        const char *full = config_text(check->reader->memory, "%s%s", prefix, item->name);
        known |= strcmp(full, name) == 0;
        suggestion_offer(suggestion, full);
        known |= name_known(check, item, config_text(check->reader->memory, "%s.", full), name, suggestion);
    }
    return known;
}

/* The layer of that name, or all layers of the group. */
static void recompute_mark(Config *config, const char *name) {
    const size_t length = strlen(name);
    for (size_t l = 0; l < config->layers; l++) {
        LayerSpec *layer = &config->layer[l];
        if (layer->name && strncmp(layer->name, name, length) == 0 && strchr(".", layer->name[length]))
            layer->recompute = true;
    }
}

static void recompute_check(const Check *check, Config *config) {
    const StringList *list = &config->train.recompute;
    const Node *node = given(check, "train.recompute");
    const bool alone = list->count == 1 && list->item[0];
    if (alone && strcmp(list->item[0], "none") == 0) return;
    const bool all = alone && strcmp(list->item[0], "all") == 0;
    for (size_t l = 0; l < config->layers && all; l++) config->layer[l].recompute = true;
    for (size_t i = 0; i < list->count && !all; i++) {
        const char *name = list->item[i], *quoted = name ? config_quote(check->reader->memory, name) : NULL;
        if (!name) continue;
        Suggestion suggestion = suggestion_for(name);
        const Place place = node->kind == NODE_LIST ? node->entry[i].value->place : node->place;
        if (strcmp(name, "all") == 0 || strcmp(name, "none") == 0)
            problem_add(check->reader, place, "train.recompute", "%s stands alone, not in a list with names", quoted);
        else if (name_known(check, &config->model, "", name, &suggestion)) recompute_mark(config, name);
        else if (suggestion.best)
            problem_add(check->reader, place, "train.recompute", "there is no layer %s, did you mean '%s'?", quoted,
                        suggestion.best);
        else
            problem_add(check->reader, place, "train.recompute",
                        "there is no layer %s; name layers or groups of the model, or use all or none", quoted);
    }
}

void config_check(Reader *reader, const Node *root, Config *config) {
    Check check = {.reader = reader, .root = root, .config = config};
    train_check(&check, &config->train);
    optimizer_check(&check);
    schedule_check(&check);
    data_check(&check);
    series_check(&check);
    synthetic_check(&check);
    const Entry *model = node_entry(root, "model");
    recompute_check(&check, config);
    if (model) sparse_check(&check, &config->model, model->value, "model");
    if (model) decoder_check(reader, model->value, config);
}
