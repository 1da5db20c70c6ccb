"""What the fault tests share: how trainings are started, what of a run must not change, how often a test is repeated.

SWALLOWTAIL_FAULT_SEEDS (default 1): how many times each fault is tried, at another place each time.
"""
import hashlib
import json
import os
import pathlib
import re
import subprocess

SEEDS = int(os.environ.get("SWALLOWTAIL_FAULT_SEEDS", "1"))
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMP_NUM_THREADS="1")


def mpirun(ranks, program, *arguments):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), str(program), *map(str, arguments)]


def curve(run_dir):
    """Every line of metrics.jsonl without the speed; a step that stands twice is an error of its own."""
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    keys = [(line["step"], line.get("split"), line.get("weights")) for line in lines]
    assert len(set(keys)) == len(keys), f"a line stands twice in {run_dir}"
    return [{key: value for key, value in line.items() if key != "samples_per_s"} for line in lines]


def weights(program, run_dir):
    """Digest of all weights of the last step, whatever ranks hold them."""
    file = run_dir.parent / f"{run_dir.name}.safetensors"
    subprocess.run([program, "export", str(run_dir), "--checkpoint", "last", "--to", str(file)], check=True, capture_output=True)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    file.unlink()
    return digest


def verified(program, run_dir):
    ended = subprocess.run([program, "verify", str(run_dir)], env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr + ended.stdout


def steps_saved(run_dir):
    folder = run_dir / "checkpoints"
    return sorted(int(path.name[5:]) for path in folder.glob("step-*") if path.name[5:].isdigit()) if folder.exists() else []


def leftovers(run_dir):
    return [path.name for path in (run_dir / "checkpoints").iterdir() if not re.fullmatch(r"step-\d+", path.name)]


def processes_of(run_dir):
    """Processes that still have the run's name among their arguments."""
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and str(run_dir).encode() in (entry / "cmdline").read_bytes():
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            pass
    return found
