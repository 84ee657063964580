# SPDX-License-Identifier: MIT
"""What the end-to-end tests share: targets, captures and what must hold for every report.

Places, numbers and lengths of planted blocks are random; LSC_SEED repeats a run. The truth about a
block is what the target measured with its own clock. Nothing here knows how loopscope works inside:
command lines in, JSON and SQLite out.
"""
import contextlib
import functools
import json
import os
import pathlib
import queue
import random
import select
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import jsonschema

from runner import Runner, expand, working

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BIN = pathlib.Path(os.environ.get("LSC_BIN", ROOT / "build/dev/bin"))
CACHE = pathlib.Path(os.environ.get("LSC_CACHE", ROOT / "build/cache"))
LOOPSCOPE = str(BIN / "loopscope")
PYTHON = "/usr/bin/python3"
SKIPPED = 77
MS = 1_000_000
TICK = 10 * MS  # how fine the kernel tells what was stolen
SLACK = 3 * MS  # how far a measured stall may be from the target's own measure

SEED = int(os.environ.get("LSC_SEED") or random.SystemRandom().randrange(1 << 32))


class Dice(threading.local):
    """Of each test its own: what it draws is the same whichever tests run before it or beside it."""

    def __init__(self):
        self.own = random.Random(SEED)

    def begin(self, test):
        self.own.seed(f"{SEED} {test}")

    def __getattr__(self, name):
        return getattr(self.own, name)


rng = Dice()


def wait_until(condition, seconds, what):
    """Returns the first true value of condition(); fails loudly when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds} s")
        time.sleep(0.02)


def children_of(pid):
    """Those that are there now; of a process that ends meanwhile none."""
    found = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for tid in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += map(int, pathlib.Path(f"/proc/{pid}/task/{tid}/children").read_text().split())
    return found


def descendants_of(pid):
    return [other for child in children_of(pid) for other in (child, *descendants_of(child))]


class Process:
    """A child whose output is read line by line; it is gone when the `with` block ends."""

    def __init__(self, argv, **options):
        self.argv = [str(arg) for arg in argv]
        self.errors = tempfile.TemporaryFile("w+")
        options.setdefault("start_new_session", True)
        self.child = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                      stderr=self.errors, text=True, **options)
        self.pid = self.child.pid
        self.lines = []
        self.unread = queue.Queue()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        for line in self.child.stdout:
            self.lines.append(line.rstrip("\n"))
            self.unread.put(self.lines[-1])
        self.unread.put(None)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.kill()
        self.child.wait()
        with contextlib.suppress(BrokenPipeError):
            self.child.stdin.close()  # a child of it may be there still, and ends by that
        self.reader.join(10)
        self.child.stdout.close()
        self.errors.close()

    def stderr(self):
        errors = self.errors.fileno()  # its place in the file is the child's, too
        return os.pread(errors, os.fstat(errors).st_size, 0).decode()

    def next_line(self, having="", seconds=20):
        """The next line of output that holds a text."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                line = self.unread.get(timeout=max(0.0, deadline - time.monotonic()))
            except queue.Empty:
                line = None
            if line is None:
                raise AssertionError(f"{self.argv[0]} said no '{having}': {self.lines[-5:]} {self.stderr()[-2000:]}")
            if having in line:
                return line

    def tell(self, text):
        self.child.stdin.write(text + "\n")
        self.child.stdin.flush()

    def ask(self, text, seconds=20):
        """Plants a block: the target does what the line says and answers with its own measure."""
        self.tell(text)
        return json.loads(self.next_line("{", seconds))["ns"]

    def finish(self, seconds=30):
        """Waits for the end and returns the exit status."""
        if self.child.poll() is None:
            pidfd = os.pidfd_open(self.pid)
            ended = select.poll()
            ended.register(pidfd, select.POLLIN)
            ended.poll(seconds * 1000)
            os.close(pidfd)
        status = self.child.wait(0.1)
        self.reader.join(10)
        return status


def run(*argv, status=0, **options):
    """Runs a command to its end and returns it; fails when it exits otherwise than expected."""
    options = {"stdin": subprocess.DEVNULL, "capture_output": True, "text": True, "timeout": 60, **options}
    done = subprocess.run([str(arg) for arg in argv], **options)
    if status is not None and done.returncode != status:
        raise AssertionError(f"{argv} exits {done.returncode} instead of {status}: "
                             f"{done.stdout[-2000:]} {done.stderr[-2000:]}")
    return done


def loopscope(*argv, **options):
    return run(LOOPSCOPE, *argv, **options)


class Attach(Process):
    """loopscope attach in the background, from the moment it has learned the loops."""

    def __init__(self, pid, capture, *options, program=(LOOPSCOPE,), **popen):
        self.capture = capture
        with working:
            super().__init__([*program, "attach", "-p", pid, "-o", capture, *options], **popen)
            try:
                self.ready = self.next_line("attached")
            except AssertionError:
                self.__exit__()
                raise

    def stop(self):
        """Ctrl-C, and the report of the capture."""
        self.child.send_signal(signal.SIGINT)
        return self.end()

    def end(self):
        status = self.finish()
        if status != 0:
            raise AssertionError(f"attach exits {status}: {self.lines[-5:]} {self.stderr()[-2000:]}")
        return report_of(self.capture)


@functools.cache
def validator_of(what):
    """What validates documents of a command by the schema that loopscope has of them."""
    schema = json.loads(loopscope("schema", what).stdout)
    kind = jsonschema.validators.validator_for(schema)
    kind.check_schema(schema)
    return kind(schema)


def require_valid(document, what):
    error = jsonschema.exceptions.best_match(validator_of(what).iter_errors(document))
    if error:
        raise error


def report_of(capture):
    """The JSON report of a capture, after checking what must hold for every one."""
    with working:
        return checked(capture)


def checked(capture):
    report = json.loads(loopscope("report", "--json", capture).stdout)
    require_valid(report, "report")

    events, lost = report["capture"]["events"], report["capture"]["lost"]
    if events["emitted"] != events["stored"] + sum(lost.values()):
        raise AssertionError(f"the ledger does not balance: {events}, lost {lost}")
    for stall in report["stalls"]:
        if sum(part["ns"] for part in stall["split"]) != stall["duration_ns"]:
            raise AssertionError(f"the split is not the duration: {stall}")

    rows = run("sqlite3", "-readonly", capture, "select * from stalls", errors="replace").stdout.splitlines()
    if len(rows) < len(report["stalls"]):
        raise AssertionError(f"{len(report['stalls'])} stalls reported, {len(rows)} stored")
    with contextlib.closing(sqlite3.connect(f"file:{capture}?mode=ro", uri=True)) as db:
        if db.execute("pragma integrity_check").fetchone() != ("ok",):
            raise AssertionError(f"{capture} is damaged")
    return report


def part(stall, cause):
    return sum(p["ns"] for p in stall["split"] if p["cause"] == cause)


def lacked(stall):
    """How long the loop could have run and had no CPU."""
    return sum(part(stall, cause) for cause in ("runqueue", "throttled", "steal"))


def frames_of(report, stack):
    return next((s["frames"] for s in report["stacks"] if s["id"] == stack), [])


def describe(report):
    """One line a stall and finding: what a failed test shows."""
    stalls = []
    for s in report["stalls"]:
        split = " + ".join(f"{p['cause']} {p['ns'] / MS:.1f}" for p in s["split"])
        stalls.append(f"{s['duration_ns'] / MS:.1f} ms ({s['duration_min_ns'] / MS:.1f}-{s['duration_max_ns'] / MS:.1f}, "
                      f"{s['mode']}) at {s['start_ns'] / MS:.0f}: {split}")
    rules = [f"{f['rule']}/{f['severity']}: {f['message']}" for f in report["findings"]]
    capture = report["capture"]
    return (f"seed {SEED}; events: {capture['events']}, lost {capture['lost']}; unseen: {capture['unseen']}; stalls: {stalls}; "
            f"findings: {rules}")


def stolen_ns():
    """What the hypervisor took of this machine's CPUs so far, as the kernel counts; to a tick."""
    with open("/proc/stat", encoding="ascii") as file:
        return int(file.readline().split()[8]) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Case(unittest.TestCase):
    """A test with a folder of its own and the assertions about stalls."""
    maxDiff = None

    def __init_subclass__(cls):
        super().__init_subclass__()
        expand(cls)

    def setUp(self):
        rng.begin(self.id())
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="lsc-e2e-"))
        self.dir.chmod(0o755)
        self.addCleanup(shutil.rmtree, self.dir, ignore_errors=True)
        self.capture = str(self.dir / "run.lsc")
        self.stolen_before = stolen_ns()

    def assertStall(self, stall, truth_ns, cause, report, most_ns=0):
        """As long as the target says, or at most most_ns where that is all that is known. Time without a CPU on either
        side of what the target measured may add to it, and only that. The bounds hold the truth; the length is it."""
        told = f"truth {truth_ns}; {describe(report)}"
        most = max(truth_ns, most_ns) + SLACK + part(stall, "runqueue") + self.stolen(stall, report)
        self.assertEqual(stall["cause"], cause, told)
        self.assertLessEqual(stall["duration_min_ns"], most, told)
        self.assertGreaterEqual(stall["duration_max_ns"], truth_ns - SLACK, told)
        self.assertGreaterEqual(stall["duration_ns"], truth_ns - SLACK, told)
        self.assertLessEqual(stall["duration_ns"], most, told)

    def stolen(self, stall, report):
        """What the hypervisor took of a stall, which the kernel counts so, too."""
        told = part(stall, "steal")
        if told:
            self.assertLessEqual(told, stolen_ns() - self.stolen_before + TICK, describe(report))
        return told

    @staticmethod
    def crowded(report):
        """Stalls of a crowded host: of which the want of a CPU is the largest part, or most of it."""
        return {stall["id"] for stall in report["stalls"]
                if stall["cause"] in ("runqueue", "steal") or 2 * lacked(stall) > stall["duration_ns"]}

    def planted(self, report):
        """The stalls in their order, without those of a crowded host. What lacked a CPU for most of its time no finding
        but host-contention may explain."""
        crowded = self.crowded(report)
        for stall in report["stalls"]:
            self.stolen(stall, report)
        hosts = {stall["id"] for stall in report["stalls"] if 2 * lacked(stall) > stall["duration_ns"]}
        for finding in report["findings"]:
            if hosts & set(finding["stall_ids"]):
                self.assertEqual(finding["rule"], "host-contention", describe(report))
        return sorted((stall for stall in report["stalls"] if stall["id"] not in crowded),
                      key=lambda stall: stall["start_ns"])

    def assertStalls(self, report, truths, cause):
        """Exactly the planted stalls, in their order. Returns them."""
        stalls = self.planted(report)
        self.assertEqual(len(stalls), len(truths), f"planted {truths}; {describe(report)}")
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth, cause, report)
        return stalls

    def assertAgree(self, attaches, truth):
        """Each of these, which it ends, tells of the one sleep on the loop that was planted."""
        for attach in attaches:
            report = attach.stop()
            [stall] = [stall for stall in report["stalls"] if stall["cause"] == "sleep"]
            self.assertStall(stall, truth, "sleep", report)

    def assertOnlyFindingsOf(self, report, stalls):
        """No finding speaks of anything but these stalls, and of those that are the host's; host-contention may: it is
        the host's."""
        may = {stall["id"] for stall in stalls} | self.crowded(report)
        for finding in report["findings"]:
            if finding["rule"] != "host-contention":
                self.assertTrue(finding["stall_ids"] and set(finding["stall_ids"]) <= may, describe(report))

    def assertExplained(self, report, stalls):
        """Every one of these stalls belongs to a finding."""
        told = {stall for finding in report["findings"] for stall in finding["stall_ids"]}
        self.assertLessEqual({stall["id"] for stall in stalls}, told, describe(report))


def pause(least=0.2, most=0.5):
    """Lets the target run by itself for a random while: it is what lies between planted blocks."""
    time.sleep(rng.uniform(least, most))


def main():
    print(f"seed {SEED} (LSC_SEED={SEED} repeats this run)", flush=True)
    result = unittest.main(exit=False, verbosity=2, testRunner=Runner).result
    for test, reason in result.skipped:
        print(f"skipped {test}: {reason}")
    if not result.wasSuccessful():
        sys.exit(1)
    sys.exit(SKIPPED if result.testsRun and len(result.skipped) == result.testsRun else 0)
