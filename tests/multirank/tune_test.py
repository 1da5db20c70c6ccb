#!/usr/bin/env python3
"""Searches, cross-validation and comparison under real mpirun, on interactions and clicks that this script draws.

  tune_test.py PROGRAM

A search must find the learning rate that was planted (the others do nothing), try the same and come to the same on 1 and
2 ranks, together or each alone, and after it was stopped; its best experiment must train to the value of its trial.
"""
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

PROGRAM = sys.argv[1]
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive"}
SEARCH = """
data: {source: interactions, train: rows.csv, split: {by: leave_one_out}}
model: {type: bpr_mf, embedding_dim: 8}
embedding: {optimizer: adam}
train: {batch_size: 256, epochs: 4, chunk: 32, threads: 1}
tune:
  method: tpe
  trials: 12
  parameters:
    - {key: embedding.learning_rate, values: ["1e-9", "0.05"]}
    - {key: model.embedding_dim, kind: log_int, low: 4, high: 12}
"""


def swallowtail(ranks, *arguments, code=0):
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, PROGRAM, *map(str, arguments), "--json"]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=200)
    if ended.returncode != code:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    return json.loads(ended.stdout)


def trials(summary):
    return [{key: value for key, value in line.items() if key != "seconds"} for line in summary["results"]]


def write_data(folder):
    draw, rows = random.Random(7), ["user,item,timestamp"]
    for user in range(120):
        for time, item in enumerate(draw.sample(range(user % 2, 60, 2), draw.randint(5, 20))):
            rows.append(f"{user},{item},{time}")
    (folder / "rows.csv").write_text("\n".join(rows) + "\n")
    clicks = ["clicked,age,country"]
    for _ in range(400):
        age, country = draw.random(), draw.choice("abcdefgh")
        clicks.append(f"{int(draw.random() < age * (0.9 if country == 'a' else 0.4))},{age:.3f},{country}")
    (folder / "clicks.csv").write_text("\n".join(clicks) + "\n")


def check_search(folder):
    experiment = folder / "search.yaml"
    experiment.write_text(SEARCH)
    one = swallowtail(1, "tune", experiment, f"run.dir={folder}/one")
    assert len(one["results"]) == 12 and one["failed"] == 0, one
    assert one["best"]["parameters"]["embedding.learning_rate"] == "0.05", one["best"]
    lines = [json.loads(line) for line in (folder / "one/trials.jsonl").read_text().splitlines()]
    assert lines == one["results"], "trials.jsonl is not what the summary says"
    for mode in ("ranks", "trials"):
        two = swallowtail(2, "tune", experiment, f"run.dir={folder}/{mode}", f"tune.parallel={mode}")
        assert trials(two) == trials(one), f"2 ranks, tune.parallel: {mode}: other trials than on one"
    # Stopped after five trials, its last line torn; the rest on two ranks.
    kept = (folder / "one/trials.jsonl").read_text().splitlines(keepends=True)
    (folder / "one/trials.jsonl").write_text("".join(kept[:5]) + kept[5][:20])
    (folder / "one/summary.json").unlink()
    resumed = swallowtail(2, "tune", experiment, f"run.dir={folder}/one", "--resume")
    assert trials(resumed) == trials(one), "the search that was stopped came to something else"
    assert [line["seconds"] for line in resumed["results"][:5]] == [line["seconds"] for line in one["results"][:5]]
    best = swallowtail(1, "train", folder / "one/best.yaml", f"run.dir={folder}/best", "--quiet")
    assert best["validation"]["ndcg@10"] == one["best"]["value"], "best.yaml trains to another value"
    swallowtail(1, "tune", experiment, f"run.dir={folder}/one", code=2)  # it exists
    swallowtail(1, "tune", experiment, f"run.dir={folder}/one", "--resume", "tune.trials=13", "seed=2", code=2)
    print("tune: 1 and 2 ranks, stopped and whole: equal; best", one["best"])


def check_failures_and_halving(folder):
    experiment = folder / "search.yaml"
    failing = swallowtail(1, "tune", experiment, f"run.dir={folder}/failing", "tune.method=grid",
                          'tune.parameters=[{key: data.min_user_count, values: ["1", "1000000"]}]')
    assert failing["failed"] == 1 and failing["best"]["trial"] == 0, failing
    assert "no row to train on" in failing["results"][1]["error"], failing["results"][1]
    halving = swallowtail(1, "tune", experiment, f"run.dir={folder}/halving", "tune.method=halving", "tune.trials=4", "tune.reduction=2")
    assert [line["epochs"] for line in halving["results"]] == [1, 1, 1, 1, 2, 2, 4], halving["results"]
    print("failed trials are recorded, halving gives out epochs")


def check_folds(folder):
    experiment = folder / "search.yaml"
    for by in ("random", "stratified", "time", "user"):
        folds = swallowtail(2 if by == "random" else 1, "train", experiment, f"run.dir={folder}/folds-{by}", "--quiet",
                            "evaluation.folds=3", f"evaluation.folds_by={by}")
        values = folds["by_fold"]["validation"]["ndcg@10"]
        assert len(values) == 3 and abs(sum(values) / 3 - folds["validation"]["ndcg@10"]) < 1e-12, folds
        assert folds["standard_error"]["validation"]["ndcg@10"] > 0 and "ndcg@10" in folds["test"], folds
        parts = [json.loads((folder / f"folds-{by}/folds/{fold}/summary.json").read_text())["interactions"] for fold in range(3)]
        sizes = [part["train"] + part["validation"] for part in parts]
        if by == "time":
            assert sizes[0] < sizes[1] < sizes[2] and parts[1]["train"] == sizes[0], parts
        else:
            assert sum(part["validation"] for part in parts) == sizes[0] == sizes[1] == sizes[2], parts
    clicks = folder / "clicks.yaml"
    clicks.write_text("data: {source: csv, train: clicks.csv, label: clicked, dense: [age], categorical: [country], split: {test: 0.2}}\n"
                      "model: {type: dlrm, embedding_dim: 4, bottom_mlp: [4], top_mlp: [4]}\n"
                      "train: {batch_size: 64, epochs: 2, threads: 1}\n")
    for by in ("random", "stratified", "time", "user"):
        folds = swallowtail(1, "train", clicks, f"run.dir={folder}/clicks-{by}", "--quiet", "evaluation.folds=2",
                            f"evaluation.folds_by={by}", "evaluation.fold_column=country")
        assert len(folds["by_fold"]["validation"]["auc"]) == 2 and 0 < folds["test"]["auc"] <= 1, folds
    print("folds of interactions and clicks")


def check_comparison(folder):
    experiment = folder / "search.yaml"
    for seed in (1, 2):
        for name, rate in (("good", 0.05), ("bad", 1e-9)):
            swallowtail(1, "train", experiment, f"run.dir={folder}/{name}-{seed}", f"seed={seed}", "--quiet",
                        f"embedding.learning_rate={rate}")
    one = swallowtail(1, "evaluate", f"{folder}/bad-*", f"{folder}/good-*", "--compare", "--resamples", "500")
    two = swallowtail(2, "evaluate", f"{folder}/bad-*", f"{folder}/good-*", "--compare", "--resamples", "500")
    assert one == two, "the comparison depends on the ranks"
    assert one["units"] == "users" and one["count"] == 120 and [len(entry["runs"]) for entry in one["entries"]] == [2, 2], one
    ndcg = one["comparisons"][0]["metrics"]["ndcg@10"]
    assert ndcg["low"] > 0 and ndcg["p"] < 0.01, ndcg
    means = [sum(json.loads((folder / f"{name}-{seed}/summary.json").read_text())["test"]["ndcg@10"] for seed in (1, 2)) / 2
             for name in ("bad", "good")]
    assert abs(ndcg["difference"] - (means[1] - means[0])) < 1e-12, (ndcg, means)
    for name, epochs in (("clicks-short", 1), ("clicks-long", 6)):
        swallowtail(1, "train", folder / "clicks.yaml", f"run.dir={folder}/{name}", "--quiet", f"train.epochs={epochs}")
    clicks = swallowtail(1, "evaluate", folder / "clicks-short", folder / "clicks-long", "--compare", "--resamples", "200")
    for entry in clicks["entries"]:
        test = json.loads((pathlib.Path(entry["runs"][0]) / "summary.json").read_text())["test"]
        for metric in ("auc", "logloss"):
            assert abs(entry["metrics"][metric]["value"] - test[metric]) < 1e-9, (entry, test)
    swallowtail(1, "evaluate", folder / "good-1", folder / "good-2", "--compare", code=2)  # one experiment
    print("comparison by user and by sample")


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_data(folder)
        check_search(folder)
        check_failures_and_halving(folder)
        check_folds(folder)
        check_comparison(folder)


main()
