/* SPDX-License-Identifier: MIT
 *
 * commands.h: the subcommands of the program. Each parses its own arguments (argv[0] is the command) and
 * returns the exit code as a Status with its message recorded. `comm` is NULL for commands that run
 * without ranks. */
#ifndef LOCKSTEP_TRAINER_COMMANDS_H
#define LOCKSTEP_TRAINER_COMMANDS_H

#include "comm/comm.h"

typedef struct Command {
    const char *name;
    const char *usage;   /* arguments */
    const char *summary; /* one line */
    const char *options; /* lines of help on options */
    bool ranks;          /* runs on MPI ranks */
    Status (*run)(Comm *comm, int argc, char **argv);
} Command;

Status command_train(Comm *comm, int argc, char **argv);
Status command_eval(Comm *comm, int argc, char **argv);
Status command_predict(Comm *comm, int argc, char **argv);
Status command_generate(Comm *comm, int argc, char **argv);
Status command_prepare(Comm *comm, int argc, char **argv);
Status command_info(Comm *comm, int argc, char **argv);
Status command_export(Comm *comm, int argc, char **argv);
Status command_plot(Comm *comm, int argc, char **argv);
Status command_bench(Comm *comm, int argc, char **argv);
Status command_help(Comm *comm, int argc, char **argv);

/* All of them; ends with name NULL. */
extern const Command commands[];

/* Whether these arguments ask for something that must not start MPI: --help, --print-config. Local. */
bool command_is_local(const Command *command, int argc, char **argv);

/* "lockstep --version [--verbose]" on stdout. */
void version_print(bool verbose);

#endif
