/* SPDX-License-Identifier: MIT
 *
 * cmd_prepare.c: lockstep prepare: pairs, series and synthetic tasks as HDF5 that data.kind: sequences reads,
 * text as HDF5 that data.kind: tokens reads. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "io/path.h"
#include "io/sequences_write.h"
#include "io/synthetic.h"
#include "io/tokens_write.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/config.h"

typedef struct Preparation {
    const char *out, *task, *kind, *tokenizer, *features, *targets, *scaling;
    size_t sequences, seed, lookback, horizon, stride, vocab_size;
    bool classes, decoder;
    char *lists; /* copy of features and targets, cut at the commas */
    const char *feature[256], *target[256];
} Preparation;

static Status choose(const char *option, const char *text, const char *const *choice, int *out) {
    for (int i = 0; choice[i]; i++) {
        *out = i;
        if (strcmp(choice[i], text) == 0) return OK;
    }
    return status_fail(ERR_USAGE, "--%s %s (command line): unknown; see `lockstep prepare --help`", option, text);
}

/* ---- what the options say ----------------------------------------------------------------------------- */

static Status set_synthetic(const Preparation *p, size_t inputs, DataConfig *config) {
    int task = synthetic_task(p->task);
    if (task < 0)
        return status_fail(
            ERR_USAGE, "--synthetic %s (command line): no such task; `lockstep prepare --help` lists them", p->task);
    if (inputs > 0)
        return status_fail(ERR_USAGE, "--synthetic (command line): makes its data itself, leave out the input files");
    if (p->sequences == 0) return status_fail(ERR_USAGE, "--sequences 0 (command line): at least one");
    config->kind = DATA_SYNTHETIC;
    config->decoder = synthetic_tasks[task].alphabet != NULL;
    config->synthetic = (SyntheticConfig){.task = task, .sequences = p->sequences, .seed = p->seed};
    return OK;
}

/* "a,b" into its parts, in place. */
static size_t split(char *text, const char **part, size_t most) {
    size_t count = 0;
    for (char *next = text; next && count < most; count++) {
        part[count] = next;
        next = strchr(next, ',');
        if (next) *next++ = '\0';
    }
    return count;
}

static Status set_series(Preparation *p, DataConfig *config) {
    static const char *const scalings[] = {"standard", "minmax", "none", NULL};
    SeriesConfig *s = &config->series;
    int scaling;
    if (!p->features || !p->targets || p->lookback == 0)
        return status_fail(
            ERR_USAGE, "--features, --targets and --lookback (command line): a series needs all of them; see `lockstep "
                       "prepare --help`");
    if (p->horizon == 0 || p->stride == 0)
        return status_fail(ERR_USAGE, "--horizon and --stride (command line): at least 1");
    TRY(choose("scaling", p->scaling, scalings, &scaling));
    size_t room = strlen(p->features) + strlen(p->targets) + 2;
    p->lists = malloc(room);
    if (!p->lists) return status_fail(ERR_USAGE, "memory: no room for names; free some");
    char *targets = p->lists + strlen(p->features) + 1;
    strcpy(p->lists, p->features);
    strcpy(targets, p->targets);
    *s = (SeriesConfig){.feature = p->feature,
                        .target = p->target,
                        .lookback = p->lookback,
                        .horizon = p->horizon,
                        .stride = p->stride,
                        .scaling = (ScalingKind)scaling,
                        .classes = p->classes};
    s->features = split(p->lists, p->feature, sizeof p->feature / sizeof *p->feature);
    s->targets = split(targets, p->target, sizeof p->target / sizeof *p->target);
    return OK;
}

static const char *guess_kind(const char *path) {
    return path_ends(path, ".csv") ? "csv" : path_ends(path, ".tsv") ? "pairs" : "text";
}

static Status set_files(Preparation *p, char **input, size_t inputs, DataConfig *config) {
    static const char *const kinds[] = {"pairs", "csv", "text", NULL}, *const tokenizers[] = {"byte", "char", "word",
                                                                                              "bpe", NULL};
    int kind, tokenizer;
    if (inputs == 0)
        return status_fail(ERR_USAGE, "INPUT missing (command line); name a file, or a task with --synthetic");
    config->path = (const char *const *)input;
    config->paths = inputs;
    TRY(choose("kind", p->kind ? p->kind : guess_kind(input[0]), kinds, &kind));
    TRY(choose("tokenizer", p->tokenizer, tokenizers, &tokenizer));
    config->kind = kind == 0 ? DATA_PAIRS : kind == 1 ? DATA_CSV : DATA_TEXT;
    config->seq_len = 1; /* any length will do: text is written uncut */
    config->tokenizer = (TokenizerKind)tokenizer;
    config->vocab_size = p->vocab_size;
    config->decoder = p->decoder;
    if (p->decoder && config->kind != DATA_PAIRS)
        return status_fail(ERR_USAGE, "--decoder (command line): only pairs have targets of lengths of their own");
    return config->kind == DATA_CSV ? set_series(p, config) : OK;
}

/* ---- the command ------------------------------------------------------------------------------------------ */

static Status write_sequences(const Data *data, const char *out) {
    const DataInfo *info = data_info(data);
    TRY(sequences_write(out, data));
    log_info("%s: %zu sequences of %s%zu steps; read it with data: {kind: sequences, path: %s}", out,
             data_sequences(data, SPLIT_ALL), info->ragged ? "up to " : "", info->longest, out);
    return OK;
}

static Status write_tokens(const Data *data, const char *out) {
    size_t count;
    TRY(tokens_write(out, data, &count));
    log_info("%s: %zu tokens, vocabulary %zu; read it with data: {kind: tokens, path: %s}", out, count,
             data_info(data)->vocabulary, out);
    return OK;
}

static Status prepare(const DataConfig *config, const char *out) {
    Data *data = NULL;
    TRY(data_open(config, &data));
    Status status = config->kind == DATA_TEXT ? write_tokens(data, out) : write_sequences(data, out);
    data_close(&data);
    return status;
}

Status command_prepare(Comm *comm, int argc, char **argv) {
    (void)comm;
    Preparation p = {.sequences = 1000,
                     .seed = 1,
                     .horizon = 1,
                     .stride = 1,
                     .vocab_size = 1024,
                     .tokenizer = "char",
                     .scaling = "none"};
    const Option table[] = {{"o", OPTION_TEXT, &p.out},
                            {"synthetic", OPTION_TEXT, &p.task},
                            {"sequences", OPTION_SIZE, &p.sequences},
                            {"seed", OPTION_SIZE, &p.seed},
                            {"kind", OPTION_TEXT, &p.kind},
                            {"tokenizer", OPTION_TEXT, &p.tokenizer},
                            {"vocab-size", OPTION_SIZE, &p.vocab_size},
                            {"features", OPTION_TEXT, &p.features},
                            {"targets", OPTION_TEXT, &p.targets},
                            {"lookback", OPTION_SIZE, &p.lookback},
                            {"horizon", OPTION_SIZE, &p.horizon},
                            {"stride", OPTION_SIZE, &p.stride},
                            {"scaling", OPTION_TEXT, &p.scaling},
                            {"classes", OPTION_FLAG, &p.classes},
                            {"decoder", OPTION_FLAG, &p.decoder},
                            {0}};
    char **rest;
    size_t count;
    DataConfig config = {0};
    TRY(arguments_parse("prepare", argc, argv, table, &rest, &count));
    if (!p.out || !path_is_hdf5(p.out))
        return status_fail(ERR_USAGE, "-o OUT.h5 (command line): %s; name the file to write, ending in .h5",
                           p.out ? p.out : "missing");
    Status status = p.task ? set_synthetic(&p, count, &config) : set_files(&p, rest, count, &config);
    if (status == OK) status = prepare(&config, p.out);
    free(p.lists);
    return status;
}
