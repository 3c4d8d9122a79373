#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""trace_check.py FILE RANKS whole|bounded: the file is Chrome's trace event format as train --trace promises it."""
import json
import sys

PHASES = {"data", "forward and backward", "reduce", "optimizer", "publish"}
LAYERS = {f"{name} {way}" for name in ("emb", "rnn", "dropout") for way in ("forward", "backward")} | {"fc forward, loss, backward"}
MESSAGES = {f"{what} {way}" for what in ("gradients", "parameters") for way in ("to", "from")}


def check_rows(spans):
    """Spans of a row are nested or apart, to the ns in which viewers count; times are microseconds, from the start of the trace."""
    rows = {}
    for e in spans:
        rows.setdefault((e["pid"], e["tid"]), []).append((round(e["ts"] * 1000), -round(e["dur"] * 1000), e["name"]))
    for row, found in rows.items():
        open_until = []
        for begun, minus, name in sorted(found):
            end = begun - minus
            while open_until and open_until[-1] <= begun:
                open_until.pop()
            assert not open_until or end <= open_until[-1], f"{name} in row {row} at {begun} is neither in nor beside the one before"
            open_until.append(end)


def main(path, ranks, extent):
    trace = json.load(open(path))
    events, ranks = trace["traceEvents"], max(1, int(ranks))
    spans = [e for e in events if e["ph"] == "X"]
    names = [e for e in events if e["ph"] == "M"]
    assert len(spans) + len(names) == len(events) and {e["pid"] for e in events} == set(range(ranks))
    for e in spans:
        assert e["ts"] > -1e4 and e["dur"] >= 0 and isinstance(e["tid"], int) and e["name"], e
    processes = {e["pid"]: e["args"]["name"] for e in names if e["name"] == "process_name"}
    threads = {(e["pid"], e["tid"]) for e in names if e["name"] == "thread_name"}
    assert all(processes[r].startswith(f"rank {r} (") for r in range(ranks))
    assert {(e["pid"], e["tid"]) for e in spans} <= threads, "a row without a name"
    check_rows(spans)
    for rank in range(ranks):
        mine = [e for e in spans if e["pid"] == rank]
        assert len(mine) == 50000 if extent == "bounded" else len(mine) < 50000, len(mine)
        for name in PHASES | LAYERS | {"step"}:
            steps = {e["args"]["step"] for e in mine if e["name"] == name}
            assert extent == "bounded" or steps >= set(range(1, 13)), f"{name} of rank {rank}: steps {sorted(steps)}"
    # One chunk of parameters, so one owner: each kind of message somewhere in every step.
    for name in MESSAGES if ranks > 1 else ():
        found = [e for e in spans if e["name"] == name]
        assert len(found) >= 12 and all(e["args"]["bytes"] > 0 and e["args"]["rank"] != e["pid"] for e in found), name
    for half in ("gradients", "parameters") if ranks > 1 else ():
        assert any(e["name"] == f"wait for {half}" and e["tid"] == 0 for e in spans), half
    writes = [e for e in spans if e["name"] == "write checkpoint"]
    if extent == "whole":
        assert {e["args"]["step"] for e in writes} == {4, 8, 12} and {e["pid"] for e in writes} == {0}


main(*sys.argv[1:])
