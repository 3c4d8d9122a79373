/* SPDX-License-Identifier: MIT
 *
 * stop.c: see stop.h. */
#include "trainer/stop.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t received;

static void on_signal(int number) {
    if (received) _exit(128 + number);
    received = number;
}

void stop_install(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGINT, &action, NULL);
}

const char *stop_requested(void) {
    switch (received) {
    case 0:
        return NULL;
    case SIGUSR1:
        return "SIGUSR1";
    case SIGTERM:
        return "SIGTERM";
    default:
        return "SIGINT";
    }
}
