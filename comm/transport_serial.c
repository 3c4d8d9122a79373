/* SPDX-License-Identifier: MIT
 *
 * transport_serial.c: one rank. There is nobody to send to; comm.c copies what a rank sends itself. */
#include <string.h>
#include <unistd.h>

#include "comm/transport.h"

static Status serial_start(size_t *rank, size_t *size) {
    *rank = 0;
    *size = 1;
    return OK;
}

static void serial_hosts(size_t *lowest) {
    lowest[0] = 0;
}

static void serial_gather(const void *mine, size_t bytes, void *all) {
    memcpy(all, mine, bytes);
}

static void serial_send(Request *request, size_t to, Tag tag, const void *data, size_t bytes) {
    (void)to, (void)tag, (void)data, (void)bytes;
    request->pending = false;
}

static void serial_receive(Request *request, size_t from, Tag tag, void *data, size_t bytes) {
    (void)from, (void)tag, (void)data, (void)bytes;
    request->pending = false;
}

static Progress serial_test(Request *request) {
    request->pending = false;
    return PROGRESS_DONE;
}

static Progress serial_test_some(Request *const requests[], size_t count, size_t *broken) {
    (void)broken;
    for (size_t i = 0; i < count; i++) requests[i]->pending = false;
    return PROGRESS_DONE;
}

static bool serial_arrived(Tag tag, size_t *from) {
    (void)tag, (void)from;
    return false;
}

static void serial_finish(void) {}

static void serial_abort(int code) {
    _exit(code);
}

const Transport transport_serial = {
    .start = serial_start,
    .hosts = serial_hosts,
    .gather = serial_gather,
    .send = serial_send,
    .receive = serial_receive,
    .test = serial_test,
    .test_some = serial_test_some,
    .arrived = serial_arrived,
    .finish = serial_finish,
    .abort = serial_abort,
};
