/* SPDX-License-Identifier: MIT
 *
 * npy.c: "\x93NUMPY", two bytes of version, the length of the header (2 bytes, from version 2 on 4), and a
 * Python dictionary {'descr': '<u2', 'fortran_order': False, 'shape': (1000,), }. */
#include "io/npy.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[] = "\x93NUMPY";
enum { MAGIC_BYTES = sizeof MAGIC - 1, HEADER_MOST = 4096 };

bool npy_is(const FileBytes *file) {
    return file->bytes > MAGIC_BYTES && memcmp(file->data, MAGIC, MAGIC_BYTES) == 0;
}

static Status broken(const char *path, const char *what) {
    return status_fail(ERR_DATA, "%s: .npy file: %s; write it with numpy.save of a one-dimensional array of integers",
                       path, what);
}

/* The text behind 'key': in the header, NULL if there is none. */
static const char *value_of(const char *header, const char *key) {
    char quoted[32];
    snprintf(quoted, sizeof quoted, "'%s'", key);
    const char *at = strstr(header, quoted);
    if (!at) return NULL;
    at += strlen(quoted);
    at += strspn(at, " ");
    if (*at != ':') return NULL;
    at++;
    return at + strspn(at, " ");
}

static Status parse_type(const char *path, const char *header, Npy *out) {
    const char *descr = value_of(header, "descr");
    if (!descr || *descr != '\'') return broken(path, "its header has no 'descr'");
    char order = descr[1], kind = order ? descr[2] : '\0', size = kind ? descr[3] : '\0';
    if (!size || descr[4] != '\'' || (kind != 'u' && kind != 'i') || !strchr("1248", size))
        return broken(path, "its numbers are no plain integers");
    if (order == '>' || (order == '|' && size != '1')) return broken(path, "its numbers are not little-endian");
    if (order != '<' && order != '|') return broken(path, "its byte order is unknown");
    out->bytes = (size_t)(size - '0');
    out->is_signed = kind == 'i';
    return OK;
}

static Status parse_shape(const char *path, const char *header, Npy *out) {
    const char *shape = value_of(header, "shape");
    char *end;
    if (!shape || *shape != '(' || shape[1] < '0' || shape[1] > '9') return broken(path, "it has not one dimension");
    errno = 0;
    out->count = strtoull(shape + 1, &end, 10);
    if (errno != 0 || strncmp(end, ",)", 2) != 0) return broken(path, "it has not one dimension");
    return OK;
}

Status npy_parse(const char *path, const FileBytes *file, Npy *out) {
    const unsigned char *byte = (const unsigned char *)file->data;
    char header[HEADER_MOST + 1];
    if (!npy_is(file) || file->bytes < MAGIC_BYTES + 6) return broken(path, "it is cut");
    bool wide = byte[MAGIC_BYTES] >= 2;
    size_t at = MAGIC_BYTES + (wide ? 6 : 4), length = byte[MAGIC_BYTES + 2] | (size_t)byte[MAGIC_BYTES + 3] << 8;
    if (wide) length |= (size_t)byte[MAGIC_BYTES + 4] << 16 | (size_t)byte[MAGIC_BYTES + 5] << 24;
    if (byte[MAGIC_BYTES] < 1 || byte[MAGIC_BYTES] > 3) return broken(path, "its version is unknown");
    if (length > HEADER_MOST || length > file->bytes - at) return broken(path, "its header is cut or too long");
    memcpy(header, file->data + at, length);
    header[length] = '\0';
    *out = (Npy){.begin = at + length};
    TRY(parse_type(path, header, out));
    TRY(parse_shape(path, header, out));
    if (out->count <= (file->bytes - out->begin) / out->bytes) return OK;
    return status_fail(ERR_DATA, "%s: .npy file: declares %zu numbers of %zu bytes and holds %zu bytes; it is cut",
                       path, out->count, out->bytes, file->bytes - out->begin);
}

int64_t npy_number(const FileBytes *file, const Npy *npy, size_t i) {
    const char *at = file->data + npy->begin + i * npy->bytes;
    uint64_t raw = 0;
    memcpy(&raw, at, npy->bytes); /* little-endian on both sides */
    if (!npy->is_signed) return raw > INT64_MAX ? INT64_MAX : (int64_t)raw;
    unsigned shift = 64 - 8 * (unsigned)npy->bytes;
    return (int64_t)(raw << shift) >> shift;
}
