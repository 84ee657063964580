# SPDX-License-Identifier: MIT
"""A loop that never sleeps in its wait: the precise mode takes turns with pauses, what could not be told
apart is said, and blocks are found all the same."""
import json
import time

import harness
from harness import BIN, MS, SLACK, Attach, Case, Process, describe, part, pause, rng
from test_redis import run_delay

THRESHOLD_NS = 10 * MS  # of attach, by default
LOOK_NS = 5 * MS  # from one look at the loops to the next


def unwatched_ns(turn_ns):
    """The longest time between two glances at a saturated loop: a glance costs 2 ms at least, lasts until the end of a turn
    was seen, for at most twice as long as that took, and is paid for by a pause 31 times as long (docs/probes.md)."""
    return 31 * min(max(2 * MS, 2 * turn_ns), 20 * MS) + LOOK_NS


class Saturated(Case):
    def watch(self, script, turn_us=200):
        with Process([BIN.parent / "tests/e2e/saturated", str(turn_us)]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                pause()
                truth = script(target)
                return attach.stop(), truth

    def assertNothingInvented(self, report, longest_ns):
        """No stall but those that the target had by its own clock: its longest turn tells whether it had any, for
        where others take its CPU a short turn becomes a long one."""
        for stall in self.planted(report):
            self.assertGreaterEqual(longest_ns, THRESHOLD_NS - MS, describe(report))
            self.assertLessEqual(stall["duration_ns"], longest_ns + SLACK, describe(report))

    @staticmethod
    def end_ns(stall):
        return stall["start_ns"] + stall["duration_ns"]

    def armed(self, report):
        return [mode["to_ns"] - mode["from_ns"] for mode in report["capture"]["modes"] if mode["mode"] == "precise"]

    def test_precise_mode_pauses_for_it_and_coverage_says_so(self):
        def script(target):
            target.tell("busy")
            time.sleep(rng.uniform(6, 7))
            return target.ask("idle")

        report, longest_ns = self.watch(script)
        self.assertNothingInvented(report, longest_ns)
        self.assertGreater(len(self.armed(report)), 0, report["capture"]["modes"])
        self.assertLess(sum(self.armed(report)), 0.3 * report["capture"]["duration_ns"])
        self.assertLess(report["capture"]["coverage"], 0.95)
        self.assertIn("each tick of a saturated loop", [unseen["what"] for unseen in report["capture"]["unseen"]])
        self.assertIn("blind", [finding["rule"] for finding in report["findings"]])

    def test_turns_shorter_than_the_threshold_do_not_keep_the_precise_mode_armed(self):
        def script(target):
            target.tell("busy")
            time.sleep(rng.uniform(6, 7))
            return target.ask("idle")

        report, longest_ns = self.watch(script, rng.randrange(5500, 8500))
        self.assertNothingInvented(report, longest_ns)
        self.assertLess(sum(self.armed(report)), 0.6 * report["capture"]["duration_ns"], report["capture"]["modes"])

    def test_where_every_turn_is_a_stall_each_is_found(self):
        """The precise mode stays for as long as there are stalls, for a turn after another begins without a sleep."""
        turn_us = rng.randrange(22000, 26000)

        def script(target):
            pause()
            target.tell("busy")
            time.sleep(rng.uniform(6, 8))
            return target.ask("idle")

        report, longest_ns = self.watch(script, turn_us)
        self.assertNothingInvented(report, longest_ns)
        held_ns = sum(stall["duration_ns"] for stall in report["stalls"])
        self.assertGreater(held_ns, 0.9 * 6000 * MS, describe(report))
        self.assertGreater(report["capture"]["coverage"], 0.95, describe(report))

    def test_a_sleep_in_one_of_its_ticks_is_found_in_every_mode(self):
        def script(target):
            target.tell("busy")
            time.sleep(rng.uniform(0.5, 4))
            truth = target.ask(f"sleep {rng.uniform(0.1, 0.3):.3f}")
            time.sleep(rng.uniform(0.1, 0.5))
            return truth

        report, truth = self.watch(script)
        self.assertStalls(report, [truth], "sleep")

    def test_a_tick_longer_than_a_pause_is_found_whenever_it_comes(self):
        def script(target):
            target.tell("busy")
            time.sleep(rng.uniform(1.5, 4))
            truths = []
            for _ in range(5):
                before = run_delay(target.pid)
                target.tell(f"work {rng.uniform(0.12, 0.3):.3f}")
                truths.append(json.loads(target.next_line("{")))
                truths[-1]["delay_ns"] = run_delay(target.pid) - before
                time.sleep(rng.uniform(0.3, 1.5))
            return truths

        report, truths = self.watch(script)
        start = report["capture"]["clock"]["start_monotonic_ns"]
        long = [stall for stall in report["stalls"] if stall["duration_max_ns"] > 100 * MS]
        left = [stall for stall in self.planted(report) if stall in long]
        for truth in truths:
            told = f"{truth} of {truths}; {describe(report)}"
            middle = truth["end_ns"] - truth["ns"] // 2 - start
            mine = [stall for stall in long if 0 <= self.end_ns(stall) - middle <= stall["duration_max_ns"]]
            left = [stall for stall in left if stall not in mine]
            unwatched = unwatched_ns(truth["before_ns"])
            self.assertLessEqual(len(mine), 1, told)
            # beside others that compute, its turns may be so long that one of these lies within a pause
            self.assertTrue(mine or truth["ns"] < unwatched + THRESHOLD_NS + SLACK, told)
            for stall in mine:
                crowded = truth["delay_ns"] > part(stall, "cpu-user")
                self.assertIn(stall["cause"], ("cpu-user", "runqueue") if crowded else ("cpu-user",), told)
                self.assertLess(stall["duration_min_ns"], truth["ns"] + SLACK, told)
                self.assertGreater(stall["duration_max_ns"], truth["ns"] - SLACK, told)
                self.assertGreater(stall["duration_min_ns"], truth["ns"] - unwatched - SLACK, told)
        for stall in left:  # it was long for want of a CPU
            self.assertLess(stall["duration_ns"] - part(stall, "runqueue"), THRESHOLD_NS, describe(report))

    def test_once_it_sleeps_again_its_work_is_seen_at_once(self):
        def script(target):
            target.tell("busy")
            time.sleep(rng.uniform(2.2, 3))
            target.ask("idle")
            time.sleep(rng.uniform(0.3, 0.5))
            return target.ask(f"work {rng.uniform(0.06, 0.2):.3f}")

        report, truth = self.watch(script)
        self.assertStalls(report, [truth], "cpu-user")

    def test_what_leads_to_a_block_is_its_turns_again_once_it_rests(self):
        """Also where the last that was seen of its short turns is a long one among them."""
        def script(target):
            target.tell("busy")
            time.sleep(rng.uniform(1.4, 1.6))
            target.ask(f"work {rng.uniform(0.15, 0.2):.3f}")
            target.ask("idle")
            time.sleep(rng.uniform(3, 3.5))
            return target.ask(f"work 0.015 sleep {rng.uniform(0.2, 0.25):.3f}")

        report, truth = self.watch(script)
        self.assertStall(self.planted(report)[-1], truth, "sleep", report)


if __name__ == "__main__":
    harness.main()
