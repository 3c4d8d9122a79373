/* SPDX-License-Identifier: MIT
 *
 * main.c: picks the command, starts the ranks where it needs them, prints one message, returns the exit
 * code. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "trainer/commands.h"
#include "trainer/suggest.h"

static void usage(FILE *out) {
    fputs("lockstep: data-parallel trainer for sequence models\n\nusage: lockstep COMMAND ...\n\n", out);
    for (const Command *c = commands; c->name; c++) fprintf(out, "  %-9s %s\n", c->name, c->summary);
    fputs("\n`lockstep COMMAND --help` shows a command's options, `lockstep help` the config's keys.\n", out);
}

static void usage_of(const Command *c) {
    printf("usage: lockstep %s %s\n\n%s.\n\n%s", c->name, c->usage, c->summary, c->options);
}

/* Before MPI is up the launcher's variables tell which rank may speak. */
static bool first_rank(void) {
    static const char *const name[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "PMI_RANK", "SLURM_PROCID"};
    for (size_t i = 0; comm_launched() && i < sizeof name / sizeof *name; i++)
        if (getenv(name[i])) return strcmp(getenv(name[i]), "0") == 0;
    return true;
}

static const Command *find(const char *name) {
    for (const Command *c = commands; c->name; c++)
        if (strcmp(c->name, name) == 0) return c;
    return NULL;
}

static Status unknown_command(const char *name) {
    Suggestion near = suggestion_for(name);
    for (const Command *c = commands; c->name; c++) suggestion_offer(&near, c->name);
    return status_fail(ERR_USAGE, "%s (command line): no such command%s%s%s; `lockstep --help` lists them", name,
                       near.best ? ", did you mean '" : "", near.best ? near.best : "", near.best ? "'?" : "");
}

static bool asks(int argc, char **argv, const char *flag) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], flag) == 0) return true;
    return false;
}

static Status run_local(const Command *command, int argc, char **argv) {
    if (!first_rank()) return OK;
    if (!asks(argc, argv, "--help")) return command->run(NULL, argc, argv);
    usage_of(command);
    return OK;
}

static int report(Status status) {
    if (status != OK && status != STOPPED) log_error("%s", status_message());
    return (int)status;
}

int main(int argc, char **argv) {
    log_speak(first_rank());
    /* A write beyond a file size limit shall fail like one on a full disk. */
    signal(SIGXFSZ, SIG_IGN);
    const char *name = argc > 1 ? argv[1] : "--help";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        if (first_rank()) usage(argc > 1 ? stdout : stderr);
        if (argc > 1) return OK;
        log_error("no command (command line); give one of those above");
        return ERR_USAGE;
    }
    if (strcmp(name, "--version") == 0) {
        if (first_rank()) version_print(asks(argc, argv, "--verbose"));
        return OK;
    }
    const Command *command = find(name);
    if (command && command_is_local(command, argc - 1, argv + 1)) return report(run_local(command, argc - 1, argv + 1));
    Comm *comm = NULL;
    Status status = comm_start(&comm, argc, argv);
    if (status == OK) {
        log_speak(comm_rank(comm) == 0);
        status = command ? command->run(comm, argc - 1, argv + 1) : unknown_command(name);
    }
    int code = report(status);
    comm_finish(&comm);
    return code;
}
