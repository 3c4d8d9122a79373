/* SPDX-License-Identifier: MIT
 *
 * trace_file.h: the ranks' spans (comm/trace.h) as one file in Chrome's trace event format, which Perfetto opens: a
 * process per rank; rows for its steps with phases and layers, for the writer of checkpoints, and for the messages
 * between nodes, as many as were under way at once. */
#ifndef LOCKSTEP_TRAINER_TRACE_FILE_H
#define LOCKSTEP_TRAINER_TRACE_FILE_H

#include "comm/comm.h"

typedef struct TraceFile TraceFile;

enum { TRACE_MOST = 50000 }; /* spans of a rank */

/* Starts tracing on all ranks; rank 0 creates the file. ERR_WRITE, ERR_USAGE on all ranks alike. Collective. */
MUST_CHECK Status trace_file_start(Comm *comm, const char *path, TraceFile **out);

/* Brings the spans together and writes them; ends tracing. ERR_WRITE on all ranks alike. Collective. */
MUST_CHECK Status trace_file_finish(TraceFile **file);

/* The same without writing, after a failure. Local. */
void trace_file_drop(TraceFile **file);

#endif
