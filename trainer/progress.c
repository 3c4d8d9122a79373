/* SPDX-License-Identifier: MIT
 *
 * progress.c: see progress.h. */
#include "trainer/progress.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "comm/comm.h"
#include "comm/log.h"

bool on_terminal(void) {
    return isatty(STDOUT_FILENO) && isatty(STDERR_FILENO) && !comm_launched();
}

Progress progress_start(const Config *config, uint64_t first_step, uint64_t total) {
    int kind = config->log.progress;
    return (Progress){.bar = kind == PROGRESS_BAR || (kind == PROGRESS_AUTO && on_terminal()),
                      .silent = kind == PROGRESS_NONE || !log_speaks(),
                      .total = total,
                      .max_seconds = config->train.max_seconds,
                      .first_step = first_step,
                      .started = clock_seconds()};
}

static void rate_text(double tokens, char *out, size_t room) {
    if (tokens >= 1e6) snprintf(out, room, "%.2fM", tokens / 1e6);
    else if (tokens >= 1e4) snprintf(out, room, "%.1fk", tokens / 1e3);
    else snprintf(out, room, "%.0f", tokens);
}

static void time_text(double seconds, char *out, size_t room) {
    unsigned s = seconds < 1e8 ? (unsigned)(seconds + 0.5) : 99999999;
    if (s >= 3600) snprintf(out, room, "%u:%02u:%02u", s / 3600, s / 60 % 60, s % 60);
    else snprintf(out, room, "%u:%02u", s / 60, s % 60);
}

/* Time left by steps or by the clock, whichever ends first; -1 where nothing is known yet. */
static double time_left(const Progress *p, uint64_t step) {
    double gone = clock_seconds() - p->started, left = -1;
    if (p->total && step > p->first_step) left = gone / (double)(step - p->first_step) * (double)(p->total - step);
    if (!isnan(p->max_seconds) && (left < 0 || p->max_seconds - gone < left)) left = fmax(p->max_seconds - gone, 0);
    return left;
}

static int line_text(const Progress *p, uint64_t step, double epoch, const StepResult *r, double rate, char *out,
                     size_t room) {
    char speed[16], total[24] = "", left[40] = "", accuracy[24] = "", loss[32];
    rate_text(rate, speed, sizeof speed);
    if (p->total) snprintf(total, sizeof total, "/%llu", (unsigned long long)p->total);
    if (!isnan(r->accuracy)) snprintf(accuracy, sizeof accuracy, " | acc %.3f", r->accuracy);
    double seconds = time_left(p, step);
    if (seconds >= 0) {
        memcpy(left, " | eta ", 8);
        time_text(seconds, left + 7, sizeof left - 7);
    }
    /* What matters most comes first: a narrow terminal cuts the end off. */
    snprintf(loss, sizeof loss, fabs(r->loss) < 1e5 ? "%.4f" : "%.4g", r->loss);
    return snprintf(out, room, "step %llu%s | epoch %.2f | loss %s | %s tokens/s%s%s | lr %.3g | norm %.3g",
                    (unsigned long long)step, total, epoch, loss, speed, left, accuracy, r->lr, r->grad_norm);
}

static size_t columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

void progress_step(Progress *p, uint64_t step, double epoch, const StepResult *r, double step_seconds) {
    double now = clock_seconds(), rate = step_seconds > 0 ? (r->rows.inputs + r->rows.targets) / step_seconds : 0;
    p->rate = p->rate > 0 ? 0.9 * p->rate + 0.1 * rate : rate;
    if (p->silent || !p->bar || now - p->drawn < 0.1) return;
    p->drawn = now;
    char text[256];
    line_text(p, step, epoch, r, p->rate, text, sizeof text);
    size_t width = columns();
    if (strlen(text) >= width) text[width - 1] = '\0';
    fprintf(stderr, "\r\033[K%s", text);
    fflush(stderr);
    log_progress_shown(true);
}

void progress_row(Progress *p, uint64_t step, double epoch, const StepResult *r, double tokens_per_s) {
    if (p->silent || p->bar) return;
    char text[256];
    line_text(p, step, epoch, r, tokens_per_s, text, sizeof text);
    log_info("%s", text);
}

void progress_end(Progress *p) {
    if (p->silent || !p->bar) return;
    fputs("\r\033[K", stderr);
    fflush(stderr);
    log_progress_shown(false);
}
