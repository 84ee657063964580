# SPDX-License-Identifier: MIT
"""What watching costs the watched thread itself, in ns: for each turn, each block whose stack is
copied, each block that is recorded. Two processes take turns on one CPU (rounds.c), so that all of
it shows in the time of a round, caches and the way of each switch into a kernel program included."""
import mmap
import os
import statistics
import struct
import time

from load import Load
from own import WithBlocksFrom
from process import cpu_ns, wait_until

BLOCKS = 100  # in a turn of a little over a millisecond
KIB = 1024
FEW, PAUSE_US = 10, 100
SHAPES = (  # title, bytes of stack, blocks in a turn, work after each (us), threshold of a block that is recorded
    ("a turn", 0, 0, 0, "1ms"),
    ("a block, a stack of 1 KiB copied", KIB, BLOCKS, 0, "1ms"),
    ("a block, 4 KiB", 4 * KIB, BLOCKS, 0, "1ms"),
    ("a block, 8 KiB", 8 * KIB, BLOCKS, 0, "1ms"),
    ("a block, 14 KiB", 14 * KIB, BLOCKS, 0, "1ms"),
    ("a block with 1 KiB, recorded", KIB, BLOCKS, 0, "1us"),
    ("a block with 4 KiB, recorded", 4 * KIB, BLOCKS, 0, "1us"),
    (f"a block each {PAUSE_US} us, 1 KiB", KIB, FEW, PAUSE_US, "1ms"),
    (f"a block each {PAUSE_US} us, 1 KiB, recorded", KIB, FEW, PAUSE_US, "1us"),
)


class Rounds(Load):
    name = about = "rounds"

    def __init__(self, stack, blocks, pause_us, folder, cpu, bin_dir):
        self.arguments = stack, blocks, pause_us
        super().__init__(folder, cpu, bin_dir)

    def start(self):
        counted = os.path.join(self.folder, "rounds")
        self.server = self.run(self.bin / "bench_rounds", *self.arguments, counted)
        wait_until(lambda: os.path.exists(counted) and os.path.getsize(counted) == 16, "start", self.server)
        with open(counted, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 16, prot=mmap.PROT_READ)

    def sample(self):
        """As that of any load, but of the time without the pauses."""
        now_ns, (exchanges, paused_ns) = time.monotonic_ns(), struct.unpack("=QQ", self.map[:16])
        return now_ns - paused_ns, exchanges, cpu_ns(self.server.pid)


class Unbounded(WithBlocksFrom):
    """loopscope attach --block TIME, whatever it costs"""

    def argv(self):
        return [*super().argv(), "--max-overhead", "100%"]


def time_of(part):
    """Of a round."""
    return 1e9 / part.throughput


def extra_ns(load, watcher, options, measured, cost=time_of):
    """Of each pair: a watched round less an unwatched one."""
    extra = []
    before = measured(load, options.slice)
    for _ in range(options.pairs):
        watcher.start()
        try:
            watched = measured(load, options.slice, watcher.settle)
        finally:
            watcher.stop()
        after = measured(load, options.slice)
        extra.append(cost(watched) - (cost(before) + cost(after)) / 2)
        before = after
    return sorted(extra)


HEAD = "| what watching adds, in the thread's own time | ns: median (p10 - p90) |\n|---|---|"


def row(title, extra):
    low, high = (extra[round(share * (len(extra) - 1))] for share in (0.1, 0.9))
    return f"| {title} | {statistics.median(extra):.0f} ({low:.0f} - {high:.0f}) |"


def measure(options, folder, measured):
    print(HEAD, flush=True)
    for title, stack, blocks, pause_us, block in SHAPES:
        load = Rounds(stack, blocks, pause_us, folder, options.load_cpu, options.bin)
        try:
            extra = extra_ns(load, Unbounded(load, options, block), options, measured)
        finally:
            load.close()
        print(row(title, extra), flush=True)
