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

from harness import (BIN, HERE, LOOPSCOPE, PYTHON, SKIPPED, Attach, Case, Process, describe, frames_of, loopscope, main,
                     part, pause, report_of, rng, run, wait_until)
from runner import alone, calm

BLOCKER = HERE / "targets/blocker.py"
REPLACED = HERE / "targets/replaced.py"
SUCCESSORS = HERE / "targets/successors.py"
TURNS_LEARNING = 3  # a loop's first turns end before it is known to be one; its last one has no end
MANY = BIN.parent / "tests/e2e/many_threads"
REOPENED = HERE / "targets/reopened.py"
REOPENED_BARE = BIN.parent / "tests/e2e/reopened"


def target():
    process = Process([PYTHON, BLOCKER])
    process.next_line("running")
    return process


@calm
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

    def test_a_program_that_becomes_another_while_the_watch_begins_is_told_as_that(self):
        for _ in range(4):
            script = f"sleep {rng.uniform(0, 0.8):.3f}; exec {PYTHON} {BLOCKER}"
            with Process(["sh", "-c", script]) as process, Attach(process.pid, self.capture) as attach:
                process.next_line("running")
                pause()
                truth = process.ask("sleep 0.1")
                pause()
                report = attach.stop()
            [told] = report["capture"]["targets"]
            self.assertEqual((told["runtime"], told["exe"]), ("cpython", os.path.realpath(PYTHON)), script)
            [loop] = report["loops"]
            self.assertEqual(loop["runtime"], "cpython", script)
            [stall] = [s for s in report["stalls"] if s["cause"] == "sleep"]
            self.assertStall(stall, truth, "sleep", report)
            self.assertTrue(any(f["lang"] == "python" for f in frames_of(report, stall["stack"])), script)

    @alone
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

    def test_an_exec_of_another_thread_loses_nothing_of_the_turns_before_and_after(self):
        turns, *loops = self.watch_exec("other")
        for loop in loops:
            self.assertAlmostEqual(loop["ticks"], turns, delta=TURNS_LEARNING, msg=loop)

    def test_no_loop_ends_before_it_begins_however_short_its_program_runs(self):
        loops = 1 + (left := rng.randint(20, 30))
        with Process([LOOPSCOPE, "record", "-o", self.capture, "--", PYTHON, "-I", "-S", SUCCESSORS, left]) as recorder:
            self.assertEqual(recorder.finish(60), 0, recorder.stderr())
        with contextlib.closing(sqlite3.connect(self.capture)) as capture:
            times = capture.execute("SELECT first_ns, last_ns FROM loop").fetchall()
        self.assertEqual(len(times), loops)
        self.assertEqual([time for time in times if time[0] > time[1]], [])

    @alone
    def test_an_exec_within_a_stall_keeps_the_stall(self):
        seconds = round(rng.uniform(0.2, 0.4), 3)
        with target() as process, Attach(process.pid, self.capture) as attach:
            pause()
            process.tell(f"sleep-exec {seconds:.3f}")
            report = attach.end()
        [stall] = self.planted(report)
        self.assertEqual(stall["cause"], "sleep", describe(report))
        self.assertGreaterEqual(stall["duration_ns"], seconds * 1e9, describe(report))
        most = seconds * 1e9 + 30_000_000 + part(stall, "runqueue")
        self.assertLess(stall["duration_ns"], most, describe(report))


@calm
class LoopEnds(Case):
    def assertOnlyTurns(self, *program):
        """Of a program that runs one loop after the other the stalls within them are told, no others."""
        seed = rng.randrange(1 << 31)
        with Process([LOOPSCOPE, "record", "-o", self.capture, "--", *program, seed]) as recorder:
            status, told = recorder.finish(60), recorder.stderr()
        if status == SKIPPED:
            self.skipTest(f"no {program[-1]} in this build or kernel")
        self.assertEqual(status, 0, told)
        truths = [json.loads(line)["ns"] for line in recorder.lines]
        self.assertEqual(len(truths), 6)
        self.assertStalls(report_of(self.capture), truths, "sleep")

    def test_what_a_program_does_outside_of_its_asyncio_loops_is_no_stall(self):
        self.assertOnlyTurns(PYTHON, REOPENED, "epoll")

    def test_what_a_program_does_outside_of_its_asyncio_loops_on_poll_is_no_stall(self):
        self.assertOnlyTurns(PYTHON, REOPENED, "poll")

    def test_what_a_program_does_outside_of_its_asyncio_loops_on_select_is_no_stall(self):
        self.assertOnlyTurns(PYTHON, REOPENED, "select")

    def test_what_a_program_does_outside_of_its_libuv_loops_is_no_stall(self):
        if run(PYTHON, "-c", "import uvloop", status=None).returncode != 0:
            self.skipTest(f"{PYTHON} has no uvloop")
        self.assertOnlyTurns(PYTHON, REOPENED, "uvloop")

    def test_what_a_program_does_outside_of_its_bare_loops_is_no_stall(self):
        self.assertOnlyTurns(REOPENED_BARE, "epoll")

    def test_what_a_program_does_outside_of_its_bare_loops_on_poll_is_no_stall(self):
        self.assertOnlyTurns(REOPENED_BARE, "poll")

    def test_what_a_program_does_outside_of_its_bare_loops_on_select_is_no_stall(self):
        self.assertOnlyTurns(REOPENED_BARE, "select")

    def test_what_a_program_does_outside_of_its_loops_on_io_uring_is_no_stall(self):
        self.assertOnlyTurns(REOPENED_BARE, "uring")

    def test_what_a_program_does_outside_of_its_loops_on_numbered_rings_is_no_stall(self):
        self.assertOnlyTurns(REOPENED_BARE, "uring-numbered")


@calm
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

    def test_a_capture_that_breaks_off_says_whose_it_was(self):
        def report():
            return json.loads(loopscope("report", "--json", self.capture).stdout)
        with target() as process:
            attach = Process([LOOPSCOPE, "attach", "-p", process.pid, "-o", self.capture])
            with attach:
                attach.next_line("attached")
                wait_until(lambda: report()["loops"], 10, "what was written first")
                collector, = pathlib.Path(f"/proc/{attach.pid}/task/{attach.pid}/children").read_text().split()
                os.kill(int(collector), signal.SIGKILL)
                self.assertEqual(attach.finish(), 125)
            broken = report()
        self.assertIsNone(broken["capture"]["end"]["reason"])
        comm = pathlib.Path(PYTHON).resolve().name[:15]
        self.assertEqual([(one["pid"], one["runtime"]) for one in broken["capture"]["targets"]], [(process.pid, "cpython")])
        self.assertTrue(broken["capture"]["targets"][0]["exe"].endswith(comm), broken["capture"]["targets"])
        self.assertEqual({loop["pid"] for loop in broken["loops"]}, {process.pid})

    def test_losing_patience_at_once_leaves_the_old_capture(self):
        with target() as process:
            with Attach(process.pid, self.capture) as attach:
                attach.stop()
            old, replaced = pathlib.Path(self.capture).read_bytes(), 0
            for _ in range(10):
                with Process([LOOPSCOPE, "attach", "-p", process.pid, "-o", self.capture]) as attach:
                    time.sleep(rng.uniform(0, 0.6))
                    os.kill(attach.pid, rng.choice([signal.SIGINT, signal.SIGTERM]))
                    status, told = attach.finish(15), attach.stderr()
                wait_until(lambda: not is_open(self.capture), 10, "end of the writer")
                if status == 0 or any("attached" in line for line in attach.lines):
                    replaced += 1  # it was watching, and has what there was
                    self.assertEqual(len(report_of(self.capture)["loops"]), 1)
                    old = pathlib.Path(self.capture).read_bytes()
                elif "captured until then" not in told:
                    self.assertEqual(pathlib.Path(self.capture).read_bytes(), old, told)
            self.assertLess(replaced, 10, "some signals come too early for that")
            self.assertEqual(os.listdir(self.dir), ["run.lsc"])

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


@calm
class OnePlace(Case):
    """Two captures that are to have the same name."""

    def test_a_capture_that_is_being_written_is_not_taken_away(self):
        with target() as process, Attach(process.pid, self.capture) as attach:
            done = loopscope("attach", "-p", process.pid, "-o", self.capture, "-d", "1", status=2)
            self.assertEqual(done.stderr, f"loopscope attach: '{self.capture}' is being written by another loopscope: "
                                          "name another file\n")
            truth = process.ask(f"sleep {rng.uniform(0.1, 0.2):.3f}")
            pause()
            self.assertStalls(attach.stop(), [truth], "sleep")

    def test_of_two_that_begin_at_once_one_is_told(self):
        with target() as process:
            with contextlib.ExitStack() as both:
                attaches = [both.enter_context(Process([LOOPSCOPE, "attach", "-p", process.pid, "-o", self.capture]))
                            for _ in range(2)]
                wait_until(lambda: any(attach.child.poll() is not None for attach in attaches), 20, "a refusal")
                [loser] = [attach for attach in attaches if attach.child.poll() is not None]
                [winner] = [attach for attach in attaches if attach is not loser]
                self.assertEqual(loser.finish(), 2, loser.stderr())
                self.assertEqual(loser.stderr(), f"loopscope attach: '{self.capture}' is being written by another "
                                                 "loopscope: name another file\n")
                winner.next_line("attached")
                winner.child.send_signal(signal.SIGINT)
                self.assertEqual(winner.finish(), 0, winner.stderr())
        self.assertEqual(len(report_of(self.capture)["loops"]), 1)
        self.assertEqual(os.listdir(self.dir), ["run.lsc"])

    def test_a_loopscoped_that_is_killed_before_it_is_ready_leaves_nothing(self):
        with target() as process:
            for _ in range(5):
                with Process([LOOPSCOPE, "attach", "-p", process.pid, "-o", self.capture]) as attach:
                    children = pathlib.Path(f"/proc/{attach.pid}/task/{attach.pid}/children")
                    wait_until(lambda: children.read_text().split(), 5, "loopscoped")
                    time.sleep(rng.uniform(0, 0.4))
                    os.kill(int(children.read_text().split()[0]), signal.SIGKILL)
                    self.assertNotEqual(attach.finish(), 0)
                left = os.listdir(self.dir)
                self.assertLessEqual(set(left), {"run.lsc", "run.lsc-wal", "run.lsc-shm"})
                if left:  # it had taken its place
                    loopscope("report", self.capture)
                for name in left:
                    (self.dir / name).unlink()


class SizeBound(Case):
    """One of 1 MiB, filled with the stalls of a hundred loops."""
    BOUND = 1 << 20
    OPTIONS = ("--stall", "1ms", "--max-overhead", "100", "--max-size", "1M")

    def assertFull(self, report, told):
        self.assertIn("the capture reached its bound of 1 MiB (--max-size)", told)
        self.assertEqual([path.name for path in self.dir.iterdir()], ["run.lsc"])
        size = os.path.getsize(self.capture)
        self.assertLessEqual(size, self.BOUND)
        self.assertGreater(size, self.BOUND * 3 // 4)
        [why] = [u["why"] for u in report["capture"]["unseen"] if u["what"] == "what came later"]
        self.assertRegex(why, r"bound of 1 MiB \(--max-size\) after [\d.]+ m?s")
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as db:
            rows = sum(db.execute(f"select count(*) from {table}").fetchone()[0]
                       for table in ("stall", "block", "sample", "wait"))
        self.assertGreater(rows, 1000)
        self.assertLessEqual(rows, report["capture"]["events"]["stored"])

    def fill(self, process, is_full):
        for _ in range(400):
            if is_full():
                return
            process.ask("3000")
        self.fail("a megabyte holds more than 40,000 stalls")

    def lost_so_far(self):
        return json.loads(loopscope("report", "--json", self.capture).stdout)["capture"]["lost"].get("store-full", 0)

    def test_attach_ends_when_the_capture_is_full(self):
        with Process([MANY, 100, 0]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture, *self.OPTIONS) as attach:
                self.fill(process, lambda: attach.child.poll() is not None)
                report = attach.end()
                self.assertIn("wrote", attach.lines[-1])
                self.assertFull(report, attach.stderr())
            self.assertIsNone(process.child.poll())
        self.assertEqual(report["capture"]["end"]["reason"], "size")

    def test_record_goes_on_and_counts_what_there_is_no_room_for(self):
        with Process([LOOPSCOPE, "record", "-o", self.capture, *self.OPTIONS, "--", MANY, "100", "0"]) as record:
            record.next_line("running")
            [pid] = [int(pid) for pid in pathlib.Path(f"/proc/{record.pid}/task/{record.pid}/children").read_text().split()
                     if pathlib.Path(f"/proc/{pid}/comm").read_text() == "many_threads\n"]
            self.fill(record, lambda: "--max-size" in record.stderr())
            for _ in range(10):
                record.ask("3000")
            # who looks on sees the loss: each of a hundred loops blocked and stalled ten times more
            wait_until(lambda: self.lost_so_far() >= 1900, 10, "the losses in the capture that is being written")
            self.assertIn(" still being written, ", " ".join(loopscope("report", self.capture).stdout.split()))
            os.kill(pid, signal.SIGTERM)
            self.assertEqual(record.finish(), 128 + signal.SIGTERM)
            told = record.stderr()
        report = report_of(self.capture)
        self.assertFull(report, told)
        self.assertEqual(report["capture"]["end"], {"reason": "target-exit", "exit_status": 128 + signal.SIGTERM})
        self.assertGreaterEqual(report["capture"]["lost"]["store-full"], 1900)
        self.assertLess(report["capture"]["coverage"], 1)


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
