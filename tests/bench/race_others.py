# SPDX-License-Identifier: MIT
"""Lockstep beside other trainers in C: llm.c's CPU trainer and kann, from checkouts that the user points to. race.py calls it.

Nothing is written into a checkout: what is compiled is a copy of its sources in a temporary directory, with a main of ours
(race_llmc.c, race_kann.c), by the checkout's own Makefile. Python alone suffices.

llm.c reads a model from a checkpoint file and ids from a token file; its main fixes 4 sequences of 64 steps, a library call does
not. Its limits: the feed-forward network has 4 d features, the head is the embedding's matrix without a bias, positions are
learned, GELU is the tanh form (Lockstep's here is the exact one), ids fit 16 bits. It pads the vocabulary to a multiple of 128 in the
checkpoints that it makes, but its CPU code takes any: here it is not padded. Both start from the same weights, and their first
losses must be equal.

kann has no embedding and no Adam: both sides read one-hot ids, kann steps with RMSprop. Its forget gates start at 1: the
first loss must be near that of chance, as both's. It is compiled with OpenBLAS too where pkg-config knows it; the best counts."""
import json
import math
import os
import random
import re
import shutil
import statistics
import struct
import subprocess
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROWS = {
    "llmc": {"gpt_128x4": dict(V=65, E=128, heads=4, L=4, B=12, T=64), "gpt_384x6": dict(V=65, E=384, heads=6, L=6, B=8, T=256)},
    "kann": {"lstm_128x2": dict(V=65, H=128, L=2, B=50, T=50)},
}
NAMES = {"llmc": "llm.c", "kann": "kann"}
BATCHES = 8


# ---- what both sides read -----------------------------------------------------------------------------------


def model_lines(who, case):
    if who == "kann":
        return ["  - one_hot: {name: emb}", f"  - lstm: {{name: rnn, hidden_size: {case['H']}, num_layers: {case['L']}}}", "  - linear: {name: fc}"]
    return [f"  - embedding: {{name: emb, embedding_dim: {case['E']}}}", "  - positional_encoding: {name: pos, kind: learned}",
            f"  - transformer_encoder: {{name: enc, nhead: {case['heads']}, num_layers: {case['L']}, dim_feedforward: {4 * case['E']}, "
            "dropout: 0, activation: gelu, norm_first: true, causal: true, norm: true}", "  - linear: {name: fc, tie: emb, bias: false}"]


def write_inputs(who, case, folder):
    """tokens.bin for Lockstep and kann, llmc.bin with llm.c's header, race.yaml. The last id of the vocabulary occurs."""
    draw = random.Random(0).random
    ids = [case["V"] - 1]
    for _ in range(BATCHES * case["B"] * case["T"]):  # one of two may follow: something to learn
        ids.append((3 * ids[-1] + int(2 * draw())) % case["V"])
    packed = struct.pack(f"<{len(ids)}H", *ids)
    with open(f"{folder}/tokens.bin", "wb") as f:
        f.write(packed)
    with open(f"{folder}/llmc.bin", "wb") as f:
        f.write(struct.pack("<256i", 20240520, 1, len(ids), *[0] * 253))
        f.write(packed)
    with open(f"{folder}/race.yaml", "w") as f:
        f.write(f"run: {{dir: {folder}/run, init: {'gpt2' if who == 'llmc' else 'torch'}}}\n"
                f"data: {{kind: tokens, path: {folder}/tokens.bin, seq_len: {case['T']}, validation: 0, shuffle: false}}\nmodel:\n")
        f.write("\n".join(model_lines(who, case)))
        f.write(f"\noptimizer: {{lr: 1.0e-4}}\ntrain: {{batch_size: {case['B']}}}\n")


def read_safetensors(path):
    """The bytes of each tensor."""
    with open(path, "rb") as f:
        header = json.loads(f.read(struct.unpack("<Q", f.read(8))[0]))
        data = f.read()
    return {name: data[slice(*about["data_offsets"])] for name, about in header.items() if name != "__metadata__"}


def write_llmc_weights(args, case, folder, environment):
    """The state after some large steps, so that every weight tells, as weights.h5 for Lockstep and model.bin for llm.c."""
    quiet = dict(env=environment(2), check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    subprocess.run([args.program, "train", f"{folder}/race.yaml", "train.steps=8", "optimizer.lr=3e-3"], **quiet)
    shutil.copyfile(f"{folder}/run/checkpoints/last.h5", f"{folder}/weights.h5")
    subprocess.run([args.program, "export", f"{folder}/weights.h5", "-o", f"{folder}/weights.safetensors"], **quiet)
    weight, layers = read_safetensors(f"{folder}/weights.safetensors"), range(case["L"])
    parts = [weight["emb.weight"], weight["pos.weight"]]
    for inner in ("norm1", "self_attn.in_proj", "self_attn.out_proj", "norm2", "linear1", "linear2"):
        for kind in ("weight", "bias"):
            joint = "_" if inner.endswith("in_proj") else "."
            parts += [weight[f"enc.layers.{l}.{inner}{joint}{kind}"] for l in layers]
    parts += [weight["enc.norm.weight"], weight["enc.norm.bias"]]
    with open(f"{folder}/model.bin", "wb") as f:
        header = [20240326, 3, case["T"], case["V"], case["L"], case["heads"], case["E"], case["V"]]
        f.write(struct.pack("<256i", *header, *[0] * (256 - len(header))))
        for part in parts:
            f.write(part)


# ---- the others' programs -----------------------------------------------------------------------------------


def make(folder, *words):
    run = subprocess.run(["make", "-C", folder, *words], env=dict(os.environ, CI="true"), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if run.returncode:
        raise SystemExit(f"make {' '.join(words)} in a copy of the checkout failed:\n{run.stdout}")


def copy_checkout(checkout, folder, wanted):
    missing = [name for name in wanted if not os.path.exists(f"{checkout}/{name}")]
    if missing:
        raise SystemExit(f"{checkout}: no {', '.join(missing)}; name the root of a checkout")
    os.makedirs(folder)
    for name in wanted:
        (shutil.copytree if os.path.isdir(f"{checkout}/{name}") else shutil.copyfile)(f"{checkout}/{name}", f"{folder}/{name}")


def copy_program(name, folder, to):
    shutil.copyfile(f"{HERE}/{name}", f"{folder}/{to}")
    shutil.copyfile(f"{HERE}/race_timing.h", f"{folder}/race_timing.h")


def build_llmc(checkout, folder):
    copy_checkout(checkout, f"{folder}/llmc_copy", ["Makefile", "train_gpt2.c", "llmc"])
    copy_program("race_llmc.c", f"{folder}/llmc_copy", "test_gpt2.c")
    make(f"{folder}/llmc_copy", "test_gpt2")
    return {"2 threads": f"{folder}/llmc_copy/test_gpt2"}


def build_kann(checkout, folder):
    """With -O3 and this machine's instructions, which its Makefile leaves to the user, and with OpenBLAS where it is."""
    programs = {}
    for name, package in (("2 threads", None), ("2 threads, OpenBLAS", "openblas")):
        flags = subprocess.run(["pkg-config", "--cflags", "--libs", package], capture_output=True, text=True) if package else None
        if flags and flags.returncode:
            continue
        copy = f"{folder}/kann_copy_{package}"
        copy_checkout(checkout, copy, ["Makefile", "kann.c", "kann.h", "kautodiff.c", "kautodiff.h"])
        os.makedirs(f"{copy}/examples")
        copy_program("race_kann.c", f"{copy}/examples", "textgen.c")
        blas = f" {flags.stdout.strip()}" if flags else ""
        make(copy, "examples/textgen", "CFLAGS=-O3 -march=native", f"CPPFLAGS=-DHAVE_PTHREAD{' -DHAVE_CBLAS' if blas else ''}{blas}",
             f"LIBS=-lpthread -lm{blas}")
        programs[name] = f"{copy}/examples/textgen"
    return programs


def run_other(who, case, folder, program, steps):
    """Losses, seconds a step (the middle one, the first aside) and peak memory."""
    sizes = {"llmc": ["B", "T"], "kann": ["V", "H", "L", "B", "T"]}[who]
    files = [f"{folder}/model.bin", f"{folder}/llmc.bin"] if who == "llmc" else [f"{folder}/tokens.bin"]
    command = [program, *files, *(str(case[size]) for size in sizes), str(steps + 1)] + (["2"] if who == "kann" else [])
    # BLAS beside kann's own two threads would be one too many.
    environment = dict(os.environ, OMP_NUM_THREADS="2", OPENBLAS_NUM_THREADS="1")
    if who == "kann":
        environment["OMP_NUM_THREADS"] = "1"
    text = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True).stdout
    said = [(float(loss), float(seconds)) for loss, seconds in re.findall(r"^step (\S+) (\S+)$", text, re.M)]
    return dict(losses=[loss for loss, _ in said], seconds=statistics.median(seconds for _, seconds in said[1:]),
                memory=int(re.search(r"^memory (\d+)$", text, re.M).group(1)))


# ---- one row ------------------------------------------------------------------------------------------------


def check_losses(who, case, ours, theirs):
    chance = math.log(case["V"])
    same = abs(ours - theirs) <= 5e-4 if who == "llmc" else abs(ours - chance) < 0.5 and abs(theirs - chance) < 0.5
    if not same:
        raise SystemExit(f"{case}: the first losses differ: {ours} and {NAMES[who]}'s {theirs} (chance: {chance:.4f})")


def race(who, case, checkout, args, lockstep_bench, first_loss, environment, steady):
    until = time.perf_counter() + args.bound
    with tempfile.TemporaryDirectory() as folder:
        write_inputs(who, case, folder)
        programs = {"llmc": build_llmc, "kann": build_kann}[who](os.path.abspath(checkout), folder)
        if who == "llmc":
            write_llmc_weights(args, case, folder, environment)
        heat = {name: run_other(who, case, folder, program, 1) for name, program in programs.items()}
        winner = min(heat, key=lambda name: heat[name]["seconds"])
        loss = first_loss(args, folder) if who == "llmc" else first_loss(args, folder, None)
        check_losses(who, case, loss, heat[winner]["losses"][0])
        layouts = ["1x2", "2x1"] if shutil.which(args.mpirun.split()[0]) else ["1x2"]
        steps = {l: max(3, int(args.seconds * 1e3 / lockstep_bench(args, folder, l, 1)["step_ms"])) for l in layouts}
        theirs_steps, tokens, pairs = max(2, int(args.seconds / heat[winner]["seconds"])), case["B"] * case["T"], []
        while not pairs or (len(steady(pairs)) < args.pairs and len(pairs) < 2 * args.pairs and time.perf_counter() < until):
            ours = {l: lockstep_bench(args, folder, l, steps[l]) for l in layouts}
            other = run_other(who, case, folder, programs[winner], theirs_steps)
            best, rate = max(layouts, key=lambda l: ours[l]["tokens_per_s"]), tokens / other["seconds"]
            pairs.append(dict(probes=[p for o in ours.values() for p in (o["sgemm_peak_gflops"], o["memory_gbytes_per_s"])],
                              lockstep=ours[best]["tokens_per_s"], other=rate, ratio=ours[best]["tokens_per_s"] / rate,
                              memory=ours[best]["job_memory_bytes"], other_memory=other["memory"]))
    kept = steady(pairs) or pairs
    row = {key: statistics.median(p[key] for p in kept) for key in ("ratio", "lockstep", "other", "memory", "other_memory")}
    return dict(row, who=NAMES[who], built=winner, losses=[loss, heat[winner]["losses"][0]], kept=len(steady(pairs)), pairs=len(pairs), case=case)


def print_table(rows):
    print("\n### Other trainers in C\n\n| model | beside | Lockstep tokens/s | theirs | ratio | memory MiB | theirs | first loss | theirs | pairs |\n"
          "|---|---|---|---|---|---|---|---|---|---|")
    for name, r in rows.items():
        print(f"| {name.split(' ', 1)[1]} | {r['who']}, {r['built']} | {r['lockstep']:,.0f} | {r['other']:,.0f} | {r['ratio']:.2f} | {r['memory'] / 2**20:.0f} | "
              f"{r['other_memory'] / 2**20:.0f} | {r['losses'][0]:.4f} | {r['losses'][1]:.4f} | {r['kept']} of {r['pairs']} |")
