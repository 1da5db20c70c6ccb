#!/usr/bin/env python3
"""Test figures of the ranking models on a fixed split, over several seeds, beside what RecBole reached on ml-100k.

  ranking_figures.py PROGRAM CONFIGS RUNS [--models bpr_mf lightgcn …] [--seeds 1 2 3 4 5] [--set train.threads=1 …]

CONFIGS  the folder of the experiments (configs/ranking)
RUNS     gets a run a model and seed; one that is there already is not trained again

Prints a line a model: the mean over the seeds of NDCG@10 on the test part and its standard error over seeds, the
validation figure, and RecBole's; then one JSON line. What the choice of users adds to the error is told by `swallowtail
evaluate 'RUNS/bpr_mf-*' 'RUNS/ease-*' --compare`. Models that are fitted in one pass have one seed.
"""
import argparse
import json
import pathlib
import statistics
import subprocess
import sys

# NDCG@10 of RecBole 1.2.1 on ml-100k's leave-one-out split; its sequence models and NeuMF were cut by a time limit.
RECBOLE = {"popularity": 0.0449, "item_knn": 0.0617, "ease": 0.0700, "bpr_mf": 0.0675, "neumf": 0.0557, "lightgcn": 0.0651,
           "mult_vae": 0.0714, "gru4rec": 0.0761, "sasrec": 0.0916}
ONE_PASS = ("popularity", "item_knn", "ease")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("configs", type=pathlib.Path)
    parser.add_argument("runs", type=pathlib.Path)
    parser.add_argument("--models", nargs="+", default=["item_knn", "ease", "bpr_mf", "lightgcn", "neumf", "einmf", "mult_vae",
                                                        "youtube", "gru4rec", "sasrec"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[1, 2, 3, 4, 5])
    parser.add_argument("--set", nargs="*", default=[], help="overrides of every experiment")
    options = parser.parse_args()
    figures = {}
    for model in options.models:
        tests, validations, seconds = [], [], []
        for seed in options.seeds[:1] if model in ONE_PASS else options.seeds:
            run = options.runs / f"{model}-{seed}"
            if not (run / "summary.json").exists():
                command = [options.program, "train", options.configs / f"{model}.yaml", "--json", "--quiet", "--force",
                           f"run.dir={run}", f"seed={seed}", *options.set]
                ended = subprocess.run(list(map(str, command)), capture_output=True, text=True)
                if ended.returncode != 0:
                    sys.exit(f"{model}, seed {seed}: {ended.stderr}")
            summary = json.loads((run / "summary.json").read_text())
            tests.append(summary["test"]["ndcg@10"])
            validations.append(summary["validation"]["ndcg@10"])
            seconds.append(summary["seconds"])
        figures[model] = {"seeds": len(tests), "test": statistics.mean(tests), "of_seeds": tests,
                          "validation": statistics.mean(validations), "recbole": RECBOLE.get(model),
                          "seconds": statistics.mean(seconds)}
        deviation = statistics.stdev(tests) if len(tests) > 1 else 0.0
        figures[model]["deviation"] = deviation
        figures[model]["standard_error"] = deviation / len(tests) ** 0.5
        print(f"{model:<12} {len(tests)} seeds  test NDCG@10 {statistics.mean(tests):.4f} (standard error over seeds "
              f"{figures[model]['standard_error']:.4f})  validation {statistics.mean(validations):.4f}  "
              f"RecBole {RECBOLE.get(model, float('nan')):.4f}  {statistics.mean(seconds):.0f} s a run", flush=True)
    print(json.dumps(figures))


main()
