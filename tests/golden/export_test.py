"""A trained run, read by the programs that users have: safetensors, NumPy, onnxruntime, sha256sum, and a reader written from
FORMAT.md.

usage: export_test.py SWALLOWTAIL DUMP_INPUTS
"""
import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

try:
    import numpy
    import onnxruntime
    import safetensors.numpy
except ImportError as missing:
    print(f"skipped: {missing}; scripts/setup --tests brings it")
    sys.exit(77)

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import checkpoint_reader  # noqa: E402

PROGRAM, DUMP = sys.argv[1:3]
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive")
COMMON = """
data: {source: synthetic, labels: planted, samples: 6000, validation_samples: 200, test_samples: 300, id_distribution: zipf,
       dense_features: %d, tables: [%s]}
train: {batch_size: 256, epochs: 1, optimizer: adam, learning_rate: 0.05, threads: 1%s}
checkpoint: {every_steps: 4, keep: 10%s}
report: {html: false, tensorboard: false}
"""
BIG = "{name: big, rows: 40009, dim: 32}"
CASES = {
    "dot": COMMON % (5, BIG + ", {name: bag, rows: 300, dim: 16, pooling_factor: 4, fixed: false}", ", average_decay: 0.9", "")
    + "model: {embedding_dim: 16, bottom_mlp: [16], top_mlp: [16, 8], linear: true}\n"
      "embedding: {optimizer: rowwise_adagrad, sharding: row_wise}\n",
    "cat": COMMON % (3, BIG + ", {name: bag, rows: 50, dim: 8, pooling_factor: 3, fixed: false}", "", ", compression: zstd, async: false")
    + "model: {embedding_dim: 8, bottom_mlp: [8], top_mlp: [8], interaction: cat, pooling: mean}\n"
      "embedding: {optimizer: adam, sharding: column_wise}\n",
    "cross": COMMON % (4, BIG + ", {name: bag, rows: 60, dim: 16, pooling_factor: 3, fixed: false}", ", average_decay: 0.9", "")
    + "model: {embedding_dim: 16, bottom_mlp: [16], top_mlp: [8], interaction: cross, cross_layers: 2, cross_rank: 7}\n"
      "embedding: {optimizer: rowwise_adagrad, sharding: row_wise}\n",
    "changes": COMMON % (3, BIG + ", {name: other, rows: 5000, dim: 32}", "", ", incremental: true")
    + "model: {embedding_dim: 32, bottom_mlp: [8], top_mlp: [8], interaction_itself: true}\n"
      "embedding: {optimizer: rowwise_adagrad, sharding: row_wise}\n",
}


def run(*command, code=0):
    ended = subprocess.run([str(word) for word in command], env=ENVIRONMENT, capture_output=True, text=True, timeout=120)
    assert ended.returncode == code, f"{command} ended with {ended.returncode}:\n{ended.stdout}\n{ended.stderr}"
    return ended.stdout


def swallowtail(*arguments, code=0):
    return json.loads(run(PROGRAM, *arguments, "--json", code=code))


def inputs_of(run_dir, folder):
    run(DUMP, run_dir / "experiment.yaml", folder)
    lines = [line.split() for line in (folder / "shape.txt").read_text().splitlines()]
    batch, dense = map(int, lines[0])
    inputs = {"dense": numpy.fromfile(folder / "dense.f32", "<f4").reshape(batch, dense)}
    for feature, width in lines[1:]:
        inputs["ids_" + feature] = numpy.fromfile(folder / f"{feature}.i64", "<i8").reshape(batch, int(width))
    return inputs


def check_onnx(run_dir, folder):
    """The real onnxruntime gives the logits of the program's own evaluation."""
    swallowtail("export", run_dir, "--format", "onnx", "--to", folder / "model.onnx")
    session = onnxruntime.InferenceSession(str(folder / "model.onnx"), providers=["CPUExecutionProvider"])
    wanted_inputs = {item.name for item in session.get_inputs()}
    inputs = {name: value for name, value in inputs_of(run_dir, folder).items() if name in wanted_inputs}
    assert set(inputs) == wanted_inputs, (set(inputs), wanted_inputs)
    logits, found = (value[:, 0] for value in session.run(["logits", "probabilities"], inputs))
    run(PROGRAM, "evaluate", run_dir, "--split", "test", "--predictions", folder / "predictions.tsv")
    wanted = numpy.loadtxt(folder / "predictions.tsv", skiprows=1, usecols=3)
    wanted_logits = numpy.log(wanted / (1 - wanted))
    worst = numpy.abs(logits - wanted_logits).max()
    assert len(wanted) == 300 and numpy.ptp(wanted_logits) > 0.05, "the model has learned nothing to compare"
    assert worst < 1e-5, f"logits differ by {worst}"
    assert numpy.abs(found - wanted).max() < 1e-6
    return worst


def judge(name, folder):
    yaml, run_dir = folder / "experiment.yaml", folder / "run"
    yaml.write_text(f"name: {name}\n" + CASES[name])
    run("mpirun", "--oversubscribe", "--bind-to", "none", "-n", "3", PROGRAM, "train", yaml, f"run.dir={run_dir}", "--quiet")
    worst = check_onnx(run_dir, folder)

    # Tensors: the real safetensors, NumPy, and the reader of FORMAT.md agree to the last bit.
    swallowtail("export", run_dir, "--checkpoint", "last", "--weights", "raw", "--to", folder / "model.safetensors")
    tensors = safetensors.numpy.load_file(folder / "model.safetensors")
    swallowtail("export", run_dir, "--checkpoint", "last", "--weights", "raw", "--format", "numpy", "--to", folder / "numpy")
    arrays = {path.stem: numpy.load(path) for path in (folder / "numpy").iterdir()}
    assert tensors.keys() == arrays.keys() and all((tensors[key] == arrays[key]).all() for key in tensors)
    newest = max((run_dir / "checkpoints").iterdir(), key=lambda path: int(path.name.split("-")[1]))
    checkpoint = checkpoint_reader.Checkpoint(newest)
    assert (checkpoint.base is not None) == (name == "changes"), newest
    # .blocks is what the table of 40,009 rows takes with one rank's part of 4 MiB or more; parts of it may be small.
    tables = [key for key in tensors if key.startswith("embedding.")]
    assert "embedding.big.weight" in tables
    for key in tables:
        table = key.removeprefix("embedding.").removesuffix(".weight")
        assert (checkpoint.table(table, "weights") == tensors[key]).all(), key
    for key in tensors.keys() - set(tables):
        assert (checkpoint.tensor("dense/" + key) == tensors[key]).all(), key
    for file in newest.glob("*.safetensors"):
        for key, value in safetensors.numpy.load_file(file).items():
            assert (value == checkpoint.tensor(key)).all(), key
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=newest, check=True)

    # The same step for one rank: large arrays then, the same values, optimizer state included.
    swallowtail("export", run_dir, "--checkpoint", "last", "--reshard", 1, "--to", folder / "one")
    one = checkpoint_reader.Checkpoint(folder / "one" / newest.name)
    assert any(file["name"].endswith(".blocks") for file in one.manifest["files"])
    for key in tables:
        table = key.removeprefix("embedding.").removesuffix(".weight")
        for array in ("weights", "optimizer_state"):
            assert (one.table(table, array) == checkpoint.table(table, array)).all(), (table, array)
    found = swallowtail("export", run_dir, "--checkpoint", "last", "--weights", "raw", "--inspect")
    norms = {entry["name"]: entry["norm"] for entry in found["tables"]}
    assert abs(norms["big"] / numpy.linalg.norm(tensors["embedding.big.weight"].astype(float)) - 1) < 1e-9
    if name == "changes":  # of two links
        check_verify(run_dir, newest)
    print(f"{name}: logits within {worst:.1e}, {len(tensors)} tensors equal")


def check_verify(run_dir, newest):
    good = swallowtail("verify", run_dir)
    assert good["ok"] and good["first_bad"] is None and good["checked_bytes"] > 1 << 20, good
    assert swallowtail("verify", run_dir, "--against", good["head"])["ok"]
    # A byte of a shard, and an older checkpoint in the place of the newest with all its digests right.
    shard = max(newest.glob("rank-*"), key=lambda path: path.stat().st_size)
    data = bytearray(shard.read_bytes())
    data[len(data) // 2] ^= 1
    good_bytes = shard.read_bytes()
    shard.write_bytes(data)
    bad = swallowtail("verify", run_dir, code=6)
    assert shard.name in bad["first_bad"] and "block" in bad["first_bad"], bad["first_bad"]
    shard.write_bytes(good_bytes)
    ledger = run_dir / "ledger.jsonl"
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(lines[:2] + lines[3:]))
    bad = swallowtail("verify", run_dir, code=6)
    assert "record 2" in bad["first_bad"], bad["first_bad"]
    ledger.write_text("".join(lines[:-1]))
    assert swallowtail("verify", run_dir)["ok"], "a chain alone cannot show that its end is gone"
    assert not swallowtail("verify", run_dir, "--against", good["head"], code=6)["ok"]
    ledger.write_text("".join(lines))
    other = newest.with_name("other")
    shutil.copytree(newest, other)
    manifest = newest / "manifest.json"
    text = manifest.read_text().replace('"samples":', '"samples" :')  # says the same, is not the same
    manifest.write_text(text)
    sums = (newest / "SHA256SUMS").read_text().splitlines(keepends=True)
    sums[0] = hashlib.sha256(text.encode()).hexdigest() + "  manifest.json\n"
    (newest / "SHA256SUMS").write_text("".join(sums))
    bad = swallowtail("verify", run_dir, code=6)
    assert "another checkpoint of this step" in bad["first_bad"], bad["first_bad"]
    shutil.rmtree(newest)
    other.rename(newest)
    assert swallowtail("verify", run_dir)["ok"]


for case in CASES:
    with tempfile.TemporaryDirectory() as work:
        judge(case, pathlib.Path(work))
