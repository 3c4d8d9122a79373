/* SPDX-License-Identifier: MIT
 *
 * data_pairs.c: lines "input TAB target", one token of the target for each token of the input or, for a
 * decoder, any number of them. The two sides have vocabularies of their own, over the validation file too.
 * Every file is walked twice: once to check, count and collect, once to encode. */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "io/data_parts.h"
#include "io/load.h"
#include "io/vocabulary_codes.h"
#include "io/words.h"

/* [start, end) of both sides in the text; `number` is the line's. */
typedef struct Line {
    size_t input, input_end, target, target_end, number;
} Line;

typedef struct Cursor {
    const char *path;
    FileBytes file;
    size_t at, number;
    bool inputs_only; /* lines may end before the TAB; targets are read as empty */
    bool decoder;
} Cursor;

static void rewind_cursor(Cursor *cursor) {
    cursor->at = utf8_mark(cursor->file.data, cursor->file.bytes);
    cursor->number = 0;
}

static Status fail_at(const Cursor *cursor, size_t offset, const char *what) {
    TextPlace place = text_place(cursor->file.data, offset);
    return status_fail(ERR_DATA, "%s:%zu:%zu: %s; a line is: input TAB target", cursor->path, place.line, place.column,
                       what);
}

/* For a decoder whose targets need not be there: the first line says whether they are, in all lines. */
static bool has_targets(Cursor *cursor) {
    const char *text = cursor->file.data + cursor->at, *end = cursor->file.data + cursor->file.bytes;
    while (text < end && (*text == '\n' || *text == '\r')) text++;
    const char *feed = memchr(text, '\n', (size_t)(end - text));
    return memchr(text, '\t', (size_t)((feed ? feed : end) - text)) != NULL;
}

/* The next line that is not empty; *found is false behind the last one. */
static Status next_line(Cursor *cursor, Line *line, bool *found) {
    const char *text = cursor->file.data;
    size_t start, end;
    do {
        *found = cursor->at < cursor->file.bytes;
        if (!*found) return OK;
        start = cursor->at;
        const char *feed = memchr(text + start, '\n', cursor->file.bytes - start);
        end = feed ? (size_t)(feed - text) : cursor->file.bytes;
        cursor->at = end + (feed ? 1 : 0);
        cursor->number++;
        if (end > start && text[end - 1] == '\r') end--;
    } while (end == start);
    const char *tab = memchr(text + start, '\t', end - start);
    if (cursor->inputs_only) {
        if (tab && cursor->decoder)
            return fail_at(cursor, (size_t)(tab - text),
                           "a TAB, and the lines above have none; give all targets or none");
        *line = (Line){start, tab ? (size_t)(tab - text) : end, end, end, cursor->number};
        return line->input_end == start ? fail_at(cursor, start, "the input is empty") : OK;
    }
    if (!tab) return fail_at(cursor, end, "no TAB in this line");
    size_t split = (size_t)(tab - text);
    const char *second = memchr(tab + 1, '\t', end - split - 1);
    if (second) return fail_at(cursor, (size_t)(second - text), "a second TAB in this line");
    if (split == start) return fail_at(cursor, start, "the input is empty");
    *line = (Line){start, split, split + 1, end, cursor->number};
    return OK;
}

/* ---- check, count, collect --------------------------------------------------------------------------- */

/* What occurs on one side: code points or words. */
typedef struct Found {
    CodeSet *codes;
    Strings words;
} Found;

static Status count_side(const Cursor *cursor, TokenizerKind tokenizer, size_t start, size_t end, Found *found,
                         size_t *count) {
    *count = 0;
    if (tokenizer == TOKENIZER_WORD)
        return words_collect(&found->words, cursor->path, cursor->file.data, start, end, count);
    if (tokenizer == TOKENIZER_BYTE) *count = end - start;
    for (size_t at = start; tokenizer == TOKENIZER_CHAR && at < end; ++*count) {
        int32_t code = utf8_next(cursor->file.data, end, &at);
        if (code < 0) return utf8_fail(cursor->path, cursor->file.data, at);
        codes_add(found->codes, code);
    }
    return OK;
}

typedef struct Counts {
    size_t lines, tokens[2]; /* inputs, targets */
} Counts;

static Status collect(Cursor *cursor, TokenizerKind tokenizer, Found side[2], Counts *counts) {
    Line line;
    bool found;
    const char *unit = tokenizer == TOKENIZER_BYTE ? "bytes" : tokenizer == TOKENIZER_WORD ? "words" : "characters";
    for (;;) {
        TRY(next_line(cursor, &line, &found));
        if (!found) break;
        size_t input, target;
        TRY(count_side(cursor, tokenizer, line.input, line.input_end, &side[0], &input));
        TRY(count_side(cursor, tokenizer, line.target, line.target_end, &side[1], &target));
        if (input == 0) return fail_at(cursor, line.input, "the input is empty");
        if (target == 0 && cursor->decoder && !cursor->inputs_only)
            return fail_at(cursor, line.target, "the target is empty");
        if (input != target && !cursor->inputs_only && !cursor->decoder)
            return status_fail(
                ERR_DATA,
                "%s:%zu: the input has %zu %s and the target %zu; this kind of model gives one target for each "
                "step, different lengths need an encoder with a decoder",
                cursor->path, line.number, input, unit, target);
        counts->lines++;
        counts->tokens[0] += input;
        counts->tokens[1] += target;
    }
    if (counts->lines) return OK;
    return status_fail(ERR_DATA, "%s: holds no pairs; a line is: input TAB target", cursor->path);
}

/* ---- encode ------------------------------------------------------------------------------------------ */

/* How one side is read. */
typedef struct Side {
    const char *name;
    const Vocabulary *vocabulary;
    CodeTable table; /* characters */
    Strings words;
} Side;

static Status encode_side(const Cursor *cursor, const Side *side, size_t start, size_t end, Column *out) {
    const char *text = cursor->file.data;
    if (side->vocabulary->tokenizer == TOKENIZER_WORD)
        return words_encode(&side->words, cursor->path, text, start, end, side->name, out);
    for (size_t at = start; at < end;) {
        size_t first = at;
        int32_t id;
        if (side->vocabulary->tokenizer == TOKENIZER_BYTE) {
            id = (unsigned char)text[at++];
        } else {
            int32_t code = utf8_next(text, end, &at);
            id = code_table_id(&side->table, code);
            if (id < 0) return vocabulary_lacks(cursor->path, text, first, code, side->name, side->vocabulary->size);
        }
        column_put(out, id);
    }
    return OK;
}

static Status encode(Cursor *cursor, const Side side[2], const Counts *counts, Store *store) {
    CellType cell[2];
    for (size_t i = 0; i < 2; i++) cell[i] = cell_type_for((int64_t)side[i].vocabulary->size - 1);
    size_t *target_offset = NULL;
    TRY(column_create(&store->input, cell[0], counts->tokens[0], cursor->path));
    TRY(column_create(&store->target, cell[1], counts->tokens[1], cursor->path));
    TRY(cells_allocate(counts->lines + 1, sizeof *store->offset, cursor->path, (void **)&store->offset));
    store->offset[0] = 0;
    if (cursor->decoder && !cursor->inputs_only) {
        TRY(cells_allocate(counts->lines + 1, sizeof *target_offset, cursor->path, (void **)&target_offset));
        store->target_offset = target_offset;
        target_offset[0] = 0;
    }
    Line line;
    bool found;
    for (;;) {
        TRY(next_line(cursor, &line, &found));
        if (!found) break;
        TRY(encode_side(cursor, &side[0], line.input, line.input_end, &store->input));
        TRY(encode_side(cursor, &side[1], line.target, line.target_end, &store->target));
        store->offset[++store->sequences] = store->input.cells;
        if (target_offset) target_offset[store->sequences] = store->target.cells;
    }
    store_even_out(store);
    return OK;
}

/* ---- all of it --------------------------------------------------------------------------------------- */

static Status make_vocabulary(const DataConfig *config, const Vocabulary *given, const Found *found, Vocabulary **out) {
    if (given) return vocabulary_copy(given, out);
    if (config->tokenizer == TOKENIZER_WORD) return words_vocabulary(&found->words, out);
    return vocabulary_from_codes(config->tokenizer, found->codes, out);
}

static Status encode_all(const Counts counts[DATA_STORES], Cursor *cursor, Data *data) {
    Side side[2] = {{.name = "input vocabulary", .vocabulary = data->vocabulary},
                    {.name = "target vocabulary", .vocabulary = data->target_vocabulary}};
    Status status = OK;
    for (size_t i = 0; i < 2 && status == OK; i++) {
        if (side[i].vocabulary->tokenizer == TOKENIZER_CHAR)
            status = code_table_make(side[i].vocabulary, &side[i].table);
        if (side[i].vocabulary->tokenizer == TOKENIZER_WORD) status = words_table(side[i].vocabulary, &side[i].words);
    }
    for (size_t i = 0; i < data->stores && status == OK; i++) {
        rewind_cursor(&cursor[i]);
        status = encode(&cursor[i], side, &counts[i], &data->store[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        code_table_free(&side[i].table);
        strings_free(&side[i].words);
    }
    return status;
}

static Status read_all(const DataConfig *config, Cursor *cursor, Found side[2], Data *data) {
    Counts counts[DATA_STORES] = {0};
    for (size_t i = 0; i < data->stores; i++) {
        TRY(load_file(cursor[i].path, &cursor[i].file));
        rewind_cursor(&cursor[i]);
        if (config->targets_if_there) cursor[i].inputs_only = !has_targets(&cursor[i]);
        TRY(collect(&cursor[i], config->tokenizer, side, &counts[i]));
    }
    TRY(make_vocabulary(config, config->vocabulary, &side[0], &data->vocabulary));
    TRY(make_vocabulary(config, config->target_vocabulary, &side[1], &data->target_vocabulary));
    return encode_all(counts, cursor, data);
}

static bool other_tokenizer(const DataConfig *config, const Vocabulary *vocabulary) {
    return vocabulary && vocabulary->tokenizer != config->tokenizer;
}

Status data_open_pairs(const DataConfig *config, Data *data) {
    TRY(data_one_path(config, "pairs"));
    if (other_tokenizer(config, config->vocabulary) || other_tokenizer(config, config->target_vocabulary))
        return status_fail(ERR_USAGE, "data.tokenizer: not the one of the vocabulary that the model was trained on");
    if (config->tokenizer == TOKENIZER_BPE)
        return status_fail(ERR_USAGE, "data.tokenizer: bpe is for running text; pairs take char, byte or word");
    Cursor cursor[DATA_STORES] = {
        {.path = config->path[0], .inputs_only = config->inputs_only, .decoder = config->decoder},
        {.path = config->validation_path, .decoder = config->decoder}};
    data->stores = config->validation_path ? 2 : 1;
    CodeSet *set;
    TRY(cells_allocate(2, sizeof *set, "vocabulary", (void **)&set));
    memset(set, 0, 2 * sizeof *set);
    Found side[2] = {{.codes = &set[0]}, {.codes = &set[1]}};
    Status status = read_all(config, cursor, side, data);
    for (size_t i = 0; i < 2; i++) strings_free(&side[i].words);
    for (size_t i = 0; i < DATA_STORES; i++) load_free(&cursor[i].file);
    free(set);
    TRY(status);
    data->info.ids = true;
    data->info.vocabulary = data->vocabulary->size;
    data->info.target = cursor[0].inputs_only ? TARGET_NONE : TARGET_CLASSES;
    data->info.target_per_step = true;
    size_t symbols = data->target_vocabulary->size;
    if (config->decoder) TRY(data_describe_decoder(config, config->path[0], symbols, data));
    else TRY(data_classes(config, config->path[0], symbols, &data->info.classes));
    return data_split_sequences(config, config->path[0], data);
}
