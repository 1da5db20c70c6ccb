"""`swallowtail verify` on threads and under mpirun: sharded equals unsharded, and a difference is seen.

usage: verify_test.py SWALLOWTAIL EXPERIMENT
"""
import json
import subprocess
import sys

program, experiment = sys.argv[1:]
SHARDINGS = {"auto", "table_wise", "row_wise", "column_wise", "table_row_wise", "data_parallel"}


def verify(ranks, *arguments, code=0):
    command = [program, "verify", experiment, "--json", *arguments]
    if ranks > 1:
        command = ["mpirun", "-n", str(ranks), *command]
    done = subprocess.run(command, capture_output=True, text=True, timeout=200)
    assert done.returncode == code, f"{command}: exit code {done.returncode}, not {code}\n{done.stderr}"
    return json.loads(done.stdout)


threads = verify(1, "train.deterministic=true", "--steps", "3", "--every-sharding", "--every-exchange")
assert threads["equal"] and threads["bitwise"] and threads["max_relative_difference"] == 0, threads
assert {case["sharding"] for case in threads["cases"]} == SHARDINGS, threads
assert {case["ranks"] for case in threads["cases"]} == {1, 2, 3, 4, 8}, threads
print(f"threads: {len(threads['cases'])} cases have the same bits")

for ranks in (2, 4):
    real = verify(ranks, "train.deterministic=true", "--steps", "3", "--every-sharding", "--every-exchange")
    assert real["bitwise"] and {case["ranks"] for case in real["cases"]} == {ranks}, real
    print(f"mpirun -n {ranks}: {len(real['cases'])} cases have the same bits")

cross = verify(3, "train.deterministic=true", "model.interaction=cross", "--steps", "3", "--every-sharding")
assert cross["bitwise"], cross
print(f"a cross network: {len(cross['cases'])} cases have the same bits")

# Not with Adam, which makes a small gradient's sign into a whole step: one ReLU that rounds to the other side is seen.
fast = verify(2, "train.deterministic=false", "embedding.optimizer=rowwise_adagrad", "train.optimizer=adagrad",
              "--steps", "100", "--every-sharding")
assert fast["equal"] and not fast["bitwise"] and 0 < fast["max_relative_difference"] <= fast["bound"] == 1e-5, fast
print(f"fast mode after 100 steps: {fast['max_relative_difference']:.2g}")

# Without tricks a narrow wire does round: the comparison must see it.
narrow = verify(2, "train.deterministic=true", "parallel.wire=int8", "embedding.sharding=column_wise", "--steps", "6")
assert narrow["equal"] and not narrow["bitwise"] and narrow["max_relative_difference"] > 1e-6, narrow
print(f"int8 on the wire: {narrow['max_relative_difference']:.2g}")
