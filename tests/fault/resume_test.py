"""A rank falls in each phase of a training; the run is resumed on another number of ranks and gives the curve and the weights of one
that nobody touched.

usage: resume_test.py ODD_PROGRAM PROGRAM EXPERIMENT PRELOAD die|nan

ODD_PROGRAM is swallowtail with a communicator that does the fault (odd_communicator.h); PRELOAD does those within a save.
"""
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import time

import runs

ODD, PROGRAM, EXPERIMENT, PRELOAD, FAULT = sys.argv[1:6]
TIMEOUT_S = 30.0  # what dies is seen at once; nothing here waits for it
STEPS = 16  # two epochs of training.yaml
COMMON = ["--quiet", "checkpoint.enabled=true", "checkpoint.every_steps=2", "report.log_every_steps=1"]
EXACT = ["train.deterministic=true", "train.chunk=4"]

# name: (operation, occurrence of the call in that step, steps where it occurs); the rest are calls on files
PLACES = {
    "die": {"forward": ("pooled vectors", 1, range(1, STEPS + 1)), "backward": ("pooled gradients", 1, range(1, STEPS + 1)),
            "all_reduce": ("dense gradients", 1, range(1, STEPS + 1)), "evaluation": ("scores", 3, (8,)),
            "save, shard": ("rank-{odd:05}", None, None), "save, manifest": ("manifest.json", None, None)},
    "nan": {"dense gradient": ("dense gradients", 1, range(3, STEPS + 1)), "row gradient": ("pooled gradients", 1, range(3, STEPS + 1))},
}


def start(run_dir, program, ranks, environment, *more):
    return subprocess.Popen(runs.mpirun(ranks, program, "train", EXPERIMENT, f"run.dir={run_dir}", f"parallel.timeout_s={TIMEOUT_S}",
                                        *COMMON, *more), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def fall(run_dir, place, dice, more):
    """The run with its fault, judged. Returns what it said."""
    operation, occurrence, steps = PLACES[FAULT][place]
    ranks = dice.choice([2, 3, 4])
    odd = 0 if operation == "manifest.json" else dice.randrange(ranks)
    environment = dict(runs.ENVIRONMENT)
    if steps:
        step = dice.choice(list(steps))
        environment["SWALLOWTAIL_TEST_FAULT"] = f"{FAULT}:before:{odd}:{step}:{occurrence}:{operation}"
        injection = rf"rank {odd} injects {FAULT} before {operation} \(step {step}\)"
    else:
        # Any call on the files of some save: each makes one to six of them.
        environment.update(LD_PRELOAD=PRELOAD, SWALLOWTAIL_IO_FAULT_RANK=str(odd),
                           SWALLOWTAIL_IO_FAULT=f"any:{dice.randint(1, 18)}:kill:{operation.format(odd=odd)}")
        injection = "io_faults: injected kill"
        step = None
    name = f"{FAULT} of rank {odd} of {ranks} in {place}, step {step}"
    process = start(run_dir, ODD, ranks, environment, *more)
    try:
        output, _ = process.communicate(timeout=90)
    except subprocess.TimeoutExpired:
        process.kill()
        raise AssertionError(f"{name}: the job did not end: {process.communicate()[0]}")
    assert re.search(injection, output), f"{name} was not injected:\n{output}"
    codes = (4,) if FAULT == "nan" else (5, 137)
    assert process.returncode in codes, f"{name}: ended with {process.returncode}:\n{output}"
    time.sleep(0.5)
    assert not runs.processes_of(run_dir), f"{name}: orphans {runs.processes_of(run_dir)}"
    lines = [line for line in output.splitlines() if "swallowtail: error: " in line]
    if FAULT == "nan":
        words = {"dense gradient": rf"the gradient is not finite in step {step}, at parameter \S+",
                 "row gradient": rf"the gradient of an embedding row is not finite in step {step}, at table '\w+' row \d+"}[place]
        # The rows of one rank's gradients may belong to several others, which all say so.
        assert lines and all(re.search(words, line) for line in lines), f"{name}: a line like {words}:\n{output}"
        assert all(saved < step for saved in runs.steps_saved(run_dir)), f"{name}: saved {runs.steps_saved(run_dir)}"
    else:
        assert len(lines) == 1 and f"rank {odd} died" in lines[0], f"{name}: one line that names it:\n{output}"
    return name


def main():
    with tempfile.TemporaryDirectory() as work:
        folder, whole = pathlib.Path(work), {}
        for kind, more in {"full": [], "incremental": ["checkpoint.incremental=true"]}.items():
            whole[kind] = folder / kind
            ended = start(whole[kind], PROGRAM, 2, runs.ENVIRONMENT, *EXACT, *more)
            output, _ = ended.communicate(timeout=90)
            assert ended.returncode == 0, output
        wanted, wanted_weights = runs.curve(whole["full"]), runs.weights(PROGRAM, whole["full"])
        assert runs.curve(whole["incremental"]) == wanted and len(wanted) >= STEPS
        cases = 0
        for seed in range(runs.SEEDS):
            for place in PLACES[FAULT]:
                dice = random.Random(f"{seed} {place}")
                run_dir = folder / f"run-{cases}"
                # Every rank has rows, and so files.
                more = [*EXACT, *(["embedding.sharding=row_wise"] if place.startswith("save") or dice.random() < 0.3 else []), *(["checkpoint.incremental=true"] if dice.random() < 0.5 else []),
                        *(["checkpoint.async=false"] if dice.random() < 0.5 else []),
                        *(["parallel.all_to_all=pairwise"] if dice.random() < 0.3 else [])]
                name = fall(run_dir, place, dice, more)
                ranks = dice.choice([1, 2, 3, 4, 8])
                # A first start that died before anything was saved resumes at step 0.
                resumed = start(run_dir, PROGRAM, ranks, runs.ENVIRONMENT, "--resume", *more)
                output, _ = resumed.communicate(timeout=120)
                assert resumed.returncode == 0, f"{name}, then {ranks} ranks: {resumed.returncode}\n{output}"
                assert runs.curve(run_dir) == wanted, f"{name}, then {ranks} ranks: another curve"
                assert runs.weights(PROGRAM, run_dir) == wanted_weights, f"{name}, then {ranks} ranks: other weights"
                runs.verified(PROGRAM, run_dir)
                assert not runs.leftovers(run_dir), f"{name}: left {runs.leftovers(run_dir)}"
                print(f"{name}; resumed on {ranks} ranks: the same bits", flush=True)
                cases += 1
        print(f"{cases} faults, all survived")


main()
