# SPDX-License-Identifier: MIT
"""A stripped program whose names lie in a separate debug file: its static functions, their file and lines; and one whose
debug file is of another build, which is not used."""
import json
import os
import pathlib
import re
import shutil
import subprocess
import unittest

import harness
from harness import Attach, Case, Process, describe, frames_of, pause, rng

CALLBACKS = pathlib.Path(os.environ["LSC_BIN"]).parent / "tests/e2e/callbacks"


def objcopy(*arguments):
    subprocess.run(["objcopy", *arguments], check=True, timeout=60)


class Symbols(Case):
    def setUp(self):
        super().setUp()
        if not CALLBACKS.exists():
            raise unittest.SkipTest("callbacks was not built: cmake says which library is absent")
        folder = pathlib.Path(self.capture).parent
        self.program = folder / f"program{rng.randint(0, 9999)}"
        self.debug = folder / f"{rng.randint(0, 9999)}.debug"
        shutil.copy(CALLBACKS, self.program)
        objcopy("--only-keep-debug", self.program, self.debug)
        objcopy("--strip-all", f"--add-gnu-debuglink={self.debug}", self.program)

    def stack_of_stall(self):
        """Blocks in a random depth. The depth, the callback, the frames of the stall."""
        depth, callback = rng.randint(1, 9), rng.choice(("idle", "async"))
        with Process([self.program]) as target:
            target.next_line("ready")
            with Attach(target.pid, self.capture) as attach:
                pause(0.5, 0.8)
                target.tell(f"{callback} {rng.randint(60, 140)} {depth}")
                said = json.loads(target.next_line("callback"))
                pause(0.4, 0.6)
                self.report = attach.stop()
        [stall] = [s for s in self.report["stalls"] if s["cause"] not in ("runqueue", "steal")]
        return depth, said["callback"], frames_of(self.report, stall["stack"])

    def unresolved(self):
        return [u["why"] for u in self.report["capture"]["unresolved"] if u["what"] == "names and lines"]

    def test_of_a_debug_file(self):
        depth, callback, frames = self.stack_of_stall()
        own = [f for f in frames if f["module"] and f["module"].endswith(self.program.name)]
        names = [f["function"] for f in own]
        self.assertEqual(names[:depth + 2], ["descend"] * (depth + 1) + [callback], describe(self.report))
        source = (pathlib.Path(__file__).parent / "targets/callbacks.c").read_text().splitlines()
        for frame in own[:depth + 2]:
            self.assertTrue(frame["file"].endswith("callbacks.c"), frame)
            calls = "usleep" if frame is own[0] else "descend"
            self.assertRegex("".join(source[frame["line"] - 1:frame["line"] + 1]), rf"\b{calls}\(|sink", frame)
        self.assertEqual(self.unresolved(), [])

    def test_of_another_build(self):
        data = self.debug.read_bytes()
        notes = subprocess.run(["readelf", "-n", self.program], check=True, capture_output=True, text=True).stdout
        build_id = bytes.fromhex(re.search("Build ID: ([0-9a-f]+)", notes)[1])
        self.assertIn(build_id, data)
        self.debug.write_bytes(data.replace(build_id, bytes(reversed(build_id))))
        _, _, frames = self.stack_of_stall()
        own = [f for f in frames if f["module"] and f["module"].endswith(self.program.name)]
        self.assertTrue(own, frames)
        for frame in own:
            self.assertIsNone(frame["function"], frame)
            self.assertIsNone(frame["file"], frame)
        self.assertEqual(self.unresolved(), ["its debug file is of another build"])


if __name__ == "__main__":
    harness.main()
