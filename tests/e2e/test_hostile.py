# SPDX-License-Identifier: MIT
"""What a capture has to stand: targets that are not what they seem, that end or stand still in the midst
of it, and collectors that are killed, stopped or short of room."""
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import time

from harness import (BIN, HERE, LOOPSCOPE, PYTHON, SLACK, Attach, Case, Process, children_of, descendants_of, describe,
                     loopscope, main, part, pause, report_of, rng, run, wait_until)
from runner import alone, calm

BLOCKER = HERE / "targets/blocker.py"
MANY = BIN.parent / "tests/e2e/many_threads"


def blocker():
    process = Process([PYTHON, BLOCKER])
    process.next_line("running")
    return process


def many(loops, churners=0):
    process = Process([MANY, loops, churners])
    process.next_line("running")
    return process


def daemon_of(client):
    """The private loopscoped of a running loopscope."""
    [pid] = children_of(client)
    return pid


def is_gone(pid):
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    return True


def maps_of(pid):
    """Name and id of the BPF maps that a process holds."""
    ids = {}
    for info in pathlib.Path(f"/proc/{pid}/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):
            fields = dict(line.split(":", 1) for line in info.read_text().splitlines() if ":" in line)
            if "map_id" in fields:
                number = int(fields["map_id"])
                ids[json.loads(run("bpftool", "-j", "map", "show", "id", number).stdout)["name"]] = number
    return ids


def dump_of(number):
    return json.loads(run("bpftool", "-j", "map", "dump", "id", number).stdout)


def threads_of(maps):
    """How many threads have state in the kernel: slots in use, and those beside them."""
    used = [entry for entry in dump_of(maps["slots"]) if any(int(byte, 16) for byte in entry["value"][:4])]
    return len(used) + len(dump_of(maps["crowd"]))


def collector_beside(client):
    """The private loopscoped of a running loopscope record, among its children."""
    for pid in descendants_of(client):
        with contextlib.suppress(FileNotFoundError):
            if pathlib.Path(f"/proc/{pid}/comm").read_text() == "loopscoped\n" and "targets" in maps_of(pid):
                return pid
    return None


class Refusals(Case):
    """What cannot be watched is said in one line, with exit status 4, and leaves no file."""

    def assertRefused(self, *options, says, prefix=()):
        done = run(*prefix, LOOPSCOPE, "attach", *options, "-d", "1", "-o", self.capture, status=4)
        self.assertEqual(done.stdout, "")
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertRegex(done.stderr, says)
        self.assertEqual(os.listdir(self.dir), [])

    def test_a_zombie(self):
        dead = subprocess.Popen(["true"])
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        self.assertRefused("-p", dead.pid, says=f"{dead.pid} has ended")
        dead.wait()

    def test_a_thread_of_the_kernel(self):
        self.assertRefused("-p", 2, says="kernel")

    def test_a_threads_id(self):
        with many(1) as process:
            thread = max(int(tid) for tid in os.listdir(f"/proc/{process.pid}/task"))
            self.assertRefused("-p", thread, says=f"{thread}.*thread")

    def test_a_pid_namespace_of_our_own(self):
        shell = ("unshare", "-fp", "--mount-proc", "sh", "-c", '"$@"; exit $?', "sh")  # process 1 there
        self.assertRefused("-p", 1, says="pid namespace", prefix=shell)
        self.assertRefused("-p", os.getpid(), says="/proc", prefix=("unshare", "-fp"))


@calm
class Targets(Case):
    def test_a_process_named_twice_is_one(self):
        with blocker() as process, Attach(f"{process.pid},{process.pid}", self.capture) as attach:
            truth = process.ask("sleep 0.05")
            pause()
            report = attach.stop()
        self.assertEqual(len(report["capture"]["targets"]), 1)
        self.assertStalls(report, [truth], "sleep")

    def test_a_target_in_its_own_pid_namespace_is_the_right_one(self):
        inside = ("unshare", "-fpm", "--mount-proc", PYTHON, BLOCKER)
        with Process(inside) as process:
            process.next_line("running")
            [pid] = children_of(process.pid)
            with Attach(pid, self.capture) as attach:
                truth = process.ask("sleep 0.1")
                pause()
                report = attach.stop()
        [target] = report["capture"]["targets"]
        self.assertEqual((target["pid"], target["ns_pid"]), (pid, 1))
        self.assertStalls(report, [truth], "sleep")
        self.assertTrue(any("sleep" in (frame["function"] or "") for stack in report["stacks"]
                            for frame in stack["frames"]), describe(report))

    @alone
    def test_threads_that_are_born_and_die_leave_nothing(self):
        with many(1, 2) as process, Attach(process.pid, self.capture) as attach:
            maps = maps_of(daemon_of(attach.pid))
            truths = []
            for _ in range(2):
                process.tell(str(rng.randint(100_000, 150_000)))
                truths.append(json.loads(process.next_line("{")))
                pause(0.2, 0.4)
            self.assertGreater(truths[-1]["born"], 2000)
            self.assertLess(threads_of(maps), 200)
            self.assertLess(len(dump_of(maps["stacks"])), 10)
            report = attach.stop()
        self.assertStalls(report, [truth["ns"] for truth in truths], "sleep")
        self.assertEqual(report["capture"]["lost"], {})

    @alone
    def test_more_loops_than_there_is_room_for_stacks(self):
        with many(200) as process, Attach(process.pid, self.capture) as attach:
            self.assertIn("200 loops", attach.ready)
            process.ask("60000")
            pause()
            report = attach.stop()
        self.assertEqual(len(report["loops"]), 200)
        self.assertEqual(len(self.planted(report)), 200, describe(report))
        with_stack = {stall["loop"] for stall in report["stalls"] if stall["stack"] is not None}
        self.assertEqual(len(with_stack), 128)
        unresolved = {entry["what"]: entry["count"] for entry in report["capture"]["unresolved"]}
        self.assertEqual(unresolved["loop's stacks"], 72)
        self.assertGreaterEqual(unresolved["stack"], 72)

    @alone
    def test_a_stop_while_the_loop_idles_is_one_stall(self):
        with blocker() as process, Attach(process.pid, self.capture) as attach:
            pause()
            sent = time.monotonic_ns()
            os.kill(process.pid, signal.SIGSTOP)
            os.waitid(os.P_PID, process.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
            seen = time.monotonic_ns()
            time.sleep(0.4)
            least = time.monotonic_ns() - seen
            os.kill(process.pid, signal.SIGCONT)
            most = time.monotonic_ns() - sent
            pause()
            report = attach.stop()
        [stall] = self.planted(report)
        self.assertStall(stall, least, "stopped", report, most)
        self.assertGreaterEqual(part(stall, "stopped"), least - SLACK, describe(report))

    def test_a_target_that_stands_still_at_the_attach(self):
        with blocker() as process:
            os.kill(process.pid, signal.SIGSTOP)
            with Attach(process.pid, self.capture) as attach:
                pause()
                os.kill(process.pid, signal.SIGCONT)
                pause(0.2, 0.4)
                truth = process.ask("sleep 0.1")
                pause()
                report = attach.stop()
        self.assertStall(self.planted(report)[-1], truth, "sleep", report)

    def test_a_program_that_lives_shortly_is_seen_with_its_stacks(self):
        program = "import asyncio, time\n" \
                  "async def main():\n" \
                  "    await asyncio.sleep(0.005)\n" \
                  "    time.sleep(0.06)\n" \
                  "    await asyncio.sleep(0.005)\n" \
                  "asyncio.run(main())\n"
        loopscope("record", "-o", self.capture, "--", PYTHON, "-c", program)
        report = report_of(self.capture)
        stalls = [stall for stall in report["stalls"] if stall["cause"] == "sleep"]
        self.assertEqual(len(stalls), 1, describe(report))
        self.assertIn(stalls[0]["confidence"], ("inferred", "observed"))  # its wait is confirmed meanwhile, or not
        self.assertIsNotNone(stalls[0]["stack"], describe(report))

    def test_children_from_before_the_attach_are_followed(self):
        parent = "import subprocess, sys; subprocess.run(sys.argv[1:])"
        with Process([PYTHON, "-c", parent, PYTHON, BLOCKER]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture, "--follow") as attach:
                truth = process.ask("sleep 0.1")
                pause()
                report = attach.stop()
            process.child.stdin.close()
            process.finish()
        self.assertEqual(len(report["capture"]["targets"]), 2)
        sleeps = [stall for stall in report["stalls"] if stall["cause"] == "sleep"]
        self.assertEqual(len(sleeps), 1, describe(report))
        self.assertStall(sleeps[0], truth, "sleep", report)

    @alone
    def test_clients_in_a_followed_tree_are_no_loops(self):
        script = "redis-server --port 0 --unixsocket $0/s --save '' --enable-debug-command yes --slowlog-log-slower-than 50000 " \
                 ">/dev/null & until redis-cli -s $0/s ping; do sleep 0.05; done; sleep 0.3; redis-cli -s $0/s debug sleep 0.1; " \
                 "redis-cli -s $0/s --json slowlog get >$0/log; sleep 0.1; redis-cli -s $0/s shutdown nosave; wait"
        loopscope("record", "-o", self.capture, "--", "sh", "-c", script, self.dir)
        [truth] = [entry[2] * 1000 for entry in json.loads((self.dir / "log").read_text()) if entry[3][:1] == ["debug"]]
        report = report_of(self.capture)
        self.assertEqual([loop["comm"] for loop in report["loops"]], ["redis-server"], describe(report))
        sleeps = [stall for stall in report["stalls"] if stall["cause"] == "sleep"]
        self.assertEqual(len(sleeps), 1, describe(report))
        self.assertStall(sleeps[0], truth, "sleep", report)


@calm
class Waits(Case):
    """What idles like a loop, and what does not."""

    def watch(self, kind, blocks):
        with Process([PYTHON, HERE / "targets/waits.py", kind]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                truths = []
                for _ in range(blocks):
                    pause(0.3, 0.5)
                    truths.append(process.ask(f"{rng.uniform(0.05, 0.12):.3f}"))
                pause(0.4, 0.6)
                return attach.stop(), truths

    def test_a_loop_of_select(self):
        report, truths = self.watch("select", 2)
        self.assertStalls(report, truths, "sleep")
        self.assertEqual([loop["primary_wait"]["syscall"] for loop in report["loops"]], ["pselect6"])

    def test_a_loop_of_poll(self):
        report, truths = self.watch("poll", 2)
        self.assertStalls(report, truths, "sleep")
        self.assertEqual([loop["primary_wait"]["syscall"] for loop in report["loops"]], ["poll"])

    def test_a_client_that_waits_for_answers_is_no_loop(self):
        report, _ = self.watch("client", 0)
        self.assertEqual((report["loops"], report["stalls"]), ([], []))
        self.assertEqual([finding["rule"] for finding in report["findings"]], ["blind"])

    def test_a_pool_that_waits_for_work_is_no_loop(self):
        report, _ = self.watch("pool", 0)
        self.assertEqual((report["loops"], report["stalls"]), ([], []))

    @alone
    def test_a_loop_met_in_the_midst_of_a_child_is_found_when_it_turns_again(self):
        with blocker() as process:
            process.tell("child 1.5")
            time.sleep(rng.uniform(0.2, 0.4))
            with Attach(process.pid, self.capture) as attach:
                process.next_line("{")
                pause()
                truth = process.ask("sleep 0.1")
                pause()
                report = attach.stop()
        self.assertEqual([loop["primary_wait"]["syscall"] for loop in report["loops"]], ["epoll_wait"])
        sleeps = [stall for stall in report["stalls"] if stall["cause"] == "sleep"]
        self.assertEqual(len(sleeps), 1, describe(report))
        self.assertStall(sleeps[0], truth, "sleep", report)


@calm
class Storms(Case):
    def test_a_target_may_end_at_any_moment_of_the_attach(self):
        ends = (lambda process: process.child.kill(), lambda process: process.tell("exit 0"),
                lambda process: process.tell("exec 0.3"))
        lives_on = (lambda process: process.tell("child 0.1"),)
        for turn in range(8):
            capture = str(self.dir / f"turn-{turn}.lsc")
            with blocker() as process:
                with Process([LOOPSCOPE, "attach", "-p", process.pid, "-d", "0.4", "-o", capture]) as attach:
                    time.sleep(rng.uniform(0, 0.5))
                    happens = rng.choice(ends + lives_on)
                    with contextlib.suppress(BrokenPipeError):
                        happens(process)
                    status = attach.finish()
                    told = attach.stderr()
            self.assertIn(status, (0, 4), told)
            if status:
                self.assertEqual(len(told.splitlines()), 1, told)
            elif happens in lives_on:
                self.assertEqual(told, "")
            else:  # at the latest it ended when the watch was over
                self.assertRegex(told, rf"\A(loopscope attach: process {process.pid} ended( before the watch was ready, .*)?\n)?\Z")
            self.assertEqual(os.path.exists(capture), status == 0)
            if status == 0:
                report_of(capture)

    @alone
    def test_a_tree_of_processes_that_end_at_once_leaves_nothing(self):
        wave = "for i in $(seq 300); do /bin/true & done; for i in $(seq 300); do (:) & done; wait; echo over; read x"
        with Process([LOOPSCOPE, "record", "-o", self.capture, "--", "sh", "-c", f"{wave}; {wave}"]) as record:
            for _ in range(2):
                record.next_line("over")
                collector = wait_until(lambda: collector_beside(record.pid), 5, "the collector")
                number = maps_of(collector)["targets"]
                wait_until(lambda: len(dump_of(number)) == 1, 5, "the end of all but the shell")
                self.assertLess(len(os.listdir(f"/proc/{collector}/fd")), 100)
                record.tell("go on")
            self.assertEqual(record.finish(60), 0, record.stderr())
        report = report_of(self.capture)
        self.assertGreater(len(report["capture"]["targets"]), 200)
        self.assertEqual((report["loops"], report["capture"]["lost"]), ([], {}))


@calm
class Collectors(Case):
    def assertCutOff(self):
        report = json.loads(loopscope("report", "--json", self.capture).stdout)
        self.assertNotIn(report["capture"]["end"]["reason"], ("user", "duration", "target-exit"))
        return report

    @alone
    def test_a_killed_collector_is_one_line_and_leaves_nothing_behind(self):
        with blocker() as process, Attach(process.pid, self.capture) as attach:
            process.ask("sleep 0.1")
            pause(1.2, 1.5)
            collector = daemon_of(attach.pid)
            family = [collector, *descendants_of(collector)]
            maps = maps_of(collector)
            self.assertIn("slots", maps)
            os.kill(collector, signal.SIGKILL)
            self.assertEqual(attach.finish(), 125)
            self.assertEqual(len(attach.stderr().splitlines()), 1, attach.stderr())
            self.assertIn("killed", attach.stderr())
            wait_until(lambda: all(is_gone(pid) for pid in family), 2, "end of the helpers")
            wait_until(lambda: all(run("bpftool", "map", "show", "id", number, status=None).returncode
                                   for number in maps.values()), 2, "end of the kernel's maps")
            self.assertIsNone(process.child.poll())
        report = self.assertCutOff()
        self.assertEqual(len(self.planted(report)), 1, describe(report))

    @alone
    def test_a_collector_that_stood_still_counts_what_it_lost(self):
        with many(100) as process, Attach(process.pid, self.capture, "--stall", "1ms") as attach:
            collector = daemon_of(attach.pid)
            os.kill(collector, signal.SIGSTOP)
            for _ in range(25):
                process.ask("3000")
            os.kill(collector, signal.SIGCONT)
            process.ask("60000")
            pause()
            report = attach.stop()
        self.assertGreater(report["capture"]["events"]["emitted"], 2500)
        self.assertGreater(report["capture"]["lost"].get("bpf-ring-full", 0), 0, report["capture"])
        self.assertLess(report["capture"]["coverage"], 1)

    STILL = 30 if os.environ.get("LSC_FULL") == "1" else 8  # seconds

    def test_what_came_before_a_standstill_meanwhile_and_after_is_told_as_it_was(self):
        with blocker() as process, Attach(process.pid, self.capture) as attach:
            truths = [process.ask("sleep 0.1")]
            pause()
            collector = daemon_of(attach.pid)
            os.kill(collector, signal.SIGSTOP)
            for _ in range(4):
                truths.append(process.ask(f"sleep {rng.uniform(0.05, 0.3)}"))
                time.sleep(self.STILL / 4)
            os.kill(collector, signal.SIGCONT)
            pause()
            truths.append(process.ask("sleep 0.15"))
            pause()
            report = attach.stop()
        self.assertOnlyFindingsOf(report, self.assertStalls(report, truths, "sleep"))
        self.assertEqual(report["capture"]["lost"], {})

    @alone
    def test_a_full_disk_is_said_and_the_file_stays_sound(self):
        room = self.dir / "room"
        room.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=400k", "tmpfs", room)
        self.addCleanup(run, "umount", "-l", room)
        capture = str(room / "run.lsc")
        with many(100) as process:
            with Process([LOOPSCOPE, "attach", "-p", process.pid, "-o", capture, "--stall", "1ms"]) as attach:
                attach.next_line("attached")
                for _ in range(20):
                    process.ask("3000")
                pause(1.2, 1.5)
                attach.child.send_signal(signal.SIGINT)
                attach.finish()
                self.assertIn("No space left", attach.stderr())
        report = report_of(capture)
        self.assertGreater(sum(report["capture"]["lost"].values()), 0, report["capture"])

    def test_no_room_at_all_leaves_no_file(self):
        room = self.dir / "room"
        room.mkdir()
        run("mount", "-t", "tmpfs", "-o", "size=20k", "tmpfs", room)
        self.addCleanup(run, "umount", "-l", room)
        done = loopscope("attach", "-p", os.getpid(), "-d", "1", "-o", room / "run.lsc", status=2)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(os.listdir(room), [])

    def test_two_captures_of_one_target_agree(self):
        other = str(self.dir / "other.lsc")
        with blocker() as process, Attach(process.pid, self.capture) as one, Attach(process.pid, other) as two:
            truth = process.ask("sleep 0.1")
            pause()
            self.assertAgree((one, two), truth)

    def test_a_collector_that_is_told_to_end_finishes_the_capture(self):
        with blocker() as process, Attach(process.pid, self.capture) as attach:
            truth = process.ask("sleep 0.1")
            os.kill(daemon_of(attach.pid), rng.choice([signal.SIGTERM, signal.SIGINT, signal.SIGHUP]))
            report = attach.end()
        self.assertEqual(report["capture"]["end"]["reason"], "abort")
        self.assertStalls(report, [truth], "sleep")

    def test_few_descriptors_suffice_or_are_named(self):
        with blocker() as process:
            done = run("prlimit", "--nofile=32", LOOPSCOPE, "attach", "-p", process.pid, "-d", "0.5", "-o",
                       self.capture, status=None)
        if done.returncode:
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
            self.assertIn("open files", done.stderr)
            self.assertFalse(os.path.exists(self.capture))
        else:
            report_of(self.capture)

    def test_paths_that_cannot_be_written_are_refused(self):
        folder, link = self.dir / "folder", self.dir / "link.lsc"
        folder.mkdir()
        link.symlink_to(self.dir / "elsewhere")
        for path in (folder, link, self.dir / "absent/run.lsc", "/proc/run.lsc"):
            done = loopscope("attach", "-p", os.getpid(), "-d", "1", "-o", path, status=2)
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual(sorted(os.listdir(self.dir)), ["folder", "link.lsc"])

    def test_a_default_name_that_is_taken_is_numbered(self):
        with many(1) as process:
            for name in (f"many_threads-{process.pid}.lsc", f"many_threads-{process.pid}.1.lsc"):
                done = loopscope("attach", "-p", process.pid, "-d", "0.1", cwd=self.dir)
                self.assertIn(name, done.stdout)
                self.assertTrue((self.dir / name).exists())


if __name__ == "__main__":
    main()
