# SPDX-License-Identifier: MIT
"""record and check: the command's own exit status, the verdict, and what is refused."""
import hashlib
import json
import os
import signal
import sqlite3
import subprocess

from harness import HERE, LOOPSCOPE, PYTHON, Case, Process, loopscope, main, pause, report_of, require_valid, rng, wait_until
from runner import alone, calm

BLOCKER = HERE / "targets/blocker.py"


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


class Recorded(Case):
    """A case that records the asyncio target."""

    def record(self, capture, blocks):
        """Records the target through some sleeps; returns what it measured."""
        with Process([LOOPSCOPE, "record", "-o", capture, "--", PYTHON, BLOCKER]) as recorder:
            recorder.next_line("running")
            truths = []
            for _ in range(blocks):
                pause(0.5, 0.9)
                truths.append(recorder.ask(f"sleep {rng.uniform(0.12, 0.2):.3f}"))
            pause(0.5, 0.9)
            recorder.tell("exit 0")
            self.assertEqual(recorder.finish(), 0, recorder.stderr())
        return truths


@calm
class Record(Recorded):
    def status(self, *command):
        done = loopscope("record", "-o", self.capture, "--", *command, status=None)
        if os.path.exists(self.capture):
            report = report_of(self.capture)
            self.assertEqual(report["capture"]["mode"], "record")
            self.assertEqual(report["capture"]["end"], {"reason": "target-exit", "exit_status": done.returncode})
        return done.returncode

    @alone
    def test_what_an_interpreter_does_after_its_loop_is_no_stall(self):
        script = ("import asyncio\nkept = {i: [str(i)] for i in range(1000000)}\n"
                  "async def main():\n    for _ in range(40):\n        await asyncio.sleep(0.01)\n"
                  "asyncio.run(main())\n")
        self.assertEqual(self.status(PYTHON, "-c", script), 0)
        report = report_of(self.capture)
        self.assertGreater(sum(loop["ticks"] for loop in report["loops"]), 20)
        self.assertEqual(self.planted(report), [])

    def test_success_is_passed_on(self):
        self.assertEqual(self.status("sh", "-c", "sleep 0.2"), 0)

    def test_a_failure_is_passed_on(self):
        code = rng.choice([1, 3, 7, 42, 125])
        self.assertEqual(self.status("sh", "-c", f"exit {code}"), code)

    def test_a_signal_is_128_and_its_number(self):
        self.assertEqual(self.status("sh", "-c", "kill -TERM $$"), 143)
        os.unlink(self.capture)
        self.assertEqual(self.status("sh", "-c", "kill -KILL $$"), 137)

    def test_a_command_that_is_not_there_is_127(self):
        done = loopscope("record", "-o", self.capture, "--", "/nonexistent/command", status=127)
        self.assertIn("/nonexistent/command", done.stderr)

    def test_the_commands_output_and_input_are_its_own(self):
        done = loopscope("record", "-q", "-o", self.capture, "--", "sh", "-c", "cat; echo err >&2",
                         input="through\n", stdin=None)
        self.assertEqual(done.stdout, "through\n")
        self.assertIn("err", done.stderr)

    def test_a_recorded_loop_is_watched_from_its_first_tick(self):
        truths = self.record(self.capture, rng.randint(1, 3))
        report = report_of(self.capture)
        stalls = self.assertStalls(report, truths, "sleep")
        self.assertOnlyFindingsOf(report, stalls)


@calm
class Check(Recorded):
    def test_a_stall_over_the_limit_fails_and_a_healthy_run_passes(self):
        for blocks, status in ((1, 1), (0, 0)):
            capture = str(self.dir / f"blocks-{blocks}.lsc")
            self.record(capture, blocks)
            loopscope("check", capture, "--max-stall", "50ms", status=status)
            loopscope("check", capture, "--max-stall", "5s", status=0)
            verdict = loopscope("check", capture, "--max-stall", "50ms", "--json", status=status).stdout
            require_valid(json.loads(verdict), "check")

    def test_a_command_is_judged_in_one_go(self):
        sleeper = "import asyncio, time\n" \
                  "async def main():\n" \
                  "    for i in range(20): await asyncio.sleep(0.03)\n" \
                  "    time.sleep({})\n" \
                  "    for i in range(20): await asyncio.sleep(0.03)\n" \
                  "asyncio.run(main())\n"
        judge = ("check", "--max-stall", "50ms", "--", PYTHON, "-c")
        loopscope(*judge, sleeper.format(0.2), status=1, cwd=self.dir)
        loopscope(*judge, sleeper.format(0), status=0, cwd=self.dir)
        loopscope(*judge, "import sys; sys.exit(9)", status=9, cwd=self.dir)


@calm
class Live(Case):
    """check and attach on a running process."""

    def check(self, *options):
        """From the moment that it watches: its capture is there then."""
        check = Process([LOOPSCOPE, "check", "-q", *options], env={**os.environ, "TMPDIR": str(self.dir)})
        self.addCleanup(check.__exit__)
        wait_until(lambda: list(self.dir.glob("loopscope-*/check.lsc")), 20, "that it watches")
        return check

    def test_a_running_process_is_judged(self):
        with Process([PYTHON, BLOCKER]) as target:
            target.next_line("running")
            check = self.check("-p", target.pid, "-d", "2.5", "--max-stall", "50ms")
            target.ask(f"sleep {rng.uniform(0.12, 0.2):.3f}")
            self.assertIn("FAIL max-stall 50ms", check.next_line("max-stall"))
            self.assertEqual(check.finish(), 1, check.stderr())

    def test_an_interrupted_check_is_inconclusive(self):
        with Process([PYTHON, BLOCKER]) as target:
            target.next_line("running")
            check = self.check("-p", target.pid, "-d", "30")
            pause(0.5, 1)
            check.child.send_signal(signal.SIGINT)
            self.assertIn("UNSURE", check.next_line("max-findings"))
            self.assertIn("interrupted", check.next_line("interrupted"))
            self.assertEqual(check.finish(), 3, check.stderr())

    def test_a_thread_of_nobody_is_refused(self):
        with Process([PYTHON, BLOCKER]) as target:
            target.next_line("running")
            done = loopscope("attach", "-p", str(target.pid), "--tid", "1", "-o", self.capture, status=4)
            self.assertEqual(done.stderr.strip().splitlines()[-1].split(": ", 1)[1],
                             f"process {target.pid} has no thread 1")
            self.assertFalse(os.path.exists(self.capture))

    def test_doctor_fails_for_a_process_that_is_not_there(self):
        loopscope("doctor", "-p", "2147483647", status=4)


@calm
class Refused(Recorded):
    def assertRefused(self, path):
        before = sha256(path)
        for command in (["report"], ["report", "--json"], ["check", "--max-stall", "50ms"]):
            done = loopscope(*command, path, status=2)
            self.assertEqual(done.stdout, "")
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn(os.path.basename(path), done.stderr)
        self.assertEqual(sha256(path), before)
        self.assertFalse([name for name in os.listdir(self.dir) if name.endswith(("-wal", "-shm", "-journal"))])

    def write(self, name, data):
        path = str(self.dir / name)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def test_files_that_are_no_captures_are_refused_and_left_alone(self):
        self.assertRefused(self.write("empty.lsc", b""))
        self.assertRefused(self.write("text.lsc", b"no capture at all\n" * 1000))
        self.assertRefused(self.write("noise.lsc", rng.randbytes(20000)))
        foreign = str(self.dir / "foreign.lsc")
        with sqlite3.connect(foreign) as db:
            db.execute("create table stalls(id)")
        db.close()
        self.assertRefused(foreign)

    def test_damaged_captures_are_refused_and_left_alone(self):
        self.record(self.capture, 1)
        with open(self.capture, "rb") as file:
            whole = file.read()
        self.assertRefused(self.write("cut.lsc", whole[:len(whole) // 2]))
        self.assertRefused(self.write("noisy.lsc", whole[:4096] + rng.randbytes(len(whole) - 4096)))

    def test_a_missing_file_is_one_line(self):
        done = loopscope("report", self.dir / "absent.lsc", status=2)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)

    def test_attaching_to_no_process_is_one_line_and_leaves_no_file(self):
        gone = subprocess.Popen(["true"])
        gone.wait()
        done = loopscope("attach", "-p", gone.pid, "-o", self.capture, status=4)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertIn(str(gone.pid), done.stderr)
        self.assertFalse(os.path.exists(self.capture))

    def test_wrong_usage_is_exit_2(self):
        for line in (["attach"], ["attach", "-p", "x"], ["nonsense"], ["report"], ["record"],
                     ["attach", "-p", "1", "--stall", "fast"]):
            done = loopscope(*line, status=2, cwd=self.dir)
            self.assertNotEqual(done.stderr, "", line)


if __name__ == "__main__":
    main()
