/* SPDX-License-Identifier: MIT
 *
 * stop.h: requests to end early: SIGUSR1, SIGTERM, SIGINT. The first one is remembered and asked of all
 * ranks with the next status word; a second one ends the process at once. */
#ifndef LOCKSTEP_TRAINER_STOP_H
#define LOCKSTEP_TRAINER_STOP_H

/* Local. */
void stop_install(void);
/* The name of the signal that came, NULL if none. Local. */
const char *stop_requested(void);

#endif
