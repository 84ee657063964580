# SPDX-License-Identifier: MIT
"""Where a stall's time went. The target measures itself by its thread's own clocks; what is done to
it from outside is measured by who does it. LSC_FULL=1 plants fifty stalls instead of twenty."""
import contextlib
import ctypes
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import time
import unittest

from harness import (BIN, HERE, MS, PYTHON, SLACK, Attach, Case, Process, describe, main, part, pause, rng,
                     wait_until)

CAUSES = BIN.parent / "tests/e2e/causes"
FULL = bool(os.environ.get("LSC_FULL"))
CAUSE_OF = {"busy": "cpu-user", "kernel": "cpu-kernel", "sleep": "sleep", "naps": "sleep", "lock": "lock",
            "fault": "page-fault", "stop": "stopped"}


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


class Target(Process):
    """The program that loses its time on demand."""

    def __init__(self, *argv):
        super().__init__([CAUSES, *argv])
        self.next_line("running")

    def lose(self, *parts):
        """Pairs of cause and seconds, one after the other in one turn. The target's own measure."""
        self.tell(" ".join(f"{cause} {seconds * 1e9:.0f}" for cause, seconds in parts))
        return json.loads(self.next_line("{"))

    def state(self):
        with open(f"/proc/{self.pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]

    def keep(self, seconds, stop, go, stopped):
        """Kept from running for so long; the measure is ours: at least ns, at most most_ns."""
        sent = time.monotonic_ns()
        stop()
        wait_until(stopped, 5, "stopped")
        seen = time.monotonic_ns()
        time.sleep(seconds)
        woken = time.monotonic_ns()
        go()
        return {"begin_ns": sent, "ns": woken - seen, "most_ns": time.monotonic_ns() - sent}

    def stop(self, seconds):
        return self.keep(seconds, lambda: os.kill(self.pid, signal.SIGSTOP),
                         lambda: os.kill(self.pid, signal.SIGCONT), lambda: self.state() == "T")

    def trace(self, seconds):
        """As a debugger does."""
        return self.keep(seconds, lambda: ptrace(PTRACE_ATTACH, self.pid),
                         lambda: ptrace(PTRACE_DETACH, self.pid),
                         lambda: os.waitpid(self.pid, os.WNOHANG | os.WUNTRACED)[0])


PTRACE_ATTACH, PTRACE_DETACH = 16, 17


def ptrace(request, pid):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.ptrace(request, pid, None, None):
        raise OSError(ctypes.get_errno(), f"ptrace({request}, {pid})")


class Cgroup:
    """A control group for the time of a `with` block; folder is None where there is no such hierarchy."""

    def __init__(self, *places):
        usable = [place for place in places if place[1] is None or os.path.exists(os.path.join(*place))]
        self.folder = pathlib.Path(usable[0][0]) / f"lsc-e2e-{os.getpid()}" if usable else None
        self.file = usable[0][1] if usable else None


class Planted(Case):
    def origin(self):
        """The capture's start on CLOCK_MONOTONIC."""
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as db:
            return db.execute("select ns from origin").fetchone()[0]

    def stall_of(self, report, truth):
        """The one stall that the planted time lies in."""
        begin = truth["begin_ns"] - self.origin()
        middle = begin + truth["ns"] // 2
        stalls = [s for s in report["stalls"] if s["start_ns"] <= middle <= s["start_ns"] + s["duration_ns"]]
        self.assertEqual(len(stalls), 1, f"{truth} at {begin / MS:.0f}; {describe(report)}")
        return stalls[0]

    def assertPart(self, stall, cause, least, most, report, slack=SLACK):
        told = f"{cause} is {part(stall, cause)} of {stall['split']}, not {least}..{most}; {describe(report)}"
        self.assertGreaterEqual(part(stall, cause), least - slack, told)
        self.assertLessEqual(part(stall, cause), most + slack, told)

    def assertSplit(self, stall, kind, truth, report):
        """The parts are what the target's clocks say, and the largest names the stall. On a crowded
        host that may be the run queue: if the target says so."""
        cause, delay = CAUSE_OF[kind], truth.get("delay_ns", 0)
        self.assertLessEqual(abs(sum(p["ns"] for p in stall["split"]) - stall["duration_ns"]),
                             stall["duration_ns"] / 100, describe(report))
        if kind == "stop":
            self.assertPart(stall, cause, truth["ns"], truth["most_ns"], report)
            return self.assertEqual(stall["cause"], cause, describe(report))
        self.assertPart(stall, "runqueue", delay, delay, report)
        if kind in ("busy", "kernel"):
            own = part(stall, "cpu-user") + part(stall, "cpu-kernel")
            self.assertLessEqual(own, truth["cpu_ns"] + SLACK, f"{truth}; {stall}; {describe(report)}")
            # a collector that got no CPU either cannot tell where the tick began, and says so
            unsure = stall["duration_max_ns"] - stall["duration_ns"]
            self.assertGreaterEqual(own, truth["cpu_ns"] - unsure - SLACK, f"{truth}; {stall}; {describe(report)}")
            share = part(stall, cause) / own
            true = truth["user_ns" if kind == "busy" else "system_ns"] / (truth["user_ns"] + truth["system_ns"])
            self.assertLessEqual(abs(share - true), 0.1, f"{truth}; {stall}; {describe(report)}")
        else:
            off = truth["ns"] - truth["cpu_ns"] - delay
            self.assertPart(stall, cause, off, off, report)
        if abs(delay - (truth["ns"] - delay)) > 2 * SLACK:  # else either may be the largest
            self.assertEqual(stall["cause"], "runqueue" if delay > truth["ns"] - delay else cause, describe(report))


class EachCause(Planted):
    def test_each_planted_cause_is_the_largest_part_of_its_stall(self):
        kinds = ["busy", "sleep", "lock", "fault", "stop"] * (10 if FULL else 4)
        rng.shuffle(kinds)
        truths = []
        with Target() as target, Attach(target.pid, self.capture) as attach:
            pause()
            for kind in kinds:
                pause(0.05, 0.15)
                truths.append(target.stop(0.2) if kind == "stop" else target.lose((kind, 0.2)))
            pause()
            report = attach.stop()
        for kind, truth in zip(kinds, truths):
            self.assertSplit(self.stall_of(report, truth), kind, truth, report)

    def test_time_in_the_kernel_is_told_from_the_programs_own(self):
        with Target() as target, Attach(target.pid, self.capture) as attach:
            pause()
            kinds = rng.sample(["busy", "kernel"] * 2, 4)
            truths = []
            for kind in kinds:
                pause(0.05, 0.15)
                truths.append(target.lose((kind, 0.2)))
            report = attach.stop()
        for kind, truth in zip(kinds, truths):
            self.assertSplit(self.stall_of(report, truth), kind, truth, report)

    def test_a_turn_of_many_causes_is_divided_among_them(self):
        with Target() as target, Attach(target.pid, self.capture) as attach:
            pause()
            truths = []
            for _ in range(5):
                pause(0.05, 0.15)
                kinds = rng.sample(["busy", "sleep", "lock", "fault", "naps"], 4)
                truths.append(target.lose(*((kind, rng.uniform(0.02, 0.1)) for kind in kinds)))
            report = attach.stop()
        for truth in truths:
            stall = self.stall_of(report, truth)
            off = {}
            for p in truth["parts"]:
                wanted = p["ns"] - p["cpu_ns"] - p["delay_ns"]
                off[CAUSE_OF[p["cause"]]] = off.get(CAUSE_OF[p["cause"]], 0) + wanted
            for cause in ("sleep", "lock", "page-fault"):
                self.assertPart(stall, cause, off.get(cause, 0), off.get(cause, 0), report)
            self.assertPart(stall, "runqueue", truth["delay_ns"], truth["delay_ns"], report)


if __name__ == "__main__":
    main()
