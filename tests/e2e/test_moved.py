# SPDX-License-Identifier: MIT
"""A loop that is moved between CPUs while it sleeps, computes and waits: each of its sleeps is told, once, and as
a sleep. The truth is the loop's own clock, and that of who wakes it up: no sleep ends before its time, whatever run
queue it stood in."""
import contextlib
import json
import os
import threading

from harness import BIN, MS, PYTHON, Attach, Case, Process, main, part, pause, rng

MOVED = BIN.parent / "tests/e2e/moved"
TURNS = 200
SLACK = 2 * MS
LONG_US = 60000000
CPUS = sorted(os.sched_getaffinity(0))
CAUSES = {"sleep": "sleep", "poll": "pipe-io", "read": "pipe-io", "futex": "lock"}
SHARED = {"start_new_session": False}  # a session of its own may have a share of the CPUs of its own


class Mover(threading.Thread):
    """Moves a process to a random CPU again and again, until it is stopped."""

    def __init__(self, pid, pause_s):
        super().__init__(daemon=True)
        self.pid, self.pause_s, self.moves = pid, pause_s, 0
        self.ended = threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()

    def run(self):
        while not self.ended.wait(rng.uniform(0, self.pause_s)):
            os.sched_setaffinity(self.pid, {rng.choice(CPUS)})
            self.moves += 1


class Moved(Case):
    def setUp(self):
        super().setUp()
        if len(CPUS) < 2:
            self.skipTest("there is one CPU only")

    def target(self, stack):
        process = stack.enter_context(Process([MOVED], **SHARED))
        process.next_line("running")
        return process

    def crowd(self, stack, cpus):
        """Something that computes on each of these CPUs."""
        for cpu in cpus:
            os.sched_setaffinity(stack.enter_context(Process([PYTHON, "-c", "while True: pass"], **SHARED)).pid, {cpu})

    def watch(self, cpus, spin_us, pause_s, sleep_ns=25 * MS, stall_ms=20, others=(), kind="sleep", count=TURNS):
        """Turns that sleep, after they have computed for up to so long, while these CPUs are crowded."""
        with contextlib.ExitStack() as stack:
            target = self.target(stack)
            self.crowd(stack, cpus)
            pids = ",".join(str(process.pid) for process in (target, *others))
            attach = stack.enter_context(Attach(pids, self.capture, "--stall", stall_ms))
            pause()
            for other in others:
                other.tell(f"1 {LONG_US} 0 sleep")
            pause()
            with Mover(target.pid, pause_s) as mover:
                target.tell(f"{count} {sleep_ns // 1000} {spin_us} {kind}")
                turns = json.loads(target.next_line("{", 90))["turns"]
            pause()
            report = attach.stop()
        print(f"{mover.moves} moves in {(turns[-1]['end_ns'] - turns[0]['begin_ns']) / MS:.0f} ms")
        self.assertGreater(mover.moves, count)
        self.check(turns, report, target.pid, CAUSES[kind], stall_ms)

    def check(self, turns, report, pid, cause, stall_ms):
        """Each sleep is in a stall of its own, and is as long as it was to be; no more of the turn is told as a wait
        for a CPU than the sleep leaves of it."""
        start = report["capture"]["clock"]["start_monotonic_ns"]
        loops = {loop["id"] for loop in report["loops"] if loop["tid"] == pid}
        left, wrong, checked = [stall for stall in report["stalls"] if stall["loop"] in loops], [], 0
        for turn in turns:
            begin, end = turn["sleep_ns"] - start, turn["awake_ns"] - start
            mine = [s for s in left if s["start_ns"] < end and s["start_ns"] + s["duration_ns"] > begin]
            left = [stall for stall in left if stall not in mine]
            sleep_ns = turn["due_ns"] - turn["sleep_ns"]
            rest = turn["end_ns"] - turn["begin_ns"] - sleep_ns
            if turn["preempted"] or sleep_ns < stall_ms * MS + SLACK:  # it did not sleep at once, or not for so long
                continue
            checked += 1
            if (len(mine) != 1 or not sleep_ns - SLACK <= part(mine[0], cause) <= end - begin + SLACK
                    or part(mine[0], "runqueue") > rest + SLACK):
                told = [(stall["start_ns"], stall["duration_ns"], stall["split"]) for stall in mine]
                wrong.append({"sleep": (begin, end - begin), "rest": rest, "kernel": turn["delay_ns"], "told": told})
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(turns)}; {report['capture']['events']}, "
                         f"lost {report['capture']['lost']}, coverage {report['capture']['coverage']}")
        self.assertGreater(checked, len(turns) / 2)
        for stall in left:  # a wait for a CPU right before or behind a turn
            self.assertEqual(stall["cause"], "runqueue", stall)

    def test_nobody_else_runs(self):
        self.watch([], 0, 0.004)

    def test_it_computes_before_it_sleeps(self):
        self.watch([], 5000, 0.004)

    def test_others_compute_on_each_cpu(self):
        """A sleeper that has had more than its share stays in its run queue for a while, and is moved there."""
        self.watch(CPUS, 5000, 0.004)

    def test_it_is_moved_from_a_crowded_cpu_to_an_idle_one(self):
        """Where it wakes up."""
        self.watch([rng.choice(CPUS)], 5000, 0.002)

    def test_others_compute_and_it_is_moved_all_the_time(self):
        self.watch(CPUS, 2000, 0.0005)

    def test_short_sleeps_while_wake_ups_are_watched(self):
        """As they are while some other loop is blocked."""
        with contextlib.ExitStack() as stack:
            self.watch([rng.choice(CPUS)], 5000, 0.002, sleep_ns=rng.randint(16, 19) * MS, stall_ms=12,
                       others=[self.target(stack)])

    def test_others_compute_in_crowds_and_it_is_moved_now_and_then(self):
        """What it is ahead of them it gives back while each of them computes for so long: it stays in its run queue
        for tens of ms, and is moved there when any other sleeper has left it."""
        self.watch(CPUS * 12, 8000, 0.05, sleep_ns=60 * MS, kind="read", count=200)

    def test_a_poll_with_a_timeout(self):
        self.watch(CPUS, 5000, 0.004, kind="poll")

    def test_a_read_of_a_pipe(self):
        self.watch(CPUS, 5000, 0.004, kind="read")

    def test_a_futex(self):
        self.watch(CPUS, 5000, 0.004, kind="futex")


if __name__ == "__main__":
    main()
