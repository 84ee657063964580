# SPDX-License-Identifier: MIT
"""The watch on ourselves: what watching costs is told, detail is left out beyond --max-overhead and
never silently, and loopscope does not watch itself."""
import os
import signal

from harness import (HERE, LOOPSCOPE, MS, PYTHON, Attach, Case, Process, descendants_of, describe, loopscope, main, pause,
                     report_of, rng, wait_until)

BLOCKER = HERE / "targets/blocker.py"
RAISED = "blocks are recorded from 10 ms instead of 1 ms"  # a step that attach says
SLEEPER = HERE / "targets/sleeper.py"


class Cost(Case):
    def test_what_watching_costs_is_told(self):
        with Process([PYTHON, BLOCKER]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                truth = target.ask(f"sleep {rng.uniform(0.1, 0.2):.3f}")
                pause(2.5, 3)
                report = attach.stop()
        self.assertStalls(report, [truth], "sleep")
        overhead, duration = report["capture"]["overhead"], report["capture"]["duration_ns"]
        self.assertGreater(overhead["bpf_ns"], 0)
        self.assertLess(overhead["bpf_ns"], duration / 20, overhead)
        self.assertGreater(overhead["collector_cpu_ns"], 0)
        self.assertIn("windows of 25 ms, extrapolated", overhead["method"])
        self.assertIn("watching cost", loopscope("report", self.capture).stdout)

    def test_a_short_capture_does_not_guess(self):
        report_cost = None
        with Process([LOOPSCOPE, "record", "-o", self.capture, "--", "/bin/true"]) as recorder:
            self.assertEqual(recorder.finish(), 0, recorder.stderr())
            report_cost = report_of(self.capture)["capture"]["overhead"]
        self.assertIsNone(report_cost["bpf_ns"])
        self.assertIn("too short", report_cost["method"])


class Limit(Case):
    def watched(self, target, *options, while_watched):
        """(report, what attach says on stderr) of a while, with a stall at its begin and its end."""
        self.capture = str(self.dir / f"{rng.random()}.lsc")
        with Attach(target.pid, self.capture, *options) as attach:
            truths = [target.ask(f"{rng.uniform(0.1, 0.15):.3f}")]
            while_watched(attach)
            truths.append(target.ask(f"{rng.uniform(0.1, 0.15):.3f}"))
            pause()
            report = attach.stop()
            return report, attach.stderr(), truths

    def test_a_target_that_blocks_all_the_time_is_watched_less(self):
        with Process([PYTHON, SLEEPER, "10", "0.0011"]) as target:
            target.next_line("running")
            report, told, truths = self.watched(target, "--max-overhead", "0.01%", while_watched=lambda attach: wait_until(
                lambda: RAISED in attach.stderr(), 20, "the step"))
        steps = report["capture"]["overhead"]["steps"]
        self.assertIn(RAISED, [step["what"] for step in steps])
        unseen = {one["what"]: one["why"] for one in report["capture"]["unseen"]}
        self.assertIn("to keep the overhead under 0.01 %", unseen["blocks shorter than 10 ms"])
        text, page = (loopscope("report", *how, self.capture).stdout for how in ((), ("--html",)))
        for step in steps:
            self.assertGreater(step["ts_ns"], 0)
            self.assertLess(step["ts_ns"], report["capture"]["duration_ns"])
            self.assertEqual(told.count(step["what"]), 1, told)
            self.assertIn(f": {step['what']}</li>", page)
        self.assertIn("blocks shorter than 10 ms", text)
        # what is left out is what the step says, and no more
        raised = next(step["ts_ns"] for step in steps if step["what"].startswith("blocks are recorded"))
        stalls = [stall for stall in report["stalls"] if stall["duration_ns"] > 90 * MS]
        self.assertEqual(len(stalls), 2, describe(report))
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth, "sleep", report)
        self.assertGreater(stalls[1]["start_ns"], raised)
        self.assertEqual([block["duration_ns"] > 90 * MS for block in stalls[1]["blocks"]], [True], stalls[1])

    def test_a_quiet_target_is_watched_in_full(self):
        with Process([PYTHON, SLEEPER, "1", "0.0005"]) as target:
            target.next_line("running")
            for options in ((), ("--max-overhead", "0.01")):
                report, told, truths = self.watched(target, *options, while_watched=lambda _: pause(4.5, 5))
                self.assertEqual(report["capture"]["overhead"]["steps"], [], told)
                self.assertEqual(report["capture"]["unseen"], [])
                self.assertStalls(report, truths, "sleep")

    def test_nonsense_is_refused(self):
        for nonsense in ("0", "-1", "101", "much", "", "1%%", "nan"):
            done = loopscope("attach", "-p", os.getpid(), "--max-overhead", nonsense, status=2)
            self.assertIn("--max-overhead", done.stderr)


class Own(Case):
    def test_loopscope_does_not_watch_itself(self):
        with Process([PYTHON, BLOCKER]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                own = [attach.pid, *descendants_of(attach.pid)]
                self.assertGreaterEqual(len(own), 4)
                for pid in own:
                    done = loopscope("attach", "-p", pid, "-o", self.dir / "own.lsc", status=4)
                    self.assertRegex(done.stderr, rf"^loopscope attach: [^\n]*process {pid} is loopscope's own[^\n]*\n$")
                    self.assertFalse((self.dir / "own.lsc").exists())
                attach.stop()

    def test_following_a_shell_does_not_follow_loopscope(self):
        inner = self.dir / "inner.lsc"
        with Process(["/bin/sh"]) as shell, Process([PYTHON, BLOCKER]) as target:
            target.next_line("running")
            with Attach(shell.pid, self.capture, "--follow") as attach:
                # it begins while the shell is watched, beside a program that is to be followed
                shell.tell(f"exec 3<&0; {PYTHON} {BLOCKER} <&3 & echo $!; "
                           f"{LOOPSCOPE} attach -p {target.pid} -o {inner} & echo $!")
                follower, client = int(shell.next_line()), int(shell.next_line())
                wait_until(lambda: len(descendants_of(client)) >= 3, 20, "the helpers of loopscope")
                shell.next_line("attached")
                pause()
                own = {client, *descendants_of(client)}
                os.kill(client, signal.SIGINT)
                shell.next_line("wrote")
                report = attach.stop()
        followed = {one["pid"] for one in report["capture"]["targets"]}
        watched = {loop["pid"] for loop in report["loops"]}
        self.assertIn(follower, watched, report["capture"]["targets"])
        self.assertFalse(own & watched, report["loops"])
        self.assertFalse((own - {client}) & followed, "the client alone may have been the shell for a moment")


if __name__ == "__main__":
    main()
