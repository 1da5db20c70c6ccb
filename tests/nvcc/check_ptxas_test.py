"""That check_ptxas.py sees what it is there for."""
import sys

from check_ptxas import check, parse_limits, read, short_name

LOG = """ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z3runA' for 'sm_80'
ptxas info    : Function properties for _Z3runA
    8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 40 registers, used 1 barriers, 420 bytes cmem[0]
ptxas info    : Compiling entry function '_Z3runB' for 'sm_100'
ptxas info    : Function properties for _Z3runB
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 255 registers, used 0 barriers
"""
assert read(LOG) == [("_Z3runA", 80, 40, 12), ("_Z3runB", 100, 255, 0)]
NAME = "void swallowtail::cuda::run<256, swallowtail::cuda::UpdateRows<2> >(swallowtail::cuda::UpdateRows<2>)"
assert short_name("_Z3x", NAME) == "UpdateRows<2>", short_name("_Z3x", NAME)
assert parse_limits("# a\nUpdateRows<2> 80 0\n* 64 0 # rest\n") == [("UpdateRows<2>", 80, 0), ("*", 64, 0)]

LIMITS = [("A", 40, 0), ("*", 64, 0)]
good = [("A", 80, 40, 0), ("A", 90, 40, 0), ("B", 80, 64, 0), ("B", 90, 10, 0)]
assert check(good, LIMITS, [80, 90])[1]
assert not check([("A", 80, 41, 0), *good[1:]], LIMITS, [80, 90])[1], "a register too many"
assert not check([("A", 80, 40, 4), *good[1:]], LIMITS, [80, 90])[1], "a spill"
assert not check(good[1:], LIMITS, [80, 90])[1], "not compiled for sm_80"
assert not check(good, [*LIMITS, ("C", 1, 0)], [80, 90])[1], "a limit of nothing"
assert not check(good, LIMITS[:1], [80, 90])[1], "no limit for B"
assert not check([], [], [80])[1], "nothing compiled"
print("check_ptxas.py sees registers, spills, missing kernels and idle limits")
sys.exit(0)
