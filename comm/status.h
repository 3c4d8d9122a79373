/* SPDX-License-Identifier: MIT
 *
 * status.h: how errors travel. A function that can fail returns a Status; the first failure records
 * one message for the user in the form "what (where): why; remedy" and every caller passes the code
 * up with TRY. The codes are the program's exit codes. Nothing here knows of ranks: comm.h agrees on
 * a Status among them, and main() prints it once. */
#ifndef LOCKSTEP_COMM_STATUS_H
#define LOCKSTEP_COMM_STATUS_H

#include <stddef.h>

typedef enum Status {
    OK = 0,
    ERR_USAGE = 2,      /* usage, config, sizes, ranks that do not fit */
    ERR_DATA = 3,       /* data missing, unreadable, empty, too short, bad values */
    ERR_CHECKPOINT = 4, /* checkpoint or init_from missing, damaged, foreign, mismatched */
    ERR_DIVERGED = 5,   /* non-finite loss or gradient */
    ERR_INTERNAL = 70,  /* a defect of ours */
    ERR_LOST = 71,      /* a rank hung or was lost */
    ERR_REPLICAS = 72,  /* replicas differ */
    ERR_WRITE = 74,     /* writing failed */
    STOPPED = 75        /* stopped early by a signal or the time limit; not a failure: resume */
} Status;

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(fmt, args) __attribute__((format(printf, fmt, args)))

/* Records the message (thread-local, cut at 16 KiB) and returns `code`. Local. */
Status status_fail(Status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* Puts "context: " in front of the recorded message; returns `code`. Local. */
Status status_context(Status code, const char *format, ...) PRINTF_LIKE(2, 3);

/* The message of this thread's last failure, "" if none; valid until the next call here. Local. */
const char *status_message(void);

/* Passes a failure up. */
#define TRY(call)                                                                                                      \
    do {                                                                                                               \
        Status try_status_ = (call);                                                                                   \
        if (try_status_ != OK) return try_status_;                                                                     \
    } while (0)

#endif
