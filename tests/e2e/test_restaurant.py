# SPDX-License-Identifier: MIT
"""examples/restaurant.c: who starves when the waiter cooks by himself, against what the restaurant
measured; and nothing to tell when he does not."""
import re

from harness import BIN, MS, ROOT, SLACK, Case, describe, loopscope, main, part, report_of, rng

RESTAURANT = BIN / "restaurant"
SOURCE = "examples/restaurant.c"
WAIT_SLACK = 1 * MS  # how far a victim's wait may be from the restaurant's own measure


class Restaurant(Case):
    def evening(self, *options):
        """Records an evening: the report, how long the waiter cooked, how long each table starved."""
        done = loopscope("record", "-o", self.capture, "--", RESTAURANT, "--each", *options)
        cooked = re.search(r"the waiter cooked for ([\d.]+) ms", done.stdout)
        starved = re.findall(r"(table \d+) starved for ([\d.]+) ms", done.stdout)
        return (report_of(self.capture), float(cooked[1]) * MS,
                {table: float(ms) * MS for table, ms in starved})

    def assertCooking(self, report, stall):
        """The waiter's step, in his own sleep over the pots."""
        self.assertEqual(stall["task"]["name"], "waiter", describe(report))
        self.assertEqual(stall["cause"], "sleep", describe(report))
        site = stall["site"]
        self.assertEqual(site["function"], "cook_by_himself", describe(report))
        self.assertTrue(site["file"].endswith(SOURCE), site)
        self.assertIn("nanosleep", (ROOT / SOURCE).read_text().splitlines()[site["line"] - 1])

    def test_one_course_each_table_starves_as_long_as_it_says(self):
        tables, cooking = rng.randint(5, 9), rng.randint(20, 60)
        report, cooked, starved = self.evening("--waiter-cooks", "--courses", 1, "--tables", tables,
                                               "--cooking", cooking)
        stalls = self.planted(report)
        self.assertEqual(len(stalls), 1, describe(report))
        stall, = stalls
        self.assertCooking(report, stall)
        self.assertStall(stall, cooked, "sleep", report)
        names = {task["id"]: task["name"] for task in report["tasks"]}
        waits = {names[v["task"]]: v["wait_ns"] for v in stall["victims"]["list"]}
        # the last one to order is served at the end of the stall
        hungry = {table for table, ns in starved.items() if ns > cooking * MS / 2}
        self.assertEqual(len(hungry), tables - 1, starved)
        self.assertEqual(set(waits), hungry, describe(report))
        for table, ns in waits.items():
            self.assertAlmostEqual(ns, starved[table], delta=WAIT_SLACK, msg=table)
        self.assertEqual(stall["victims"]["sum_wait_ns"], sum(waits.values()))

    def test_a_whole_evening_is_explained_by_the_waiter(self):
        report, cooked, starved = self.evening("--waiter-cooks")
        stalls = self.planted(report)
        self.assertTrue(stalls, describe(report))
        for stall in stalls:
            self.assertCooking(report, stall)
        told, lacked = (sum(values) for values in zip(*((s["duration_ns"], part(s, "runqueue")) for s in stalls)))
        self.assertGreaterEqual(told, cooked - len(stalls) * SLACK, describe(report))
        self.assertLessEqual(told, cooked + len(stalls) * SLACK + lacked, describe(report))
        names = {task["id"]: task["name"] for task in report["tasks"]}
        victims = {names[v["task"]] for stall in stalls for v in stall["victims"]["list"]}
        self.assertLessEqual({table for table, ns in starved.items() if ns > 5 * MS}, victims, describe(report))
        self.assertLessEqual(victims, set(starved), describe(report))
        found = {f["rule"]: f for f in report["findings"]}
        finding = found["blocking-sleep"]
        self.assertEqual((finding["severity"], finding["site"]["function"]), ("error", "cook_by_himself"))
        self.assertIn("lsc_sleep", finding["fix"])
        self.assertEqual(set(finding["stall_ids"]), {stall["id"] for stall in stalls})
        self.assertExplained(report, stalls)
        blamed = {b["victim_name"] for b in report["blame"] if b["culprit_name"] == "waiter"}
        self.assertEqual(blamed, victims)
        self.assertIn("starvation", found, describe(report))
        text = loopscope("report", self.capture).stdout
        self.assertIn("cook_by_himself", text)
        self.assertIn("table ", text)

    def test_a_waiter_who_waits_is_nothing_to_tell(self):
        report, cooked, starved = self.evening()
        self.assertEqual(cooked, 0)
        self.assertEqual(len(starved), 8)
        self.assertEqual(self.planted(report), [], describe(report))
        self.assertOnlyFindingsOf(report, [])
        self.assertEqual([loop["source"] for loop in report["loops"]], ["both"], describe(report))


if __name__ == "__main__":
    main()
