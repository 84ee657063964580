# SPDX-License-Identifier: MIT
"""Targets with several loops, loops that come late or go, and targets in places of their own: containers,
time namespaces, programs whose file is gone."""
import json
import os
import pathlib
import shutil
import time

from harness import (BIN, HERE, LOOPSCOPE, MS, PYTHON, Attach, Case, Process, describe, frames_of, loopscope, main, pause,
                     rng, run)
from runner import calm

LOOPS = BIN.parent / "tests/e2e/some_loops"
BLOCKER = HERE / "targets/blocker.py"


class Loops(Process):
    def __init__(self, number, prefix=(), program=LOOPS):
        super().__init__([*prefix, program, number])
        self.next_line("running")

    def plant(self, line):
        """What the target says of an order: tid, ns, end_ns."""
        self.tell(line)
        return json.loads(self.next_line("{"))

    def block(self, index):
        return self.plant(f"block {index} {rng.randint(60_000, 120_000)}")


def child_of(pid):
    [child] = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


class Base(Case):
    def assertPlanted(self, report, truths):
        """These stalls, each in the loop of its thread, and no others."""
        stalls = self.planted(report)
        loops = {loop["id"]: loop["tid"] for loop in report["loops"]}
        self.assertEqual([loops[stall["loop"]] for stall in stalls], [truth["tid"] for truth in truths],
                         describe(report))
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth["ns"], "sleep", report)
        return stalls


@calm
class Several(Base):
    def test_the_right_one_of_four_loops_is_named(self):
        with Loops(4) as process, Attach(process.pid, self.capture) as attach:
            self.assertIn("4 loops", attach.ready)
            truths = []
            for _ in range(5):
                pause(0.1, 0.3)
                truths.append(process.block(rng.randrange(4)))
            pause()
            report = attach.stop()
        self.assertEqual(len(report["loops"]), 4)
        self.assertPlanted(report, truths)

    def test_only_the_threads_that_are_asked_for(self):
        with Loops(4) as process:
            tid = process.block(2)["tid"]
            with Attach(process.pid, self.capture, "--tid", tid) as attach:
                self.assertIn("1 loop", attach.ready)
                truths = [process.block(i) for i in (0, 2, 3)]
                pause()
                report = attach.stop()
        self.assertEqual([loop["tid"] for loop in report["loops"]], [tid])
        self.assertPlanted(report, truths[1:2])

    def test_a_loop_that_begins_after_the_attach(self):
        with Loops(1) as process, Attach(process.pid, self.capture) as attach:
            time.sleep(rng.uniform(1.5, 2.5))
            late = process.plant("start")
            attach.next_line(f"loop {late['tid']} ")
            truths = [process.block(1), process.block(0)]
            pause()
            report = attach.stop()
        self.assertEqual(len(report["loops"]), 2)
        self.assertPlanted(report, truths)

    def test_a_thread_that_has_closed_its_loop_is_none_any_more(self):
        with Loops(2) as process, Attach(process.pid, self.capture) as attach:
            truths = [process.block(0), process.block(1)]
            process.plant("leave 0")
            pause(1.2, 1.5)  # one that holds a loop so long is announced
            truths.append(process.block(1))
            pause()
            report = attach.stop()
            self.assertFalse([line for line in attach.lines if "HANGS" in line])
        self.assertPlanted(report, truths)

    def test_a_thread_that_turns_its_loop_no_more_seems_held(self):
        with Loops(2) as process, Attach(process.pid, self.capture) as attach:
            truths = [process.block(0), process.block(1)]
            process.plant("hang 0")
            self.assertIn("lock", attach.next_line("HANGS"))  # a deadlock looks the same
            truths.append(process.block(1))
            pause()
            report = attach.stop()
        loops = {loop["id"]: loop["tid"] for loop in report["loops"]}
        left = [stall for stall in report["stalls"] if stall["in_progress"]]
        self.assertEqual([(loops[s["loop"]], s["cause"]) for s in left], [(truths[0]["tid"], "lock")], describe(report))
        report["stalls"] = [stall for stall in report["stalls"] if not stall["in_progress"]]
        self.assertPlanted(report, truths)

    def test_a_loop_whose_epoll_set_has_the_number_of_an_earlier_ones(self):
        with Process([BIN.parent / "tests/e2e/successor", str(rng.randrange(150, 350))]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                truth = process.ask("begin")
                pause()
                report = attach.stop()
        [stall] = self.planted(report)
        self.assertStall(stall, truth, "lock", report)

    def test_the_loop_of_a_child_is_followed(self):
        with Loops(1) as process, Attach(process.pid, self.capture, "--follow") as attach:
            pause()
            truth = process.plant(f"fork {rng.randint(60_000, 120_000)}")
            pause()
            report = attach.stop()
        loops = {loop["id"]: loop["pid"] for loop in report["loops"]}
        stalls = self.planted(report)
        self.assertEqual([loops[stall["loop"]] for stall in stalls], [truth["tid"]], describe(report))
        self.assertStall(stalls[0], truth["ns"], "sleep", report)

    def test_a_fork_within_a_turn_is_the_loops_own_time(self):
        options = rng.choice([(), ("--follow",)])
        with Process([PYTHON, BLOCKER]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture, *options) as attach:
                pause()
                truths = [process.ask(f"{kind} {rng.uniform(0.08, 0.15):.3f}") for kind in ("fork", "sleep")]
                pause()
                report = attach.stop()
        self.assertEqual({loop["pid"] for loop in report["loops"]}, {process.pid}, options)
        self.assertStalls(report, truths, "sleep")

    def test_several_processes_by_number(self):
        with Loops(1) as one, Loops(2) as two, Loops(1) as three:
            with Attach(one.pid, self.capture, "-p", f"{two.pid},{three.pid}") as attach:
                self.assertIn("4 loops", attach.ready)
                truths = [one.block(0), two.block(1), three.block(0)]
                pause()
                report = attach.stop()
        self.assertEqual([t["pid"] for t in report["capture"]["targets"]], [one.pid, two.pid, three.pid])
        self.assertPlanted(report, truths)

    def test_a_thread_that_is_called_a_loop_is_one(self):
        # a pool's worker that waits for work in a futex
        program = "import queue, sys, threading, time, json\n" \
                  "q = queue.Queue()\n" \
                  "def work():\n" \
                  "    print(threading.get_native_id(), flush=True)\n" \
                  "    while True:\n" \
                  "        seconds = q.get()\n" \
                  "        begin = time.monotonic_ns()\n" \
                  "        time.sleep(seconds)\n" \
                  "        if seconds > 0.03: print(json.dumps({'ns': time.monotonic_ns() - begin}), flush=True)\n" \
                  "threading.Thread(target=work, daemon=True).start()\n" \
                  "def feed():\n" \
                  "    while True:\n" \
                  "        time.sleep(0.05)\n" \
                  "        q.put(0)\n" \
                  "threading.Thread(target=feed, daemon=True).start()\n" \
                  "for line in sys.stdin: q.put(float(line))\n"
        with Process([PYTHON, "-c", program]) as process:
            tid = int(process.next_line())
            with Attach(process.pid, self.capture, "--loop-thread", tid) as attach:
                pause()
                truth = process.ask(f"{rng.uniform(0.06, 0.12):.3f}")
                pause()
                report = attach.stop()
        self.assertIn(tid, [loop["tid"] for loop in report["loops"]])
        sleeps = [stall for stall in report["stalls"] if stall["cause"] == "sleep"]
        self.assertEqual(len(sleeps), 1, describe(report))
        self.assertStall(sleeps[0], truth, "sleep", report)


@calm
class Places(Base):
    def frames(self, report):
        return {frame["function"] for stack in report["stacks"] for frame in stack["frames"]}

    def watch(self, process, pid, *options):
        with Attach(pid, self.capture, *options) as attach:
            pause()
            truth = process.block(0)
            pause()
            return attach.stop(), truth

    def test_a_container_with_its_own_root_is_seen_with_its_own_files(self):
        """The program lies nowhere but in the container's root, under a path that is another's outside."""
        root = self.dir / "root"
        for path in (LOOPS, *(line.split("=> ")[1].split(" ")[0] for line in run("ldd", LOOPS).stdout.splitlines()
                              if "=> /" in line), "/lib64/ld-linux-x86-64.so.2"):
            place = root / ("bin/sh" if path is LOOPS else str(path).lstrip("/"))
            place.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, place)
        (root / "proc").mkdir()
        inside = ("unshare", "-fpm", "chroot", root)
        with Loops(1, prefix=inside, program="/bin/sh") as process:
            pid = child_of(process.pid)
            report, truth = self.watch(process, pid)
        [target] = report["capture"]["targets"]
        self.assertEqual((target["pid"], target["ns_pid"]), (pid, 1))
        self.assertEqual(truth["tid"], 2)
        [loop] = report["loops"]
        self.assertNotEqual(loop["tid"], truth["tid"])
        [stall] = self.planted(report)
        self.assertStall(stall, truth["ns"], "sleep", report)
        self.assertIn("turn", self.frames(report))

    def test_a_program_whose_file_is_gone(self):
        copy = self.dir / "gone"
        shutil.copy(LOOPS, copy)
        with Loops(1, program=copy) as process:
            copy.unlink()
            report, truth = self.watch(process, process.pid)
        self.assertPlanted(report, [truth])
        self.assertResolvedOrCounted(report)

    def test_a_program_whose_file_was_replaced(self):
        copy, other = self.dir / "replaced", self.dir / "other"
        shutil.copy(LOOPS, copy)
        shutil.copy("/bin/true", other)
        with Loops(1, program=copy) as process:
            other.rename(copy)
            report, truth = self.watch(process, process.pid)
        self.assertPlanted(report, [truth])
        self.assertResolvedOrCounted(report)

    def assertResolvedOrCounted(self, report):
        """The frames are of the program that runs, or it is said that they could not be had."""
        names = self.frames(report)
        if "turn" not in names:
            self.assertTrue(report["capture"]["unresolved"], names)

    def test_a_time_namespace_of_its_own(self):
        with Loops(1, prefix=("unshare", "-fT", "--monotonic", str(rng.randint(1000, 100000)))) as process:
            pid = child_of(process.pid)
            report, truth = self.watch(process, pid)
        truth_end = truth["end_ns"]
        [stall] = self.planted(report)
        self.assertStall(stall, truth["ns"], "sleep", report)
        self.assertGreater(truth_end, time.monotonic_ns() + 500 * 1000 * MS)  # its clock is another
        self.assertLess(stall["start_ns"], report["capture"]["duration_ns"])

    def test_a_program_that_moves_into_other_namespaces_meanwhile(self):
        with Process([PYTHON, BLOCKER]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                pause()
                truths = [process.ask(f"sleep {rng.uniform(0.08, 0.15):.3f}")]
                process.ask("move 0")
                truths.append(process.ask(f"sleep {rng.uniform(0.08, 0.15):.3f}"))
                pause()
                self.assertNotEqual(*(os.readlink(f"/proc/{pid}/ns/mnt") for pid in ("self", process.pid)))
                report = attach.stop()
        sleeps = [stall for stall in self.planted(report) if stall["cause"] == "sleep"]  # moving may take a while, too
        self.assertEqual(len(sleeps), len(truths), describe(report))
        for stall, truth in zip(sleeps, truths):
            self.assertStall(stall, truth, "sleep", report)
            self.assertTrue(any("sleep" in (frame["function"] or "") for frame in frames_of(report, stall["stack"]))
                            or report["capture"]["unresolved"], describe(report))

    def test_from_within_a_pid_namespace_it_is_refused(self):
        shell = ("sh", "-c", '"$@"; exit $?', "sh")  # process 1 there
        done = run("unshare", "-fp", "--mount-proc", *shell, LOOPSCOPE, "attach", "-p", 1, "-d", 1, "-o", self.capture,
                   status=4)
        self.assertEqual(done.stderr, "loopscope attach: inside a pid namespace kernel events cannot be told apart by "
                                      "pid: run loopscope on the host, or use --require ring for programs with a ring\n")

    def test_the_doctor_says_what_can_be_seen_of_a_process(self):
        with Loops(3) as process:
            said = json.loads(loopscope("doctor", "-p", process.pid, "--json").stdout)
        checks = {check["name"]: check for check in said["checks"]}
        self.assertEqual(checks["target"]["status"], "ok")
        self.assertIn("some_loops", checks["target"]["detail"])
        self.assertEqual(checks["threads"]["status"], "ok")
        self.assertIn("5 threads", checks["threads"]["detail"])
        self.assertEqual(checks["events of the target"]["status"], "ok", checks)
        self.assertRegex(checks["events of the target"]["detail"], r"[1-9]\d* turns? of 3 loops")
        self.assertEqual(checks["stacks of the target"]["status"], "ok", checks)


if __name__ == "__main__":
    main()
