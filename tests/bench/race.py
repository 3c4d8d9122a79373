#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""A race against PyTorch: the same models, data, batches and optimizer, full training steps.

    python3 tests/bench/race.py build/release/lockstep [--pairs 7] [--seconds 3] [--threads 2] [--only NAME] [--json FILE]

needs torch, numpy and h5py in this Python. Lockstep and PyTorch run in turn; a pair counts if the matrix-product
peak that `lockstep bench` measures stayed within 10 % of the run's median; the median of the ratios is the result.
PyTorch gets its threads, denormals flushed, and both the default and the fused Adam: the better one counts."""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

CASES = {
    # name: kind, sizes. V vocabulary, E embedding, H hidden, L layers, B batch, T steps
    "lstm_512x2": dict(cell="lstm", V=65, E=512, H=512, L=2, B=32, T=128),
    "rnn_256": dict(cell="rnn", V=65, E=128, H=256, L=1, B=32, T=64),
    "gru_128_both_classifier": dict(cell="gru", V=10000, E=128, H=128, L=1, B=64, T=100, both=True, classes=5),
    "lstm_128x2": dict(cell="lstm", V=65, E=128, H=128, L=2, B=50, T=50),
    "encoder_256x4": dict(encoder=True, V=65, E=256, heads=8, L=4, ff=1024, B=32, T=128),
    "gpt_128x4": dict(encoder=True, V=65, E=128, heads=4, L=4, ff=512, B=12, T=64, causal=True),
    "gpt_384x6": dict(encoder=True, V=65, E=384, heads=6, L=6, ff=1536, B=8, T=256, causal=True),
    "gpt_256x2_32000": dict(encoder=True, V=32000, E=256, heads=4, L=2, ff=1024, B=8, T=128, causal=True),
}


def layers(case):
    yield f"  - embedding: {{embedding_dim: {case['E']}}}"
    if case.get("encoder"):
        causal = str(case.get("causal", False)).lower()
        yield (f"  - transformer_encoder: {{nhead: {case['heads']}, num_layers: {case['L']}, dim_feedforward: {case['ff']}, "
               f"dropout: 0, norm_first: {causal}, causal: {causal}, norm: {causal}}}")
    else:
        both = str(case.get("both", False)).lower()
        yield f"  - {case['cell']}: {{hidden_size: {case['H']}, num_layers: {case['L']}, bidirectional: {both}}}"
    if case.get("classes"):
        yield "  - select: final"
    yield "  - linear"


def write_inputs(case, folder):
    """Random ids as a `sequences` file, the config beside it."""
    import h5py
    import numpy as np
    random = np.random.default_rng(0)
    n = 8 * case["B"]
    ids = random.integers(0, case["V"], (n, case["T"] + 1), dtype=np.int32)
    classes = case.get("classes")
    with h5py.File(f"{folder}/data.h5", "w") as f:
        f["inputs"] = ids[:, :-1]
        f["targets"] = random.integers(0, classes, n, dtype=np.int32) if classes else ids[:, 1:]
        f.attrs["num_classes"] = classes or case["V"]
        f.attrs["num_embeddings"] = case["V"]
    with open(f"{folder}/race.yaml", "w") as f:
        f.write(f"data: {{kind: sequences, path: {folder}/data.h5, validation: 0, shuffle: false}}\nmodel:\n")
        f.write("\n".join(layers(case)))
        f.write(f"\ntrain: {{batch_size: {case['B']}}}\n")
    return ids, classes


def lockstep_run(program, folder, threads, seconds, step_ms):
    steps = max(3, int(seconds * 1e3 / step_ms))
    env = dict(os.environ, OMP_NUM_THREADS=str(threads))
    out = subprocess.run([program, "bench", f"{folder}/race.yaml", "--json", "--steps", str(steps)], env=env, check=True, capture_output=True)
    return json.loads(out.stdout)


def torch_model(case):
    import torch
    from torch import nn

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.emb = nn.Embedding(case["V"], case["E"])
            both = case.get("both", False)
            self.rnn = getattr(nn, case["cell"].upper())(case["E"], case["H"], case["L"], batch_first=True, bidirectional=both)
            self.fc = nn.Linear(case["H"] * (2 if both else 1), case.get("classes") or case["V"])

        def forward(self, ids):
            out, state = self.rnn(self.emb(ids))
            return self.fc(torch.cat([state[-2], state[-1]], 1) if case.get("classes") else out)

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            causal = case.get("causal", False)
            self.emb = nn.Embedding(case["V"], case["E"])
            layer = nn.TransformerEncoderLayer(case["E"], case["heads"], case["ff"], 0.0, batch_first=True, norm_first=causal)
            self.enc = nn.TransformerEncoder(layer, case["L"], norm=nn.LayerNorm(case["E"]) if causal else None, enable_nested_tensor=False)
            self.fc = nn.Linear(case["E"], case["V"])
            self.mask = nn.Transformer.generate_square_subsequent_mask(case["T"]) if causal else None

        def forward(self, ids):
            return self.fc(self.enc(self.emb(ids), mask=self.mask, is_causal=self.mask is not None))

    return Encoder() if case.get("encoder") else Recurrent()


class Torch:
    def __init__(self, case, ids, classes, fused):
        import torch
        self.torch = torch
        torch.manual_seed(0)
        self.model = torch_model(case)
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=fused)
        self.loss = torch.nn.CrossEntropyLoss()
        batch = torch.from_numpy(ids[: case["B"]]).long()
        self.x = batch[:, :-1].contiguous()
        self.y = torch.randint(0, classes, (case["B"],)) if classes else batch[:, 1:].reshape(-1)
        self.tokens = case["B"] * case["T"]

    def step(self):
        self.optimizer.zero_grad(set_to_none=True)
        logits = self.model(self.x)
        loss = self.loss(logits.reshape(-1, logits.shape[-1]), self.y)
        loss.backward()
        self.optimizer.step()

    def tokens_per_s(self, seconds):
        times, until = [], time.perf_counter() + seconds
        while len(times) < 3 or time.perf_counter() < until:
            since = time.perf_counter()
            self.step()
            times.append(time.perf_counter() - since)
        return self.tokens / statistics.median(times)


def race(name, case, args):
    with tempfile.TemporaryDirectory() as folder:
        ids, classes = write_inputs(case, folder)
        rivals = {"fused Adam": Torch(case, ids, classes, True), "default Adam": Torch(case, ids, classes, False)}
        for rival in rivals.values():
            rival.step()
        ms = lockstep_run(args.program, folder, args.threads, 0, 1e3)["step_ms"]
        pairs = []
        for _ in range(args.pairs):
            ours = lockstep_run(args.program, folder, args.threads, args.seconds, ms)
            theirs = max(rival.tokens_per_s(args.seconds / 2) for rival in rivals.values())
            pairs.append((ours["tokens_per_s"] / theirs, ours["tokens_per_s"], theirs, ours["gflops"] / ours["sgemm_peak_gflops"],
                          ours["sgemm_peak_gflops"], ours["peak_memory_bytes"]))
    peak = statistics.median(p[4] for p in pairs)
    kept = [p for p in pairs if abs(p[4] / peak - 1) <= 0.1] or pairs
    middle = [statistics.median(p[i] for p in kept) for i in range(6)]
    return dict(name=name, ratio=middle[0], lockstep=middle[1], torch=middle[2], share=middle[3], peak_gflops=middle[4], memory=middle[5],
                pairs=len(kept), dropped=len(pairs) - len(kept))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", action="append", choices=CASES)
    parser.add_argument("--json")
    args = parser.parse_args()
    import torch
    torch.set_num_threads(args.threads)
    torch.set_flush_denormal(True)
    print(f"PyTorch {torch.__version__}, {args.threads} threads, medians of at most {args.pairs} pairs\n")
    print("| model | Lockstep tokens/s | PyTorch tokens/s | ratio | share of sgemm peak | peak GF/s | memory MiB | pairs |")
    print("|---|---|---|---|---|---|---|---|")
    results = []
    for name, case in CASES.items():
        if args.only and name not in args.only:
            continue
        r = race(name, case, args)
        results.append(r)
        print(f"| {name} | {r['lockstep']:,.0f} | {r['torch']:,.0f} | {r['ratio']:.2f} | {100 * r['share']:.0f} % | {r['peak_gflops']:.0f} | "
              f"{r['memory'] / 2**20:.0f} | {r['pairs']} |", flush=True)
    if args.json:
        with open(args.json, "w") as f:
            json.dump(results, f, indent=1)


if __name__ == "__main__":
    sys.exit(main())
