#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_golden.py [DIRECTORY]: PyTorch's numbers for the golden tests, one small HDF5 file per case.

Needs torch and h5py; the files are in the tree, so the tests need neither. Every case is computed twice, in double
and in single precision from the same float32 initial weights. The double results are stored (as float32, losses as
float64); that the two agree well within the tests' tolerance is asserted here, so a difference that a test finds is
not the case's own condition.

A file is at once a `sequences` data set (inputs, targets, lengths, context at the root) and a file for run.init_from
(/model/<state_dict name>); /config holds the config as text. What to expect is below /golden:
  output             rows of the last layer for all sequences as one batch, with the initial weights
  loss               of that batch, reduced as the config says
  gradient/<name>    of that loss; absent for frozen parameters
  losses, lrs, norms of each of the training steps, before their update; norms before clipping
  final/<name>       the weights after them
"""
import json
import math
import os
import sys

import h5py
import numpy as np
import torch

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from torch_model import Model  # noqa: E402

STEPS = 20
CONDITION = 2e-5  # single against double; the tests allow 1e-4

EMB = {"embedding": {"name": "emb", "embedding_dim": 5}}
FC = {"linear": {"name": "fc"}}
ADAM = {"name": "adam", "lr": 0.01}


def layer(kind, /, **keys):
    return {kind: keys}


def data(inputs="ids", targets="steps", n=6, t=5, ragged=False, vocabulary=7, features=3, classes=4):
    """targets: steps or sequences (classes), step_values or sequence_values (reals)."""
    return dict(inputs=inputs, targets=targets, n=n, t=t, ragged=ragged, vocabulary=vocabulary, features=features,
                classes=classes)


REALS = data(inputs="reals")
VALUES = data(inputs="reals", targets="step_values")


def cases():
    """name, layers, data, sections of the config beyond the defaults below."""
    lstm = layer("lstm", name="rnn", hidden_size=6)
    # ---- layers and their flags ----
    yield "lstm", [EMB, lstm, FC], data(), {}
    yield "lstm_ragged", [EMB, lstm, FC], data(ragged=True), {}
    yield "lstm_no_bias", [EMB, layer("lstm", name="rnn", hidden_size=17, bias=False), FC], data(), {}
    yield "lstm_2", [EMB, layer("lstm", name="rnn", hidden_size=6, num_layers=2), FC], data(ragged=True), {}
    yield "lstm_2_both", [EMB, layer("lstm", name="rnn", hidden_size=5, num_layers=2, bidirectional=True), FC], \
        data(ragged=True), {}
    yield "lstm_wide", [layer("lstm", name="rnn", hidden_size=35), FC], data(inputs="reals", classes=21), {}
    yield "gru", [EMB, layer("gru", name="rnn", hidden_size=6), FC], data(), {}
    yield "gru_no_bias", [EMB, layer("gru", name="rnn", hidden_size=17, bias=False), FC], data(ragged=True), {}
    yield "gru_2", [EMB, layer("gru", name="rnn", hidden_size=6, num_layers=2), FC], data(), {}
    yield "gru_2_both", [EMB, layer("gru", name="rnn", hidden_size=5, num_layers=2, bidirectional=True), FC], \
        data(ragged=True), {}
    yield "gru_reals", [layer("gru", name="rnn", hidden_size=20), FC], REALS, {}
    yield "rnn", [EMB, layer("rnn", name="rnn", hidden_size=6), FC], data(), {}
    yield "rnn_relu", [EMB, layer("rnn", name="rnn", hidden_size=17, nonlinearity="relu"), FC], data(ragged=True), {}
    yield "rnn_no_bias", [EMB, layer("rnn", name="rnn", hidden_size=6, bias=False), FC], data(), {}
    yield "rnn_2_both", [EMB, layer("rnn", name="rnn", hidden_size=5, num_layers=2, bidirectional=True), FC], \
        data(ragged=True), {}
    yield "rnn_relu_2", [EMB, layer("rnn", name="rnn", hidden_size=6, num_layers=2, nonlinearity="relu"), FC], data(), {}
    # more than one block of the GEMM's k
    yield "rnn_many_features", [layer("rnn", name="rnn", hidden_size=9), FC], data(inputs="reals", features=270), {}
    yield "one_hot_rnn", [layer("one_hot", name="hot"), layer("rnn", name="rnn", hidden_size=6), FC], data(), {}
    # the classic exercise: the recurrent layer's output is the score
    yield "one_hot_rnn_alone", [layer("one_hot", name="hot"), layer("rnn", name="rnn", hidden_size=4)], \
        data(n=1, vocabulary=4), {"train": {"batch_size": 1}}
    yield "embedding_padding", [layer("embedding", name="emb", embedding_dim=5, padding_idx=2), lstm, FC], data(), {}
    yield "embedding_larger", [layer("embedding", name="emb", embedding_dim=5, num_embeddings=9), lstm, FC], data(), {}
    yield "embedding_frozen", [layer("embedding", name="emb", embedding_dim=5, frozen=True), lstm, FC], data(), {}
    yield "linear", [FC], REALS, {}
    yield "linear_no_bias", [layer("linear", name="fc", bias=False)], REALS, {}
    yield "linear_tied", [layer("embedding", name="emb", embedding_dim=6), lstm,
                          layer("linear", name="fc", tie="emb")], data(classes=7), {}
    for kind in ("relu", "gelu", "gelu_tanh", "tanh", "sigmoid"):
        yield f"activation_{kind}", [layer("linear", name="up", out_features=18), layer("activation", kind=kind), FC], \
            VALUES, {"loss": {"kind": "mse"}}
    yield "layer_norm", [layer("linear", name="up", out_features=19), layer("layer_norm", name="norm"), FC], \
        data(inputs="reals", ragged=True), {}
    yield "layer_norm_plain", [layer("linear", name="up", out_features=19),
                               layer("layer_norm", name="norm", eps=1e-3, elementwise_affine=False), FC], REALS, {}
    for kind in ("last", "first", "mean", "max", "final"):
        yield f"select_{kind}", [EMB, layer("gru", name="rnn", hidden_size=6, bidirectional=True),
                                 layer("select", kind=kind), FC], data(targets="sequences", ragged=True), {}
    yield "select_final_lstm", [EMB, layer("lstm", name="rnn", hidden_size=6, num_layers=2, bidirectional=True),
                                layer("select", kind="final"), FC], data(targets="sequences", ragged=True), {}
    # ---- losses ----
    yield "mse_sum", [lstm, FC], data(inputs="reals", targets="step_values", ragged=True), \
        {"loss": {"kind": "mse", "reduction": "sum"}}
    yield "mse_sequences", [lstm, layer("select", kind="last"), FC], \
        data(inputs="reals", targets="sequence_values", ragged=True), {"loss": {"kind": "mse"}}
    yield "cross_entropy_sum", [EMB, lstm, FC], data(ragged=True), {"loss": {"reduction": "sum"}}
    yield "ignore_index", [EMB, lstm, FC], data(), {"loss": {"ignore_index": 1}}
    yield "label_smoothing", [EMB, lstm, FC], data(), {"loss": {"label_smoothing": 0.1}}
    yield "smoothing_and_ignore", [EMB, lstm, FC], data(ragged=True), {"loss": {"ignore_index": 0, "label_smoothing": 0.2}}
    # ---- optimizers, clipping, schedules ----
    yield "adam_decay", [EMB, lstm, FC], data(), \
        {"optimizer": {"name": "adam", "lr": 0.02, "weight_decay": 0.05, "betas": [0.8, 0.95], "eps": 1e-6}}
    yield "adamw", [EMB, lstm, FC], data(), {"optimizer": {"name": "adamw", "lr": 0.02, "weight_decay": 0.1}}
    yield "sgd", [EMB, lstm, FC], data(), {"optimizer": {"name": "sgd", "lr": 0.5}}
    yield "sgd_momentum", [EMB, lstm, FC], data(), \
        {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.01}}
    yield "sgd_nesterov", [EMB, lstm, FC], data(), \
        {"optimizer": {"name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": True}}
    yield "clip", [EMB, lstm, FC], data(), {"train": {"clip_norm": 0.3}, "optimizer": {"name": "sgd", "lr": 0.5}}
    yield "clip_adam_short_batch", [EMB, lstm, FC], data(ragged=True), \
        {"train": {"clip_norm": 0.2, "batch_size": 4}, "optimizer": {"name": "adam", "lr": 0.02}}
    yield "linear_warmup", [EMB, lstm, FC], data(), \
        {"schedule": {"kind": "linear", "warmup": 5, "min_lr": 0.001}, "optimizer": {"name": "adamw", "lr": 0.02}}
    yield "cosine_warmup", [EMB, lstm, FC], data(), \
        {"schedule": {"kind": "cosine", "warmup": 4, "min_lr": 0.002, "steps": 16}, "train": {"batch_size": 4}}
    yield "step_schedule", [EMB, lstm, FC], data(), {"schedule": {"kind": "step", "step_size": 6, "gamma": 0.3, "warmup": 2}}
    # ---- later additions, so that the seeds above stay ----
    yield "layer_norm_no_bias", [layer("linear", name="up", out_features=19), layer("layer_norm", name="norm", bias=False), FC], \
        REALS, {}


# ---- the config ------------------------------------------------------------------------------------------


def sections(path, layers, spec, changes):
    config = {
        "run": {"seed": 1, "init_from": path},
        "data": {"kind": "sequences", "path": path, "validation": 0, "shuffle": False},
        "model": layers,
        "loss": {"kind": "cross_entropy", "reduction": "mean"},
        "optimizer": dict(ADAM),
        "schedule": {"kind": "constant"},
        "train": {"batch_size": spec["n"], "steps": STEPS},
        "log": {"every": 1},
    }
    for section, values in changes.items():
        if section == "optimizer":
            config[section] = {}
        config[section] = {**config[section], **values}
    return config


def as_yaml(config):
    """Flow style, one line per section and layer; numbers and words as JSON has them are YAML."""
    lines = []
    for section, value in config.items():
        if isinstance(value, list):
            lines += [f"{section}:"] + [f"  - {json.dumps(item)}" for item in value]
        else:
            lines.append(f"{section}: {json.dumps(value)}")
    return "\n".join(lines) + "\n"


# ---- data --------------------------------------------------------------------------------------------------


def make_data(spec, generator):
    n, t = spec["n"], spec["t"]
    lengths = torch.full((n,), t)
    if spec["ragged"]:
        lengths = torch.tensor([t - (3 * b) % t for b in range(n)])
    if spec["inputs"] == "ids":
        x = torch.randint(spec["vocabulary"], (n, t), generator=generator)
        x[0, 0] = spec["vocabulary"] - 1  # the vocabulary is the largest id + 1
    else:
        x = torch.randn((n, t, spec["features"]), generator=generator)
    k = spec["classes"]
    if spec["targets"] == "steps":
        y = torch.randint(k, (n, t), generator=generator)
        y[0, 0] = k - 1
    elif spec["targets"] == "sequences":
        y = torch.randint(k, (n,), generator=generator)
        y[0] = k - 1
    else:
        y = torch.randn((n, t, k) if spec["targets"] == "step_values" else (n, k), generator=generator)
    if spec["ragged"]:
        for b in range(n):  # padding that would show if it were read
            x[b, lengths[b]:] = 0 if spec["inputs"] == "ids" else 1e3
            if y.dim() > 1 and spec["targets"].startswith("step"):
                y[b, lengths[b]:] = 0 if spec["targets"] == "steps" else 1e3
    return x, y, lengths


# ---- PyTorch -----------------------------------------------------------------------------------------------


def loss_of(model, config, x, y, lengths, per_step):
    out = model(x, lengths)
    target = torch.cat([y[b, :n] for b, n in enumerate(lengths)]) if per_step else y
    loss = config["loss"]
    if loss["kind"] == "mse":
        return out, torch.nn.functional.mse_loss(out, target.to(out.dtype), reduction=loss["reduction"])
    ignore = loss.get("ignore_index")
    return out, torch.nn.functional.cross_entropy(
        out, target, reduction=loss["reduction"], ignore_index=-100 if ignore is None else ignore,
        label_smoothing=loss.get("label_smoothing", 0.0))


def learning_rate(config, step):
    schedule, lr, total = config["schedule"], config["optimizer"]["lr"], config["train"]["steps"]
    warmup, low = schedule.get("warmup", 0), schedule.get("min_lr", 0.0)
    total = schedule.get("steps", total)
    if step <= warmup:
        return lr * step / warmup
    part = min(1.0, (step - warmup) / (total - warmup))
    kind = schedule["kind"]
    if kind == "linear":
        return lr + (low - lr) * part
    if kind == "cosine":
        return low + 0.5 * (lr - low) * (1 + math.cos(math.pi * part))
    if kind == "step":
        return max(low, lr * schedule["gamma"] ** ((step - 1) // schedule["step_size"]))
    return lr


def optimizers_of(config, parameters, sparse):
    """One, and with adam a SparseAdam for the tables whose gradients are sparse."""
    o = {k: v for k, v in config["optimizer"].items() if k != "name"}
    name = config["optimizer"]["name"]
    if "betas" in o:
        o["betas"] = tuple(o["betas"])
    dense = [p for p in parameters if name == "sgd" or id(p) not in sparse]
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}[name]
    made = [kind(dense, **({"weight_decay": 0, **o}))]
    if len(dense) < len(parameters):
        made.append(torch.optim.SparseAdam([p for p in parameters if id(p) in sparse], **o))
    return made


def clip_norm(parameters, most):
    """clip_grad_norm_, which takes no sparse gradients."""
    for p in parameters:
        p.grad = p.grad.coalesce() if p.grad.is_sparse else p.grad
    values = [p.grad.values() if p.grad.is_sparse else p.grad for p in parameters]
    norm = torch.linalg.vector_norm(torch.stack([torch.linalg.vector_norm(v) for v in values]))
    for v in values:
        v.mul_(min(1.0, most / (norm.item() + 1e-6)))
    return norm


def compute(layers, spec, config, initial, dtype, x, y, lengths):
    model = Model(layers, spec["vocabulary"] if spec["inputs"] == "ids" else 0, spec["features"], spec["classes"],
                  spec.get("context", 0)).to(dtype)
    model.load_state_dict({k: v.to(dtype) for k, v in initial.items()})
    if spec["inputs"] == "reals":
        x = x.to(dtype)
    per_step = spec["targets"].startswith("step")
    context = spec["context_rows"].to(dtype) if spec.get("context") else None
    result = {}
    model.context = context
    out, loss = loss_of(model, config, x, y, lengths, per_step)
    loss.backward()
    result["output"], result["loss"] = out, loss
    named = dict(model.named_parameters(remove_duplicate=False))
    for name, p in named.items():
        if p.requires_grad:
            result[f"gradient/{name}"] = p.grad.to_dense().clone()

    trained = [p for p in model.parameters() if p.requires_grad]
    sparse = {id(p) for p in trained if p.grad is not None and p.grad.is_sparse}
    optimizers = optimizers_of(config, trained, sparse)
    model.load_state_dict({k: v.to(dtype) for k, v in initial.items()})  # max_norm has written into the weights
    losses, lrs, norms = [], [], []
    n, size = spec["n"], config["train"]["batch_size"]
    starts = list(range(0, n, size))
    for step in range(1, STEPS + 1):
        first = starts[(step - 1) % len(starts)]
        rows = slice(first, min(n, first + size))
        model.zero_grad()
        model.context = None if context is None else context[rows]
        _, loss = loss_of(model, config, x[rows], y[rows], lengths[rows], per_step)
        loss.backward()
        clip = config["train"].get("clip_norm")
        norm = (clip_norm if sparse else torch.nn.utils.clip_grad_norm_)(trained, math.inf if clip is None else clip)
        lr = learning_rate(config, step)
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = lr
            optimizer.step()
        losses.append(loss.item())
        lrs.append(lr)
        norms.append(norm.item())
    result.update(losses=torch.tensor(losses, dtype=torch.float64), lrs=torch.tensor(lrs, dtype=torch.float64),
                  norms=torch.tensor(norms, dtype=torch.float64))
    for name, p in named.items():
        result[f"final/{name}"] = p
    return {k: v.detach() for k, v in result.items()}


def difference(a, b):
    largest = b.abs().max().item()
    return (a.double() - b).abs().max().item() / (largest if largest > 0 else 1)


def main(directory):
    torch.set_num_threads(1)
    os.makedirs(directory, exist_ok=True)
    worst = 0.0
    for number, (name, layers, spec, changes) in enumerate(cases()):
        generator = torch.Generator().manual_seed(1000 + number)
        torch.manual_seed(2000 + number)
        x, y, lengths = make_data(spec, generator)
        if spec.get("context"):
            spec["context_rows"] = torch.randn((spec["n"], spec["context"]), generator=generator)
        config = sections(f"{name}.h5", layers, spec, changes)
        model = Model(layers, spec["vocabulary"] if spec["inputs"] == "ids" else 0, spec["features"], spec["classes"],
                      spec.get("context", 0))
        initial = {k: v.clone() for k, v in model.state_dict().items()}
        double = compute(layers, spec, config, initial, torch.float64, x, y, lengths)
        single = compute(layers, spec, config, initial, torch.float32, x, y, lengths)
        condition = max(difference(single[k], double[k]) for k in double)
        assert condition < CONDITION, f"{name}: single and double differ by {condition:.1e}; choose another seed"
        worst = max(worst, condition)
        with h5py.File(os.path.join(directory, f"{name}.h5"), "w", libver="earliest", track_order=False) as f:
            f["inputs"] = x.numpy().astype(np.int32 if spec["inputs"] == "ids" else np.float32)
            f["targets"] = y.numpy().astype(np.int32 if y.dtype == torch.int64 else np.float32)
            if spec["ragged"]:
                f["lengths"] = lengths.numpy().astype(np.int32)
            if spec.get("context"):
                f["context"] = spec["context_rows"].numpy()
            f["config"] = as_yaml(config)
            for k, v in initial.items():
                f[f"model/{k}"] = v.numpy()
            for k, v in double.items():
                f[f"golden/{k}"] = v.numpy().astype(np.float64 if v.dim() == 0 or k in ("losses", "lrs", "norms") else np.float32)
        print(f"{name:24s} loss {double['losses'][0]:.6f} -> {double['losses'][-1]:.6f}  single/double {condition:.1e}")
    print(f"worst single/double: {worst:.1e}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
