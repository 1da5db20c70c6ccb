#!/usr/bin/env python3
"""Trains the quickstart experiment under real mpirun on 1, 2, 3, 4 and 8 ranks.

  training_test.py PROGRAM EXPERIMENT

Deterministic mode must give the same losses and metrics to the last digit on every number of ranks, a run that is resumed
on another number of ranks must give the curve of the uninterrupted one, and evaluate must repeat the run's own figures.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM, EXPERIMENT = sys.argv[1:3]
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive"}


def swallowtail(ranks, *arguments):
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), PROGRAM, *map(str, arguments)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return json.loads(ended.stdout)


def curve(run):
    """Everything of metrics.jsonl that must not depend on ranks or on the clock."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "samples_per_s"} for line in lines]


def train(ranks, run, *more):
    return swallowtail(ranks, "train", EXPERIMENT, "--json", "--quiet", f"run.dir={run}", "train.deterministic=true",
                       "report.log_every_steps=1", *more)


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        first = train(1, folder / "1", "train.max_steps=200")
        wanted = curve(folder / "1")
        assert len(wanted) > 200, f"only {len(wanted)} lines"
        for ranks in (2, 3, 4, 8):
            summary = train(ranks, folder / str(ranks), "train.max_steps=200")
            assert summary["world_size"] == ranks, summary
            assert 0 < summary["data_wait_fraction"] < 1, summary  # the first batch is always waited for
            assert curve(folder / str(ranks)) == wanted, f"{ranks} ranks differ from 1"
            assert summary["test"] == first["test"], f"{ranks} ranks: {summary['test']} is not {first['test']}"
            print(f"{ranks} ranks: {len(wanted)} lines equal, test auc {summary['test']['auc']}")
        # The schedule of a run that stops after an epoch is that of the whole run when decay_steps names its length.
        whole, parts, steps = folder / "whole", folder / "parts", "train.decay_steps=200"
        train(1, whole, steps, "train.max_steps=200")
        train(2, parts, steps, "train.max_steps=133")
        resumed = train(3, parts, steps, "train.max_steps=200", "--resume")
        losses = [line["loss"] for line in curve(whole) if "loss" in line]
        assert [line["loss"] for line in curve(parts) if "loss" in line] == losses, "the resumed curve differs"
        print(f"resumed on 3 ranks after 133 steps on 2: {len(losses)} losses equal")
        evaluated = swallowtail(2, "evaluate", parts, "--json")
        assert evaluated["metrics"]["test"] == resumed["test"], f"{evaluated['metrics']['test']} is not {resumed['test']}"
        last = json.loads((parts / "ledger.jsonl").read_text().splitlines()[-1])
        assert last["kind"] == "evaluation" and last["payload"]["checkpoint"] == evaluated["checkpoint"], last
        assert float(last["payload"]["metrics"]["test"]["auc"]) == resumed["test"]["auc"], last
        assert swallowtail(1, "verify", parts, "--json")["ok"]


main()
