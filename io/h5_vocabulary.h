/* SPDX-License-Identifier: MIT
 *
 * h5_vocabulary.h: /vocabulary or /target_vocabulary (`name`) of a file of data: a list of texts, one for each id, of fixed or variable
 * length; or 256 bytes. Attribute tokenizer = "char" (default) | "word" | "bpe" | "byte". Private to io/; with the lock of
 * h5.h held. */
#ifndef LOCKSTEP_IO_H5_VOCABULARY_H
#define LOCKSTEP_IO_H5_VOCABULARY_H

#include "io/h5_new.h"
#include "io/vocabulary.h"

/* *out stays NULL where there is none. ERR_DATA. */
MUST_CHECK Status h5_vocabulary_read(hid_t file, const char *path, const char *name, Vocabulary **out);
MUST_CHECK Status h5_vocabulary_write(const NewH5 *file, const char *name, const Vocabulary *vocabulary);

#endif
