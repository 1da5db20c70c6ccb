#!/usr/bin/env python3
"""Writes k_means.json: points, and what scikit-learn's KMeans and silhouette_score make of them.

  python3 -m venv VENV && VENV/bin/pip install scikit-learn==1.9.1 && VENV/bin/python k_means.py > k_means.json
"""
import json
import sys

import numpy
from sklearn.cluster import KMeans
from sklearn.metrics import silhouette_score


def rounded(array):
    return numpy.round(array, 3)


def main():
    draw, cases = numpy.random.RandomState(20261127), []
    blobs = draw.uniform(-10, 10, (5, 3))
    sizes = (60, 50, 40, 30, 20)
    shapes = [
        ("blobs", rounded(numpy.vstack([c + 0.4 * draw.randn(n, 3) for c, n in zip(blobs, sizes)])), 5),
        ("one cloud", rounded(draw.randn(300, 6)), 6),
        ("uneven", rounded(numpy.vstack([draw.randn(n, 4) * s + m for n, s, m in ((150, 1, 0), (40, .3, 2), (15, .1, -4))])), 8),
    ]
    for name, points, k in shapes:
        truth = sum(([i] * n for i, n in enumerate(sizes)), []) if name == "blobs" else []
        initial = points[draw.permutation(len(points))[:k]]
        given = KMeans(k, init=initial, n_init=1, max_iter=300, tol=0).fit(points)
        # The luck of eight restarts differs with the seed: the best and the mean of twenty.
        restarts = [KMeans(k, n_init=8, max_iter=100, tol=0, random_state=seed).fit(points) for seed in range(20)]
        cases.append({
            "name": name, "k": k, "points": points.tolist(), "truth": truth, "initial": initial.tolist(),
            "given": {"inertia": given.inertia_, "labels": given.labels_.tolist(),
                      "silhouette": silhouette_score(points, given.labels_)},
            "restarts": {"best": min(r.inertia_ for r in restarts),
                         "mean": float(numpy.mean([r.inertia_ for r in restarts]))}})
    json.dump(cases, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
