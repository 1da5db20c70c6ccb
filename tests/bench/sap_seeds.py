#!/usr/bin/env python3
"""SAP over several seeds beside its best component and beside EINMF, user by user.

  sap_seeds.py PROGRAM EXPERIMENT TEST_FILE FOLDER SEEDS [section.key=value ...]

Trains EXPERIMENT with seed=1 … SEEDS into FOLDER/seed-<n>; runs that are finished are taken as they are. {seed} in a
setting is the seed: sap.reuse=OTHER/seed-{seed} makes new heads for the components of other runs. The component that is
best alone on validation, by the mean over the seeds, is then ranked by itself, as is each component of type einmf: SAP with
that component alone, which has its order (FOLDER/<name>-<n>, from the run's own components). The lists of all are scored
against TEST_FILE (user, item; the last item of each user). Prints one JSON object: mean NDCG@10, coverage and diversity of
each, and the differences of SAP with a bootstrap interval over users, each user averaged over the seeds first.
"""
import csv
import json
import math
import pathlib
import random
import subprocess
import sys

OFF = ("strata", "product", "graph", "reorder", "calibration")


def run(*command):
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    if ended.returncode != 0:
        sys.exit(f"{command} ended with {ended.returncode}:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout)


def relevant(path):
    with open(path) as file:
        rows = csv.reader(file, delimiter="\t" if path.suffix == ".tsv" else ",")
        header = [name.split(":")[0] for name in next(rows)]
        user = next(i for i, name in enumerate(header) if name in ("user", "user_id"))
        item = next(i for i, name in enumerate(header) if name in ("item", "item_id"))
        return {row[user]: row[item] for row in rows}


def gains(lists, wanted, k=10):
    found = {}
    for line in lists.read_text().splitlines()[1:]:
        user, items = line.split("\t")
        items = items.split()[:k]
        found[user] = 1 / math.log2(items.index(wanted[user]) + 2) if wanted[user] in items else 0.0
    return found


def interval(differences, draws=5000):
    draw, size = random.Random(1), len(differences)
    means = sorted(sum(draw.choices(differences, k=size)) / size for _ in range(draws))
    return means[int(0.025 * draws)], means[int(0.975 * draws)]


def train(program, experiment, place, seed, *settings):
    if not (place / "summary.json").exists():
        own = [setting.replace("{seed}", str(seed)) for setting in settings]
        run(program, "train", experiment, f"seed={seed}", f"run.dir={place}", "--json", "--quiet", *own,
            *(["--resume"] if (place / "experiment.yaml").exists() else []))
    return json.loads((place / "summary.json").read_text())


def main():
    program, experiment, test, folder, seeds = sys.argv[1:6]
    settings, seeds = sys.argv[6:], range(1, int(seeds) + 1)
    test, folder = pathlib.Path(test), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted, alone, seconds = relevant(test), {}, []
    for seed in seeds:
        summary = train(program, experiment, folder / f"seed-{seed}", seed, *settings)
        seconds.append(summary["seconds"])
        for name, value in summary["stages"]["figures"]["alone"].items():
            alone.setdefault(name, []).append(value)
    alone = {name: sum(values) / len(values) for name, values in alone.items()}
    best = max(alone, key=alone.get)
    types = {part["name"]: part["type"] for part in summary["components"]}

    per_user, spread = {}, {}
    for name in ["sap", *sorted({best, *(name for name in alone if types[name] == "einmf")})]:
        for seed in seeds:
            place = folder / f"seed-{seed}"
            if name != "sap":
                others = [f"sap.components.{other}.enabled=false" for other in alone if other != name]
                own = folder / f"{name}-{seed}"
                train(program, experiment, own, seed, f"name={name} alone", f"sap.reuse={place.resolve()}", *settings, *others,
                      *(f"sap.{stage}.enabled=false" for stage in OFF), "sap.product.weights=equal")
                place = own
            lists = folder / f"{name}-{seed}.tsv"
            figures = run(program, "evaluate", place, "--split", "test", "--json", "--rankings", lists)["metrics"]["test"]
            for metric in ("ndcg@10", "hit_rate@10", "coverage@10", "diversity@10"):
                spread.setdefault(name, {}).setdefault(metric, []).append(figures[metric])
            for user, gain in gains(lists, wanted).items():
                per_user.setdefault(name, {}).setdefault(user, []).append(gain)
    mean = {name: {user: sum(values) / len(values) for user, values in users.items()} for name, users in per_user.items()}
    test_ndcg = {name: sum(users.values()) / len(users) for name, users in mean.items()}
    against = {}
    for name in mean:
        if name == "sap":
            continue
        differences = [mean["sap"][user] - mean[name][user] for user in mean["sap"]]
        low, high = interval(differences)
        against[name] = {"difference": sum(differences) / len(differences), "low": low, "high": high,
                         "ratio": test_ndcg["sap"] / test_ndcg[name]}
    print(json.dumps({"seeds": len(seeds), "users": len(mean["sap"]), "seconds": seconds, "test_ndcg@10": test_ndcg,
                      "of_seeds": spread, "validation_alone": alone, "best_component": best, "sap_against": against,
                      "means": {name: {metric: sum(values) / len(values) for metric, values in of.items()}
                                for name, of in spread.items()}}, indent=1))


main()
