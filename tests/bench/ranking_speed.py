#!/usr/bin/env python3
"""Training speed of ranking models beside RecBole's, one after the other on the same data with the same settings.

  ranking_speed.py PROGRAM PEER SPLIT [--python PYTHON] [--models BPR LightGCN GRU4Rec SASRec] [--threads 2] [--turns 1]

PEER    the script that trains a model in RecBole and prints one JSON line (MODEL FOLDER --epochs N --threads N …);
PYTHON  runs it (default: this interpreter)
SPLIT   holds train.tsv, validation.tsv, test.tsv

A sample is a training interaction; for the sequence models a prefix, that is an interaction with one before it. RecBole
trains on every prefix by itself; here a window of 20 items has 20 targets, and a batch as many windows as hold about
RecBole's 512 targets, so that an epoch has the same targets in about as many steps. Time of evaluation is no part of
either figure. Prints a table, and the figures as one JSON line.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

WINDOW, PREFIXES = 20, 512
SEQUENCE = f"sequence_length: {WINDOW}"
# name: (epochs here, epochs of RecBole, sections of the experiment)
MODELS = {
    "BPR": (60, 60, "model: {type: bpr_mf, embedding_dim: 64}\n"
                    "embedding: {optimizer: adam, learning_rate: 0.001, init: normal, init_scale: 0.1}\n"
                    "train: {batch_size: 2048, epochs: EPOCHS, threads: THREADS}"),
    "LightGCN": (3, 2, "model: {type: lightgcn, embedding_dim: 64, layers: 3}\n"
                       "embedding: {optimizer: adam, learning_rate: 0.005, weight_decay: 1e-4, init_scale: 0.1}\n"
                       "train: {batch_size: 2048, epochs: EPOCHS, threads: THREADS}"),
    "GRU4Rec": (2, 1, f"model: {{type: gru4rec, embedding_dim: 64, hidden_dim: 128, layers: 1, dropout: 0.3, {SEQUENCE}}}\n"
                      f"train: {{batch_size: {PREFIXES // WINDOW}, optimizer: adam, learning_rate: 0.001, epochs: EPOCHS, threads: THREADS}}"),
    "SASRec": (2, 1, f"model: {{type: sasrec, embedding_dim: 64, layers: 2, heads: 2, dropout: 0.2, {SEQUENCE}}}\n"
                     f"train: {{batch_size: {PREFIXES // WINDOW}, optimizer: adam, learning_rate: 0.001, epochs: EPOCHS, threads: THREADS}}"),
}


def samples_an_epoch(split, model):
    users = [line.split("\t")[0] for line in (split / "train.tsv").read_text().splitlines()[1:]]
    return len(users) - (len(set(users)) if model in ("GRU4Rec", "SASRec") else 0)


def here(options, model, folder):
    epochs, _, sections = MODELS[model]
    experiment = folder / f"{model}.yaml"
    experiment.write_text(
        f"data: {{source: interactions, train: {options.split}/train.tsv, validation: {options.split}/validation.tsv}}\n"
        + sections.replace("EPOCHS", str(epochs)).replace("THREADS", str(options.threads))
        + f"\nevaluation: {{every_steps: 1000000, slices: false}}\ncheckpoint: {{enabled: false}}\n")
    command = [options.program, "train", experiment, "--json", "--quiet", "--force", f"run.dir={folder / model}"]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(ended.stderr)
    summary = json.loads(ended.stdout)
    return summary["samples_per_s"] / (summary["samples"] / epochs) * samples_an_epoch(options.split, model)


def recbole(options, model):
    epochs = MODELS[model][1]
    command = [options.python, options.peer, model, options.split, "--epochs", epochs, "--threads", options.threads]
    ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(ended.stderr)
    result = json.loads(ended.stdout.splitlines()[-1])
    return result["epochs"] * samples_an_epoch(options.split, model) / result["train_seconds"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("peer", type=pathlib.Path)
    parser.add_argument("split", type=pathlib.Path)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--turns", type=int, default=1, help="each side so often, in turn; the best counts")
    options = parser.parse_args()
    options.split = options.split.resolve()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        for model in options.models:
            ours = theirs = 0
            for _ in range(options.turns):
                ours = max(ours, here(options, model, pathlib.Path(folder)))
                theirs = max(theirs, recbole(options, model))
            figures[model] = {"samples_per_s": ours, "recbole": theirs, "ratio": ours / theirs}
            print(f"{model:<10} {ours:12.0f} samples/s  RecBole {theirs:10.0f}  ratio {ours / theirs:6.2f}", flush=True)
    print(json.dumps(figures))


main()
