#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_course.py LOCKSTEP [CONFIG...]: what PyTorch makes of the configs of the course, one HDF5 file each, here.

Needs torch, h5py and PyYAML, and the program, which says what a config means (`info --json`) and writes the data of
the synthetic tasks (`prepare`); words, series and text are read again by the code below. Weights start as PyTorch's
own; the program gets them by run.init_from. Long configs are cut short by SHORTER, dropout is 0, the order is that of
the file. As in make_golden.py everything is computed in double, and in single to see that a difference
which a test finds is not the case's own condition. A file holds
  model/<name>       initial weights
  overrides          arguments of `lockstep train` beyond the config, a line each
  data, prepare      the file for `predict --data`, or the arguments of `prepare` that make it, a line each
  data_digest        of the data that were read
  golden/losses      of every training step, before its update
  golden/final/<name>   the weights after them
  golden/predicted   the first lines of what `predict` must then print
"""
import csv
import json
import math
import os
import subprocess
import sys
import tempfile

import h5py
import numpy as np
import torch
import yaml

HERE = os.path.dirname(os.path.abspath(__file__))
TREE = os.path.dirname(os.path.dirname(HERE))
sys.path.insert(0, os.path.join(os.path.dirname(HERE), "golden"))
import make_golden  # noqa: E402
from torch_model import Model  # noqa: E402

LINES = 60  # of predictions
LOSS, WEIGHTS = 2e-5, 2e-4  # single against double; the tests allow five times as much

SHORTER = {  # what is not here runs whole
    "last_step": ["data.sequences=400", "train.epochs=6"],
    "lstm": ["data.sequences=600", "train.epochs=6"],
    "gru": ["train.epochs=7"],
    "bilstm": ["train.epochs=3"],
    "channel_attention": ["data.sequences=400", "train.epochs=6"],
    "basic_attention": ["data.sequences=400", "train.epochs=6"],
    "self_attention": ["train.epochs=2"],
    "multi_head_attention": ["train.epochs=4"],
    # few rows and steps, so that no sum is so near to relu's corner that rounding decides; and where a gradient is
    # rounding alone, Adam makes a whole step of it unless eps is larger
    "encoder": ["data.sequences=80", "train.batch_size=8", "train.epochs=2", "optimizer.eps=1e-6"],
    "weather": [],
    "rain": [],
    "sentiment": ["train.epochs=3"],
    "caption": ["data.sequences=300", "train.epochs=6"],
    "gpt": ["data.path=LICENSE", "data.seq_len=16", "train.steps=40", "model.emb.embedding_dim=16", "model.enc.num_layers=2",
            "model.enc.dim_feedforward=32", "schedule.warmup=10"],
}
SEED = {"hello_rnn": 20}


def program(*arguments):
    done = subprocess.run([LOCKSTEP, *arguments], cwd=TREE, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, f"{arguments}: {done.stderr}"
    return done.stdout


def effective(name, overrides):
    return yaml.safe_load(program("train", f"configs/{name}.yaml", "--print-config", *overrides))


def without_null(keys):
    return {k: v for k, v in keys.items() if v is not None}


def overrides_of(name):
    """Dropout off wherever there is some."""
    overrides = ["data.shuffle=false", "log.every=1", "log.predictions=0", "eval.every=null", "checkpoint.every=null"]
    overrides += SHORTER.get(name, [])
    for item in effective(name, overrides)["model"]:
        (kind, keys), = item.items()
        for key in ("dropout", "p"):
            if keys.get(key, 0) != 0:
                overrides.append(f"model.{keys['name']}.{key}=0")
    return overrides


# ---- data: padded inputs and targets, lengths, and how predictions are written ---------------------------------


class Data:
    vocabulary = features = classes = 0
    x = y = lengths = None  # of what is trained on
    context = None  # [N, C]
    path = prepare = None
    predict_on = None  # x, lengths
    head = ["index", "predicted"]
    texts = None  # of classes
    joint = " "
    times = None
    undo = None  # scaled columns back

    def pad(self, rows):
        out = np.zeros((len(rows), max(map(len, rows))), np.int64)
        for i, row in enumerate(rows):
            out[i, :len(row)] = row
        return torch.from_numpy(out)


def read_sequences(path, data):
    with h5py.File(path) as f:
        x, y = f["inputs"][()], f["targets"][()]
        data.lengths = torch.from_numpy(f["lengths"][()].astype(np.int64)) if "lengths" in f else torch.full((len(x),), x.shape[1])
        if "context" in f:
            data.context = torch.from_numpy(f["context"][()].astype(np.float32))
        if "vocabulary" in f:
            data.vocabulary = len(f["vocabulary"])
        elif x.dtype.kind != "f":
            data.vocabulary = int(f.attrs["num_embeddings"])
        data.classes = int(f.attrs["num_classes"]) if "num_classes" in f.attrs else \
            (y.shape[-1] if y.dtype.kind == "f" else int(y.max()) + 1)
    data.features = x.shape[2] if x.ndim == 3 else 0
    data.x = torch.from_numpy(x.astype(np.float32 if x.dtype.kind == "f" else np.int64))
    data.y = torch.from_numpy(y.astype(np.float32 if y.dtype.kind == "f" else np.int64))
    if y.dtype.kind == "f":
        data.head = ["index"] + [f"value_{k}" for k in range(data.classes)]
    data.predict_on = data.x, data.lengths
    data.path = path


def read_pairs(path, data):
    pairs = [line.rstrip("\n").split("\t") for line in open(os.path.join(TREE, path), encoding="utf-8")]
    letters = sorted({c for source, _ in pairs for c in source})
    data.texts = sorted({c for _, target in pairs for c in target})
    data.joint = ""
    data.vocabulary, data.classes = len(letters), len(data.texts)
    data.x = data.pad([[letters.index(c) for c in source] for source, _ in pairs])
    data.y = data.pad([[data.texts.index(c) for c in target] for _, target in pairs])
    data.lengths = torch.tensor([len(source) for source, _ in pairs])
    data.predict_on = data.x, data.lengths
    data.path = path


def read_text(section, data):
    text = open(os.path.join(TREE, section["path"]), encoding="utf-8").read()
    steps = section["seq_len"]
    data.texts = sorted(set(text))
    data.joint = ""
    data.vocabulary = data.classes = len(data.texts)
    ids = torch.tensor([data.texts.index(c) for c in text])
    border = len(ids) - math.floor(len(ids) * section["validation"])
    windows = range(0, border - steps, steps)
    data.x = torch.stack([ids[i:i + steps] for i in windows])
    data.y = torch.stack([ids[i + 1:i + steps + 1] for i in windows])
    data.lengths = torch.full((len(data.x),), steps)
    data.predict_on = data.x, data.lengths
    data.path = section["path"]


def read_csv(section, values, data):
    with open(os.path.join(TREE, section["path"])) as f:
        rows = list(csv.DictReader(f))
    back, names = section["lookback"], section["targets"]
    names = [names] if isinstance(names, str) else names
    border = len(rows) - math.floor(len(rows) * section["validation"])

    def column(name):
        v = np.array([float(row[name]) for row in rows])
        mean = v[:border].mean()
        return v, mean, np.sqrt(((v[:border] - mean) ** 2).mean())

    def scaled(names):
        return np.stack([((v - mean) / deviation).astype(np.float32) for v, mean, deviation in map(column, names)], 1)

    inputs = scaled(section["features"])
    windows = torch.from_numpy(np.stack([inputs[i:i + back] for i in range(len(rows) - back + 1)]))
    data.features = len(section["features"])
    if values:
        data.undo = [column(name)[1:] for name in names]
        data.head = ["index", section["time"]] + names
        data.classes, target = len(names), scaled(names)
    else:
        words = [row[names[0]] for row in rows]
        data.texts = sorted(set(words))
        data.head = ["index", section["time"], "predicted"]
        data.classes, target = len(data.texts), np.array([data.texts.index(word) for word in words])
    data.x, data.y = windows[:border - back], torch.from_numpy(target[back:border])
    data.lengths = torch.full((len(data.x),), back)
    data.predict_on = windows, torch.full((len(windows),), back)
    data.times = [row[section["time"]] for row in rows[back - 1:]]
    data.path = section["path"]


def read_data(config, directory):
    section, data = config["data"], Data()
    if section["kind"] == "synthetic":
        data.prepare = ["--synthetic", section["task"], "--sequences", str(section["sequences"]), "--seed", str(section["seed"])]
        path = os.path.join(directory, "data.h5")
        program("prepare", *data.prepare, "-o", path)
        read_sequences(path, data)
        data.path = None
    elif section["kind"] == "sequences":
        read_sequences(os.path.join(TREE, section["path"]), data)
        data.path = section["path"]
    elif section["kind"] == "pairs":
        read_pairs(section["path"], data)
    elif section["kind"] == "csv":
        read_csv(section, config["loss"]["kind"] == "mse", data)
    else:
        read_text(section, data)
    if section["kind"] in ("synthetic", "sequences", "pairs"):
        train = len(data.x) - math.floor(len(data.x) * section["validation"] * (1 + 1e-15))
        data.x, data.y, data.lengths = data.x[:train], data.y[:train], data.lengths[:train]
    return data


# ---- PyTorch ---------------------------------------------------------------------------------------------------


def settings(config, sequences):
    """The config in the form of make_golden.py."""
    out = {k: without_null(v) if isinstance(v, dict) else v for k, v in config.items()}
    keys = ("name", "lr", "momentum", "nesterov", "weight_decay") if out["optimizer"]["name"] == "sgd" else \
        ("name", "lr", "betas", "eps", "weight_decay")
    out["optimizer"] = {k: out["optimizer"][k] for k in keys}
    steps = math.inf
    if "epochs" in out["train"]:
        steps = out["train"]["epochs"] * math.ceil(sequences / out["train"]["batch_size"])
    out["train"]["steps"] = min(steps, out["train"].get("steps", math.inf))
    return out


def layers_of(config):
    layers = []
    for item in config["model"]:
        (kind, keys), = item.items()
        keys = without_null(keys)
        if kind == "positional_encoding":
            keys.setdefault("max_len", config["data"]["seq_len"])
        layers.append({kind: keys})
    return layers


def quoted(cell):
    """Blanks at the ends are quoted too: readers of CSV may drop them."""
    return '"' + cell.replace('"', '""') + '"' if cell != cell.strip() or set(cell) & set(',"\r\n') else cell


def model_of(config, data):
    return Model(layers_of(config), data.vocabulary, data.features, data.classes, 0 if data.context is None else data.context.shape[1])


def give_context(model, data, rows, dtype):
    model.context = None if data.context is None else data.context[rows].to(dtype)


def predicted(model, data, dtype):
    x, lengths = data.predict_on
    x = x[:LINES].to(dtype) if data.features else x[:LINES]
    lengths = lengths[:LINES]
    give_context(model, data, slice(0, LINES), dtype)
    with torch.no_grad():
        out = model(x, lengths)
    lines = []

    def write(cells):
        lines.append(",".join(quoted(str(cell)) for cell in cells))

    write(data.head)
    rows = iter(out)
    per_step = len(out) == int(lengths.sum()) and len(out) != len(lengths)
    for i, length in enumerate(lengths.tolist()):
        cells = [i] + ([data.times[i]] if data.times else [])
        if data.head[-1] != "predicted":
            values = next(rows).tolist()
            write(cells + [f"{v * s + m:.9g}" for v, (m, s) in zip(values, data.undo or [(0, 1)] * len(values))])
            continue
        classes = [int(next(rows).argmax()) for _ in range(length if per_step else 1)]
        write(cells + [data.joint.join(data.texts[c] if data.texts else str(c) for c in classes)])
    return "\n".join(lines) + "\n"


def train(config, data, initial, dtype):
    model = model_of(config, data).to(dtype)
    model.load_state_dict({k: v.to(dtype) for k, v in initial.items()})
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = make_golden.optimizer_of(config, trained)
    x = data.x.to(dtype) if data.features else data.x
    per_step = data.y.dim() > 1 and data.y.dtype == torch.int64
    n, size, losses = len(x), config["train"]["batch_size"], []
    starts = list(range(0, n, size))
    for step in range(1, config["train"]["steps"] + 1):
        first = starts[(step - 1) % len(starts)]
        rows = slice(first, min(n, first + size))
        optimizer.zero_grad()
        give_context(model, data, rows, dtype)
        _, loss = make_golden.loss_of(model, config, x[rows], data.y[rows], data.lengths[rows], per_step)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, config["train"].get("clip_norm", math.inf))
        for group in optimizer.param_groups:
            group["lr"] = make_golden.learning_rate(config, step)
        optimizer.step()
        losses.append(loss.item())
    final = {k: p.detach() for k, p in model.named_parameters(remove_duplicate=False)}
    return np.array(losses), final, predicted(model, data, dtype)


def make(name, directory):
    overrides = overrides_of(name)
    config = effective(name, overrides)
    data = read_data(config, directory)
    config = settings(config, len(data.x))
    torch.manual_seed(SEED.get(name, 1))
    initial = {k: v.clone() for k, v in model_of(config, data).state_dict().items()}
    losses, final, text = train(config, data, initial, torch.float64)
    single, single_final, single_text = train(config, data, initial, torch.float32)
    loss = np.abs(single / losses - 1).max()
    weights = max(make_golden.difference(single_final[k], final[k]) for k in final)
    run = os.path.join(directory, name)
    program("train", f"configs/{name}.yaml", f"run.dir={run}", *overrides, "train.steps=1", "schedule.warmup=0")
    digest = json.loads(program("info", "--json", f"{run}/checkpoints/last.h5"))["data_digest"]
    print(f"{name:22s} {len(losses):4d} steps, loss {losses[0]:.6f} -> {losses[-1]:.6f}  single/double: loss {loss:.1e}, weights "
          f"{weights:.1e}  {text.splitlines()[1]}", flush=True)
    assert loss < LOSS and weights < WEIGHTS, f"{name}: single and double differ; cut it shorter or choose another seed"
    assert data.head[-1] != "predicted" or text == single_text, f"{name}: single and double predict different classes"
    with h5py.File(os.path.join(HERE, f"{name}.h5"), "w", libver="earliest") as f:
        f["overrides"], f["data_digest"] = "\n".join(overrides), digest
        if data.prepare:
            f["prepare"] = "\n".join(data.prepare)
        else:
            f["data"] = data.path
        f["golden/losses"], f["golden/predicted"] = losses, text
        for k, v in initial.items():
            f[f"model/{k}"] = v.numpy()
        for k, v in final.items():
            f[f"golden/final/{k}"] = v.numpy().astype(np.float32)


if __name__ == "__main__":
    LOCKSTEP = os.path.abspath(sys.argv[1])
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for name in sys.argv[2:] or ["hello", "hello_cell", "hello_rnn", "hello_embedding", *SHORTER]:
            make(name, scratch)
