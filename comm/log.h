/* SPDX-License-Identifier: MIT
 *
 * log.h: lines for the user, on stderr, by rank 0 alone. Results go to stdout elsewhere. */
#ifndef LOCKSTEP_COMM_LOG_H
#define LOCKSTEP_COMM_LOG_H

#include <stdbool.h>
#include <stdio.h>

#include "comm/status.h"

typedef enum LogLevel { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG } LogLevel;

/* Only the rank that is told true here prints (before the first call: prints). Local. */
void log_speak(bool speaks);
bool log_speaks(void);
void log_level(LogLevel most);

/* True while a progress line without line feed stands on the terminal; the next message clears it. */
void log_progress_shown(bool shown);

/* "lockstep: error: ..." */
void log_error(const char *format, ...) PRINTF_LIKE(1, 2);
/* "lockstep: warning: ..." */
void log_warn(const char *format, ...) PRINTF_LIKE(1, 2);
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);

#endif
