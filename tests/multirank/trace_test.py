#!/usr/bin/env python3
"""trace.json of a training on two ranks: lanes, order, one clock, and the sums that summary.json has.

  trace_test.py PROGRAM EXPERIMENT
"""
import collections
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM, EXPERIMENT = sys.argv[1:3]
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive"}
RANKS, STEPS = 2, 12
IN_EVERY_STEP = ["data", "input exchange", "lookup and shuffle", "forward and backward", "gradient shuffle", "dense reduction",
                 "update"]  # the order of the lanes
# Phases come back (the next batch's ids go while this one is trained); this is how they first begin. The loss is summed
# before the gradients are exchanged.
BEGIN_ORDER = ["data", "input exchange", "lookup and shuffle", "forward and backward", "dense reduction", "gradient shuffle",
               "update"]


def train(run, *arguments):
    command = ["mpirun", "--oversubscribe", "-n", str(RANKS), PROGRAM, "train", EXPERIMENT, "--json", "--quiet",
               f"run.dir={run}", f"train.max_steps={STEPS}", "evaluation.every_steps=6", *arguments]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return json.loads(ended.stdout)


def read(run):
    """({(rank, lane): name}, complete events in the order of the file)."""
    events = json.loads((run / "trace.json").read_text())["traceEvents"]
    processes = {event["pid"]: event["args"]["name"] for event in events if event["name"] == "process_name"}
    assert processes == {rank: f"rank {rank}" for rank in range(RANKS)}, processes
    lanes = {(event["pid"], event["tid"]): event["args"]["name"] for event in events if event["name"] == "thread_name"}
    return lanes, [event for event in events if event["ph"] == "X"]


def check_whole(run, summary):
    lanes, events = read(run)
    for rank in range(RANKS):
        named = [name for (pid, _), name in sorted(lanes.items()) if pid == rank]
        assert named == [*IN_EVERY_STEP, "evaluation", "checkpoint"], f"lanes of rank {rank}: {named}"
    for event in events:
        assert event["name"] == lanes[event["pid"], event["tid"]], f"an event outside of its lane: {event}"
        assert event["dur"] >= 0, event
        assert 1 <= event["args"]["step"] <= STEPS, event

    by_lane = collections.defaultdict(list)
    for event in events:
        by_lane[event["pid"], event["tid"]].append(event)
    for (rank, _), lane in by_lane.items():
        for before, after in zip(lane, lane[1:]):
            assert before["ts"] + before["dur"] <= after["ts"] + 0.002, f"a lane overlaps itself: {before}, {after}"
    for rank in range(RANKS):
        for step in range(1, STEPS + 1):
            begun = [event["name"] for event in events if event["pid"] == rank and event["args"]["step"] == step
                     and event["name"] in IN_EVERY_STEP]
            first = sorted(set(begun), key=begun.index)
            assert first == BEGIN_ORDER, f"rank {rank}, step {step}: {begun}"
    # One clock: rank 1 cannot have the pooled vectors of a step before rank 0 began with that step's input, and the other
    # way round.
    last = {(event["pid"], event["name"], event["args"]["step"]): event for event in events}
    first = {(event["pid"], event["name"], event["args"]["step"]): event for event in reversed(events)}
    for step in range(1, STEPS + 1):
        for rank in range(RANKS):
            shuffled, begun = last[rank, "lookup and shuffle", step], first[1 - rank, "input exchange", step]
            assert shuffled["ts"] + shuffled["dur"] >= begun["ts"], f"step {step}: {shuffled} ends before {begun} begins"

    for name, seconds in summary["phases"].items():
        traced = math.fsum(event["dur"] for event in events if event["pid"] == 0 and event["name"] == name) * 1e-6
        assert math.isclose(traced, seconds, rel_tol=1e-3, abs_tol=1e-5), f"{name}: {traced} s in the trace, {seconds} s"
    print(f"{len(events)} events in {len(lanes)} lanes")


with tempfile.TemporaryDirectory() as folder:
    folder = pathlib.Path(folder)
    check_whole(folder / "whole", train(folder / "whole", "--trace"))
    train(folder / "bounded", "report.trace=true", "report.trace_steps=5")
    kept = {event["args"]["step"] for event in read(folder / "bounded")[1]}
    assert kept == set(range(1, 6)), f"asked for 5 steps, kept {kept}"
    train(folder / "none")
    assert not (folder / "none" / "trace.json").exists(), "a trace that nobody asked for"
