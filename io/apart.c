/* SPDX-License-Identifier: MIT
 *
 * apart.c: fork, work, and a shared page for what came of it. */
#include "io/apart.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PROGRESS_SECONDS = 3, BYTES_PER_SECOND = 8 << 20, MESSAGE_BYTES = 16384, PATH_BYTES = 4096 };

typedef struct Outcome {
    bool done;
    Status status;
    char message[MESSAGE_BYTES], path[PATH_BYTES];
} Outcome;

static Outcome *mine; /* in the child */

void apart_progress(const char *path, size_t bytes) {
    if (!mine) return;
    if (path) snprintf(mine->path, sizeof mine->path, "%s", path);
    struct rusage used;
    struct rlimit limit;
    if (getrusage(RUSAGE_SELF, &used) != 0 || getrlimit(RLIMIT_CPU, &limit) != 0) return;
    rlim_t seconds =
        (rlim_t)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) + PROGRESS_SECONDS + bytes / BYTES_PER_SECOND;
    limit.rlim_cur = seconds < limit.rlim_max ? seconds : limit.rlim_max;
    setrlimit(RLIMIT_CPU, &limit);
}

/* A crash here is an answer, not an event: no core file, no report by handlers that MPI installed. */
static void go_quiet(void) {
    static const int deadly[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL, SIGXCPU};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++) signal(deadly[i], SIG_DFL);
    const struct rlimit none = {0, 0};
    setrlimit(RLIMIT_CORE, &none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
#ifndef __SANITIZE_ADDRESS__
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC);
    if (null >= 0) dup2(null, STDERR_FILENO);
#endif
}

static __attribute__((noreturn)) void child(Outcome *outcome, ApartWork work, void *context, int result) {
    go_quiet();
    mine = outcome;
    apart_progress(NULL, 0);
    outcome->status = work(context, result);
    if (outcome->status != OK) snprintf(outcome->message, sizeof outcome->message, "%s", status_message());
    outcome->done = true;
    _exit(0);
}

static Status judge(const Outcome *outcome, int ended) {
    if (outcome->done && outcome->status == OK) return OK;
    if (outcome->done) return status_fail(outcome->status, "%s", outcome->message);
    const char *how = !WIFSIGNALED(ended)          ? "it crashed"
                      : WTERMSIG(ended) == SIGXCPU ? "it read without end"
                                                   : strsignal(WTERMSIG(ended));
    return status_fail(ERR_DATA, "%s: libhdf5 did not survive reading it (%s): the file is damaged; write it anew",
                       outcome->path, how);
}

static Status run(Outcome *outcome, ApartWork work, void *context, int result) {
    pid_t pid = fork();
    if (pid < 0) return status_fail(ERR_USAGE, "cannot start a process to read data: %s", strerror(errno));
    if (pid == 0) child(outcome, work, context, result);
    int ended = 0;
    while (waitpid(pid, &ended, 0) < 0 && errno == EINTR) continue;
    return judge(outcome, ended);
}

Status apart_run(ApartWork work, void *context, int *result) {
    *result = memfd_create("lockstep-data", MFD_CLOEXEC);
    if (*result < 0) return status_fail(ERR_USAGE, "cannot make a file in memory to read data: %s", strerror(errno));
    Outcome *outcome = mmap(NULL, sizeof *outcome, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    Status status = OK;
    if (outcome == MAP_FAILED) {
        status = status_fail(ERR_USAGE, "no memory to read data: %s", strerror(errno));
    } else {
        status = run(outcome, work, context, *result);
        munmap(outcome, sizeof *outcome);
    }
    if (status != OK) close(*result);
    return status;
}
