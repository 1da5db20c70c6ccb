#!/usr/bin/env python3
"""Writes bootstrap.json: paired resampling by numpy, with the draws of kernels/random.h, and scikit-learn's AUC.

  python3 bootstrap.py > bootstrap.json
"""
import json

import numpy as np
from sklearn.metrics import roc_auc_score

MASK = (1 << 64) - 1


def mix(x):
    x = (x + 0x9E3779B97F4A7C15) & MASK
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) & MASK
    return x ^ (x >> 31)


def purpose(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def bits(seed, what, a, b):
    return mix(mix(mix(mix(seed) ^ what) ^ a) ^ b)


def draws(seed, resamples, units):
    what = purpose("bootstrap")
    return np.array([[(bits(seed, what, r, i) * units) >> 64 for i in range(units)] for r in range(resamples)])


def signs(seed, resamples, units):
    what = purpose("sign flip")
    return np.array([[-1 if bits(seed, what, r, i // 64) >> (i % 64) & 1 else 1 for i in range(units)] for r in range(resamples)])


def interval(value, resampled, confidence):
    low, high = np.percentile(resampled, [50 * (1 - confidence), 50 * (1 + confidence)])
    return {"value": float(value), "low": float(low), "high": float(high)}


def mean_case(random, units, shift, resamples, confidence, seed):
    a = random.random(units)
    b = a + shift + 0.3 * random.standard_normal(units)
    d = b - a
    where, flips = draws(seed, resamples, units), signs(seed, resamples, units)
    far = np.abs((flips * d).mean(axis=1)) >= abs(d.mean()) * (1 - 1e-12)
    return {"a": a.tolist(), "b": b.tolist(), "resamples": resamples, "confidence": confidence, "seed": seed,
            "of_a": interval(a.mean(), a[where].mean(axis=1), confidence),
            "difference": interval(d.mean(), d[where].mean(axis=1), confidence),
            "p": float((1 + far.sum()) / (1 + resamples))}


def auc_case(random, units, resamples, confidence, seed):
    labels = (random.random(units) < 0.4).astype(int)
    labels[:2] = [0, 1]
    a = np.round(0.3 * labels + random.random(units), 1)  # with ties
    seeds = [0.5 * labels + random.random(units) for _ in range(2)]
    auc_a = lambda at: roc_auc_score(labels[at], a[at])
    auc_b = lambda at: np.mean([roc_auc_score(labels[at], b[at]) for b in seeds])
    samples = [at for at in draws(seed, resamples, units) if 0 < labels[at].sum() < units]
    every, d = np.arange(units), np.array([auc_b(at) - auc_a(at) for at in samples])
    p = min(1.0, 2 * (1 + min((d <= 0).sum(), (d >= 0).sum())) / (1 + len(d)))
    return {"labels": labels.tolist(), "a": [a.tolist()], "b": [b.tolist() for b in seeds], "resamples": resamples,
            "confidence": confidence, "seed": seed,
            "of_a": interval(auc_a(every), [auc_a(at) for at in samples], confidence),
            "difference": interval(auc_b(every) - auc_a(every), d, confidence), "p": float(p)}


def main():
    random = np.random.default_rng(7)
    print(json.dumps({
        "means": [mean_case(random, units, shift, resamples, confidence, seed)
                  for units, shift, resamples, confidence, seed in
                  ((1, 0.1, 20, 0.95, 1), (7, 0.0, 99, 0.9, 2), (65, 0.1, 200, 0.95, 3), (130, 0.02, 300, 0.99, 4))],
        "aucs": [auc_case(random, units, resamples, confidence, seed)
                 for units, resamples, confidence, seed in ((6, 60, 0.95, 5), (80, 150, 0.9, 6))]}))


main()
