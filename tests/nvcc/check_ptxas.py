"""Reads what ptxas said of every kernel (*.ptxas.txt) and fails where one uses more registers or spills more than
limits.txt allows, where a kernel is missing for a generation, or where a limit names no kernel.
    check_ptxas.py LIMITS FOLDER ARCHITECTURE...
A line of LIMITS: name-or-prefix* registers spilled-bytes; the first that fits counts."""
import pathlib
import re
import subprocess
import sys

COMPILING = re.compile(r"Compiling entry function '(\w+)' for 'sm_(\d+)a?'")
SPILLS = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers")


def read(text):
    """[(kernel's symbol, architecture, registers, spilled bytes)] of one log."""
    found, at, spilled = [], None, 0
    for line in text.splitlines():
        if match := COMPILING.search(line):
            at, spilled = (match[1], int(match[2])), 0
        elif match := SPILLS.search(line):
            spilled = max(int(match[2]), int(match[3]))
        elif (match := USED.search(line)) and at:
            found.append((*at, int(match[1]), spilled))
            at = None
    return found


def short_name(symbol, demangled):
    """run<256, PooledForward> -> PooledForward; of CUB's kernels the last name."""
    if match := re.search(r"swallowtail::cuda::run<.*?, (.*)>\(", demangled):
        return re.sub(r"swallowtail::cuda::(\(anonymous namespace\)::)?", "", match[1]).strip()
    if "cub::" in demangled:
        names = re.findall(r"::(\w+Kernel)", demangled)
        return "cub::" + names[-1] if names else symbol
    return symbol


def check(kernels, limits, architectures):
    """Lines to print, and whether all is well. kernels: [(name, architecture, registers, spilled)]."""
    lines, good, used = [], True, set()
    for name, architecture, registers, spilled in sorted(kernels):
        for pattern, most_registers, most_spilled in limits:
            if name == pattern or (pattern.endswith("*") and name.startswith(pattern[:-1])):
                used.add(pattern)
                break
        else:
            lines.append(f"{name} (sm_{architecture}): no limit fits")
            good = False
            continue
        over = registers > most_registers or spilled > most_spilled
        good = good and not over
        if over:
            lines.append(f"{name} (sm_{architecture}): {registers} registers of {most_registers}, {spilled} spilled bytes "
                         f"of {most_spilled}")
    for name in sorted({kernel[0] for kernel in kernels if not kernel[0].startswith("cub::")}):
        missing = set(architectures) - {kernel[1] for kernel in kernels if kernel[0] == name}
        if missing:
            lines.append(f"{name} was not compiled for {sorted(missing)}")
            good = False
    for pattern, *_ in limits:
        if pattern not in used:
            lines.append(f"limit '{pattern}' names no kernel")
            good = False
    return lines, good and bool(kernels)


def parse_limits(text):
    rows = [line.split("#")[0].split() for line in text.splitlines()]
    return [(" ".join(row[:-2]), int(row[-2]), int(row[-1])) for row in rows if row]


def main():
    limits, folder, architectures = sys.argv[1], sys.argv[2], [int(each) for each in sys.argv[3:]]
    found = [entry for log in sorted(pathlib.Path(folder).glob("*.ptxas.txt")) for entry in read(log.read_text())]
    symbols = "\n".join(entry[0] for entry in found)
    names = subprocess.run(["c++filt"], input=symbols, capture_output=True, text=True, check=True).stdout.splitlines()
    kernels = [(short_name(entry[0], name), *entry[1:]) for entry, name in zip(found, names)]
    lines, good = check(kernels, parse_limits(pathlib.Path(limits).read_text()), architectures)
    for line in lines:
        print(line)
    spilled = sorted({kernel[0] for kernel in kernels if kernel[3]})
    print("spill a little, as limits.txt allows:", ", ".join(spilled) or "none")
    print(f"{len(kernels)} kernels: {'within the limits' if good else 'NOT WITHIN THE LIMITS'}")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
