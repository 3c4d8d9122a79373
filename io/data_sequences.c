/* SPDX-License-Identifier: MIT
 *
 * data_sequences.c: sequences in an HDF5 file, as h5py or any other program writes them:
 *
 *   inputs    [N, T] integers: ids; [N, T, F] numbers: features
 *   targets   integers [N, T] or [N]: classes, -100 counts as none where loss.ignore_index says so;
 *             floats [N, K] or [N] (K = 1), [N, T, K]: values; absent: prediction only
 *   lengths   [N] integers, optional: sequence s ends after lengths[s] steps, what follows is not looked at
 *   target_lengths   [N] integers, optional, for a decoder: the same of targets [N, T'], whose T' is its own
 *   context   [N, C] numbers, optional: of each sequence as a whole
 *   /vocabulary            optional text of the ids; its size is the size of the vocabulary
 *   num_embeddings         attribute of inputs or the file: that size where there is no /vocabulary
 *   num_classes            attribute of targets or the file
 *   /target_vocabulary     for a decoder: text of the targets; the end symbol is in neither of them
 *
 * Without these the sizes are the largest number plus one. Only the steps that count are kept. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/apart.h"
#include "io/data_parcel.h"
#include "io/h5.h"
#include "io/h5_field.h"
#include "io/h5_vocabulary.h"
#include "io/load.h"
#include "io/vocabulary_codes.h"

/* One open file. */
typedef struct Source {
    const char *path;
    hid_t file;
    Field inputs, targets, lengths, target_lengths, context;
    bool decoder;
    bool ids, per_step;
    TargetKind target;
    size_t features, columns;
    int64_t num_classes, num_embeddings; /* attributes, 0: none */
    Vocabulary *vocabulary, *target_vocabulary;
    int64_t most_id, most_class; /* -1: none */
} Source;

/* ---- layout ------------------------------------------------------------------------------------------ */

static Status check_inputs(Source *source) {
    const Field *inputs = &source->inputs;
    if (inputs->set < 0)
        return status_fail(ERR_DATA, "%s: has no data set inputs; kind sequences needs inputs [N, T] or [N, T, F]",
                           source->path);
    source->ids = inputs->rank == 2 && inputs->integers;
    source->features = inputs->rank == 3 ? inputs->dim[2] : 0;
    if (source->ids || inputs->rank == 3) return OK;
    return status_fail(ERR_DATA,
                       "%s: data set inputs: has %zu dimensions of %s; ids are integers [N, T], features [N, T, F]",
                       source->path, inputs->rank, inputs->integers ? "integers" : "floats");
}

static Status check_targets(Source *source) {
    const Field *inputs = &source->inputs, *targets = &source->targets;
    if (targets->set < 0) return OK;
    if (targets->dim[0] != inputs->dim[0])
        return status_fail(ERR_DATA, "%s: data set targets: has %zu sequences and inputs %zu", source->path,
                           targets->dim[0], inputs->dim[0]);
    source->target = targets->integers ? TARGET_CLASSES : TARGET_VALUES;
    source->per_step = targets->rank == (targets->integers ? 2u : 3u);
    source->columns = targets->integers || targets->rank == 1 ? 1 : targets->dim[targets->rank - 1];
    if (targets->integers && targets->rank == 3)
        return status_fail(ERR_DATA, "%s: data set targets: has 3 dimensions of integers; classes are [N, T] or [N]",
                           source->path);
    if (source->decoder && (!targets->integers || targets->rank != 2))
        return status_fail(ERR_DATA,
                           "%s: data set targets: has %zu dimensions of %s; a model with a decoder learns symbols: "
                           "integers [N, T]",
                           source->path, targets->rank, targets->integers ? "integers" : "floats");
    if (source->per_step && targets->dim[1] != inputs->dim[1] && !source->decoder)
        return status_fail(ERR_DATA, "%s: data set targets: has %zu steps and inputs %zu; %s", source->path,
                           targets->dim[1], inputs->dim[1],
                           targets->integers ? "classes are [N, T] or [N]; other lengths than those of the inputs need "
                                               "a model with an encoder and a decoder"
                                             : "values per step are [N, T, K]");
    return OK;
}

static Status check_lengths(const Source *source, const Field *lengths) {
    if (lengths->set < 0) return OK;
    if (lengths->integers && lengths->rank == 1 && lengths->dim[0] == source->inputs.dim[0]) return OK;
    return status_fail(ERR_DATA, "%s: data set %s: must be one integer for each of the %zu sequences", source->path,
                       lengths->name, source->inputs.dim[0]);
}

static Status check_context(const Source *source) {
    const Field *context = &source->context;
    if (context->set < 0) return OK;
    if (context->rank == 2 && context->dim[0] == source->inputs.dim[0]) return OK;
    return status_fail(
        ERR_DATA,
        "%s: data set context: has %zu dimensions, the first of %zu; it must be [N, C], a row of numbers "
        "for each of the %zu sequences of inputs",
        source->path, context->rank, context->dim[0], source->inputs.dim[0]);
}

static Status refuse(const Source *source, const char *name, const char *why) {
    if (H5Lexists(source->file, name, H5P_DEFAULT) <= 0) return OK;
    return status_fail(ERR_DATA, "%s: data set %s: %s; remove it or rename it", source->path, name, why);
}

/* The attribute of the data set or, if it has none, of the file; 0 without. */
static Status size_attribute(const Source *source, const Field *field, const char *name, int64_t *out) {
    hid_t holder[] = {field->set, source->file};
    *out = 0;
    for (size_t i = 0; i < 2; i++) {
        if (holder[i] < 0 || H5Aexists(holder[i], name) <= 0) continue;
        if (h5_get_integer(holder[i], name, out) && *out >= 1 && *out <= INT32_MAX) return OK;
        return status_fail(ERR_DATA, "%s: attribute %s: must be one integer from 1 to %d", source->path, name,
                           INT32_MAX);
    }
    return OK;
}

/* ---- vocabulary -------------------------------------------------------------------------------------- */

static Status check_same_vocabulary(const Source *source, const char *name, const Vocabulary *own,
                                    const Vocabulary *expected, const char *whose) {
    if (!own || !expected || !expected->token) return OK;
    size_t common = own->size < expected->size ? own->size : expected->size;
    for (size_t i = 0; i < common; i++) {
        if (strcmp(own->token[i], expected->token[i]) != 0)
            return status_fail(ERR_DATA, "%s: data set %s: id %zu is '%s' here and '%s' in %s", source->path, name, i,
                               own->token[i], expected->token[i], whose);
    }
    if (own->size <= expected->size) return OK;
    return status_fail(ERR_DATA, "%s: data set %s: has %zu tokens and that of %s %zu", source->path, name, own->size,
                       whose, expected->size);
}

/* ---- one file ---------------------------------------------------------------------------------------- */

static Status source_open(const DataConfig *config, const char *path, Source *source) {
    source->path = path;
    source->decoder = config->decoder;
    apart_progress(path, 0);
    TRY(load_check(path, NULL));
    source->file = h5_open_read(path);
    if (source->file < 0)
        return h5_fail(ERR_DATA, "%s: cannot be opened as HDF5, which data.kind: sequences reads", path);
    if (!source->decoder)
        TRY(refuse(
            source, "target_lengths",
            "is not supported without a decoder: targets go with the steps of inputs; lengths of their own need a "
            "model with an encoder and a decoder"));
    TRY(field_open(source->file, path, "inputs", &source->inputs));
    TRY(check_inputs(source));
    if (!config->inputs_only) TRY(field_open(source->file, path, "targets", &source->targets));
    TRY(check_targets(source));
    TRY(field_open(source->file, path, "lengths", &source->lengths));
    TRY(field_open(source->file, path, "target_lengths", &source->target_lengths));
    TRY(check_lengths(source, &source->lengths));
    TRY(check_lengths(source, &source->target_lengths));
    TRY(field_open(source->file, path, "context", &source->context));
    TRY(check_context(source));
    if (source->decoder) TRY(h5_vocabulary_read(source->file, path, "target_vocabulary", &source->target_vocabulary));
    TRY(size_attribute(source, &source->inputs, "num_embeddings", &source->num_embeddings));
    TRY(size_attribute(source, &source->targets, "num_classes", &source->num_classes));
    return source->ids ? h5_vocabulary_read(source->file, path, "vocabulary", &source->vocabulary) : OK;
}

/* Offsets of sequences whose lengths are in `lengths`, or are all `steps` where there is none. */
static Status read_offsets(const Source *source, const Field *lengths, size_t sequences, size_t steps, const char *what,
                           size_t **out) {
    int64_t *length = NULL;
    if (lengths->set >= 0) TRY(field_all(lengths, &length));
    size_t *offset = NULL;
    Status status = cells_allocate(sequences + 1, sizeof *offset, what, (void **)&offset);
    *out = offset;
    if (status == OK) offset[0] = 0;
    for (size_t i = 0; i < sequences && status == OK; i++) {
        if (length && (length[i] < 1 || (uint64_t)length[i] > steps))
            status = status_fail(ERR_DATA, "%s: %s[%zu] is %lld: must be from 1 to the %zu steps of %s", source->path,
                                 lengths->name, i, (long long)length[i], steps, what);
        else if (__builtin_add_overflow(offset[i], length ? (size_t)length[i] : steps, &offset[i + 1]))
            status = status_fail(ERR_USAGE, "%s: %s: the sum of lengths overflows", source->path, what);
    }
    free(length);
    return status;
}

static Status read_lengths(const Source *source, Store *store) {
    store->sequences = source->inputs.dim[0];
    store->stride = source->inputs.dim[1];
    if (source->lengths.set >= 0)
        TRY(read_offsets(source, &source->lengths, store->sequences, store->stride, "inputs", &store->offset));
    if (!source->decoder || source->targets.set < 0) return OK;
    return read_offsets(source, &source->target_lengths, store->sequences, source->targets.dim[1], "targets",
                        &store->target_offset);
}

static FieldRange id_range(const DataConfig *config, const Source *source) {
    if (config->vocabulary)
        return (FieldRange){(int64_t)config->vocabulary->size, false, ", the size of the model's vocabulary"};
    if (source->vocabulary)
        return (FieldRange){(int64_t)source->vocabulary->size, false, ", the size of data set vocabulary"};
    if (source->num_embeddings) return (FieldRange){source->num_embeddings, false, ", attribute num_embeddings"};
    return (FieldRange){INT32_MAX, false, ""};
}

/* Of the symbols that a decoder learns: it reads them too, so that none of them can be ignored. */
static FieldRange symbol_range(const DataConfig *config, const Source *source) {
    if (config->num_classes)
        return (FieldRange){(int64_t)config->num_classes - 1, false, ", the symbols that the model writes"};
    if (source->target_vocabulary)
        return (FieldRange){(int64_t)source->target_vocabulary->size, false,
                            ", the size of data set target_vocabulary"};
    if (source->num_classes) return (FieldRange){source->num_classes, false, ", attribute num_classes"};
    return (FieldRange){INT32_MAX, false, ""};
}

static FieldRange class_range(const DataConfig *config, const Source *source) {
    if (source->decoder) return symbol_range(config, source);
    if (config->num_classes && config->num_classes < INT32_MAX)
        return (FieldRange){(int64_t)config->num_classes, true, ", the number of the model's classes"};
    if (source->num_classes) return (FieldRange){source->num_classes, true, ", attribute num_classes"};
    return (FieldRange){INT32_MAX, true, ""};
}

static Status read_store(const DataConfig *config, Source *source, Store *store) {
    TRY(read_lengths(source, store));
    size_t steps = source->inputs.dim[1], rows = source->per_step ? steps : 1;
    const size_t *offset = store->offset, *target_offset = source->per_step ? offset : NULL;
    if (store->target_offset) {
        rows = source->targets.dim[1];
        target_offset = store->target_offset;
    }
    if (source->ids)
        TRY(field_integers(&source->inputs, steps, offset, id_range(config, source), &store->input, &source->most_id));
    else TRY(field_floats(&source->inputs, steps, offset, &store->input));
    if (source->target == TARGET_CLASSES)
        TRY(field_integers(&source->targets, rows, target_offset, class_range(config, source), &store->target,
                           &source->most_class));
    if (source->target == TARGET_VALUES) TRY(field_floats(&source->targets, rows, target_offset, &store->target));
    if (source->context.set >= 0) TRY(field_floats(&source->context, 1, NULL, &store->context));
    store_even_out(store);
    return OK;
}

static size_t context_of(const Source *source) {
    return source->context.set < 0 ? 0 : source->context.dim[1];
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static Status check_same_layout(const Source *train, const Source *validation) {
    const char *differs = train->ids != validation->ids             ? "inputs"
                          : train->features != validation->features ? "features"
                          : train->target != validation->target || train->per_step != validation->per_step ||
                                  train->columns != validation->columns
                              ? "targets"
                          : context_of(train) != context_of(validation) ? "context"
                                                                        : NULL;
    if (differs)
        return status_fail(ERR_DATA,
                           "%s: %s have another form than in %s; data.validation needs a file of the same layout",
                           validation->path, differs, train->path);
    TRY(check_same_vocabulary(validation, "vocabulary", validation->vocabulary, train->vocabulary, train->path));
    return check_same_vocabulary(validation, "target_vocabulary", validation->target_vocabulary,
                                 train->target_vocabulary, train->path);
}

static size_t larger(int64_t a, int64_t b) {
    return (size_t)(a > b ? a : b);
}

static Status describe_symbols(const DataConfig *config, const Source source[DATA_STORES], Data *data) {
    const Vocabulary *vocabulary = config->target_vocabulary ? config->target_vocabulary : source->target_vocabulary;
    size_t symbols = larger(source[0].most_class + 1, source[1].most_class + 1);
    if (source->num_classes) symbols = larger((int64_t)symbols, source->num_classes);
    if (vocabulary) symbols = vocabulary->size;
    if (config->num_classes) symbols = config->num_classes - 1;
    if (symbols == 0)
        return status_fail(ERR_DATA, "%s: has no data set targets, which a model with a decoder learns", source->path);
    TRY(data_describe_decoder(config, source->path, symbols, data));
    return vocabulary ? vocabulary_copy(vocabulary, &data->target_vocabulary) : OK;
}

static Status describe(const DataConfig *config, const Source source[DATA_STORES], Data *data) {
    DataInfo *info = &data->info;
    info->ids = source->ids;
    info->features = source->features;
    info->context = context_of(source);
    info->target = source->target;
    info->target_per_step = source->per_step;
    info->classes = source->target == TARGET_VALUES ? source->columns : 0;
    if (source->decoder) {
        TRY(describe_symbols(config, source, data));
    } else if (source->target == TARGET_CLASSES) {
        size_t found = larger(source[0].most_class + 1, source[1].most_class + 1);
        if (source[0].num_classes) found = larger((int64_t)found, source[0].num_classes);
        if (found == 0 && config->num_classes == 0)
            return status_fail(ERR_DATA, "%s: data set targets: holds no class, only -100", source->path);
        /* The model's classes are enough if they hold all that occur: the file may know of more. */
        info->classes = config->num_classes ? config->num_classes : found;
    }
    if (source->ids) {
        const Vocabulary *vocabulary = config->vocabulary ? config->vocabulary : source->vocabulary;
        size_t found = larger(source[0].most_id + 1, source[1].most_id + 1);
        info->vocabulary = vocabulary ? vocabulary->size : larger((int64_t)found, source->num_embeddings);
        if (vocabulary) TRY(vocabulary_copy(vocabulary, &data->vocabulary));
    }
    return OK;
}

static Status open_sources(const DataConfig *config, Source source[DATA_STORES], Data *data) {
    const char *path[DATA_STORES] = {config->path[0], config->validation_path};
    data->stores = config->validation_path ? 2 : 1;
    for (size_t i = 0; i < data->stores; i++) {
        TRY(source_open(config, path[i], &source[i]));
        if (i > 0) TRY(check_same_layout(&source[0], &source[i]));
        TRY(check_same_vocabulary(&source[i], "vocabulary", source[i].vocabulary, config->vocabulary, "the model"));
        TRY(check_same_vocabulary(&source[i], "target_vocabulary", source[i].target_vocabulary,
                                  config->target_vocabulary, "the model"));
        if (i > 0 && source[0].num_classes) source[i].num_classes = source[0].num_classes;
        if (i > 0 && source[0].num_embeddings) source[i].num_embeddings = source[0].num_embeddings;
        if (i > 0 && source[0].vocabulary && !source[i].vocabulary)
            TRY(vocabulary_copy(source[0].vocabulary, &source[i].vocabulary));
        if (i > 0 && source[0].target_vocabulary && !source[i].target_vocabulary)
            TRY(vocabulary_copy(source[0].target_vocabulary, &source[i].target_vocabulary));
        TRY(read_store(config, &source[i], &data->store[i]));
    }
    return describe(config, source, data);
}

typedef struct Reading {
    const DataConfig *config;
    Data *data;
} Reading;

/* In a process of its own, which closes what it opened by ending: libhdf5 may be in no state to. */
static Status read_apart(void *context, int result) {
    Reading *reading = context;
    const Field none = {.set = H5I_INVALID_HID};
    Source source[DATA_STORES];
    for (size_t i = 0; i < DATA_STORES; i++)
        source[i] = (Source){.file = H5I_INVALID_HID,
                             .inputs = none,
                             .targets = none,
                             .lengths = none,
                             .target_lengths = none,
                             .context = none,
                             .most_id = -1,
                             .most_class = -1};
    TRY(open_sources(reading->config, source, reading->data));
    return parcel_send(reading->data, result);
}

Status data_open_sequences(const DataConfig *config, Data *data) {
    TRY(data_one_path(config, "sequences"));
    Reading reading = {config, data};
    int result;
    h5_lock(); /* so that no writer is inside libhdf5 when the process is copied */
    Status status = apart_run(read_apart, &reading, &result);
    h5_unlock();
    TRY(status);
    status = parcel_receive(result, config->path[0], data);
    close(result);
    TRY(status);
    return data_split_sequences(config, config->path[0], data);
}
