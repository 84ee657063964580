# SPDX-License-Identifier: MIT
"""Turns of a loop with a ring: many short tasks in one of them are told from one long task, whether
they compute or sleep."""
import json
import os

from harness import BIN, MS, PYTHON, SLACK, Attach, Case, Process, describe, main, part, pause, rng

BATCHES = BIN.parent / "tests/e2e/batches"
TURN = 120 * MS
BEAT = 20 * MS
RULE = {"busy": "cpu-hog", "sleep": "blocking-sleep"}  # of one long task
CAUSE = {"busy": "cpu-user", "sleep": "sleep"}


class Batches(Case):
    def watch(self, kind, count, *options):
        """A batch that takes TURN. The stall that it made, the findings about it, the report."""
        for _ in range(5):
            with Process([BATCHES]) as target:
                target.next_line("running")
                with Attach(target.pid, self.capture, *options) as attach:
                    pause()
                    target.tell(f"{kind} {count} {TURN // count}")
                    truth = json.loads(target.next_line("{"))
                    pause()
                    report = attach.stop()
            if truth["delay_ns"] < truth["ns"] / 10:
                break
            print(f"a crowded host: without a CPU for {truth['delay_ns'] / MS:.1f} of {truth['ns'] / MS:.1f} ms")
        else:
            self.skipTest(f"the host is too crowded, five times: {truth}")
        told = f"{truth}; {describe(report)}"
        stalls = self.planted(report)
        self.assertEqual(len(stalls), 1, told)
        self.assertLong(stalls[0], truth, told)
        findings = {f["rule"]: f for f in report["findings"] if stalls[0]["id"] in f["stall_ids"]}
        return stalls[0], findings, truth, report

    def assertLong(self, stall, truth, told):
        """As long as the target says, and as it lacked a CPU before and behind what that measures."""
        around = max(0, part(stall, "runqueue") - truth["delay_ns"])
        self.assertGreaterEqual(stall["duration_ns"], truth["ns"] - SLACK, told)
        self.assertLessEqual(stall["duration_ns"], truth["ns"] + around + SLACK, told)

    def assertComputed(self, stall, truth, report):
        """As long as the target's CPU clock says. What was neither that, nor a wait for a CPU, nor a sleep of its
        own, the host took: less than 8 ms of it read as CPU (docs/probes.md)."""
        told = f"{truth}; {describe(report)}"
        own = part(stall, "cpu-user") + part(stall, "cpu-kernel")
        host = max(0, truth["ns"] - truth["cpu_ns"] - truth["delay_ns"] - truth["slept_ns"])
        self.assertGreaterEqual(own, truth["cpu_ns"] - SLACK, told)
        self.assertLessEqual(own, truth["cpu_ns"] + min(host, 8 * MS) + SLACK, told)

    def assertMany(self, stall, findings, report):
        self.assertIn("slow-iteration", findings, describe(report))
        self.assertNotIn("cpu-hog", findings, describe(report))
        self.assertNotIn("loop-stall", findings, describe(report))
        finding = findings["slow-iteration"]
        self.assertEqual(finding["severity"], "error", describe(report))
        self.assertIsNone(finding["site"], describe(report))
        self.assertIn("loop batches ran many short callbacks", finding["message"])
        self.assertLess(max(culprit["ns"] for culprit in stall["culprits"]), stall["duration_ns"] / 3)

    def test_ten_tasks_in_one_turn(self):
        for kind in rng.sample(["busy", "sleep", "mixed"], 3):
            with self.subTest(kind):
                stall, findings, truth, report = self.watch(kind, 10)
                self.assertMany(stall, findings, report)
                parts = [c["ns"] for c in stall["culprits"] if c["ns"] > MS]
                self.assertEqual(len(parts), 10, stall["culprits"])
                self.assertAlmostEqual(sum(parts), truth["ns"], delta=SLACK)
                self.assertAlmostEqual(max(parts), truth["longest_ns"], delta=SLACK)
                if kind in CAUSE:
                    self.assertEqual(stall["cause"], CAUSE[kind], describe(report))
                self.assertComputed(stall, truth, report)
                # what they did each is still told, by its own rule
                self.assertEqual("blocking-sleep" in {f["rule"] for f in report["findings"]}, kind != "busy")

    def test_one_long_task_is_no_slow_iteration(self):
        for kind in rng.sample(["busy", "sleep"], 2):
            with self.subTest(kind):
                stall, findings, _, report = self.watch(kind, 1)
                self.assertIn(RULE[kind], findings, describe(report))
                self.assertNotIn("slow-iteration", findings, describe(report))
                self.assertNotIn("cannot be told", findings[RULE[kind]]["message"])
                self.assertEqual(stall["task"]["name"], "part-1")

    def test_a_task_whose_timer_falls_due_meanwhile_waits(self):
        """It sleeps for 20 ms at a time: it was due at some moment of the first 20, and came after the turn."""
        stall, findings, truth, report = self.watch(rng.choice(["busy", "sleep"]), 1)
        names = {task["id"]: task["name"] for task in report["tasks"]}
        waits = [w["wait_ns"] for w in stall["victims"]["list"] if w["kind"] == "task" and names[w["task"]] == "beat"]
        self.assertEqual(len(waits), 1, stall["victims"])
        self.assertGreaterEqual(waits[0], truth["ns"] - BEAT - SLACK)
        self.assertLessEqual(waits[0], truth["ns"] + SLACK)
        self.assertIn("starvation", {f["rule"] for f in report["findings"]}, describe(report))

    def test_hundreds_of_tasks_in_one_turn(self):
        stall, findings, _, report = self.watch("busy", rng.randint(20, 900))
        self.assertMany(stall, findings, report)

    def test_what_a_turn_lacked_a_cpu_for_is_the_hosts(self):
        cpu = {rng.choice(sorted(os.sched_getaffinity(0)))}
        with Process([BATCHES]) as target, Process([PYTHON, "-c", "while True: pass"]) as other:
            target.next_line("running")
            os.sched_setaffinity(target.pid, cpu)
            os.sched_setaffinity(other.pid, cpu)
            with Attach(target.pid, self.capture) as attach:
                pause()
                count = rng.choice([1, 10])
                target.tell(f"busy {count} {TURN // count}")
                truth = json.loads(target.next_line("{"))
                pause()
                report = attach.stop()
        told = f"{truth}; {describe(report)}"
        middle = truth["begin_ns"] + truth["ns"] // 2 - report["capture"]["clock"]["start_monotonic_ns"]
        [stall] = (s for s in report["stalls"] if s["start_ns"] <= middle <= s["start_ns"] + s["duration_ns"])
        self.assertLong(stall, truth, told)
        around = max(0, stall["duration_ns"] - truth["ns"])
        self.assertGreaterEqual(part(stall, "runqueue"), truth["delay_ns"] - SLACK, told)
        self.assertLessEqual(part(stall, "runqueue"), truth["delay_ns"] + around + SLACK, told)
        self.assertComputed(stall, truth, report)

    def test_the_ring_alone_tells_them_apart(self):
        kind = rng.choice(["busy", "sleep"])
        stall, findings, _, report = self.watch(kind, 10, "--require", "ring")
        self.assertMany(stall, findings, report)
        _, findings, _, report = self.watch(kind, 1, "--require", "ring")
        self.assertNotIn("slow-iteration", findings, describe(report))


if __name__ == "__main__":
    main()
