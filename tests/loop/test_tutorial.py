# SPDX-License-Identifier: MIT
"""docs/tutorial.md shows the programs that are there, and what they print: test_tutorial.py SOURCES BIN."""
import pathlib
import re
import subprocess
import sys

STEP = re.compile(r"^## Step \d+: [^\n]*`(\w+)`$(.*?)(?=^## |\Z)", re.M | re.S)
BLOCK = re.compile(r"^```(c?)\n(.*?)^```$", re.M | re.S)


def check(sources, programs, name, text):
    blocks = BLOCK.findall(text)
    assert [kind for kind, _ in blocks] == ["c", ""], f"{name}: one program and one output expected"
    source = (sources / "examples" / "tutorial" / f"{name}.c").read_text()
    assert source.split("\n", 1)[1] == blocks[0][1], f"{name}.c is not what the tutorial shows"
    run = subprocess.run([programs / f"tutorial_{name}"], capture_output=True, text=True, timeout=30)
    assert run.returncode == 0 and run.stderr == "", (name, run)
    assert run.stdout == blocks[1][1], f"{name} prints\n{run.stdout}instead of\n{blocks[1][1]}"


def main():
    sources, programs = map(pathlib.Path, sys.argv[1:])
    steps = STEP.findall((sources / "docs" / "tutorial.md").read_text())
    there = sorted(p.stem for p in (sources / "examples" / "tutorial").glob("*.c"))
    assert [name for name, _ in steps] == there, "the tutorial leaves out a program, or names one that is not there"
    for name, text in steps:
        check(sources, programs, name, text)
    print(f"{len(steps)} steps")


main()
