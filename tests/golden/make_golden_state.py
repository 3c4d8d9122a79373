#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_golden_state.py [DIRECTORY]: as make_golden.py, for recurrent layers that do not start from zeros."""
import os
import sys

import make_golden
from make_golden import EMB, FC, data, layer


def cases():
    """name, layers, data, sections of the config beyond make_golden's."""
    for kind in ("rnn", "gru", "lstm"):
        def deep(state, **keys):
            return layer(kind, name="rnn", hidden_size=5, num_layers=2, bidirectional=True, initial_state=state, **keys)
        ragged = dict(data(ragged=True), context=3)
        yield f"{kind}_state_learned", [EMB, deep("learned"), FC], data(ragged=True), {}
        yield f"{kind}_state_context", [EMB, deep("context"), FC], ragged, {}
    # one layer, sums of shards, and a state that another layer makes: its gradient flows back
    yield "gru_state_context_sum", [EMB, layer("gru", name="rnn", hidden_size=17, bias=False, initial_state="context"), FC], \
        dict(data(), context=1), {"loss": {"reduction": "sum"}, "train": {"batch_size": 4}}
    yield "lstm_state_other", [EMB, layer("gru", name="enc", hidden_size=6, num_layers=2), layer(
        "lstm", name="rnn", hidden_size=7, initial_state="context", input=["emb", "enc.h_n"]), FC], data(ragged=True), {}
    yield "lstm_state_named", [EMB, layer("lstm", name="rnn", hidden_size=6, initial_state="context", input=["emb", "context"]),
                               layer("lstm", name="top", hidden_size=5, initial_state="context"), FC], \
        dict(data(ragged=True), context=4), {}


if __name__ == "__main__":
    make_golden.cases = cases
    make_golden.main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
