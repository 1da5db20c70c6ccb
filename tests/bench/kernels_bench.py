#!/usr/bin/env python3
"""The CPU kernels against PyTorch, FBGEMM, implicit and scikit-learn, in one run on the same shapes.

usage: kernels_bench.py PROGRAM [--peers PYTHON] [--threads N] [--force]

PROGRAM is kernels_bench or swallowtail; PYTHON the interpreter of an environment that has torch, fbgemm-gpu-cpu, implicit
and scikit-learn (those that are missing are left out, by name). Prints a table in Markdown and ends with 1 where a bar is
missed. A time on a machine that others use says little: refused without --force above a load average of 0.3.
"""
import argparse
import json
import os
import subprocess
import sys
import time

BATCH, TABLE_BYTES, SWEEP_BYTES = 2048, 512 << 20, 128 << 20


def best(work, repeats=7):
    """The least time of `repeats`, after one that does not count: other programs only make it longer."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return min(times)


def draw_ids(numpy, count, rows, exponent):
    """As kernel_timings.cpp: rank^-exponent, scattered over the table."""
    generator = numpy.random.default_rng(1)
    unit = generator.random(count)
    if exponent == 0:
        return (unit * rows).astype(numpy.int64)
    rank = (unit * (float(rows) ** (1 - exponent) - 1) + 1) ** (1 / (1 - exponent))
    return (rank.astype(numpy.int64) * 0x9E3779B1 + 12345) % rows


def peer_interaction(found, torch):
    features = 27
    lower = torch.tril_indices(features, features, -1)
    for dim in 16, 32, 64, 128:
        vectors = torch.rand(BATCH, features, dim, requires_grad=True)
        dense = torch.rand(BATCH, dim, requires_grad=True)
        gradient = torch.rand(BATCH, dim + lower.shape[1])

        def step():
            products = torch.bmm(vectors, vectors.transpose(1, 2))
            torch.cat([dense, products[:, lower[0], lower[1]]], 1).backward(gradient)
            vectors.grad = dense.grad = None

        found[f"interaction dim {dim}"] = {"bmm + tril": best(step)}


def peer_embedding(found, torch, numpy):
    """Seconds of a batch, forward and backward with row-wise Adagrad (FBGEMM) or SGD (EmbeddingBag has no row-wise form)."""
    try:
        from fbgemm_gpu.split_embedding_configs import EmbOptimType
        from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
        from fbgemm_gpu.split_table_batched_embeddings_ops_training import ComputeDevice, SplitTableBatchedEmbeddingBagsCodegen
    except ImportError:
        print("fbgemm-gpu-cpu is not there and is left out", file=sys.stderr)
        SplitTableBatchedEmbeddingBagsCodegen = None
    for dim in 16, 64, 128:
        rows = TABLE_BYTES // (4 * dim)
        tables = {}
        if SplitTableBatchedEmbeddingBagsCodegen:
            tables["FBGEMM"] = SplitTableBatchedEmbeddingBagsCodegen(
                [(rows, dim, EmbeddingLocation.HOST, ComputeDevice.CPU)], optimizer=EmbOptimType.EXACT_ROWWISE_ADAGRAD,
                learning_rate=1e-3, eps=1e-10)
        bag = torch.nn.EmbeddingBag(rows, dim, mode="sum", sparse=True, _weight=torch.full((rows, dim), 0.5))
        sgd = torch.optim.SGD(bag.parameters(), lr=1e-3)
        tables["EmbeddingBag, SGD"] = bag
        gradient = torch.full((BATCH, dim), 1e-4)
        for length in 1, 20:
            for zipf in 0.0, 1.05:
                count = BATCH * length
                batches = max(2, SWEEP_BYTES // (4 * dim * count))
                ids = torch.from_numpy(draw_ids(numpy, batches * count, rows, zipf)).split(count)
                offsets = torch.arange(0, count + 1, length)
                cell = found.setdefault(f"embedding dim {dim} L {length} zipf {zipf}", {})
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


def peer_auc(found, numpy):
    try:
        from sklearn.metrics import roc_auc_score
    except ImportError:
        return print("scikit-learn is not there and is left out", file=sys.stderr)
    generator = numpy.random.default_rng(1)
    scores = generator.random(1000000).astype(numpy.float32).astype(numpy.float64)
    labels = (generator.random(1000000) < scores).astype(int)
    found["auc"] = {"scikit-learn": best(lambda: roc_auc_score(labels, scores), 3)}


def peer_bpr(found, numpy, threads):
    """Seconds of a batch of triplets: the slope over epochs, so that set-up does not count."""
    try:
        import scipy.sparse
        from implicit.bpr import BayesianPersonalizedRanking
    except ImportError:
        return print("implicit is not there and is left out", file=sys.stderr)
    generator = numpy.random.default_rng(1)
    rows, pairs = 1000000, 4000000
    matrix = scipy.sparse.csr_matrix(
        (numpy.ones(pairs, numpy.float32), (generator.integers(0, rows, pairs), generator.integers(0, rows, pairs))),
        shape=(rows, rows))
    seconds = {}
    for epochs in 1, 3:
        model = BayesianPersonalizedRanking(factors=64, iterations=epochs, num_threads=threads, use_gpu=False,
                                            random_state=1)
        start = time.perf_counter()
        model.fit(matrix, show_progress=False)
        seconds[epochs] = time.perf_counter() - start
    found["bpr"] = {"implicit": (seconds[3] - seconds[1]) / (2 * matrix.nnz) * BATCH}


def peers(threads):
    """Runs inside the peers' environment; prints {case: {peer: seconds a batch}}."""
    found = {}
    import numpy
    try:
        import torch
        torch.set_num_threads(threads)
        peer_interaction(found, torch)
        peer_embedding(found, torch, numpy)
    except ImportError:
        print("torch is not there and is left out", file=sys.stderr)
    peer_auc(found, numpy)
    peer_bpr(found, numpy, threads)
    print(json.dumps(found))


def ours(report):
    """{case: (seconds a batch, ratio to the limit of its forward or only part)}"""
    found = {}
    for result in report["results"]:
        case, kernel = result["case"], result["case"]["kernel"]
        if kernel.startswith("embedding"):
            name = f"embedding dim {case['dim']} L {case['pooling_factor']} zipf {case['zipf']}"
        elif kernel.startswith("interaction"):
            name = f"interaction dim {case['dim']}"
        elif kernel in ("auc", "bpr_step"):
            name = kernel.removesuffix("_step")
        else:
            continue
        seconds, ratio = found.get(name, (0.0, None))
        found[name] = (seconds + result["seconds"], result["ratio_to_limit"] if ratio is None else ratio)
    return found


BARS = {("interaction dim 16", "bmm + tril"): 5, ("interaction dim 128", "bmm + tril"): 2, ("bpr", "implicit"): 3,
        ("auc", "scikit-learn"): 15}


def bar_of(case, peer):
    return 1.5 if peer == "FBGEMM" else BARS.get((case, peer))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program")
    parser.add_argument("--peers", default=sys.executable)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args()
    load = os.getloadavg()[0]
    if load > 0.3 and not options.force:
        sys.exit(f"other programs are running (load average {load:.2f}); wait, or give --force")
    environment = dict(os.environ, OMP_NUM_THREADS=str(options.threads), OMP_WAIT_POLICY="passive", OPENBLAS_NUM_THREADS="1")
    words = [options.program] + (["bench", "kernels", "--force"] if os.path.basename(options.program) == "swallowtail" else [])
    report = json.loads(subprocess.run(words + ["--json"], env=environment, check=True, capture_output=True).stdout)
    script = f"import sys; sys.path.insert(0, {os.path.dirname(os.path.abspath(__file__))!r}); " \
             f"import kernels_bench; kernels_bench.peers({options.threads})"
    done = subprocess.run([options.peers, "-c", script], env=environment, text=True, stdout=subprocess.PIPE, check=True)
    found = json.loads(done.stdout.strip().splitlines()[-1])
    missed = 0
    print(f"{report['results'][0]['case']['isa']}, {options.threads} thread(s), load {load:.2f} to {os.getloadavg()[0]:.2f}\n")
    print("| case | ours, ms | of its limit | peer | ms | ratio | bar |\n|---|---|---|---|---|---|---|")
    for case, (seconds, of_limit) in ours(report).items():
        for peer, peer_seconds in found.get(case, {}).items():
            ratio, bar = peer_seconds / seconds, bar_of(case, peer)
            missed += bar is not None and ratio < bar
            verdict = "" if bar is None else f"{bar} {'met' if ratio >= bar else 'MISSED'}"
            print(f"| {case} | {seconds * 1e3:.3f} | {of_limit:.2f} | {peer} | {peer_seconds * 1e3:.3f} | {ratio:.2f} | {verdict} |")
    return missed > 0


if __name__ == "__main__":
    sys.exit(main())
