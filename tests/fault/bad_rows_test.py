"""Bad rows at the start, at the end, within one rank's part, everywhere; files that are empty or not there. The quarantine holds exactly
the bad ones with their places, on any number of ranks, and what is left trains to the same bits.

usage: bad_rows_test.py PROGRAM
"""
import pathlib
import random
import subprocess
import sys
import tempfile

import runs

PROGRAM = sys.argv[1]
ROWS = 240
EXPERIMENT = """
name: rows
data:
  source: csv
  train: rows.csv
  validation: valid.csv
  label: clicked
  dense: [age]
  categorical: [city]
  on_bad_row: {on_bad_row}
  max_bad_fraction: {max_bad}
model: {{type: dlrm, embedding_dim: 4, bottom_mlp: [8], top_mlp: [8]}}
train: {{batch_size: 32, epochs: 1, deterministic: true, chunk: 8}}
report: {{html: false, tensorboard: false, log_every_steps: 1}}
"""
# The field that is wrong, its column, and a part of the reason.
DAMAGES = [("x,31.5,Rome", 1, "label"), ("1,thirty,Rome", 2, "number"), ("1,1e999,Rome", 2, ""), ("1,31.5", 0, "field"), ("1,31.5,Rome,more", 0, "field"),
           ("1,nan,Rome", 2, ""), ("1,31.5,Ro\0me", 0, "")]


def good(i):
    return f"{i % 2},{20 + i * 7 % 50}.5,{('Rome', 'Oslo', 'Lima')[i % 3]}"


def train(folder, ranks, name):
    ended = subprocess.run(runs.mpirun(ranks, PROGRAM, "train", folder / "rows.yaml", "--quiet", f"run.dir={folder / name}"),
                           env=runs.ENVIRONMENT, capture_output=True, text=True, timeout=90)
    return ended, folder / name


def write(folder, rows, on_bad_row="quarantine", max_bad=1.0):
    (folder / "rows.csv").write_text("clicked,age,city\n" + "".join(row + "\n" for row in rows))
    (folder / "valid.csv").write_text("clicked,age,city\n" + "".join(good(i) + "\n" for i in range(40)))
    (folder / "rows.yaml").write_text(EXPERIMENT.format(on_bad_row=on_bad_row, max_bad=max_bad))


def quarantined(run_dir):
    path = run_dir / "quarantine.tsv"
    lines = path.read_text().splitlines()[1:] if path.exists() else []
    return [(pathlib.Path(file).name, int(line), int(column)) for file, line, column, _, _ in (one.split("\t") for one in lines)]


def places(dice):
    """name: the numbers of the bad rows."""
    share = sorted(dice.sample(range(80, 160), 7))  # what the second of three ranks reads, where ranks share the reading
    return {"start": [0, 1], "end": [ROWS - 2, ROWS - 1], "one part": share, "one": [dice.randrange(ROWS)],
            "half": sorted(dice.sample(range(ROWS), ROWS // 2))}


def check_quarantine(folder, dice, seed):
    for place, bad in places(dice).items():
        damages = {number: dice.choice(DAMAGES) for number in bad}
        write(folder, [damages[i][0] if i in damages else good(i) for i in range(ROWS)])
        curves = []
        for ranks in dice.sample([1, 2, 3, 4], 2):
            ended, run_dir = train(folder, ranks, f"{seed}-{place}-{ranks}")
            assert ended.returncode == 0, f"{place}: {ended.stderr}"
            found = quarantined(run_dir)
            assert [line for _, line, _ in found] == [i + 2 for i in bad], f"{place}, {ranks} ranks: {found}, not {bad}"
            for (file, line, column), number in zip(found, bad):
                assert file == "rows.csv" and (damages[number][1] in (0, column)), f"{place}: {damages[number]} at {line}:{column}"
            curves.append(runs.curve(run_dir))
        assert curves[0] == curves[1], f"{place}: the ranks trained on different rows"
        # The same as if the bad rows had never been there.
        write(folder, [good(i) for i in range(ROWS) if i not in damages])
        ended, run_dir = train(folder, 2, f"{seed}-{place}-clean")
        assert ended.returncode == 0 and runs.curve(run_dir) == curves[0], f"{place}: {ended.stderr}"
        # on_bad_row: fail names the first.
        write(folder, [damages[i][0] if i in damages else good(i) for i in range(ROWS)], on_bad_row="fail")
        ended, _ = train(folder, 2, f"{seed}-{place}-fail")
        lines = [line for line in ended.stderr.splitlines() if "swallowtail: error: " in line]
        assert ended.returncode == 3 and len(lines) == 1 and f"rows.csv:{bad[0] + 2}" in lines[0], f"{place}: {ended.returncode} {ended.stderr}"
        print(f"{place}: {len(bad)} bad rows", flush=True)


def check_refusals(folder, seed):
    def refused(name, code, *words):
        ended, run_dir = train(folder, 2, f"{seed}-{name}")
        lines = [line for line in ended.stderr.splitlines() if "swallowtail: error: " in line]
        assert ended.returncode == code and len(lines) == 1 and all(word in lines[0] for word in words), f"{name}: {ended.returncode} {ended.stderr}"
        print(f"{name}: {lines[0]}", flush=True)

    write(folder, [DAMAGES[0][0]] * ROWS)
    refused("all bad", 3, "rows.csv")
    write(folder, [DAMAGES[0][0]] * 20 + [good(i) for i in range(ROWS)], max_bad=0.01)
    refused("too many bad", 3, "rows.csv")
    write(folder, [])
    refused("no rows", 3, "rows.csv")
    (folder / "rows.csv").write_text("")
    refused("empty file", 3, "rows.csv")
    (folder / "rows.csv").unlink()
    refused("no file", 3, "rows.csv")


def main():
    for seed in range(runs.SEEDS):
        with tempfile.TemporaryDirectory() as work:
            folder = pathlib.Path(work)
            check_quarantine(folder, random.Random(seed), seed)
            check_refusals(folder, seed)


main()
