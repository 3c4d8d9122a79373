#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_golden_attention.py [DIRECTORY]: as make_golden.py, for the kinds of attention."""
import os
import sys

import make_golden
from make_golden import EMB, FC, data, layer

REALS = data(inputs="reals")
RAGGED = data(inputs="reals", ragged=True)
SGD = {"optimizer": {"name": "sgd", "lr": 0.2}}


def cases():
    """name, layers, data, sections of the config beyond make_golden's."""
    up = layer("linear", name="up", out_features=8)
    wide = layer("linear", name="up", out_features=36)

    def encoder(**keys):
        return [up, layer("transformer_encoder", name="enc", **{"nhead": 2, "dim_feedforward": 19, "dropout": 0, **keys}), FC]

    # ---- transformer_encoder ----
    yield "encoder", encoder(), REALS, {}
    yield "encoder_ragged", encoder(), RAGGED, {}
    yield "encoder_2_gelu", encoder(num_layers=2, activation="gelu"), RAGGED, {}
    yield "encoder_pre_norm", encoder(num_layers=2, norm_first=True), RAGGED, {}
    yield "encoder_pre_norm_final", encoder(num_layers=2, norm_first=True, norm=True, activation="gelu", causal=True), RAGGED, {}
    yield "encoder_causal", encoder(causal=True, nhead=4), REALS, {}
    yield "encoder_norm_no_bias", encoder(num_layers=2, norm=True, bias=False, layer_norm_eps=1e-3), RAGGED, {}
    yield "encoder_wide", [wide, layer("transformer_encoder", name="enc", nhead=2, dim_feedforward=70, dropout=0, norm_first=True), FC], \
        data(inputs="reals", ragged=True, t=9), SGD
    yield "encoder_frozen", encoder(frozen=True), RAGGED, {}
    yield "encoder_alone", [layer("transformer_encoder", name="enc", nhead=2, dim_feedforward=19, dropout=0, num_layers=2)], \
        data(inputs="reals", features=4, targets="step_values"), {"loss": {"kind": "mse"}}
    yield "gpt", [layer("embedding", name="emb", embedding_dim=8), layer("positional_encoding", name="pos", kind="learned", max_len=5),
                  layer("transformer_encoder", name="enc", nhead=2, num_layers=2, dim_feedforward=32, dropout=0, activation="gelu",
                        norm_first=True, causal=True, norm=True), layer("linear", name="fc", tie="emb", bias=False)], \
        data(classes=7), {"optimizer": {"name": "adamw", "lr": 0.01, "weight_decay": 0.1}, "train": {"clip_norm": 1.0}}
    # ---- positional_encoding ----
    yield "positional_sinusoidal", [EMB, layer("positional_encoding", name="pos"), layer("rnn", name="rnn", hidden_size=6), FC], \
        data(ragged=True, t=40), {}
    yield "positional_learned", [EMB, layer("positional_encoding", name="pos", kind="learned"), layer("rnn", name="rnn", hidden_size=6), FC], \
        data(ragged=True), {}
    # ---- multi_head_attention ----
    attention = layer("multi_head_attention", name="att", num_heads=2)
    yield "multi_head", [up, attention, FC], RAGGED, {}
    yield "multi_head_long", [up, layer("multi_head_attention", name="att", num_heads=2, causal=True), FC], \
        data(inputs="reals", n=2, t=150), SGD
    yield "multi_head_no_bias", [up, layer("multi_head_attention", name="att", num_heads=4, bias=False, causal=True), FC], RAGGED, {}
    yield "multi_head_free", [up, layer("multi_head_attention", name="att", num_heads=3, head_dim=5, out_features=7), FC], RAGGED, {}
    yield "multi_head_out", [up, layer("multi_head_attention", name="att", num_heads=2, out_features=17, bias=False), FC], RAGGED, {}
    other = layer("gru", name="other", hidden_size=8)
    third = layer("linear", name="third", out_features=8)
    yield "multi_head_cross", [up, other, layer("multi_head_attention", name="att", num_heads=2, input=["up", "other"]), FC], RAGGED, SGD
    yield "multi_head_three", [up, other, third, layer("multi_head_attention", name="att", num_heads=2, input=["up", "other", "third"]), FC], \
        RAGGED, SGD
    yield "multi_head_cross_free", [up, layer("gru", name="other", hidden_size=5),
                                    layer("multi_head_attention", name="att", num_heads=2, head_dim=3, input=["up", "other"]), FC], RAGGED, SGD
    # ---- self_attention, basic_attention, channel_attention ----
    yield "self_attention", [up, layer("self_attention", name="att"), FC], RAGGED, {}
    yield "self_attention_wide", [up, layer("self_attention", name="att", hidden_size=21, causal=True), FC], RAGGED, {}
    rnn = layer("lstm", name="rnn", hidden_size=6)
    both = layer("gru", name="rnn", hidden_size=5, num_layers=2, bidirectional=True)
    ends = data(targets="sequences", ragged=True)
    yield "basic_attention", [EMB, rnn, layer("basic_attention", name="att"), FC], ends, {}
    yield "basic_attention_both", [EMB, both, layer("basic_attention", name="att"), FC], ends, {}
    yield "basic_attention_query", [EMB, rnn, layer("select", name="mean", kind="mean"),
                                    layer("basic_attention", name="att", input=["rnn", "mean"]), FC], ends, {}
    yield "basic_attention_last", [EMB, rnn, layer("basic_attention", name="att", query="last"), FC], ends, {}
    yield "channel_attention", [EMB, rnn, layer("channel_attention", name="att"), FC], ends, {}
    yield "channel_attention_no_bias", [EMB, both, layer("channel_attention", name="att", bias=False), FC], ends, {}


if __name__ == "__main__":
    make_golden.cases = cases
    make_golden.main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
