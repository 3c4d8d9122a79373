# SPDX-License-Identifier: MIT
"""What is raced: named cases, the 80 cells of cells.json, their configs and data, and the speed each is to reach.

A case: `cell` (rnn, lstm, gru) with hidden H and `both` directions, or `cell` encoder with `heads`, `ff` and `causal`; V
vocabulary, E features of the embedding, L layers, B sequences of T steps, `dropout`, `classes` (one target a
sequence), `ragged` (lengths at about half of T)."""
import json
import math
import os
import random

CELLS_SEED, CELLS_COUNT = 5, 80
CELLS_FILE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "cells.json")
MOST_GFLOP = 25  # of one training step of a cell
MOST_LOGITS = 1 << 28  # targets times vocabulary: 1 GiB of floats for who holds them all
LAYOUTS = {"1x1": (1, 1), "1x2": (1, 2), "2x1": (2, 1)}  # ranks, threads of each

CASES = {
    "lstm_512x2": dict(cell="lstm", V=65, E=256, H=512, L=2, B=32, T=128),
    "rnn_256": dict(cell="rnn", V=65, E=128, H=256, L=1, B=32, T=64),
    "gru_128_both_classifier": dict(cell="gru", V=10000, E=128, H=128, L=1, B=64, T=100, both=True, classes=5),
    "lstm_128x2": dict(cell="lstm", V=65, E=128, H=128, L=2, B=50, T=50),
    "encoder_256x4": dict(cell="encoder", V=65, E=256, heads=8, L=4, ff=1024, B=32, T=128),
    "gpt_128x4": dict(cell="encoder", V=65, E=128, heads=4, L=4, ff=512, B=12, T=64, causal=True),
    "gpt_384x6": dict(cell="encoder", V=65, E=384, heads=6, L=6, ff=1536, B=8, T=256, causal=True),
    "gpt_256x2_32000": dict(cell="encoder", V=32000, E=256, heads=4, L=2, ff=1024, B=8, T=128, causal=True),
    "ragged_lstm_256x2": dict(cell="lstm", V=1000, E=128, H=256, L=2, B=32, T=128, ragged=True),
    "ragged_gru_256x2": dict(cell="gru", V=1000, E=128, H=256, L=2, B=32, T=128, ragged=True),
    "ragged_gru_128_both": dict(cell="gru", V=1000, E=128, H=128, L=1, B=64, T=100, both=True, ragged=True),
    "ragged_encoder_256x4": dict(cell="encoder", V=1000, E=256, heads=8, L=4, ff=1024, B=32, T=128, ragged=True),
}
TINY = dict(cell="rnn", V=5, E=8, H=8, L=1, B=8, T=8)


def is_encoder(case):
    return case["cell"] == "encoder"


def width(case):
    """Features that the last layer reads."""
    return case["E"] if is_encoder(case) else case["H"] * (2 if case.get("both") else 1)


def lengths(case):
    """Steps of each of the B sequences, the same in every batch."""
    if not case.get("ragged"):
        return [case["T"]] * case["B"]
    draw = random.Random(1)
    some = [1 + int(draw.random() * (case["T"] - 1)) for _ in range(case["B"])]
    return some[:-1] + [case["T"]]


def tokens(case):
    return sum(lengths(case))


def gflop(case):
    """Of one training step, products of matrices alone; attention whole where it is not causal."""
    if is_encoder(case):
        seen = case["T"] / (2 if case.get("causal") else 1)
        weights = case["L"] * (4 * case["E"] ** 2 + 2 * case["E"] * case["ff"] + 2 * seen * case["E"])
    else:
        gates = {"rnn": 1, "gru": 3, "lstm": 4}[case["cell"]]
        both = 2 if case.get("both") else 1
        inputs = case["E"] + (case["L"] - 1) * case["H"] * both
        weights = both * gates * case["H"] * (inputs + case["L"] * case["H"])
    return 6 * case["B"] * case["T"] * (weights + width(case) * case["V"]) / 1e9


# ---- cells ------------------------------------------------------------------------------------------------


def draw_cells():
    """The cells of the seed. Only random.random is used: it is the same in every version of Python."""
    draw = random.Random(CELLS_SEED).random

    def between(low, high, multiple=1):
        return max(low, int(math.exp(math.log(low) + draw() * math.log((high + 1) / low))) // multiple * multiple)

    def one_of(some):
        return some[int(draw() * len(some))]

    cells = {}
    while len(cells) < CELLS_COUNT:
        kind = one_of(["rnn", "gru", "lstm", "encoder"])
        case = dict(cell=kind, V=between(65, 50257), L=1 + int(draw() * 4), B=between(8, 128), T=between(32, 1024),
                    dropout=one_of([0, 0.2]), layout=one_of(list(LAYOUTS)))
        both = draw() < 0.5
        hidden, heads, embedding = between(64, 1024, 4), one_of([1, 2, 4, 8, 16]), between(32, 512, 4)
        if kind == "encoder":
            hidden = max(1, hidden // (4 * heads)) * 4 * heads
            case.update(E=hidden, heads=heads, ff=4 * hidden, causal=not both)
        else:
            case.update(E=embedding, H=hidden, both=both)
            if case["L"] == 1:
                case["dropout"] = 0  # between layers alone
        if gflop(case) <= MOST_GFLOP and case["B"] * case["T"] * case["V"] <= MOST_LOGITS:
            cells[f"cell_{len(cells):02d}"] = case
    return cells


def cells_text():
    rows = ",\n".join(f" {json.dumps(name)}: {json.dumps(case)}" for name, case in draw_cells().items())
    return f"{{\n{rows}\n}}\n"


def read_cells():
    """Those of cells.json, which must be those of the seed."""
    with open(CELLS_FILE) as f:
        text = f.read()
    if text != cells_text():
        raise SystemExit(f"{CELLS_FILE}: not what the seed {CELLS_SEED} gives; write it again with --draw-cells")
    return json.loads(text)


# ---- the speed to reach -------------------------------------------------------------------------------------


def target(case):
    """Times PyTorch's rate, and the share of the peak of matrix products that does as well (None: no such share)."""
    if case.get("ragged"):
        return 3, None
    if case["V"] >= 32000:
        return 2.2, 0.75
    if is_encoder(case):
        d = case["E"]
        share = 0.85 if d >= 512 else 0.75 if d >= 256 else 0.6 if d >= 128 else None
        return (1.35 if d > 128 else 2), share
    h = case["H"]
    if case["cell"] == "lstm":
        return (1.8 if h >= 256 else 2 if h > 128 else 2.5), (0.8 if h >= 512 else 0.5 if h >= 128 else None)
    return 3, (0.75 if h >= 512 else 0.6 if h >= 256 else None)


# ---- Lockstep's files ----------------------------------------------------------------------------------------


def layers(case):
    dropout = case.get("dropout", 0)
    yield f"  - embedding: {{name: emb, embedding_dim: {case['E']}}}"
    if is_encoder(case):
        causal = str(case.get("causal", False)).lower()
        yield (f"  - transformer_encoder: {{name: enc, nhead: {case['heads']}, num_layers: {case['L']}, "
               f"dim_feedforward: {case['ff']}, dropout: {dropout}, norm_first: {causal}, causal: {causal}, norm: {causal}}}")
    else:
        both = str(case.get("both", False)).lower()
        yield (f"  - {case['cell']}: {{name: rnn, hidden_size: {case['H']}, num_layers: {case['L']}, "
               f"bidirectional: {both}, dropout: {dropout}}}")
    if case.get("classes"):
        yield "  - select: {kind: final}"
    yield "  - linear: {name: fc}"


def write_inputs(case, folder):
    """data.h5: eight batches of random ids; race.yaml reads it."""
    import h5py
    import numpy as np
    draw = np.random.default_rng(0)
    n, classes = 8 * case["B"], case.get("classes")
    ids = draw.integers(0, case["V"], (n, case["T"] + 1), dtype=np.int32)
    with h5py.File(f"{folder}/data.h5", "w") as f:
        f["inputs"] = ids[:, :-1]
        f["targets"] = draw.integers(0, classes, n, dtype=np.int32) if classes else ids[:, 1:]
        if case.get("ragged"):
            f["lengths"] = np.tile(np.array(lengths(case), dtype=np.int32), 8)
        f.attrs["num_classes"] = classes or case["V"]
        f.attrs["num_embeddings"] = case["V"]
    with open(f"{folder}/race.yaml", "w") as f:
        f.write(f"data: {{kind: sequences, path: {folder}/data.h5, validation: 0, shuffle: false}}\nmodel:\n")
        f.write("\n".join(layers(case)))
        f.write(f"\ntrain: {{batch_size: {case['B']}}}\n")
