#!/usr/bin/env python3
"""Trains ranking models under real mpirun on 1, 2 and 4 ranks, on interactions that this script draws.

  ranking_test.py PROGRAM

Curves, metrics and written lists must be the same to the last digit on every number of ranks, a run resumed on another
number must end like the uninterrupted one, and recommend must give the lists that evaluate wrote.
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
MODELS = {
    "item_knn": "model: {type: item_knn}",
    "bpr_mf": "model: {type: bpr_mf, embedding_dim: 16}\nembedding: {optimizer: adam, learning_rate: 0.02}\n"
              "train: {batch_size: 256, epochs: 3, chunk: 32}",
    "sasrec": "model: {type: sasrec, embedding_dim: 16, sequence_length: 8, dropout: 0.1}\n"
              "train: {batch_size: 32, epochs: 3, chunk: 8, optimizer: adam, learning_rate: 0.005}",
    "sap": "model: {type: sap}\n"
           "sap:\n"
           "  strata: {count: 2, rank: 4}\n"
           "  pool: {per_component: 20, limit: 40}\n"
           "  product: {steps: 4, hidden: [8]}\n"
           "  components:\n"
           "    knn: {settings: [model.type=item_knn]}\n"
           "    mf: {settings: [model.type=bpr_mf, model.embedding_dim=8, train.batch_size=256, train.chunk=32, train.epochs=2]}\n"
           "    gru: {settings: [model.type=gru4rec, model.embedding_dim=8, model.hidden_dim=8, model.sequence_length=8, "
           "train.batch_size=64, train.chunk=16, train.epochs=2, train.optimizer=adam]}",
    "content": "model: {type: content, embedding_dim: 8, tower: [16], text: {dim: 8, maps: 4}, content: {stretch: 4}}\n"
               "train: {batch_size: 128, epochs: 3, chunk: 32, optimizer: adam, learning_rate: 0.005}",
}


def swallowtail(ranks, *arguments):
    launcher = ["mpirun", "--oversubscribe", "-n", str(ranks)] if ranks > 1 else []
    command = [*launcher, PROGRAM, *map(str, arguments)]
    ended = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {ended.returncode}:\n{ended.stderr}")
    return json.loads(ended.stdout)


def curve(run):
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key != "samples_per_s"} for line in lines]


def write_interactions(path):
    draw, rows = random.Random(7), ["user,item,timestamp,review"]
    for user in range(100):
        for time, item in enumerate(draw.sample(range(user % 2, 80, 2), draw.randint(4, 20))):
            rows.append(f"{user},{item},{time},about word{item % 2} and word{item % 7}")
    path.write_text("\n".join(rows) + "\n")


def check(folder, name, model):
    experiment = folder / f"{name}.yaml"
    experiment.write_text(f"data: {{source: interactions, train: rows.csv, text: [review], split: {{by: leave_one_out}}}}\n{model}\n")
    written = {}
    for ranks, evaluating in ((1, 1), (2, 2), (4, 3)):
        run, lists = folder / f"{name}-{ranks}", folder / f"{name}-{ranks}.tsv"
        summary = swallowtail(ranks, "train", experiment, "--json", "--quiet", f"run.dir={run}", "train.threads=1")
        swallowtail(evaluating, "evaluate", run, "--json", "--rankings", lists)
        written[ranks] = (curve(run), summary["validation"], summary["test"], summary["slices"], lists.read_text())
        assert written[ranks] == written[1], f"{name}: {ranks} ranks differ from 1"
    if name not in ("item_knn", "sap"):  # one pass; sap: tests/unit/training/sap_run_test.cpp stops it in every stage
        parts = folder / f"{name}-parts"
        swallowtail(2, "train", experiment, "--json", "--quiet", f"run.dir={parts}", "train.threads=1", "train.max_steps=5",
                    "checkpoint.every_steps=1")
        resumed = swallowtail(1, "train", experiment, "--json", "--quiet", f"run.dir={parts}", "train.threads=1", "--resume")
        assert resumed["test"] == written[1][2], f"{name}: the resumed run ends elsewhere"
    user, items = written[1][4].splitlines()[1].split("\t")
    answer = swallowtail(2, "recommend", folder / f"{name}-1", "--user", user, "--k", 10, "--json")
    assert [one["item"] for one in answer["items"]] == items.split(), f"{name}: {answer} is not {items}"
    print(f"{name}: 1, 2 and 4 ranks equal, ndcg@10 {written[1][2]['ndcg@10']}")


def check_verify(run):
    """What a SAP run's components have saved is checked with it."""
    command = [PROGRAM, "verify", str(run), "--json"]
    good = json.loads(subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True).stdout)
    assert good["ok"] and {one["run"] for one in good["runs"]} >= {"components/knn", "components/mf", "components/gru"}, good
    shard = next((run / "components/mf/checkpoints").glob("step-*/*.safetensors"))
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    bad = subprocess.run(command, env=ENVIRONMENT, capture_output=True)
    assert bad.returncode == 6 and f"components/mf/checkpoints/{shard.parent.name}" in json.loads(bad.stdout)["first_bad"], bad


def main():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        write_interactions(folder / "rows.csv")
        for name, model in MODELS.items():
            check(folder, name, model)
        check_verify(folder / "sap-1")


main()
