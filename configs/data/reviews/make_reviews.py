#!/usr/bin/env python3
"""Writes the generated reviews beside it: train.tsv.gz, validation.tsv.gz, test.tsv.gz with user, item, rating,
timestamp, review. Every item has a topic, of which its reviews tell, every user likes two topics; the words of a review
also tell its rating. The last review of each user is test, the one before it validation.

  python3 make_reviews.py
"""
import gzip
import pathlib
import random

TOPICS = {
    "space": "star planet rocket orbit moon galaxy comet launch astronaut crater nebula telescope",
    "cooking": "oven butter garlic soup flour roast spice dough pepper recipe stew kitchen",
    "garden": "soil rose seed tulip compost hedge bloom pruning lawn orchard shovel bulb",
    "music": "guitar melody chorus drum violin rhythm concert album piano singer tempo bass",
    "sea": "sail harbour wave anchor island captain reef storm deck lighthouse tide crew",
    "crime": "detective murder clue alibi trial witness thief police motive verdict weapon jury",
}
GOOD = "wonderful delightful superb loved brilliant charming excellent perfect enjoyed gripping".split()
BAD = "boring awful dull disappointing tedious poor waste clumsy annoying terrible".split()
COMMON = "the a of and it was this book with about very i we have read story page then but so".split()
USERS, ITEMS, REVIEWS = 500, 600, 9


def review(draw, topic, rating):
    words = [draw.choice(TOPICS[topic].split()) for _ in range(3)]
    # A rating of 4 or 5 is told by mostly good words, others by mostly bad ones.
    words += [draw.choice(GOOD if (draw.random() < 0.9) == (rating >= 4) else BAD) for _ in range(3)]
    words += [draw.choice(COMMON) for _ in range(8)]
    draw.shuffle(words)
    return " ".join(words).capitalize() + "."


def main():
    draw = random.Random(20261127)
    names = list(TOPICS)
    topic_of = [names[draw.randrange(len(names))] for _ in range(ITEMS)]
    popularity = [1 / (1 + draw.random() * 5) for _ in range(ITEMS)]
    parts = {"train": [], "validation": [], "test": []}
    for user in range(USERS):
        liked = draw.sample(names, 2)
        weights = [p * (1 if topic_of[i] in liked else 0.03) for i, p in enumerate(popularity)]
        items = []
        while len(items) < REVIEWS:
            item = draw.choices(range(ITEMS), weights)[0]
            if item not in items:
                items.append(item)
        for place, item in enumerate(items):
            rating = draw.choice((4, 5) if draw.random() < 0.6 else (1, 2, 3))
            part = {REVIEWS - 1: "test", REVIEWS - 2: "validation"}.get(place, "train")
            parts[part].append(f"u{user:03}\tb{item:03}\t{rating}\t{user * 1000 + place}\t{review(draw, topic_of[item], rating)}")
    here = pathlib.Path(__file__).resolve().parent
    for part, rows in parts.items():
        with open(here / f"{part}.tsv.gz", "wb") as raw, gzip.GzipFile(fileobj=raw, mode="wb", mtime=0) as file:
            file.write(("user\titem\trating\ttimestamp\treview\n" + "\n".join(rows) + "\n").encode())


if __name__ == "__main__":
    main()
