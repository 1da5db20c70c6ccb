"""Every file call of a save fails once, or is the last thing that the process does.

usage: save_fault_test.py SAVER PRELOAD fail|kill [--ranks N] [--behind] [--incremental] [--draws N]

After each: the newest good checkpoint has every value of one step, the one before or the one that was being saved; the next
save works and leaves nothing behind. A round counts only if the preloaded library says that it injected the fault.
With --draws that many calls are drawn at random (threads make their order vary), SWALLOWTAIL_FAULT_SEEDS times as many; without it
all are tried in turn. With --incremental both a save that adds to a full one and the next full one are broken.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

parser = argparse.ArgumentParser()
parser.add_argument("saver")
parser.add_argument("preload")
parser.add_argument("kind", choices=["fail", "kill"])
parser.add_argument("--ranks", type=int, default=1)
parser.add_argument("--behind", action="store_true")
parser.add_argument("--incremental", action="store_true")
parser.add_argument("--draws", type=int, default=0)
options = parser.parse_args()

# What Linux may answer to each call.
FAULTS = {"write": ["ENOSPC", "EIO", "EDQUOT", "EINTR", "short"], "sync": ["EIO", "ENOSPC", "EDQUOT", "EINTR"],
          "rename": ["ENOSPC", "EIO", "EDQUOT"], "open": ["ENOSPC", "EDQUOT", "EINTR", "EACCES"],
          "mkdir": ["ENOSPC", "EDQUOT", "EIO"], "unlink": ["EIO"], "close": ["EIO", "EDQUOT", "EINTR"]}


refused = set()  # calls whose fault ended a save with an error


def run(*arguments, fault=None):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if fault:
        environment.update(SWALLOWTAIL_IO_FAULT=fault, LD_PRELOAD=options.preload)
    return subprocess.run([options.saver, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=60)


def save(folder, step, fault=None):
    return run("save", folder, step, options.ranks, "behind" if options.behind else "once",
               *(["incremental"] if options.incremental else []), fault=fault)


def newest(folder):
    checked = run("check", folder)
    assert checked.returncode == 0, f"check ended with {checked.returncode}: {checked.stderr}"
    return int(re.search(r"newest (\d+)", checked.stdout)[1])


def leftovers(folder):
    return [path.name for path in (folder / "checkpoints").iterdir() if not re.fullmatch(r"step-\d+", path.name)]


def start(work, before):
    """Checkpoints 1 to `before`, so that the next one also retires older ones, in a folder to be copied."""
    begun = work / f"begun-{before}"
    begun.mkdir()
    for step in range(1, before + 1):
        assert save(begun, step).returncode == 0
    return begun


def count(begun, work, step, call):
    """How many calls a save makes."""
    folder = work / "count"
    shutil.copytree(begun, folder)
    ended = save(folder, step, f"{call}:0:EIO:{folder}")
    shutil.rmtree(folder)
    return int(re.search(r"io_faults: (\d+) calls", ended.stderr)[1])


def judge(begun, work, step, call, nth, action):
    name = f"{action} in {call} {nth} of step {step}"
    folder = work / "run"
    shutil.copytree(begun, folder)
    ended = save(folder, step, f"{call}:{nth}:{action}:{folder}")
    injected = "io_faults: injected" in ended.stderr
    if not injected and options.draws:
        shutil.rmtree(folder)
        return False
    assert injected, f"{name} was not injected: {ended.stderr}"
    if action == "kill":
        assert ended.returncode == -9, f"{name}: ended with {ended.returncode}"
        wanted = {step - 1, step}
    elif ended.returncode == 0:
        wanted = {step}
    else:
        assert ended.returncode == 7 and "swallowtail: error: " in ended.stderr, f"{name}: {ended.returncode} {ended.stderr}"
        refused.add(call)
        # The rename may have worked, and what came after it (the folder's sync, the ledger) not.
        wanted = {step - 1, step}
    found = newest(folder)
    assert found in wanted, f"{name}: the newest is {found}, not one of {wanted}"
    assert action == "kill" or call in ("unlink", "close") or not leftovers(folder), f"{name}: left {leftovers(folder)}"
    again = save(folder, step)
    assert again.returncode == 0, f"{name}: the next save of the step ended with {again.returncode}: {again.stderr}"
    assert newest(folder) == step, name
    again = save(folder, step + 1)
    assert again.returncode == 0 and newest(folder) == step + 1 and not leftovers(folder), f"{name}: {again.stderr} {leftovers(folder)}"
    shutil.rmtree(folder)
    return True


def main():
    rounds, plan = 0, []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for before in ((2, 3) if options.incremental else (2,)):
            begun = start(work, before)
            for call, actions in (FAULTS.items() if options.kind == "fail" else [("any", ["kill"])]):
                calls = count(begun, work, before + 1, call)
                assert calls > 0, f"a save makes no call {call}"
                plan += [(begun, work, before + 1, call, nth, action) for nth in range(1, calls + 1) for action in actions]
        if options.draws:
            seeds = int(os.environ.get("SWALLOWTAIL_FAULT_SEEDS", "1"))
            plan = random.Random(options.draws).choices(plan, k=options.draws * seeds)
        for one in plan:
            rounds += judge(*one)
    assert rounds >= 0.8 * len(plan), f"only {rounds} of {len(plan)} faults were injected"
    missing = {"write", "sync", "rename", "open", "mkdir", "close"} - refused
    assert options.kind == "kill" or options.draws or not missing, f"no fault in {missing} was ever told"
    print(f"{rounds} of {len(plan)} faults injected, all survived")


main()
