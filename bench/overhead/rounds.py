# SPDX-License-Identifier: MIT
"""What watching costs the watched thread itself, in ns: for each turn, each block whose stack is
copied, each block that is recorded. Two processes take turns on one CPU (rounds.c), so that all of
it shows in the time of a round, caches and the way of each switch into a kernel program included."""
import mmap
import os
import statistics
import struct

from load import Load
from own import WithBlocksFrom
from process import wait_until

BLOCKS = 100  # in a turn of a little over a millisecond
KIB = 1024
SHAPES = (  # title, bytes of stack, blocks in a turn, threshold of a block that is recorded
    ("a turn", 0, 0, "1ms"),
    ("a block, a stack of 1 KiB copied", KIB, BLOCKS, "1ms"),
    ("a block, 4 KiB", 4 * KIB, BLOCKS, "1ms"),
    ("a block, 8 KiB", 8 * KIB, BLOCKS, "1ms"),
    ("a block, 14 KiB", 14 * KIB, BLOCKS, "1ms"),
    ("a block with 1 KiB, recorded", KIB, BLOCKS, "1us"),
    ("a block with 4 KiB, recorded", 4 * KIB, BLOCKS, "1us"),
)


class Rounds(Load):
    name = about = "rounds"

    def __init__(self, stack, blocks, folder, cpu, bin_dir):
        self.arguments = stack, blocks
        super().__init__(folder, cpu, bin_dir)

    def start(self):
        counted = os.path.join(self.folder, "rounds")
        self.server = self.run(self.bin / "bench_rounds", *self.arguments, counted)
        wait_until(lambda: os.path.exists(counted) and os.path.getsize(counted) == 8, "start", self.server)
        with open(counted, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def requests(self):
        return struct.unpack("=Q", self.map[:8])[0]


class Unbounded(WithBlocksFrom):
    """loopscope attach --block TIME, whatever it costs"""

    def argv(self):
        return [*super().argv(), "--max-overhead", "100%"]


def extra_ns(load, options, block, measured):
    """Of each pair: a watched round less an unwatched one."""
    watcher = Unbounded(load, options, block)
    extra = []
    before = measured(load, options.slice)
    for _ in range(options.pairs):
        watcher.start()
        try:
            watched = measured(load, options.slice, watcher.settle)
        finally:
            watcher.stop()
        after = measured(load, options.slice)
        extra.append(1e9 / watched.throughput - (1e9 / before.throughput + 1e9 / after.throughput) / 2)
        before = after
    return sorted(extra)


def measure(options, folder, measured):
    print("| what watching adds, in the thread's own time | ns: median (p10 - p90) |\n|---|---|", flush=True)
    for title, stack, blocks, block in SHAPES:
        load = Rounds(stack, blocks, folder, options.load_cpu, options.bin)
        try:
            extra = extra_ns(load, options, block, measured)
        finally:
            load.close()
        low, high = (extra[round(share * (len(extra) - 1))] for share in (0.1, 0.9))
        print(f"| {title} | {statistics.median(extra):.0f} ({low:.0f} - {high:.0f}) |", flush=True)
