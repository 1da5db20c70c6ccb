"""One run that goes on under other circumstances each time: 1, 2, 4, 3, 8 ranks, another sharding, another exchange, other threads, full and
incremental checkpoints, saved at once and behind. Its curve, its best step, its early stopping and its weights are those of one rank that
nobody stopped; in fast mode within rounding.

usage: changes_test.py ODD_PROGRAM PROGRAM EXPERIMENT

A rank of ODD_PROGRAM (odd_communicator.h) is told to stop at a step that is drawn, as by a signal of Slurm.
"""
import json
import math
import pathlib
import random
import subprocess
import sys
import tempfile

import runs

ODD, PROGRAM, EXPERIMENT = sys.argv[1:4]
EXACT = ["train.deterministic=true", "train.chunk=4"]
# Early stopping counts across the stops; the average of the weights and the schedule go on.
COMMON = ["--quiet", "checkpoint.enabled=true", "checkpoint.every_steps=3", "report.log_every_steps=1", "train.epochs=6", "train.decay_steps=48",
          "evaluation.every_steps=5", "train.average_decay=0.9", "embedding.optimizer=adam", "model.dropout=0.1",
          "train.early_stopping={metric: auc, patience: 2}", "seed=6"]
RANKS = (1, 2, 4, 3, 8)
SHARDINGS = ("table_wise", "row_wise", "column_wise", "data_parallel", "auto")
EXCHANGES = ("direct", "pairwise", "butterfly", "auto", "hierarchical")


def train(run_dir, ranks, *more, threads=1, stop=None):
    """To the end, or to where a rank is told to stop: (rank, step)."""
    environment = dict(runs.ENVIRONMENT, OMP_NUM_THREADS=str(threads))
    if stop:
        environment["SWALLOWTAIL_TEST_FAULT"] = f"wish:before:{stop[0]}:{stop[1]}:1:loss"
    ended = subprocess.run(runs.mpirun(ranks, ODD if stop else PROGRAM, "train", EXPERIMENT, "--json", f"run.dir={run_dir}", *COMMON, *more),
                           env=environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == (75 if stop else 0), f"{ranks} ranks, {more}, stop {stop}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
    assert not stop or "injects wish" in ended.stdout, ended.stdout
    return None if stop else json.loads(ended.stdout)


def go_on(run_dir, dice, total, *more):
    """From stop to stop; returns the last summary and what was done."""
    # A wish is granted a step later, so stops are apart.
    stops = sorted(dice.sample(range(1, total - 2, 3), len(RANKS) - 1)) + [None]
    exchanges, shardings = dice.sample(EXCHANGES, 5), dice.sample(SHARDINGS, 5)
    done = []
    for i, (ranks, stop) in enumerate(zip(RANKS, stops)):
        changes = [f"embedding.sharding={shardings[i]}", f"parallel.all_to_all={exchanges[i]}",
                   f"checkpoint.async={'true' if dice.random() < 0.5 else 'false'}",
                   f"checkpoint.incremental={'true' if dice.random() < 0.5 else 'false'}", *(["--resume"] if i > 0 else [])]
        summary = train(run_dir, ranks, *changes, *more, threads=dice.choice([1, 2]), stop=stop and (dice.randrange(ranks), stop))
        done.append(f"{ranks} ranks {shardings[i]} {exchanges[i]} until {stop}")
    return summary, "; ".join(done)


def losses(run_dir):
    return [line["loss"] for line in runs.curve(run_dir) if "loss" in line]


def main():
    with tempfile.TemporaryDirectory() as work:
        folder = pathlib.Path(work)
        whole, fast = folder / "whole", folder / "fast"
        wanted = train(whole, 1, *EXACT)
        train(fast, 1)
        total = wanted["steps"]
        assert 10 < total < 48, f"early stopping did not stop: {total} steps"
        wanted_weights = runs.weights(PROGRAM, whole)
        for seed in range(runs.SEEDS):
            dice = random.Random(seed)
            run_dir = folder / f"run-{seed}"
            summary, done = go_on(run_dir, dice, total, *EXACT)
            assert losses(run_dir) == losses(whole), f"{done}: another curve"
            for key in ("steps", "best_step", "test", "validation"):
                assert summary.get(key) == wanted.get(key), f"{done}: {key} {summary.get(key)}, not {wanted.get(key)}"
            assert runs.weights(PROGRAM, run_dir) == wanted_weights, f"{done}: other weights"
            runs.verified(PROGRAM, run_dir)
            print(f"{done}: the same bits, {total} steps", flush=True)
        run_dir = folder / "fast-changed"
        _, done = go_on(run_dir, random.Random(100), len(losses(fast)) - 1)
        for step, (one, other) in enumerate(zip(losses(run_dir), losses(fast))):
            assert math.isclose(one, other, rel_tol=1e-5), f"fast, {done}: step {step + 1} {one}, not {other}"
        print(f"fast, {done}: within 1e-5", flush=True)


main()
