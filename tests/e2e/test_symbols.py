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
from runner import calm

CALLBACKS = pathlib.Path(os.environ["LSC_BIN"]).parent / "tests/e2e/callbacks"


def objcopy(*arguments):
    subprocess.run(["objcopy", *arguments], check=True, timeout=60)


class Stripped(Case):
    """A program of its own build id, stripped, and its debug file."""
    linked = True  # the program names its debug file, which lies beside it

    def setUp(self):
        super().setUp()
        if not CALLBACKS.exists():
            raise unittest.SkipTest("callbacks was not built: cmake says which library is absent")
        folder = pathlib.Path(self.capture).parent
        self.program = folder / f"program{rng.randint(0, 9999)}"
        self.debug = folder / f"{rng.randint(0, 9999)}.debug"
        shutil.copy(CALLBACKS, self.program)
        objcopy("--only-keep-debug", self.program, self.debug)
        link = (f"--add-gnu-debuglink={self.debug}",) if self.linked else ()
        objcopy("--strip-all", *link, self.program)

    def build_id(self):
        notes = subprocess.run(["readelf", "-n", self.program], check=True, capture_output=True, text=True).stdout
        return re.search("Build ID: ([0-9a-f]+)", notes)[1]

    def plant(self, target):
        """Blocks in a random depth. The depth, and what the target says of the block."""
        depth, callback = rng.randint(1, 9), rng.choice(("idle", "async"))
        target.tell(f"{callback} {rng.randint(60, 140)} {depth}")
        return depth, json.loads(target.next_line("callback"))

    def own(self, frames):
        return [f for f in frames if f["module"] and f["module"].endswith(self.program.name)]

    def assertNamed(self, frames, depth, callback):
        own = self.own(frames)
        names = [f["function"] for f in own]
        self.assertEqual(names[:depth + 2], ["descend"] * (depth + 1) + [callback], describe(self.report))
        source = (pathlib.Path(__file__).parent / "targets/callbacks.c").read_text().splitlines()
        for frame in own[:depth + 2]:
            self.assertTrue(frame["file"].endswith("callbacks.c"), frame)
            calls = "usleep" if frame is own[0] else "descend"
            self.assertRegex("".join(source[frame["line"] - 1:frame["line"] + 1]), rf"\b{calls}\(|sink", frame)

    def assertNameless(self, frames):
        own = self.own(frames)
        self.assertTrue(own, frames)
        for frame in own:
            self.assertIsNone(frame["function"], frame)
            self.assertIsNone(frame["file"], frame)

    def unresolved(self, what="names and lines"):
        return [u["why"] for u in self.report["capture"]["unresolved"] if u["what"] == what]


@calm
class Symbols(Stripped):
    def stack_of_stall(self):
        """Blocks once. The depth, the callback, the frames of the stall."""
        with Process([self.program]) as target:
            target.next_line("ready")
            with Attach(target.pid, self.capture) as attach:
                pause(0.5, 0.8)
                depth, said = self.plant(target)
                pause(0.4, 0.6)
                self.report = attach.stop()
        [stall] = [s for s in self.report["stalls"] if s["cause"] not in ("runqueue", "steal")]
        return depth, said["callback"], frames_of(self.report, stall["stack"])

    def test_of_a_debug_file(self):
        depth, callback, frames = self.stack_of_stall()
        self.assertNamed(frames, depth, callback)
        self.assertEqual(self.unresolved(), [])

    def test_of_another_build(self):
        data = self.debug.read_bytes()
        build_id = bytes.fromhex(self.build_id())
        self.assertIn(build_id, data)
        self.debug.write_bytes(data.replace(build_id, bytes(reversed(build_id))))
        _, _, frames = self.stack_of_stall()
        self.assertNameless(frames)
        self.assertEqual(self.unresolved(), ["its debug file is of another build"])


if __name__ == "__main__":
    harness.main()
