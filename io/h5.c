/* SPDX-License-Identifier: MIT
 *
 * h5.c: the one door to libhdf5. */
#include "io/h5.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_TEXT = 65536 }; /* bytes of a text attribute */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

void h5_lock(void) {
    static bool started;
    pthread_mutex_lock(&mutex);
    if (!started) {
        /* After a failed write libhdf5 can hold files it cannot close, and crashes on them at exit. */
        H5dont_atexit();
        H5open();
        H5PLset_loading_state(0);
        started = true;
    }
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* per thread */
}

void h5_unlock(void) {
    pthread_mutex_unlock(&mutex);
}

void h5_release(hid_t *id) {
    if (*id >= 0) H5Idec_ref(*id);
    *id = H5I_INVALID_HID;
}

static herr_t innermost(unsigned n, const H5E_error2_t *error, void *out) {
    if (n == 0) snprintf(out, 1024, "%s", error->desc == NULL ? "unknown" : error->desc);
    return 0;
}

int h5_error_number(void) {
    int error = 0;
    char why[1024] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, why);
    const char *found = strstr(why, "errno = ");
    return found != NULL && sscanf(found, "errno = %d", &error) == 1 ? error : 0;
}

/* libhdf5 puts dates with a line feed into its reasons. */
static void one_line(char *text) {
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        bool gap = *from == '\n' || *from == ' ';
        if (!gap || (to > text && to[-1] != ' ')) *to++ = gap ? ' ' : *from;
    }
    *to = '\0';
}

Status h5_fail(Status code, const char *format, ...) {
    char what[2048], why[1024] = "";
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, innermost, why);
    H5Eclear2(H5E_DEFAULT);
    one_line(why);
    if (why[0] == '\0') return status_fail(code, "%s", what);
    return status_fail(code, "%s: libhdf5 says: %s", what, why);
}

hid_t h5_open_read(const char *path) {
    H5_SCOPED access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0 || H5Pset_fapl_sec2(access) < 0 || H5Pset_fclose_degree(access, H5F_CLOSE_STRONG) < 0 ||
        H5Pset_file_locking(access, false, true) < 0)
        return H5I_INVALID_HID;
    return H5Fopen(path, H5F_ACC_RDONLY, access);
}

hid_t h5_text_type(void) {
    hid_t type = H5Tcopy(H5T_C_S1);
    if (type >= 0 && (H5Tset_size(type, H5T_VARIABLE) < 0 || H5Tset_cset(type, H5T_CSET_UTF8) < 0)) h5_release(&type);
    return type;
}

/* ---- attributes ------------------------------------------------------------------------------------ */

static bool put(hid_t object, const char *name, hid_t type, hid_t memory_type, const void *value) {
    H5_SCOPED space = H5Screate(H5S_SCALAR);
    if (space < 0 || type < 0) return false;
    H5_SCOPED attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    return attribute >= 0 && H5Awrite(attribute, memory_type, value) >= 0;
}

bool h5_put_text(hid_t object, const char *name, const char *text) {
    H5_SCOPED type = h5_text_type();
    return put(object, name, type, type, &text);
}

bool h5_put_integer(hid_t object, const char *name, int64_t value) {
    return put(object, name, H5T_STD_I64LE, H5T_NATIVE_INT64, &value);
}

bool h5_put_real(hid_t object, const char *name, double value) {
    return put(object, name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, &value);
}

bool h5_put_flag(hid_t object, const char *name, bool value) {
    const int8_t number[2] = {0, 1};
    const int8_t stored = value;
    H5_SCOPED type = H5Tenum_create(H5T_STD_I8LE);
    if (type < 0 || H5Tenum_insert(type, "FALSE", &number[0]) < 0 || H5Tenum_insert(type, "TRUE", &number[1]) < 0)
        return false;
    return put(object, name, type, type, &stored);
}

static bool is_scalar(hid_t space) {
    return space >= 0 && H5Sget_simple_extent_type(space) != H5S_NULL && H5Sget_simple_extent_npoints(space) == 1;
}

/* The open attribute, of this class and a scalar; else negative. */
static hid_t get(hid_t object, const char *name, H5T_class_t class) {
    if (H5Aexists(object, name) <= 0) return H5I_INVALID_HID;
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    H5_SCOPED space = attribute < 0 ? H5I_INVALID_HID : H5Aget_space(attribute);
    H5_SCOPED type = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    if (!is_scalar(space) || type < 0 || H5Tget_class(type) != class) h5_release(&attribute);
    return attribute;
}

bool h5_get_integer(hid_t object, const char *name, int64_t *out) {
    H5_SCOPED attribute = get(object, name, H5T_INTEGER);
    return attribute >= 0 && H5Aread(attribute, H5T_NATIVE_INT64, out) >= 0;
}

bool h5_get_real(hid_t object, const char *name, double *out) {
    H5_SCOPED attribute = get(object, name, H5T_FLOAT);
    return attribute >= 0 && H5Aread(attribute, H5T_NATIVE_DOUBLE, out) >= 0;
}

bool h5_get_flag(hid_t object, const char *name, bool *out) {
    H5_SCOPED attribute = get(object, name, H5T_ENUM);
    H5_SCOPED type = attribute < 0 ? H5I_INVALID_HID : H5Aget_type(attribute);
    int8_t value = 0;
    if (type < 0 || H5Tget_size(type) != sizeof value || H5Aread(attribute, type, &value) < 0) return false;
    *out = value != 0;
    return value == 0 || value == 1;
}

bool h5_get_text(hid_t object, const char *name, char **out) {
    H5_SCOPED attribute = get(object, name, H5T_STRING);
    return attribute >= 0 && h5_read_text(attribute, MOST_TEXT, out);
}

static bool read_any(hid_t object, hid_t type, void *out) {
    if (H5Iget_type(object) == H5I_ATTR) return H5Aread(object, type, out) >= 0;
    return H5Dread(object, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) >= 0;
}

bool h5_read_text(hid_t object, size_t most, char **out) {
    bool attribute = H5Iget_type(object) == H5I_ATTR;
    H5_SCOPED space = attribute ? H5Aget_space(object) : H5Dget_space(object);
    H5_SCOPED type = attribute ? H5Aget_type(object) : H5Dget_type(object);
    if (!is_scalar(space) || type < 0 || H5Tget_class(type) != H5T_STRING) return false;
    *out = NULL;
    if (H5Tis_variable_str(type) <= 0) {
        size_t bytes = H5Tget_size(type);
        if (bytes > most || (*out = calloc(bytes + 1, 1)) == NULL) return false;
        if (read_any(object, type, *out)) return true;
    } else {
        H5_SCOPED memory = h5_text_type();
        if (memory >= 0 && H5Tset_cset(memory, H5Tget_cset(type)) >= 0 && read_any(object, memory, out)) {
            char *text = strdup(*out == NULL ? "" : *out);
            H5free_memory(*out);
            *out = text;
            if (text != NULL && strlen(text) <= most) return true;
        } else {
            *out = NULL;
        }
    }
    free(*out);
    *out = NULL;
    return false;
}
