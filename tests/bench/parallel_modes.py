"""What the modes of the hybrid parallelism cost, as Markdown: wire precisions in quality, deterministic mode and overlap
in speed. Speeds are ratios of interleaved runs (median of --repeats); quality does not depend on the machine.

usage: parallel_modes.py SWALLOWTAIL CONFIGS [--ranks 2] [--repeats 5] [--only wire|speed]
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("program")
parser.add_argument("configs", type=pathlib.Path)
parser.add_argument("--ranks", type=int, default=2)
parser.add_argument("--repeats", type=int, default=5)
parser.add_argument("--only", choices=["wire", "speed"])
options = parser.parse_args()

KAGGLE = """
name: kaggle-shape
data: {source: synthetic, tables_preset: kaggle, dense_features: 13, samples: 204800}
model: {embedding_dim: 16, bottom_mlp: [512, 256, 64], top_mlp: [512, 256], interaction: dot}
embedding: {optimizer: sgd, learning_rate: 0.1}
train: {batch_size: 2048, optimizer: sgd, learning_rate: 0.1, threads: 1, max_steps: 60}
checkpoint: {enabled: false}
"""


def train(experiment, *overrides):
    with tempfile.TemporaryDirectory() as folder:
        command = ["mpirun", "-n", str(options.ranks), options.program, "train", str(experiment), "--json", "--quiet",
                   f"run.dir={folder}/run", *overrides]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def wire_table():
    print(f"| wire, {options.ranks} ranks | Adult test logloss | auc | planted test logloss | auc | bytes a step |")
    print("|---|---|---|---|---|---|")
    for forward, backward in [("fp32", "fp32"), ("bf16", "bf16"), ("fp16", "fp16"), ("int8", "int8"), ("int8", "bf16")]:
        cells = []
        for name in ("adult_dlrm.yaml", "synthetic_planted.yaml"):
            # Deterministic, and every vector sent: then nothing but the wire differs.
            run = train(options.configs / name, f"parallel.wire={forward}", f"parallel.wire_backward={backward}",
                        "train.deterministic=true", "checkpoint.enabled=false")
            cells += [f"{run['test']['logloss']:.5f}", f"{run['test']['auc']:.5f}"]
        name = forward if forward == backward else f"{forward} forward, {backward} backward"
        print(f"| {name} | {' | '.join(cells)} | {run['exchange']['bytes_per_step']:,} |", flush=True)


def speed_table():
    with tempfile.NamedTemporaryFile("w", suffix=".yaml") as file:
        file.write(KAGGLE)
        file.flush()
        modes = {
            "fast, overlap on": ["train.deterministic=false", "parallel.overlap=true"],
            "fast, overlap off": ["train.deterministic=false", "parallel.overlap=false"],
            "deterministic, overlap on": ["train.deterministic=true", "parallel.overlap=true"],
            "deterministic, row-wise tables": ["train.deterministic=true", "embedding.sharding=row_wise"],
        }
        speeds = {mode: [] for mode in modes}
        exposed = {mode: [] for mode in modes}
        for _ in range(options.repeats):
            for mode, overrides in modes.items():
                run = train(file.name, *overrides)
                speeds[mode].append(run["samples_per_s"])
                exposed[mode].append(run["exchange"]["exposed_fraction"])
        print(f"| Kaggle shape, batch 2048, {options.ranks} ranks | samples/s against the first | exposed exchange |")
        print("|---|---|---|")
        first = next(iter(modes))
        for mode in modes:
            ratios = [a / b for a, b in zip(speeds[mode], speeds[first])]
            print(f"| {mode} | {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) "
                  f"| {statistics.median(exposed[mode]):.1%} |")


if options.only != "speed":
    wire_table()
if options.only is None:
    print()
if options.only != "wire":
    speed_table()
