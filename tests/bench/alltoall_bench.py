#!/usr/bin/env python3
"""The all-to-all family against its bars: on this machine, between hosts in network namespaces, and simulated.

usage: alltoall_bench.py FOLDER_OF_PROGRAMS [local] [namespaces] [simulated] [--force]

FOLDER_OF_PROGRAMS holds swallowtail and delay_switch. Each part is one run of `swallowtail bench alltoall`, so what is
compared was measured in turns. Prints every bar with the worst cell and ends with 1 where one is missed. A time on a
machine that others use says little: the program refuses it without --force.
"""
import json
import os
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
ENVIRONMENT = dict(os.environ, OMPI_ALLOW_RUN_AS_ROOT="1", OMPI_ALLOW_RUN_AS_ROOT_CONFIRM="1", OMP_WAIT_POLICY="passive",
                   OMPI_MCA_btl_vader_single_copy_mechanism="none")
missed = 0


def run(command):
    done = subprocess.run(command, env=ENVIRONMENT, text=True, capture_output=True)
    if done.returncode == 77:
        print(done.stdout.strip())
        return None
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return json.loads(done.stdout)


def cells(report):
    """{bytes: {algorithm: result}}"""
    found = {}
    for result in report["results"]:
        found.setdefault(result["case"]["bytes_a_peer"], {})[result["case"]["algorithm"]] = result
    return found


def bar(name, worst, limit, where=""):
    """worst <= limit is what is wanted."""
    global missed
    missed += worst > limit
    print(f"  {'met   ' if worst <= limit else 'MISSED'} {name}: {worst:.2f}, bar {limit:.2f}{where and ', at ' + where}")


def worst_cell(name, limit, table, value):
    ratios = {bytes_a_peer: value(row) for bytes_a_peer, row in table.items()}
    place = max(ratios, key=ratios.get)
    bar(name, ratios[place], limit, f"{place} B")


def auto_is_near_best(table):
    worst_cell("auto against the best algorithm of a cell", 1.15, table, lambda row: row["auto"]["ratio_to_limit"])


def local(program, force):
    for ranks in 2, 4, 8:
        report = run(["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks), program, "bench", "alltoall", "--json", *force])
        table = cells(report)
        print(f"{ranks} ranks on {report['machine']['cpu']}, load {report['machine']['load_before']} to {report['machine']['load_after']}")
        auto_is_near_best(table)
        if ranks < 8:
            large = {size: row for size, row in table.items() if size >= 262144}
            worst_cell("auto against MPI_Alltoallv from 256 KiB on", 1.1, large, lambda row: row["auto"]["ratio_to_peer"])
        bar("seconds to measure the cost model", report["model_seconds"], 1.0)


def namespaces(program, switch, force):
    report = run([os.path.join(HERE, "..", "multirank", "namespaces.sh"), switch, "4", "2", "100mbit", "1000",
                  program, "bench", "alltoall", "--json", "--largest", "262144", *force])
    if report is None:
        return
    table = cells(report)
    print("8 ranks on 4 hosts in namespaces, 1 ms, 100 Mbit/s")
    for algorithm in sorted(next(iter(table.values())).keys() - {"auto", "MPI_Alltoallv"}):
        worst_cell(f"prediction of {algorithm}, error", 0.3, table,
                   lambda row: abs(row[algorithm]["predicted"] / row[algorithm]["value"] - 1))
    auto_is_near_best(table)
    small = {size: row for size, row in table.items() if size <= 1024}
    worst_cell("butterfly against pairwise up to 1 KiB", 0.6, small, lambda row: row["butterfly"]["value"] / row["pairwise"]["value"])
    # Half the messages of a direct exchange between hosts: it should lead where messages cost more than bytes.
    worst_cell("hierarchical against the best up to 1 KiB", 1.1, small, lambda row: row["hierarchical"]["ratio_to_limit"])
    bar("seconds to measure the cost model", report["model_seconds"], 1.0)


def simulated(program):
    for rails in "8", "1":
        report = run([program, "bench", "alltoall", "--simulate", "h100", "--rails", rails, "--json"])
        print(f"h100 with {rails} rails, simulated in {report['seconds']:.1f} s")
        for world in report["worlds"]:
            sizes = ", ".join(f"{choice['algorithm']} from {choice['from_bytes']} B" for choice in world["auto"])
            print(f"  {world['ranks']} ranks: {sizes}")
        rows = {result["case"]["algorithm"]: result["value"] for result in report["results"]
                if result["case"]["ranks"] == 1024 and result["case"]["bytes_a_peer"] == 858}
        best = min(rows["butterfly"], rows["hierarchical"])
        print(f"  1,024 ranks, 858 B: direct {rows['direct'] * 1e6:.0f} us, butterfly {rows['butterfly'] * 1e6:.0f} us, "
              f"hierarchical {rows['hierarchical'] * 1e6:.0f} us")
        bar("best log-step or hierarchical against a third of direct", best / (rows["direct"] / 3), 1.0)
        bar("seconds", report["seconds"], 60)


def main():
    words = [word for word in sys.argv[1:] if word != "--force"]
    force = ["--force"] if "--force" in sys.argv else []
    if not words:
        sys.exit(__doc__)
    program, switch = (os.path.join(os.path.abspath(words[0]), name) for name in ("swallowtail", "delay_switch"))
    parts = words[1:] or ["local", "namespaces", "simulated"]
    if "simulated" in parts:
        simulated(program)
    if "local" in parts:
        local(program, force)
    if "namespaces" in parts:
        namespaces(program, switch, force)
    sys.exit(1 if missed else 0)


main()
