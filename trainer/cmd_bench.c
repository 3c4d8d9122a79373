/* SPDX-License-Identifier: MIT
 *
 * cmd_bench.c: lockstep bench: training steps on real data, timed, beside the peaks that the same threads reach in
 * the same minute; with --comm also the communication alone, and what more nodes would make of a step. Leaves
 * nothing behind. */
#include <math.h>
#include <stdio.h>

#include "comm/log.h"
#include "trainer/arguments.h"
#include "trainer/bench.h"
#include "trainer/commands.h"
#include "trainer/json.h"

typedef struct Bench {
    Session session;
    BenchFigures figures;
    bool comm; /* what follows is there */
    Sweep sweep;
    Network network;
    const char *network_name; /* NULL: as measured between the nodes of this job */
    NodeStep node;
} Bench;

static const char default_network[] = "25GbE";
enum { MOST_NODES = 4096 };

static json_t *layers_json(const Bench *b) {
    json_t *list = json_array();
    const Model *model = b->session.engine->model;
    for (size_t i = 0; i < model_layers(model); i++) {
        BenchLayer t = bench_layer(&b->session, &b->figures, i);
        json_t *o = json_object();
        json_object_set_new(o, "name", json_string(model_layer(model, i)->name));
        json_object_set_new(o, "kind", json_string(model_layer(model, i)->type->kind));
        json_object_set_new(o, "forward", json_number(t.forward));
        json_object_set_new(o, "backward", json_number(t.backward));
        json_object_set_new(o, "gflops", json_number(t.gflops));
        json_object_set_new(o, "gbytes_per_s", json_number(t.gbytes));
        json_object_set_new(o, "compute_ms", json_number(t.compute));
        json_object_set_new(o, "l2_ms", json_number(t.cache));
        json_object_set_new(o, "memory_ms", json_number(t.memory));
        json_object_set_new(o, "barrier_ms", json_number(t.barrier));
        json_object_set_new(o, "other_ms", json_number(t.other));
        json_object_set_new(o, "bound", json_string(t.bound));
        json_object_set_new(o, "fork_joins", json_number(t.forks));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *threads_json(const BenchFigures *f) {
    const BenchScaling scaling = bench_scaling(f);
    json_t *o = json_object();
    json_object_set_new(o, "fork_joins", json_number(f->forks));
    json_object_set_new(o, "fork_join_us", json_number(f->fork_us));
    json_object_set_new(o, "idle_ms", json_number(f->idle));
    json_object_set_new(o, "rank_waits", json_number(f->waits));
    json_object_set_new(o, "rank_waits_ms", json_number(f->waited));
    json_object_set_new(o, "serial_ms", json_number(f->serial));
    json_object_set_new(o, "work_ms", json_number(f->parallel));
    json_object_set_new(o, "formula", json_string(bench_formula));
    json_object_set_new(o, "cores", json_integer(BENCH_CORES));
    json_object_set_new(o, "step_ms", json_number(scaling.step));
    json_object_set_new(o, "step_as_cut_ms", json_number(scaling.as_cut));
    json_object_set_new(o, "speedup", json_number(scaling.one / scaling.step));
    json_object_set_new(o, "speedup_as_cut", json_number(scaling.one / scaling.as_cut));
    return o;
}

static json_t *fit_json(const LinearFit *fit) {
    json_t *o = json_object();
    json_object_set_new(o, "latency_us", json_number(fit->latency * 1e6));
    json_object_set_new(o, "bytes_per_s", json_number(fit->bytes_per_s));
    return o;
}

static json_t *sweep_json(const Sweep *sweep) {
    json_t *list = json_array();
    for (size_t i = 0; i < sweep->rows; i++) {
        const SweepRow *r = &sweep->row[i];
        json_t *o = json_object();
        json_object_set_new(o, "bytes", json_integer((json_int_t)r->bytes));
        json_object_set_new(o, "memcpy_ms", json_number(r->copy * 1e3));
        json_object_set_new(o, "sum_ms", json_number(r->sum * 1e3));
        json_object_set_new(o, "publish_ms", json_number(r->publish * 1e3));
        json_object_set_new(o, "allreduce_ms", json_number(r->allreduce * 1e3));
        json_object_set_new(o, "iallreduce_ms", json_number(r->iallreduce * 1e3));
        json_object_set_new(o, "message_ms", json_number(r->message * 1e3));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *comm_json(const Bench *b) {
    json_t *o = json_object(), *forecasts = json_array();
    json_object_set_new(o, "sweep", sweep_json(&b->sweep));
    json_object_set_new(o, "memcpy", fit_json(&b->sweep.copy));
    json_object_set_new(o, "reduce", fit_json(&b->sweep.reduce));
    json_object_set_new(o, "allreduce", fit_json(&b->sweep.allreduce));
    json_object_set_new(o, "message", fit_json(&b->sweep.message));
    json_object_set_new(o, "network", json_string(b->network_name ? b->network_name : "measured"));
    json_object_set_new(o, "network_bytes_per_s", json_number(b->network.bytes_per_s));
    json_object_set_new(o, "network_latency_us", json_number(b->network.latency * 1e6));
    json_object_set_new(o, "formula", json_string(network_formula));
    for (size_t nodes = 1; nodes <= MOST_NODES; nodes *= 2) {
        Forecast forecast = network_forecast(&b->network, &b->node, (double)nodes);
        json_t *row = json_object();
        json_object_set_new(row, "nodes", json_integer((json_int_t)nodes));
        json_object_set_new(row, "exchange_ms", json_number(2e3 * forecast.exchange));
        json_object_set_new(row, "step_ms", json_number(1e3 * forecast.step));
        json_object_set_new(row, "efficiency", json_number(forecast.efficiency));
        json_array_append_new(forecasts, row);
    }
    json_object_set_new(o, "prediction", forecasts);
    return o;
}

static json_t *halves_json(const BenchFigures *f) {
    static const char *const name[REDUCE_HALVES] = {"gradients", "parameters"};
    json_t *halves = json_object();
    for (int h = 0; h < REDUCE_HALVES; h++) {
        json_t *o = json_object();
        json_object_set_new(o, "exposed_ms", json_number(f->half[h].exposed));
        json_object_set_new(o, "alone_ms", json_number(f->half[h].alone));
        json_object_set_new(o, "hidden_share", json_number(f->half[h].hidden));
        json_object_set_new(halves, name[h], o);
    }
    return halves;
}

static void print_json(const Bench *b) {
    const BenchFigures *f = &b->figures;
    json_t *o = json_object(), *phases = json_object();
    json_object_set_new(phases, "data", json_number(f->data));
    json_object_set_new(phases, "forward", json_number(f->forward));
    json_object_set_new(phases, "backward", json_number(f->backward));
    json_object_set_new(phases, "reduce", json_number(f->reduce));
    json_object_set_new(phases, "exchange_exposed", json_number(f->exposed));
    json_object_set_new(phases, "exchange_hidden", json_number(f->hidden));
    json_object_set_new(phases, "optimizer", json_number(f->update + f->publish));
    json_object_set_new(o, "tokens_per_s", json_number(f->tokens_per_s));
    json_object_set_new(o, "step_ms", json_number(f->step_ms));
    json_object_set_new(o, "gflops", json_number(f->gflops));
    json_object_set_new(o, "sgemm_peak_gflops", json_number(f->peak_gflops));
    json_object_set_new(o, "memory_gbytes_per_s", json_number(f->peak_gbytes));
    json_object_set_new(o, "l2_gbytes_per_s", json_number(f->cache_gbytes));
    json_object_set_new(o, "ranks", json_integer((json_int_t)comm_size(b->session.comm)));
    json_object_set_new(o, "threads", json_integer((json_int_t)comm_threads(b->session.comm)));
    json_object_set_new(o, "l3_caches_per_rank", json_integer((json_int_t)f->last_caches));
    json_object_set_new(o, "peak_memory_bytes", json_integer((json_int_t)f->memory));
    json_object_set_new(o, "job_memory_bytes", json_integer((json_int_t)f->job_memory));
    json_object_set_new(o, "phases", phases);
    json_object_set_new(o, "scaling", threads_json(f));
    json_object_set_new(o, "layers", layers_json(b));
    if (comm_nodes(b->session.comm) > 1) json_object_set_new(o, "exchange", halves_json(f));
    if (b->comm) json_object_set_new(o, "comm", comm_json(b));
    json_print(o);
}

static void print_fit(const char *what, const LinearFit *fit) {
    if (fit->bytes_per_s > 0)
        printf("  %-22s %9.1f us + bytes / %.2f GB/s\n", what, fit->latency * 1e6, fit->bytes_per_s / 1e9);
}

static void print_ms(double seconds) {
    if (seconds >= 0) printf(" %10.3f", seconds * 1e3);
    else printf(" %10s", "-");
}

static void print_comm(const Bench *b) {
    printf("communication, ms: the sum of gradients and the new parameters of a step, and MPI's sums\n");
    printf("  %10s %10s %10s %10s %10s %10s %10s\n", "KiB", "memcpy", "sum", "publish", "Allreduce", "Iallreduce",
           "message");
    for (size_t i = 0; i < b->sweep.rows; i++) {
        const SweepRow *r = &b->sweep.row[i];
        const double column[] = {r->copy, r->sum, r->publish, r->allreduce, r->iallreduce, r->message};
        printf("  %10zu", r->bytes / 1024);
        for (size_t k = 0; k < sizeof column / sizeof *column; k++) print_ms(column[k]);
        printf("\n");
    }
    printf("fitted by least squares of the relative errors:\n");
    print_fit("memcpy", &b->sweep.copy);
    print_fit("sum and publish", &b->sweep.reduce);
    print_fit("MPI_Allreduce", &b->sweep.allreduce);
    print_fit("message", &b->sweep.message);
    printf("predicted on nodes like this one, network %s: B = %.3f GB/s, L = %.1f us\n%s\n",
           b->network_name ? b->network_name : "as measured", b->network.bytes_per_s / 1e9, b->network.latency * 1e6,
           network_formula);
    printf("  %6s %12s %12s %12s\n", "nodes", "exchange ms", "step ms", "efficiency");
    for (size_t nodes = 1; nodes <= MOST_NODES; nodes *= 2) {
        Forecast forecast = network_forecast(&b->network, &b->node, (double)nodes);
        printf("  %6zu %12.3f %12.3f %11.1f%%\n", nodes, 2e3 * forecast.exchange, 1e3 * forecast.step,
               100 * forecast.efficiency);
    }
}

static void print_roofline(const Bench *b) {
    const Model *model = b->session.engine->model;
    printf("where the time goes, ms:%s\n", b->figures.cached ? " all that a step touches fits the last cache" : "");
    printf("  %-20s %8s %8s %8s %8s %8s %8s %6s  %s\n", "layer", "time", "compute", "L2", "memory", "barrier", "other",
           "forks", "bound");
    for (size_t i = 0; i < model_layers(model); i++) {
        const BenchLayer t = bench_layer(&b->session, &b->figures, i);
        printf("  %-20s %8.3f %8.3f %8.3f %8.3f %8.3f %8.3f %6.0f  %s\n", model_layer(model, i)->name,
               t.forward + t.backward, t.compute, t.cache, t.memory, t.barrier, t.other, t.forks, t.bound);
    }
}

static void print_threads(const BenchFigures *f) {
    const BenchScaling scaling = bench_scaling(f);
    printf(
        "per step: %.0f fork-joins (%.2f us each without work), a thread idle in them %.3f ms; %.1f waits for ranks, "
        "%.3f ms\n",
        f->forks, f->fork_us, f->idle, f->waits, f->waited);
    if (isnan(f->serial)) {
        printf("the serial part shows with two threads and more\n");
        return;
    }
    printf("%s; on %d cores %.3f + %.3f + %.3f / %d + %.0f x %.5f = %.3f ms, %.1f x one core; as work is cut now %.3f "
           "ms, %.1f x\n",
           bench_formula, BENCH_CORES, f->serial, f->waited, f->parallel, BENCH_CORES, f->forks, f->fork_us / 1e3,
           scaling.step, scaling.one / scaling.step, scaling.as_cut, scaling.one / scaling.as_cut);
}

static void print_plain(const Bench *b) {
    const BenchFigures *f = &b->figures;
    const Model *model = b->session.engine->model;
    printf("%.0f tokens/s; median step %.2f ms of %zu; %zu ranks x %zu threads\n", f->tokens_per_s, f->step_ms,
           f->steps, comm_size(b->session.comm), comm_threads(b->session.comm));
    printf("%.1f GF/s, %.0f %% of the %.1f GF/s that matrix products reach here; memory %.1f GB/s, L2 %.1f GB/s\n",
           f->gflops, 100 * f->gflops / f->peak_gflops, f->peak_gflops, f->peak_gbytes, f->cache_gbytes);
    printf("ms per step: data %.2f, forward %.2f, backward %.2f, reduce %.2f, optimizer %.2f; exchange between nodes "
           "exposed %.2f, hidden %.2f\n",
           f->data, f->forward, f->backward, f->reduce, f->update + f->publish, f->exposed, f->hidden);
    if (comm_nodes(b->session.comm) > 1)
        printf("exchange between nodes, ms in the median step, exposed of what it takes alone: gradients %.2f of %.2f "
               "(%.0f %% hidden), parameters %.2f of %.2f (%.0f %% hidden)\n",
               f->half[REDUCE_GRADIENTS].exposed, f->half[REDUCE_GRADIENTS].alone,
               100 * f->half[REDUCE_GRADIENTS].hidden, f->half[REDUCE_PARAMETERS].exposed,
               f->half[REDUCE_PARAMETERS].alone, 100 * f->half[REDUCE_PARAMETERS].hidden);
    printf("  %-20s %8s %9s %10s %9s %10s %9s\n", "layer", "forward", "backward", "GF/s", "of peak", "GB/s", "of peak");
    for (size_t i = 0; i < model_layers(model); i++) {
        BenchLayer t = bench_layer(&b->session, f, i);
        printf("  %-20s %8.3f %9.3f %10.1f %8.0f%% %10.1f %8.0f%%\n", model_layer(model, i)->name, t.forward,
               t.backward, t.gflops, 100 * t.gflops / f->peak_gflops, t.gbytes, 100 * t.gbytes / f->peak_gbytes);
    }
    print_roofline(b);
    print_threads(f);
    if (f->last_caches > 1)
        printf(
            "the threads of a rank spread over %zu third-level caches, and what they share travels between these: try "
            "a rank for each, as by mpirun --map-by ppr:1:l3cache --bind-to l3cache\n",
            f->last_caches);
    printf("peak memory %.1f MiB per rank, %.1f MiB in all, what ranks share once\n", f->memory / 1048576,
           f->job_memory / 1048576);
    if (b->comm) print_comm(b);
}

/* After the steps: the sweep, and one node's step as the forecast wants it. */
static Status measure_comm(Bench *b, const char *network) {
    Comm *comm = b->session.comm;
    const BenchFigures *f = &b->figures;
    TRY(bench_sweep(comm, &b->sweep));
    if (!network && comm_nodes(comm) > 1) {
        b->network = (Network){b->sweep.message.bytes_per_s, b->sweep.message.latency};
    } else {
        b->network_name = network ? network : default_network;
        TRY(network_parse(b->network_name, &b->network));
    }
    b->node = (NodeStep){.step = (f->step_ms - f->exposed) / 1e3,
                         .forward = f->forward / 1e3,
                         .backward = f->backward / 1e3,
                         .update = f->update / 1e3,
                         .bytes = (double)b->session.engine->memory.trainable * sizeof(real),
                         .ranks = (double)comm_node_size(comm),
                         .overlap = b->session.config->comm.overlap};
    b->comm = true;
    return OK;
}

typedef struct BenchOptions {
    size_t steps;
    bool json, comm;
    const char *network;
} BenchOptions;

static Status bench(Comm *comm, const Config *config, const BenchOptions *options) {
    Bench b = {0};
    size_t shards = config->train.shards != KEY_NULL_SIZE ? config->train.shards : comm_size(comm);
    Status status = session_open(comm, config, &b.session);
    if (status == OK) status = session_build(&b.session, shards);
    if (status == OK) status = session_init(&b.session);
    if (status == OK) status = bench_steps(&b.session, options->steps, &b.figures);
    if (status == OK && options->comm) status = measure_comm(&b, options->network);
    if (status == OK && comm_rank(comm) == 0) (options->json ? print_json : print_plain)(&b);
    session_close(&b.session);
    return status;
}

Status command_bench(Comm *comm, int argc, char **argv) {
    BenchOptions o = {0};
    const Option table[] = {{"steps", OPTION_SIZE, &o.steps},
                            {"json", OPTION_FLAG, &o.json},
                            {"comm", OPTION_FLAG, &o.comm},
                            {"network", OPTION_TEXT, &o.network},
                            {0}};
    char **rest;
    size_t count;
    Network network;
    TRY(arguments_parse("bench", argc, argv, table, &rest, &count));
    TRY(arguments_file_and_overrides("bench", rest, count, "CONFIG"));
    if (o.network) {
        TRY(network_parse(o.network, &network));
        o.comm = true;
    }
    if (o.json) log_level(LOG_WARN);
    Config *config = NULL;
    TRY(comm_agree(comm, config_load(rest[0], (const char *const *)rest + 1, count - 1, &config)));
    Status status = bench(comm, config, &o);
    config_destroy(&config);
    return status;
}
