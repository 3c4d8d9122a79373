# SPDX-License-Identifier: MIT
"""torch_property.py STEM: judges the draws that test_property --write STEM has left, with PyTorch's own modules.

PyTorch computes in double precision from the same weights and data; the limit is that of test_property.c. Masks of
dropout differ, so draws with dropout are compared in evaluation alone.
"""
import json
import math
import os
import sys

import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "golden"))
from torch_model import Model

EPS = float(np.finfo(np.float32).eps)
NOISE = 1e-12  # PyTorch's own rounding in double precision, where the exact value is 0


def without_nulls(item):
    (kind, keys), = item.items()
    return {kind: {k: v for k, v in keys.items() if v is not None}}


class Draw:
    def __init__(self, line, floats):
        self.__dict__.update(json.loads(line))
        self.floats = floats

    def tensor(self, name):
        at, rows, cols, _, _ = self.tensors[name]
        return torch.from_numpy(self.floats[at:at + rows * cols].reshape(rows, cols).astype(np.float64))

    def group(self, name):
        return {k.split("/", 1)[1]: k for k in self.tensors if k.startswith(name + "/")}

    def padded(self, rows):
        return torch.nn.utils.rnn.pad_sequence(torch.split(rows, self.lengths), batch_first=True)


def excess(draw, name, b):
    """How many times the limit the recorded tensor is away from b."""
    _, _, _, terms, floor = draw.tensors[name]
    a = draw.tensor(name)
    off = (a - b.reshape(a.shape)).abs().max().item()
    if off <= NOISE:
        return 0.0
    most = max(b.abs().max().item(), floor)
    limit = min(8 * EPS * math.sqrt(terms), 1e-4) * most
    return off / limit if limit > 0 else math.inf


def judge(draw):
    """(what, excess) of every tensor."""
    model = Model([without_nulls(item) for item in draw.layers], draw.vocabulary, draw.features, draw.classes,
                  steps=max(draw.lengths), context=draw.context, targets=draw.targets).double()
    shapes = {k: v.shape for k, v in model.state_dict().items()}
    given = draw.group("model")
    tied = [k for k in shapes if k not in given]
    weights = {k: draw.tensor(path).reshape(shapes[k]) for k, path in given.items()}
    missing = model.load_state_dict(weights, strict=False)
    assert not missing.unexpected_keys and set(missing.missing_keys) == set(tied), missing
    model.train(not draw.drops)
    source = draw.tensor("x/ids").long().squeeze(1) if draw.vocabulary else draw.tensor("x/reals").requires_grad_()
    context = model.context = draw.tensor("x/context").requires_grad_() if draw.context else None
    if draw.targets:
        model.target_lengths = draw.target_lengths
        model.target = torch.nn.utils.rnn.pad_sequence(
            torch.split(draw.tensor("x/target").long().squeeze(1), draw.target_lengths), batch_first=True)
    values = model.values(draw.padded(source), draw.lengths)
    loss, found = 0, []
    for name, path in draw.group("output").items():
        found.append((path, excess(draw, path, values[name].detach())))
        projection = draw.tensor("projection/" + name)
        loss = loss + (values[name].reshape(projection.shape) * projection).sum()
    if draw.drops:
        return found
    if loss.requires_grad:
        loss.backward()
    if not draw.vocabulary:
        found.append(("input/gradient", excess(draw, "input/gradient", source.grad)))
    if draw.context:
        found.append(("context/gradient", excess(draw, "context/gradient", context.grad)))
    named = dict(model.named_parameters())
    for name, path in draw.group("gradient").items():
        g = named[name].grad
        found.append((path, excess(draw, path, torch.zeros(shapes[name]) if g is None else g.to_dense())))
    return found


def main(stem):
    torch.set_num_threads(1)
    floats = np.memmap(stem + ".f32", dtype=np.float32, mode="r")
    worst, draws, failures = {}, {}, 0
    with open(stem + ".jsonl", encoding="utf-8") as lines:
        for line in lines:
            draw = Draw(line, floats)
            draws[draw.kind] = draws.get(draw.kind, 0) + 1
            for what, ratio in judge(draw):
                if not ratio <= worst.get(draw.kind, (-1, ""))[0]:
                    worst[draw.kind] = (ratio, f"draw {draw.number}, {what}")
                if not ratio <= 1:
                    failures += 1
                    print(f"FAILED: kind {draw.kind}, draw {draw.number}, seed {draw.seed}, {what}: {ratio:.2f} times "
                          f"the limit\n  model: {json.dumps(draw.layers)}\n  lengths {draw.lengths}; alone: --seed "
                          f"{draw.seed} --kind {draw.kind} --draw {draw.number}")
    for kind, (ratio, where) in worst.items():
        print(f"{kind:22s} {draws[kind]:4d} draws, worst {ratio:.3f} of the limit ({where})")
    print(f"{failures} failures")
    return 1 if failures or not draws else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
