# SPDX-License-Identifier: MIT
"""Who held Python's lock while the loop waited for it, and on what: told by the target's own clock
and thread numbers."""
import contextlib
import json
import os
import shutil
import sqlite3
import unittest

from harness import HERE, MS, PYTHON, Attach, Case, Process, describe, frames_of, loopscope, main, part, pause, rng

# Frames that only the holder's own work has; below them are those of the interpreter (a stack that was
# copied while it ran) or of Python (one that was read while it slept).
WORK = {"sleep": {"usleep"}, "burn": {"crypt", "crypt_r", "xcrypt_r"}, "think": {"_PyEval_EvalFrameDefault", "think"}}
BELOW = {"_PyEval_EvalFrameDefault", "keep"}
SETTLED = 100 * MS  # from either end of what the holder measures: nobody else can have the lock, on the busiest host


class Gil(Case):
    def watch(self, python, kinds):
        """Has the lock held in each of these ways; returns the report and what the target says."""
        with Process([python, HERE / "targets/gil_holder.py"]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as self.attach:
                told = []
                for kind in kinds:
                    pause()
                    target.tell(f"{kind} {rng.uniform(0.2, 0.35):.4f}")
                    told.append(json.loads(target.next_line("{")))
                pause()
                return self.attach.stop(), told

    def waits(self, report, truth):
        """The waits for the lock while the thread says that it had it, and how far in they began."""
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as db:
            begin = truth["begin_ns"] - db.execute("select ns from origin").fetchone()[0]
        waits = [(block["start_ns"] - begin, stall, block) for stall in report["stalls"] for block in stall["blocks"]
                 if block["cause"] == "gil"]
        return [wait for wait in waits if 0 < wait[0] < truth["ns"]]

    def assertHolder(self, report, truth):
        """Who held the lock is named, and nobody else; the stacks are its own. True when the loop
        waited for it most of the time."""
        told = f"{truth}; {describe(report)}; unresolved: {report['capture']['unresolved']}"
        waits = self.waits(report, truth)
        owners = [(since, block["owner"]) for since, _, block in waits if block["owner"]]
        for since, owner in owners:
            kept = truth["kind"] != "think" and SETTLED < since < truth["ns"] - SETTLED
            may = {truth["tid"]: "holder"} if kept else {truth["tid"]: "holder", truth["passer_tid"]: "passer"}
            self.assertEqual(owner["comm"], may.get(owner["tid"]), f"{owner} {since / MS:.1f} ms in; {told}")
        own = [owner for _, owner in owners if owner["tid"] == truth["tid"]]
        stacks = [{frame["function"] for frame in frames_of(report, owner["stack"])} for owner in own
                  if owner["stack"] is not None]
        for names in stacks:
            self.assertTrue(names & BELOW, told)
            self.assertNotIn("Py_BytesMain", names, told)
        if sum(block["duration_ns"] for _, _, block in waits) < truth["ns"] / 2:
            return False  # on a crowded host the loop waits for a CPU instead
        self.assertTrue([names for names in stacks if names & WORK[truth["kind"]]], f"{stacks}; {told}")
        self.assertTrue([names for names in stacks if "keep" in names], f"{stacks}; {told}")
        self.assertGreaterEqual(len(own), len(waits) / 2, told)
        for _, stall, _ in waits:
            if part(stall, "gil") > stall["duration_ns"] / 2:
                self.assertEqual(stall["cause"], "gil", told)
        return True

    def check(self, python):
        kinds = [*WORK, rng.choice(list(WORK))]
        rng.shuffle(kinds)
        report, told = self.watch(python, kinds)
        held = [self.assertHolder(report, truth) for truth in told]
        self.assertTrue(any(held), f"the host is too crowded: {told}; {describe(report)}")
        waiting = [frames_of(report, stall["stack"]) for stall in report["stalls"] if stall["cause"] == "gil"]
        self.assertTrue(any(frame["lang"] == "python" for frames in waiting for frame in frames),
                        f"{waiting}; unresolved: {report['capture']['unresolved']}")
        self.assertTold(told[0]["tid"])

    def assertTold(self, tid):
        """Live and on every page: who, and in what."""
        text = loopscope("report", self.capture).stdout
        live = "\n".join(self.attach.lines)
        self.assertRegex(live, rf"STALL.* held by {tid} holder: \S+( \(\S+:\d+\))? <- \S+")
        self.assertRegex(text, rf"held by thread {tid} holder")
        self.assertRegex(text, r"holder +(\S+ <- )*keep <- \S+")
        self.assertIn("Stack of the lock's holder", loopscope("report", "--html", self.capture).stdout)

    def test_debians_python(self):
        self.check(PYTHON)

    @unittest.skipIf(os.path.realpath(shutil.which("python3") or PYTHON) == os.path.realpath(PYTHON),
                     "no Python here but Debian's")
    def test_the_python_of_the_path(self):
        self.check(shutil.which("python3"))


if __name__ == "__main__":
    main()
