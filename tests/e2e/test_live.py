# SPDX-License-Identifier: MIT
"""What attach says while it watches: a long stall while it still goes on, and each stall soon after its end.
The truth is when the target says that it was over."""
import json
import os
import signal
import socket
import time

from demo import SERVICE
from harness import (BIN, HERE, LOOPSCOPE, MS, PYTHON, Attach, Case, Process, children_of, descendants_of, describe,
                     loopscope, main, pause, report_of, require_valid, rng, run, wait_until)
from runner import alone, calm, working
from test_redis import Redis

SOON = 100 * MS  # from the end of a stall to its line
S = 1000 * MS


class Events(Process):
    """loopscope attach --json, with the time at which each event came."""

    def __init__(self, pid, capture, *options, **popen):
        self.events = []
        self.capture = capture
        with working:
            super().__init__([LOOPSCOPE, "attach", "--json", "-p", pid, "-o", capture, *options], **popen)
            wait_until(lambda: self.of("ready"), 20, "ready")

    def _read(self):
        for line in self.child.stdout:
            self.events.append({**json.loads(line), "came_ns": time.monotonic_ns()})

    def of(self, kind):
        return [event for event in list(self.events) if event["event"] == kind]

    def stalls(self, in_progress):
        return [event for event in self.of("stall") if event["in_progress"] == in_progress]

    def stop(self, validate=True):
        self.child.send_signal(signal.SIGINT)
        status = self.finish()
        if status != 0:
            raise AssertionError(f"attach exits {status}: {self.stderr()[-2000:]}")
        if not validate:
            return json.loads(loopscope("report", "--json", self.capture).stdout)
        for event in self.events:
            require_valid(event, "attach")
        return report_of(self.capture)


def blocker():
    process = Process([PYTHON, HERE / "targets/blocker.py"])
    process.next_line("running")
    return process


def plant(process, line, seconds=30):
    """Has the target block; its own account of it."""
    process.tell(line)
    return json.loads(process.next_line("{", seconds))


class Live(Case):
    def assertSoon(self, event, end_ns, told=""):
        late = event["came_ns"] - end_ns
        self.assertLess(late, SOON, f"{told} told {late / MS:.1f} ms after its end")

    def assertAnnounced(self, attach, began_ns, end_ns):
        """One announcement while it went on, after a second, and one end. Returns both."""
        [final] = wait_until(lambda: attach.stalls(False), 5, "the end of the stall")
        self.assertSoon(final, end_ns)
        self.assertEqual(len(attach.stalls(True)), 1, attach.of("stall"))
        [early] = attach.stalls(True)
        self.assertLess(early["came_ns"], end_ns)
        after = early["came_ns"] - began_ns
        self.assertTrue(S <= after < 1.3 * S, f"announced after {after / MS:.0f} ms")
        self.assertTrue(S <= early["duration_ns"] <= after, early)
        self.assertLess(abs(early["start_ns"] - final["start_ns"]), 10 * MS)
        return early, final


@calm
class Announcements(Live):
    def test_redis_that_sleeps_is_told_with_call_and_stack_while_it_sleeps(self):
        with Redis(self.dir) as redis, Events(redis.pid, self.capture) as attach:
            for _ in range(3):  # turns that confirm where it idles
                redis.cli("ping")
            pause()
            began = time.monotonic_ns()
            redis.sleep(2.5)
            end = time.monotonic_ns()
            early, final = self.assertAnnounced(attach, began, end)
            report, truths = attach.stop(), redis.slept()
        self.assertEqual(early["cause"], "sleep")
        self.assertRegex(early["syscall"], "nanosleep")
        self.assertIn("debugCommand", early["frames"])
        self.assertIn("debugCommand", final["frames"])
        self.assertStalls(report, truths, "sleep")

    def test_a_coroutine_that_sleeps(self):
        with blocker() as process, Events(process.pid, self.capture) as attach:
            pause()
            began = time.monotonic_ns()
            truth = plant(process, f"sleep {rng.uniform(1.6, 2.4):.3f}")
            early, final = self.assertAnnounced(attach, began, truth["end_ns"])
            report = attach.stop()
        self.assertEqual((early["cause"], final["cause"]), ("sleep", "sleep"))
        self.assertRegex(early["syscall"], "nanosleep")
        self.assertTrue(early["frames"], early)
        self.assertStalls(report, [truth["ns"]], "sleep")

    @alone
    def test_a_coroutine_that_computes(self):
        with blocker() as process, Events(process.pid, self.capture) as attach:
            pause()
            began = time.monotonic_ns()
            truth = plant(process, f"spin {rng.uniform(1.6, 2.4):.3f}")
            early, final = self.assertAnnounced(attach, began, truth["end_ns"])
            attach.stop()
        self.assertEqual((early["cause"], final["cause"]), ("cpu-user", "cpu-user"))
        self.assertIsNone(early["syscall"])
        self.assertTrue(early["frames"], early)

    def test_a_child_that_is_waited_for(self):
        with blocker() as process, Events(process.pid, self.capture) as attach:
            pause()
            began = time.monotonic_ns()
            truth = plant(process, f"child {rng.uniform(1.6, 2.4):.3f}")
            early, final = self.assertAnnounced(attach, began, truth["end_ns"])
            attach.stop()
        self.assertIn(early["cause"], ("child-wait", "pipe-io"))  # who ends the wait is known at its end
        self.assertEqual(final["cause"], "child-wait")

    def test_one_that_follows_an_announced_one_soon_is_announced_too(self):
        with blocker() as process, Events(process.pid, self.capture) as attach:
            pause()
            for turn in range(3):
                began = time.monotonic_ns()
                plant(process, f"sleep {rng.uniform(1.3, 1.8):.3f}")
                wait_until(lambda: len(attach.stalls(False)) > turn, 5, "its end")
                self.assertEqual(len(attach.stalls(True)), turn + 1, attach.of("stall"))
                after = attach.stalls(True)[turn]["came_ns"] - began
                self.assertTrue(S <= after < 1.3 * S, f"announced after {after / MS:.0f} ms")
            attach.stop()

    def test_a_person_reads_that_it_hangs(self):
        with blocker() as process, Attach(process.pid, self.capture) as attach:
            pause()
            process.tell("sleep 1.5")
            self.assertRegex(attach.next_line("HANGS"), r"^[0-9:.]{12}  HANGS 1\.\d+ s +sleep +clock_nanosleep\(1\.50? s\)")
            self.assertEqual(process.unread.qsize(), 0)
            attach.next_line("STALL")
            attach.stop()

    def test_a_stall_that_is_cut_off_by_a_kill_was_told(self):
        with blocker() as process, Events(process.pid, self.capture) as attach:
            pause()
            process.tell("sleep 20")
            [early] = wait_until(lambda: attach.stalls(True), 5, "the announcement")
            time.sleep(rng.uniform(0.1, 0.5))
            killed = time.monotonic_ns()
            process.child.kill()
            attach.finish()
            report = report_of(self.capture)
        last = attach.of("stall")[-1]
        self.assertGreater(last["duration_ns"], early["duration_ns"])
        self.assertSoon(last, killed)
        self.assertEqual(len(attach.of("stall")), 2)
        [stall] = self.planted(report)
        self.assertTrue(stall["in_progress"], describe(report))

    def test_a_loop_of_our_own_is_told_with_its_task_and_without_privileges(self):
        truth = self.dir / "truth.json"
        with Process([BIN / SERVICE, "--period", "700ms", "--block", f"{rng.randint(1500, 2000)}ms", "--count", 1,
                      "--truth", truth]) as process:
            process.next_line()
            with Events(process.pid, self.capture, "--require", "ring") as attach:
                self.assertEqual(process.finish(), 0)
                attach.finish()
        [block] = [json.loads(line) for line in truth.read_text().splitlines()]
        early, _ = self.assertAnnounced(attach, block["start_ns"], block["end_ns"])
        self.assertEqual(early["cause"], "other")  # a ring does not say why
        self.assertEqual(early["task"]["name"], "report-writer")


class Ends(Live):
    def test_each_stall_is_told_soon_after_its_end(self):
        with blocker() as process, Events(process.pid, self.capture) as attach:
            pause()
            for number in range(10):
                kind = rng.choice(("sleep", "spin", "child"))
                truth = plant(process, f"{kind} {rng.uniform(0.06, 0.3):.3f}")
                wait_until(lambda number=number: len(attach.stalls(False)) > number, 2, f"the line of a {kind}")
                self.assertSoon(attach.stalls(False)[number], truth["end_ns"], kind)
            report = attach.stop()
        self.assertEqual(len(attach.stalls(True)), 0)
        self.assertGreaterEqual(len(report["stalls"]), 10, describe(report))

    def test_a_stack_that_is_slow_to_resolve_holds_up_no_line_and_is_stored(self):
        """The first of a program: its files are read for it, which may take longer than unwinding. One with a ring:
        of the others it is done before, for the stack that they idle with."""
        with Process([BIN.parent / "tests/e2e/batches"]) as process, Events(process.pid, self.capture) as attach:
            pause()
            helpers = helpers_of(attach.pid)
            for pid in helpers:
                os.kill(pid, signal.SIGSTOP)
            try:
                truth = plant(process, f"sleep 1 {rng.randint(60, 200) * MS}")
                [told] = wait_until(lambda: attach.stalls(False), 2, "the line")
            finally:
                for pid in helpers:
                    os.kill(pid, signal.SIGCONT)
            self.assertSoon(told, truth["begin_ns"] + truth["ns"])
            self.assertEqual(told["frames"], [])
            pause()
            report = attach.stop()
        [stall] = self.assertStalls(report, [truth["ns"]], "sleep")
        self.assertIsNotNone(stall["stack"], describe(report))


class Unread(Case):
    def test_a_client_that_reads_nothing_holds_nothing_up(self):
        # the client is this test: it reads from before `ready` on nothing, and the socket has room for a few messages
        loops = 40
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        theirs.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        ours.settimeout(30)
        with ours, Process([BIN.parent / "tests/e2e/some_loops", loops]) as process, \
                Process([BIN / "loopscoped", "--control-fd", theirs.fileno()], pass_fds=[theirs.fileno()]) as daemon:
            theirs.close()
            process.next_line("running")

            def say(**message):
                ours.send(json.dumps(message).encode())

            def hear(kind):
                while True:
                    message = json.loads(ours.recv(65536))
                    self.assertNotEqual(message["type"], "error", message)
                    heard.append(message)
                    if message["type"] == kind:
                        return message

            heard = []
            say(type="hello", version=1)
            hear("hello")
            say(type="attach", pids=[process.pid], output=self.capture, print_ns=1)
            wait_until(lambda: os.path.exists(self.capture), 20, "the capture, which is there with `ready`")
            truths = []
            for _ in range(3):
                truths.append(plant(process, f"block {rng.randrange(loops)} {rng.randint(60_000, 120_000)}")["ns"])
            # nothing was read, and all is written down within seconds
            wait_until(lambda: self.stored() == len(truths), 5, "the stalls in the capture")
            self.assertEqual(hear("ready")["loops"], loops)
            left_out = int(hear("notice")["text"].split()[0])
            say(type="stop")
            end = hear("end")
            daemon.finish()
        self.assertGreater(left_out, 0)
        self.assertGreaterEqual(end["untold"], left_out)
        told = [message["type"] for message in heard].count("loop") + [message["type"] for message in heard].count("stall")
        report = report_of(self.capture)
        self.assertStalls(report, truths, "sleep")
        self.assertEqual(told + end["untold"], loops + len(report["stalls"]))
        self.assertEqual(report["capture"]["lost"].get("bpf-ring-full", 0), 0)

    def stored(self):
        """Of those that are planted: a crowded host has stalls of its own."""
        return int(run("sqlite3", "-readonly", self.capture, "select count(*) from stalls where cause = 'sleep'").stdout)


def helpers_of(client):
    """The processes that the collector of a running loopscope has unwind stacks."""
    [collector] = children_of(client)
    return descendants_of(collector)


if __name__ == "__main__":
    main()
