# SPDX-License-Identifier: MIT
"""Numbers of processes are given out again: what the next bearer does is never put down to the last one, whether the
collector has heard of its end or stands still meanwhile."""
import contextlib
import os
import signal

from harness import HERE, PYTHON, Attach, Case, Process, describe, main, pause
from runner import calm
from test_hostile import BLOCKER, daemon_of


@calm
class Reborn(Case):
    def setUp(self):
        super().setUp()
        self.parent = self.enterContext(Process([PYTHON, HERE / "targets/reborn.py", PYTHON, BLOCKER]))
        self.pid = self.born()

    def born(self):
        said = self.parent.next_line()
        if said.startswith("refused"):
            self.skipTest(f"no process can be had with a number of our choice: {said}")
        self.parent.next_line("running")
        return int(said.split()[1])

    @contextlib.contextmanager
    def standing(self, attach, still):
        """The collector, meanwhile."""
        collector = daemon_of(attach.pid)
        if still:
            os.kill(collector, signal.SIGSTOP)
        yield
        if still:
            os.kill(collector, signal.SIGCONT)

    def successor(self):
        os.kill(self.parent.pid, signal.SIGUSR1)
        self.assertEqual(self.born(), self.pid)

    def test_the_next_process_with_its_number_is_another(self):
        for still in (False, True):
            with self.subTest(still=still):
                self.capture = str(self.dir / f"{still}.lsc")
                with Attach(self.pid, self.capture) as attach:
                    truth = self.parent.ask("sleep 0.1")
                    pause()
                    with self.standing(attach, still):
                        self.successor()
                        self.parent.ask("sleep 0.2")
                    report = attach.end()
                self.assertEqual(report["capture"]["end"]["reason"], "target-exit")
                self.assertEqual(len(report["capture"]["targets"]), 1)
                self.assertStalls(report, [truth], "sleep")

    def test_of_two_that_are_followed_each_has_its_own_stalls(self):
        for still in (False, True):
            with self.subTest(still=still):
                self.capture = str(self.dir / f"{still}.lsc")
                with Attach(self.parent.pid, self.capture, "--follow") as attach:
                    first = self.parent.ask("sleep 0.1")
                    pause()
                    with self.standing(attach, still):
                        self.successor()
                        pause()
                        second = self.parent.ask("sleep 0.2")
                        pause()
                    report = attach.stop()
                stalls = self.assertStalls(report, [first, second], "sleep")
                targets = {loop["id"]: loop["target"] for loop in report["loops"]}
                mine = [target["id"] for target in report["capture"]["targets"] if target["pid"] == self.pid]
                self.assertEqual(len(mine), 2, report["capture"]["targets"])
                self.assertEqual(sorted(targets[stall["loop"]] for stall in stalls), sorted(mine), describe(report))

    def test_one_that_came_and_went_while_nobody_looked_is_lost_and_not_another(self):
        with Attach(self.parent.pid, self.capture, "--follow") as attach:
            first = self.parent.ask("sleep 0.1")
            pause()
            with self.standing(attach, True):
                for seconds in (0.2, 0.3):
                    self.successor()
                    pause()
                    last = self.parent.ask(f"sleep {seconds}")
                    pause()
            report = attach.stop()
        stalls = self.assertStalls(report, [first, last], "sleep")
        mine = [target["id"] for target in report["capture"]["targets"] if target["pid"] == self.pid]
        self.assertEqual(len(mine), 2, report["capture"]["targets"])
        targets = {loop["id"]: loop["target"] for loop in report["loops"]}
        self.assertEqual([targets[stall["loop"]] for stall in stalls], mine, describe(report))
        self.assertGreater(sum(report["capture"]["lost"].values()), 0, report["capture"])


if __name__ == "__main__":
    main()
