"""What the tests of whole programs share: runs of a program, and comparisons of what they leave."""
import json
import os
import subprocess
import sys


def run(program, *arguments, ranks=1, device_bytes=None):
    """device_bytes: the emulated device's memory, in place of what it has by itself."""
    command = [program, *arguments] if ranks == 1 else ["mpirun", "-n", str(ranks), program, *arguments]
    small = {"SWALLOWTAIL_EMULATED_DEVICE_BYTES": str(device_bytes)} if device_bytes else {}
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL, env={**os.environ, **small})


def fail(text):
    sys.exit(f"{sys.argv[0]}: {text}")


def train_run(experiment, settings, program, folder, *arguments, **how):
    """The run's summary, and its losses by step. how: as run()."""
    ended = run(program, "train", str(experiment), *settings, f"run.dir={folder}", "--json", *arguments, **how)
    if ended.returncode != 0:
        fail(f"{program} train ended with {ended.returncode}: {ended.stderr}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return json.loads(ended.stdout), [line["loss"] for line in lines if "loss" in line]


def compare(name, a, b, tolerance):
    if abs(a - b) > tolerance * max(abs(a), abs(b)):
        fail(f"{name} is {a} on the CPU and {b} on the device")
