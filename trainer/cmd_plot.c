/* SPDX-License-Identifier: MIT
 *
 * cmd_plot.c: lockstep plot. */
#include <stdlib.h>
#include <string.h>

#include "comm/log.h"
#include "io/path.h"
#include "trainer/arguments.h"
#include "trainer/commands.h"
#include "trainer/plot.h"

static Status read_runs(PlotRun *run, char **name, size_t runs) {
    size_t points = 0;
    for (size_t i = 0; i < runs; i++) {
        run[i].name = name[i];
        TRY(run_curves_read(name[i], &run[i].curves));
        points += run[i].curves.train.points + run[i].curves.validation.points;
    }
    if (points) return OK;
    return status_fail(ERR_DATA, "%s/metrics.csv: holds no loss yet; wait for the first row, every log.every steps",
                       name[0]);
}

static Status check(const char *out, bool ascii, size_t runs) {
    if (runs == 0) return status_fail(ERR_USAGE, "RUN missing (command line); name a run's directory, like runs/book");
    if (runs > PLOT_MOST_RUNS)
        return status_fail(ERR_USAGE, "%zu runs (command line): at most %d fit in a plot", runs, PLOT_MOST_RUNS);
    if (out && ascii)
        return status_fail(ERR_USAGE, "-o and --ascii (command line): one or the other; --ascii writes to stdout");
    if (out && !path_ends(out, ".svg") && !path_ends(out, ".png"))
        return status_fail(ERR_USAGE, "-o %s (command line): ends neither in .svg nor in .png", out);
    return OK;
}

Status command_plot(Comm *comm, int argc, char **argv) {
    (void)comm;
    const char *out = NULL;
    bool ascii = false;
    const Option table[] = {{"o", OPTION_TEXT, &out}, {"ascii", OPTION_FLAG, &ascii}, {0}};
    char **rest;
    size_t count;
    TRY(arguments_parse("plot", argc, argv, table, &rest, &count));
    TRY(check(out, ascii, count));
    PlotRun *run = calloc(count, sizeof *run);
    if (!run) return status_fail(ERR_USAGE, "memory: no room for %zu runs; free some", count);
    Status status = read_runs(run, rest, count);
    if (status == OK && out) status = plot_gnuplot(run, count, out);
    else if (status == OK) plot_ascii(run, count);
    if (status == OK && out) log_info("%s", out);
    for (size_t i = 0; i < count; i++) run_curves_free(&run[i].curves);
    free(run);
    return status;
}
