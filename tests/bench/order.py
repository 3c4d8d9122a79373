#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""order.py PROGRAM [--rounds N] [--steps N] [--text FILE] [--mpirun COMMAND]: what the fixed order of sums costs, and what
ranks beyond the cores cost. Pairs of runs take turns; the ratio of each pair's median steps is what counts, their
median over the rounds is printed, for shards with CPU time (user and system) beside, which a busy machine changes less.
Between ranks that says nothing, since waiting takes CPU time too.

    shards   GPT 384 x 6, batch 8, 1 rank: train.shards=8 against 1, with 1 and 2 threads (wanted: below 1.10)
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


def measured(command, threads):
    """Milliseconds of a step, and CPU milliseconds of one: of the steps beyond those of a shorter run, so that the start does not count."""
    environment = dict(os.environ, OMP_NUM_THREADS=str(threads))
    taken = []
    for steps in command["steps"]:
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        run = subprocess.run(command["words"] + ["--json", "--steps", str(steps)], env=environment, capture_output=True, text=True)
        if run.returncode != 0:
            raise SystemExit(f"{shlex.join(command['words'])}: exit {run.returncode}\n{run.stderr}")
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append((json.loads(run.stdout)["step_ms"], 1e3 * (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)))
    return taken[1][0], (taken[1][1] - taken[0][1]) / (command["steps"][1] - command["steps"][0])


def compare(name, base, other, threads, rounds):
    wall, cpu, steps = [], [], []
    for _ in range(rounds):
        (w1, c1), (w2, c2) = measured(base, threads), measured(other, threads)
        wall.append(w2 / w1)
        cpu.append(c2 / c1 if c1 > 0 else float("nan"))
        steps.append((w1, w2))
    first, second = (statistics.median(s[i] for s in steps) for i in (0, 1))
    beside = f"; CPU time {statistics.median(cpu):.3f}" if name.startswith("shards") else ""
    print(f"{name}: step {first:.3f} -> {second:.3f} ms, ratio {statistics.median(wall):.3f} (from {min(wall):.3f} to {max(wall):.3f}){beside}", flush=True)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=6, help="of the GPT; the others take more")
    parser.add_argument("--text", help="a file of text; without it one is made")
    parser.add_argument("--mpirun", default="mpirun --bind-to none --oversubscribe")
    parser.add_argument("--only", choices=("shards", "ranks"))
    options = parser.parse_args()
    program = os.path.abspath(options.program)
    text = os.path.abspath(options.text) if options.text else None
    with tempfile.TemporaryDirectory() as here:
        os.chdir(here)
        if not text:
            text = os.path.join(here, "text.txt")
            with open(text, "w") as f:
                f.writelines(f"{(i * 7919) % 10007} moons and {(i * 104729) % 997} seas\n" for i in range(20000))
        for name, model, length in (("gpt", GPT, 256), ("lstm", LSTM, 50), ("small", SMALL, 8)):
            with open(f"{name}.yaml", "w") as f:
                f.write(f"data: {{kind: text, path: {json.dumps(text)}, seq_len: {length}, validation: 0}}\n{model}")

        def command(config, shards, steps, ranks=0):
            words = shlex.split(options.mpirun) + ["-n", str(ranks)] if ranks else []
            return {"words": words + [program, "bench", f"{config}.yaml", f"train.shards={shards}"], "steps": (max(1, steps // 3), steps)}

        for threads in (1, 2) if options.only != "ranks" else ():
            compare(f"shards 1 -> 8, {threads} thread(s), gpt", command("gpt", 1, options.steps), command("gpt", 8, options.steps), threads, options.rounds)
        for config, steps in (("small", 3000), ("lstm", 30)) if options.only != "shards" else ():
            compare(f"ranks 2 -> 8, {config}", command(config, 8, steps, 2), command(config, 8, steps, 8), 1, options.rounds)


main()
