"""Data that leave ranks without work: fewer samples in a batch than ranks, ranks with no sample in any batch, ranks that
own no table. Every world size must train and end well, and in deterministic mode with the bits of one rank.

usage: uneven_data_test.py PROGRAM EXPERIMENT
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM, EXPERIMENT = sys.argv[1:3]
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive")
ONE_TABLE = ["data.tables=[{rows: 30, pooling_factor: 2}]"]
TWO_TABLES = ["data.tables=[{rows: 30, pooling_factor: 2, fixed: false}, {rows: 5}]"]
# name: (arguments, samples, steps of two epochs, world sizes)
CASES = {
    # 6 + 6 + 6 + 5 samples: on 8 ranks two or three have none.
    "last batch smaller than ranks": (["data.samples=23", "train.batch_size=6", *TWO_TABLES], 23, 8, (1, 2, 3, 4, 8)),
    # 3 + 3 + 1: from 4 ranks on some never see a sample, and in the last batch only one does.
    "ranks with no sample at all": (["data.samples=7", "train.batch_size=3", *ONE_TABLE], 7, 6, (1, 2, 4, 8)),
    "a data set of one sample": (["data.samples=1", "train.batch_size=1", *TWO_TABLES], 1, 2, (1, 3)),
}


def train(ranks, run, arguments):
    """(summary.json, the lines of metrics.jsonl without the speed)."""
    command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), PROGRAM, "train", EXPERIMENT, "--json",
               "--quiet", f"run.dir={run}", "parallel.timeout_s=60", "report.log_every_steps=1", *arguments]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return json.loads(ended.stdout), [{key: value for key, value in line.items() if key != "samples_per_s"} for line in lines]


def losses(lines):
    return [line["loss"] for line in lines if "loss" in line]


for name, (arguments, samples, steps, worlds) in CASES.items():
    with tempfile.TemporaryDirectory() as folder:
        wanted = None
        for ranks in worlds:
            # One validation sample: all ranks but one have nothing to score.
            exact = [*arguments, "data.validation_samples=1", "train.deterministic=true", "train.chunk=1"]
            summary, lines = train(ranks, pathlib.Path(folder, f"exact-{ranks}"), exact)
            assert (summary["steps"], summary["samples"]) == (steps, 2 * samples), f"{name}, {ranks} ranks: {summary}"
            assert len(losses(lines)) == steps and all(map(math.isfinite, losses(lines))), f"{name}, {ranks} ranks: {lines}"
            wanted = wanted or lines
            assert lines == wanted, f"{name}: {ranks} ranks give {lines}, one gives {wanted}"
            print(f"{name}, {ranks} ranks: {steps} steps as on one", flush=True)
        # The fast division of a batch is another one, and its sums may differ in rounding.
        for ranks in worlds[-1:]:
            _, lines = train(ranks, pathlib.Path(folder, f"fast-{ranks}"), [*arguments, "data.validation_samples=1"])
            near = zip(losses(lines), losses(wanted), strict=True)
            assert all(math.isclose(a, b, rel_tol=1e-4) for a, b in near), f"{name}, fast: {lines}, exact: {wanted}"
            print(f"{name}, {ranks} ranks, fast: the same but for rounding", flush=True)
