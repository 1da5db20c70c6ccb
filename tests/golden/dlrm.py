#!/usr/bin/env python3
"""Makes dlrm.json and dcn.json: logits, gradients and weights after 20 steps of a small DLRM, and of the same model with
DCN-v2's cross network in place of the dot interaction, computed by PyTorch in fp64.

The weights are given by a formula that the C++ test repeats, so only results are stored. Needs: torch 2.11, numpy.
  python3 tests/golden/dlrm.py dot > tests/golden/dlrm.json
  python3 tests/golden/dlrm.py cross > tests/golden/dcn.json
"""
import json
import math
import sys

import torch

torch.set_default_dtype(torch.float64)
BATCH, DENSE, DIM, ROWS = 12, 3, 4, [5, 9, 7]
BOTTOM, TOP = [6, DIM], [8, 1]
STEPS = 20
INTERACTION = sys.argv[1]
CROSS_LAYERS, CROSS_RANK = 3, 3


def wave(key, count):
    """The formula of initial values and inputs: no generator to agree on."""
    return torch.tensor([math.sin(0.7 * key + 1.3 * i + 0.01 * key * i) for i in range(count)])


def parameters():
    shapes, width = {}, (1 + len(ROWS)) * DIM

    def mlp(prefix, widths):
        for layer, (inputs, outputs) in enumerate(zip(widths, widths[1:])):
            shapes[f"{prefix}.{layer}.weight"] = (outputs, inputs)
            shapes[f"{prefix}.{layer}.bias"] = (outputs,)

    mlp("bottom_mlp", [DENSE] + BOTTOM)
    for layer in range(CROSS_LAYERS if INTERACTION == "cross" else 0):
        shapes |= {f"cross.{layer}.bias": (width,), f"cross.{layer}.v.weight": (CROSS_RANK, width),
                   f"cross.{layer}.u.weight": (width, CROSS_RANK)}
    mlp("top_mlp", [width if INTERACTION == "cross" else DIM + 6] + TOP)
    dense = {name: (0.1 if len(shape) == 1 else 0.4) * wave(key, math.prod(shape)).reshape(shape)
             for key, (name, shape) in enumerate(shapes.items(), 1)}
    tables = [0.5 * wave(50 + t, rows * DIM).reshape(rows, DIM) for t, rows in enumerate(ROWS)]
    return dense, tables


def batch(step):
    dense = wave(100 + step, BATCH * DENSE).reshape(BATCH, DENSE)
    labels = torch.tensor([float((b * 7 + step) % 3 == 0) for b in range(BATCH)])
    # Bags of 0 to 3 ids with duplicates within a bag and over the batch.
    bags = [[[(b * 5 + i * 3 + step + t) % rows for i in range((b + t) % 4)] for b in range(BATCH)] for t, rows in enumerate(ROWS)]
    return dense, bags, labels


def forward(dense_parameters, tables, dense, bags):
    def mlp(x, prefix, layers, relu_last):
        for layer in range(layers):
            x = x @ dense_parameters[f"{prefix}.{layer}.weight"].T + dense_parameters[f"{prefix}.{layer}.bias"]
            if relu_last or layer + 1 < layers:
                x = torch.relu(x)
        return x

    vectors = [mlp(dense, "bottom_mlp", 2, True)]
    for table, table_bags in zip(tables, bags):
        vectors.append(torch.stack([table[bag].sum(0) if bag else torch.zeros(DIM) for bag in table_bags]))
    if INTERACTION == "cross":
        x0 = x = torch.cat(vectors, 1)
        for layer in range(CROSS_LAYERS):
            v, u, bias = (dense_parameters[f"cross.{layer}.{name}"] for name in ("v.weight", "u.weight", "bias"))
            x = x0 * (x @ v.T @ u.T + bias) + x
        return mlp(x, "top_mlp", 2, False).squeeze(1)
    stacked = torch.stack(vectors, 1)
    products = stacked @ stacked.transpose(1, 2)
    lower = torch.tril_indices(len(vectors), len(vectors), -1)
    return mlp(torch.cat([vectors[0], products[:, lower[0], lower[1]]], 1), "top_mlp", 2, False).squeeze(1)


def sparse_step(name, table, state, gradient, touched, rate, step):
    """The row rules of the product; each is PyTorch's own optimizer where all rows are touched (checked below)."""
    for row in touched:
        g = gradient[row]
        if name == "sgd":
            table[row] -= rate * g
        elif name == "adagrad":
            state["sum"][row] += g * g
            table[row] -= rate * g / (state["sum"][row].sqrt() + 1e-10)
        elif name == "rowwise_adagrad":
            state["row"][row] += (g * g).mean()
            table[row] -= rate * g / (state["row"][row].sqrt() + 1e-10)
        elif name in ("adam", "adamw"):
            if name == "adamw":
                table[row] *= 1 - rate * 0.1
            state["m"][row] = 0.9 * state["m"][row] + 0.1 * g
            state["v"][row] = 0.999 * state["v"][row] + 0.001 * g * g
            m, v = state["m"][row] / (1 - 0.9**step), state["v"][row] / (1 - 0.999**step)
            table[row] -= rate * m / (v.sqrt() + 1e-8)


def check_sparse_rules():
    for name, make in (("sgd", lambda p: torch.optim.SGD(p, lr=0.1)), ("adagrad", lambda p: torch.optim.Adagrad(p, lr=0.1, eps=1e-10)),
                       ("adam", lambda p: torch.optim.Adam(p, lr=0.1)), ("adamw", lambda p: torch.optim.AdamW(p, lr=0.1, weight_decay=0.1))):
        ours = wave(3, 12).reshape(3, 4)
        theirs = ours.clone().requires_grad_()
        optimizer = make([theirs])
        state = {"sum": torch.zeros(3, 4), "m": torch.zeros(3, 4), "v": torch.zeros(3, 4)}
        for step in range(1, 6):
            theirs.grad = wave(step + 9, 12).reshape(3, 4)
            optimizer.step()
            sparse_step(name, ours, state, theirs.grad, range(3), 0.1, step)
        assert torch.allclose(ours, theirs.detach(), rtol=1e-12), name


def main():
    check_sparse_rules()
    out = {}
    dense_parameters, tables = parameters()
    for tensor in [*dense_parameters.values(), *tables]:
        tensor.requires_grad_()
    dense, bags, labels = batch(1)
    logits = forward(dense_parameters, tables, dense, bags)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(logits, labels)
    loss.backward()
    out["logits"] = logits.tolist()
    out["loss"] = loss.item()
    out["gradients"] = {name: tensor.grad.flatten().tolist() for name, tensor in dense_parameters.items()}
    out["table_gradients"] = [table.grad.flatten().tolist() for table in tables]

    makers = {
        "sgd": lambda p: torch.optim.SGD(p, lr=0.1),
        "adagrad": lambda p: torch.optim.Adagrad(p, lr=0.05, eps=1e-10),
        "adam": lambda p: torch.optim.Adam(p, lr=0.02),
        "adamw": lambda p: torch.optim.AdamW(p, lr=0.02, weight_decay=0.1),
    }
    rates = {"sgd": 0.1, "adagrad": 0.05, "rowwise_adagrad": 0.05, "adam": 0.02, "adamw": 0.02}
    out["trained"] = {}
    for sparse in rates:
        dense_name = "adagrad" if sparse == "rowwise_adagrad" else sparse
        dense_parameters, tables = parameters()
        for tensor in [*dense_parameters.values(), *tables]:
            tensor.requires_grad_()
        optimizer = makers[dense_name](list(dense_parameters.values()))
        states = [{"sum": torch.zeros(r, DIM), "row": torch.zeros(r), "m": torch.zeros(r, DIM), "v": torch.zeros(r, DIM)} for r in ROWS]
        losses = []
        for step in range(1, STEPS + 1):
            dense, bags, labels = batch(step)
            optimizer.zero_grad()
            for table in tables:
                table.grad = None
            loss = torch.nn.functional.binary_cross_entropy_with_logits(forward(dense_parameters, tables, dense, bags), labels)
            loss.backward()
            losses.append(loss.item())
            optimizer.step()
            with torch.no_grad():
                for table, state, table_bags in zip(tables, states, bags):
                    touched = sorted({row for bag in table_bags for row in bag})
                    sparse_step(sparse, table, state, table.grad, touched, rates[sparse], step)
        out["trained"][sparse] = {
            "losses": losses,
            "dense": {name: tensor.detach().flatten().tolist() for name, tensor in dense_parameters.items()},
            "tables": [table.detach().flatten().tolist() for table in tables],
        }
    print(json.dumps(out, indent=None, separators=(",", ":")))


main()
