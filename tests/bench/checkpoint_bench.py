"""Save, load and verify of a checkpoint against dd with direct I/O, in the same run, in turns.

usage: checkpoint_bench.py CHECKPOINT_BENCH FOLDER [GIGABYTES [RANKS [REPEATS]]]
"""
import pathlib
import shutil
import statistics
import subprocess
import sys
import time

BENCH, FOLDER = sys.argv[1], pathlib.Path(sys.argv[2])
GIGABYTES, RANKS, REPEATS = (float(sys.argv[3]) if len(sys.argv) > 3 else 2.0,
                             int(sys.argv[4]) if len(sys.argv) > 4 else 2, int(sys.argv[5]) if len(sys.argv) > 5 else 3)
BLOCKS = int(GIGABYTES * 1e9 / (4 << 20))
WORK = FOLDER / "checkpoint-bench"


def timed(*command):
    start = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    return time.monotonic() - start


def bench(what):
    for path in WORK.glob("step-*/*"):  # out of the page cache, as after a restart of the machine
        subprocess.run(["dd", f"of={path}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0"], check=True, capture_output=True)
    out = subprocess.run([BENCH, what, str(WORK), str(GIGABYTES), str(RANKS)], check=True, capture_output=True, text=True).stdout
    return [float(word) for word in out.split()]


results = {}
file = FOLDER / "dd-file"
for _ in range(REPEATS):
    shutil.rmtree(WORK, ignore_errors=True)
    results.setdefault("dd write", []).append(timed("dd", "if=/dev/zero", f"of={file}", "bs=4M", f"count={BLOCKS}", "oflag=direct", "conv=fdatasync"))
    results.setdefault("save", []).append(bench("save")[1])
    results.setdefault("dd read", []).append(timed("dd", f"if={file}", "of=/dev/null", "bs=4M", "iflag=direct"))
    results.setdefault("load", []).append(bench("load")[1])
    results.setdefault("verify", []).append(bench("verify")[1])
    stall, _ = bench("behind")
    results.setdefault("stall behind", []).append(stall)
    file.unlink()
shutil.rmtree(WORK)
for name, seconds in results.items():
    print(f"{name:<14} {GIGABYTES / statistics.median(seconds):6.2f} GB/s  ({', '.join(f'{one:.2f}' for one in seconds)} s)")
median = {name: statistics.median(seconds) for name, seconds in results.items()}
print(f"save / dd {median['dd write'] / median['save']:.2f}, load / dd {median['dd read'] / median['load']:.2f}, "
      f"verify / dd {median['dd read'] / median['verify']:.2f}, stall / save {median['stall behind'] / median['save']:.2f}")
