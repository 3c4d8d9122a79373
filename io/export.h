/* SPDX-License-Identifier: MIT
 *
 * export.h: the weights of a checkpoint alone, for other programs: names and shapes of the state_dict, float32. */
#ifndef LOCKSTEP_IO_EXPORT_H
#define LOCKSTEP_IO_EXPORT_H

#include "io/checkpoint.h"

/* Hugging Face's safetensors: 8 bytes length, a JSON header, the data. The file is there whole or not at
 * all. ERR_WRITE. Local. */
MUST_CHECK Status export_safetensors(const CheckpointFile *file, const char *path);
/* HDF5 with /model/<name>, which run.init_from takes. */
MUST_CHECK Status export_h5(const CheckpointFile *file, const char *path);

#endif
