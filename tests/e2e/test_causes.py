# SPDX-License-Identifier: MIT
"""Where a stall's time went. The target measures itself by its thread's own clocks; what is done to
it from outside is measured by who does it. LSC_FULL=1 plants fifty stalls instead of twenty."""
import contextlib
import ctypes
import json
import math
import os
import pathlib
import shutil
import signal
import sqlite3
import time
import unittest

from harness import (BIN, HERE, MS, PYTHON, SLACK, Attach, Case, Process, describe, main, part, pause, rng,
                     wait_until)
from standstill import OnHost

CAUSES = BIN.parent / "tests/e2e/causes"
INTERRUPTED = BIN.parent / "tests/e2e/interrupted"
TICK = 4 * MS  # of the kernel, and of our sampler
FULL = bool(os.environ.get("LSC_FULL"))
CAUSE_OF = {"busy": "cpu-user", "kernel": "cpu-kernel", "sleep": "sleep", "naps": "sleep", "lock": "lock",
            "fault": "page-fault", "stop": "stopped"}


def state_of(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as file:
        return file.read().rpartition(")")[2].split()[0]


class Target(Process):
    """The program that loses its time on demand."""

    def __init__(self, *argv):
        """"poll": it idles in that; a number of threads that compute beside the loop; the path of a file."""
        super().__init__([CAUSES, *argv])
        self.resident = int(self.next_line("running").split()[1])  # pages of the file

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


def hierarchy(controller):
    """Where cgroup v1 has a controller, or cgroup v2 (None) is mounted; None if nowhere."""
    with open("/proc/mounts", encoding="utf-8") as file:
        for _, folder, kind, options, *_ in map(str.split, file):
            if kind == ("cgroup" if controller else "cgroup2") and (not controller or controller in options.split(",")):
                return pathlib.Path(folder)
    return None


class Cgroup:
    """A control group for the time of a `with` block; targets in it must have ended by then."""

    def __init__(self, parent):
        self.folder = parent / f"lsc-e2e-{os.getpid()}"

    def __enter__(self):
        self.folder.mkdir()
        return self

    def __exit__(self, *_):
        def removed():
            with contextlib.suppress(OSError):  # busy until the last of it is reaped
                self.folder.rmdir()
            return not self.folder.exists()
        wait_until(removed, 5, f"{self.folder} is empty")

    def write(self, file, text):
        (self.folder / file).write_text(str(text))

    def stat(self, key, file="cpu.stat"):
        return int(dict(line.split() for line in (self.folder / file).read_text().splitlines())[key])


def drawn_apart(one, other, draws):
    """How far two shares may be apart that were each drawn so often: three standard errors. The kernel tells
    user from system time by whom its tick meets, as our sampler does."""
    mean = (one + other) / 2
    return max(0.1, 3 * math.sqrt(2 * mean * (1 - mean) / draws))


class Planted(OnHost):
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

    def assertPart(self, stall, cause, least, most, report, truth=None):
        """Between two measures, give or take what a target that measures itself cannot see: the kernel's
        clocks stop with the CPU when the host takes that away. A collector that got no CPU for a while
        cannot tell where the tick began, and says so by its bounds."""
        stood = self.stood_ns(stall, report)
        unsure = stall["duration_max_ns"] - stall["duration_ns"]
        told = (f"{cause} is {part(stall, cause)} of {stall['split']}, not {least}..{most}; CPUs stood still for "
                f"{stood}; {truth or ''}; {describe(report)}")
        self.assertGreaterEqual(part(stall, cause), least - SLACK - unsure - stood, told)
        self.assertLessEqual(part(stall, cause), most + SLACK + stood, told)

    def assertDelay(self, stall, truth, report):
        """It lacked a CPU for as long as it says, and maybe before and after what it measured."""
        around = max(0, stall["duration_ns"] - truth["ns"])
        self.assertPart(stall, "runqueue", truth["delay_ns"], truth["delay_ns"] + around, report, truth)

    def assertSplit(self, stall, kind, truth, report):
        """The parts are what the target's clocks say, and the largest names the stall. On a crowded
        host that may be the run queue: if the target says so."""
        cause, delay = CAUSE_OF[kind], truth.get("delay_ns", 0)
        self.assertLessEqual(abs(sum(p["ns"] for p in stall["split"]) - stall["duration_ns"]),
                             stall["duration_ns"] / 100, describe(report))
        if kind == "stop":
            self.assertPart(stall, cause, truth["ns"], truth["most_ns"], report)
            return self.assertEqual(stall["cause"], cause, describe(report))
        self.assertDelay(stall, truth, report)
        if kind in ("busy", "kernel"):
            own = part(stall, "cpu-user") + part(stall, "cpu-kernel")
            # it computes or waits for a CPU: the host took the rest, less than 8 ms of which read as CPU
            host = min(max(0, truth["ns"] - truth["cpu_ns"] - delay), 8 * MS)
            self.assertLessEqual(own, truth["cpu_ns"] + host + SLACK, f"{truth}; {stall}; {describe(report)}")
            unsure = stall["duration_max_ns"] - stall["duration_ns"]
            self.assertGreaterEqual(own, truth["cpu_ns"] - unsure - SLACK, f"{truth}; {stall}; {describe(report)}")
            share = part(stall, cause) / own
            true = truth["user_ns" if kind == "busy" else "system_ns"] / (truth["user_ns"] + truth["system_ns"])
            self.assertLessEqual(abs(share - true), drawn_apart(share, true, own / TICK),
                                 f"{truth}; {stall}; {describe(report)}")
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
            self.assertDelay(stall, truth, report)


class ColdFile(Planted):
    """Pages of a mapped file that have to come from a disk, each a wait of its own."""

    @contextlib.contextmanager
    def target(self):
        """The pages of its file are not in memory."""
        kept = []
        for folder in (self.dir, BIN.parent):
            file = folder / f"cold-{os.getpid()}"
            self.addCleanup(file.unlink, missing_ok=True)
            with Target(file) as target:
                if not target.resident:
                    yield target
                    return
                kept.append(f"{folder} keeps {target.resident} pages")
        self.skipTest(f"no page can be dropped here: {', '.join(kept)}")

    def test_many_small_waits_for_pages_count_like_a_large_one(self):
        # A target cannot tell by its clocks what a hypervisor took from what it waited. We tell that
        # as steal, as other where the kernel does not count it, and as CPU where it is short.
        with self.target() as target, Attach(target.pid, self.capture) as attach:
            truths = []
            for _ in range(6):
                pause()
                truths.append(target.lose(("cold", rng.uniform(0.08, 0.15))))
            pause()
            report = attach.stop()
        slow = clean = 0
        for truth in truths:
            off = truth["ns"] - truth["cpu_ns"] - truth["delay_ns"]
            stall = self.stall_of(report, truth)
            own = part(stall, "cpu-user") + part(stall, "cpu-kernel")
            host = part(stall, "steal") + part(stall, "other") + max(0, own - truth["cpu_ns"])
            told = part(stall, "page-fault")
            print(f"{truth['faults']} pages from the disk in {truth['ns'] / MS:.1f} ms, {off / MS:.1f} of them off the "
                  f"CPU; told: {told / MS:.1f} page-fault, {host / MS:.1f} the host's")
            self.assertPart(stall, "page-fault", off - host, off, report)
            self.assertDelay(stall, truth, report)
            if told > max(own, part(stall, "runqueue"), host):
                self.assertEqual(stall["cause"], "page-fault", f"{truth}; {describe(report)}")
            if 2 * told >= stall["duration_ns"]:
                explained = [i for f in report["findings"] if f["rule"] == "page-fault" for i in f["stall_ids"]]
                self.assertIn(stall["id"], explained, describe(report))
            slow += off > truth["ns"] / 4
            clean += off > truth["ns"] / 4 and told > off - SLACK
        if not slow:
            self.skipTest(f"the disk is so fast that hardly a fault sleeps: {truths}")
        self.assertTrue(clean, f"of {slow} turns that waited for pages: {truths}; {describe(report)}")


HOLDS = """import os, sys, time
os.sched_setaffinity(0, {int(sys.argv[1])})
os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
print("ready", flush=True)
for line in sys.stdin:
    begin, end = map(int, line.split())
    time.sleep(max(0, begin - time.monotonic_ns()) / 1e9)
    while time.monotonic_ns() < end:
        pass
"""


class Stopped(Planted):
    """It was the one who stopped it, and not the program: whatever the program was in."""

    def assertStopped(self, report, truth):
        stall = self.stall_of(report, truth)
        self.assertSplit(stall, "stop", truth, report)
        findings = [f for f in report["findings"] if stall["id"] in f["stall_ids"]]
        self.assertEqual([f["rule"] for f in findings], ["stopped"], describe(report))
        self.assertIn(findings[0]["severity"], ("info", "warning"), describe(report))

    def test_a_debugger_that_attaches(self):
        with Target() as target, Attach(target.pid, self.capture) as attach:
            pause()
            truth = target.trace(rng.uniform(0.15, 0.25))
            pause()
            report = attach.stop()
        self.assertStopped(report, truth)

    def test_a_call_that_goes_on_afterwards_is_the_call_it_was(self):
        with Target() as target, Attach(target.pid, self.capture) as attach:
            pause()
            turns = []
            for cause in ("sleep", "lock"):
                length = rng.uniform(0.3, 0.4)
                target.tell(f"{cause} {length * 1e9:.0f}")
                time.sleep(rng.uniform(0.05, 0.1))
                stopped = target.stop(rng.uniform(0.05, 0.1))
                turns.append((cause, stopped, json.loads(target.next_line("{"))))
                pause()
            report = attach.stop()
        for cause, stopped, truth in turns:
            stall = self.stall_of(report, truth)
            self.assertPart(stall, "stopped", stopped["ns"], stopped["most_ns"], report)
            off = truth["ns"] - truth["cpu_ns"] - truth["delay_ns"]
            self.assertPart(stall, cause, off - stopped["most_ns"], off - stopped["ns"], report)
            self.assertEqual(stall["cause"], cause, describe(report))

    def leave(self, cpu):
        """Who wakes up on a CPU that is held, while the others have work, is there until it is let go."""
        ours = os.sched_getaffinity(0)
        if ours == {cpu}:
            self.skipTest("there is one CPU only")
        self.addCleanup(os.sched_setaffinity, 0, ours)
        os.sched_setaffinity(0, ours - {cpu})

    def held(self, held, stopped):
        """A sleep that is stopped meanwhile, and goes on; its CPU is held by another for a while. Both begin so many
        seconds after the sleep, and last for so long. What the loop then waits for its CPU, its own clocks know."""
        cpu = rng.choice(sorted(os.sched_getaffinity(0)))
        with Target() as target, Process([PYTHON, "-c", HOLDS, cpu]) as holder, \
                Attach(target.pid, self.capture) as attach:
            for thread in os.listdir(f"/proc/{target.pid}/task"):
                os.sched_setaffinity(int(thread), {cpu})
            holder.next_line("ready")
            self.leave(cpu)
            pause()
            begin = time.monotonic_ns()
            holder.tell(" ".join(str(begin + int(at * 1e9)) for at in (held[0], sum(held))))
            target.tell("sleep 300000000")
            time.sleep(stopped[0])
            stop = target.stop(stopped[1])
            truth = json.loads(target.next_line("{"))
            pause()
            report = attach.stop()
        self.assertGreater(truth["delay_ns"], 4 * SLACK, f"the CPU was not held: {truth}")
        stall = self.stall_of(report, truth)
        self.assertPart(stall, "runqueue", truth["delay_ns"], truth["delay_ns"], report)
        self.assertPart(stall, "stopped", stop["ns"], stop["most_ns"], report)
        off = truth["ns"] - truth["cpu_ns"] - truth["delay_ns"]
        self.assertPart(stall, "sleep", off - stop["most_ns"], off - stop["ns"], report)

    def test_a_cpu_is_waited_for_behind_what_a_stop_left_of_a_sleep(self):
        self.held((0.27, rng.uniform(0.05, 0.09)), (rng.uniform(0.03, 0.08), rng.uniform(0.05, 0.1)))

    def test_a_cpu_is_waited_for_before_the_stop_of_a_sleep(self):
        """The signal ends the sleep before its time."""
        self.held((0.03, rng.uniform(0.06, 0.1)), (0.05, rng.uniform(0.05, 0.1)))

    def test_a_poll_that_goes_on_afterwards_is_still_where_the_loop_idles(self):
        with Target("poll") as target, Attach(target.pid, self.capture) as attach:
            pause()
            truth = target.stop(rng.uniform(0.15, 0.25))
            pause(0.5, 0.8)  # idles, in what the kernel calls restart_syscall
            planted = target.lose(("sleep", 0.1))
            report = attach.stop()
        self.assertStopped(report, truth)
        self.assertSplit(self.stall_of(report, planted), "sleep", planted, report)
        self.assertEqual(len(self.planted(report)), 2, describe(report))

    def freeze(self, parent, file, on, off, frozen):
        with Cgroup(parent) as group, Target() as target, Attach(target.pid, self.capture) as attach:
            group.write("cgroup.procs", target.pid)
            pause()
            truth = target.keep(rng.uniform(0.15, 0.25), lambda: group.write(file, on),
                                lambda: group.write(file, off), lambda: frozen(group))
            pause()
            report = attach.stop()
        self.assertStopped(report, truth)

    @unittest.skipUnless(hierarchy("freezer"), "cgroup v1's freezer is not mounted")
    def test_a_frozen_cgroup_v1(self):
        self.freeze(hierarchy("freezer"), "freezer.state", "FROZEN", "THAWED",
                    lambda group: (group.folder / "freezer.state").read_text().strip() == "FROZEN")

    @unittest.skipUnless(hierarchy(None), "cgroup v2 is not mounted")
    def test_a_frozen_cgroup_v2(self):
        self.freeze(hierarchy(None), "cgroup.freeze", 1, 0, lambda group: group.stat("frozen", "cgroup.events"))


class Interrupted(Case):
    """The kernel interrupts the call for other work of the thread, io_uring's, and has it go on."""

    @unittest.skipUnless(INTERRUPTED.exists(), "liburing was not found when this was built")
    def test_a_sleep_in_many_pieces_is_one_block(self):
        with Process([INTERRUPTED]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                truths = []
                for piece in (2, 3, 7, 14):  # ms: of blocks that are too short to be told, and of longer ones
                    pause(0.1, 0.3)
                    process.tell(f"{rng.randint(60_000, 120_000)} {piece * 1000}")
                    truths.append(json.loads(process.next_line("{")))
                pause()
                report = attach.stop()
        told = f"planted {truths}; {describe(report)}"
        stalls = self.assertStalls(report, [truth["ns"] for truth in truths], "sleep")
        for stall, truth in zip(stalls, truths):
            self.assertGreater(truth["times"], 2, told)  # it was interrupted
            self.assertGreater(part(stall, "sleep"), truth["ns"] - SLACK - part(stall, "runqueue"), told)
        [finding] = [finding for finding in report["findings"] if finding["rule"] == "blocking-sleep"]
        self.assertEqual(finding["count"], len(truths), told)
        self.assertEqual(finding["site"]["function"], "rest_us", told)


class Throttled(Planted):
    PERIOD_US = 100_000

    @contextlib.contextmanager
    def quota(self, percent):
        """A cgroup that gets so much of one CPU, and the key and unit of its throttled time."""
        quota = self.PERIOD_US * percent // 100
        if hierarchy("cpu"):
            with Cgroup(hierarchy("cpu")) as group:
                group.write("cpu.cfs_period_us", self.PERIOD_US)
                group.write("cpu.cfs_quota_us", quota)
                yield group, "throttled_time", 1
            return
        unified = hierarchy(None)
        if not unified or "cpu" not in (unified / "cgroup.controllers").read_text().split():
            self.skipTest("no cgroup has a cpu controller here")
        (unified / "cgroup.subtree_control").write_text("+cpu")
        with Cgroup(unified) as group:
            group.write("cpu.max", f"{quota} {self.PERIOD_US}")
            yield group, "throttled_usec", 1000

    def test_a_loop_over_its_quota_was_throttled_and_not_in_the_run_queue(self):
        """A quota that is used up soon, also beside others that compute."""
        with self.quota(10) as (group, key, unit), Target() as target, Attach(target.pid, self.capture) as attach:
            group.write("cgroup.procs", target.pid)
            pause()
            before = group.stat(key)
            truth = target.lose(("busy", rng.uniform(0.35, 0.45)))
            throttled = (group.stat(key) - before) * unit
            pause()
            most = (group.stat(key) - before) * unit  # the quota may be used up between its answer and its wait
            report = attach.stop()
        stall = self.stall_of(report, truth)
        told = f"cgroup says {throttled} to {most}; {truth}; {stall['split']}; {describe(report)}"
        self.assertGreater(throttled, 4 * SLACK, told)
        self.assertGreaterEqual(part(stall, "throttled"), throttled - SLACK, told)
        self.assertLessEqual(part(stall, "throttled"), most + SLACK, told)
        queued = truth["delay_ns"] - throttled
        self.assertPart(stall, "runqueue", queued, queued, report)
        if throttled > max(queued, truth["cpu_ns"]) + 2 * SLACK:  # else a crowded host kept it from its quota
            self.assertEqual(stall["cause"], "throttled", told)
        if truth["delay_ns"] > truth["ns"] / 2 + SLACK:
            findings = [f for f in report["findings"] if stall["id"] in f["stall_ids"]]
            self.assertEqual([f["rule"] for f in findings], ["host-contention"], told)
            self.assertEqual(findings[0]["severity"], "warning", told)

    def test_a_crowded_cpu_is_no_throttling(self):
        """A quota that is never reached, and more threads than CPUs."""
        with self.quota(100 * os.cpu_count() * 10) as (group, _, _), Target(3 * os.cpu_count()) as target, \
                Attach(target.pid, self.capture) as attach:
            group.write("cgroup.procs", target.pid)
            pause()
            truth = target.lose(("busy", 0.3))
            report = attach.stop()
        stall = self.stall_of(report, truth)
        self.assertEqual(part(stall, "throttled"), 0, f"{truth}; {stall['split']}")
        self.assertDelay(stall, truth, report)


class Gil(Planted):
    def watch(self, python):
        with Process([python, HERE / "targets/gil.py", 1]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                pause()
                truths = []
                for _ in range(4):
                    pause()
                    target.tell(f"{rng.uniform(0.2, 0.3):.3f}")
                    truths.append(json.loads(target.next_line("{")))
                pause()
                report = attach.stop()
        held = 0
        for truth in truths:
            stall = self.stall_of(report, truth)
            off = truth["ns"] - truth["cpu_ns"] - truth["delay_ns"]
            around = max(0, stall["duration_ns"] - truth["ns"])  # the loop itself needs the lock, too
            self.assertPart(stall, "gil", off, off + around, report)
            self.assertEqual(part(stall, "lock"), 0, describe(report))
            if off < truth["ns"] / 2 + SLACK:
                continue  # on a crowded host the run queue may be what holds it most
            held += 1
            self.assertEqual(stall["cause"], "gil", describe(report))
            findings = [f for f in report["findings"] if stall["id"] in f["stall_ids"]]
            self.assertIn("gil-wait", [f["rule"] for f in findings], describe(report))
            self.assertNotIn("blocking-lock", [f["rule"] for f in findings], describe(report))
        self.assertTrue(held, f"the host is too crowded: {truths}")

    def test_debians_python(self):
        self.watch(PYTHON)

    @unittest.skipIf(os.path.realpath(shutil.which("python3") or PYTHON) == os.path.realpath(PYTHON),
                     "no Python here but Debian's")
    def test_the_python_of_the_path(self):
        self.watch(shutil.which("python3"))


if __name__ == "__main__":
    main()
