"""What the tests of whole programs share: runs of a program, and comparisons of what they leave."""
import json
import subprocess
import sys


def run(program, *arguments, ranks=1):
    command = [program, *arguments] if ranks == 1 else ["mpirun", "-n", str(ranks), program, *arguments]
    return subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)


def fail(text):
    sys.exit(f"{sys.argv[0]}: {text}")


def train_run(experiment, settings, program, folder, *arguments, ranks=1):
    """The run's summary, and its losses by step."""
    ended = run(program, "train", str(experiment), *settings, f"run.dir={folder}", "--json", *arguments, ranks=ranks)
    if ended.returncode != 0:
        fail(f"{program} train ended with {ended.returncode}: {ended.stderr}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return json.loads(ended.stdout), [line["loss"] for line in lines if "loss" in line]


def compare(name, a, b, tolerance):
    if abs(a - b) > tolerance * max(abs(a), abs(b)):
        fail(f"{name} is {a} on the CPU and {b} on the device")
