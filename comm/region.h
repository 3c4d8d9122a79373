/* SPDX-License-Identifier: MIT
 *
 * region.h: parallel regions, counted. What the threads of a rank do together stands in PARALLEL, which forks them,
 * lets them wait for each other at its end, and books both for `lockstep bench`. */
#ifndef LOCKSTEP_COMM_REGION_H
#define LOCKSTEP_COMM_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What one thread, the one that forks, has seen since it began; times only while region_measure is on, in ns. A
 * region of one thread is none. */
typedef struct RegionTimes {
    uint64_t count;   /* fork-joins */
    uint64_t inside;  /* from before a fork until after its join */
    uint64_t worked;  /* inside, by all threads of the regions: the rest is waiting, at the fork or the join */
    double worked_64; /* the longest share of it that one of 64 threads would have, as the work is cut */
} RegionTimes;

/* Of the calling thread. Local. */
RegionTimes region_times(void);
/* Off at first: then a region costs an addition. From one thread, outside of regions. */
void region_measure(bool on);

typedef struct Region {
    int team;
    bool open, measured;
    size_t parts;
    uint64_t begun;
    _Atomic uint64_t worked;
} Region;

typedef struct RegionShare {
    bool open;
    uint64_t begun;
} RegionShare;

Region region_begin(size_t team, size_t parts);
void region_end(Region *region);
RegionShare region_enter(const Region *region);
void region_leave(Region *region, RegionShare *share);

/* The statement that follows is done by `team` threads at once; 1, or inside another region: by the calling one.
 * `parts` is how many threads could find work in it. A loop in it that is shared takes `nowait`: the end of the
 * region waits for all. */
#define PARALLEL(team, parts)                                                                                          \
    for (Region region = region_begin(team, parts); region.open; region_end(&region))                                  \
    _Pragma("omp parallel num_threads(region.team)") for (RegionShare share = region_enter(&region); share.open;       \
                                                          region_leave(&region, &share))

#endif
