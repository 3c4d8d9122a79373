/* SPDX-License-Identifier: MIT
 *
 * plot_gnuplot.c: a script with its data goes to gnuplot's standard input. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "trainer/plot.h"

/* In single quotes, which know no escapes but their own. */
static void put_quoted(FILE *out, const char *text) {
    fputc('\'', out);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', out);
        fputc((unsigned char)*text < 0x20 ? '?' : *text, out);
    }
    fputc('\'', out);
}

static void put_data(FILE *out, const Curve *curve, char split, size_t i) {
    if (curve->points == 0) return;
    fprintf(out, "$%c%zu << EOD\n", split, i);
    for (size_t k = 0; k < curve->points; k++) fprintf(out, "%.9g %.9g\n", curve->step[k], curve->loss[k]);
    fputs("EOD\n", out);
}

static void put_line(FILE *out, const PlotRun *run, const Curve *curve, char split, size_t i, const char **before) {
    if (curve->points == 0) return;
    fprintf(out, "%s $%c%zu using 1:2 with %s linecolor %zu title ", *before, split, i,
            split == 't' ? "lines" : "linespoints dashtype 2", i + 1);
    char title[256];
    snprintf(title, sizeof title, "%s, %s", run->name, split == 't' ? "training" : "validation");
    put_quoted(out, title);
    *before = ",";
}

static char *make_script(const PlotRun *run, size_t runs, const char *path, const char *terminal, size_t *bytes) {
    char *script = NULL;
    FILE *out = open_memstream(&script, bytes);
    if (!out) return NULL;
    fprintf(out, "set terminal %s noenhanced size 1000,600\nset output ", terminal);
    put_quoted(out, path);
    fputs("\nset xlabel 'step'\nset ylabel 'loss'\nset grid\n", out);
    for (size_t i = 0; i < runs; i++) {
        put_data(out, &run[i].curves.train, 't', i);
        put_data(out, &run[i].curves.validation, 'v', i);
    }
    const char *before = "plot";
    for (size_t i = 0; i < runs; i++) {
        put_line(out, &run[i], &run[i].curves.train, 't', i, &before);
        put_line(out, &run[i], &run[i].curves.validation, 'v', i, &before);
    }
    fputs("\n", out);
    if (fclose(out) == 0) return script;
    free(script);
    return NULL;
}

static void write_script(int fd, const char *script, size_t bytes) {
    while (bytes > 0) {
        ssize_t n = write(fd, script, bytes);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break; /* gnuplot has ended; its exit code says why */
        script += n;
        bytes -= (size_t)n;
    }
    close(fd);
}

enum { NOT_FOUND = 127 };

/* gnuplot's exit code. */
static Status run_gnuplot(const char *script, size_t bytes, int *code) {
    int ends[2], ended = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) return status_fail(ERR_USAGE, "cannot start gnuplot: %s", strerror(errno));
    signal(SIGPIPE, SIG_IGN);
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[0], STDIN_FILENO);
        execlp("gnuplot", "gnuplot", "-", (char *)NULL);
        _exit(NOT_FOUND);
    }
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        return status_fail(ERR_USAGE, "cannot start gnuplot: %s", strerror(errno));
    }
    write_script(ends[1], script, bytes);
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) continue;
    *code = WIFEXITED(ended) ? WEXITSTATUS(ended) : -1;
    return OK;
}

/* What gnuplot wrote gets its name if it is all there. */
static Status publish(const char *temporary, const char *path, int code) {
    if (code == NOT_FOUND) return status_fail(ERR_USAGE, "gnuplot (program): not found; install it, or use --ascii");
    if (code != 0)
        return status_fail(ERR_WRITE, "cannot write %s: gnuplot ended with %d; see what it says above", path, code);
    if (rename(temporary, path) != 0) return status_fail(ERR_WRITE, "cannot write %s: %s", path, strerror(errno));
    return OK;
}

Status plot_gnuplot(const PlotRun *run, size_t runs, const char *path) {
    size_t length = strlen(path), bytes = 0;
    const char *terminal = length > 4 && strcmp(path + length - 4, ".svg") == 0 ? "svg" : "pngcairo";
    char *temporary = NULL, *script = NULL;
    int code = -1;
    if (asprintf(&temporary, "%s.tmp.%ld", path, (long)getpid()) < 0)
        return status_fail(ERR_USAGE, "memory: no room for a name; free some");
    script = make_script(run, runs, temporary, terminal, &bytes);
    Status status = script ? run_gnuplot(script, bytes, &code)
                           : status_fail(ERR_USAGE, "memory: no room for the curves; free some");
    if (status == OK) status = publish(temporary, path, code);
    if (status != OK) unlink(temporary);
    free(script);
    free(temporary);
    return status;
}
