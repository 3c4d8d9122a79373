/* SPDX-License-Identifier: MIT
 *
 * region.c: see region.h. Times of a region's threads meet in one integer: their order leaves no trace. */
#include "comm/region.h"

#include <omp.h>
#include <time.h>

enum { ALONE = 1, MANY = 64 };

#ifdef LOCKSTEP_WRAP_PARALLEL
/* What GCC makes of every `omp parallel`, instead of libgomp's function: the linker replaces the one by the other. A
 * team of one needs no team, unless another one is around it, whose threads a loop would be shared by. */
void __real_GOMP_parallel(void (*body)(void *), void *data, unsigned team, unsigned flags);
void __wrap_GOMP_parallel(void (*body)(void *), void *data, unsigned team, unsigned flags);

void __wrap_GOMP_parallel(void (*body)(void *), void *data, unsigned team, unsigned flags) {
    if (team == ALONE && omp_get_level() == 0) body(data);
    else __real_GOMP_parallel(body, data, team, flags);
}
#endif

static _Thread_local RegionTimes times;
static bool measures;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

RegionTimes region_times(void) {
    return times;
}

void region_measure(bool on) {
    measures = on;
}

Region region_begin(size_t team, size_t parts) {
    Region region = {.team = (int)team, .open = true, .parts = parts};
    if (team <= ALONE || omp_in_parallel()) {
        region.team = ALONE;
        return region;
    }
    times.count++;
    region.measured = measures;
    if (region.measured) region.begun = now();
    return region;
}

void region_end(Region *region) {
    region->open = false;
    if (!region->measured) return;
    const uint64_t worked = atomic_load(&region->worked);
    const size_t parts = region->parts < MANY ? region->parts : MANY;
    times.inside += now() - region->begun;
    times.worked += worked;
    times.worked_64 += (double)worked / (double)(parts > 0 ? parts : 1);
}

RegionShare region_enter(const Region *region) {
    return (RegionShare){.open = true, .begun = region->measured ? now() : 0};
}

void region_leave(Region *region, RegionShare *share) {
    share->open = false;
    if (region->measured) atomic_fetch_add(&region->worked, now() - share->begun);
}
