#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""order.py PROGRAM [--only WHAT ...] [--rounds N] [--steps N] [--json FILE]: what the fixed order of sums costs, how a second
rank scales, and what ranks beyond the cores cost. The runs of a round take turns; the ratio of each round's median steps is what counts,
and the median over the rounds is printed, with all of them from least to most. Rows of Markdown; --json keeps every round.

    shards   GPT 384 x 6, batch 8, 1 rank: train.shards=8 against 1, with 1 and 2 threads (wanted: below 1.10); CPU time (user and
             system) beside, which a busy machine changes less. Between ranks that says nothing: waiting takes CPU time too
    weak     GPT 384 x 6, 4 sequences a rank, 1 thread each: step of 1 rank alone / step of 2 (wanted: at least 0.95). Beside it the step of
             2 jobs of 1 rank at once, which share memory and the clock of the cores, but wait for nobody: what is lost against those
             alone is Lockstep's
    reduce   GPT 384 x 6, batch 8, 2 ranks, 2 shards: the share of a step that is neither data, forward, backward nor optimizer, of
             the rank where it is longest: what it waits for the other one is in it (wanted: below 0.03)
    ranks    a small RNN and LSTM 128 x 2, train.shards=8: 8 ranks of 1 thread against 2 (wanted on 2 cores: below 1.5)
"""
import argparse
import json
import os
import resource
import shlex
import statistics
import subprocess
import tempfile

GPT = """model:
  - embedding: {name: emb, embedding_dim: 384}
  - positional_encoding: {kind: learned}
  - transformer_encoder: {nhead: 6, num_layers: 6, dim_feedforward: 1536, dropout: 0, activation: gelu, norm_first: true, causal: true, norm: true}
  - linear: {tie: emb, bias: false}
optimizer: {name: adamw}
train: {batch_size: 8, clip_norm: 1}
"""
LSTM = """model: [embedding: {embedding_dim: 128}, lstm: {hidden_size: 128, num_layers: 2}, linear: {}]
train: {batch_size: 48}
"""
SMALL = """model: [embedding: {embedding_dim: 8}, rnn: {hidden_size: 16}, linear: {}]
train: {batch_size: 8}
"""
WHATS = ("shards", "weak", "reduce", "ranks")


class Bench:
    """How `lockstep bench` runs here."""

    def __init__(self, options, folder):
        self.program, self.mpirun, self.bound = os.path.abspath(options.program), shlex.split(options.mpirun), options.bound
        self.folder = folder

    def words(self, config, steps, ranks=0, **keys):
        """Of a job; no launcher where ranks is 0."""
        start = [*self.mpirun, "-n", str(ranks)] if ranks else []
        return [*start, self.program, "bench", f"{self.folder}/{config}.yaml", *(f"train.{k}={v}" for k, v in keys.items()), "--json", "--steps", str(steps)]

    def start(self, words, threads):
        return subprocess.Popen(words, env=dict(os.environ, OMP_NUM_THREADS=str(threads)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def finish(self, job):
        try:
            out, err = job.communicate(timeout=self.bound)
        except subprocess.TimeoutExpired:
            job.kill()
            raise SystemExit(f"{shlex.join(job.args)}: not done after {self.bound:g} s (--bound)")
        if job.returncode != 0:
            raise SystemExit(f"{shlex.join(job.args)}: exit {job.returncode}\n{err}")
        return json.loads(out)

    def run(self, words, threads=1):
        return self.finish(self.start(words, threads))

    def cpu_of_step(self, words, threads, steps):
        """Figures, and CPU milliseconds of a step: of the steps beyond those of a shorter run, so that the start does not count."""
        taken, few = [], max(1, steps // 3)
        for count in (few, steps):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            figures = self.run([*words[:-1], str(count)], threads)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime))
        return figures, (taken[1] - taken[0]) / max(1, steps - few)


def row(result, name, base, other, ratios, wanted, rounds, beside=""):
    """Keeps a row and prints it; base and other are milliseconds of each round."""
    middle = {k: statistics.median(v) for k, v in (("base_ms", base), ("other_ms", other), ("ratio", ratios))}
    result[name] = dict(middle, ratios=ratios, wanted=wanted, rounds=rounds)
    every = ", ".join(f"{r:.3f}" for r in sorted(ratios))
    print(f"| {name} | {middle['base_ms']:.3f} | {middle['other_ms']:.3f} | {middle['ratio']:.3f} | {every} | {wanted} | {beside} |", flush=True)


def shards(bench, options, result):
    for threads in (1, 2):
        wall, cpu = [], []
        for _ in range(options.rounds):
            pair = [bench.cpu_of_step(bench.words("gpt", options.steps, shards=n), threads, options.steps) for n in (1, 8)]
            wall.append([figures["step_ms"] for figures, _ in pair])
            cpu.append(pair[1][1] / pair[0][1] if pair[0][1] > 0 else float("nan"))
        row(result, f"GPT 384x6, {threads} thread(s), shards 1 -> 8", [w[0] for w in wall], [w[1] for w in wall], [w[1] / w[0] for w in wall],
            "< 1.10", wall, f"CPU time {statistics.median(cpu):.3f}")


def weak(bench, options, result):
    one, two = bench.words("gpt", options.steps, batch_size=4), bench.words("gpt", options.steps, 2, batch_size=8)
    rounds = []
    for _ in range(options.rounds):
        alone, together = bench.run(one)["step_ms"], bench.run(two)["step_ms"]
        jobs = [bench.start(one, 1) for _ in range(2)]
        rounds.append((alone, together, statistics.mean(bench.finish(job)["step_ms"] for job in jobs)))
    alone, together, apart = zip(*rounds)
    row(result, "GPT 384x6, 4 sequences a rank, 1 rank -> 2", alone, together, [a / t for a, t in zip(alone, together)], ">= 0.95", rounds)
    row(result, "the same, 2 jobs at once -> 2 ranks", apart, together, [a / t for a, t in zip(apart, together)], ">= 0.95", rounds)


def reduce(bench, options, result):
    rounds = []
    for _ in range(options.rounds):
        figures = bench.run(bench.words("gpt", options.steps, 2, shards=2))
        rounds.append((figures["step_ms"], figures["phases"]["reduce"] + figures["phases"]["exchange_exposed"]))
    step, exposed = zip(*rounds)
    row(result, "GPT 384x6, 2 ranks, 2 shards: step -> reduce in it", step, exposed, [e / s for e, s in zip(exposed, step)], "< 0.03", rounds)


def ranks(bench, options, result):
    for name, config, steps in (("small RNN", "small", 100 * options.steps), ("LSTM 128x2", "lstm", 2 * options.steps)):
        rounds = [[bench.run(bench.words(config, steps, n, shards=8))["step_ms"] for n in (2, 8)] for _ in range(options.rounds)]
        row(result, f"{name}, 8 shards, ranks 2 -> 8", [r[0] for r in rounds], [r[1] for r in rounds], [r[1] / r[0] for r in rounds], "< 1.5", rounds)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--only", action="append", choices=WHATS, help="may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="of the GPT; the LSTM takes twice, the small RNN 100 times as many")
    parser.add_argument("--bound", type=float, default=300, help="seconds of one run")
    parser.add_argument("--text", help="a file of text; without it one is made")
    parser.add_argument("--mpirun", default="mpirun --bind-to none --oversubscribe")
    parser.add_argument("--json", help="rows are written there")
    options = parser.parse_args()
    result = {}
    with tempfile.TemporaryDirectory() as here:
        text = os.path.abspath(options.text) if options.text else os.path.join(here, "text.txt")
        if not options.text:
            with open(text, "w") as f:
                f.writelines(f"{(i * 7919) % 10007} moons and {(i * 104729) % 997} seas\n" for i in range(20000))
        for name, model, length in (("gpt", GPT, 256), ("lstm", LSTM, 50), ("small", SMALL, 8)):
            with open(f"{here}/{name}.yaml", "w") as f:
                f.write(f"data: {{kind: text, path: {json.dumps(text)}, seq_len: {length}, validation: 0}}\n{model}")
        print("| what | from ms | to ms | ratio | of each round | wanted | |\n|---|---|---|---|---|---|---|", flush=True)
        for what in options.only or WHATS:
            globals()[what](Bench(options, here), options, result)
    if options.json:
        with open(options.json, "w") as f:
            json.dump(result, f, indent=1)


main()
