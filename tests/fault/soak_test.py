"""A training that is killed again and again, and goes on each time on another number of ranks, gives the curve and the weights of
one that nobody touched; its memory and its open files do not grow.

usage: soak_test.py PROGRAM EXPERIMENT SECONDS [SEED]

Ranks die by SIGKILL or are told to stop by USR1, at random moments; saves are frequent, behind the training, incremental in
half of the runs. Deterministic mode, so "the curve" means its bits. From 300 SECONDS on the runs are long: a life lasts up to a minute
and saves come about every ten seconds.
"""
import os
import pathlib
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import runs

PROGRAM, EXPERIMENT, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
DICE = random.Random(int(sys.argv[4]) if len(sys.argv) > 4 else 1)
IS_LONG = SECONDS >= 300
STEPS, SAVED_EVERY, LIFE_S = (4000, 100, (8, 60)) if IS_LONG else (800, 20, (1, 3))
COMMON = ["train", EXPERIMENT, "--quiet", "train.deterministic=true", "train.epochs=1000", f"train.max_steps={STEPS}", "report.log_every_steps=1",
          f"checkpoint.every_steps={SAVED_EVERY}", f"evaluation.every_steps={5 * SAVED_EVERY}", "report.html=false", "parallel.timeout_s=60"]
MOST_FALLS = 10  # of a run, so that it comes to its end


def command(ranks, run_dir, *more):
    return runs.mpirun(ranks, PROGRAM, *COMMON, f"run.dir={run_dir}", *more)


def losses(run_dir):
    return {line["step"]: line["loss"] for line in runs.curve(run_dir) if "loss" in line}


def children(pid):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                found.append(int(entry.name))
        except (FileNotFoundError, ProcessLookupError):
            pass
    return found


def use_of(pid):
    """(resident bytes, open files) of a process; nothing where it is gone."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir(f"/proc/{pid}/fd"))
    except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError):
        return None


class Use:
    """What the ranks of one life used, sampled twice a second from their second save on: before it they start, which takes long on a
    loaded machine, and make their buffers. Saving behind the training opens a file now and then, so medians count."""

    def __init__(self):
        self.samples = {}

    def look(self, pids):
        for pid in pids:
            if (use := use_of(pid)) is not None:
                self.samples.setdefault(pid, []).append(use)

    def judge(self):
        """Growth of the last third over the second: (share of memory, files), the largest of the ranks. Nothing for a short life."""
        grown = []
        for samples in self.samples.values():
            third = len(samples) // 3
            if third < 5:
                continue
            median = [[statistics.median(one[what] for one in part) for what in (0, 1)] for part in (samples[third:2 * third], samples[2 * third:])]
            grown.append((median[1][0] / median[0][0], median[1][1] - median[0][1]))
        return (max(one[0] for one in grown), max(one[1] for one in grown)) if grown else None


def saved(run_dir):
    return {one.name for one in (run_dir / "checkpoints").glob("step-*") if not one.name.endswith(".partial")}


def train_under_fire(run_dir, more, growths):
    """Restarts until it is done. Returns (kills, stops)."""
    kills = stops = 0
    while True:
        ranks = DICE.choice([1, 2, 3, 4])
        # A first start that died before the run's folder stood leaves nothing to resume.
        resume = ["--resume"] if (run_dir / "experiment.yaml").exists() else []
        log = run_dir.parent / "output"
        with log.open("w") as out:
            process = subprocess.Popen(command(ranks, run_dir, *resume, *more), env=runs.ENVIRONMENT, stdout=out, stderr=subprocess.STDOUT)
        end = time.monotonic() + (DICE.uniform(*LIFE_S) if kills + stops < MOST_FALLS else SECONDS + 200)
        use, before, is_warm = Use(), saved(run_dir), False
        while process.poll() is None and time.monotonic() < end:
            time.sleep(0.5 if IS_LONG else 0.05)
            is_warm = is_warm or len(saved(run_dir) - before) >= 2
            if is_warm:
                use.look(children(process.pid))
        if process.poll() is not None:
            assert process.returncode == 0, f"ended by itself with {process.returncode}:\n{log.read_text()}"
            growths.append(use.judge())
            return kills, stops
        victims = children(process.pid)
        if victims and DICE.random() < 0.7:
            os.kill(DICE.choice(victims), signal.SIGKILL)
            kills += 1
            expected = None
        else:
            process.send_signal(signal.SIGUSR1)
            stops += 1
            expected = 75
        process.wait(timeout=90)
        growths.append(use.judge())
        output = log.read_text()
        # USR1 before the loop listens ends a rank as any signal does.
        assert process.returncode in (0, 75, 5, 137, 138, 1) or expected is None, f"{process.returncode}:\n{output}"
        assert not re.search("damaged|terminate called|AddressSanitizer", output), output


def main():
    end, rounds, kills, stops, growths = time.monotonic() + SECONDS, 0, 0, 0, []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        whole = folder / "whole"
        subprocess.run(command(2, whole), env=runs.ENVIRONMENT, check=True, capture_output=True)
        wanted, wanted_weights = losses(whole), runs.weights(PROGRAM, whole)
        assert len(wanted) == STEPS
        while rounds == 0 or time.monotonic() < end:
            run_dir = folder / f"run-{rounds}"
            more = ["checkpoint.incremental=true"] if rounds % 2 == 0 else []
            killed, stopped = train_under_fire(run_dir, more, growths)
            found = losses(run_dir)
            assert found == wanted, f"the curve differs first at step {min(s for s in wanted if found.get(s) != wanted[s])}"
            assert runs.weights(PROGRAM, run_dir) == wanted_weights, "the weights differ"
            runs.verified(PROGRAM, run_dir)
            assert not runs.leftovers(run_dir), f"left behind: {runs.leftovers(run_dir)}"
            rounds, kills, stops = rounds + 1, kills + killed, stops + stopped
            print(f"run {rounds}: {killed} kills, {stopped} stops, the same bits", flush=True)
    assert kills > 0, "nothing was killed"
    measured = [growth for growth in growths if growth]
    if IS_LONG:
        memory, files = max(one[0] for one in measured), max(one[1] for one in measured)
        assert len(measured) >= 5 and memory < 1.05 and files < 3, f"grew: memory {memory:.3f}, files {files}, of {len(measured)} lives"
        print(f"in {len(measured)} long lives memory grew by a factor of {memory:.3f} at most, open files by {files:.0f}")
    print(f"{rounds} runs, {kills} kills, {stops} stops on request: the same bits each time")


main()
