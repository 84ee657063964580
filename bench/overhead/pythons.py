# SPDX-License-Identifier: MIT
"""What watching costs the thread of a program in Python, in ns for each block: one under the threshold,
and one whose frames and task are taken. Two processes take turns on one CPU (python_rounds.py), so that
all of it shows in the CPU time of both for a round: what runs at a switch from one to the other counts
as the other's. Whoever else wants the CPU hardly shows in it."""
import dataclasses
import json
import mmap
import os
import pathlib
import struct
import subprocess
import time

import rounds
from load import Load
from process import Failed, cpu_ns, tree, wait_until

HERE = pathlib.Path(__file__).resolve().parent
BLOCKS = 100  # in a turn
NEVER = "10s"
SHORT, LONG = 500, 12000  # steps of the client: blocks of 3 to 20 us, and of more than half of EXPECTED
EXPECTED = "100us"


@dataclasses.dataclass
class Shape:
    title: str
    depth: int  # functions below the task's own
    steps: int = SHORT
    stall: str = NEVER
    frames: bool = False


def of_depth(depth):
    """A place that was blocked in for half the threshold is expected to be so again; ticks over it arm the precise mode."""
    about = f"{depth} functions below the task's, a block"
    return (Shape(f"{about} under the threshold, its stack copied", depth),
            Shape(f"{about}, the same with the precise mode armed", depth, stall=EXPECTED),
            Shape(f"{about} where a stall is expected, its frames and task taken, too", depth, LONG, EXPECTED, True))


SHAPES = (*of_depth(4), *of_depth(20))


class PythonRounds(Load):
    name = about = "rounds in Python"

    def __init__(self, shape, options, folder):
        self.shape, self.python = shape, options.python
        super().__init__(folder, options.load_cpu, options.bin)

    def start(self):
        counted = os.path.join(self.folder, f"rounds-{self.shape.title}")
        self.server = self.run(self.python, HERE / "python_rounds.py", self.shape.depth, BLOCKS, self.shape.steps, counted)
        wait_until(lambda: os.path.exists(counted) and os.path.getsize(counted) == 8, "start", self.server)
        with open(counted, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        wait_until(self.requests, "first round", self.server)

    def requests(self):
        return struct.unpack("=Q", self.map[:8])[0]

    def sample(self):
        """Of both processes."""
        requests = self.requests()
        return time.monotonic_ns(), requests, sum(map(cpu_ns, tree(self.server.pid)))

    def sleeps(self):
        """How often the loop has left its CPU by itself."""
        for line in pathlib.Path(f"/proc/{self.server.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith("voluntary_ctxt_switches:"):
                return int(line.split()[1])
        raise Failed("no voluntary_ctxt_switches")


class Watcher(rounds.Unbounded):
    """The same with --stall TIME"""

    def __init__(self, load, options, block=NEVER):
        super().__init__(load, options, block)
        self.stall = load.shape.stall

    def argv(self):
        return [*super().argv(), "--stall", self.stall]


def prove_frames(load, options):
    """That the blocks' frames are those which the kernel side takes: with a low threshold for recording, blocks that are
    too short to be looked into while they last carry the function that blocks, and the task."""
    watcher = Watcher(load, options, block="50us")
    watcher.start()
    try:
        time.sleep(watcher.settle + 1)
    finally:
        watcher.stop()
    told = subprocess.run([options.bin / "loopscope", "report", "--json", watcher.path("capture.lsc")], check=True,
                          capture_output=True)
    report = json.loads(told.stdout)
    named = {stack["id"] for stack in report["stacks"]
             if sum(frame["function"] == "answer" for frame in stack["frames"]) == load.shape.depth}
    blocks = [block for stall in report["stalls"] for block in stall["blocks"] if block["start_ns"] > watcher.settle * 1e9]
    good = sum(block["stack"] in named and block["task"] is not None for block in blocks)
    if good < 0.9 * len(blocks) or not blocks:
        raise Failed(f"{load.shape.title}: {good} of {len(blocks)} blocks carry their frames and task")


def measure(options, folder, measured):
    print(rounds.HEAD, flush=True)
    for shape in SHAPES:
        load = PythonRounds(shape, options, folder)
        try:
            if shape.frames:
                prove_frames(load, options)
            sleeps, before = load.sleeps(), load.requests()
            extra = rounds.extra_ns(load, Watcher(load, options), options, measured, lambda part: part.cpu_per_request)
            each = (load.sleeps() - sleeps) / (load.requests() - before)
            if not 0.95 < each < 1.15:
                raise Failed(f"{shape.title}: the loop sleeps {each:.2f} times in a round")
        finally:
            load.close()
        print(rounds.row(shape.title, extra), flush=True)
