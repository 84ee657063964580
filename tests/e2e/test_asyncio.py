# SPDX-License-Identifier: MIT
"""Debian's Python under asyncio: a coroutine among twenty tasks blocks the loop."""
import harness
from harness import PYTHON, HERE, Attach, Case, Process, pause, rng
from runner import calm


@calm
class Asyncio(Case):
    def watch(self, kind, lengths):
        with Process([PYTHON, HERE / "targets/blocker.py"]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                truths = []
                for seconds in lengths:
                    pause()
                    truths.append(target.ask(f"{kind} {seconds:.3f}"))
                pause()
                return attach.stop(), truths

    def test_a_coroutine_that_sleeps_is_a_stall_of_cause_sleep(self):
        report, truths = self.watch("sleep", [rng.uniform(0.2, 0.3) for _ in range(rng.randint(1, 3))])
        stalls = self.assertStalls(report, truths, "sleep")
        self.assertOnlyFindingsOf(report, stalls)
        self.assertExplained(report, stalls)

    def test_a_coroutine_that_runs_a_child_is_a_stall_of_cause_child_wait(self):
        report, truths = self.watch("child", [rng.uniform(0.25, 0.35) for _ in range(rng.randint(1, 2))])
        stalls = self.assertStalls(report, truths, "child-wait")
        self.assertOnlyFindingsOf(report, stalls)
        self.assertExplained(report, stalls)

    def test_twenty_quiet_tasks_are_no_stall(self):
        report, _ = self.watch("sleep", [])
        self.assertStalls(report, [], "sleep")
        self.assertOnlyFindingsOf(report, [])


if __name__ == "__main__":
    harness.main()
