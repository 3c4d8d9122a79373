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

/* Of 1538 bytes that an Ethernet cable carries 1448 are TCP's payload. */
static const double ethernet_payload = 1448.0 / 1538.0;

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
        out->bytes_per_s = number * rates[i].factor * (strstr(rates[i].unit, "B/s") ? 1 : ethernet_payload);
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
    "  exposed     = exchange(N), or with comm.overlap what bucket after bucket leaves of it: a bucket's gradients "
    "set\n"
    "                out when backward has come so far and the bucket above is through, forward computes a bucket's\n"
    "                layers when its parameters are here; time and bytes are spread evenly over the parameters\n"
    "  efficiency  = step(1) / step(N), the batch growing with N; L latency, B bytes per second of a node (of "
    "Ethernet's\n"
    "                bits 94 % are payload)";

static double most(double a, double b) {
    return a > b ? a : b;
}

/* Backward makes buckets from the last to the first; the network takes one after the other. */
static double exposed_gradients(const NodeStep *node, double exchange, double bucket) {
    size_t buckets = (size_t)ceil(node->bytes / bucket);
    double sent = 0;
    for (size_t b = buckets; b-- > 0;) {
        double from = bucket * (double)b / node->bytes, end = fmin(1, bucket * (double)(b + 1) / node->bytes);
        sent = most(sent, node->backward * (1 - from)) + exchange * (end - from);
    }
    return sent - node->backward;
}

/* Forward needs them from the first to the last, which is how they come. */
static double exposed_parameters(const NodeStep *node, double exchange, double bucket) {
    size_t buckets = (size_t)ceil(node->bytes / bucket);
    double computed = 0;
    for (size_t b = 0; b < buckets; b++) {
        double from = bucket * (double)b / node->bytes, end = fmin(1, bucket * (double)(b + 1) / node->bytes);
        computed = most(computed, exchange * end) + node->forward * (end - from);
    }
    return computed - node->forward;
}

Forecast network_forecast(const Network *network, const NodeStep *node, double nodes) {
    enum { PIECE = 1 << 20, WORD = 256 };
    double slice = fmin(node->bytes, fmax(node->bytes / nodes, 4.0 * REDUCE_CHUNK)), others = nodes - 1;
    double exchange = others * (network->latency * ceil(slice / PIECE) + slice / network->bytes_per_s);
    double agree = others * (network->latency + WORD * node->ranks / network->bytes_per_s);
    double bucket = 4.0 * (double)reduce_bucket_floats((size_t)(node->bytes / 4), (size_t)(nodes * node->ranks));
    double gradients = node->overlap ? exposed_gradients(node, exchange, bucket) : exchange;
    double parameters = node->overlap ? exposed_parameters(node, exchange, bucket) : exchange;
    double step = node->step + agree - node->update * (1 - 1 / nodes) + gradients + parameters;
    return (Forecast){.exchange = exchange, .step = step, .efficiency = node->step / step};
}
