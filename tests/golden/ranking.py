#!/usr/bin/env python3
"""Writes ranking.json: random ranked lists and their metrics, by the independent scorer of the shared data and by plain
Python for what it lacks (f1, diversity, novelty, Gini).

  python3 ranking.py SHARED/data > ranking.json
"""
import itertools
import json
import math
import random
import sys


def other_metrics(lists, relevant, properties, counts, train_users, k):
    f1, diversity, novelty, shown = [], [], [], [0] * len(counts)
    for user, wanted in relevant.items():
        top = lists[user][:k]
        hits = len(wanted.intersection(top))
        precision, recall = hits / k, hits / len(wanted)
        f1.append(2 * precision * recall / (precision + recall) if hits else 0.0)
        for item in top:
            shown[item] += 1
            novelty.append(-math.log2((counts[item] + 1) / (train_users + 1)))
        pairs = []
        for a, b in itertools.combinations(top, 2):
            a, b = set(properties[a]), set(properties[b])
            pairs.append(1 - (len(a & b) / math.sqrt(len(a) * len(b)) if a and b else 0))
        if pairs:
            diversity.append(sum(pairs) / len(pairs))
    shown.sort()
    gini = sum((2 * i - len(shown) - 1) * c for i, c in enumerate(shown, 1)) / (len(shown) * sum(shown))
    mean = lambda values: sum(values) / len(values) if values else None
    return {f"f1@{k}": mean(f1), f"diversity@{k}": mean(diversity), f"novelty@{k}": mean(novelty), f"gini@{k}": gini}


def main():
    sys.path.insert(0, sys.argv[1])
    from score_ranking import score
    draw, cases = random.Random(20261124), []
    for users, items in ((1, 12), (7, 15), (40, 60)):
        relevant = {u: set(draw.sample(range(items), draw.randint(1, min(items, 6)))) for u in range(users)}
        lists = {u: draw.sample(range(items), draw.randint(1, 12)) for u in range(users)}
        properties = [sorted(draw.sample(range(5), draw.randint(0, 3))) for _ in range(items)]
        counts, train_users = [draw.randint(0, 30) for _ in range(items)], 40
        expected = {}
        for k in (1, 5, 10):
            expected |= score(lists, relevant, k, items)
            expected |= other_metrics(lists, relevant, properties, counts, train_users, k)
        cases.append({"lists": list(lists.values()), "relevant": [sorted(r) for r in relevant.values()],
                      "properties": properties, "counts": counts, "train_users": train_users, "expected": expected})
    json.dump(cases, sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
