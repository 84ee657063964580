# SPDX-License-Identifier: MIT
"""Code that a program makes while it is watched, and names in a map for perf: named the first time that it blocks, be it
ever so new; not by a map that another user may have written."""
import os
import pathlib
import string
import unittest

import harness
from harness import BIN, Attach, Case, Process, describe, frames_of, pause, rng

JIT = BIN.parent / "tests/e2e/jit"
OTHER_USER = 4242


def name():
    """As a JIT writes them: with spaces, colons and the like."""
    return "made " + "".join(rng.choices(string.ascii_letters + string.digits + " :~*<>/", k=rng.randint(1, 100))) + "!"


class PerfMap(Case):
    def watch(self, orders, owner=None):
        """Gives the functions in the frames of each stall. The report is kept."""
        with Process([JIT]) as target:
            target.next_line("running")
            self.map = pathlib.Path(f"/tmp/perf-{target.pid}.map")
            self.addCleanup(self.map.unlink)
            if owner is not None:
                os.chown(self.map, owner, owner)
            with Attach(target.pid, self.capture) as attach:
                pause()
                truths = [target.ask(f"{wait_ms} {block_ms} {function}") for wait_ms, block_ms, function in orders]
                pause()
                self.report = attach.stop()
        stalls = self.assertStalls(self.report, truths, "sleep")
        return [[frame["function"] for frame in frames_of(self.report, stall["stack"])] for stall in stalls]

    def unresolved(self, what):
        return [entry["why"] for entry in self.report["capture"]["unresolved"] if entry["what"] == what]

    def test_code_that_was_mapped_a_moment_ago_is_named(self):
        """Several times within one second, and at once."""
        orders = [(rng.choice((0, rng.randint(1, 50))), rng.randint(40, 90), name()) for _ in range(5)]
        for order, functions in zip(orders, self.watch(orders)):
            self.assertIn(order[2], functions, describe(self.report))
            at = functions.index(order[2])
            self.assertIn("block", functions[:at])
            self.assertIn("main", functions[at:])
        self.assertEqual(self.unresolved("stack") + self.unresolved("frames of code made at run time"), [])

    @unittest.skipIf(os.geteuid() != 0, "cannot give a file away")
    def test_a_map_of_another_user_is_refused(self):
        function = name()
        [functions] = self.watch([(rng.randint(0, 50), rng.randint(40, 90), function)], OTHER_USER)
        self.assertNotIn(function, functions)
        self.assertIn(None, functions, "the frame is there, without its name")
        self.assertIn("main", functions)
        self.assertEqual(self.unresolved("frames of code made at run time"), ["the perf map is not the target's own"])


if __name__ == "__main__":
    harness.main()
