# SPDX-License-Identifier: MIT
"""PyTorch's side of a race: one process, or one of two of DistributedDataParallel. race.py starts it.

    race_torch.py FOLDER RANK RANKS THREADS [--start]

FOLDER holds case.json and data.h5. It takes the first batch of data.h5 as its only one and answers each line
{"adam": "fused" or "default", "steps": n, "probe": true or false} with a line of figures; with more ranks every rank gets the same lines. Rank 0 of 1
first writes its initial weights as weights.h5. --start takes one step and ends: data.h5 is not read, so that the start
of PyTorch is not that of h5py too."""
import json
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence

import race_cases


class Recurrent(nn.Module):
    def __init__(self, case):
        super().__init__()
        both, self.classes = case.get("both", False), case.get("classes")
        self.emb = nn.Embedding(case["V"], case["E"])
        self.rnn = getattr(nn, case["cell"].upper())(case["E"], case["H"], case["L"], batch_first=True, bidirectional=both,
                                                     dropout=case.get("dropout", 0))
        self.fc = nn.Linear(race_cases.width(case), self.classes or case["V"])

    def forward(self, ids, lengths):
        x = self.emb(ids)
        if lengths is not None:
            x = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        out, state = self.rnn(x)
        if self.classes:
            out = torch.cat([state[-2], state[-1]], 1)
        return self.fc(out if lengths is None else out.data)


class Encoder(nn.Module):
    def __init__(self, case):
        super().__init__()
        causal = case.get("causal", False)
        self.emb = nn.Embedding(case["V"], case["E"])
        layer = nn.TransformerEncoderLayer(case["E"], case["heads"], case["ff"], case.get("dropout", 0.0), batch_first=True,
                                           norm_first=causal)
        self.enc = nn.TransformerEncoder(layer, case["L"], norm=nn.LayerNorm(case["E"]) if causal else None,
                                         enable_nested_tensor=False)
        self.fc = nn.Linear(case["E"], case["V"])
        self.mask = nn.Transformer.generate_square_subsequent_mask(case["T"]) if causal else None

    def forward(self, ids, lengths):
        padding = None if lengths is None else torch.arange(ids.shape[1])[None, :] >= lengths[:, None]
        out = self.enc(self.emb(ids), mask=self.mask, src_key_padding_mask=padding, is_causal=self.mask is not None)
        return self.fc(out if lengths is None else out[~padding])  # the last layer and the loss see real steps alone


def read_batch(case, folder):
    import h5py
    with h5py.File(f"{folder}/data.h5") as f:
        x, y = f["inputs"][: case["B"]], f["targets"][: case["B"]]
    return torch.from_numpy(x).long(), torch.from_numpy(y).long()


def memory(line_begins):
    with open("/proc/self/status") as f:
        return next(int(line.split()[1]) * 1024 for line in f if line.startswith(line_begins))


def probe():
    """GF/s of a matrix product and GB/s of a sum of vectors, the best of a moment."""
    a, x, y = torch.ones(512, 512), torch.ones(1 << 23), torch.ones(1 << 23)
    best = [0.0, 0.0]
    for i, (work, amount, seconds) in enumerate(((lambda: torch.mm(a, a), 2 * 512**3, 0.1), (lambda: y.add_(x), 12 << 23, 0.1))):
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            since = time.perf_counter()
            work()
            best[i] = max(best[i], amount / (time.perf_counter() - since) / 1e9)
    return best


class Racer:
    def __init__(self, case, batch, rank, ranks):
        torch.manual_seed(0)
        self.model = Encoder(case) if race_cases.is_encoder(case) else Recurrent(case)
        self.wrapped = nn.parallel.DistributedDataParallel(self.model, gradient_as_bucket_view=True) if ranks > 1 else self.model
        first, end = rank * case["B"] // ranks, (rank + 1) * case["B"] // ranks
        self.x, y = (t[first:end].contiguous() for t in batch)
        self.lengths = torch.tensor(race_cases.lengths(case)[first:end]) if case.get("ragged") else None
        if self.lengths is None:
            self.y = y.reshape(-1)
        elif race_cases.is_encoder(case):
            self.y = y[torch.arange(y.shape[1])[None, :] < self.lengths[:, None]]
        else:
            self.y = pack_padded_sequence(y, self.lengths, batch_first=True, enforce_sorted=False).data
        self.loss, self.optimizers = nn.CrossEntropyLoss(), {}

    def step(self, adam):
        if adam not in self.optimizers:
            self.optimizers[adam] = torch.optim.Adam(self.model.parameters(), lr=1e-3, fused=adam == "fused")
        self.optimizers[adam].zero_grad(set_to_none=True)
        logits = self.wrapped(self.x, self.lengths)
        loss = self.loss(logits.reshape(-1, logits.shape[-1]), self.y)
        loss.backward()
        self.optimizers[adam].step()
        return loss.item()

    def answer(self, wish):
        before, times = probe() if wish["probe"] else [0, 0], []
        for _ in range(wish["steps"]):
            since = time.perf_counter()
            loss = self.step(wish["adam"])
            times.append(time.perf_counter() - since)
        peak, mapped = memory("VmHWM:"), memory("RssFile:")
        after = probe() if wish["probe"] else [0, 0]
        return dict(seconds=statistics.median(times), loss=loss, memory=peak, mapped=mapped, gflops=max(before[0], after[0]),
                    gbytes=max(before[1], after[1]))


def main():
    folder, rank, ranks, threads = sys.argv[1], *map(int, sys.argv[2:5])
    torch.set_num_threads(threads)
    torch.set_flush_denormal(True)
    with open(f"{folder}/case.json") as f:
        case = json.load(f)
    if ranks > 1:
        torch.distributed.init_process_group("gloo", init_method=f"file://{folder}/ranks", rank=rank, world_size=ranks)
    start = sys.argv[5:] == ["--start"]
    shape = (case["B"], case["T"])
    batch = tuple(torch.randint(0, case["V"], shape) for _ in range(2)) if start else read_batch(case, folder)
    racer = Racer(case, batch, rank, ranks)
    if start:
        print(f"step 1: loss {racer.step('fused')}", flush=True)
    else:
        if ranks == 1:
            import h5py
            with h5py.File(f"{folder}/weights.h5", "w") as f:
                for name, value in racer.model.state_dict().items():
                    f[f"model/{name}"] = value.numpy()
        print(json.dumps(dict(version=torch.__version__)), flush=True)
        for line in sys.stdin:
            print(json.dumps(racer.answer(json.loads(line))), flush=True)
    if ranks > 1:
        torch.distributed.destroy_process_group()


if __name__ == "__main__":
    main()
