"""Faults around a whole run: signals, full disks, limits on memory, a second run on the folder, odd folders and surroundings.

usage: run_fault_test.py PROGRAM EXPERIMENT IO_FAULTS CLOCK_FAULTS CASE
"""
import json
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import runs
from runs import ENVIRONMENT, steps_saved

PROGRAM, EXPERIMENT, PRELOAD, CLOCK, CASE = sys.argv[1:6]
dice = random.Random(0)
LONG = ["train.epochs=1000", "checkpoint.every_steps=25", "evaluation.every_steps=1000", "train.deterministic=true"]


def command(run_dir, *more):
    return [PROGRAM, "train", EXPERIMENT, "--quiet", f"run.dir={run_dir}", "report.html=false", *map(str, more)]


def train(run_dir, *more, environment=ENVIRONMENT, before=None):
    return subprocess.run(command(run_dir, *more), env=environment, capture_output=True, text=True, timeout=100, preexec_fn=before)


def start(run_dir, *more):
    return subprocess.Popen(command(run_dir, *more), env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for(condition, what, limit_s=60):
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"{what} did not come"
        time.sleep(0.02)


def line_of(output, *parts):
    lines = [line for line in output.splitlines() if line.startswith("swallowtail: error: ")]
    assert len(lines) == 1 and all(part in lines[0] for part in parts), f"wanted one line with {parts}:\n{output}"


def whole_lines(path):
    if not path.exists():  # the run ended before the first line
        return []
    text = path.read_text()
    assert not text or text.endswith("\n"), f"{path.name} ends within a line"
    return [json.loads(line) for line in text.splitlines()]


def verified(run_dir):
    runs.verified(PROGRAM, run_dir)


def signals(folder):
    for name, sent in (("USR1", [signal.SIGUSR1]), ("TERM", [signal.SIGTERM]), ("INT", [signal.SIGINT]),
                       ("USR1 twice", [signal.SIGUSR1, signal.SIGUSR1]), ("TERM twice", [signal.SIGTERM] * 2)):
        run_dir = folder / name
        process = start(run_dir, *LONG)
        wait_for(lambda: steps_saved(run_dir), "a checkpoint")
        time.sleep(dice.uniform(0, 0.2))  # within a save or between two
        for one in sent:
            process.send_signal(one)
        _, error = process.communicate(timeout=60)
        assert process.returncode == 75, f"{name}: {process.returncode} {error}"
        assert "a checkpoint is saved" in error, error
        step = int(re.search(r"after step (\d+)", error)[1])
        assert steps_saved(run_dir)[-1] == step, f"{name}: {steps_saved(run_dir)} and {step}"
        assert not list((run_dir / "checkpoints").glob("*.partial")), name
        assert [line["step"] for line in whole_lines(run_dir / "metrics.jsonl") if "loss" in line][-1] <= step
        verified(run_dir)
    run_dir = folder / "INT twice"
    process = start(run_dir, *LONG)
    wait_for(lambda: steps_saved(run_dir), "a checkpoint")
    process.send_signal(signal.SIGSTOP)  # so that the second one comes while the first is being answered
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=30)
    assert process.returncode in (75, 130), f"INT twice: {process.returncode} {error}"
    verified(run_dir)


def second_run(folder):
    run_dir = folder / "run"
    first = start(run_dir, *LONG)
    wait_for(lambda: steps_saved(run_dir), "a checkpoint")
    for more in ([], ["--resume"], ["--force"]):
        second = train(run_dir, *LONG, *more)
        assert second.returncode == 2, f"{more}: {second.returncode} {second.stderr}"
        line_of(second.stderr, "another process is writing this run")
    assert first.poll() is None, "the first run is gone"
    first.send_signal(signal.SIGUSR1)
    first.communicate(timeout=60)
    assert first.returncode == 75
    verified(run_dir)


def memory(folder):
    def limit():
        resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))

    ended = train(folder / "run", "data.source=synthetic", "data.tables=[{rows: 8000000, dim: 64}]", "data.samples=1000",
                  "data.categorical=[]", "data.dense=[]", before=limit)
    assert ended.returncode == 7, f"{ended.returncode} {ended.stderr}"
    line_of(ended.stderr, "the run needs", "memory bill")
    assert not steps_saved(folder / "run") and not (folder / "run" / "metrics.jsonl").exists()


def full_disk(folder):
    """Every save fails: the third one ends the run with 7; one failed save does not."""
    for call, nth, code in (("write", 1, 0), ("sync", 2, 0)):
        run_dir = folder / f"{call}-once"
        environment = dict(ENVIRONMENT, LD_PRELOAD=PRELOAD, SWALLOWTAIL_IO_FAULT=f"{call}:{nth}:ENOSPC:{run_dir}/checkpoints")
        ended = train(run_dir, "train.max_steps=100", "checkpoint.every_steps=25", environment=environment)
        assert "io_faults: injected" in ended.stderr, ended.stderr
        assert ended.returncode == code, f"{call}: {ended.returncode} {ended.stderr}"
        assert "the checkpoint was not saved" in (run_dir / "log.txt").read_text()
        assert json.loads((run_dir / "summary.json").read_text())["failed_saves"] == 1
        verified(run_dir)
    run_dir = folder / "always"
    environment = dict(ENVIRONMENT, LD_PRELOAD=PRELOAD, SWALLOWTAIL_IO_FAULT=f"write:1+:ENOSPC:{run_dir}/checkpoints")
    ended = train(run_dir, "train.max_steps=200", "checkpoint.every_steps=25", environment=environment)
    assert ended.returncode == 7, f"{ended.returncode} {ended.stderr}"
    line_of(ended.stderr, "3 saves in a row failed", "No space left on device")
    assert not list((run_dir / "checkpoints").glob("*")), "a failed save left something"
    for name in ("metrics.jsonl", "ledger.jsonl"):
        whole_lines(run_dir / name)
    # A disk that is full for the log, the metrics, TensorBoard and the ledger: no half line.
    for name in ("metrics.jsonl", "log.txt", "events.out.tfevents", "ledger.jsonl"):
        run_dir = folder / f"{name}-counted"
        environment = dict(ENVIRONMENT, LD_PRELOAD=PRELOAD, SWALLOWTAIL_IO_FAULT=f"write:0:EIO:{run_dir}/{name}")
        ended = train(run_dir, "train.max_steps=50", "report.log_every_steps=1", "checkpoint.every_steps=25", environment=environment)
        calls = max(int(count) for count in re.findall(r"io_faults: (\d+) calls", ended.stderr))
        assert ended.returncode == 0 and calls > 0, f"{name}: {ended.stderr}"
        for nth, action in ((1, "ENOSPC"), (dice.randint(1, calls), "ENOSPC"), (dice.randint(1, calls), "short")):
            run_dir = folder / f"{name}-{nth}-{action}-{dice.random()}"
            environment = dict(ENVIRONMENT, LD_PRELOAD=PRELOAD, SWALLOWTAIL_IO_FAULT=f"write:{nth}:{action}:{run_dir}/{name}")
            ended = train(run_dir, "train.max_steps=50", "report.log_every_steps=1", "checkpoint.every_steps=25", environment=environment)
            assert "io_faults: injected" in ended.stderr, f"{name} {nth}: {ended.stderr}"
            assert ended.returncode in (0, 7), f"{name} {nth}: {ended.returncode} {ended.stderr}"
            assert action != "short" or ended.returncode == 0, f"{name} {nth}: {ended.stderr}"
            if ended.returncode == 7:
                line_of(ended.stderr, "No space left on device")
            for log in ("metrics.jsonl", "ledger.jsonl"):
                whole_lines(run_dir / log)
            log = (run_dir / "log.txt").read_text() if (run_dir / "log.txt").exists() else ""
            assert not log or log.endswith("\n"), f"{name} {nth}: log.txt ends within a line"


def surroundings(folder):
    run_dir = folder / "a folder with spaces, \u00fc and \u96ea"
    environment = {key: value for key, value in ENVIRONMENT.items() if key != "HOME"} | {"LANG": "C", "LC_ALL": "C"}
    ended = train(run_dir, "train.max_steps=30", environment=environment)
    assert ended.returncode == 0, ended.stderr
    verified(run_dir)
    ended = train(run_dir, "train.max_steps=60", "--resume", environment=environment | {"TZ": "Pacific/Auckland"})
    assert ended.returncode == 0, ended.stderr
    ended = train("/proc/sys/run", "train.max_steps=30")
    assert ended.returncode == 7, f"a folder that nobody may write gave {ended.returncode} {ended.stderr}"
    line_of(ended.stderr, "/proc/sys/run")


def flip(path):
    data = bytearray(path.read_bytes())
    data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
    path.write_bytes(data)


def truncate(path):
    path.write_bytes(path.read_bytes()[:dice.randrange(path.stat().st_size)])


def put_older(path):
    shutil.copy(path.parent.parent / "step-50" / path.name, path)


# What is done to a file of the newest checkpoint, and what the error says.
DAMAGES = {"bit flip": (flip, "rank-00000.safetensors", ["block 0", "CRC32C"]),
           "truncation": (truncate, "rank-00000.safetensors", ["bytes where its manifest says"]),
           "another step's shard": (put_older, "rank-00000.safetensors", ["block 0", "CRC32C"]),
           "missing shard": (pathlib.Path.unlink, "rank-00000.safetensors", ["the file is missing"]),
           "manifest's digest": (flip, "manifest.json", ["manifest.json"]),
           "older manifest": (put_older, "manifest.json", ["SHA-256"]),
           "missing manifest": (pathlib.Path.unlink, "manifest.json", ["manifest.json"]),
           "wrong sums": (put_older, "SHA256SUMS", ["SHA-256"])}


def damaged(folder):
    whole, good = folder / "whole", folder / "good"
    saving = ["checkpoint.every_steps=25", "report.log_every_steps=1", "train.decay_steps=100"]
    assert train(whole, "train.max_steps=100", *saving).returncode == 0
    assert train(good, "train.max_steps=75", *saving).returncode == 0 and steps_saved(good)[-1] == 75
    for name, (damage, file, words) in DAMAGES.items():
        run_dir = folder / name
        shutil.copytree(good, run_dir)
        damage(run_dir / "checkpoints" / "step-75" / file)
        checked = subprocess.run([PROGRAM, "verify", str(run_dir)], env=ENVIRONMENT, capture_output=True, text=True)
        assert checked.returncode == 6 and "step-75" in checked.stderr + checked.stdout, f"{name}: {checked}"
        ended = train(run_dir, "train.max_steps=100", "--resume", "--strict", *saving)
        assert ended.returncode == 6, f"{name}: {ended.returncode} {ended.stderr}"
        line_of(ended.stderr, "step-75", *words)
        ended = train(run_dir, "train.max_steps=100", "--resume", *saving)
        assert ended.returncode == 0, f"{name}: {ended.stderr}"
        log = (run_dir / "log.txt").read_text()
        assert words[0] in log and "resuming after step 50" in log, f"{name}: {log}"
        assert [line for line in runs.curve(run_dir) if "loss" in line] == [line for line in runs.curve(whole) if "loss" in line], name
        verified(run_dir)
    assert train(folder / "other", "train.max_steps=100", "--strict").returncode == 2


def clock(folder):
    """The wall clock jumps at every look: the curve, the ledger and the time-outs do not mind."""
    whole, run_dir = folder / "whole", folder / "run"
    common = ["train.max_steps=150", "checkpoint.every_steps=25", "train.deterministic=true", "report.log_every_steps=1", "parallel.timeout_s=10"]
    assert train(whole, *common).returncode == 0
    for more, limit in ((["train.max_steps=75", "train.decay_steps=150"], 75), (["--resume"], 150)):
        ended = subprocess.run(["mpirun", "--oversubscribe", "--bind-to", "none", "-x", f"LD_PRELOAD={CLOCK}", "-n", str(dice.choice([2, 3])),
                                *command(run_dir, *common, *more)], env=ENVIRONMENT, capture_output=True, text=True, timeout=100)
        assert ended.returncode == 0, f"{ended.returncode} {ended.stderr}"
        jumps = [int(count) for count in re.findall(r"clock_faults: (\d+) jumps", ended.stderr)]
        assert len(jumps) >= 2 and max(jumps) > 10, f"the clock was looked at {jumps} times: {ended.stderr}"
        assert steps_saved(run_dir)[-1] == limit
    assert [line for line in runs.curve(run_dir) if "loss" in line] == [line for line in runs.curve(whole) if "loss" in line], "another curve"
    assert runs.weights(PROGRAM, run_dir) == runs.weights(PROGRAM, whole)
    verified(run_dir)
    times = [line["time"] for line in whole_lines(run_dir / "ledger.jsonl")]
    assert times != sorted(times), f"the ledger's times did not jump: {times}"


CASES = {"signals": signals, "second_run": second_run, "memory": memory, "full_disk": full_disk, "surroundings": surroundings,
         "damaged": damaged, "clock": clock}
for seed in range(runs.SEEDS):
    dice.seed(seed)
    with tempfile.TemporaryDirectory() as work:
        CASES[CASE](pathlib.Path(work))
print(f"{CASE}: held, {runs.SEEDS} times")
