/* SPDX-License-Identifier: MIT
 *
 * cmd_train.c: lockstep train. */
#include <stdio.h>
#include <stdlib.h>

#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/train.h"

Status command_train(Comm *comm, int argc, char **argv) {
    TrainOptions options = {.resume = "auto"};
    bool print_config = false;
    const Option table[] = {{"resume", OPTION_TEXT, &options.resume},
                            {"dry-run", OPTION_FLAG, &options.dry_run},
                            {"trace", OPTION_TEXT, &options.trace},
                            {"print-config", OPTION_FLAG, &print_config},
                            {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("train", argc, argv, table, &rest, &count));
    TRY(arguments_file_and_overrides("train", rest, count, "CONFIG"));
    if (options.trace && options.dry_run)
        return status_fail(ERR_USAGE, "--trace (command line): --dry-run writes nothing; leave one of them out");
    Config *config = NULL;
    Status status = config_load(rest[0], (const char *const *)rest + 1, count - 1, &config);
    if (comm) status = comm_agree(comm, status);
    if (status != OK) return status;
    if (print_config) {
        char *text = config_print(config, false);
        if (text) fputs(text, stdout);
        free(text);
    } else {
        status = train_run(comm, config, &options);
    }
    config_destroy(&config);
    return status;
}
