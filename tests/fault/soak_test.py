"""A training that is killed again and again, and goes on each time on another number of ranks, gives the curve and the weights of
one that nobody touched.

usage: soak_test.py PROGRAM EXPERIMENT SECONDS [SEED]

Ranks die by SIGKILL or are told to stop by USR1, at random moments; saves are frequent, behind the training, incremental in
half of the runs. Deterministic mode, so "the curve" means its bits.
"""
import hashlib
import json
import os
import pathlib
import random
import re
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM, EXPERIMENT, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
DICE = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMP_NUM_THREADS="1")
COMMON = ["train", EXPERIMENT, "--quiet", "train.deterministic=true", "train.epochs=10", "train.max_steps=800", "report.log_every_steps=1",
          "checkpoint.every_steps=20", "evaluation.every_steps=100", "report.html=false", "parallel.timeout_s=60"]


def command(ranks, run_dir, *more):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), PROGRAM, *COMMON, f"run.dir={run_dir}", *more]


def losses(run_dir):
    """step -> loss; a step that stands twice is an error of its own."""
    found = {}
    for line in (run_dir / "metrics.jsonl").read_text().splitlines():
        entry = json.loads(line)
        if "loss" in entry:
            assert entry["step"] not in found, f"step {entry['step']} twice"
            found[entry["step"]] = entry["loss"]
    return found


def weights(run_dir, folder):
    """Digest of all weights of the last step, whatever ranks hold them."""
    file = folder / "weights.safetensors"
    subprocess.run([PROGRAM, "export", str(run_dir), "--checkpoint", "last", "--to", str(file)], check=True, capture_output=True)
    return hashlib.sha256(file.read_bytes()).hexdigest()


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def train_under_fire(run_dir, more):
    """Restarts until it is done. Returns (kills, stops)."""
    kills = stops = 0
    while True:
        ranks = DICE.choice([1, 2, 3, 4])
        # A first start that died before the run's folder stood leaves nothing to resume.
        resume = ["--resume"] if (run_dir / "experiment.yaml").exists() else []
        process = subprocess.Popen(command(ranks, run_dir, *resume, *more), env=ENVIRONMENT, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True)
        try:
            code = process.wait(DICE.uniform(1.0, 3.0) if kills + stops < 10 else 200)
            output = process.stdout.read()
            assert code == 0, f"ended by itself with {code}:\n{output}"
            return kills, stops
        except subprocess.TimeoutExpired:
            pass
        victims = children(process.pid)
        if victims and DICE.random() < 0.7:
            os.kill(DICE.choice(victims), signal.SIGKILL)
            kills += 1
            expected = None
        else:
            process.send_signal(signal.SIGUSR1)
            stops += 1
            expected = 75
        output, _ = process.communicate(timeout=90)
        # USR1 before the loop listens ends a rank as any signal does.
        assert process.returncode in (0, 75, 5, 137, 138, 1) or expected is None, f"{process.returncode}:\n{output}"
        assert not re.search("damaged|terminate called|AddressSanitizer", output), output


def main():
    end, rounds, kills, stops = time.monotonic() + SECONDS, 0, 0, 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        whole = folder / "whole"
        subprocess.run(command(2, whole), env=ENVIRONMENT, check=True, capture_output=True)
        wanted, wanted_weights = losses(whole), weights(whole, folder)
        assert len(wanted) == 800
        while rounds == 0 or time.monotonic() < end:
            run_dir = folder / f"run-{rounds}"
            more = ["checkpoint.incremental=true"] if rounds % 2 == 0 else []
            killed, stopped = train_under_fire(run_dir, more)
            found = losses(run_dir)
            assert found == wanted, f"the curve differs first at step {min(s for s in wanted if found.get(s) != wanted[s])}"
            assert weights(run_dir, folder) == wanted_weights, "the weights differ"
            verified = subprocess.run([PROGRAM, "verify", str(run_dir)], capture_output=True, text=True)
            assert verified.returncode == 0, verified.stderr
            left = [path.name for path in (run_dir / "checkpoints").iterdir() if not re.fullmatch(r"step-\d+", path.name)]
            assert not left, f"left behind: {left}"
            rounds, kills, stops = rounds + 1, kills + killed, stops + stopped
    assert kills > 0, "nothing was killed"
    print(f"{rounds} runs, {kills} kills, {stops} stops on request: the same bits each time")


main()
