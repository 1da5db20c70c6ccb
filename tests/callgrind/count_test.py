"""That count.py counts what is the program's own, and sees what it is there for."""
import os
import tempfile

from count import differing, own_instructions

DUMP = """# callgrind format
events: Ir

ob=(1) {program}
fl=(1) ???
fn=(1) first
10 100
cob=(2) /lib/libc.so
cfn=(2) memcpy
calls=1 0
11 5000
12 20

ob=(2)
fn=(2)
7 5000

ob=(1)
fn=(3) second
+1 3
"""

with tempfile.TemporaryDirectory() as folder:
    path = os.path.join(folder, "dump")
    with open(path, "w") as file:
        file.write(DUMP.format(program="/bin/true"))
    assert own_instructions(path, "/bin/true") == 123
    assert own_instructions(path, "/bin/false") == 0

FILE = {"a": 1000, "b": 1000}
assert differing(FILE, {"a": 1020, "b": 950}) == []
assert differing(FILE, {"a": 1021, "b": 1000}) == ["a"]
assert differing(FILE, {"a": 1000, "b": 949}) == ["b"]
assert differing(FILE, {"a": 1000}) == ["b"]
assert differing(FILE, {"a": 1000, "b": 1000, "c": 1}) == ["c"]
