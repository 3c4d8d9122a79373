/* SPDX-License-Identifier: MIT
 *
 * h5_vocabulary.c: texts as h5py and others write them. */
#include "io/h5_vocabulary.h"

#include <stdlib.h>
#include <string.h>

#include "io/column.h"

/* Strings of fixed length, one behind the other in `text`, `bytes` each. */
static Status from_fixed(const char *path, const char *name, hid_t set, hid_t type, TokenizerKind tokenizer,
                         size_t count, Vocabulary **out) {
    size_t bytes = H5Tget_size(type);
    char *text = NULL, **token = NULL, *copy = NULL;
    Status status = cells_allocate(count, bytes, "vocabulary", (void **)&text);
    if (status == OK) status = cells_allocate(count, bytes + 1, "vocabulary", (void **)&copy);
    if (status == OK) status = cells_allocate(count, sizeof *token, "vocabulary", (void **)&token);
    if (status == OK && H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, text) < 0)
        status = h5_fail(ERR_DATA, "%s: data set %s: cannot be read", path, name);
    bool spaces = H5Tget_strpad(type) == H5T_STR_SPACEPAD;
    for (size_t i = 0; i < count && status == OK; i++) {
        token[i] = copy + i * (bytes + 1);
        size_t length = strnlen(text + i * bytes, bytes);
        while (spaces && length > 1 && text[i * bytes + length - 1] == ' ') length--;
        memcpy(token[i], text + i * bytes, length);
        token[i][length] = '\0';
    }
    if (status == OK) status = vocabulary_from_tokens(tokenizer, (const char *const *)token, count, out);
    free(token);
    free(copy);
    free(text);
    return status;
}

static Status from_variable(const char *path, const char *name, hid_t set, hid_t type, TokenizerKind tokenizer,
                            size_t count, Vocabulary **out) {
    char **token;
    TRY(cells_allocate(count, sizeof *token, "vocabulary", (void **)&token));
    memset(token, 0, count * sizeof *token);
    Status status = OK;
    if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, token) < 0)
        status = h5_fail(ERR_DATA, "%s: data set %s: cannot be read", path, name);
    static char empty[] = "";
    char **text = NULL;
    if (status == OK) status = cells_allocate(count, sizeof *text, "vocabulary", (void **)&text);
    for (size_t i = 0; i < count && status == OK; i++) text[i] = token[i] ? token[i] : empty;
    if (status == OK) status = vocabulary_from_tokens(tokenizer, (const char *const *)text, count, out);
    for (size_t i = 0; i < count; i++) H5free_memory(token[i]);
    free(text);
    free(token);
    return status;
}

static Status read_tokenizer(hid_t set, const char *path, const char *name, TokenizerKind *out) {
    char *tokenizer = NULL;
    *out = TOKENIZER_CHAR;
    if (H5Aexists(set, "tokenizer") <= 0) return OK;
    const bool known = h5_get_text(set, "tokenizer", &tokenizer) && tokenizer_named(tokenizer, out);
    free(tokenizer);
    if (known) return OK;
    return status_fail(ERR_DATA, "%s: data set %s: attribute tokenizer is not char, word, bpe or byte", path, name);
}

Status h5_vocabulary_read(hid_t file, const char *path, const char *name, Vocabulary **out) {
    TokenizerKind tokenizer;
    *out = NULL;
    if (H5Lexists(file, name, H5P_DEFAULT) <= 0) return OK;
    H5_SCOPED set = H5Dopen2(file, name, H5P_DEFAULT);
    H5_SCOPED space = set < 0 ? H5I_INVALID_HID : H5Dget_space(set);
    H5_SCOPED type = set < 0 ? H5I_INVALID_HID : H5Dget_type(set);
    bool list =
        space >= 0 && type >= 0 && H5Sget_simple_extent_ndims(space) == 1 && H5Sget_simple_extent_npoints(space) >= 1;
    size_t count = list ? (size_t)H5Sget_simple_extent_npoints(space) : 0;
    if (list) TRY(read_tokenizer(set, path, name, &tokenizer));
    if (list && tokenizer == TOKENIZER_BYTE && H5Tget_class(type) == H5T_INTEGER) {
        Status status = vocabulary_from_tokens(tokenizer, NULL, count, out);
        return status == OK ? OK : status_context(status, "%s", path);
    }
    if (!list || tokenizer == TOKENIZER_BYTE || H5Tget_class(type) != H5T_STRING)
        return status_fail(ERR_DATA, "%s: data set %s: must be a list of strings, one for each id", path, name);
    Status status = H5Tis_variable_str(type) > 0 ? from_variable(path, name, set, type, tokenizer, count, out)
                                                 : from_fixed(path, name, set, type, tokenizer, count, out);
    return status == OK ? OK : status_context(status, "%s", path);
}

static bool put_tokenizer(const NewH5 *file, const char *name, const char *tokenizer) {
    H5_SCOPED set = H5Dopen2(file->file, name, H5P_DEFAULT);
    return set >= 0 && h5_put_text(set, "tokenizer", tokenizer);
}

Status h5_vocabulary_write(const NewH5 *file, const char *name, const Vocabulary *vocabulary) {
    if (vocabulary->token) {
        TRY(new_h5_texts(file, name, vocabulary->token, vocabulary->size));
    } else {
        uint8_t byte[256];
        hsize_t count = sizeof byte;
        for (size_t i = 0; i < sizeof byte; i++) byte[i] = (uint8_t)i;
        H5_SCOPED set = new_h5_set(file, name, H5T_STD_U8LE, 1, &count);
        TRY(new_h5_rows(file, set, H5T_NATIVE_UINT8, byte, 0, sizeof byte, 1));
    }
    return put_tokenizer(file, name, tokenizer_name(vocabulary->tokenizer)) ? OK : new_h5_fail(file, name);
}
