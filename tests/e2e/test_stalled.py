# SPDX-License-Identifier: MIT
"""Targets that hang whoever reads their memory or their files: on a FUSE whose daemon never answers. Each costs workers,
which are replaced; the other loops, and the collector, do not notice."""
import contextlib
import json
import os
import pathlib
import time
import unittest

from harness import BIN, HERE, MS, PYTHON, Process, describe, frames_of, main, pause, rng, wait_until
from test_live import Events, Live, blocker, helpers_of, plant

STALLED_FILE = BIN.parent / "tests/e2e/stalled_file"
REPLACED = (2 * 50 + 100) * MS  # the deadlines of two tries at the same block, and what it may take to start a worker
INDEXED = 2 * 2000 * MS  # the two deadlines for a file: meanwhile no stack is unwound


def of_process(pid, name):
    """A line of /proc/PID/status; None: there is no such process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()
    return None


def began(pid):
    """When a process began, by CLOCK_MONOTONIC, give or take 10 ms."""
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    asleep = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return ticks * 10**9 // os.sysconf("SC_CLK_TCK") - asleep


def workers_of(client):
    """The workers of a running loopscope, by the state that they are in."""
    return {pid: of_process(pid, "State") for pid in helpers_of(client) if of_process(pid, "Name") == "lsc-worker"}


class Stalled(Live):
    def hostile(self, *options):
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            raise unittest.SkipTest("no /dev/fuse")
        file = self.dir / "file"
        file.write_bytes(bytes(4096))
        process = Process([STALLED_FILE, file, PYTHON, HERE / "targets/stalled_reads.py", file, *options])
        with contextlib.suppress(AssertionError):
            process.next_line("running")
            return process
        said, status = process.stderr(), process.child.poll()
        process.__exit__()
        if status == 77:
            raise unittest.SkipTest(f"no FUSE can be mounted here: {said.strip()}")
        raise AssertionError(said)

    def told_of(self, attach, process):
        return [stall for stall in attach.stalls(False) if stall["pid"] == process.pid]

    def watch(self, hostile, good, where, rounds=6):
        """Both block at the same time, again and again. The report, what the good one measured, and how long after the
        first block began there was another worker."""
        with Events(f"{hostile.pid},{good.pid}", self.capture) as attach:
            pause()
            first, replaced = workers_of(attach.pid), None
            truths, late = [], []
            for number in range(rounds):
                hostile.tell(f"{where} {rng.uniform(0.06, 0.2):.3f}")
                truths.append(plant(good, f"{rng.choice(('sleep', 'spin'))} {rng.uniform(0.06, 0.2):.3f}"))
                wait_until(lambda number=number: len(self.told_of(attach, good)) > number, 2, "the line of the good one")
                told = self.told_of(attach, good)[number]
                self.assertSoon(told, truths[-1]["end_ns"], f"{where}, round {number},")
                late.append(told["came_ns"] - truths[-1]["end_ns"])
                block = json.loads(hostile.next_line("{"))
                if not number:
                    replaced = [began(pid) - (block["end_ns"] - block["ns"])
                                for pid in workers_of(attach.pid) if pid not in first]
                pause(0.1, 0.3)
            workers = workers_of(attach.pid)
            print(f"{where}: told {max(late) / MS:.1f} ms late at most; replaced after {replaced} ns; {first}, then {workers}")
            alive = [pid for pid, state in workers.items() if state[0] not in "DZ"]
            self.assertEqual(len(alive), 1, workers)
            self.assertNotIn(alive[0], first)
            return attach.stop(), truths, replaced

    def assertUnharmed(self, report, hostile, good, truths, bare_ns=0):
        """All of the good one's stalls are there, with frames, but for those that began in the first bare_ns."""
        loops = {target["pid"]: {loop["id"] for loop in report["loops"] if loop["target"] == target["id"]}
                 for target in report["capture"]["targets"]}
        stalls = [stall for stall in report["stalls"] if stall["loop"] in loops[good.pid]]
        self.assertEqual(len(stalls), len(truths), describe(report))
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth["ns"], stall["cause"], report)
        told = [(stall["start_ns"], bool(frames_of(report, stall["stack"]))) for stall in stalls]
        since = told[0][0] + bare_ns
        self.assertGreater(told[-1][0], since)
        self.assertTrue(all(framed for at, framed in told if at >= since), f"{told}; {report['capture']['unresolved']}")
        self.assertGreater(len([stall for stall in report["stalls"] if stall["loop"] in loops[hostile.pid]]), 0)

    def assertReplaced(self, replaced):
        self.assertTrue(replaced and min(replaced) <= REPLACED, replaced)

    def assertQuarantined(self, report):
        unresolved = report["capture"]["unresolved"]
        self.assertIn(("stack", "quarantined"), {(entry["what"], entry["why"]) for entry in unresolved}, unresolved)

    def test_a_frame_pointer_into_a_page_that_never_comes(self):
        with self.hostile() as hostile, blocker() as good:
            report, truths, replaced = self.watch(hostile, good, "frame")
        self.assertReplaced(replaced)
        self.assertUnharmed(report, hostile, good, truths)
        self.assertQuarantined(report)

    def test_an_object_of_the_interpreter_on_a_page_that_never_comes(self):
        with self.hostile() as hostile, blocker() as good:
            report, truths, replaced = self.watch(hostile, good, "interpreter")
        self.assertReplaced(replaced)
        self.assertUnharmed(report, hostile, good, truths)
        self.assertQuarantined(report)

    def test_code_in_a_file_that_nobody_else_can_read(self):
        """A file may take 2 s to be indexed, two times, before its target is left alone."""
        with self.hostile("code") as hostile, blocker() as good:
            report, truths, _ = self.watch(hostile, good, "nowhere", rounds=18)
        self.assertUnharmed(report, hostile, good, truths, INDEXED)
        self.assertQuarantined(report)


if __name__ == "__main__":
    main()
