/* SPDX-License-Identifier: MIT
 *
 * arguments.h: the options of a subcommand by getopt_long, and what is left over. */
#ifndef LOCKSTEP_TRAINER_ARGUMENTS_H
#define LOCKSTEP_TRAINER_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/status.h"

typedef enum OptionType { OPTION_FLAG, OPTION_TEXT, OPTION_SIZE, OPTION_REAL } OptionType;

/* A table ends with name NULL; a name of one letter is an option like -o. `value` points to bool, const char *, size_t or double. */
typedef struct Option {
    const char *name;
    OptionType type;
    void *value;
} Option;

/* Parses argv[1 ...]; options may stand anywhere. *rest gets the other arguments in order (pointers into
 * argv, which is permuted). ERR_USAGE names the argument and the command's usage. Local. */
MUST_CHECK Status arguments_parse(const char *command, int argc, char **argv, const Option *options, char ***rest,
                                  size_t *count);

/* The first of `rest` must be there (named `what`), the others must be key=value. */
MUST_CHECK Status arguments_file_and_overrides(const char *command, char **rest, size_t count, const char *what);

#endif
