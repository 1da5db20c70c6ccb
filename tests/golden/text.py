#!/usr/bin/env python3
"""Writes text.json: losses and gradients of CBOW by PyTorch's autograd in fp64, and a small corpus with the cosines of
all pairs of words that gensim finds on it.

  python3 text.py > text.json        needs torch, numpy and gensim
"""
import json
import math
import random
import sys

import numpy
import torch
from gensim.models import Word2Vec

SETTINGS = {"dim": 32, "window": 5, "negatives": 15, "epochs": 30}


def gradients(draw):
    """One word: contexts [C, dim], outputs [K + 1, dim], the target's row first."""
    cases = []
    for contexts, negatives, dim in ((1, 1, 3), (4, 5, 8), (10, 15, 20)):
        inputs = torch.tensor([[draw.gauss(0, 0.6) for _ in range(dim)] for _ in range(contexts)],
                              dtype=torch.float64, requires_grad=True)
        outputs = torch.tensor([[draw.gauss(0, 0.6) for _ in range(dim)] for _ in range(negatives + 1)],
                               dtype=torch.float64, requires_grad=True)
        scores = outputs @ inputs.mean(0)
        loss = -torch.nn.functional.logsigmoid(scores[0]) - torch.nn.functional.logsigmoid(-scores[1:]).sum()
        loss.backward()
        cases.append({"inputs": inputs.tolist(), "outputs": outputs.tolist(), "loss": loss.item(),
                      "input_gradients": inputs.grad.tolist(), "output_gradients": outputs.grad.tolist()})
    return cases


def corpus(draw, words=60, texts=1500, length=8):
    """Words lie on a circle; a text is drawn around a place of it, so that near words are alike, and far ones are not."""
    made = []
    for _ in range(texts):
        middle = draw.uniform(0, words)
        made.append([math.floor(middle + draw.gauss(0, words / 20)) % words for _ in range(length)])
    return made


def main():
    draw = random.Random(20261127)
    texts = corpus(draw)
    model = Word2Vec([[str(w) for w in text] for text in texts], vector_size=SETTINGS["dim"], window=SETTINGS["window"],
                     min_count=1, sg=0, hs=0, negative=SETTINGS["negatives"], ns_exponent=0.75, cbow_mean=1, sample=0,
                     alpha=0.025, min_alpha=1e-4, epochs=SETTINGS["epochs"], workers=1, seed=1)
    vectors = numpy.array([model.wv[str(w)] for w in range(60)])
    vectors /= numpy.linalg.norm(vectors, axis=1, keepdims=True)
    cosines = vectors @ vectors.T
    json.dump({"gradients": gradients(draw), "settings": SETTINGS, "texts": texts,
               "cosines": [[round(float(c), 5) for c in row[:i]] for i, row in enumerate(cosines)]},
              sys.stdout, separators=(",", ":"))
    print()


if __name__ == "__main__":
    main()
