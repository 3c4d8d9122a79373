# SPDX-License-Identifier: MIT
"""torch_attention.py: Lockstep's attention layers from PyTorch's modules, for torch_model.py.

All take padded sequences [B, T, F] and their lengths; keys beyond a length are masked out. A vector that is added to
all keys changes no weight: its gradient is zero, and is made so here, where PyTorch has rounding errors that Adam
would turn into steps.
"""
import math

import torch
from torch import nn


def padding(lengths, steps):
    """True where there is no key."""
    return torch.arange(steps)[None, :] >= torch.as_tensor(lengths)[:, None]


def causal(steps, on):
    return torch.ones(steps, steps, dtype=torch.bool).triu(1) if on else None


def no_key_gradient(module, width):
    """in_proj_bias [3 width] is that of query, key and value."""
    if module.in_proj_bias is not None:
        keep = torch.ones(3 * width)
        keep[width:2 * width] = 0
        module.in_proj_bias.register_hook(lambda g: g * keep.to(g.dtype))


def no_gradient(linear):
    if linear.bias is not None:
        linear.bias.register_hook(torch.zeros_like)


class PositionalEncoding(nn.Module):
    def __init__(self, width, kind="sinusoidal", max_len=128, dropout=0.0):
        super().__init__()
        self.kind, self.dropout = kind, nn.Dropout(dropout)
        if kind == "learned":
            self.weight = nn.Parameter(torch.randn(max_len, width))

    def forward(self, x, lengths):
        if self.kind == "learned":
            return self.dropout(x + self.weight[:x.shape[1]])
        width = x.shape[2]
        wave = torch.exp(torch.arange(0, width, 2, dtype=torch.float64) * (-math.log(10000.0) / width))
        angle = torch.arange(x.shape[1], dtype=torch.float64)[:, None] * wave
        table = torch.stack([torch.sin(angle), torch.cos(angle)], 2).flatten(1)[:, :width]
        return self.dropout(x + table.to(x.dtype))


def attend(q, k, v, heads, lengths, mask_future, dropout):
    """Softmax attention of q, k, v [B, T, heads d]."""
    split = [m.unflatten(2, (heads, -1)).transpose(1, 2) for m in (q, k, v)]
    scores = split[0] @ split[1].transpose(2, 3) / math.sqrt(split[0].shape[3])
    scores = scores.masked_fill(padding(lengths, q.shape[1])[:, None, None, :], -math.inf)
    if mask_future:
        scores = scores.masked_fill(causal(q.shape[1], True), -math.inf)
    return (dropout(scores.softmax(3)) @ split[2]).transpose(1, 2).flatten(2)


class FreeAttention(nn.Module):
    """Projections of any size; `fc` only with out_features."""

    def __init__(self, widths, heads, head_dim, out_features, bias, dropout, mask_future):
        super().__init__()
        self.heads, self.mask_future, self.dropout = heads, mask_future, nn.Dropout(dropout)
        self.query, self.key, self.value = (nn.Linear(w, heads * head_dim, bias=bias) for w in widths)
        if out_features:
            self.fc = nn.Linear(heads * head_dim, out_features, bias=bias)
        no_gradient(self.key)

    def forward(self, query, key, value, lengths):
        out = attend(self.query(query), self.key(key), self.value(value), self.heads, lengths, self.mask_future, self.dropout)
        return self.fc(out) if hasattr(self, "fc") else out


class MultiHeadAttention(nn.MultiheadAttention):
    def __init__(self, width, heads, bias, dropout, mask_future):
        super().__init__(width, heads, bias=bias, dropout=dropout, batch_first=True)
        self.mask_future = mask_future
        no_key_gradient(self, width)

    def forward(self, query, key, value, lengths):
        steps = query.shape[1]
        return super().forward(query, key, value, key_padding_mask=padding(lengths, steps), need_weights=False,
                               attn_mask=causal(steps, self.mask_future))[0]


def multi_head_attention(widths, num_heads, head_dim=None, out_features=None, bias=True, dropout=0.0, causal=False):
    """The module and the width of its output."""
    if head_dim is None and out_features is None:
        return MultiHeadAttention(widths[0], num_heads, bias, dropout, causal), widths[0]
    out = out_features or widths[0]
    return FreeAttention(widths, num_heads, head_dim or widths[0] // num_heads, out, bias, dropout, causal), out


def self_attention(width, hidden_size=None, bias=True, dropout=0.0, causal=False):
    hidden = hidden_size or width
    return FreeAttention([width] * 3, 1, hidden, None, bias, dropout, causal), hidden


def basic_attention(rows, query, lengths):
    """Rows [B, T, H], query [B, H]."""
    scores = (rows @ query[:, :, None]).squeeze(2).masked_fill(padding(lengths, rows.shape[1]), -math.inf)
    return (scores.softmax(1)[:, None, :] @ rows).squeeze(1)


class ChannelAttention(nn.Linear):
    def __init__(self, width, bias=True):
        super().__init__(width, width, bias=bias)
        no_gradient(self)

    def forward(self, x, lengths):
        beyond = padding(lengths, x.shape[1])[:, :, None]
        weights = super().forward(x).masked_fill(beyond, -math.inf).softmax(1)
        return torch.bmm(weights.transpose(1, 2), x.masked_fill(beyond, 0)).flatten(1)


class TransformerDecoder(nn.TransformerDecoder):
    def __init__(self, width, nhead, num_layers=1, dim_feedforward=2048, dropout=0.1, activation="relu", norm_first=False,
                 causal=True, norm=False, bias=True, layer_norm_eps=1e-5):
        layer = nn.TransformerDecoderLayer(width, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                                           batch_first=True, norm_first=norm_first, bias=bias)
        super().__init__(layer, num_layers, nn.LayerNorm(width, layer_norm_eps, bias=bias) if norm else None)
        self.mask_future = causal
        for own in self.layers:
            no_key_gradient(own.self_attn, width)
            no_key_gradient(own.multihead_attn, width)

    def forward(self, x, memory, lengths, memory_lengths):
        steps = x.shape[1]
        return super().forward(x, memory, tgt_mask=causal(steps, self.mask_future),
                               tgt_key_padding_mask=padding(lengths, steps),
                               memory_key_padding_mask=padding(memory_lengths, memory.shape[1]))


class TransformerEncoder(nn.TransformerEncoder):
    def __init__(self, width, nhead, num_layers=1, dim_feedforward=2048, dropout=0.1, activation="relu", norm_first=False,
                 causal=False, norm=False, bias=True, layer_norm_eps=1e-5):
        layer = nn.TransformerEncoderLayer(width, nhead, dim_feedforward, dropout, activation, layer_norm_eps,
                                           batch_first=True, norm_first=norm_first, bias=bias)
        final = nn.LayerNorm(width, layer_norm_eps, bias=bias) if norm else None
        super().__init__(layer, num_layers, final, enable_nested_tensor=False)
        self.mask_future = causal
        for own in self.layers:
            no_key_gradient(own.self_attn, width)

    def forward(self, x, lengths):
        steps = x.shape[1]
        return super().forward(x, mask=causal(steps, self.mask_future), src_key_padding_mask=padding(lengths, steps))
