"""What compare runs inside the peers' environment. Prints one JSON value, or, for `steps`, "ready" and then a rate for each
line of its input."""
import argparse
import json
import logging
import os
import random
import sys
import time
import warnings

import numpy

BATCH, TABLE_BYTES, SWEEP_BYTES = 2048, 512 << 20, 128 << 20
LEARNING_RATE = 0.01
REPEAT_S = 0.6


def best(work, repeats=7):
    """The least time of `repeats`, after one that does not count: other programs only make it longer."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


class Steps:
    """The DLRM of a record (bench train --record), trained with PyTorch, as the reference does it, or with FBGEMM's tables."""

    def __init__(self, engine, path):
        import torch
        from safetensors import safe_open
        torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
        self.torch, self.engine = torch, engine
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
        self.sizes = tensors["tables"].tolist()
        self.bottom, self.top = (self.mlp(tensors, part) for part in ("bottom_mlp", "top_mlp"))
        parameters = list(self.bottom.parameters()) + list(self.top.parameters())
        self.dense_optimizer = torch.optim.SGD(parameters, lr=LEARNING_RATE)
        self.loss = torch.nn.BCEWithLogitsLoss()
        features = len(self.sizes) + 1
        self.lower = torch.tril_indices(features, features, -1)
        tables = []
        for index, (rows, dim) in enumerate(self.sizes):
            weight = torch.empty(rows, dim).fill_(0.01)  # every page touched
            if f"table.{index}.values" in tensors:
                weight[tensors[f"table.{index}.rows"]] = tensors[f"table.{index}.values"]
            tables.append(weight)
        self.batches = []
        while f"batch.{len(self.batches)}.dense" in tensors:
            name = f"batch.{len(self.batches)}"
            ids = [(tensors[f"{name}.{t}.values"], tensors[f"{name}.{t}.offsets"]) for t in range(len(self.sizes))]
            self.batches.append((tensors[f"{name}.dense"], ids, tensors[f"{name}.labels"].unsqueeze(1)))
        (self.make_torch if engine == "torch" else self.make_fbgemm)(tables)
        self.step_number = 0

    def mlp(self, tensors, part):
        nn, layers = self.torch.nn, []
        names = sorted({name.rsplit(".", 1)[0] for name in tensors if name.startswith(f"dense.{part}.")},
                       key=lambda name: int("".join(filter(str.isdigit, name.removeprefix(f"dense.{part}"))) or 0))
        for index, name in enumerate(names):
            weight, bias = tensors[f"{name}.weight"], tensors[f"{name}.bias"]
            linear = nn.Linear(weight.shape[1], weight.shape[0])
            linear.weight.data.copy_(weight)
            linear.bias.data.copy_(bias)
            layers.append(linear)
            if part == "bottom_mlp" or index + 1 < len(names):
                layers.append(nn.ReLU())
        return nn.Sequential(*layers)

    def make_torch(self, tables):
        torch = self.torch
        self.tables = torch.nn.ModuleList(
            torch.nn.EmbeddingBag(rows, dim, mode="sum", sparse=True, include_last_offset=True, _weight=weight)
            for (rows, dim), weight in zip(self.sizes, tables))
        self.table_optimizer = torch.optim.SGD(self.tables.parameters(), lr=LEARNING_RATE)
        self.lookup = lambda ids: torch.stack([table(*of) for table, of in zip(self.tables, ids)], 1)

    def make_fbgemm(self, tables):
        torch = self.torch
        logging.disable(logging.CRITICAL)
        warnings.filterwarnings("ignore")
        import fbgemm_gpu  # noqa: F401
        from fbgemm_gpu.split_embedding_configs import EmbOptimType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
        from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
        self.tables = SplitTableBatchedEmbeddingBagsCodegen(
            [(rows, dim, EmbeddingLocation.HOST, ComputeDevice.CPU) for rows, dim in self.sizes],
            optimizer=EmbOptimType.EXACT_SGD, learning_rate=LEARNING_RATE)
        for own, weight in zip(self.tables.split_embedding_weights(), tables):
            own.data.copy_(weight)
        self.table_optimizer = None
        batches = []
        for dense, ids, labels in self.batches:
            base, values, offsets = 0, [], []
            for of, at in ids:
                values.append(of)
                offsets.append(at[:-1] + base)
                base += int(at[-1])
            batches.append((dense, (torch.cat(values), torch.cat(offsets + [torch.tensor([base])])), labels))
        self.batches = batches
        tables_count, dim = len(self.sizes), self.sizes[0][1]
        self.lookup = lambda ids: self.tables(*ids).view(-1, tables_count, dim)

    def step(self):
        torch = self.torch
        dense, ids, labels = self.batches[self.step_number % len(self.batches)]
        self.step_number += 1
        first = self.bottom(dense)
        vectors = torch.cat([first.unsqueeze(1), self.lookup(ids)], 1)
        products = torch.bmm(vectors, vectors.transpose(1, 2))[:, self.lower[0], self.lower[1]]
        loss = self.loss(self.top(torch.cat([first, products], 1)), labels)
        self.dense_optimizer.zero_grad(set_to_none=True)
        if self.table_optimizer:
            self.table_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        self.dense_optimizer.step()
        if self.table_optimizer:
            self.table_optimizer.step()
        return loss

    def serve(self):
        samples = self.batches[0][0].shape[0]
        for _ in range(5):
            start = time.perf_counter()
            self.step()
        steps = max(3, int(REPEAT_S / (time.perf_counter() - start)))
        print("ready", flush=True)
        for _ in sys.stdin:
            start = time.perf_counter()
            for _ in range(steps):
                self.step()
            print(samples * steps / (time.perf_counter() - start), flush=True)


def losses(options):
    steps = Steps(options.engine, options.record)
    return [float(steps.step()) for _ in range(200)]


def interaction(_):
    import torch
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    features, found = 27, {}
    lower = torch.tril_indices(features, features, -1)
    for dim in 16, 32, 64, 128:
        vectors = torch.rand(BATCH, features, dim, requires_grad=True)
        dense = torch.rand(BATCH, dim, requires_grad=True)
        gradient = torch.rand(BATCH, dim + lower.shape[1])

        def step():
            products = torch.bmm(vectors, vectors.transpose(1, 2))
            torch.cat([dense, products[:, lower[0], lower[1]]], 1).backward(gradient)
            vectors.grad = dense.grad = None

        found[f"F 27, dim {dim}"] = {"bmm + tril": best(step)}
    return found


def draw_ids(count, rows, exponent):
    """As kernel_timings.cpp: rank^-exponent, scattered over the table."""
    unit = numpy.random.default_rng(1).random(count)
    if exponent == 0:
        return (unit * rows).astype(numpy.int64)
    rank = (unit * (float(rows) ** (1 - exponent) - 1) + 1) ** (1 / (1 - exponent))
    return (rank.astype(numpy.int64) * 0x9E3779B1 + 12345) % rows


def embedding(_):
    """Seconds of a batch, forward and backward with row-wise Adagrad (FBGEMM) or SGD (EmbeddingBag has no row-wise form)."""
    import torch
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
    found = {}
    for dim in 16, 64, 128:
        rows = TABLE_BYTES // (4 * dim)
        bag = torch.nn.EmbeddingBag(rows, dim, mode="sum", sparse=True, _weight=torch.full((rows, dim), 0.5))
        sgd = torch.optim.SGD(bag.parameters(), lr=1e-3)
        tables = {"EmbeddingBag, SGD": bag, "FBGEMM": SplitTableBatchedEmbeddingBagsCodegen(
            [(rows, dim, EmbeddingLocation.HOST, ComputeDevice.CPU)], optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
            learning_rate=1e-3, eps=1e-10)}
        gradient = torch.full((BATCH, dim), 1e-4)
        for length in 1, 20:
            for zipf in 0.0, 1.05:
                count = BATCH * length
                batches = max(2, SWEEP_BYTES // (4 * dim * count))
                ids = torch.from_numpy(draw_ids(batches * count, rows, zipf)).split(count)
                offsets = torch.arange(0, count + 1, length)
                cell = found.setdefault(f"dim {dim}, L {length}, zipf {zipf}", {})
                for name, table in tables.items():
                    def sweep():
                        for batch in ids:
                            if name == "FBGEMM":
                                table(batch, offsets).backward(gradient)
                            else:
                                sgd.zero_grad()
                                table(batch, offsets[:-1]).backward(gradient)
                                sgd.step()
                    cell[name] = best(sweep, 3) / batches
    return found


def auc(_):
    from sklearn.metrics import roc_auc_score
    generator = numpy.random.default_rng(1)
    scores = generator.random(1000000).astype(numpy.float32).astype(numpy.float64)
    labels = (generator.random(1000000) < scores).astype(int)
    return best(lambda: roc_auc_score(labels, scores), 3)


def bpr(_):
    """Seconds of a triplet: the slope over epochs, so that set-up does not count."""
    import scipy.sparse
    from implicit.bpr import BayesianPersonalizedRanking
    generator = numpy.random.default_rng(1)
    rows, pairs = 1000000, 4000000
    matrix = scipy.sparse.csr_matrix(
        (numpy.ones(pairs, numpy.float32), (generator.integers(0, rows, pairs), generator.integers(0, rows, pairs))),
        shape=(rows, rows))
    seconds = {}
    for epochs in 1, 3:
        model = BayesianPersonalizedRanking(factors=64, iterations=epochs, num_threads=int(os.environ["OMP_NUM_THREADS"]),
                                            use_gpu=False, random_state=1)
        start = time.perf_counter()
        model.fit(matrix, show_progress=False)
        seconds[epochs] = time.perf_counter() - start
    return (seconds[3] - seconds[1]) / (2 * matrix.nnz)


def write_tsv(options, rows=200000):
    """Rows of Criteo's raw format as `bench data` makes them: label, 13 counts, 26 hexadecimal words, a tenth of them missing."""
    generator = random.Random(1)
    with open(options.record, "w") as file:
        for _ in range(rows):
            cells = [str(int(generator.random() < 0.25))]
            cells += ["" if generator.random() < 0.1 else str(int(1 / (generator.random() + 1e-5))) for _ in range(13)]
            cells += ["" if generator.random() < 0.1 else f"{generator.getrandbits(32) >> generator.randrange(16):08x}"
                      for _ in range(26)]
            file.write("\t".join(cells) + "\n")
    return rows


def read_tsv(options):
    """Rows a second: polars parses, fills what is missing, takes the counts' logarithm and hashes the words, as `bench data`
    does; numpy arrays come out."""
    import polars
    words = [f"column_{column}" for column in range(15, 41)]
    counts = [f"column_{column}" for column in range(2, 15)]
    schema = {"column_1": polars.Float32} | {name: polars.Float32 for name in counts} | {name: polars.String for name in words}

    def read():
        frame = polars.read_csv(options.record, separator="\t", has_header=False, schema=schema)
        frame = frame.with_columns([polars.col(name).fill_null(0).log1p() for name in counts] +
                                   [polars.col(name).fill_null("").hash() % 1000000 for name in words])
        read.rows = frame.height
        return frame.select(counts).to_numpy(), frame.select(words).to_numpy(), frame["column_1"].to_numpy()

    seconds = best(read, 3)
    return read.rows / seconds


def main():
    tasks = {task.__name__: task for task in (losses, interaction, embedding, auc, bpr, write_tsv, read_tsv)}
    parser = argparse.ArgumentParser()
    parser.add_argument("task", choices=["steps", *tasks])
    parser.add_argument("--engine", choices=["torch", "fbgemm"], default="torch")
    parser.add_argument("--shape")
    parser.add_argument("--record")
    options = parser.parse_args()
    if options.task == "steps":
        return Steps(options.engine, options.record).serve()
    print(json.dumps(tasks[options.task](options)))


if __name__ == "__main__":
    main()
