# SPDX-License-Identifier: MIT
"""The demo service as a target: fifty tasks and one that blocks them, with the service's own account."""
import json

from harness import BIN, MS, ROOT, Attach, Case, Process, describe, rng

SERVICE = "demo_service"
SOURCE = "examples/demo_service.c"
TASKS = 50
WAIT_SLACK = 1 * MS  # how far a victim's wait may be from the service's own measure


class DemoCase(Case):
    def watch(self, *options, folder=BIN, user=(), program=None):
        """Runs the service as a user and watches it through some blocks; returns report and truth."""
        truth = self.dir / "truth.json"
        count = rng.randint(2, 4)
        service = [*user, folder / SERVICE, "--tasks", TASKS, "--period", "700ms",
                   "--block", f"{rng.randint(120, 250)}ms", "--count", count, "--seed", rng.randrange(1 << 32),
                   "--truth", truth]
        with Process(service) as target:
            target.next_line()
            with Attach(target.pid, self.capture, *options, program=program or (folder / "loopscope",)) as attach:
                self.assertEqual(target.finish(), 0, target.stderr())
                report = attach.end()
        blocks = [json.loads(line) for line in truth.read_text().splitlines()]
        for block in blocks:
            block["ns"] = block["end_ns"] - block["start_ns"]
            block["waits"] = {victim["task"]: victim["wait_ns"] for victim in block["victims"]}
        self.assertEqual(len(blocks), count, "the service planted what it was asked for")
        return report, blocks

    def assertCulprit(self, stall):
        """The blocking task, with the line of the source that spawned it."""
        self.assertEqual(stall["task"]["name"], "report-writer")
        site = stall["task"]["spawn_site"]
        self.assertTrue(site["file"].endswith(SOURCE), site)
        line = (ROOT / SOURCE).read_text().splitlines()[site["line"] - 1]
        self.assertIn("spawn", line)
        self.assertIn(site["function"], (ROOT / SOURCE).read_text())

    def assertVictims(self, report, stall, block):
        """Each of the fifty waits as long as the service says it did."""
        victims = stall["victims"]
        names = {task["id"]: task["name"] for task in report["tasks"]}
        waits = {names[victim["task"]]: victim["wait_ns"] for victim in victims["list"] if victim["kind"] == "task"}
        self.assertEqual(victims["omitted"], 0)
        self.assertEqual(victims["count"], TASKS, describe(report))
        self.assertEqual(set(waits), set(block["waits"]))
        for name, wait_ns in block["waits"].items():
            self.assertAlmostEqual(waits[name], wait_ns, delta=WAIT_SLACK, msg=name)
        self.assertEqual(victims["sum_wait_ns"], sum(waits.values()))
        self.assertEqual(victims["max_wait_ns"], max(waits.values()))
        self.assertAlmostEqual(victims["sum_wait_ns"], sum(block["waits"].values()), delta=TASKS * WAIT_SLACK)
