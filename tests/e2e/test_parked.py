# SPDX-License-Identifier: MIT
"""Threads that take turns in one epoll set, as Tokio's and Go's do, and park in a futex meanwhile."""
import os
import pathlib

import apps
import harness
from harness import Attach, Case, Process, describe, pause, wait_until
from runner import calm

DRIVER = pathlib.Path(os.environ["LSC_BIN"]).parent / "tests/e2e/driver"
FUTEX = 202  # the number of the call


@calm
class Parked(Case):
    def test_who_parks_before_another_was_seen_in_its_set_is_not_held(self):
        """Nor is it said that it hangs, once the other is in the set."""
        with Process([DRIVER]) as target:
            target.next_line("ready")
            with Attach(target.pid, self.capture) as attach:
                pause(0.2, 0.3)
                for what, parked, rest in (("leave", 2, 0.05), ("turn", 1, 1.3), ("leave", 2, 0.05), ("turn", 1, 0.2)):
                    target.tell(what)
                    target.next_line("done")
                    wait_until(lambda n=parked: len(apps.threads_in([target.pid], FUTEX)) == n, 5, f"{what}: {parked} parked")
                    pause(rest, rest + 0.05)
                report = attach.stop()
            self.assertEqual([line for line in attach.lines if "HANGS" in line], [])
            held = [s for s in report["stalls"] if s["cause"] not in ("runqueue", "steal")]
            self.assertEqual(held, [], describe(report))
            self.assertTrue(report["loops"], describe(report))


if __name__ == "__main__":
    harness.main()
