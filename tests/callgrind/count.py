#!/usr/bin/env python3
"""Instructions of the hot kernels, compared with those on file: a slow-down shows on the noisiest machine.

usage: count.py HOT_KERNELS INSTRUCTIONS.tsv [--renew]

Runs the program once under callgrind, one thread, AVX2, and counts the instructions of its own object alone, so that a
libc or libgomp that chooses by CPU does not matter. A kernel may take 2 % more than stands in the file, and 5 % less;
after a change that is meant, --renew writes what was found. Ends with 77, skipped, where there is no valgrind or no AVX2.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile

MORE, LESS = 1.02, 0.95


def own_instructions(path, program):
    """Of one dump: the sum of self costs in the program's object; what its calls cost is not among them."""
    names, own, total, is_own, is_call = {}, os.path.realpath(program), 0, False, False
    for line in open(path):
        if found := re.match(r"ob=\((\d+)\)(?: (.*))?", line):
            names.setdefault(found[1], (found[2] or "").strip())
            is_own = os.path.realpath(names[found[1]]) == own
        elif found := re.match(r"cob=\((\d+)\) (.*)", line):
            names.setdefault(found[1], found[2].strip())
        elif line.startswith("calls="):
            is_call = True
        elif re.match(r"[0-9+*-]", line):
            total += 0 if is_call or not is_own else int(line.split()[1])
            is_call = False
    return total


def differing(known, found):
    """The kernels that take more or less than the file allows, or stand on one side alone."""
    return sorted(name for name in known.keys() | found.keys()
                  if name not in known or name not in found or not LESS <= found[name] / known[name] <= MORE)


def count(program):
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", "--toggle-collect=measured_kernel",
             "--dump-after=measured_kernel", f"--callgrind-out-file={folder}/out", program, "avx2"],
            env=dict(os.environ, OMP_NUM_THREADS="1", OMP_WAIT_POLICY="passive"), text=True, capture_output=True)
        if done.returncode == 77:
            print(done.stderr.strip().splitlines()[-1])
            sys.exit(77)
        if done.returncode:
            sys.exit(f"count: valgrind ended with {done.returncode}\n{done.stderr}")
        kernels = done.stdout.split()
        found = {name: own_instructions(f"{folder}/out.{i}", program) for i, name in enumerate(kernels, 1)}
        assert not os.path.exists(f"{folder}/out.{len(kernels) + 1}"), "more dumps than kernels"
        return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program")
    parser.add_argument("file")
    parser.add_argument("--renew", action="store_true")
    options = parser.parse_args()
    if not shutil.which("valgrind"):
        print("count: there is no valgrind; scripts/setup --tests brings it")
        return 77
    found = count(options.program)
    if options.renew:
        with open(options.file, "w") as file:
            file.write("kernel\tinstructions\n" + "".join(f"{name}\t{number}\n" for name, number in found.items()))
        return 0
    with open(options.file) as file:
        known = {name: int(number) for name, number in (line.split("\t") for line in list(file)[1:])}
    bad = differing(known, found)
    for name in sorted(known.keys() & found.keys()):
        ratio = found[name] / known[name]
        print(f"{name:<28}{known[name]:>12} on file {found[name]:>12} found {ratio:8.4f}{'  <-' if name in bad else ''}")
    if bad:
        print(f"count: {', '.join(bad)}: not as on file. If that is meant: {' '.join(sys.argv)} --renew")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
