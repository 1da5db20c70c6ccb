#!/usr/bin/env python3
"""Whether training a ranking model and ranking a whole catalogue cost what the data are: BPR-MF on drawn interactions.

  ranking_scale.py train PROGRAM FOLDER [--interactions 100000 1000000 10000000] [--ranks 1 2 4] [--epochs 1]
  ranking_scale.py rank PROGRAM FOLDER [--items 1000000] [--users 500 2000]

Data: as many items as a tenth of the interactions and half as many users, each with 20 of them; the square of a uniform
draw picks the item, so that some are popular. For `rank` every item once. Files are written to FOLDER once.
train  an epoch for each size and number of ranks (one thread each): seconds a million interactions, and the peak memory
       of the fullest rank less what a run on 1,000 interactions takes
rank   full ranking of the validation users by a trained run, one process: users a second, and peak memory, which must
       not grow with the number of users
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import time

EACH = 20
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive"}


def write_interactions(path, interactions, items):
    """Every item once, so that the catalogue is whole, then draws."""
    if path.exists():
        return
    draw, users = random.Random(interactions).random, interactions // EACH
    with open(path.with_suffix(".part"), "w") as file:
        file.write("user\titem\n")
        for user in range(users):
            first = user * EACH
            lines = [f"{user}\t{first + i if first + i < items else int(items * draw() ** 2)}" for i in range(EACH)]
            file.write("\n".join(lines) + "\n")
    path.with_suffix(".part").rename(path)


def write_validation(path, users, items):
    draw = random.Random(users).random
    path.write_text("user\titem\n" + "".join(f"{user}\t{int(items * draw() ** 2)}\n" for user in range(users)))


def run(command):
    """What the command printed as JSON, and its seconds."""
    start = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    out, error = process.communicate()
    if process.returncode != 0:
        sys.exit(f"{' '.join(map(str, command))}:\n{error}")
    return json.loads(out), time.perf_counter() - start


def experiment(options, train, name, validation=None):
    path = options.folder / f"{name}.yaml"
    path.write_text(
        f"data: {{source: interactions, train: {train}"
        + (f", validation: {validation}, duplicates: first" if validation else ", duplicates: first") + "}\n"
        f"model: {{type: bpr_mf, embedding_dim: {options.dim}}}\n"
        "embedding: {optimizer: rowwise_adagrad, learning_rate: 0.05, init: normal, init_scale: 0.1}\n"
        f"train: {{batch_size: 16384, chunk: 1024, epochs: {options.epochs}, threads: 1}}\n"
        "evaluation: {every_steps: 1000000000, slices: false, metrics: [ndcg]}\n"
        f"checkpoint: {{enabled: {'true' if validation else 'false'}, every_steps: 1000000000}}\n"
        "report: {html: false, tensorboard: false}\n")
    return path


def train(options):
    nothing = 0
    for interactions in [1000, *options.interactions]:
        data = options.folder / f"{interactions}.tsv"
        write_interactions(data, interactions, max(EACH, interactions // 10))
        for ranks in [1] if interactions == 1000 else options.ranks:
            file = experiment(options, data, f"train-{interactions}")
            summary, seconds = run(["mpirun", "--oversubscribe", "-n", ranks, options.program, "train", file, "--json", "--quiet",
                                    "--force", f"run.dir={options.folder}/run"])
            memory = summary["peak_rss_bytes"]
            if interactions == 1000:
                nothing = memory
                continue
            million = interactions / 1e6
            print(f"{interactions:>10} interactions, {summary['interactions']['items']:>8} items, {ranks} ranks: "
                  f"{summary['samples_per_s']:>10.0f} samples/s, {1e6 / summary['samples_per_s']:6.2f} s a million, "
                  f"{memory / 2**20:7.0f} MiB a rank, {(memory - nothing) / 2**20 / million:6.0f} MiB a million; "
                  f"{seconds:.0f} s with reading", flush=True)


def rank(options):
    data, found = options.folder / f"catalogue-{options.items}.tsv", []
    write_interactions(data, options.items, options.items)
    for users in options.users:
        validation = options.folder / f"validation-{users}.tsv"
        write_validation(validation, users, options.items)
        folder = options.folder / f"rank-{users}"
        if not (folder / "summary.json").exists():
            file = experiment(options, data, f"rank-{users}", validation)
            run([options.program, "train", file, "--json", "--quiet", "--force", f"run.dir={folder}", "train.max_steps=1"])
        before = time.perf_counter()
        process = subprocess.Popen([options.program, "evaluate", str(folder), "--json"], stdout=subprocess.PIPE, env=ENVIRONMENT)
        out = process.stdout.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - before
        if status != 0:
            sys.exit(f"evaluate {folder} failed")
        print(f"{users:>8} users, {options.items} items: evaluate took {seconds:.1f} s in all, "
              f"{usage.ru_maxrss / 2**10:.0f} MiB at its peak; {json.loads(out)['metrics']}", flush=True)
        found.append((users, seconds, usage.ru_maxrss))
    if len(found) > 1:
        (few, first, small), (many, last, large) = found[0], found[-1]
        print(f"{(many - few) / (last - first):.0f} users/s; {(large - small) / 2**10:.0f} MiB more for {many - few} more users")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=["train", "rank"])
    parser.add_argument("program")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--interactions", nargs="+", type=int, default=[100_000, 1_000_000, 10_000_000])
    parser.add_argument("--ranks", nargs="+", type=int, default=[1, 2, 4])
    parser.add_argument("--users", nargs="+", type=int, default=[500, 2000])
    parser.add_argument("--items", type=int, default=1_000_000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--dim", type=int, default=64)
    options = parser.parse_args()
    options.folder = options.folder.resolve()
    options.folder.mkdir(parents=True, exist_ok=True)
    {"train": train, "rank": rank}[options.what](options)


main()
