"""The file calls of a save fail, or are the last thing that the process does.

usage: save_fault_test.py SAVER PRELOAD fail|kill [--ranks N] [--behind] [--incremental] [--draws N]

After each: the newest good checkpoint has every value of one step, the one before or the one that was being saved; the next
save works and leaves nothing behind. A round counts only if the preloaded library says that it injected the fault.
Every seed takes a sixth of all (call, fault) pairs, another sixth each: SWALLOWTAIL_FAULT_SEEDS=6 or more breaks every call in every way.
With --draws that many calls a seed are drawn at random instead (threads make their order vary). With --incremental both a save that
adds to a full one and the next full one are broken.
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
import threading
from concurrent import futures

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

SIXTHS = 6
SEEDS = int(os.environ.get("SWALLOWTAIL_FAULT_SEEDS", "1"))
refused = set()  # calls whose fault ended a save with an error


def run(what, folder, step, fault=None):
    environment = dict(os.environ, OMP_NUM_THREADS="1")
    if fault:
        environment.update(SWALLOWTAIL_IO_FAULT=fault, LD_PRELOAD=options.preload)
    command = [options.saver, what, str(folder), str(step), str(options.ranks), "behind" if options.behind else "once",
               *(["incremental"] if options.incremental else [])]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def leftovers(folder):
    return [path.name for path in (folder / "checkpoints").iterdir() if not re.fullmatch(r"step-\d+", path.name)]


def start(work, before):
    """Checkpoints 1 to `before`, so that the next one also retires older ones, in a folder to be copied."""
    begun = work / f"begun-{before}"
    begun.mkdir()
    for step in range(1, before + 1):
        ended = run("save", begun, step)
        assert ended.returncode == 0, ended.stderr
    return begun


def copy(begun, folder):
    """Shards are never written again, and so linked. The ledger grows, and a manifest is locked by whoever reads it."""
    def take(source, target):
        os.link(source, target) if os.path.basename(source).startswith("rank-") else shutil.copy2(source, target)

    shutil.copytree(begun, folder, copy_function=take)


def count(begun, work, step, call):
    """How many calls a save makes."""
    folder = work / "count"
    copy(begun, folder)
    ended = run("save", folder, step, f"{call}:0:EIO:{folder}")
    shutil.rmtree(folder)
    return int(re.search(r"io_faults: (\d+) calls", ended.stderr)[1])


def judge(begun, work, step, call, nth, action):
    name = f"{action} in {call} {nth} of step {step}"
    folder = work / f"run-{threading.get_ident()}"
    copy(begun, folder)
    ended = run("save", folder, step, f"{call}:{nth}:{action}:{folder}")
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
    assert action == "kill" or call in ("unlink", "close") or not leftovers(folder), f"{name}: left {leftovers(folder)}"
    after = run("go-on", folder, step)
    found = [int(newest) for newest in re.findall(r"newest (\d+)", after.stdout)]
    assert after.returncode == 0, f"{name}: {found}, then {after.returncode}: {after.stderr}"
    assert len(found) == 3 and found[0] in wanted and found[1:] == [step, step + 1], f"{name}: the newest are {found}, wanted {wanted}"
    assert not leftovers(folder), f"{name}: left {leftovers(folder)}"
    shutil.rmtree(folder)
    return True


def main():
    plan = []
    with tempfile.TemporaryDirectory() as folder:
        work = pathlib.Path(folder)
        for before in ((2, 3) if options.incremental else (2,)):
            begun = start(work, before)
            for call, actions in (FAULTS.items() if options.kind == "fail" else [("any", ["kill"])]):
                calls = count(begun, work, before + 1, call)
                assert calls > 0, f"a save makes no call {call}"
                plan += [(begun, work, before + 1, call, nth, action) for nth in range(1, calls + 1) for action in actions]
        if options.draws:
            chosen = random.Random(options.draws).choices(plan, k=options.draws * SEEDS)
        else:
            random.Random(0).shuffle(plan)
            chosen = [one for place, one in enumerate(plan) if place % SIXTHS < SEEDS]
        with futures.ThreadPoolExecutor(2) as pool:  # the one waits for the disk while the other computes
            rounds = sum(pool.map(lambda one: judge(*one), chosen))
    assert rounds >= 0.8 * len(chosen), f"only {rounds} of {len(chosen)} faults were injected"
    if options.kind == "fail" and not options.draws:
        missing = ({"write", "sync", "rename", "open", "mkdir", "close"} if SEEDS >= SIXTHS else {"write", "sync"}) - refused
        assert not missing, f"no fault in {missing} was ever told"
    print(f"{rounds} faults injected, of {len(plan)} that there are; all survived")


main()
