/* SPDX-License-Identifier: MIT
 *
 * cmd_eval.c: lockstep eval. */
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "comm/log.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/evaluate.h"
#include "trainer/json.h"
#include "trainer/restore.h"
#include "trainer/session.h"

static const char *const split_name[] = {"train", "validation", "all"};

static Status pick_split(const char *text, const Data *data, bool other_data, Split *out) {
    *out = data_sequences(data, SPLIT_VALIDATION) == 0 || other_data ? SPLIT_ALL : SPLIT_VALIDATION;
    if (!text) return OK;
    for (size_t i = 0; i < 3; i++) {
        if (strcmp(text, split_name[i]) != 0) continue;
        *out = (Split)i;
        if (data_sequences(data, *out) == 0)
            return status_fail(ERR_USAGE,
                               "--split %s: the data has no such split; set data.validation or use --split all", text);
        return OK;
    }
    return status_fail(ERR_USAGE, "--split %s (command line): not train, validation or all", text);
}

static void print_json(const Scores *s, Split split, uint64_t step) {
    json_t *o = json_object();
    json_object_set_new(o, "loss", json_number(s->loss));
    json_object_set_new(o, "perplexity", json_number(s->perplexity));
    json_object_set_new(o, "accuracy", json_number(s->accuracy));
    json_object_set_new(o, "rmse", json_number(s->rmse));
    json_object_set_new(o, "mae", json_number(s->mae));
    json_object_set_new(o, "sequences", json_integer((json_int_t)s->sequences));
    json_object_set_new(o, "targets", json_integer((json_int_t)s->targets));
    json_object_set_new(o, "split", json_string(split_name[split]));
    json_object_set_new(o, "step", json_integer((json_int_t)step));
    json_print(o);
}

static void print_plain(const Scores *s, Split split, uint64_t step) {
    printf("step %llu, %s split: %.0f sequences, %.0f targets\n", (unsigned long long)step, split_name[split],
           s->sequences, s->targets);
    printf("loss        %.9g\n", s->loss);
    if (!isnan(s->perplexity)) printf("perplexity  %.9g\n", s->perplexity);
    if (!isnan(s->accuracy)) printf("accuracy    %.9g\n", s->accuracy);
    if (!isnan(s->rmse)) printf("rmse        %.9g\n", s->rmse);
    if (!isnan(s->mae)) printf("mae         %.9g\n", s->mae);
}

static Status measure(Comm *comm, const Restored *r, const Data *data, Split split, bool json) {
    Engine *engine = NULL;
    /* The run's own shards, so that a score has the bits of the run's evaluation; more ranks than those need more. */
    size_t shards = (size_t)r->shards;
    EngineUse use = {.info = data_info(data),
                     .shards = shards < comm_size(comm) ? comm_size(comm) : shards,
                     .batch_size = r->config->train.batch_size,
                     .max_length = data_info(data)->longest,
                     .max_target_length = data_info(data)->longest_target};
    TRY(engine_create(comm, r->config, &use, &engine));
    Status status = engine_load(engine, r->file);
    if (status != OK) status = status_context(status, "%s", r->path);
    Scores scores = {0};
    if (status == OK) status = evaluate_split(engine, data, split, &scores);
    if (status == OK && comm_rank(comm) == 0) (json ? print_json : print_plain)(&scores, split, r->step);
    engine_destroy(&engine);
    return status;
}

static bool overrides_path(char **override, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strncmp(override[i], "data.path=", 10) == 0) return true;
    return false;
}

Status command_eval(Comm *comm, int argc, char **argv) {
    const char *split_text = NULL;
    bool json = false;
    const Option table[] = {{"split", OPTION_TEXT, &split_text}, {"json", OPTION_FLAG, &json}, {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("eval", argc, argv, table, &rest, &count));
    TRY(arguments_file_and_overrides("eval", rest, count, "CHECKPOINT"));
    if (json) log_level(LOG_WARN);
    Restored restored;
    Data *data = NULL;
    Split split = SPLIT_ALL;
    Status status = restore_open(comm, rest[0], (const char *const *)rest + 1, count - 1, &restored);
    if (status == OK) {
        DataKnown known = restore_known(&restored);
        status = session_open_data(restored.config, &known, &data);
        if (status == OK) status = pick_split(split_text, data, overrides_path(rest + 1, count - 1), &split);
        status = comm_agree(comm, status);
    }
    if (status == OK) status = measure(comm, &restored, data, split, json);
    if (data) data_close(&data);
    restore_close(&restored);
    return status;
}
