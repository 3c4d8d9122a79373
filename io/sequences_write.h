/* SPDX-License-Identifier: MIT
 *
 * sequences_write.h: any data as a file that data.kind: sequences reads back. */
#ifndef LOCKSTEP_IO_SEQUENCES_WRITE_H
#define LOCKSTEP_IO_SEQUENCES_WRITE_H

#include "io/data.h"

/* inputs, targets, lengths where they differ, target_lengths for a decoder, the vocabularies, num_embeddings and num_classes
 * (io/data_sequences.c says what they mean). The file is there whole or not at all. ERR_WRITE. Local. */
MUST_CHECK Status sequences_write(const char *path, const Data *data);

#endif
