# SPDX-License-Identifier: MIT
"""Frameworks of Python that are not asyncio, as Debian has them: a block in a handler is found once, with the
handler's own frames alone, and advised in the framework's terms."""
import subprocess

from harness import HERE, MS, PYTHON, Attach, Case, Process, describe, frames_of, main, pause, rng

OWN = ["settle", "pay", "handle"]


class Frameworks(Case):
    def watch(self, name, fix):
        if subprocess.run([PYTHON, "-c", f"import {name}"], stderr=subprocess.DEVNULL).returncode:
            self.skipTest(f"python3-{name} is not installed")
        with Process([PYTHON, HERE / "targets/frameworks.py", name]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture) as attach:
                truths = []
                for _ in range(3):
                    pause()
                    target.tell(f"{rng.uniform(0.1, 0.2):.4f}")
                    truths.append(int(target.next_line()))
                pause()
                report = attach.stop()
        told = f"{describe(report)}; unresolved: {report['capture']['unresolved']}"
        self.assertStalls(report, truths, "sleep")
        for stall in self.planted(report):
            block = max(stall["blocks"], key=lambda b: b["duration_ns"])
            frames = [f for f in frames_of(report, block["stack"]) if f["lang"] == "python"]
            own = [f["function"] for f in frames if (f["file"] or "").endswith("/frameworks.py")]
            self.assertEqual(own[:3], OWN, told)
            self.assertEqual(frames[0]["line"], 10, told)
        sleeps = [f for f in report["findings"] if f["rule"] == "blocking-sleep"]
        self.assertEqual([f["site"]["function"] for f in sleeps], ["settle"], told)
        self.assertTrue(sleeps[0]["fix"].startswith(fix), sleeps[0]["fix"])
        return [frames_of(report, block["stack"]) for stall in self.planted(report) for block in stall["blocks"]
                if block["duration_ns"] > 50 * MS]

    def test_twisted(self):
        self.watch("twisted", "Use `reactor.callLater()`")

    def test_trio(self):
        self.watch("trio", "Use `await trio.sleep()`")

    def test_a_greenlet_has_no_frames_of_who_started_it(self):
        for frames in self.watch("gevent", "Use `gevent.sleep()`"):
            names = [f["function"] or "" for f in frames]
            self.assertIn("inner_bootstrap", names[-1], names)
            self.assertNotIn("with_gevent", names, names)


if __name__ == "__main__":
    main()
