/* SPDX-License-Identifier: MIT
 *
 * cmd_export.c: lockstep export. */
#include <string.h>

#include "comm/log.h"
#include "io/export.h"
#include "io/path.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"

Status command_export(Comm *comm, int argc, char **argv) {
    (void)comm;
    const char *out = NULL;
    const Option table[] = {{"o", OPTION_TEXT, &out}, {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("export", argc, argv, table, &rest, &count));
    if (count != 1)
        return status_fail(ERR_USAGE,
                           "export takes one CHECKPOINT (command line), not %zu; see `lockstep export --help`", count);
    bool safetensors = out && path_ends(out, ".safetensors"), h5 = out && path_is_hdf5(out);
    if (!safetensors && !h5)
        return status_fail(ERR_USAGE, "-o FILE (command line): %s; name a file that ends in .safetensors or .h5",
                           out ? out : "missing");
    CheckpointFile *file = NULL;
    TRY(checkpoint_open(rest[0], &file));
    Status status = safetensors ? export_safetensors(file, out) : export_h5(file, out);
    checkpoint_close(&file);
    if (status == OK) log_info("weights of %s: %s", rest[0], out);
    return status;
}
