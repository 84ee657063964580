# SPDX-License-Identifier: MIT
"""Without privileges: a user watches a service of their own through its ring alone."""
import os
import shutil

from harness import BIN, HERE, PYTHON, SLACK, Process, describe, main, report_of, run
from demo import SERVICE, DemoCase

NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", "--no-new-privs")


class Ring(DemoCase):
    def setUp(self):
        """As root, become nobody, with copies of the programs in a place that nobody can reach."""
        super().setUp()
        self.user, self.bin = (), BIN
        if os.geteuid() == 0:
            self.user, self.bin = NOBODY, self.dir / "bin"
            self.bin.mkdir()
            for name in (SERVICE, "loopscope", "loopscoped"):
                shutil.copy(BIN / name, self.bin)
            self.dir.chmod(0o777)

    def test_the_ring_alone_names_culprit_and_victims_and_says_what_it_cannot_see(self):
        report, blocks = self.watch(folder=self.bin, user=self.user, program=(*self.user, self.bin / "loopscope"))
        self.assertEqual([loop["source"] for loop in report["loops"]], ["ring"])
        stalls = self.planted(report)
        self.assertEqual(len(stalls), len(blocks), describe(report))
        for stall, block in zip(stalls, blocks):
            self.assertAlmostEqual(stall["duration_ns"], block["ns"], delta=SLACK)
            self.assertCulprit(stall)
            self.assertVictims(report, stall, block)
        blind = [finding for finding in report["findings"] if finding["rule"] == "blind"]
        self.assertEqual(len(blind), 1, describe(report))
        self.assertTrue(report["capture"]["unseen"], "what cannot be seen is listed")

    def test_a_recorded_program_has_its_own_name(self):
        for command, loops in ((["/bin/true"], 0), ([self.bin / SERVICE, "--seconds", "1"], 1)):
            capture = self.dir / f"{loops}.lsc"
            run(*self.user, self.bin / "loopscope", "record", "-q", "-o", capture, "--", *command)
            [target] = (report := report_of(capture))["capture"]["targets"]
            self.assertEqual(target["comm"], os.path.basename(command[0])[:15])
            self.assertEqual(len(report["loops"]), loops)
            if loops:
                self.assertEqual(target["exe"], str(command[0]))
                self.assertEqual(report["loops"][0]["comm"], target["comm"])

    def test_kernel_events_that_are_required_and_refused_are_exit_4(self):
        with Process([*self.user, self.bin / SERVICE, "--seconds", 10]) as target:
            target.next_line()
            done = run(*self.user, self.bin / "loopscope", "attach", "-p", target.pid, "--require", "bpf",
                       "-d", "1", "-o", self.capture, status=4)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertFalse(os.path.exists(self.capture))

    def test_a_process_of_another_user_is_exit_4(self):
        if os.geteuid() != 0:
            self.skipTest("needs root to own a process of another user")
        with Process([PYTHON, HERE / "targets/blocker.py"]) as target:
            target.next_line("running")
            done = run(*self.user, self.bin / "loopscope", "attach", "-p", target.pid, "-d", "1",
                       "-o", self.capture, status=4)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)


if __name__ == "__main__":
    main()
