/* SPDX-License-Identifier: MIT
 *
 * bench_roofline.c: where the time of a layer goes, after Williams, Waterman and Patterson (2009): what its products
 * and its bytes take at the rates measured beside it, what its threads wait, and the rest. And by Amdahl (1967) what more
 * cores would make of a step. */
#include "trainer/bench.h"

const char bench_formula[] = "T(n) = serial + waits + work / n + fork-joins x cost of one";

static double greater(double a, double b) {
    return a > b ? a : b;
}

static double ms_at(double amount, double giga_per_s) {
    return giga_per_s > 0 ? amount / giga_per_s / 1e6 : 0;
}

static const char *bound_of(const BenchLayer *layer) {
    const double most = greater(greater(layer->compute, layer->cache), greater(layer->memory, layer->barrier));
    return most == layer->compute  ? "compute"
           : most == layer->cache  ? "L2"
           : most == layer->memory ? "memory"
                                   : "barrier";
}

BenchLayer bench_layer(const Session *s, const BenchFigures *f, size_t i) {
    const double ranks = (double)comm_size(s->comm), threads = (double)comm_threads(s->comm), steps = (double)f->steps;
    const LayerTime t = model_layer_time(s->engine->model, i);
    /* Of one rank; all take the same share of the peaks. */
    const LayerWork work =
        model_layer_work(s->engine->model, i, f->rows / ranks, f->sequences / ranks, f->targets / ranks);
    const double time = (t.forward + t.backward) / steps, inside = 1e-6 * (double)t.regions.inside / steps;
    const double worked = 1e-6 * (double)t.regions.worked / steps;
    const double moved = work.moved * sizeof(real), reread = work.reread * sizeof(real);
    BenchLayer layer = {.forward = t.forward / steps,
                        .backward = t.backward / steps,
                        .compute = ms_at(work.flops, f->peak_gflops / ranks),
                        .cache = ms_at(f->cached ? reread + moved : reread, f->cache_gbytes / ranks),
                        .memory = f->cached ? 0 : ms_at(moved, f->peak_gbytes / ranks),
                        .barrier = inside - worked / threads + (time - inside) * (1 - 1 / threads),
                        .forks = (double)t.regions.count / steps};
    layer.other = time - greater(greater(layer.compute, layer.cache), layer.memory) - layer.barrier;
    layer.bound = bound_of(&layer);
    if (time > 0) {
        layer.gflops = ranks * work.flops / time / 1e6;
        layer.gbytes = ranks * moved / time / 1e6;
    }
    return layer;
}

BenchScaling bench_scaling(const BenchFigures *f) {
    const double alone = f->serial + f->waited, forks = f->forks * f->fork_us / 1e3;
    return (BenchScaling){.step = alone + f->parallel / BENCH_CORES + forks,
                          .as_cut = alone + f->parallel_as_cut + forks,
                          .one = alone + f->parallel};
}
