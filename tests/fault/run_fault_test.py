"""Faults around a whole run: signals, full disks, limits on memory, a second run on the folder, odd folders and surroundings.

usage: run_fault_test.py PROGRAM EXPERIMENT PRELOAD CASE
"""
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time

PROGRAM, EXPERIMENT, PRELOAD, CASE = sys.argv[1:5]
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMP_NUM_THREADS="1")
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


def steps_saved(run_dir):
    folder = run_dir / "checkpoints"
    return sorted(int(path.name[5:]) for path in folder.glob("step-*") if path.name[5:].isdigit()) if folder.exists() else []


def line_of(output, *parts):
    lines = [line for line in output.splitlines() if line.startswith("swallowtail: error: ")]
    assert len(lines) == 1 and all(part in lines[0] for part in parts), f"wanted one line with {parts}:\n{output}"


def whole_lines(path):
    text = path.read_text()
    assert not text or text.endswith("\n"), f"{path.name} ends within a line"
    return [json.loads(line) for line in text.splitlines()]


def verified(run_dir):
    ended = subprocess.run([PROGRAM, "verify", str(run_dir), "--json"], env=ENVIRONMENT, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr + ended.stdout


def signals(folder):
    for name, sent in (("USR1", [signal.SIGUSR1]), ("TERM", [signal.SIGTERM]), ("INT", [signal.SIGINT]),
                       ("USR1 twice", [signal.SIGUSR1, signal.SIGUSR1]), ("TERM twice", [signal.SIGTERM] * 2)):
        run_dir = folder / name
        process = start(run_dir, *LONG)
        wait_for(lambda: steps_saved(run_dir), "a checkpoint")
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
    # A disk that is full for the log and the metrics: no half line.
    for nth in (1, 3, 6):
        run_dir = folder / f"metrics-{nth}"
        environment = dict(ENVIRONMENT, LD_PRELOAD=PRELOAD, SWALLOWTAIL_IO_FAULT=f"write:{nth}:ENOSPC:{run_dir}/metrics.jsonl")
        ended = train(run_dir, "train.max_steps=50", "report.log_every_steps=1", environment=environment)
        assert "io_faults: injected" in ended.stderr, ended.stderr
        assert ended.returncode in (0, 7), f"{ended.returncode} {ended.stderr}"
        whole_lines(run_dir / "metrics.jsonl")


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


def damaged(folder):
    run_dir = folder / "run"
    assert train(run_dir, "train.max_steps=75", "checkpoint.every_steps=25").returncode == 0
    assert steps_saved(run_dir)[-1] == 75
    shard = run_dir / "checkpoints" / "step-75" / "rank-00000.safetensors"
    data = bytearray(shard.read_bytes())
    data[-5] ^= 16
    shard.write_bytes(data)
    ended = train(run_dir, "train.max_steps=100", "--resume", "--strict")
    assert ended.returncode == 6, f"{ended.returncode} {ended.stderr}"
    line_of(ended.stderr, "step-75/rank-00000.safetensors", "block 0", "CRC32C")
    ended = train(run_dir, "train.max_steps=100", "--resume", "checkpoint.every_steps=25")
    assert ended.returncode == 0, ended.stderr
    log = (run_dir / "log.txt").read_text()
    assert "block 0" in log and "resuming after step 50" in log, log
    verified(run_dir)
    assert train(run_dir, "train.max_steps=100", "--strict").returncode == 2


CASES = {"signals": signals, "second_run": second_run, "memory": memory, "full_disk": full_disk, "surroundings": surroundings,
         "damaged": damaged}
with tempfile.TemporaryDirectory() as work:
    CASES[CASE](pathlib.Path(work))
print(f"{CASE}: held")
