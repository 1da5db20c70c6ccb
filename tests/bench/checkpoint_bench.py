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


def bench(what, ranks=RANKS):
    for path in WORK.glob("step-*/*"):  # out of the page cache, as after a restart of the machine
        subprocess.run(["dd", f"of={path}", "oflag=nocache", "conv=notrunc,fdatasync", "count=0"], check=True, capture_output=True)
    out = subprocess.run([BENCH, what, str(WORK), str(GIGABYTES), str(ranks)], check=True, capture_output=True, text=True).stdout
    stall, whole, mib = [float(word) for word in out.split()]
    memory[what] = max(memory.get(what, 0), mib)
    return stall if what == "behind" else whole


results, memory = {}, {}
file = FOLDER / "dd-file"


def take(name, seconds):
    results.setdefault(name, []).append(seconds)
    print(f"  {name}: {seconds:.2f} s", flush=True)


for _ in range(REPEATS):
    shutil.rmtree(WORK, ignore_errors=True)
    take("dd write", timed("dd", "if=/dev/zero", f"of={file}", "bs=4M", f"count={BLOCKS}", "oflag=direct", "conv=fdatasync"))
    take("save", bench("save"))
    take("dd read", timed("dd", f"if={file}", "of=/dev/null", "bs=4M", "iflag=direct"))
    for _ in range(2):  # what is compared most closely stands next to each other most often
        take("load", bench("load"))
        take("load on others", bench("load", RANKS + 1))
    take("verify", bench("verify"))
    take("stall behind", bench("behind"))
    take("stall behind", bench("behind"))
    file.unlink()
shutil.rmtree(WORK)
for name, seconds in results.items():
    print(f"{name:<14} {GIGABYTES / statistics.median(seconds):6.2f} GB/s  ({', '.join(f'{one:.2f}' for one in seconds)} s)")
median = {name: statistics.median(seconds) for name, seconds in results.items()}
print(f"save / dd {median['dd write'] / median['save']:.2f}, load / dd {median['dd read'] / median['load']:.2f}, "
      f"verify / dd {median['dd read'] / median['verify']:.2f}, stall / save {median['stall behind'] / median['save']:.3f}, "
      f"{RANKS + 1} ranks / {RANKS} {median['load on others'] / median['load']:.2f}")
print("memory beside the tables: " + ", ".join(f"{what} {mib:.0f} MiB" for what, mib in memory.items()))
