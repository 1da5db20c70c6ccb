"""Real ranks under mpirun: laws of the communicator, and how a job ends when a rank goes wrong.

usage: multirank_test.py FOLDER_OF_PROGRAMS laws|disagree|errors|faults|large [world sizes ...]

What is promised of the exit code: a rank that fails ends the job with its own code; ranks that disagree, hang or are
stopped end it with 5. A rank that dies by a signal is seen by mpirun first, which ends all within a second or two and
returns 128 + signal, 137 after SIGKILL: no option of Open MPI 4.1 changes that.
"""
import glob
import os
import re
import select
import signal
import subprocess
import sys
import time
from concurrent import futures

TIMEOUT_S = 3.0  # parallel.timeout_s of the cases that hang
GRACE_S = 5.0
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive")
failures = 0


def expect(holds, law, output=""):
    global failures
    if not holds:
        failures += 1
        print(f"BROKEN: {law}\n{output}", flush=True)


def command(ranks, program, *arguments, options=()):
    return ["mpirun", "--oversubscribe", "--bind-to", "none", *options, "-n", str(ranks),
            os.path.join(programs, program), *arguments]


def run(ranks, program, *arguments, limit_s=60.0):
    """(exit code or None past the limit, standard output, standard error)."""
    start = time.monotonic()
    job = subprocess.Popen(command(ranks, program, *arguments), env=ENVIRONMENT, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        out, err = job.communicate(timeout=limit_s)
        code = job.returncode
    except subprocess.TimeoutExpired:
        job.kill()
        out, err = job.communicate()
        code = None
    print(f"{ranks} ranks, {program} {' '.join(arguments)}: {code} after {time.monotonic() - start:.1f} s", flush=True)
    return code, out, err


def few_at_a_time(cases):
    """Calls each; most of the time of one that goes wrong on purpose is waiting."""
    with futures.ThreadPoolExecutor(3) as pool:
        for done in [pool.submit(case) for case in cases]:
            done.result()


def error_lines(err):
    return re.findall(r"swallowtail: error: .*", err)


def laws(worlds):
    seen = {}
    for ranks in worlds:
        code, out, err = run(ranks, "communicator_check", limit_s=120)
        expect(code == 0, f"the laws hold on {ranks} ranks", out + err)
        found = re.findall(r"digest (\w+) of (\d+) ranks", out)
        expect(len(found) == 2 and all(int(n) == ranks for _, n in found), f"two digests on {ranks} ranks", out + err)
        seen.update({(ranks, i): digest for i, (digest, _) in enumerate(found)})
    expect(len(set(seen.values())) == 1, f"fixed-order sums have the same bits for every world size: {seen}")
    # One process without mpirun is a world of one rank.
    alone = subprocess.run([os.path.join(programs, "communicator_check")], env=ENVIRONMENT, text=True, capture_output=True)
    expect(alone.returncode == 0 and set(re.findall(r"digest (\w+)", alone.stdout)) == set(seen.values()),
           "the same without mpirun", alone.stdout + alone.stderr)


def disagree(worlds):
    """Every disagreement is exit 5 with one line that names both sides, at once and not after the timeout."""
    def sides(even, odd):
        """Neighbours compare, so either of them may be the first to speak."""
        return rf"(rank 0 is in {even} but rank 1 is in {odd}|rank 1 is in {odd} but rank 2 is in {even}), at ranks "

    both = {
        "operation": sides(r"all_reduce of metrics \(step 812\)", r"all_reduce of dense gradients \(step 812\)"),
        "step": sides(r"all_reduce of metrics \(step 812\)", r"all_reduce of metrics \(step 813\)"),
        "detail": sides(r".*\(step 812\) with detail 0x123, .*", r".*\(step 812\) with detail 0xabc, .*"),
        "collective": sides(r"all_reduce of pooled \(step 812\)", r"all_to_all of pooled \(step 812\)"),
        "type": sides(r"all_reduce of metrics .*, 0x0", r"all_reduce of metrics .*, 0x1"),
        "length": r"rank \d brings (8|12) bytes and rank \d brings (8|12) to weights \(step 812\)",
        "root": sides(r"broadcast of weights .*, 0x0", r"broadcast of weights .*, 0x1"),
        "sizes": r"rank 1 sends 9 bytes where rank 0 expects 8 in pooled \(step 812\)",
        "exchange sizes": r"rank 1 sends 60 bytes where rank \d expects 8 in ring \(step 812\)",
        "exchange step": r"rank \d is in exchange of ring \(step 81[23]\) but rank \d is in exchange of ring \(step 81[23]\)",
        "algorithm": sides(r"all_to_all of pooled \(step 812\)", r"exchange of pooled \(step 812\)"),
        "long name": sides(r"barrier of an operation of a name.*", r"barrier of an operation of a name.*"),
        "pending step": sides(r"start_all_reduce of metrics \(step 812\)", r"start_all_reduce of metrics \(step 813\)"),
        "pending collective": sides(r"start_all_reduce of pooled \(step 812\)", r"start_all_to_all of pooled \(step 812\)"),
        "pending or not": sides(r"start_all_to_all of pooled \(step 812\)", r"all_to_all of pooled \(step 812\)"),
        "pending sizes": r"rank 1 sends 9 bytes where rank 0 expects 8 in pooled \(step 812\)",
        "message or sum": sides(r"start_all_reduce of pooled \(step 812\)", r"exchange of pooled \(step 812\)"),
        "large message sizes": r"rank 1 sends 30000 bytes where rank \d expects 20000 in ring \(step 812\)",
        "large or small": r"rank 1 sends 8000 bytes where rank \d expects 20000 in ring \(step 812\)",
        "message to itself": r"rank 1 sends itself a message that it does not expect in ring \(step 812\)",
        "offsets": sides(r"reduce_scatter of dense gradients .*", r"reduce_scatter of dense gradients .*"),
        "group": r"rank 1 is in barrier of metrics \(step 813\) but rank 2 is in barrier of metrics \(step 812\)",
    }
    def check(ranks, case, words):
        code, out, err = run(ranks, "fault_check", case, limit_s=30)
        lines = error_lines(err)
        expect(code == 5, f"{case} on {ranks} ranks ends with 5, not {code}", out + err)
        expect(len(lines) == 1 and re.search(words, lines[0]), f"{case} on {ranks} ranks: one line like {words}", out + err)

    few_at_a_time([lambda ranks=ranks, one=one: check(ranks, *one) for ranks in worlds for one in both.items()
                   if one[0] != "group" or ranks > 2])  # of two ranks, rank 0 is not in it


def errors(worlds):
    cases = {"throw": (3, "swallowtail: error: label '?' is neither 0 nor 1, at train.csv:1732:15; correct the row"),
             "all throw": (2, "swallowtail: error: unknown key 'embeding_dim' in model, at adult.yaml:14:3")}
    limit_s = TIMEOUT_S + GRACE_S + 3

    def throws(ranks, case, expected, line):
        code, out, err = run(ranks, "fault_check", case, limit_s=30)
        expect(code == expected, f"{case} on {ranks} ranks ends with {expected}, not {code}", out + err)
        expect(error_lines(err) == [line], f"{case} on {ranks} ranks: its line, once", out + err)

    def spins(ranks):
        code, out, err = run(ranks, "fault_check", "spin", str(TIMEOUT_S), limit_s=limit_s)
        lines = error_lines(err)
        expect(code == 5, f"a spinning rank on {ranks} ranks ends the job with 5, not {code}", out + err)
        expect(len(lines) == 1 and lines[0].startswith(
            "swallowtail: error: rank 1 missed pooled (step 812) for 3 s, at rank 1 in data.next_batch (step 812) for 3 s; "
            "see its log.txt; last reports: "), "the spinning rank and its place are named", out + err)
        expect(lines and re.search(r"ranks? 0\b.* in pooled \(step 812\) for 3 s", lines[0]), "the others' reports too", err)

    def misses(ranks, case):
        """Calls that are pending, messages and groups: who does not post, or stops between two rounds, is named."""
        code, out, err = run(ranks, "fault_check", case, str(TIMEOUT_S), limit_s=limit_s)
        lines = error_lines(err)
        expect(code == 5 and len(lines) == 1 and re.search(
            r"error: rank 1 missed (pooled|end) \(step 812\) for 3 s, at rank 1 in data.next_batch \(step 812\) for [34] s; ",
            lines[0]), f"{case} on {ranks} ranks: rank 1 and its place are named, code {code}", out + err)

    def leaves(ranks):
        code, out, err = run(ranks, "fault_check", "leave", str(TIMEOUT_S), limit_s=limit_s)
        lines = error_lines(err)
        expect(code == 5 and len(lines) == 1 and "rank 1 missed end (step 812)" in lines[0] and "rank 1 finished" in lines[0],
               f"a rank that leaves early on {ranks} ranks is named, code {code}", out + err)

    tried = []
    for ranks in worlds:
        tried += [lambda ranks=ranks, one=one: throws(ranks, one[0], *one[1]) for one in cases.items()]
        tried += [lambda ranks=ranks: spins(ranks), lambda ranks=ranks: leaves(ranks)]
        tried += [lambda ranks=ranks, case=case: misses(ranks, case)
                  for case in ("pending spin", "message spin", "round spin", "group spin")]
    few_at_a_time(tried)


def large(_):
    code, out, err = run(2, "large_message_check", limit_s=230)
    if code == 77:
        print(out, flush=True)
        sys.exit(77)
    expect(code == 0, "counts beyond 2^31 bytes arrive", out + err)


def state_of(pid):
    """The letter of /proc/PID/stat; None where the process is gone."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return None


def wait_for(condition, limit_s):
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def read_until_running(job, ranks, limit_s=30):
    """{rank: pid}, once all have said theirs and rank 0 is in its steps."""
    pids, text, end = {}, "", time.monotonic() + limit_s
    while time.monotonic() < end and not (len(pids) == ranks and "running" in text):
        if select.select([job.stdout], [], [], 0.1)[0]:
            text += os.read(job.stdout.fileno(), 4096).decode()
            pids = {int(rank): int(pid) for rank, pid in re.findall(r"rank (\d+) is process (\d+)\n", text)}
    return pids if "running" in text else {}


def inject(ranks, victim, fault, timeout_s, options=()):
    """Sends a signal to one rank of a running job. (exit code or None past the limit, lines, standard error, seconds)."""
    name = f"{fault.name} of rank {victim} of {ranks} {' '.join(options)}"
    job = subprocess.Popen(command(ranks, "fault_check", "loop", str(timeout_s), options=options), env=ENVIRONMENT,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    pids = read_until_running(job, ranks)
    expect(len(pids) == ranks, f"{name}: the job runs")
    if len(pids) == ranks:
        # Rank 0 makes the board under its process number; other jobs of the machine may have theirs.
        expect(not glob.glob(f"/dev/shm/swallowtail-{pids[0]}-*"), f"{name}: the board has no name any more")
        os.kill(pids[victim], fault)
        wanted = ("T",) if fault == signal.SIGSTOP else (None, "Z")
        expect(wait_for(lambda: state_of(pids[victim]) in wanted, 2), f"{name}: the fault was injected")
    start = time.monotonic()
    try:
        _, err = job.communicate(timeout=TIMEOUT_S + GRACE_S)
        code = job.returncode
    except subprocess.TimeoutExpired:
        job.kill()
        _, err = job.communicate()
        code = None
    err = err.decode()
    print(f"{name}: {code} after {time.monotonic() - start:.1f} s", flush=True)
    expect(code is not None, f"{name}: the job ends within the timeout and {GRACE_S:.0f} s", err)
    gone = wait_for(lambda: all(state_of(pid) in (None, "Z") for pid in pids.values()), 3)
    expect(gone, f"{name}: no orphan")
    for pid in pids.values():
        if not gone and state_of(pid) is not None:
            os.kill(pid, signal.SIGKILL)
    return code, error_lines(err), err


def faults(worlds):
    for ranks in worlds:
        for victim in (0, ranks - 1):
            code, lines, err = inject(ranks, victim, signal.SIGSTOP, TIMEOUT_S)
            expect(code == 5, f"a stopped rank ends the job with 5, not {code}", err)
            expect(len(lines) == 1 and re.search(
                rf"rank {victim} missed (pooled|dense gradients) \(step \d+\) for 3 s, at rank {victim} in .*"
                r"its process has been silent for \d s; see its log.txt; last reports: ", lines[0]),
                "one line names the stopped rank", err)
            # mpirun is faster than any watchdog; where one speaks all the same, it is right and alone.
            code, lines, err = inject(ranks, victim, signal.SIGKILL, TIMEOUT_S)
            expect(code in (137, 5), f"a killed rank ends the job with 137 (mpirun) or 5 (watchdog), not {code}", err)
            expect(len(lines) <= 1 and all(f"rank {victim} died" in line for line in lines), "words about the dead", err)
    # A launcher that lets the others go on: the watchdog sees the death long before the timeout and ends them. (This
    # mode of mpirun then returns 0, whatever the ranks return.)
    code, lines, err = inject(3, 1, signal.SIGKILL, 1000.0, options=("--mca", "orte_enable_recovery", "1"))
    expect(len(lines) == 1 and "rank 1 died before " in lines[0], "the watchdog names the dead rank", err)


programs = sys.argv[1]
globals()[sys.argv[2]]([int(ranks) for ranks in sys.argv[3:]])
sys.exit(1 if failures else 0)
