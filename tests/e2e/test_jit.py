# SPDX-License-Identifier: MIT
"""Code that a JIT has made, of a program that nothing else is known of: its functions have the names that it has written
into /tmp/perf-PID.map. It is a node whose file has another name, so that it is not looked into as one."""
import json
import os
import pathlib
import shutil
import unittest

import harness
import nodes
from harness import HERE, Attach, Case, Process, describe, frames_of, main, pause, rng

BODIES = {
    "fifo": "host.fs.readFileSync(host.file);",
    "loop": "const end = Date.now() + host.ms; let n = 0; while (Date.now() < end) n++;",
}


class Jit(Case):
    def setUp(self):
        super().setUp()
        self.program = self.dir / f"engine{rng.randrange(1 << 32)}"
        try:
            os.link(nodes.machine(), self.program)
        except OSError:
            shutil.copy(nodes.machine(), self.program)

    def write_module(self, kind):
        """Functions that call each other. Its path, the name of the outermost."""
        names = [f"f{rng.randrange(1 << 40):x}" for _ in range(rng.randint(2, 6))]
        bodies = [f"host.note(); {BODIES[kind]}", *(f"{name}(host); return 1;" for name in names)]
        text = "".join("\n" * rng.randint(0, 50) + f"function {name}(host) {{ {body} }}\n"
                       for name, body in zip(names, bodies))
        path = self.dir / f"m{rng.randrange(1 << 32)}.js"
        path.write_text(text + f"module.exports = {{ {names[-1]} }};\n")
        return str(path), names[-1]

    def watch(self, kind, spoil=lambda pid: None):
        """A stall of that kind. What node says of the stack, and the report."""
        options = ("--perf-basic-prof", "--interpreted-frames-native-stack", "--no-turbo-inlining", "--no-maglev-inlining")
        with Process([self.program, *options, HERE / "targets/javascript_calls.js"]) as target:
            target.next_line("running")
            perfmap = pathlib.Path(f"/tmp/perf-{target.pid}.map")
            self.addCleanup(perfmap.unlink, missing_ok=True)
            spoil(perfmap)
            with Attach(target.pid, self.capture) as attach:
                module, entry = self.write_module(kind)
                target.tell(json.dumps({"kind": kind, "ms": rng.randint(150, 250), "module": module, "entry": entry,
                                        "warm": rng.choice([True, False])}))
                truth = json.loads(target.next_line("{", 60))
                pause()
                report = attach.stop()
        return [frame for frame in truth["stack"] if frame[1] == module], truth, report

    def told(self, truth, report):
        """Of each stall that is long enough the functions of its stack."""
        return [[frame["function"] or "" for frame in frames_of(report, stall["stack"])] for stall in report["stalls"]
                if stall["duration_max_ns"] >= truth["ns"] - harness.SLACK]

    def test_its_functions_have_the_names_of_the_map(self):
        for kind in BODIES:
            with self.subTest(kind=kind):
                self.capture = str(self.dir / f"{kind}.lsc")
                own, truth, report = self.watch(kind)
                # an entry of the map is "JS:", how it is compiled, name, script, the line and column where it begins
                expected = [f"{function} {script}:{line}:" for function, script, line in own]
                found = [[want for function in functions for want in expected if want in function]
                         for functions in self.told(truth, report)]
                self.assertIn(expected, found, f"{self.told(truth, report)}; {describe(report)}")
                self.assertEqual([frame for stack in report["stacks"] for frame in stack["frames"]
                                  if frame["lang"] == "js"], [])

    def test_a_map_of_another_owner_is_not_believed(self):
        if os.geteuid() != 0:
            raise unittest.SkipTest("not root: cannot give a file away")
        own, truth, report = self.watch("fifo", lambda perfmap: os.chown(perfmap, 4242, 4242))
        self.assertFalse(any(name in function for functions in self.told(truth, report) for function in functions
                             for name, _, _ in own), describe(report))
        why = [entry["why"] for entry in report["capture"]["unresolved"]
               if entry["what"] == "frames of code made at run time"]
        self.assertEqual(why, ["the perf map is not the target's own"])


if __name__ == "__main__":
    main()
