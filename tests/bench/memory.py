#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""memory.py PROGRAM [--ranks N] [--only MODEL ...] [--json FILE]: peak memory of a whole job of Lockstep and of PyTorch's
DistributedDataParallel over gloo, with as many processes of one thread, on this machine, for models of race.py: the same weights' shapes,
batch and optimizer (Adam).

A page that several processes map counts once; libraries too. "planned" is what `train --dry-run` says before it starts, times the
ranks: parameters and moments once per node, gradients and activations of every rank. Beside it stand what the processes take
besides (measured less planned) and the largest rank. This Python needs torch, numpy and h5py."""
import argparse
import json
import os
import re
import subprocess
import tempfile

import race
import race_cases

DEFAULT = ("gpt_384x6", "lstm_512x2")


def planned_mib(args, folder):
    """Of all ranks together."""
    run = subprocess.run(race.command(args, args.ranks, "train", f"{folder}/race.yaml", "--dry-run", f"run.dir={folder}/none"),
                         env=race.environment(1), check=True, capture_output=True, text=True)
    found = re.search(r"memory per rank ([0-9.]+) (KiB|MiB|GiB)", run.stdout + run.stderr)
    if not found:
        raise SystemExit(f"train --dry-run says nothing of memory:\n{run.stdout}{run.stderr}")
    return args.ranks * float(found[1]) * {"KiB": 1 / 1024, "MiB": 1, "GiB": 1024}[found[2]]


def ours(args, folder):
    run = subprocess.run(race.command(args, args.ranks, "bench", f"{folder}/race.yaml", "--json", "--steps", "2"),
                         env=race.environment(1), check=True, stdout=subprocess.PIPE)
    said = json.loads(run.stdout)
    return said["job_memory_bytes"] / 2**20, said["peak_memory_bytes"] / 2**20


def theirs(args, folder):
    job = race.Torch(folder, args.ranks, 1)
    version = job.listen()[0]["version"]
    said = job.measure("fused", 2, False)
    job.close()
    return said["memory"] / 2**20, version


def main():
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("program", help="lockstep, built with the preset release")
    words.add_argument("--ranks", type=int, default=4)
    words.add_argument("--only", action="append", choices=race_cases.CASES, help=f"may be repeated; otherwise {' and '.join(DEFAULT)}")
    words.add_argument("--json", help="rows are written there")
    words.add_argument("--mpirun", default="mpirun --bind-to none --oversubscribe")
    args = words.parse_args()
    args.program = os.path.abspath(args.program)
    if args.ranks < 2:
        words.error("--ranks: at least 2")
    result = {}
    print(f"| model, {args.ranks} ranks | Lockstep MiB | planned MiB | besides, a rank | largest rank | DDP MiB | DDP / Lockstep |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in args.only or DEFAULT:
        with tempfile.TemporaryDirectory() as folder:
            case = race_cases.CASES[name]
            race_cases.write_inputs(case, folder)
            with open(f"{folder}/case.json", "w") as f:
                json.dump(case, f)
            planned, (job, largest), (ddp, version) = planned_mib(args, folder), ours(args, folder), theirs(args, folder)
        result[name] = dict(ranks=args.ranks, lockstep_mib=job, planned_mib=planned, largest_rank_mib=largest, ddp_mib=ddp, torch=version)
        print(f"| {name} | {job:.0f} | {planned:.0f} | {(job - planned) / args.ranks:.0f} | {largest:.0f} | {ddp:.0f} | {ddp / job:.2f} |", flush=True)
    print(f"\nPyTorch {version}")
    if args.json:
        with open(args.json, "w") as f:
            json.dump(result, f, indent=1)


main()
