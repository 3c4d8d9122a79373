/* SPDX-License-Identifier: MIT
 *
 * checkpoint_meta.c: what a checkpoint holds beside arrays: attributes, config, vocabularies; and that it
 * holds nothing else. */
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint_inspect.h"

enum {
    CONFIG_MOST = 1 << 24, /* bytes of /config */
    REFERENCE = 16         /* bytes that a text of variable length takes in a data set beside itself */
};

static bool get_digest(hid_t h5, const char *name, uint64_t out[2]) {
    char *hex, half[17] = "";
    if (!h5_get_text(h5, name, &hex)) return false;
    bool ok = strlen(hex) == 32 && strspn(hex, "0123456789abcdef") == 32;
    for (size_t i = 0; i < 2 && ok; i++) {
        memcpy(half, hex + 16 * i, 16);
        out[i] = strtoull(half, NULL, 16);
    }
    free(hex);
    return ok;
}

static bool get_text(hid_t h5, const Attribute *attribute, char *out) {
    char *text;
    if (!h5_get_text(h5, attribute->name, &text)) return false;
    bool ok = strlen(text) < attribute->room;
    if (ok) strcpy(out, text);
    free(text);
    return ok;
}

static bool get_attribute(CheckpointFile *file, const Attribute *attribute) {
    void *value = (char *)&file->meta + attribute->offset;
    int64_t number = 0;
    switch (attribute->kind) {
    case ATTRIBUTE_INTEGER:
        if (!h5_get_integer(file->h5, attribute->name, &number)) return false;
        *(uint64_t *)value = (uint64_t)number;
        return true;
    case ATTRIBUTE_REAL:
        return h5_get_real(file->h5, attribute->name, value);
    case ATTRIBUTE_FLAG:
        return h5_get_flag(file->h5, attribute->name, value);
    case ATTRIBUTE_DIGEST:
        return get_digest(file->h5, attribute->name, value);
    case ATTRIBUTE_TEXT:
        return get_text(file->h5, attribute, value);
    case ATTRIBUTE_STRING:
        if (!h5_get_text(file->h5, attribute->name, &file->optimizer)) return false;
        *(const char **)value = file->optimizer;
        return true;
    }
    return false;
}

static Status inspect_attributes(CheckpointFile *file) {
    char *format = NULL;
    int64_t version;
    bool ours = h5_get_text(file->h5, "format", &format) && strcmp(format, CHECKPOINT_FORMAT) == 0;
    free(format);
    if (!ours) return checkpoint_refuse(file, "its attribute 'format' is not \"%s\"", CHECKPOINT_FORMAT);
    if (!h5_get_integer(file->h5, "format_version", &version) || version != CHECKPOINT_FORMAT_VERSION)
        return checkpoint_refuse(file, "its attribute 'format_version' is not %d", CHECKPOINT_FORMAT_VERSION);
    for (const Attribute *a = checkpoint_attributes; a->name != NULL; a++)
        if (!get_attribute(file, a))
            return checkpoint_refuse(file, "attribute '%s' is missing or of another type", a->name);
    return OK;
}

static Status inspect_config(CheckpointFile *file) {
    hid_t set;
    H5D_layout_t layout;
    TRY(checkpoint_open_object(file, file->h5, "config", "config", H5I_DATASET, &set));
    Status status = checkpoint_check_storage(file, set, "config", &layout);
    if (status == OK && !h5_read_text(set, CONFIG_MOST, &file->config))
        status = checkpoint_refuse(file, "/config is not one text");
    file->meta.config = file->config;
    h5_release(&set);
    return status;
}

Status checkpoint_read_texts(const CheckpointFile *file, hid_t set, const char *name, char **token, const char **text,
                             size_t size) {
    hsize_t bytes;
    H5_SCOPED type = h5_text_type();
    H5_SCOPED space = H5Dget_space(set);
    /* One stored text may be named by every entry. */
    if (type < 0 || space < 0 || H5Dvlen_get_buf_size(set, type, space, &bytes) < 0 || bytes > file->bytes)
        return checkpoint_refuse(file, "/%s has texts that overflow the file", name);
    if (H5Dread(set, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, token) < 0)
        return checkpoint_refuse(file, "/%s cannot be read", name);
    for (size_t i = 0; i < size; i++) text[i] = token[i] == NULL ? "" : token[i];
    return OK;
}

static Status inspect_tokens(const CheckpointFile *file, hid_t set, const char *name, TokenizerKind tokenizer,
                             size_t size, Vocabulary **out) {
    char **token = calloc(size + 1, sizeof *token);
    const char **text = calloc(size + 1, sizeof *text);
    Status status = token == NULL || text == NULL
                        ? status_fail(ERR_USAGE, "no memory for the vocabulary of %s", file->path)
                        : checkpoint_read_texts(file, set, name, token, text, size);
    if (status == OK && vocabulary_from_tokens(tokenizer, text, size, out) != OK)
        status = status_context(ERR_CHECKPOINT, "checkpoint refused (%s): /%s", file->path, name);
    for (size_t i = 0; i < size && token != NULL; i++)
        if (token[i] != NULL) H5free_memory(token[i]);
    free(text);
    free(token);
    return status;
}

static Status inspect_vocabulary_set(const CheckpointFile *file, hid_t set, const char *name, Vocabulary **out) {
    H5D_layout_t layout;
    char *tokenizer;
    TRY(checkpoint_check_storage(file, set, name, &layout));
    H5_SCOPED type = H5Dget_type(set);
    H5_SCOPED space = H5Dget_space(set);
    hsize_t size;
    if (type < 0 || space < 0 || H5Sget_simple_extent_ndims(space) != 1 ||
        H5Sget_simple_extent_dims(space, &size, NULL) != 1)
        return checkpoint_refuse(file, "/%s is not a list of tokens", name);
    if (size > file->bytes)
        return checkpoint_refuse(file, "/%s declares %llu tokens, more than the file holds", name,
                                 (unsigned long long)size);
    if (!h5_get_text(set, "tokenizer", &tokenizer))
        return checkpoint_refuse(file, "/%s has no attribute 'tokenizer'", name);
    TokenizerKind kind;
    const bool known = tokenizer_named(tokenizer, &kind);
    free(tokenizer);
    if (known && kind == TOKENIZER_BYTE && H5Tequal(type, H5T_STD_U8LE) > 0) {
        if (vocabulary_from_tokens(TOKENIZER_BYTE, NULL, (size_t)size, out) == OK) return OK;
        return status_context(ERR_CHECKPOINT, "checkpoint refused (%s): /%s", file->path, name);
    }
    if (!known || kind == TOKENIZER_BYTE || H5Tis_variable_str(type) <= 0)
        return checkpoint_refuse(file, "/%s is not a list of tokens", name);
    if (size > file->bytes / REFERENCE)
        return checkpoint_refuse(file, "/%s declares %llu tokens, more than the file holds", name,
                                 (unsigned long long)size);
    return inspect_tokens(file, set, name, kind, (size_t)size, out);
}

static Status inspect_vocabulary(const CheckpointFile *file, const char *name, Vocabulary **out) {
    hid_t set;
    TRY(checkpoint_open_object(file, file->h5, name, name, H5I_DATASET, &set));
    Status status = inspect_vocabulary_set(file, set, name, out);
    h5_release(&set);
    return status;
}

static Status inspect_root(CheckpointFile *file, const Names *names) {
    bool config = false, model = false, optimizer = false;
    for (size_t i = 0; i < names->count; i++) {
        const char *name = names->name[i];
        bool known = true;
        if (strcmp(name, "model") == 0) model = true;
        else if (strcmp(name, "optimizer") == 0) optimizer = true;
        else if (strcmp(name, "config") == 0) config = true;
        else if (strcmp(name, "vocabulary") == 0) TRY(inspect_vocabulary(file, name, &file->vocabulary));
        else if (strcmp(name, "target_vocabulary") == 0) TRY(inspect_vocabulary(file, name, &file->target_vocabulary));
        else if (strcmp(name, "scaling") == 0) TRY(checkpoint_inspect_scaling(file, &file->scaling));
        else known = false;
        if (!known) return checkpoint_refuse(file, "/%s does not belong in a checkpoint", name);
    }
    file->meta.vocabulary = file->vocabulary;
    file->meta.target_vocabulary = file->target_vocabulary;
    file->meta.scaling = file->scaling;
    const char *missing = !model ? "model" : !optimizer ? "optimizer" : !config ? "config" : NULL;
    if (missing != NULL) return checkpoint_refuse(file, "/%s is missing", missing);
    return inspect_config(file);
}

Status checkpoint_inspect_meta(CheckpointFile *file) {
    Names names;
    TRY(inspect_attributes(file));
    Status status = checkpoint_list_links(file, file->h5, "", &names);
    if (status == OK) status = inspect_root(file, &names);
    names_free(&names);
    return status;
}
