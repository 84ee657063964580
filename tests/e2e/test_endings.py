# SPDX-License-Identifier: MIT
"""How captures end: the target exits, is killed or becomes another program; the user loses patience."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sqlite3
import time

from harness import (HERE, LOOPSCOPE, PYTHON, Attach, Case, Process, describe, loopscope, main, pause, report_of,
                     rng, run, wait_until)

BLOCKER = HERE / "targets/blocker.py"
REPLACED = HERE / "targets/replaced.py"
TURNS_LEARNING = 3  # a loop's first turns end before it is known to be one; its last one has no end
REOPENED = HERE / "targets/reopened.py"


def target():
    process = Process([PYTHON, BLOCKER])
    process.next_line("running")
    return process


class TargetEnds(Case):
    def watch_end(self, end):
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause()
            truth = process.ask(f"sleep {rng.uniform(0.1, 0.2):.3f}")
            pause()
            end(process)
            report = attach.end()
        self.assertEqual(report["capture"]["end"]["reason"], "target-exit")
        self.assertStalls(report, [truth], "sleep")

    def test_an_exit_ends_the_capture(self):
        self.watch_end(lambda process: process.tell("exit 3"))

    def test_a_kill_ends_the_capture(self):
        self.watch_end(lambda process: os.kill(process.pid, signal.SIGKILL))

    def test_an_exec_ends_the_capture(self):
        self.watch_end(lambda process: process.tell("exec 1"))

    def test_a_kill_within_a_stall_keeps_the_stall(self):
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause()
            process.tell("sleep 5")
            time.sleep(rng.uniform(0.5, 0.8))
            os.kill(process.pid, signal.SIGKILL)
            report = attach.end()
        [stall] = self.planted(report)
        self.assertGreater(stall["duration_ns"], 300_000_000, describe(report))
        self.assertLess(stall["duration_ns"], 900_000_000, describe(report))

    def watch_exec(self, who):
        """A loop of so many turns, replaced in mid-second by one of as many whose first turn is long."""
        turns = rng.randint(450, 550)
        with Process([PYTHON, REPLACED, who, turns, f"{rng.uniform(0.1, 0.3):.3f}"]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                process.tell("go")
                truth = json.loads(process.next_line("{"))["ns"]
                report = attach.end()
        self.assertStalls(report, [truth], "sleep")
        first, second = report["loops"]
        return turns, first, second

    def test_an_exec_loses_nothing_of_the_turns_before_and_after(self):
        turns, *loops = self.watch_exec("main")
        for loop in loops:
            self.assertAlmostEqual(loop["ticks"], turns, delta=TURNS_LEARNING, msg=loop)

    def test_an_exec_of_another_thread_loses_nothing_of_the_turns_after(self):
        turns, _, second = self.watch_exec("other")
        self.assertAlmostEqual(second["ticks"], turns, delta=TURNS_LEARNING, msg=second)

    def test_an_exec_within_a_stall_keeps_the_stall(self):
        seconds = rng.uniform(0.2, 0.4)
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause()
            process.tell(f"sleep-exec {seconds:.3f}")
            report = attach.end()
        [stall] = self.planted(report)
        self.assertEqual(stall["cause"], "sleep", describe(report))
        self.assertGreaterEqual(stall["duration_ns"], seconds * 1e9, describe(report))
        self.assertLess(stall["duration_ns"], seconds * 1e9 + 30_000_000, describe(report))


class LoopEnds(Case):
    def assertOnlyTurns(self, runtime):
        """Of a program that runs one loop after the other the stalls within them are told, no others."""
        seed = rng.randrange(1 << 32)
        with Process([LOOPSCOPE, "record", "-o", self.capture, "--", PYTHON, REOPENED, runtime, seed]) as recorder:
            self.assertEqual(recorder.finish(60), 0, recorder.stderr())
        truths = [json.loads(line) for line in recorder.lines]
        self.assertEqual(len(truths), 6)
        report = report_of(self.capture)
        stalls = self.planted(report)
        self.assertEqual(len(stalls), len(truths), f"planted {truths}; {describe(report)}")
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth["ns"], truth["cause"], report)

    def test_what_a_program_does_outside_of_its_asyncio_loops_is_no_stall(self):
        self.assertOnlyTurns("asyncio")

    def test_what_a_program_does_outside_of_its_libuv_loops_is_no_stall(self):
        if run(PYTHON, "-c", "import uvloop", status=None).returncode != 0:
            self.skipTest(f"{PYTHON} has no uvloop")
        self.assertOnlyTurns("uvloop")


class UserEnds(Case):
    def test_a_duration_ends_the_capture(self):
        with target() as process, Attach(process.pid, self.capture, "-d", "2") as attach:
            begin = time.monotonic()
            truth = process.ask("sleep 0.1")
            report = attach.end()
            self.assertLess(time.monotonic() - begin, 6)
            self.assertIsNone(process.child.poll())
        self.assertEqual(report["capture"]["end"]["reason"], "duration")
        self.assertTrue(2 <= report["capture"]["duration_ns"] / 1e9 < 3.5, report["capture"])
        self.assertStalls(report, [truth], "sleep")

    def test_the_capture_is_finished_when_its_client_is_killed(self):
        with target() as process, Attach(process.pid, self.capture) as attach:
            truth = process.ask("sleep 0.1")
            pause(1.5, 2)
            attach.child.kill()
            attach.finish()
            wait_until(lambda: not is_open(self.capture), 10, "end of the capture")
            report = report_of(self.capture)
            self.assertEqual(report["capture"]["end"]["reason"], "abort")
            self.assertStalls(report, [truth], "sleep")

    def test_losing_patience_never_leaves_a_broken_file(self):
        with target() as process:
            for turn in range(10):
                capture = str(self.dir / f"turn-{turn}.lsc")
                with Process([LOOPSCOPE, "attach", "-p", process.pid, "-o", capture, "--stall", "1ms"]) as attach:
                    process.tell(f"sleep {rng.uniform(0.01, 0.3):.3f}")
                    time.sleep(rng.uniform(0, 1.2))
                    for _ in range(2):
                        self.interrupt(attach)
                        time.sleep(rng.choice([0, 0.001, 0.01, 0.05]))
                    attach.finish(15)
                # The daemon of an aborted capture may still be writing it.
                wait_until(lambda: not is_open(capture), 10, "end of the writer")
                self.assertSound(capture)
            self.assertIsNone(process.child.poll(), "the target is unharmed")

    @staticmethod
    def interrupt(attach):
        """Ctrl-C on a terminal: to the whole foreground group."""
        if attach.child.poll() is None:
            os.killpg(attach.pid, signal.SIGINT)

    def assertSound(self, capture):
        if not os.path.exists(capture):
            return
        for suffix in ("", "-wal"):
            if os.path.exists(capture + suffix):
                shutil.copy(capture + suffix, self.dir / f"copy.lsc{suffix}")
        loopscope("report", capture)
        db = sqlite3.connect(self.dir / "copy.lsc")
        self.assertEqual(db.execute("pragma integrity_check").fetchall(), [("ok",)], capture)
        db.close()
        for suffix in ("", "-wal", "-shm"):
            (self.dir / f"copy.lsc{suffix}").unlink(missing_ok=True)


def is_open(path):
    """Is the file open in any process?"""
    for folder in pathlib.Path("/proc").glob("[0-9]*/fd"):
        with contextlib.suppress(OSError):  # the process is gone
            for fd in os.listdir(folder):
                with contextlib.suppress(OSError):  # the descriptor is closed
                    if os.readlink(folder / fd) == path:
                        return True
    return False


if __name__ == "__main__":
    main()
