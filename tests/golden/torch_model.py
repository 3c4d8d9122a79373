# SPDX-License-Identifier: MIT
"""torch_model.py: the model of a Lockstep config, built from PyTorch's own modules.

Layers are the dictionaries of the config's list, e.g. {"lstm": {"name": "rnn", "hidden_size": 6}}. Sequences come
padded, [B, T] ids or [B, T, F] reals, with their lengths; the result has one row per valid time step, sequence by
sequence, or one row per sequence, as Lockstep has it. Parameters have Lockstep's names, so a checkpoint's /model
loads with load_state_dict.
"""
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

import torch_attention

ACTIVATIONS = {
    "relu": nn.ReLU,
    "gelu": nn.GELU,
    "gelu_tanh": lambda: nn.GELU(approximate="tanh"),
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}
RECURRENT = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}


def start(module, state, context):
    """Gives a recurrent module what its initial state is made from; the state's kind."""
    rows = module.num_layers * (2 if module.bidirectional else 1)
    for k in ("h", "c") if isinstance(module, nn.LSTM) else ("h",):
        if state == "learned":
            setattr(module, f"{k}_0", nn.Parameter(0.5 * torch.randn(rows, module.hidden_size)))
        if state == "context":
            setattr(module, f"init_{k}", nn.Linear(context, rows * module.hidden_size))
    return state


def initial_state(module, state, context, n):
    """h_0, or (h_0, c_0), each [layers * directions, n, H]; None for zeros."""
    if state == "zeros":
        return None
    made = []
    for k in ("h", "c") if isinstance(module, nn.LSTM) else ("h",):
        if state == "learned":
            made.append(getattr(module, f"{k}_0")[:, None].expand(-1, n, -1).contiguous())
        else:
            rows = getattr(module, f"init_{k}")(context).view(n, -1, module.hidden_size)
            made.append(rows.transpose(0, 1).contiguous())
    return tuple(made) if len(made) > 1 else made[0]


ATTENTION = ("positional_encoding", "multi_head_attention", "self_attention", "basic_attention", "channel_attention",
             "transformer_encoder")


def flat(layers, group="", above="data"):
    """One list, as Lockstep makes it: the layers of a residual are named <residual>.<layer>, its addition comes last."""
    for item in layers:
        (kind, keys), = item.items()
        keys = {"layers": keys} if isinstance(keys, list) else dict(keys)
        keys["name"] = group + keys.get("name", kind)
        if kind == "residual":
            branch = list(flat(keys.pop("layers"), keys["name"] + ".", above))
            first = next(iter(branch[0].values()))
            first.setdefault("input", above)
            yield from branch
            keys["input"] = [above, next(iter(branch[-1].values()))["name"]]
        yield {kind: keys}
        above = keys["name"]


class Model(nn.Module):
    def __init__(self, layers, vocabulary=0, features=0, classes=0, context=0, steps=128, targets=0):
        super().__init__()
        self.plan, self.inputs = [], []
        width, sites = (None, None) if vocabulary else (features, None)
        widths = {"data": width, "context": context, "target": None}  # of values by name
        self.context = None  # of the batch [B, context]
        self.target, self.target_lengths = torch.zeros(1, 1, dtype=torch.int64), [1]  # [B, T] ids a decoder reads
        for item in flat(layers):
            (kind, keys), = item.items()
            keys = dict(keys)
            name = keys.pop("name")
            frozen = keys.pop("frozen", False)
            inputs = keys.pop("input", [])
            inputs = [inputs] if isinstance(inputs, str) else inputs
            width = widths[inputs[0]] if inputs else width
            module = None
            if kind == "one_hot":
                width = sites = keys.get("num_classes", vocabulary)
            elif kind == "embedding":
                width = keys["embedding_dim"]
                module = nn.Embedding(keys.pop("num_embeddings", targets if inputs == ["target"] else vocabulary), keys.pop("embedding_dim"), **keys)
            elif kind in RECURRENT:
                state = keys.pop("initial_state", "zeros")
                module = RECURRENT[kind](width, keys.pop("hidden_size"), batch_first=True, **keys)
                width = module.hidden_size * (2 if module.bidirectional else 1)
                widths[f"{name}.h_n"] = width * module.num_layers
                sites = start(module, state, widths[inputs[1] if len(inputs) > 1 else "context"])
            elif kind == "linear":
                tie = keys.pop("tie", None)
                module = nn.Linear(width, keys.pop("out_features", classes), **keys)
                width = module.out_features
                if tie:
                    module.weight = self.get_submodule(tie).weight
            elif kind == "activation":
                sites = ACTIVATIONS[keys["kind"]]()
            elif kind == "layer_norm":
                module = nn.LayerNorm(width, **keys)
            elif kind == "residual":
                pass
            elif kind == "concat":
                width = sum(widths[i] for i in inputs)
            elif kind == "select":
                sites = keys["kind"]
            elif kind == "basic_attention":
                sites = keys.get("query", "final")
            elif kind == "multi_head_attention":
                read = ([widths[i] for i in inputs] or [width])
                module, width = torch_attention.multi_head_attention((read + read[-1:] * 2)[:3], **keys)
            elif kind == "self_attention":
                module, width = torch_attention.self_attention(width, **keys)
            elif kind == "channel_attention":
                module, width = torch_attention.ChannelAttention(width, **keys), width * width
            elif kind == "positional_encoding":
                module = torch_attention.PositionalEncoding(width, **{"max_len": steps, **keys})
            elif kind == "transformer_decoder":
                module = torch_attention.TransformerDecoder(width, **keys)
            elif kind == "transformer_encoder":
                module = torch_attention.TransformerEncoder(width, **keys)
            elif kind == "dropout":
                module = nn.Dropout(keys.get("p", 0.5))
            else:
                raise ValueError(f"no such layer kind here: {kind}")
            if module is not None:
                self.attach(name, module)
                if frozen:
                    module.requires_grad_(False)
            self.plan.append((kind, name, sites))
            self.inputs.append(inputs)
            widths[name] = width

    def attach(self, name, module):
        *groups, last = name.split(".")
        parent = self
        for group in groups:
            if not hasattr(parent, group):
                parent.add_module(group, nn.Module())
            parent = getattr(parent, group)
        parent.add_module(last, module)

    def forward(self, x, lengths):
        """Rows of the last layer's output."""
        return self.values(x, lengths)[self.plan[-1][1]]

    def values(self, x, lengths):
        """Rows of every layer's outputs, by Lockstep's names: h_n and c_n with layers and directions side by side."""
        final, per_step, values = None, True, {"data": (x, True), "context": (self.context, False),
                                         "target": (self.target, "target")}
        for (kind, name, site), inputs in zip(self.plan, self.inputs):
            if inputs:
                x, per_step = values[inputs[0]]
            if kind in ATTENTION:
                x = self.attend(kind, name, site, x, [values[i][0] for i in inputs], lengths, final)
                per_step = kind not in ("basic_attention", "channel_attention")
            elif kind == "embedding" and per_step:
                # Only what is there is looked up: scale_grad_by_freq would count padding.
                n, longest = [int(k) for k in self.lengths(per_step, lengths)], x.shape[1]
                rows = self.get_submodule(name)(torch.cat([x[b, :k] for b, k in enumerate(n)]))
                x = torch.stack([nn.functional.pad(y, (0, 0, 0, longest - len(y))) for y in rows.split(n)])
            elif kind == "one_hot":
                x = nn.functional.one_hot(x, site).to(next(self.parameters(), torch.zeros(0, dtype=torch.float64)).dtype)
            elif kind in RECURRENT:
                packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
                context = values[inputs[1] if len(inputs) > 1 else "context"][0]
                packed, h = self.get_submodule(name)(packed, initial_state(self.get_submodule(name), site, context, x.shape[0]))
                x, _ = pad_packed_sequence(packed, batch_first=True, total_length=x.shape[1])
                if kind == "lstm":
                    h, c = h
                    values[f"{name}.c_n"] = (c.transpose(0, 1).reshape(x.shape[0], -1), False)
                directions = 2 if self.get_submodule(name).bidirectional else 1
                values[f"{name}.h_n"] = (h.transpose(0, 1).reshape(x.shape[0], -1), False)
                final = torch.cat([h[i] for i in range(h.shape[0] - directions, h.shape[0])], dim=1)
            elif kind == "activation":
                x = site(x)
            elif kind == "transformer_decoder":
                memory, stream = values[inputs[1]]
                x = self.get_submodule(name)(x, memory, self.lengths(per_step, lengths), self.lengths(stream, lengths))
            elif kind == "residual":
                x = x + values[inputs[1]][0]
            elif kind == "concat":
                parts = [values[i] for i in inputs]
                per_step = any(steps for _, steps in parts)
                longest = max(v.shape[1] for v, steps in parts if steps) if per_step else 0
                x = torch.cat([v[:, None].expand(-1, longest, -1) if per_step and not steps else v
                               for v, steps in parts], dim=-1)
            elif kind == "select":
                x, per_step = self.select(x, lengths, site, final), False
            else:
                x = self.get_submodule(name)(x)
            values[name] = (x, per_step)
        return {k: torch.cat([v[b, :n] for b, n in enumerate(self.lengths(per_step, lengths))]) if per_step else v
                for k, (v, per_step) in values.items()}

    def lengths(self, stream, lengths):
        return self.target_lengths if stream == "target" else lengths

    def attend(self, kind, name, site, x, inputs, lengths, final):
        if kind in ("multi_head_attention", "self_attention"):
            read = inputs or [x]
            return self.get_submodule(name)(*(read + read[-1:] * 2)[:3], lengths)
        if kind == "basic_attention":
            query = inputs[1] if len(inputs) > 1 else self.select(x, lengths, site, final)
            return torch_attention.basic_attention(x, query, lengths)
        return self.get_submodule(name)(x, lengths)

    @staticmethod
    def select(x, lengths, kind, final):
        if kind == "final":
            return final
        pick = {
            "last": lambda rows: rows[-1],
            "first": lambda rows: rows[0],
            "mean": lambda rows: rows.mean(0),
            "max": lambda rows: rows.max(0).values,
        }[kind]
        return torch.stack([pick(x[b, :n]) for b, n in enumerate(lengths)])
