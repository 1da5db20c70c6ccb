#!/usr/bin/env python3
"""What texts bring, on the generated reviews of configs/data/reviews, by the experiments that users start from.

  reviews_test.py PROGRAM CONFIGS

reviews_dlrm: with the text ratings are told, without it they are not; 1 and 2 ranks agree to the last digit, evaluate finds
what train found, and an export that cannot be made says so in one line. reviews_content: what reviews say of items ranks
better than popularity and than vectors of ids, of which every item has too few rows. sap_reviews: the whole pipeline trains,
and without what reviews say it ranks worse, user by user.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

PROGRAM, CONFIGS = sys.argv[1], pathlib.Path(sys.argv[2])
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1", "OMP_WAIT_POLICY": "passive"}


def run(ranks, *arguments):
    command = ["mpirun", "--oversubscribe", "-n", str(ranks), PROGRAM, *map(str, arguments)]
    return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=300)


def swallowtail(ranks, *arguments):
    ended = run(ranks, *arguments)
    if ended.returncode != 0:
        sys.exit(f"{' '.join(map(str, arguments))} ended with {ended.returncode}:\n{ended.stderr}")
    return json.loads(ended.stdout)


def check_classification(folder):
    def train(name, ranks, *more):
        return swallowtail(ranks, "train", CONFIGS / "reviews_dlrm.yaml", "--json", "--quiet", f"run.dir={folder / name}",
                           "train.threads=1", "train.deterministic=true", "train.epochs=4", "data.text_length=24",
                           "model.text.maps=16", "model.text.dim=32", *more)
    with_text, without = train("text", 1), train("plain", 1, "data.text=[]")
    assert with_text["test"]["auc"] >= 0.93, with_text["test"]
    assert without["test"]["auc"] <= 0.6, without["test"]
    two = train("two", 2)
    assert (two["test"], two["validation"], two["train"]) == (with_text["test"], with_text["validation"], with_text["train"]), two["test"]
    again = swallowtail(2, "evaluate", folder / "text", "--json")["metrics"]["test"]
    assert again == with_text["test"], (again, with_text["test"])
    refused = run(1, "export", folder / "text", "--format", "onnx", "--to", folder / "model.onnx")
    assert refused.returncode == 2 and "a model with text has no ONNX graph" in refused.stderr, refused.stderr
    print(f"reviews_dlrm: AUC {with_text['test']['auc']:.4f} with text, {without['test']['auc']:.4f} without")


def check_ranking(folder):
    def train(name, *more):
        return swallowtail(1, "train", CONFIGS / "reviews_content.yaml", "--json", "--quiet", f"run.dir={folder / name}",
                           "data.text_length=64", *more)["test"]["ndcg@10"]
    content = train("content", "train.epochs=8", "model.text.maps=16", "model.text.dim=32")
    popularity = train("popularity", "model.type=popularity")
    ids = train("bpr_mf", "model.type=bpr_mf", "train.epochs=20", "embedding.optimizer=adam", "embedding.learning_rate=0.01")
    assert content >= 1.3 * popularity and content >= 1.2 * ids, (content, popularity, ids)
    print(f"reviews_content: ndcg@10 {content:.4f}, popularity {popularity:.4f}, bpr_mf {ids:.4f}")


def check_sap(folder):
    short = {"content": ["train.epochs=8", "model.text.maps=16", "model.text.dim=32"], "einmf": ["train.epochs=6"],
             "lightgcn": ["train.epochs=20"], "sasrec": ["train.epochs=6"], "softmax": ["train.epochs=6"]}
    settings = [f"sap.components.{name}.settings={json.dumps(texts)}" for name, texts in short.items()]
    run = folder / "sap"
    whole = swallowtail(1, "train", CONFIGS / "sap_reviews.yaml", "--json", "--quiet", f"run.dir={run}", "data.text_length=64",
                        "sap.refit=false", *settings)
    assert {part["name"] for part in whole["components"]} == {*short, "ease"}, whole["components"]
    alone = whole["stages"]["figures"]["alone"]
    assert whole["validation"]["ndcg@10"] >= max(alone.values()) - 0.005, (whole["validation"], alone)
    table = swallowtail(1, "ablate", run, "--only", "no_text", "--json", "--quiet")["ablation"]
    without = next(line for line in table if line["name"] == "no text")["test"]
    assert without["high"] < 0, without
    print(f"sap_reviews: ndcg@10 {whole['test']['ndcg@10']:.4f}, without the text {without['difference']:+.4f}"
          f" [{without['low']:+.4f}, {without['high']:+.4f}]")


def main():
    with tempfile.TemporaryDirectory() as folder:
        check_classification(pathlib.Path(folder))
        check_ranking(pathlib.Path(folder))
        check_sap(pathlib.Path(folder))


main()
