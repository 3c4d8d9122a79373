/* SPDX-License-Identifier: MIT
 *
 * cmd_help.c: the table of commands, lockstep help, --version. */
#include <stdio.h>
#include <string.h>

#include "comm/log.h"
#include "layers/ops/ops.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "io/checkpoint.h"
#include "trainer/config.h"

const Command commands[] = {
    {"train", "CONFIG [key=value ...] [--resume auto|never|PATH] [--dry-run] [--print-config]", "train a model, or go on training it",
     "  --resume MODE    auto: go on from the newest checkpoint that verifies (default); never; or a file\n"
     "  --dry-run        the same path on real data, two steps, reports time and memory, writes nothing\n"
     "  --print-config   print the effective config and end\n",
     true, command_train},
    {"eval", "CHECKPOINT [key=value ...] [--split train|validation|all] [--json]", "measure loss and scores of a checkpoint",
     "  --split SPLIT    default: validation, or all where there is none or data.path is overridden\n"
     "  --json           one JSON object on stdout\n",
     true, command_eval},
    {"generate", "CHECKPOINT --prompt TEXT --length N [--temperature F] [--top-k K] [--top-p P] [--seed S]", "write text",
     "  --temperature F  1: the model's distribution (default), 0: always the most likely\n"
     "  --top-k K        only the K most likely tokens; --top-p P: only the likeliest that make up P\n"
     "  --seed S         another text\n",
     true, command_generate},
    {"info", "FILE [--json]", "what a checkpoint, data set or config holds; verifies it", "  --json           one JSON object on stdout\n", false,
     command_info},
    {"bench", "CONFIG [key=value ...] [--steps N] [--json]", "time training steps and compare with the machine's peak",
     "  --steps N        steps to time; default: about 10 seconds\n"
     "  --json           one JSON object on stdout\n",
     true, command_bench},
    {"help", "[KEY]", "all config keys, or one: `help optimizer.lr`, `help lstm`", "", false, command_help},
    {0}};

Status command_help(Comm *comm, int argc, char **argv) {
    (void)comm;
    const Option table[] = {{0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("help", argc, argv, table, &rest, &count));
    if (count > 1) return status_fail(ERR_USAGE, "%s (command line): help takes one key", rest[1]);
    return config_help(count ? rest[0] : NULL);
}

bool command_is_local(const Command *command, int argc, char **argv) {
    if (!command->ranks) return true;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--print-config") == 0) return true;
    return false;
}

void version_print(bool verbose) {
    printf("lockstep %s\n", LOCKSTEP_VERSION);
    if (!verbose) return;
    printf("compiler   %s %s\n",
#ifdef __clang__
           "clang",
#else
           "gcc",
#endif
           __VERSION__);
    printf("mpi        %s\n", comm_library());
    printf("hdf5       %s\n", checkpoint_library());
    printf("kernels    %s\n", ops_isa());
}
