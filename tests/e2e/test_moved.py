# SPDX-License-Identifier: MIT
"""A loop that is moved between CPUs while it sleeps, computes and waits: each of its sleeps is told, once, and as
a sleep. The truth is the loop's own clock: no sleep ends before its time, whatever run queue it stood in."""
import contextlib
import json
import os
import threading

from harness import BIN, MS, PYTHON, Attach, Case, Process, main, part, pause, rng

MOVED = BIN.parent / "tests/e2e/moved"
STALL_MS = int(os.environ.get("STL", 20))
SLEEP = int(os.environ.get("SLP", 25)) * MS  # more than that: no turn but is one
TURNS = int(os.environ.get("TURNS", 200))
SLACK = 2 * MS
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
        cpus = sorted(os.sched_getaffinity(0))
        while not self.ended.wait(rng.uniform(0, self.pause_s)):
            os.sched_setaffinity(self.pid, {rng.choice(cpus)})
            self.moves += 1


class Moved(Case):
    def setUp(self):
        super().setUp()
        if os.cpu_count() < 2:
            self.skipTest("there is one CPU only")

    def watch(self, spinners, spin_us, pause_s, cpu=None):
        """Turns that sleep, after they have computed for up to so long, beside so many that compute, on one CPU
        if that is named."""
        with contextlib.ExitStack() as stack:
            target = stack.enter_context(Process([MOVED], **SHARED))
            target.next_line("running")
            for _ in range(spinners):
                spinner = stack.enter_context(Process([PYTHON, "-c", "while True: pass"], **SHARED))
                if cpu is not None:
                    os.sched_setaffinity(spinner.pid, {cpu})
            attach = stack.enter_context(Attach(target.pid, self.capture, "--stall", STALL_MS))
            pause()
            with Mover(target.pid, pause_s) as mover:
                target.tell(f"{TURNS} {SLEEP // 1000} {spin_us}")
                turns = json.loads(target.next_line("{", 90))["turns"]
            pause()
            report = attach.stop()
        print(f"{mover.moves} moves in {(turns[-1]['end_ns'] - turns[0]['begin_ns']) / MS:.0f} ms")
        self.assertGreater(mover.moves, TURNS)
        self.check(turns, report)

    def check(self, turns, report):
        """Each sleep is in a stall of its own, and is that long; no more of the turn is told as a wait for a CPU
        than the sleep leaves of it."""
        start = report["capture"]["clock"]["start_monotonic_ns"]
        left, wrong = list(report["stalls"]), []
        for turn in turns:
            begin, end = turn["sleep_ns"] - start, turn["awake_ns"] - start
            mine = [s for s in left if s["start_ns"] < end and s["start_ns"] + s["duration_ns"] > begin]
            left = [stall for stall in left if stall not in mine]
            rest = turn["end_ns"] - turn["begin_ns"] - SLEEP
            if (len(mine) != 1 or part(mine[0], "sleep") < SLEEP - SLACK or part(mine[0], "sleep") > end - begin + SLACK
                    or part(mine[0], "runqueue") > rest + SLACK):
                wrong.append((turn["sleep_ns"] - start, turn["awake_ns"] - turn["sleep_ns"], rest, turn["delay_ns"], [
                    (s["start_ns"], s["duration_ns"], s["split"]) for s in mine]))
        self.assertEqual(wrong, [], f"{len(wrong)} of {len(turns)}; {report['capture']['events']}, "
                         f"lost {report['capture']['lost']}, coverage {report['capture']['coverage']}")
        for stall in left:  # a wait for a CPU right before or behind a turn
            self.assertEqual(stall["cause"], "runqueue", stall)

    def test_nobody_else_runs(self):
        self.watch(0, 0, 0.004)

    def test_it_computes_before_it_sleeps(self):
        self.watch(0, 5000, 0.004)

    def test_others_compute_on_each_cpu(self):
        """A sleeper that has had more than its share stays in its run queue for a while, and is moved there."""
        self.watch(os.cpu_count(), 5000, 0.004)

    def test_it_is_moved_from_a_crowded_cpu_to_an_idle_one(self):
        """Where it wakes up."""
        self.watch(1, 5000, 0.002, cpu=rng.choice(sorted(os.sched_getaffinity(0))))

    def test_others_compute_and_it_is_moved_all_the_time(self):
        self.watch(os.cpu_count(), 2000, 0.0005)


if __name__ == "__main__":
    main()
