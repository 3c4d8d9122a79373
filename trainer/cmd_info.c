/* SPDX-License-Identifier: MIT
 *
 * cmd_info.c: lockstep info: what a checkpoint, a data set or a config holds. Checkpoints are verified. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "io/path.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/json.h"
#include "trainer/session.h"
#include "trainer/summary.h"

static size_t elements(const NamedArray *a) {
    size_t n = 1;
    for (size_t i = 0; i < a->rank; i++) n *= a->dim[i];
    return n;
}

static size_t count_parameters(const CheckpointFile *file) {
    size_t n = 0;
    for (size_t i = 0; i < checkpoint_arrays(file); i++)
        if (strncmp(checkpoint_array(file, i)->name, "model/", 6) == 0) n += elements(checkpoint_array(file, i));
    return n;
}

static void digest_text(const uint64_t digest[2], char out[33]) {
    snprintf(out, 33, "%016llx%016llx", (unsigned long long)digest[0], (unsigned long long)digest[1]);
}

static void checkpoint_json(const CheckpointFile *file) {
    const CheckpointMeta *m = checkpoint_meta(file);
    char digest[33];
    digest_text(m->data_digest, digest);
    json_t *o = json_object();
    json_object_set_new(o, "format", json_string("lockstep-checkpoint"));
    json_object_set_new(o, "format_version", json_integer(CHECKPOINT_FORMAT_VERSION));
    json_object_set_new(o, "program_version", json_string(m->program_version));
    json_object_set_new(o, "step", json_integer((json_int_t)m->step));
    json_object_set_new(o, "epoch", json_integer((json_int_t)m->epoch));
    json_object_set_new(o, "seed", json_integer((json_int_t)m->seed));
    json_object_set_new(o, "shards", json_integer((json_int_t)m->shards));
    json_object_set_new(o, "data_digest", json_string(digest));
    json_object_set_new(o, "state_digest", json_string(m->state_digest));
    json_object_set_new(o, "created", json_string(m->created));
    json_object_set_new(o, "optimizer", json_string(m->optimizer));
    json_object_set_new(o, "best_loss", json_number(m->best_loss));
    json_object_set_new(o, "best_step", json_integer((json_int_t)m->best_step));
    json_object_set_new(o, "evaluations_since_best", json_integer((json_int_t)m->evaluations_since_best));
    json_object_set_new(o, "finished", json_boolean(m->finished));
    json_object_set_new(o, "vocabulary_size", json_integer((json_int_t)m->vocabulary_size));
    json_object_set_new(o, "features", json_integer((json_int_t)m->features));
    json_object_set_new(o, "classes", json_integer((json_int_t)m->classes));
    json_object_set_new(o, "parameters", json_integer((json_int_t)count_parameters(file)));
    json_object_set_new(o, "bytes", json_integer((json_int_t)checkpoint_bytes(file)));
    json_object_set_new(o, "verified", json_true());
    json_print(o);
}

static void checkpoint_plain(const char *path, const CheckpointFile *file) {
    const CheckpointMeta *m = checkpoint_meta(file);
    char digest[33], size[32];
    digest_text(m->data_digest, digest);
    printf("%s: Lockstep checkpoint, verified\n", path);
    printf("  step %llu, epoch %llu, seed %llu, %llu shards, %s%s\n", (unsigned long long)m->step,
           (unsigned long long)m->epoch, (unsigned long long)m->seed, (unsigned long long)m->shards, m->optimizer,
           m->finished ? ", end of its run" : "");
    if (isfinite(m->best_loss))
        printf("  best validation loss %.9g at step %llu\n", m->best_loss, (unsigned long long)m->best_step);
    printf("  created %s by version %s\n", m->created, m->program_version);
    printf("  state digest %s\n  data digest  %s\n", m->state_digest, digest);
    printf("  %zu parameters, %s\n", count_parameters(file), bytes_text(checkpoint_bytes(file), size, sizeof size));
    for (size_t i = 0; i < checkpoint_arrays(file); i++) {
        const NamedArray *a = checkpoint_array(file, i);
        if (strncmp(a->name, "model/", 6) != 0) continue;
        printf("    %-40s", a->name + 6);
        for (size_t k = 0; k < a->rank; k++) printf("%s%zu", k ? " x " : " ", a->dim[k]);
        putchar('\n');
    }
}

static Status info_checkpoint(const char *path, bool json) {
    CheckpointFile *file = NULL;
    TRY(checkpoint_open(path, &file));
    if (json) checkpoint_json(file);
    else checkpoint_plain(path, file);
    checkpoint_close(&file);
    return OK;
}

static Status info_data(const char *path, DataKind kind, bool decoder, bool json) {
    const char *paths[] = {path};
    DataConfig config = {
        .kind = kind, .path = paths, .paths = 1, .tokenizer = TOKENIZER_CHAR, .seq_len = 1, .decoder = decoder};
    Data *data = NULL;
    TRY(data_open(&config, &data));
    const DataInfo *info = data_info(data);
    char digest[33];
    digest_text(info->digest, digest);
    const char *target = info->target == TARGET_CLASSES ? "classes" : info->target == TARGET_VALUES ? "values" : "none";
    size_t sequences = data_sequences(data, SPLIT_ALL);
    if (json) {
        json_t *o = json_object();
        json_object_set_new(o, "format",
                            json_string(kind == DATA_TEXT     ? "text"
                                        : kind == DATA_TOKENS ? "tokens"
                                                              : "sequences"));
        json_object_set_new(o, "sequences", json_integer((json_int_t)sequences));
        json_object_set_new(o, "longest", json_integer((json_int_t)info->longest));
        json_object_set_new(o, "ragged", json_boolean(info->ragged));
        json_object_set_new(o, "vocabulary_size", json_integer((json_int_t)info->vocabulary));
        json_object_set_new(o, "features", json_integer((json_int_t)info->features));
        json_object_set_new(o, "context", json_integer((json_int_t)info->context));
        json_object_set_new(o, "targets", json_string(target));
        json_object_set_new(o, "target_per_step", json_boolean(info->target_per_step));
        json_object_set_new(o, "classes", json_integer((json_int_t)info->classes));
        json_object_set_new(o, "target_vocabulary_size", json_integer((json_int_t)info->target_vocabulary));
        json_object_set_new(o, "longest_target", json_integer((json_int_t)info->longest_target));
        json_object_set_new(o, "unigram_entropy", json_number(info->unigram_entropy));
        json_object_set_new(o, "data_digest", json_string(digest));
        json_print(o);
    } else if (kind == DATA_TEXT || kind == DATA_TOKENS) {
        printf("%s: text, %zu %s, %zu different, unigram entropy %.9g nats\n", path, sequences + 1,
               kind == DATA_TEXT ? "characters" : "tokens", info->vocabulary, info->unigram_entropy);
    } else {
        printf("%s: data set of %zu sequences of %s%zu steps\n", path, sequences, info->ragged ? "up to " : "",
               info->longest);
        if (info->ids) printf("  inputs: ids, vocabulary %zu\n", info->vocabulary);
        else printf("  inputs: %zu features\n", info->features);
        if (info->context) printf("  context: %zu numbers per sequence\n", info->context);
        if (info->target_vocabulary)
            printf("  targets: sequences of their own, up to %zu steps with the end, vocabulary %zu\n",
                   info->longest_target, info->target_vocabulary);
        else printf("  targets: %s per %s, %zu\n", target, info->target_per_step ? "step" : "sequence", info->classes);
        printf("  data digest %s\n", digest);
    }
    data_close(&data);
    return OK;
}

static Status info_config(const char *path, bool json) {
    Config *config = NULL;
    TRY(config_load(path, NULL, 0, &config));
    char *text = config_print(config, false);
    Status status = text ? OK : status_fail(ERR_INTERNAL, "%s: could not be printed", path);
    if (text && json) {
        json_t *o = json_object(), *layers = json_array();
        for (size_t i = 0; i < config->layers; i++) {
            json_t *layer = json_object();
            json_object_set_new(layer, "name", json_string(config->layer[i].name));
            json_object_set_new(layer, "kind", json_string(config->layer[i].type->kind));
            json_array_append_new(layers, layer);
        }
        json_object_set_new(o, "format", json_string("config"));
        json_object_set_new(o, "layers", layers);
        json_object_set_new(o, "effective", json_string(text));
        json_print(o);
    } else if (text) {
        printf("%s: config, all keys with their values:\n%s", path, text);
    }
    free(text);
    config_destroy(&config);
    return status;
}

Status command_info(Comm *comm, int argc, char **argv) {
    (void)comm;
    bool json = false;
    const Option table[] = {{"json", OPTION_FLAG, &json}, {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("info", argc, argv, table, &rest, &count));
    if (count != 1)
        return status_fail(ERR_USAGE, "info takes one FILE (command line), not %zu; usage: lockstep info FILE [--json]",
                           count);
    const char *path = rest[0];
    if (path_ends(path, ".yaml") || path_ends(path, ".yml")) return info_config(path, json);
    struct stat facts;
    if (!path_is_hdf5(path)) {
        if (stat(path, &facts) != 0)
            return status_fail(ERR_DATA, "%s: %s; give a checkpoint, a data set or a config", path, strerror(errno));
        return info_data(path, DATA_TEXT, false, json);
    }
    H5Kind kind;
    TRY(checkpoint_sniff(path, &kind));
    if (kind == H5_CHECKPOINT) return info_checkpoint(path, json);
    if (kind == H5_DATA || kind == H5_DECODER_DATA)
        return info_data(path, DATA_SEQUENCES, kind == H5_DECODER_DATA, json);
    if (kind == H5_TOKENS) return info_data(path, DATA_TOKENS, false, json);
    return status_fail(
        ERR_CHECKPOINT,
        "%s: HDF5, but neither a checkpoint of Lockstep's nor a data set with /inputs or /tokens; h5ls -r shows what "
        "it holds",
        path);
}
