/* SPDX-License-Identifier: MIT
 *
 * status.c: one message per thread, kept until the next failure on that thread. Arguments may point
 * into the message that is being replaced. */
#include "comm/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_BYTES = 16384 };

static _Thread_local char message[MESSAGE_BYTES];
static _Thread_local char scratch[MESSAGE_BYTES];

Status status_fail(Status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(scratch, sizeof scratch, format, args);
    va_end(args);
    memcpy(message, scratch, strlen(scratch) + 1);
    return code;
}

Status status_context(Status code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(scratch, sizeof scratch - 2, format, args);
    va_end(args);
    size_t used = strlen(scratch);
    scratch[used++] = ':';
    scratch[used++] = ' ';
    size_t room = sizeof scratch - used - 1, length = strnlen(message, room);
    memcpy(scratch + used, message, length);
    scratch[used + length] = '\0';
    memcpy(message, scratch, strlen(scratch) + 1);
    return code;
}

const char *status_message(void) {
    return message;
}
