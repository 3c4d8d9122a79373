# SPDX-License-Identifier: MIT
"""torch_reads.py CHECKPOINT LOGITS: PyTorch's logits with a checkpoint's weights against Lockstep's (write_logits.c)."""
import sys

import h5py
import numpy as np
import torch

from torch_model import Model

with open(sys.argv[2], "rb") as f:
    sequences, steps, classes = np.fromfile(f, np.int64, 3).tolist()
    ids = torch.from_numpy(np.fromfile(f, np.int32, sequences * steps).reshape(sequences, steps).astype(np.int64))
    logits = torch.from_numpy(np.fromfile(f, np.float32, sequences * steps * classes).reshape(-1, classes))

model = Model([{"embedding": {"name": "emb", "embedding_dim": 12}},
               {"lstm": {"name": "rnn", "hidden_size": 20, "num_layers": 2}},
               {"linear": {"name": "fc"}}], vocabulary=classes, classes=classes)
model.load_state_dict({k: torch.from_numpy(v[()]) for k, v in h5py.File(sys.argv[1])["model"].items()})
with torch.no_grad():
    expected = model(ids, torch.full((sequences,), steps))
difference = ((logits - expected).abs().max() / expected.abs().max()).item()
print(f"{sequences} sequences of {steps} steps, {classes} classes: logits differ by {difference:.1e} of the largest")
sys.exit(0 if difference < 1e-5 and sequences > 1 else 1)
