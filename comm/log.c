/* SPDX-License-Identifier: MIT
 *
 * log.c: every message is one write of whole lines, so that ranks and threads never mix within one. */
#include "comm/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <string.h>

static atomic_bool speaking = true;
static atomic_int most_shown = LOG_INFO;
static atomic_bool progress = false;

void log_speak(bool speaks) {
    atomic_store(&speaking, speaks);
}

bool log_speaks(void) {
    return atomic_load(&speaking);
}

void log_level(LogLevel most) {
    atomic_store(&most_shown, (int)most);
}

void log_progress_shown(bool shown) {
    atomic_store(&progress, shown);
}

static void print(LogLevel level, const char *prefix, const char *format, va_list args) {
    if (!log_speaks() || (int)level > atomic_load(&most_shown)) return;
    char line[16384 + 64];
    const char *clear = atomic_exchange(&progress, false) ? "\r\033[K" : "";
    int start = snprintf(line, sizeof line, "%s%s", clear, prefix);
    if (start < 0) return;
    size_t room = sizeof line - (size_t)start - 1;
    vsnprintf(line + start, room, format, args);
    size_t length = strlen(line);
    if (length == 0 || line[length - 1] != '\n') line[length++] = '\n';
    fwrite(line, 1, length, stderr);
    fflush(stderr);
}

void log_error(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print(LOG_ERROR, "lockstep: error: ", format, args);
    va_end(args);
}

void log_warn(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print(LOG_WARN, "lockstep: warning: ", format, args);
    va_end(args);
}

void log_info(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print(LOG_INFO, "", format, args);
    va_end(args);
}

void log_debug(const char *format, ...) {
    va_list args;
    va_start(args, format);
    print(LOG_DEBUG, "lockstep: debug: ", format, args);
    va_end(args);
}
