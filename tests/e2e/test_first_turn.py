# SPDX-License-Identifier: MIT
"""The first turn of a loop that is seen: one that idled when the watch began, and one that was held then."""
import json

from harness import HERE, MS, PYTHON, Attach, Case, Process, describe, loopscope, main, pause, rng, wait_until
from test_live import Events, Live, plant


def idle():
    process = Process([PYTHON, HERE / "targets/idle.py"])
    process.next_line("running")
    return process


def turn(process):
    """A few turns, that the loop is known by."""
    for _ in range(3):
        plant(process, "sleep 0")
        pause(0.1, 0.2)


class FirstTurn(Live):
    def test_the_first_turn_is_told_at_once_and_with_its_function(self):
        """Though none follows that would make it more certain where the thread idles."""
        with idle() as process, Events(process.pid, self.capture) as attach:
            pause(0.5, 1)
            truth = plant(process, f"sleep {rng.uniform(0.1, 0.3):.3f}")
            [stall] = wait_until(lambda: attach.stalls(False), 5, "its line")
            self.assertSoon(stall, truth["end_ns"])
            self.assertEqual(stall["frames"][0], "order (idle.py:23)")
            report = attach.stop()
        [stall] = self.planted(report)
        self.assertStall(stall, truth["ns"], "sleep", report)
        self.assertEqual(stall["confidence"], "observed", describe(report))

    def test_the_first_turn_is_a_stall_however_many_samples_are_taken_in_it(self):
        with idle() as process, Attach(process.pid, self.capture) as attach:
            pause()
            truth = plant(process, f"spin {rng.uniform(1.2, 1.6):.3f}")
            turn(process)
            report = attach.stop()
        [stall] = self.planted(report)
        self.assertStall(stall, truth["ns"], "cpu-user", report)
        self.assertEqual(stall["site"]["function"], "spin", describe(report))
        self.assertEqual(report["capture"]["lost"], {}, describe(report))

    def test_a_loop_that_is_held_when_the_watch_begins_is_not_called_healthy(self):
        for kind in ("sleep", "spin"):
            with self.subTest(kind), idle() as process:
                process.tell(f"{kind} 2.5")
                process.next_line("began")
                with Attach(process.pid, self.capture) as attach:
                    attach.next_line("none yet")
                    truth = json.loads(process.next_line("{"))
                    turn(process)
                    attach.next_line(f"loop {process.pid} ")
                    report = attach.stop()
                    said = attach.stderr()
                began = report["capture"]["clock"]["start_monotonic_ns"]
                coverage = 1 - (truth["end_ns"] - began) / report["capture"]["duration_ns"]
                self.assertEqual(self.planted(report), [], describe(report))
                self.assertAlmostEqual(report["capture"]["coverage"], coverage, delta=0.02)
                self.assertIn(f"of loop {process.pid} ", report["capture"]["unseen"][0]["what"])
                self.assertIn("blind", [finding["rule"] for finding in report["findings"]])
                self.assertIn("was held when the watch began", said)


if __name__ == "__main__":
    main()
