# SPDX-License-Identifier: MIT
"""What an application says of itself, marks and counters, against what it printed with its own clock."""
import contextlib
import json
import re
import sqlite3

from harness import BIN, MS, SLACK, Attach, Case, Process, describe, loopscope, main, pause, rng

MARKS = BIN.parent / "tests/e2e/marks"
CLOCK = 50_000  # the ring's clock is the TSC: how far it may be from the target's reading of its own


class Marks(Case):
    def tell(self, target, line):
        """What the target said of the line, as JSON objects."""
        target.tell(line)
        said = []
        while (answer := target.next_line()) != "done":
            said.append(json.loads(answer))
        return said

    def watch(self, lines):
        with Process([MARKS]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                said = []
                for line in lines:
                    pause(0.2, 0.4)
                    said += self.tell(target, line)
                    if line.startswith("checkout"):
                        self.assertTold(attach, said)
                pause(0.2, 0.4)
                return attach.stop(), said

    def assertTold(self, attach, said):
        """The live line of the checkout names the mark before its block, and where in the stall that lies."""
        attach.next_line("STALL")
        told = re.fullmatch(r" +after mark 'checkout begin', ([\d.]+) (us|ms) into it", attach.next_line())
        self.assertTrue(told, said)
        into = float(told[1]) * (MS if told[2] == "ms" else MS // 1000)
        self.assertLess(into, SLACK)

    def test_marks_and_counters_are_those_of_the_program(self):
        lines = ["go"] + [f"checkout {rng.randint(60, 140)}" for _ in range(rng.randint(2, 4))]
        report, said = self.watch(lines)
        start = report["capture"]["clock"]["start_monotonic_ns"]
        marks, told = report["marks"], [s for s in said if "mark" in s]
        self.assertEqual([m["text"] for m in marks["list"]], [s["mark"] for s in told], marks)
        self.assertEqual((marks["count"], marks["omitted"]), (len(told), 0))
        for mark, truth in zip(marks["list"], told):
            self.assertGreaterEqual(mark["ts_ns"] + start, truth["from"] - CLOCK, truth)
            self.assertLessEqual(mark["ts_ns"] + start, truth["to"] + CLOCK, truth)
        values = [s["value"] for s in said if s.get("counter") == "open orders"]
        counters = {c["name"]: c for c in report["counters"]}
        self.assertEqual(set(counters), {"open orders", "workers"})
        orders, workers = counters["open orders"], counters["workers"]
        self.assertEqual([orders[k] for k in ("last", "min", "max", "count")],
                         [values[-1], min(values), max(values), len(values)])
        # set before the capture: its value is known, what it had before that does not count
        self.assertEqual([workers[k] for k in ("last", "min", "max", "count")], [4, 4, 4, 0])

        blocks = [s for s in said if "ns" in s]
        stalls = self.planted(report)
        self.assertEqual(len(stalls), len(blocks), describe(report))
        text = loopscope("report", self.capture).stdout
        for stall, block in zip(stalls, blocks):
            self.assertEqual([m["text"] for m in stall["marks"]["list"]], ["checkout begin", "checkout end"])
            self.assertEqual(stall["task"]["name"], "checkout")
            tasks = {task["id"]: task["name"] for task in report["tasks"]}
            begin = stall["marks"]["list"][0]
            self.assertEqual(tasks[begin["task"]], "checkout")
            ahead = max(stall["blocks"], key=lambda b: b["duration_ns"])["start_ns"] - begin["ts_ns"]
            truth = block["begin"] - next(s["from"] for s in reversed(told) if s["mark"] == "checkout begin"
                                          and s["from"] < block["begin"])
            self.assertAlmostEqual(ahead, truth, delta=SLACK)
        self.assertRegex(text, r"checkout begin  [\d.]+ ms before clock_nanosleep")
        self.assertIn("open orders", text)
        page = self.dir / "page.html"
        loopscope("report", f"--html={page}", self.capture)
        self.assertIn("<code>checkout begin</code>", page.read_text())
        self.assertIn("<td>open orders</td>", page.read_text())

    def test_a_flood_is_bounded_and_what_is_left_out_is_said(self):
        report, _ = self.watch(["flood"])
        marks = report["marks"]["count"]
        # 1000 a second, and the flood may lie on the boundary of two
        self.assertTrue(1000 <= marks <= 2000, describe(report))
        self.assertEqual(len([c for c in report["counters"] if c["name"].startswith("flood ")]), 255)
        left_out = {u["what"]: u["count"] for u in report["capture"]["unresolved"]}
        self.assertEqual(left_out["mark"], 3000 - marks)
        self.assertEqual(left_out["counter"], 45)
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as db:
            self.assertEqual(db.execute("SELECT count(*) FROM marks WHERE text = 'flood'").fetchone(), (marks,))


if __name__ == "__main__":
    main()
