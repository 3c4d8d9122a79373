#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""make_golden_embedding.py [DIRECTORY]: as make_golden.py, for the options of an embedding that look at the batch's ids.

Batches are small beside the vocabulary: most rows are absent from most of them, some are there twice.
"""
import os
import sys

import make_golden
from make_golden import FC, data, layer

SGD, ADAM = {"name": "sgd", "lr": 0.3}, {"name": "adam", "lr": 0.02}


def cases():
    """name, layers, data, sections of the config beyond make_golden's."""
    def model(**keys):
        return [layer("embedding", name="emb", embedding_dim=7, **keys), layer("gru", name="rnn", hidden_size=6), FC]

    def run(optimizer, **train):
        return {"optimizer": optimizer, "train": {"batch_size": 3, **train}}
    ids = data(n=11, vocabulary=19, ragged=True)
    yield "embedding_max_norm", model(max_norm=1.5, padding_idx=3), ids, run(SGD)
    yield "embedding_max_norm_adam", model(max_norm=1.5, padding_idx=-2), ids, run(ADAM, shards=3)
    yield "embedding_max_norm_1", model(max_norm=2, norm_type=1), ids, run(SGD, shards=3)
    yield "embedding_max_norm_1_adamw", model(max_norm=2, norm_type=1), ids, \
        run({"name": "adamw", "lr": 0.02, "weight_decay": 0.3}, clip_norm=0.2)
    yield "embedding_max_norm_3", model(max_norm=1, norm_type=3.5), ids, \
        run({"name": "sgd", "lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}, shards=5)
    yield "embedding_by_freq", model(scale_grad_by_freq=True, padding_idx=3), ids, run(SGD, clip_norm=0.2)
    yield "embedding_by_freq_max_norm", model(scale_grad_by_freq=True, max_norm=1.2), ids, run(ADAM, shards=3, clip_norm=0.2)
    yield "embedding_by_freq_tied", [*model(scale_grad_by_freq=True)[:1], layer("gru", name="rnn", hidden_size=7), layer(
        "linear", name="fc", tie="emb")], dict(ids, classes=19), run(ADAM, shards=3)
    yield "embedding_sparse", model(sparse=True, padding_idx=3), ids, run(SGD, shards=3, clip_norm=0.2)
    yield "embedding_sparse_max_norm", model(sparse=True, max_norm=1.5, padding_idx=3), ids, run(SGD)
    yield "embedding_sparse_adam", model(sparse=True, padding_idx=3), ids, \
        run({**ADAM, "eps": 1e-3, "betas": [0.8, 0.95]}, clip_norm=0.2)
    yield "embedding_sparse_adam_max_norm", model(sparse=True, max_norm=1.5, padding_idx=3), ids, run(ADAM, shards=3)


if __name__ == "__main__":
    make_golden.cases = cases
    make_golden.main(sys.argv[1] if len(sys.argv) > 1 else os.path.dirname(os.path.abspath(__file__)))
