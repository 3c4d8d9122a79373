/* SPDX-License-Identifier: MIT
 *
 * network.h: a network between nodes as two numbers, and what a training step would cost on it. */
#ifndef LOCKSTEP_TRAINER_NETWORK_H
#define LOCKSTEP_TRAINER_NETWORK_H

#include <stdbool.h>
#include <stddef.h>

#include "comm/status.h"

typedef struct Network {
    double bytes_per_s; /* of a node, each way */
    double latency;     /* seconds per message */
} Network;

/* "25GbE,2us", "HDR", "12.5GB/s,1.3us", "100Gbit/s": a name (1GbE ... 800GbE, FDR, EDR, HDR, NDR, OPA) or a rate, then
 * perhaps a latency (else one that is usual for it). ERR_USAGE names the forms. Local. */
MUST_CHECK Status network_parse(const char *text, Network *out);

/* A step on one node, in seconds, and what it would exchange with others. */
typedef struct NodeStep {
    double step;              /* all of it */
    double forward, backward; /* parts of it that an exchange can hide behind */
    double update;            /* the optimizer alone: divided among the nodes */
    double bytes;             /* of the gradient, and of the parameters */
    double ranks;             /* of the node */
    bool overlap;
} NodeStep;

typedef struct Forecast {
    double exchange; /* seconds of each half: gradients, parameters */
    double step, efficiency;
} Forecast;

/* The step on `nodes` nodes, each with a batch like the one's. Local. */
Forecast network_forecast(const Network *network, const NodeStep *node, double nodes);

/* The same as text, several lines. */
extern const char network_formula[];

#endif
