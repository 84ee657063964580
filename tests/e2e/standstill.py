# SPDX-License-Identifier: MIT
"""When a CPU stood still, as the host of a virtual machine may have it: no clock of a program tells that, least of
all how long its turns were meant to be. On each CPU a process of the highest priority sleeps for two milliseconds at a
time, and says when it came back late."""
import os
import pathlib
import subprocess

from harness import MS, PYTHON, Case, lacked, part

LATE_NS = 4 * MS
HELD = ("cpu-user", "cpu-kernel", "other")  # what the time of a CPU that stood still is told as
WATCH = f"""
import time
last = time.monotonic_ns()
while True:
    time.sleep(0.002)
    now = time.monotonic_ns()
    if now - last > {LATE_NS}:
        print(last, now, flush=True)
    last = now
"""


class Standstill:
    """Watched from its making to its end()."""

    def __init__(self, folder):
        self.files, self.processes = [], []
        for cpu in sorted(os.sched_getaffinity(0)):
            self.files.append(pathlib.Path(folder) / f"standstill.{cpu}")
            with self.files[-1].open("w", encoding="ascii") as out:
                self.processes.append(subprocess.Popen(["taskset", "-c", str(cpu), "chrt", "-f", "90", PYTHON, "-c", WATCH],
                                                       stdin=subprocess.DEVNULL, stdout=out))

    def end(self):
        for process in self.processes:
            process.kill()
            process.wait()

    def ns(self, begin_ns, end_ns):
        """For how much of the time between these some CPU stood still."""
        spans = sorted(tuple(map(int, line.split())) for file in self.files
                       for line in file.read_text(encoding="ascii").splitlines(keepends=True) if line.endswith("\n"))
        total, until = 0, begin_ns
        for begin, end in spans:
            begin, end = max(begin, until), min(end, end_ns)
            if end > begin:
                total, until = total + end - begin, end
        return total


class OnHost(Case):
    """A test that knows when the host stood still."""

    def setUp(self):
        super().setUp()
        self.host = Standstill(self.dir)
        self.addCleanup(self.host.end)

    def stood_ns(self, stall, report):
        """What the host took of the stall."""
        begin = report["capture"]["clock"]["start_monotonic_ns"] + stall["start_ns"]
        return self.host.ns(begin, begin + stall["duration_ns"])

    def crowded(self, report):
        """Also what would be no stall if the host had not stood still: that reads as CPU, or as what nothing explains."""
        least = report["capture"]["thresholds"]["stall_ns"]
        stood = {stall["id"]: min(self.stood_ns(stall, report), sum(part(stall, cause) for cause in HELD))
                 for stall in report["stalls"]}
        return super().crowded(report) | {stall["id"] for stall in report["stalls"] if stood[stall["id"]]
                                          and stall["duration_ns"] - lacked(stall) - stood[stall["id"]] < least}
