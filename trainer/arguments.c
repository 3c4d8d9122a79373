/* SPDX-License-Identifier: MIT
 *
 * arguments.c: see arguments.h. */
#include "trainer/arguments.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_OPTIONS = 16 };

static Status set_size(const char *command, const Option *o, const char *text) {
    char *end;
    errno = 0;
    unsigned long long n = strtoull(text, &end, 10);
    if (!isdigit((unsigned char)text[0]) || *end || errno)
        return status_fail(ERR_USAGE, "--%s %s (command line): not a whole number; see `lockstep %s --help`", o->name,
                           text, command);
    *(size_t *)o->value = (size_t)n;
    return OK;
}

static Status set_real(const char *command, const Option *o, const char *text) {
    char *end;
    double x = strtod(text, &end);
    if (!*text || *end || !isfinite(x))
        return status_fail(ERR_USAGE, "--%s %s (command line): not a number; see `lockstep %s --help`", o->name, text,
                           command);
    *(double *)o->value = x;
    return OK;
}

static Status set(const char *command, const Option *o, const char *text) {
    switch (o->type) {
    case OPTION_FLAG:
        *(bool *)o->value = true;
        return OK;
    case OPTION_TEXT:
        *(const char **)o->value = text;
        return OK;
    case OPTION_SIZE:
        return set_size(command, o, text);
    case OPTION_REAL:
        return set_real(command, o, text);
    }
    return OK;
}

Status arguments_parse(const char *command, int argc, char **argv, const Option *options, char ***rest, size_t *count) {
    struct option table[MOST_OPTIONS + 1] = {{0}};
    char letters[2 * MOST_OPTIONS + 2] = ":";
    for (int i = 0; options[i].name && i < MOST_OPTIONS; i++) {
        if (!options[i].name[1]) {
            strncat(letters, options[i].name, 1);
            if (options[i].type != OPTION_FLAG) strcat(letters, ":");
        }
        table[i] = (struct option){.name = options[i].name,
                                   .has_arg = options[i].type == OPTION_FLAG ? no_argument : required_argument};
    }
    optind = 0;
    opterr = 0;
    for (;;) {
        int index = -1, found = getopt_long(argc, argv, letters, table, &index);
        if (found == -1) break;
        if (found == ':')
            return status_fail(ERR_USAGE, "%s (command line): needs a value; see `lockstep %s --help`",
                               argv[optind - 1], command);
        for (int i = 0; found > 0 && found != '?' && options[i].name; i++)
            if (options[i].name[0] == found && !options[i].name[1]) index = i;
        if (index < 0)
            return status_fail(ERR_USAGE, "%s (command line): unknown option; see `lockstep %s --help`",
                               argv[optind - 1], command);
        TRY(set(command, &options[index], optarg));
    }
    *rest = argv + optind;
    *count = (size_t)(argc - optind);
    return OK;
}

Status arguments_file_and_overrides(const char *command, char **rest, size_t count, const char *what) {
    if (count == 0)
        return status_fail(ERR_USAGE, "%s missing (command line); usage: lockstep %s %s [key=value ...]", what, command,
                           what);
    for (size_t i = 1; i < count; i++)
        if (!strchr(rest[i], '='))
            return status_fail(ERR_USAGE, "%s (command line): not of the form key=value, e.g. train.steps=200",
                               rest[i]);
    return OK;
}
