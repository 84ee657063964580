# SPDX-License-Identifier: MIT
"""The demo service with kernel events and its ring: culprit, spawn site, cause and victims."""
from harness import main
from demo import SOURCE, DemoCase


class Demo(DemoCase):
    def test_the_report_writer_is_the_culprit_of_fifty_waits(self):
        report, blocks = self.watch()
        stalls = self.assertStalls(report, [block["ns"] for block in blocks], "sleep")
        for stall, block in zip(stalls, blocks):
            self.assertCulprit(stall)
            self.assertVictims(report, stall, block)
            self.assertIn(stall["blocks"][0]["syscall"], ("nanosleep", "clock_nanosleep"))
            self.assertTrue(stall["site"]["file"].endswith(SOURCE), stall["site"])
        self.assertOnlyFindingsOf(report, stalls)
        self.assertExplained(report, stalls)
        [loop] = report["loops"]
        self.assertEqual(loop["source"], "both")


if __name__ == "__main__":
    main()
