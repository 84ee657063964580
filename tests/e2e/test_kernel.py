# SPDX-License-Identifier: MIT
"""What the kernel gives: a kernel that does not describe its types, as far as that can be had by hiding what it
says of them; and the doctor, who proves each probe by an event. Other kernels: tests/kernels/run."""
import json
import os
import pathlib
import re

from harness import HERE, LOOPSCOPE, PYTHON, SLACK, Case, Process, describe, loopscope, main, run, wait_until
from demo import DemoCase

TYPES = "/sys/kernel/btf"
SLEPT = 4.5  # ms that a wait of the doctor's 5 must be told as, at least
HIDDEN = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs none {TYPES} && exec "$@"', "sh")
LINE = f"cannot load kernel probes: no {TYPES}/vmlinux; a kernel built with CONFIG_DEBUG_INFO_BTF would give it"
ELSEWHERE = ("/boot/vmlinux-{}", "/lib/modules/{}/vmlinux-{}", "/lib/modules/{}/build/vmlinux",
             "/usr/lib/modules/{}/kernel/vmlinux", "/usr/lib/debug/boot/vmlinux-{}", "/usr/lib/debug/lib/modules/{}/vmlinux")


class NoTypes(DemoCase):
    def setUp(self):
        super().setUp()
        for path in ELSEWHERE:
            if os.path.exists(path.replace("{}", os.uname().release)):
                self.skipTest(f"the kernel's types are in {path} as well")

    def test_a_program_without_a_ring_is_refused_in_one_line(self):
        with Process([PYTHON, HERE / "targets/blocker.py"]) as target:
            target.next_line("running")
            for options in ((), ("--require", "bpf")):
                done = run(*HIDDEN, LOOPSCOPE, "attach", "-p", target.pid, "-d", 1, "-o", self.capture, *options, status=4)
                self.assertEqual((done.stdout, done.stderr), ("", f"loopscope attach: {LINE}\n"))
                self.assertEqual(os.listdir(self.dir), [])

    def test_a_program_with_a_ring_is_watched_through_it(self):
        report, blocks = self.watch(program=(*HIDDEN, LOOPSCOPE))
        stalls = self.planted(report)
        self.assertEqual(len(stalls), len(blocks), describe(report))
        for stall, block in zip(stalls, blocks):
            self.assertAlmostEqual(stall["duration_ns"], block["ns"], delta=SLACK)
            self.assertCulprit(stall)
        self.assertIn(LINE, [entry["why"] for entry in report["capture"]["unseen"]])

    def test_the_doctor_says_what_is_missing_and_what_would_give_it(self):
        done = run(*HIDDEN, LOOPSCOPE, "doctor", "--json", status=4)
        checks = {check["name"]: check for check in json.loads(done.stdout)["checks"]}
        for name in ("kernel type information (BTF)", "kernel probes (sched_switch)"):
            self.assertEqual(checks[name]["status"], "missing", checks)
            self.assertIn("no /sys/kernel/btf/vmlinux", checks[name]["detail"])
            self.assertIn("CONFIG_DEBUG_INFO_BTF would give it", checks[name]["fix"])


class Doctor(Case):
    def test_each_probe_is_proven_by_an_event(self):
        said = json.loads(loopscope("doctor", "--json").stdout)
        checks = {check["name"]: (check["status"], check["detail"]) for check in said["checks"]}
        proofs = {"kernel probes (sched_switch)": r"a sleep of ([\d.]+) ms", "samples (cpu-clock)": "compute in a tick",
                  "precise mode (sys_exit)": "returns",
                  "who ends a block (sched_waking)": "a child, ended a wait",
                  "threads that sleep (iter/task)": "where a child slept", "processes (fork, exec, exit)": "begin and end",
                  "who waits (sk_data_ready)": r"wait in a socket for ([\d.]+) ms"}
        if "returns from waits (fexit)" in checks:
            proofs["returns from waits (fexit)"] = proofs.pop("precise mode (sys_exit)")
        for name, detail in proofs.items():
            self.assertEqual(checks[name][0], "ok", checks)
            self.assertRegex(checks[name][1], detail)
            for seen in re.search(detail, checks[name][1]).groups():
                self.assertGreaterEqual(float(seen), SLEPT, checks)

    def test_it_leaves_no_child_behind(self):
        """Its loopscoped ends when the doctor has gone, and what that started with it."""
        with Process([LOOPSCOPE, "doctor"], bufsize=1) as doctor:
            self.assertEqual(doctor.finish(), 0)
            wait_until(lambda: not [path for path in pathlib.Path("/proc").glob("[0-9]*/exe")
                                    if self.session_of(path.parent) == doctor.pid], 2, "the end of what it started")

    @staticmethod
    def session_of(folder):
        try:
            return int((folder / "stat").read_text().rsplit(")", 1)[1].split()[3])
        except OSError:
            return None


if __name__ == "__main__":
    main()
