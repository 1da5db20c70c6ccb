#!/usr/bin/env python3
"""Writes metrics.json: small prediction sets and their metrics by scikit-learn.

Read by tests/unit/evaluation/golden_test.cpp.

Usage: metrics.py > metrics.json        (needs numpy and scikit-learn; run again only to change the cases)

A metric is null where it is undefined; scikit-learn answers some of those with 0 and a warning. Probabilities are
clamped to [1e-15, 1 - 1e-15] before log_loss: scikit-learn's own clamp depends on its version.
"""
import json
import warnings

import numpy as np
import sklearn
from sklearn import metrics as sk

warnings.simplefilter("ignore")


def values(p, y, w):
    both = 0 < y.sum() < len(y)
    any_positive = y.sum() > 0
    decided = p >= 0.5
    clamped = np.clip(p, 1e-15, 1 - 1e-15)
    logloss = sk.log_loss(y, clamped, sample_weight=w, labels=[0, 1])
    base = np.average(y, weights=w)
    at_half = dict(sample_weight=w, zero_division=0)
    return {
        "auc": sk.roc_auc_score(y, p, sample_weight=w) if both else None,
        "pr_auc": sk.average_precision_score(y, p, sample_weight=w) if any_positive else None,
        "logloss": logloss,
        "ne": logloss / sk.log_loss(y, np.full(len(y), base), sample_weight=w, labels=[0, 1]) if both else None,
        "calibration": np.average(p, weights=w) / base if any_positive else None,
        "accuracy": sk.accuracy_score(y, decided, sample_weight=w),
        "precision": sk.precision_score(y, decided, **at_half) if decided.any() else None,
        "recall": sk.recall_score(y, decided, **at_half) if any_positive else None,
        "f1": sk.f1_score(y, decided, **at_half) if any_positive or decided.any() else None,
        "brier": np.average((p - y) ** 2, weights=w),
    }


def cases():
    rng = np.random.default_rng(20240131)
    labels = lambda n, rate: (rng.random(n) < rate).astype(int)
    weights = lambda n: np.round(rng.gamma(2.0, 1.0, n) + 0.01, 3).astype(np.float32)
    for n, rate in ((17, 0.5), (200, 0.25), (500, 0.03)):
        y = labels(n, rate)
        y[0], y[1] = 0, 1
        p = np.round(1 / (1 + np.exp(-(rng.normal(0, 1.5, n) + y - 1))), 6)
        yield f"random {n}", p, y, None
        yield f"random {n}, weighted", p, y, weights(n)
    y = labels(300, 0.4)
    p = rng.integers(0, 6, 300) / 5
    yield "many ties", p, y, None
    yield "many ties, weighted", p, y, weights(300)
    yield "ties within one class only", np.array([0.1, 0.1, 0.7, 0.7, 0.9]), np.array([0, 0, 1, 1, 1]), None
    for constant in (0.0, 0.3, 0.5, 1.0):
        yield f"constant {constant}", np.full(40, constant), labels(40, 0.3), None
    yield "constant 0.3, weighted", np.full(40, 0.3), labels(40, 0.3), weights(40)
    yield "positives only", rng.random(12).round(4), np.ones(12, int), None
    yield "negatives only", rng.random(12).round(4), np.zeros(12, int), None
    yield "one sample, positive", np.array([0.7]), np.array([1]), None
    yield "one sample, negative", np.array([0.2]), np.array([0]), None
    yield "two samples", np.array([0.2, 0.8]), np.array([0, 1]), None
    yield "two samples, reversed", np.array([0.8, 0.2]), np.array([0, 1]), None
    extreme = np.array([0, 1, 1e-300, 1e-16, 1e-15, 2e-15, 1e-9, 1 - 1e-9, 1 - 1e-15, 1 - 2.0**-53, 5e-324, 0.5])
    yield "extreme probabilities, right", extreme, (extreme >= 0.5).astype(int), None
    yield "extreme probabilities, wrong", extreme, (extreme < 0.5).astype(int), None
    yield "extreme probabilities, weighted", extreme, np.arange(12) % 2, weights(12)
    yield "never decided positive", np.round(rng.random(30) * 0.49, 5), labels(30, 0.5), None
    yield "very unequal weights", np.round(rng.random(50), 5), labels(50, 0.5), np.array(
        [1e-6] * 25 + [1e6] * 25, dtype=np.float32)


def main():
    out = []
    for name, p, y, w in cases():
        weight = None if w is None else w.astype(np.float64)
        answer = {k: None if v is None else float(v) for k, v in values(p, y, weight).items()}
        out.append({"name": name, "probabilities": p.tolist(), "labels": y.tolist(),
                    "weights": None if w is None else [float(x) for x in weight], "metrics": answer})
    body = ",\n".join(json.dumps(case, separators=(",", ":")) for case in out)
    print(f'{{"made_by": "tests/golden/metrics.py with scikit-learn {sklearn.__version__}", "cases": [\n{body}\n]}}')


if __name__ == "__main__":
    main()
