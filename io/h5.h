/* SPDX-License-Identifier: MIT
 *
 * h5.h: the one door to libhdf5, private to io/. A writer thread saves while the main thread may read,
 * and libhdf5 keeps global state: every use stands between h5_lock and h5_unlock. libhdf5 never prints;
 * its error stack becomes one line of our message. No plugins are loaded, no files are locked (ours are
 * replaced by renaming, never changed in place), and nothing of libhdf5 runs at exit. */
#ifndef LOCKSTEP_IO_H5_H
#define LOCKSTEP_IO_H5_H

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "comm/status.h"

/* Not recursive. Everything below is called with the lock held. */
void h5_lock(void);
void h5_unlock(void);

/* A handle of any kind that is released when its block is left: H5_SCOPED space = H5Screate(...);
 * A negative handle is left alone. */
void h5_release(hid_t *id);
#define H5_SCOPED __attribute__((cleanup(h5_release))) hid_t

/* Records "<message>: <the innermost reason libhdf5 gives>", clears libhdf5's stack, returns `code`. */
Status h5_fail(Status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* The errno of the call that made libhdf5 fail, 0 where there is none. Before h5_fail. */
int h5_error_number(void);

/* Opens a file for reading, < 0 on failure. Closing it closes every object in it. */
hid_t h5_open_read(const char *path);

/* The type of every text of ours: of variable length, UTF-8. */
hid_t h5_text_type(void);

/* Scalar attributes of `object`; false on failure. */
bool h5_put_text(hid_t object, const char *name, const char *text);
bool h5_put_integer(hid_t object, const char *name, int64_t value);
bool h5_put_real(hid_t object, const char *name, double value);
/* As h5py writes a bool. */
bool h5_put_flag(hid_t object, const char *name, bool value);

/* The same, read: false if the attribute is absent, of another kind, or no scalar. Text may be of fixed
 * or variable length and is the caller's, free(). */
bool h5_get_text(hid_t object, const char *name, char **out);
bool h5_get_integer(hid_t object, const char *name, int64_t *out);
bool h5_get_real(hid_t object, const char *name, double *out);
bool h5_get_flag(hid_t object, const char *name, bool *out);

/* Reads an open attribute or data set of text; what is not a scalar text of at most `most` bytes gives
 * false. *out is the caller's, free(). */
bool h5_read_text(hid_t object, size_t most, char **out);

#endif
