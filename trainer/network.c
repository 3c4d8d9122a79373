/* SPDX-License-Identifier: MIT
 *
 * network.c: see network.h. */
#include "trainer/network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/reduce.h"

static const struct {
    const char *name;
    double gigabits, latency; /* signalling rate of four lanes; microseconds */
} networks[] = {{"FDR", 54.5, 1.5}, {"EDR", 100, 1.3}, {"HDR", 200, 1.3}, {"NDR", 400, 1.3}, {"OPA", 100, 1.5}};

static const struct {
    const char *unit;
    double factor; /* to bytes per second */
} rates[] = {{"GbE", 1e9 / 8}, {"Gbit/s", 1e9 / 8},     {"Mbit/s", 1e6 / 8}, {"GB/s", 1e9},
             {"MB/s", 1e6},    {"GiB/s", 1073741824.0}, {"MiB/s", 1048576.0}};

static Status not_a_network(const char *text) {
    return status_fail(
        ERR_USAGE,
        "--network %s: not a network; give a name or a rate, and perhaps a latency: 1GbE, 25GbE,2us, HDR, "
        "12.5GB/s,1.3us",
        text);
}

/* The number before one of the units; false if it is not that. */
static bool parse_rate(const char *text, size_t length, Network *out) {
    for (size_t i = 0; i < sizeof networks / sizeof *networks; i++) {
        if (strlen(networks[i].name) != length || strncmp(text, networks[i].name, length) != 0) continue;
        *out = (Network){networks[i].gigabits * 1e9 / 8, networks[i].latency * 1e-6};
        return true;
    }
    char *end;
    double number = strtod(text, &end);
    size_t rest = (size_t)(text + length - end);
    if (end == text || end > text + length || !isfinite(number) || number <= 0) return false;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        if (strlen(rates[i].unit) != rest || strncmp(end, rates[i].unit, rest) != 0) continue;
        out->bytes_per_s = number * rates[i].factor;
        out->latency = out->bytes_per_s < 2e8 ? 50e-6 : 15e-6; /* TCP over Ethernet */
        return true;
    }
    return false;
}

static bool parse_latency(const char *text, double *out) {
    char *end;
    double number = strtod(text, &end);
    if (end == text || !isfinite(number) || number < 0) return false;
    *out = strcmp(end, "ns") == 0 ? number * 1e-9 : strcmp(end, "us") == 0 ? number * 1e-6 : number * 1e-3;
    return strcmp(end, "ns") == 0 || strcmp(end, "us") == 0 || strcmp(end, "ms") == 0;
}

Status network_parse(const char *text, Network *out) {
    const char *comma = strchr(text, ',');
    size_t length = comma ? (size_t)(comma - text) : strlen(text);
    if (!parse_rate(text, length, out)) return not_a_network(text);
    if (comma && !parse_latency(comma + 1, &out->latency)) return not_a_network(text);
    return OK;
}

const char network_formula[] =
    "  slice(N)    = max(P / N, 64 KiB)                         of P bytes of parameters, what a node owns\n"
    "  exchange(N) = (N - 1) (L ceil(slice / 1 MiB) + slice / B)    gradients there, parameters back, each\n"
    "  agree(N)    = (N - 1) (L + 256 R / B)                    status words of R ranks per node\n"
    "  step(N)     = step(1) + agree(N) - update (1 - 1 / N) + exposed gradients + exposed parameters\n"
    "  exposed     = exchange(N), or with comm.overlap max(exchange(N) / 8, exchange(N) - behind): the last of 8\n"
    "                buckets has nothing to hide behind; gradients go behind backward, parameters behind forward\n"
    "  efficiency  = step(1) / step(N), the batch growing with N; L latency, B bytes per second of a node";

Forecast network_forecast(const Network *network, const NodeStep *node, double nodes) {
    enum { PIECE = 1 << 20, WORD = 256, BUCKETS = 8 };
    double slice = fmin(node->bytes, fmax(node->bytes / nodes, 4.0 * REDUCE_CHUNK)), others = nodes - 1;
    double exchange = others * (network->latency * ceil(slice / PIECE) + slice / network->bytes_per_s);
    double agree = others * (network->latency + WORD * node->ranks / network->bytes_per_s);
    double last = exchange / BUCKETS;
    double gradients = node->overlap ? fmax(last, exchange - node->backward) : exchange;
    double parameters = node->overlap ? fmax(last, exchange - node->forward) : exchange;
    double step = node->step + agree - node->update * (1 - 1 / nodes) + gradients + parameters;
    return (Forecast){.exchange = exchange, .step = step, .efficiency = node->step / step};
}
