/* SPDX-License-Identifier: MIT
 *
 * cores.c: how many physical cores this process may use: those that its binding touches, and those that
 * the host (or the container) grants to the whole job. A processor-time quota counts as cores. */
#include <hwloc.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "comm/private.h"

static size_t cores_in(hwloc_topology_t topology, hwloc_const_cpuset_t set) {
    size_t count = 0;
    hwloc_obj_t core = NULL;
    while ((core = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_CORE, core)) != NULL) {
        if (hwloc_bitmap_intersects(core->cpuset, set)) count++;
    }
    if (count == 0) {
        int units = hwloc_bitmap_weight(set);
        count = units > 0 ? (size_t)units : 1;
    }
    return count;
}

/* ---- quota ----------------------------------------------------------------------------------------- */

static bool read_pair(const char *path, long long *first, long long *second) {
    FILE *file = fopen(path, "r");
    if (!file) return false;
    int found = fscanf(file, "%lld %lld", first, second);
    fclose(file);
    return found >= (second == first ? 1 : 2);
}

static void lower(size_t *cores, long long quota, long long period) {
    if (quota <= 0 || period <= 0) return;
    size_t granted = (size_t)((quota + period - 1) / period);
    if (granted < *cores) *cores = granted;
}

/* The least that the group at `path` and those above it grant. */
static void limit_by_group(bool unified, char *path, size_t *cores) {
    for (;;) {
        char file[4352];
        long long quota = 0, period = 0;
        if (unified) {
            snprintf(file, sizeof file, "/sys/fs/cgroup%s/cpu.max", path);
            if (read_pair(file, &quota, &period)) lower(cores, quota, period);
        } else {
            snprintf(file, sizeof file, "/sys/fs/cgroup/cpu%s/cpu.cfs_quota_us", path);
            bool limited = read_pair(file, &quota, &quota);
            snprintf(file, sizeof file, "/sys/fs/cgroup/cpu%s/cpu.cfs_period_us", path);
            if (limited && read_pair(file, &period, &period)) lower(cores, quota, period);
        }
        char *cut = strrchr(path, '/');
        if (!cut) return;
        *cut = '\0';
    }
}

static void limit_by_quota(size_t *cores) {
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (!file) return;
    char line[4096];
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(++controllers, ':') : NULL;
        if (!path) continue;
        *path++ = '\0';
        if (strcmp(path, "/") == 0) path[0] = '\0';
        bool unified = controllers[0] == '\0';
        bool processor =
            strcmp(controllers, "cpu") == 0 || strncmp(controllers, "cpu,", 4) == 0 || strstr(controllers, ",cpu");
        if (unified || processor) limit_by_group(unified, path, cores);
    }
    fclose(file);
}

/* ---- topology --------------------------------------------------------------------------------------- */

/* Cores, NUMA domains and data caches of this host, looked up once, since that takes milliseconds; NULL: unknown. */
static hwloc_topology_t topology_here(void) {
    static hwloc_topology_t topology;
    static bool looked;
    if (looked) return topology;
    looked = true;
    if (hwloc_topology_init(&topology) != 0) {
        topology = NULL;
        return NULL;
    }
    hwloc_topology_set_all_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_NONE);
    hwloc_topology_set_type_filter(topology, HWLOC_OBJ_CORE, HWLOC_TYPE_FILTER_KEEP_ALL);
    hwloc_topology_set_cache_types_filter(topology, HWLOC_TYPE_FILTER_KEEP_ALL);
    if (hwloc_topology_load(topology) != 0) {
        hwloc_topology_destroy(topology);
        topology = NULL;
    }
    return topology;
}

/* The one NUMA domain that holds all of the set. */
static uint64_t domain_of(hwloc_topology_t topology, hwloc_const_cpuset_t set) {
    uint64_t found = UINT64_MAX;
    hwloc_obj_t domain = NULL;
    while ((domain = hwloc_get_next_obj_by_type(topology, HWLOC_OBJ_NUMANODE, domain)) != NULL) {
        if (domain->cpuset && hwloc_bitmap_isincluded(set, domain->cpuset)) found = domain->os_index;
    }
    return found;
}

/* OMP_PROC_BIND binds the first thread to its own place before the program begins; the rank may use all places. */
static void add_places(hwloc_bitmap_t set) {
    for (int place = 0; place < omp_get_num_places(); place++) {
        const int count = omp_get_place_num_procs(place);
        int *processor = calloc((size_t)count + 1, sizeof *processor);
        if (!processor) return;
        omp_get_place_proc_ids(place, processor);
        for (int i = 0; i < count; i++) hwloc_bitmap_set(set, (unsigned)processor[i]);
        free(processor);
    }
}

void cores_describe(Peer *me) {
    memset(me->mask, 0, sizeof me->mask);
    me->domain = UINT64_MAX;
    me->cores = me->host_cores = 1;
    hwloc_topology_t topology = topology_here();
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (topology && set) {
        hwloc_const_cpuset_t allowed = hwloc_topology_get_allowed_cpuset(topology);
        if (hwloc_get_cpubind(topology, set, HWLOC_CPUBIND_THREAD) != 0 || hwloc_bitmap_iszero(set)) {
            hwloc_bitmap_copy(set, allowed);
        }
        add_places(set);
        size_t host = cores_in(topology, allowed), mine = cores_in(topology, set);
        me->domain = domain_of(topology, set);
        limit_by_quota(&host);
        me->host_cores = host;
        me->cores = mine < host ? mine : host;
        for (unsigned i = 0; i < MASK_WORDS * 64; i++) {
            if (hwloc_bitmap_isset(set, i)) me->mask[i / 64] |= (uint64_t)1 << (i % 64);
        }
    }
    hwloc_bitmap_free(set);
}

static hwloc_obj_t next_cache(hwloc_topology_t topology, unsigned level, hwloc_obj_t last) {
    if (!topology || level < 1 || level > 5) return NULL;
    return hwloc_get_next_obj_by_type(topology, (hwloc_obj_type_t)(HWLOC_OBJ_L1CACHE + (int)level - 1), last);
}

size_t comm_cache(unsigned level) {
    const hwloc_obj_t cache = next_cache(topology_here(), level, NULL);
    return cache ? (size_t)cache->attr->cache.size : 0;
}

static void fill_set(hwloc_bitmap_t set, const uint64_t mask[static MASK_WORDS]) {
    for (unsigned i = 0; i < MASK_WORDS * 64; i++) {
        if (mask[i / 64] >> (i % 64) & 1) hwloc_bitmap_set(set, i);
    }
}

size_t comm_caches(const Comm *comm, unsigned level) {
    hwloc_topology_t topology = topology_here();
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    size_t count = 0;
    if (set) fill_set(set, comm->peers[comm->rank].mask);
    for (hwloc_obj_t cache = NULL; set && (cache = next_cache(topology, level, cache)) != NULL;) {
        if (hwloc_bitmap_intersects(cache->cpuset, set)) count++;
    }
    hwloc_bitmap_free(set);
    return count < comm->threads ? count : comm->threads;
}

size_t cores_in_mask(const uint64_t mask[static MASK_WORDS]) {
    hwloc_topology_t topology = topology_here();
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    size_t count = 1;
    if (topology && set) {
        fill_set(set, mask);
        count = cores_in(topology, set);
    }
    hwloc_bitmap_free(set);
    return count;
}
