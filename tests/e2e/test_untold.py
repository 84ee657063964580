# SPDX-License-Identifier: MIT
"""Turns that end otherwise than by the wait in which they began. Those of a thread with a ring of which the ring
says nothing, for it has ended, or the turn has no end in it; those of a loop that goes to wait elsewhere."""
import json
import os
import signal
import time

from harness import BIN, SLACK, Attach, Case, Process, describe, main, pause, rng, wait_until
from runner import alone, calm

TWO_LOOPS = BIN.parent / "tests/e2e/two_loops"
JOBS = BIN.parent / "tests/e2e/jobs"
TWO_WAITS = BIN.parent / "tests/e2e/two_waits"
TURNS = 0.25  # s; a loop of the target turns every 20 ms, so it is known by then


def target():
    process = Process([TWO_LOOPS])
    process.next_line("running")
    return process


def in_a_sleep(process):
    with open(f"/proc/{process.pid}/syscall", encoding="ascii") as file:
        return file.read().split()[0] in ("35", "230")  # nanosleep, clock_nanosleep


@calm
class Untold(Case):
    def test_a_loop_without_a_ring_after_one_with(self):
        """And before another one with."""
        with target() as process, Attach(process.pid, self.capture) as attach:
            truths = []
            for _ in range(3):
                pause(TURNS, TURNS + 0.3)
                truths.append(process.ask(f"sleep {rng.uniform(0.06, 0.2):.3f}"))
                pause(0.1, 0.3)
                process.ask("leave")
            pause()
            report = attach.stop()
        self.assertStalls(report, truths, "sleep")

    def test_a_turn_that_ends_before_its_ring_is_found(self):
        """The thread had another one: what the kernel told of the turn by then the ring does not tell again."""
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause(1.2, 1.5)  # from now on, rings are looked for once in a second
            truths = []
            for _ in range(3):
                process.ask("leave")
                process.ask("leave")
                pause(TURNS, TURNS + 0.1)
                truths.append(process.ask(f"sleep {rng.uniform(0.06, 0.2):.3f}"))
                pause(1.1, 1.3)
            report = attach.stop()
        self.assertStalls(report, truths, "sleep")

    def test_an_exit_within_a_turn(self):
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause()
            truth = process.ask(f"exit {rng.uniform(0.1, 0.2):.3f}")
            report = attach.end()
        [stall] = self.assertStalls(report, [truth], "sleep")
        self.assertTrue(stall["in_progress"], describe(report))

    @alone
    def test_a_kill_within_a_turn(self):
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause()
            told = time.monotonic_ns()
            process.tell("sleep 10")
            wait_until(lambda: in_a_sleep(process), 5, "its sleep")
            asleep = time.monotonic_ns()
            pause()
            least = time.monotonic_ns() - asleep
            os.kill(process.pid, signal.SIGKILL)
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
            most = time.monotonic_ns() - told
            report = attach.end()
        [stall] = self.planted(report)
        self.assertEqual(stall["cause"], "sleep", describe(report))
        self.assertGreaterEqual(stall["duration_ns"], least - SLACK, describe(report))
        self.assertLessEqual(stall["duration_ns"], most + SLACK, describe(report))
        self.assertTrue(stall["in_progress"], describe(report))

    def watch_begin(self, *options):
        """The capture begins within a turn: what of it lies in the capture is told."""
        with target() as process:
            pause()
            process.tell(f"sleep {rng.uniform(1.5, 2):.3f}")
            wait_until(lambda: in_a_sleep(process), 5, "its sleep")
            with Attach(process.pid, self.capture, *options) as attach:
                end = json.loads(process.next_line("{"))["end_ns"]
                pause()
                report = attach.stop()
        truth = end - report["capture"]["clock"]["start_monotonic_ns"]
        [stall] = self.assertStalls(report, [truth], "other")
        self.assertEqual((stall["start_ns"], stall["mode"]), (0, "ring"), describe(report))

    @alone
    def test_the_begin_of_the_capture_within_a_turn(self):
        self.watch_begin()

    @alone
    def test_the_begin_of_the_capture_within_a_turn_by_the_ring_alone(self):
        self.watch_begin("--require", "ring")

    def watch_end(self, *options):
        """The capture ends within a turn."""
        with target() as process, Attach(process.pid, self.capture, *options) as attach:
            pause()
            process.tell("sleep 10")
            began = time.monotonic_ns()
            pause(0.5, 1)
            truth = time.monotonic_ns() - began
            report = attach.stop()
        [stall] = self.planted(report)
        self.assertTrue(stall["in_progress"], describe(report))
        self.assertGreaterEqual(stall["duration_ns"], truth - 20_000_000, describe(report))
        self.assertLessEqual(stall["duration_ns"], truth + 100_000_000, describe(report))
        return stall, report

    @alone
    def test_the_end_of_the_capture_within_a_turn(self):
        stall, report = self.watch_end()
        self.assertEqual(stall["cause"], "sleep", describe(report))

    @alone
    def test_the_end_of_the_capture_within_a_turn_by_the_ring_alone(self):
        stall, report = self.watch_end("--require", "ring")
        self.assertEqual(stall["cause"], "other", describe(report))


@calm
class Elsewhere(Case):
    def target(self):
        process = Process([TWO_WAITS])
        process.next_line("running")
        return process

    def test_a_turn_that_ends_in_a_wait_further_out(self):
        with self.target() as process, Attach(process.pid, self.capture) as attach:
            pause(TURNS, TURNS + 0.3)
            truth = process.ask(f"out {rng.uniform(0.06, 0.2):.3f}")
            pause()
            report = attach.stop()
        self.assertStalls(report, [truth], "sleep")

    @alone
    def test_what_cannot_be_told_apart_lowers_the_coverage(self):
        """It waits further in, turn after turn, which becomes its wait when it has not been in the other one for two
        seconds. Until then it may have been in one long turn."""
        with self.target() as process, Attach(process.pid, self.capture) as attach:
            pause(TURNS, TURNS + 0.3)
            process.tell("in 28")
            pause(2.6, 2.7)
            report = attach.stop()
        unsure = (1 - report["capture"]["coverage"]) * report["capture"]["duration_ns"]
        self.assertEqual(self.planted(report), [], describe(report))
        self.assertGreater(unsure, 1.9e9, describe(report))
        self.assertLess(unsure, 2.4e9, describe(report))

    def test_the_last_turn_of_a_loop_in_a_job(self):
        """The loop is over then, and the worker waits for its next job."""
        with Process([JOBS]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                truths = []
                for number in range(5):
                    pause(0.2, 0.4)
                    if number < 2:  # it is learned that these are jobs of a pool
                        process.ask("0")
                    else:
                        truths.append(process.ask(f"{rng.uniform(0.06, 0.2):.3f}"))
                pause()
                report = attach.stop()
        self.assertStalls(report, truths, "sleep")


if __name__ == "__main__":
    main()
