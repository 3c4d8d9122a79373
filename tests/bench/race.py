#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A race against PyTorch on the same cores: the same models, weights, data, batches and optimizer, full training steps.

    python3 tests/bench/race.py build/release/lockstep --json race.json              the named models
    python3 tests/bench/race.py build/release/lockstep --json race.json --cells      80 models drawn by a seed (cells.json)
    python3 tests/bench/race.py build/release/lockstep --json race.json --cells 0:20
    python3 tests/bench/race.py build/release/lockstep --json race.json --start      from the start to the first step
    python3 tests/bench/race.py build/release/lockstep --json race.json --generate   text token by token
    python3 tests/bench/race.py build/release/lockstep --json race.json --llmc DIR --kann DIR   other trainers, from checkouts

This Python needs torch, numpy and h5py; for --llmc and --kann alone nothing else (race_others.py says what is compared). Rows that are in the JSON file are not measured again, so that a race may be
interrupted; the table at the end is of all rows in the file.

Lockstep runs as 1 rank x 2 threads and as 2 ranks x 1 thread, PyTorch with 2 threads and as DistributedDataParallel on 2
processes, each with the default and the fused Adam, denormals flushed. The best of each side counts; a PyTorch that was
20 % behind in a heat is not asked again. A cell of the 80 names ranks and threads of Lockstep; where that is one thread
alone PyTorch gets one thread. Tokens are real ones: padding does not count. Lockstep and PyTorch run in turn; around each run
matrix products and memory are probed, and a pair counts only if no probe moved by more than 10 % from its median. Ratios, rates
and shares are medians of the pairs. Peak memory is that of all processes of the job; what they share counts once, libraries
too. First of all both take one step from the same weights: their losses must be equal, dropout aside."""
import argparse
import json
import os
import platform
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

import race_cases
import race_others

HERE = os.path.dirname(os.path.abspath(__file__))
MOVED, BEHIND, FLOOR = 0.1, 0.8, 1.2


# ---- Lockstep -----------------------------------------------------------------------------------------------


def environment(threads):
    return dict(os.environ, OMP_NUM_THREADS=str(threads))


def command(args, ranks, *rest):
    return (shlex.split(args.mpirun) + ["-n", str(ranks)] if ranks > 1 else []) + [args.program, *rest]


def until_idle(seconds=3):
    """Threads of the other side may spin on for a while, and Lockstep waits otherwise where others run at its start."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with open("/proc/loadavg") as f:
            if int(f.read().split()[3].split("/")[0]) <= 1:
                return
        time.sleep(0.02)


def lockstep_bench(args, folder, layout, steps):
    ranks, threads = race_cases.LAYOUTS[layout]
    until_idle()
    run = subprocess.run(command(args, ranks, "bench", f"{folder}/race.yaml", "--json", "--steps", str(steps)),
                         env=environment(threads), check=True, stdout=subprocess.PIPE)
    return json.loads(run.stdout)


def first_loss(args, folder, weights="weights.h5"):
    """Of a step from PyTorch's weights, None: from its own. The program prints four digits behind the point."""
    start = [f"run.init_from={folder}/{weights}"] if weights else []
    run = subprocess.run([args.program, "train", f"{folder}/race.yaml", "--dry-run", f"run.dir={folder}/none", *start],
                         env=environment(1), check=True, capture_output=True, text=True)
    return float(re.search(r"step 1: loss ([0-9.]+)", run.stdout + run.stderr).group(1))


# ---- PyTorch ------------------------------------------------------------------------------------------------


def torch_command(folder, rank, ranks, threads, *rest):
    return [sys.executable, os.path.join(HERE, "race_torch.py"), folder, str(rank), str(ranks), str(threads), *rest]


class Torch:
    """The processes of one job, asleep between measurements."""

    def __init__(self, folder, ranks, threads):
        self.process = [subprocess.Popen(torch_command(folder, r, ranks, threads), env=environment(threads), text=True,
                                         stdin=subprocess.PIPE, stdout=subprocess.PIPE) for r in range(ranks)]

    def listen(self):
        lines = [p.stdout.readline() for p in self.process]
        if not all(lines):
            raise SystemExit("race_torch.py ended; what it said stands above")
        return [json.loads(line) for line in lines]

    def measure(self, adam, steps, probe):
        for p in self.process:
            p.stdin.write(json.dumps(dict(adam=adam, steps=steps, probe=probe)) + "\n")
            p.stdin.flush()
        said = self.listen()
        return dict(seconds=max(s["seconds"] for s in said), memory=sum(s["memory"] for s in said) - sum(s["mapped"] for s in said[1:]), loss=said[0]["loss"],
                    gflops=sum(s["gflops"] for s in said), gbytes=sum(s["gbytes"] for s in said))

    def close(self):
        for p in self.process:
            p.stdin.close()
        for p in self.process:
            p.wait()


class Field:
    """All PyTorch jobs of a case, and after the heat those that may win."""

    def __init__(self, folder, layouts):
        self.job = {"1 thread": Torch(folder, 1, 1)} if layouts == ["1x1"] else {"2 threads": Torch(folder, 1, 2), "DDP": Torch(folder, 2, 1)}
        self.version = [job.listen() for job in self.job.values()][0][0]["version"]

    def heat(self):
        heat, self.memory = {}, {}
        for name, job in self.job.items():
            for adam in ("fused", "default"):
                first, second = job.measure(adam, 1, False), job.measure(adam, 2, False)
                heat[name, adam] = second["seconds"]
                if adam == "fused":  # before probes, and the other Adam's moments, stand beside it
                    self.memory[name] = second["memory"]
                    self.loss = first["loss"] if name != "DDP" else self.loss
        best = min(heat.values())
        self.finalists = {who: seconds for who, seconds in heat.items() if best >= BEHIND * seconds}
        return {f"{name}, {adam} Adam": seconds for (name, adam), seconds in heat.items()}

    def measure(self, seconds):
        return {who: self.job[who[0]].measure(who[1], max(2, int(seconds / each)), True) for who, each in self.finalists.items()}

    def close(self):
        for job in self.job.values():
            job.close()


# ---- one row ------------------------------------------------------------------------------------------------


def steady(pairs):
    """Those pairs whose probes all stayed near their medians."""
    middle = [statistics.median(p) for p in zip(*(pair["probes"] for pair in pairs))]
    return [pair for pair in pairs if all(abs(x / m - 1) <= MOVED for x, m in zip(pair["probes"], middle))]


def take_pair(args, folder, layouts, steps, field, tokens):
    ours = {layout: lockstep_bench(args, folder, layout, steps[layout]) for layout in layouts}
    theirs = field.measure(args.seconds)
    best, winner = max(layouts, key=lambda l: ours[l]["tokens_per_s"]), min(theirs, key=lambda w: theirs[w]["seconds"])
    probes = [p for o in ours.values() for p in (o["sgemm_peak_gflops"], o["memory_gbytes_per_s"])]
    probes += [p for t in theirs.values() for p in (t["gflops"], t["gbytes"])]
    rate = tokens / theirs[winner]["seconds"]
    return dict(probes=probes, lockstep=ours[best]["tokens_per_s"], torch=rate, ratio=ours[best]["tokens_per_s"] / rate,
                share=ours[best]["gflops"] / ours[best]["sgemm_peak_gflops"], peak_gflops=ours[best]["sgemm_peak_gflops"],
                gbytes=ours[best]["memory_gbytes_per_s"], winner=f"{winner[0]}, {winner[1]} Adam", memory_of=winner[0],
                layouts={l: o["tokens_per_s"] for l, o in ours.items()},
                memory=ours[best]["job_memory_bytes"])


def race(case, args):
    layouts = [case["layout"]] if "layout" in case else ["1x2", "2x1"]
    tokens, until = race_cases.tokens(case), time.perf_counter() + args.bound
    with tempfile.TemporaryDirectory() as folder:
        race_cases.write_inputs(case, folder)
        with open(f"{folder}/case.json", "w") as f:
            json.dump(case, f)
        field = Field(folder, layouts)
        heat = field.heat()
        if not case.get("dropout") and abs(first_loss(args, folder) - field.loss) > 2e-3:
            raise SystemExit(f"{case}: the first losses differ: {first_loss(args, folder)} and PyTorch's {field.loss}")
        steps = {l: max(3, int(args.seconds * 1e3 / lockstep_bench(args, folder, l, 1)["step_ms"])) for l in layouts}
        pairs = []
        while not pairs or (len(steady(pairs)) < args.pairs and len(pairs) < 2 * args.pairs and time.perf_counter() < until):
            pairs.append(take_pair(args, folder, layouts, steps, field, tokens))
        field.close()
    kept = steady(pairs) or pairs
    row = {key: statistics.median(p[key] for p in kept) for key in ("ratio", "lockstep", "torch", "share", "peak_gflops", "gbytes", "memory")}
    row["layouts"] = {l: statistics.median(p["layouts"][l] for p in kept) for l in layouts}
    row["winner"] = statistics.mode(p["winner"] for p in kept)
    row["torch_memory"] = field.memory[statistics.mode(p["memory_of"] for p in kept)]
    return dict(row, heat=heat, torch_version=field.version, kept=len(steady(pairs)), pairs=len(pairs), case=case)


# ---- start to first step ------------------------------------------------------------------------------------


def until_first_step(commands, threads):
    """Seconds until all have said that the first step is done (a job of ranks says it once)."""
    since = time.perf_counter()
    processes = [subprocess.Popen(c, env=environment(threads), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for c in commands]
    for p in processes:
        if not any("step 1" in line for line in p.stdout):
            raise SystemExit(f"{p.args}: no first step")
    seconds = time.perf_counter() - since
    for p in processes:
        p.communicate()
    return seconds


def start(args):
    with tempfile.TemporaryDirectory() as folder:
        race_cases.write_inputs(race_cases.TINY, folder)
        with open(f"{folder}/case.json", "w") as f:
            json.dump(race_cases.TINY, f)
        rows = {}
        for name, ranks, threads in (("alone", 1, 2), ("2 ranks", 2, 1)):
            pairs = []
            for _ in range(args.pairs):
                if os.path.exists(f"{folder}/ranks"):
                    os.remove(f"{folder}/ranks")
                ours = until_first_step([command(args, ranks, "train", f"{folder}/race.yaml", "--dry-run")], threads)
                theirs = until_first_step([torch_command(folder, r, ranks, threads, "--start") for r in range(ranks)], threads)
                pairs.append((ours, theirs, theirs / ours))
            middle = [statistics.median(p) for p in zip(*pairs)]
            rows[f"start {name}"] = dict(lockstep=middle[0], torch=middle[1], ratio=middle[2], target=30 if ranks == 1 else 3)
    return rows


# ---- the file and its table -----------------------------------------------------------------------------------


def verdict(row):
    """What is missed, or nothing."""
    ratio, share = race_cases.target(row["case"])
    missed = []
    if row["ratio"] < FLOOR or (row["ratio"] < ratio and not (share and row["share"] >= share)):
        missed.append("speed")
    if row["memory"] > row["torch_memory"] / 3:
        missed.append("memory")
    return missed


def machine():
    with open("/proc/cpuinfo") as f:
        names = [line.split(":")[1].strip() for line in f if line.startswith("model name")]
    return dict(processor=names[0] if names else platform.machine(), cores=len(os.sched_getaffinity(0)), system=platform.release(),
                python=platform.python_version())


def print_races(title, rows):
    print(f"\n### {title}\n\n| model | Lockstep tokens/s | 1 rank x 2 | 2 x 1 | PyTorch tokens/s | its best | ratio | share of peak | wanted | memory MiB "
          "| PyTorch's | missed | pairs |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    for name, r in rows.items():
        ratio, share = race_cases.target(r["case"])
        wanted = f"{ratio}x" + (f" or {100 * share:.0f} %" if share else "")
        both = [f"{r['layouts'][l]:,.0f}" if l in r["layouts"] else "" for l in ("1x2", "2x1")]
        print(f"| {name} | {r['lockstep']:,.0f} | {both[0]} | {both[1]} | {r['torch']:,.0f} | {r['winner']} | {r['ratio']:.2f} | {100 * r['share']:.0f} % | "
              f"{wanted} | {r['memory'] / 2**20:.0f} | {r['torch_memory'] / 2**20:.0f} | {', '.join(verdict(r))} | {r['kept']} of {r['pairs']} |")
    worst = min(rows, key=lambda n: rows[n]["ratio"])
    missed = [n for n, r in rows.items() if verdict(r)]
    print(f"\nWorst: {worst}, {rows[worst]['ratio']:.2f}x. {len(missed)} of {len(rows)} miss what is wanted"
          + (f": {', '.join(missed)}" if missed else "") + ".")


def print_tables(result):
    m = result["machine"]
    print(f"{m['processor']}, {m['cores']} cores; {result['lockstep']}; PyTorch {result['torch']}")
    groups = {kind: {n.split("/", 1)[1]: r for n, r in result["rows"].items() if n.startswith(kind + "/")}
              for kind in ("model", "cell", "start", "generate", "other")}
    if groups["model"]:
        print_races("Models", groups["model"])
    if groups["cell"]:
        print_races("Cells", groups["cell"])
    if groups["start"]:
        print("\n### Start to first step\n\n| | Lockstep s | PyTorch s | ratio | wanted |\n|---|---|---|---|---|")
        for name, r in groups["start"].items():
            print(f"| {name} | {r['lockstep']:.3f} | {r['torch']:.3f} | {r['ratio']:.1f} | {r['target']} |")
    if groups["other"]:
        race_others.print_table(groups["other"])
    if groups["generate"]:
        print("\n### Text, token by token\n\n| model, prompts | Lockstep tokens/s | PyTorch | without cache | ratio | CPU us per token, to n | n to 4 n |\n"
              "|---|---|---|---|---|---|---|")
        for name, r in groups["generate"].items():
            plain = f"{r['torch_plain']:,.0f}" if r["torch_plain"] else ""
            print(f"| {name} | {r['lockstep']:,.0f} | {r['torch']:,.0f} | {plain} | {r['ratio']:.2f} | {r['cpu_short'] * 1e6:.0f} | "
                  + (f"{r['cpu_long'] * 1e6:.0f} |" if r["cpu_long"] else "|"))


def torch_version():
    try:
        import torch
    except ImportError:
        return None
    return torch.__version__


def load(args):
    version = subprocess.run([args.program, "--version"], check=True, capture_output=True, text=True).stdout.strip()
    result = dict(machine=machine(), lockstep=version, torch=torch_version(), rows={})
    if args.json and os.path.exists(args.json):
        with open(args.json) as f:
            old = json.load(f)
        for key in ("machine", "lockstep", "torch"):
            if old[key] != result[key]:
                raise SystemExit(f"{args.json}: measured with {key} {old[key]}, now {result[key]}; name another file")
        result["rows"] = old["rows"]
    return result


def keep(args, result, rows):
    result["rows"].update(rows)
    if args.json:
        with open(args.json + ".new", "w") as f:
            json.dump(result, f, indent=1)
        os.replace(args.json + ".new", args.json)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", nargs="?", help="lockstep, built with the preset release")
    parser.add_argument("--json", help="rows are kept there and not measured again")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1, help="of steps in each run of a pair (at least 3 steps)")
    parser.add_argument("--bound", type=float, default=60, help="seconds after which a row starts no further pair; one pair is always taken")
    parser.add_argument("--only", action="append", choices=race_cases.CASES, help="this model alone; may be repeated")
    parser.add_argument("--cells", nargs="?", const=":", metavar="FROM:TO", help="the drawn cells, or a slice of them")
    parser.add_argument("--start", action="store_true", help="time from the start to the first step of a tiny model")
    parser.add_argument("--generate", action="store_true", help="tokens/s of lockstep generate and of PyTorch with and without a cache")
    parser.add_argument("--llmc", metavar="DIR", help="a checkout of llm.c to race its CPU trainer")
    parser.add_argument("--kann", metavar="DIR", help="a checkout of kann")
    parser.add_argument("--length", type=int, default=1000, help="--generate: tokens of a text")
    parser.add_argument("--mpirun", default="mpirun", help="starts ranks, with its options")
    parser.add_argument("--draw-cells", action="store_true", help="write cells.json as the seed gives it, and end")
    args = parser.parse_args()
    if not args.program and not args.draw_cells:
        parser.error("program missing: the path of lockstep")
    return args


def main():
    args = arguments()
    if args.draw_cells:
        with open(race_cases.CELLS_FILE, "w") as f:
            f.write(race_cases.cells_text())
        return
    args.program = os.path.abspath(args.program)
    result = load(args)
    if args.start and "start/start alone" not in result["rows"]:
        keep(args, result, {f"start/{name}": row for name, row in start(args).items()})
    if args.generate:
        import race_generate
        for name in race_generate.ROWS:
            if f"generate/{name}" not in result["rows"]:
                keep(args, result, {f"generate/{name}": race_generate.race(name, args)})
    for who, checkout in (("llmc", args.llmc), ("kann", args.kann)):
        for name, case in race_others.ROWS[who].items() if checkout else ():
            if f"other/{who} {name}" not in result["rows"]:
                row = race_others.race(who, case, checkout, args, lockstep_bench, first_loss, environment, steady)
                keep(args, result, {f"other/{who} {name}": row})
    cases = {}
    if args.cells:
        every = list(race_cases.read_cells().items())
        first, _, end = args.cells.partition(":")
        cases = {f"cell/{name}": case for name, case in every[int(first or 0) : int(end or len(every))]}
    elif args.only or not (args.start or args.generate or args.llmc or args.kann):
        cases = {f"model/{name}": case for name, case in race_cases.CASES.items() if not args.only or name in args.only}
    for name, case in cases.items():
        if name not in result["rows"]:
            since = time.perf_counter()
            keep(args, result, {name: race(case, args)})
            print(f"{name}: {result['rows'][name]['ratio']:.2f}x, {time.perf_counter() - since:.0f} s", file=sys.stderr, flush=True)
    print_tables(result)


if __name__ == "__main__":
    main()
