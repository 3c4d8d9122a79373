#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""json_keys.py KIND: reads one JSON object from stdin and compares its keys, and types, with what is agreed."""
import json
import re
import sys

number, whole, text = (int, float), int, str
EVAL = dict(loss=number, perplexity=number, accuracy=number, rmse=None, mae=None, sequences=whole, targets=whole, split=text, step=whole)
BENCH = dict(tokens_per_s=number, step_ms=number, gflops=number, sgemm_peak_gflops=number, memory_gbytes_per_s=number, l2_gbytes_per_s=number, ranks=whole, threads=whole,
             l3_caches_per_rank=whole, peak_memory_bytes=whole, job_memory_bytes=whole, phases=dict, scaling=dict, layers=list)
LAYER = dict(name=text, kind=text, forward=number, backward=number, gflops=number, gbytes_per_s=number, compute_ms=number, l2_ms=number,
             memory_ms=number, barrier_ms=number, other_ms=number, bound=text, fork_joins=number)
SCALING = dict(fork_joins=number, fork_join_us=number, idle_ms=number, rank_waits=number, rank_waits_ms=number, serial_ms=number, work_ms=number,
               formula=text, cores=whole, step_ms=number, step_as_cut_ms=number, speedup=number, speedup_as_cut=number)
PHASES = {"data", "forward", "backward", "reduce", "exchange_exposed", "exchange_hidden", "optimizer"}
INFO = dict(format=text, format_version=whole, program_version=text, step=whole, epoch=whole, seed=whole, shards=whole,
            data_digest=text, state_digest=text, created=text, parameters=whole, bytes=whole, verified=bool)


def check(found, agreed, exactly):
    for key, kind in agreed.items():
        assert key in found, f"{key} is missing"
        assert found[key] is None if kind is None else isinstance(found[key], kind), f"{key}: {found[key]!r}"
    assert not exactly or set(found) == set(agreed), f"beyond what is agreed: {set(found) - set(agreed)}"


def main(kind):
    source = sys.stdin.read()
    found = json.loads(source)
    assert isinstance(found, dict)
    for digits in re.findall(r"(?<=[ :])-?([0-9]+\.[0-9]+)", source):
        assert len(digits.removesuffix(".0").replace(".", "").lstrip("0")) <= 9, f"{digits}: more than 9 digits"
    if kind == "eval":
        check(found, EVAL, True)
        assert found["split"] == "validation" and found["step"] == 12 and abs(found["perplexity"] / 2.718281828 ** found["loss"] - 1) < 1e-6
    elif kind == "eval_values":
        check(found, EVAL | dict(perplexity=None, accuracy=None, rmse=number, mae=number), True)
        assert found["split"] == "all" and abs(found["rmse"] ** 2 / found["loss"] - 1) < 1e-6
    elif kind == "bench_comm":
        check(found, BENCH | dict(comm=dict), True)
        comm = found["comm"]
        assert comm["network"] == "10GbE,20us" and abs(comm["network_bytes_per_s"] / (1.25e9 * 1448 / 1538) - 1) < 1e-6 and abs(comm["network_latency_us"] - 20) < 1e-6
        assert [row["nodes"] for row in comm["prediction"]] == [2 ** k for k in range(13)]
        assert comm["prediction"][0]["efficiency"] == 1 and comm["prediction"][0]["exchange_ms"] == 0
        assert all(row["step_ms"] > 0 and row["efficiency"] > 0 for row in comm["prediction"])
        assert all(row["memcpy_ms"] > 0 and row["sum_ms"] > 0 for row in comm["sweep"]) and len(comm["sweep"]) >= 3
        assert comm["reduce"]["bytes_per_s"] > 0 and "exchange(N)" in comm["formula"]
    elif kind == "bench":
        check(found, BENCH, True)
        assert set(found["phases"]) == PHASES, found["phases"]
        assert [layer["name"] for layer in found["layers"]] == ["emb", "rnn", "dropout", "fc"]
        for layer in found["layers"]:
            check(layer, LAYER, True)
            least = max(layer[part] for part in ("compute_ms", "l2_ms", "memory_ms"))
            time = layer["forward"] + layer["backward"]
            assert abs(least + layer["barrier_ms"] + layer["other_ms"] - time) < 1e-6 * time + 1e-9, layer
            assert layer["bound"] in ("compute", "L2", "memory", "barrier") and layer["fork_joins"] >= 0
        assert found["layers"][1]["compute_ms"] > 0 and found["layers"][2]["compute_ms"] == 0
        scaling = found["scaling"]
        alone = dict(serial_ms=None, step_ms=None, step_as_cut_ms=None, speedup=None, speedup_as_cut=None) if found["threads"] == 1 else {}
        check(scaling, SCALING | alone, True)
        assert min(found[key] for key, kind in BENCH.items() if kind in (number, whole)) > 0
        if alone:
            return
        assert scaling["cores"] == 64 and 0 < scaling["serial_ms"] and scaling["step_as_cut_ms"] >= 0.999999 * scaling["step_ms"]
        predicted = scaling["serial_ms"] + scaling["rank_waits_ms"] + scaling["work_ms"] / 64 + scaling["fork_joins"] * scaling["fork_join_us"] / 1e3
        assert abs(predicted / scaling["step_ms"] - 1) < 1e-6, scaling
        assert scaling["fork_joins"] >= sum(layer["fork_joins"] for layer in found["layers"]) - 1e-6
    elif kind == "bench_nodes":
        check(found, BENCH | dict(exchange=dict), True)
        assert set(found["exchange"]) == {"gradients", "parameters"}
        for half in found["exchange"].values():
            check(half, dict(exposed_ms=number, alone_ms=number, hidden_share=number), True)
            assert half["exposed_ms"] >= 0 and half["alone_ms"] >= 0 and half["hidden_share"] <= 1
    elif kind == "info":
        check(found, INFO, False)
        assert found["format"] == "lockstep-checkpoint" and found["verified"] is True and re.fullmatch("[0-9a-f]{32}", found["state_digest"])
    else:
        check(found, dict(sequences=whole, targets=text, classes=whole), False)


main(sys.argv[1])
