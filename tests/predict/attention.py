#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""attention.py WEIGHTS DATA CHECKPOINT: what the file of attention.sh must hold; with torch, PyTorch's weights."""
import sys

import h5py
import numpy as np

weights, data, checkpoint = (h5py.File(path) for path in sys.argv[1:])
lengths, T = weights["lengths"][()], data["inputs"].shape[1]
N = len(lengths)
assert (lengths == data["lengths"][()]).all() and len(set(lengths)) > 3
for n in range(N):
    assert (weights["inputs"][n, :lengths[n]] == data["inputs"][n, :lengths[n]]).all()
shapes = {"enc/layers.0": (N, 2, T, T), "enc/layers.1": (N, 2, T, T), "heads": (N, 4, T, T), "self": (N, 1, T, T),
          "basic": (N, T), "channel": (N, T, 8)}
for name, shape in shapes.items():
    w = weights["attention/" + name]
    assert w.shape == shape, (name, w.shape)
    print(name, w.shape, w.attrs["dimensions"])
    for n, length in enumerate(lengths):
        one = w[n]
        if one.ndim == 3:
            assert np.allclose(one[:, :length, :length].sum(-1), 1, atol=1e-5)
            assert not one[:, length:].any() and not one[:, :, length:].any()
            if name == "heads":
                assert not np.triu(one[:, :length, :length], 1).any()
        else:
            assert np.allclose(one[:length].sum(0), 1, atol=1e-5) and not one[length:].any()

try:
    import torch
except ImportError:
    sys.exit(0)
model = {k: torch.from_numpy(v[()]) for k, v in checkpoint["model"].items()}
norm = torch.nn.LayerNorm(8)
attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)
prefix = "enc.layers.0."
norm.load_state_dict({k: model[prefix + "norm1." + k] for k in ("weight", "bias")})
attention.load_state_dict({k: model[prefix + "self_attn." + k] for k in attention.state_dict()})
worst = 0.0
for n, length in enumerate(lengths):
    x = norm(model["emb.weight"][torch.from_numpy(data["inputs"][n, :length].astype(np.int64))])[None]
    want = attention(x, x, x, need_weights=True, average_attn_weights=False)[1][0].detach().numpy()
    worst = max(worst, np.abs(want - weights["attention/enc/layers.0"][n, :, :length, :length]).max())
print(f"against nn.MultiheadAttention: {worst:.1e}")
assert worst < 1e-5
