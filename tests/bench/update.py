#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Everything behind backward, in Lockstep and in PyTorch's DistributedDataParallel over gloo, side by side on this machine.

    update.py RANK_UPDATE [COUNT ...] [--rounds N] [--pairs N]

RANK_UPDATE is the program of tests/distributed/rank_update.c (cmake --build DIR --target rank_update): two ranks sum a
gradient of COUNT floats, check it, clip it and take one Adam step. Two processes of DDP, one thread each, do the same:
backward of a model whose gradients cost next to nothing with the sum, less that backward alone (no_sync), then the norm with
error_if_nonfinite, clipping and Adam, default and fused. Both take turns, --pairs times; medians, and what one process of each holds."""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

PIECE = 1 << 20


def torch_side(folder, rank, count, rounds):
    import torch
    from torch import nn

    class Flat(nn.Module):
        """Parameters in pieces of at most 4 MiB, each read once: the gradient of their sums is a fill."""

        def __init__(self):
            super().__init__()
            self.piece = nn.ParameterList(nn.Parameter(torch.zeros(min(PIECE, count - i))) for i in range(0, count, PIECE))

        def forward(self, x):
            return sum((p.sum() for p in self.piece)) * x

    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/ranks", rank=rank, world_size=2)
    model = Flat()
    wrapped = nn.parallel.DistributedDataParallel(model, gradient_as_bucket_view=True)
    answer = {}
    for fused in (False, True):
        adam, alone, whole = torch.optim.Adam(model.parameters(), lr=1e-3, fused=fused), [], []
        for i in range(rounds + 2):
            with wrapped.no_sync():
                adam.zero_grad(set_to_none=False)
                loss = wrapped(torch.tensor(1e-3))
                torch.distributed.barrier()
                since = time.perf_counter()
                loss.backward()
                alone.append(time.perf_counter() - since)
            adam.zero_grad(set_to_none=False)
            loss = wrapped(torch.tensor(1e-3))
            torch.distributed.barrier()
            since = time.perf_counter()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True)
            adam.step()
            whole.append(time.perf_counter() - since)
        answer["fused" if fused else "default"] = statistics.median(whole[2:]) - statistics.median(alone[2:])
    with open("/proc/self/status") as f:
        answer["memory"] = next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmHWM"))
    answer["version"] = torch.__version__
    if rank == 0:
        print(json.dumps(answer))
    torch.distributed.destroy_process_group()


def ours(program, count, rounds):
    said = subprocess.run(["mpirun", "-n", "2", program, str(count), str(rounds)], env=dict(os.environ, OMP_NUM_THREADS="1"),
                          capture_output=True, text=True, timeout=600)
    found = re.search(r"all ([0-9.]+) ", said.stdout)
    if said.returncode or not found:
        sys.exit(f"update.py: {program} ended with {said.returncode}: {said.stdout}{said.stderr}")
    return float(found[1]), float(re.search(r"MPI_Allreduce and Adam ([0-9.]+) ", said.stdout)[1]), re.search(r": ([0-9]+) %", said.stdout)[1]


def theirs(count, rounds):
    with tempfile.TemporaryDirectory() as folder:
        jobs = [subprocess.Popen([sys.executable, __file__, "--torch", folder, str(rank), str(count), str(rounds)],
                                 env=dict(os.environ, OMP_NUM_THREADS="1"), stdout=subprocess.PIPE, text=True) for rank in range(2)]
        said = [job.communicate(timeout=600)[0] for job in jobs]
    if any(job.returncode for job in jobs):
        sys.exit("update.py: PyTorch's processes failed, see above")
    return json.loads(said[0])


def main():
    if sys.argv[1:2] == ["--torch"]:
        return torch_side(sys.argv[2], *map(int, sys.argv[3:6]))
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("program", metavar="RANK_UPDATE")
    words.add_argument("count", metavar="COUNT", nargs="*", type=int, default=[1_000_000, 10_800_000, 100_000_000])
    words.add_argument("--rounds", type=int, default=9)
    words.add_argument("--pairs", type=int, default=3)
    args = words.parse_args()
    print("| floats | Lockstep ms | of memory's rate | MPI_Allreduce + Adam ms | DDP default ms | DDP fused ms | ratio to the best DDP |")
    print("|---|---|---|---|---|---|---|")
    for count in args.count:
        mine, other = [], []
        for _ in range(args.pairs):
            mine.append(ours(args.program, count, args.rounds))
            other.append(theirs(count, args.rounds))
        ms = [statistics.median(m[i] for m in mine) for i in range(2)]
        ddp = {k: statistics.median(o[k] for o in other) * 1e3 for k in ("default", "fused")}
        print(f"| {count:,} | {ms[0]:.2f} | {mine[-1][2]} % | {ms[1]:.2f} | {ddp['default']:.1f} | {ddp['fused']:.1f} | "
              f"{min(ddp.values()) / ms[0]:.1f} |", flush=True)
    print(f"\nPyTorch {other[0]['version']}")


if __name__ == "__main__":
    main()
