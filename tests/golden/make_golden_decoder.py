#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_golden_decoder.py [DIRECTORY]: as make_golden.py, for encoders with decoders: sources and targets have lengths
of their own. The models are written out with PyTorch's modules, padded, with packed sequences and padding masks."""
import math
import os
import sys

import h5py
import numpy as np
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import make_golden
from torch_attention import PositionalEncoding, causal, no_key_gradient, padding

WORDS, SYMBOLS, END = 9, 6, 6  # the end is the symbol behind the last, and stands at a decoder's beginning


def group(**modules):
    module = nn.Module()
    for name, child in modules.items():
        module.add_module(name, child)
    return module


class Recurrent(nn.Module):
    """An encoder in both directions; its final state, through a linear map, starts the decoder, which at every step
    looks at the encoder's rows (Luong et al. 2015, dot)."""

    def __init__(self, kind, hidden, layers):
        super().__init__()
        rnn = {"lstm": nn.LSTM, "gru": nn.GRU}[kind]
        self.encoder = group(emb=nn.Embedding(WORDS, 5), rnn=rnn(5, hidden, bidirectional=True, batch_first=True))
        self.decoder = group(emb=nn.Embedding(SYMBOLS + 1, 4), rnn=rnn(4, 2 * hidden, layers, batch_first=True),
                             fc=nn.Linear(4 * hidden, SYMBOLS + 1))
        for k in "hc" if kind == "lstm" else "h":
            self.decoder.rnn.add_module(f"init_{k}", nn.Linear(2 * hidden, layers * 2 * hidden))

    def run(self, rnn, x, lengths, state=None):
        packed, last = rnn(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False), state)
        return pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])[0], last

    def forward(self, x, lengths, y, y_lengths):
        rows, last = self.run(self.encoder.rnn, self.encoder.emb(x), lengths)
        last = last[0] if isinstance(last, tuple) else last
        final, rnn = torch.cat([last[0], last[1]], dim=1), self.decoder.rnn
        start = [m(final).view(len(x), rnn.num_layers, -1).transpose(0, 1).contiguous()
                 for m in (rnn.get_submodule(f"init_{k}") for k in "hc" if hasattr(rnn, f"init_{k}"))]
        states, _ = self.run(rnn, self.decoder.emb(y), y_lengths, tuple(start) if len(start) > 1 else start[0])
        scores = (states @ rows.transpose(1, 2)).masked_fill(padding(lengths, x.shape[1])[:, None, :], -math.inf)
        return self.decoder.fc(torch.cat([states, scores.softmax(2) @ rows], dim=2))


class Transformer(nn.Module):
    def __init__(self, norm_first, activation, norm, layers):
        super().__init__()
        keys = dict(dim_feedforward=19, dropout=0.0, activation=activation, norm_first=norm_first, batch_first=True)
        final = (lambda: nn.LayerNorm(8)) if norm else (lambda: None)
        self.encoder = group(emb=nn.Embedding(WORDS, 8), pos=PositionalEncoding(8), att=nn.TransformerEncoder(
            nn.TransformerEncoderLayer(8, 2, **keys), layers, final(), enable_nested_tensor=False))
        self.decoder = group(emb=nn.Embedding(SYMBOLS + 1, 8), pos=PositionalEncoding(8),
                             att=nn.TransformerDecoder(nn.TransformerDecoderLayer(8, 2, **keys), layers, final()),
                             fc=nn.Linear(8, SYMBOLS + 1))
        for layer in list(self.encoder.att.layers) + list(self.decoder.att.layers):
            no_key_gradient(layer.self_attn, 8)
        for layer in self.decoder.att.layers:
            no_key_gradient(layer.multihead_attn, 8)

    def forward(self, x, lengths, y, y_lengths):
        none = padding(lengths, x.shape[1])
        memory = self.encoder.att(self.encoder.pos(self.encoder.emb(x), lengths), src_key_padding_mask=none)
        steps = y.shape[1]
        out = self.decoder.att(self.decoder.pos(self.decoder.emb(y), y_lengths), memory, tgt_mask=causal(steps, True),
                               tgt_key_padding_mask=padding(y_lengths, steps), memory_key_padding_mask=none)
        return self.decoder.fc(out)


class Residual(nn.Module):
    """Residual branches, one inside another, in an encoder without a decoder's help: its mean row starts a decoder."""

    def __init__(self):
        super().__init__()
        inner = group(fc=nn.Linear(6, 6))
        self.encoder = group(emb=nn.Embedding(WORDS, 6), res=group(up=nn.Linear(6, 6), inner=inner))
        self.decoder = group(emb=nn.Embedding(SYMBOLS + 1, 6), fc=nn.Linear(12, SYMBOLS + 1))

    def forward(self, x, lengths, y, y_lengths):
        x, res = self.encoder.emb(x), self.encoder.res
        up = torch.tanh(res.up(x))
        rows = x + (up + res.inner.fc(up))
        mean = torch.stack([rows[b, :n].mean(0) for b, n in enumerate(lengths)])
        return self.decoder.fc(torch.cat([self.decoder.emb(y), mean[:, None].expand(-1, y.shape[1], -1)], dim=2))


def cases():
    """name, model, layers of the config, changes of it."""
    def named(kind, name, /, **keys):
        return {kind: {"name": name, **keys}}

    for kind, hidden, layers in (("lstm", 3, 1), ("gru", 9, 2)):
        yield f"seq2seq_{kind}", lambda kind=kind, hidden=hidden, layers=layers: Recurrent(kind, hidden, layers), [
            named("encoder", "encoder", layers=[
                named("embedding", "emb", embedding_dim=5), named(kind, "rnn", hidden_size=hidden, bidirectional=True)]),
            named("select", "final", kind="final", input="encoder.rnn"),
            named("decoder", "decoder", layers=[
                named("embedding", "emb", embedding_dim=4),
                named(kind, "rnn", hidden_size=2 * hidden, num_layers=layers, initial_state="context", input=["emb", "final"]),
                named("basic_attention", "att", input=["encoder", "rnn"]), named("concat", "both", input=["rnn", "att"]),
                named("linear", "fc")])], {}
    for name, norm_first, activation, norm, layers in (("", False, "relu", False, 1), ("_pre", True, "gelu", True, 2)):
        keys = dict(nhead=2, dim_feedforward=19, dropout=0, activation=activation, norm_first=norm_first, norm=norm,
                    num_layers=layers)
        yield f"seq2seq_transformer{name}", lambda a=(norm_first, activation, norm, layers): Transformer(*a), [
            named("encoder", "encoder", layers=[named("embedding", "emb", embedding_dim=8), named("positional_encoding", "pos"),
                                                named("transformer_encoder", "att", **keys)]),
            named("decoder", "decoder", layers=[named("embedding", "emb", embedding_dim=8), named("positional_encoding", "pos"),
                                                named("transformer_decoder", "att", **keys), named("linear", "fc")])], \
            {"optimizer": {"name": "sgd", "lr": 0.05}} if norm_first else {"train": {"batch_size": 4}}
    yield "seq2seq_residual", Residual, [
        named("encoder", "encoder", layers=[
            named("embedding", "emb", embedding_dim=6),
            named("residual", "res", layers=[named("linear", "up", out_features=6), named("activation", "act", kind="tanh"),
                                             {"residual": {"name": "inner", "layers": [named("linear", "fc", out_features=6)]}}])]),
        named("select", "mean", kind="mean"),
        named("decoder", "decoder", layers=[named("embedding", "emb", embedding_dim=6),
                                            named("concat", "both", input=["emb", "mean"]), named("linear", "fc")])], {}


def make_data(generator, n=6, t=5, s=4):
    lengths, y_lengths = (torch.tensor([m - (k * b) % m for b in range(n)]) for m, k in ((t, 3), (s, 1)))
    x = torch.randint(WORDS, (n, t), generator=generator)
    y = torch.randint(SYMBOLS, (n, s), generator=generator)
    x[0, 0], y[0, 0] = WORDS - 1, SYMBOLS - 1
    for b in range(n):
        x[b, lengths[b]:], y[b, y_lengths[b]:] = 0, 0
    return x, lengths, y, y_lengths


def loss_of(model, config, x, lengths, y, y_lengths):
    n = len(x)
    read, say = torch.full((n, y.shape[1] + 1), END), torch.full((n, y.shape[1] + 1), END)
    for b, k in enumerate(y_lengths):
        read[b, 1:k + 1] = say[b, :k] = y[b, :k]
    out = model(x, lengths, read, y_lengths + 1)
    rows = torch.cat([out[b, :k + 1] for b, k in enumerate(y_lengths)])
    target = torch.cat([say[b, :k + 1] for b, k in enumerate(y_lengths)])
    return rows, nn.functional.cross_entropy(rows, target)


def compute(make, config, initial, dtype, data):
    model = make().to(dtype)
    model.load_state_dict({k: v.to(dtype) for k, v in initial.items()})
    out, loss = loss_of(model, config, *data)
    loss.backward()
    named = dict(model.named_parameters())
    result = {"output": out, "loss": loss, **{f"gradient/{k}": p.grad.clone() for k, p in named.items()}}
    optimizer = make_golden.optimizer_of(config, list(model.parameters()))
    losses, norms, size = [], [], config["train"]["batch_size"]
    starts = range(0, len(data[0]), size)
    for step in range(make_golden.STEPS):
        first = starts[step % len(starts)]
        optimizer.zero_grad()
        _, loss = loss_of(model, config, *(d[first:first + size] for d in data))
        loss.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), math.inf).item())
        optimizer.step()
        losses.append(loss.item())
    lr = config["optimizer"]["lr"]
    result.update(losses=torch.tensor(losses).double(), lrs=torch.full((len(losses),), lr).double(),
                  norms=torch.tensor(norms).double(), **{f"final/{k}": p for k, p in named.items()})
    return {k: v.detach() for k, v in result.items()}


def main(directory):
    torch.set_num_threads(1)
    for number, (name, make, layers, changes) in enumerate(cases()):
        torch.manual_seed(4000 + number)
        data = make_data(torch.Generator().manual_seed(3000 + number))
        config = make_golden.sections(f"{name}.h5", layers, {"n": len(data[0])}, changes)
        initial = {k: v.clone() for k, v in make().state_dict().items()}
        double, single = (compute(make, config, initial, dtype, data) for dtype in (torch.float64, torch.float32))
        condition = max(make_golden.difference(single[k], double[k]) for k in double)
        assert condition < make_golden.CONDITION, f"{name}: single and double differ by {condition:.1e}; choose another seed"
        with h5py.File(os.path.join(directory, f"{name}.h5"), "w", libver="earliest", track_order=False) as f:
            for key, value in zip(("inputs", "lengths", "targets", "target_lengths"), data):
                f[key] = value.numpy().astype(np.int32)
            f["config"] = make_golden.as_yaml(config)
            for k, v in initial.items():
                f[f"model/{k}"] = v.numpy()
            for k, v in double.items():
                f[f"golden/{k}"] = v.numpy().astype(np.float64 if v.dim() == 0 or k in ("losses", "lrs", "norms") else np.float32)
        print(f"{name:24s} loss {double['losses'][0]:.6f} -> {double['losses'][-1]:.6f}  single/double {condition:.1e}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
