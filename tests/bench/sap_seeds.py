#!/usr/bin/env python3
"""SAP over several seeds beside its best component, user by user.

  sap_seeds.py PROGRAM EXPERIMENT TEST_FILE FOLDER SEEDS [section.key=value ...]

Trains EXPERIMENT with seed=1 … SEEDS into FOLDER/seed-<n> (runs that are finished are taken as they are), asks
`evaluate --rankings` for the lists of SAP and of every component, scores them against TEST_FILE (user, item; the last
item of each user) and prints one JSON object: mean NDCG@10 of each, the component that is best on validation, and the
difference of SAP to it with a bootstrap interval over users, each averaged over the seeds first. Coverage and diversity
are those of summary.json.
"""
import csv
import json
import math
import pathlib
import random
import subprocess
import sys


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


def main():
    program, experiment, test, folder, seeds = sys.argv[1:6]
    test, folder = pathlib.Path(test), pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    wanted, per_user, alone, seconds, spread = relevant(test), {}, {}, [], {}
    for seed in range(1, int(seeds) + 1):
        place = folder / f"seed-{seed}"
        if not (place / "summary.json").exists():
            run(program, "train", experiment, f"seed={seed}", f"run.dir={place}", "--json", "--quiet", *sys.argv[6:],
                *(["--resume"] if (place / "experiment.yaml").exists() else []))
        summary = json.loads((place / "summary.json").read_text())
        seconds.append(summary["seconds"])
        for name, value in summary["stages"]["figures"]["alone"].items():
            alone.setdefault(name, []).append(value)
        for name, part in [("sap", place)] + [(part.name, part) for part in sorted((place / "components").iterdir())]:
            lists = folder / f"{name}-{seed}.tsv"
            figures = run(program, "evaluate", part, "--split", "test", "--json", "--rankings", lists)["metrics"]["test"]
            for metric in ("coverage@10", "diversity@10", "ndcg@10"):
                spread.setdefault(name, {}).setdefault(metric, []).append(figures[metric])
            for user, gain in gains(lists, wanted).items():
                per_user.setdefault(name, {}).setdefault(user, []).append(gain)
    mean = {name: {user: sum(values) / len(values) for user, values in users.items()} for name, users in per_user.items()}
    best = max(alone, key=lambda name: sum(alone[name]))
    differences = [mean["sap"][user] - mean[best][user] for user in mean["sap"]]
    figures = {name: sum(users.values()) / len(users) for name, users in mean.items()}
    low, high = interval(differences)
    print(json.dumps({"seeds": int(seeds), "users": len(differences), "seconds": seconds, "test_ndcg@10": figures,
                      "spread": {name: {metric: sum(values) / len(values) for metric, values in of.items()} for name, of in spread.items()},
                      "validation_alone": {name: sum(values) / len(values) for name, values in alone.items()},
                      "best_component": best, "ratio": figures["sap"] / figures[best],
                      "difference": sum(differences) / len(differences), "low": low, "high": high}, indent=1))


main()
