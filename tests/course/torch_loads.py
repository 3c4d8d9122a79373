# SPDX-License-Identifier: MIT
"""torch_loads.py CONFIG CHECKPOINT DATA LOSS: PyTorch's validation loss with a checkpoint's weights against Lockstep's."""
import os
import sys

import h5py
import numpy as np
import torch

sys.path.insert(0, os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "golden"))
from torch_model import Model  # noqa: E402

LAYERS = {
    "encoder": [{"linear": {"name": "up", "out_features": 32}}, {"positional_encoding": {"kind": "sinusoidal"}},
                {"transformer_encoder": {"nhead": 4, "num_layers": 2, "dim_feedforward": 64, "dropout": 0}},
                {"select": {"kind": "mean"}}, {"linear": {"name": "fc"}}],
    "sentiment": [{"embedding": {"embedding_dim": 16, "padding_idx": 0}},
                  {"gru": {"hidden_size": 24, "num_layers": 2, "bidirectional": True, "dropout": 0.2}},
                  {"select": {"kind": "mean"}}, {"dropout": {"p": 0.2}}, {"linear": {}}],
    "bilstm": [{"embedding": {"embedding_dim": 16}}, {"lstm": {"hidden_size": 40, "bidirectional": True}}, {"linear": {}}],
}


def pad(rows):
    out = torch.zeros(len(rows), max(map(len, rows)), dtype=torch.int64)
    for row, ids in zip(out, rows):
        row[:len(ids)] = torch.tensor(ids)
    return out


config, checkpoint, path, loss = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
if path.endswith(".tsv"):
    pairs = [line.rstrip("\n").split("\t") for line in open(path)]
    letters = [sorted(set("".join(side))) for side in zip(*pairs)]
    x, y = (pad([[letters[k].index(c) for c in pair[k]] for pair in pairs]) for k in (0, 1))
    lengths = torch.tensor([len(source) for source, _ in pairs])
    sizes = dict(vocabulary=len(letters[0]), classes=len(letters[1]))
else:
    with h5py.File(path) as f:
        x, y = (torch.from_numpy(f[k][()].astype(np.float32 if f[k].dtype.kind == "f" else np.int64)) for k in ("inputs", "targets"))
        lengths = torch.from_numpy(f["lengths"][()].astype(np.int64)) if "lengths" in f else torch.full((len(x),), x.shape[1])
        sizes = dict(vocabulary=len(f["vocabulary"]), classes=int(y.max()) + 1) if "vocabulary" in f else \
            dict(features=x.shape[2], classes=y.shape[1])

model = Model(LAYERS[config], **sizes)
model.load_state_dict({k: torch.from_numpy(v[()]) for k, v in h5py.File(checkpoint)["model"].items()})
model.eval()
last = slice(len(x) - len(x) // 10, None)  # data.validation: 0.1
with torch.no_grad():
    out = model(x[last], lengths[last])
    target = y[last]
    if target.dim() > 1 and target.dtype == torch.int64:
        target = torch.cat([row[:n] for row, n in zip(target, lengths[last])])
    expected = (torch.nn.functional.mse_loss if target.is_floating_point() else torch.nn.functional.cross_entropy)(out, target).item()
print(f"{config}: {len(model.state_dict())} tensors, validation loss {loss:.9g}, PyTorch's {expected:.9g}")
sys.exit(0 if abs(loss - expected) < 1e-5 * expected else 1)
