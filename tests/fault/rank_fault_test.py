"""One rank of a real training goes wrong at a known call: the job must end in time, with a line that says who and where.

usage: rank_fault_test.py ODD_PROGRAM EXPERIMENT die|stop|spin|throw|disagree

ODD_PROGRAM is swallowtail with a communicator that does the fault (odd_communicator.h) and says so before it does.

Of the exit code: ranks that hang, stop or disagree end the job with 5, one that throws with its error's code. A rank
that dies by a signal is seen by mpirun as well, which returns 128 + signal, 137 after SIGKILL: no option of Open MPI 4.1
changes that. The line must be there all the same.
"""
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent import futures
import time

import runs

TIMEOUT_S = 3.0  # parallel.timeout_s
GRACE_S = 5.0    # what the end of a job may take beyond it
START_LIMIT_S = 60.0
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive")
PROGRAM, EXPERIMENT, FAULT = sys.argv[1:4]
failures = 0

# place: the call that the others wait in (operation, step), what the odd rank is doing, and the injection: when, and the
# occurrence of which call of that step.
# The second round of an exchange begins where the rank next looks after it: in the wait, or beside the arithmetic.
BESIDE = "(lookup and shuffle|forward and backward|pooled vectors)"
PLACES = {
    "forward": ("loss", 5, "forward and backward", "after", 1, "pooled vectors"),
    "forward tag": ("loss", 5, None, "before", 1, "loss"),
    "shuffle": ("pooled vectors", 4, "lookup and shuffle", "before", 1, "pooled vectors"),
    "inside shuffle": ("pooled vectors", 4, None, "inside", 1, "pooled vectors"),
    "inside pairwise shuffle": ("pooled vectors", 4, BESIDE, "before", 2, "pooled vectors"),
    "between messages": ("pooled vectors", 4, BESIDE, "between", 2, "pooled vectors"),
    "all_reduce": ("dense gradients", 6, "dense reduction", "before", 1, "dense gradients"),
    "inside all_reduce": ("dense gradients", 6, None, "inside", 1, "dense gradients"),
    # After the 8 steps of an epoch. The embedding's exchanges come a second time in that step, and then the scores.
    "evaluation": ("pooled vectors", 8, "evaluation", "before", 2, "pooled vectors"),
    "scores": ("scores", 8, "evaluation", "before", 3, "scores"),
    # After the last step, when the loop is over.
    "last evaluation": ("scores", 16, "evaluation", "before", 7, "scores"),
}
# fault: (kind, place, ranks, odd rank, further arguments of the program)
PAIRWISE = ["parallel.all_to_all=pairwise"]
DETERMINISTIC = ["train.deterministic=true", "train.chunk=4"]
TESTED = ["data.test_samples=64"]
CASES = {
    "die": [("die", "forward", 2, 1, []), ("die", "shuffle", 3, 0, []), ("die", "all_reduce", 4, 3, []),
            ("die", "evaluation", 3, 1, []), ("die", "inside shuffle", 4, 2, []),
            ("die", "inside all_reduce", 2, 0, DETERMINISTIC), ("die", "last evaluation", 2, 1, TESTED)],
    "stop": [("stop", "forward", 3, 2, []), ("stop", "shuffle", 2, 1, []), ("stop", "all_reduce", 3, 0, []),
             ("stop", "scores", 4, 1, []), ("stop", "inside pairwise shuffle", 3, 1, PAIRWISE),
             ("stop", "inside all_reduce", 4, 3, DETERMINISTIC)],
    "spin": [("spin", "forward", 4, 3, []), ("spin", "shuffle", 3, 1, []), ("spin", "between messages", 3, 1, PAIRWISE), ("spin", "all_reduce", 2, 0, DETERMINISTIC),
             ("spin", "evaluation", 2, 1, [])],
    "throw": [("throw_memory", "forward", 2, 1, []), ("throw_error", "shuffle", 4, 2, []),
              ("throw_unforeseen", "all_reduce", 3, 0, []), ("throw_error", "evaluation", 3, 2, [])],
    "disagree": [("other_step", "forward tag", 3, 1, []), ("other_detail", "shuffle", 2, 1, []),
                 ("other_step", "all_reduce", 4, 2, DETERMINISTIC), ("other_operation", "scores", 2, 0, [])],
}


def words_of(kind, place, odd):
    """(regular expression of the error line, exit codes)."""
    operation, step, doing, *_ = PLACES[place]
    call, here = rf"{operation} \(step {step}\)", rf"rank {odd} in {doing or operation} \(step {step}\)"
    thrown = {"throw_error": (r"label '\?' is neither 0 nor 1", "train.csv:1732:15, ", 3),
              "throw_unforeseen": (r"mat1 and mat2 shapes cannot be multiplied \(3x4 and 5x6\)", "", 1),
              "throw_memory": ("out of memory", "", 7)}
    if kind in thrown:
        fact, where, code = thrown[kind]
        return rf"error: {fact}, at {where}{here}; ", (code,)
    if kind in ("die", "stop"):
        if place == "all_reduce":  # what it had begun before may not have left it: the others may still wait for that
            call = rf"(dense|pooled) gradients \(step {step}\)"
        if place in ("inside pairwise shuffle", "inside all_reduce"):
            # A round that it still answered, or its share that only some have, may have let the others go on.
            call = rf"[a-z ]+ \(step ({step}|{step + 1})\)"
    if kind == "die":  # the one who sees it may not have come to the call yet
        return rf"error: rank {odd} died( before {call} was over)?, at {here} for \d+ s, its process is gone; ", (137, 5)
    if kind == "stop":
        return rf"error: rank {odd} missed {call} for 3 s, at {here} for \d+ s, its process has been silent for \d+ s; ", (5,)
    if kind == "spin":
        if place == "between messages":  # its messages may have been all that the others waited for in that call
            call = rf"((pooled vectors|loss) \(step {step}\)|input counts \(step {step + 1}\))"
        return rf"error: rank {odd} missed {call} for 3 s, at {here} for \d+ s; ", (5,)
    side = {"other_step": (operation, step + 1, ""), "other_detail": (operation, step, " with detail .*"),
            "other_operation": ("odd operation", step, "")}[kind]
    theirs = rf"rank {odd} is in \w+ of {side[0]} \(step {side[1]}\){side[2]}"
    ours = rf"rank \d is in \w+ of {call}{side[2]}"
    return rf"error: ({ours} but {theirs}|{theirs} but {ours}), at ranks \d and \d; ", (5,)


def expect(holds, law, output=""):
    global failures
    if not holds:
        failures += 1
        print(f"BROKEN: {law}\n{output}", flush=True)


def is_alive(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


class Job:
    """A training under mpirun whose standard output and error are collected with the time of each line."""

    def __init__(self, ranks, fault, *arguments):
        command = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), PROGRAM, "train", EXPERIMENT,
                   f"parallel.timeout_s={TIMEOUT_S}", *arguments]
        self.process = subprocess.Popen(command, env=dict(ENVIRONMENT, SWALLOWTAIL_TEST_FAULT=fault), text=True,
                                        errors="replace", stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.out, self.err = [], []  # (seconds, line)
        self.readers = [threading.Thread(target=self._read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.out), (self.process.stderr, self.err))]
        for reader in self.readers:
            reader.start()

    @staticmethod
    def _read(stream, lines):
        for line in stream:
            lines.append((time.monotonic(), line.rstrip("\n")))

    def wait_for_line(self, pattern, limit_s):
        """When the line came on standard output; None where it did not."""
        end = time.monotonic() + limit_s
        while time.monotonic() < end:
            ended = self.process.poll() is not None
            if ended:
                self.readers[0].join(5)
            for when, line in list(self.out):
                if re.search(pattern, line):
                    return when
            if ended:
                return None
            time.sleep(0.02)
        return None

    def pids(self):
        return {int(rank): int(pid) for _, line in self.out
                for rank, pid in re.findall(r"rank (\d+) is process (\d+)", line)}

    def text(self):
        return "\n".join(line for _, line in self.out + self.err)

    def end(self, limit_s):
        """Exit code, None past the limit. Nothing of the job is left afterwards; says whether anything was."""
        try:
            code = self.process.wait(limit_s)
        except subprocess.TimeoutExpired:
            code = None
        orphans = list(self.pids().values())
        deadline = time.monotonic() + (2 if code is not None else 0)
        while orphans := [pid for pid in orphans if is_alive(pid)]:
            if time.monotonic() > deadline:
                break
            time.sleep(0.02)
        if code is None:
            self.process.kill()
        for pid in orphans:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
        self.process.wait()
        for reader in self.readers:
            reader.join(5)
        return code, orphans


def judge(kind, place, ranks, odd, arguments):
    _, step, _, when, occurrence, operation = PLACES[place]
    name = f"{kind} of rank {odd} of {ranks} in {place}"
    with tempfile.TemporaryDirectory() as folder:
        job = Job(ranks, f"{kind}:{when}:{odd}:{step}:{occurrence}:{operation}", f"run.dir={folder}/run", *arguments)
        injected = job.wait_for_line(rf"rank {odd} injects {kind} {when} {re.escape(operation)} \(step {step}\)", START_LIMIT_S)
        if injected is None:
            job.end(0)
            return expect(False, f"{name}: the fault was injected", job.text())
        code, orphans = job.end(injected + TIMEOUT_S + GRACE_S - time.monotonic())
        seconds = time.monotonic() - injected
        output = job.text()
    words, codes = words_of(kind, place, odd)
    lines = [line for _, line in job.err if "swallowtail: error: " in line]
    print(f"{name}: {code} after {seconds:.1f} s: {lines[0] if lines else 'no line'}", flush=True)
    expect(code is not None, f"{name}: the job ends within timeout_s and {GRACE_S:.0f} s", output)
    expect(code in codes, f"{name}: ends with one of {codes}, not {code}", output)
    expect(len(job.pids()) == ranks and not orphans, f"{name}: no orphan, but {orphans}", output)
    expect(len(lines) == 1 and re.search(words, lines[0]), f"{name}: one line like {words}", output)


def try_case(seed, kind, place, ranks, odd, arguments):
    dice = random.Random(f"{seed} {kind} {place}")
    if seed > 0:  # the calls of a schedule depend on the number of ranks
        ranks = ranks if arguments else dice.choice([2, 3, 4])
        odd = dice.randrange(ranks)
    judge(kind, place, ranks, odd, arguments)


with futures.ThreadPoolExecutor(2) as two_at_a_time:  # most of a case is waiting
    for tried in [two_at_a_time.submit(try_case, seed, *case) for seed in range(runs.SEEDS) for case in CASES[FAULT]]:
        tried.result()
sys.exit(1 if failures else 0)
