# SPDX-License-Identifier: MIT
"""The callback of a loop in C: Debian's redis and nginx, a program on libuv built as a release is, and one app on each
library and on the bare calls. Each names the callback that the program says it was in."""
import json
import os
import pathlib
import random
import unittest

import apps
import harness
from harness import SLACK, Attach, Case, Process, describe, pause, rng
from runner import alone, calm, for_each

DEEP = pathlib.Path(os.environ["LSC_BIN"]).parent / "tests/e2e/deep"
CALLBACKS = pathlib.Path(os.environ["LSC_BIN"]).parent / "tests/e2e/callbacks"
# What each library is given by tests/apps, and what the bare loops call.
BY_APP = {"uv": "on_poll", "event": "on_event", "ev": "on_io", "glib": "on_fd", "sd": "on_io", "tevent": "on_fd",
          "epoll": "serve", "poll": "serve", "select": "serve", "uring": "serve"}


@calm
class Callbacks(Case):
    def stalls_of(self, pid, plant, *options, count=1):
        """Those of a run in which plant() blocks the loop, once it is attached and has idled."""
        with Attach(pid, self.capture, *options) as attach:
            pause(0.5, 0.8)
            plant()
            pause(0.4, 0.6)
            self.report = attach.stop()
        stalls = [s for s in self.report["stalls"] if s["cause"] not in ("runqueue", "steal")]
        self.assertEqual(len(stalls), count, describe(self.report))
        return stalls

    def assertIn_callback(self, stall, name):
        told = describe(self.report)
        self.assertIsNotNone(stall["task"], told)
        self.assertEqual(stall["task"]["kind"], "callback", told)
        self.assertEqual(stall["task"]["name"], name, told)

    @for_each(BY_APP)
    def test_of_each_library_and_of_the_bare_calls(self, name):
        with apps.APP[name]() as app:
            kind = rng.choice([k for k in ("sleep", "pipe") if k in app.kinds])
            [stall] = self.stalls_of(app.pid, lambda: app.block(kind, rng.uniform(0.06, 0.12)))
            self.assertIn_callback(stall, BY_APP[name])
            [loop] = [loop for loop in self.report["loops"] if loop["id"] == stall["loop"]]
            self.assertEqual(loop["runtime"], "libuv" if name == "uv" else None, describe(self.report))
            fixes = [finding["fix"] for finding in self.report["findings"] if stall["id"] in finding["stall_ids"]]
            self.assertTrue(fixes, describe(self.report))
            self.assertEqual({"uv_" in fix for fix in fixes}, {name == "uv"}, fixes)

    def test_deep_below_it(self):
        """All of the stack is there, also of the first long block at a place, where the kernel side copies but the share of
        it that short ones are to pay for. What is beyond 32 KiB is said to lack."""
        with Process([DEEP]) as process:
            process.next_line("running")
            with Attach(process.pid, self.capture) as attach:
                truths, depths = [], []
                for least, most in ((2, 4), (7, 12), (18, 27), (40, 60)):
                    depth = rng.randint(least, most)
                    pause(0.2, 0.4)
                    process.ask(f"{depth} 0.0002 {rng.randint(5, 20)}")
                    for _ in range(3):  # the first is unexpected, those after it are not
                        pause(0.05, 0.2)
                        truths.append(process.ask(f"{depth} {rng.uniform(0.06, 0.1):.3f}"))
                        depths.append(depth)
                pause(0.4, 0.6)
                report = attach.stop()
        for stall, depth in zip(self.assertStalls(report, truths, "sleep"), depths):
            [stack] = [stack for stack in report["stacks"] if stack["id"] == stall["stack"]]
            functions = [frame["function"] for frame in stack["frames"]]
            at = functions.index("rest")
            told = f"{depth} deep: {functions}; {describe(report)}"
            self.assertEqual(stack["truncated"], depth > 30, told)
            if depth > 30:
                self.assertEqual(set(functions[at + 1:]), {"descend"}, told)
                self.assertGreater(len(functions) - at, 28, told)
            else:
                self.assertEqual(stall["task"]["name"], "serve", told)
                self.assertEqual(functions[at:at + depth + 4], ["rest"] + ["descend"] * (depth + 1) + ["serve", "main"],
                                 told)

    @alone
    def test_of_one_that_computes(self):
        name = rng.choice(sorted(set(BY_APP) - {"uring"}))
        with self.subTest(name), apps.APP[name]() as app:
            [stall] = self.stalls_of(app.pid, lambda: app.block("spin", 0.2))
            self.assertIn_callback(stall, BY_APP[name])

    def test_redis(self):
        if not pathlib.Path("/usr/bin/redis-server").exists():
            raise unittest.SkipTest("no /usr/bin/redis-server")
        with apps.APP["redis"]() as app:
            [stall] = self.stalls_of(app.pid, lambda: app.block("sleep", rng.uniform(0.06, 0.15)))
            self.assertIn_callback(stall, "readQueryFromClient")

    def test_nginx(self):
        """The request is logged when it has been answered, in the callback of its connection."""
        with apps.APP["nginx"]() as app:
            [stall] = self.stalls_of(app.pid, lambda: app.block("fifo", rng.uniform(0.06, 0.15)), "--follow")
            self.assertEqual(stall["task"]["kind"], "callback", describe(self.report))
            frames = [f["function"] for f in harness.frames_of(self.report, stall["stack"])]
            self.assertRegex(stall["task"]["name"], "^ngx_http_", frames)

    def test_of_a_release(self):
        if not CALLBACKS.exists():
            raise unittest.SkipTest("callbacks was not built: cmake says which library is absent")
        orders = [(how, rng.randint(60, 140), rng.randint(0, 9)) for how in ("idle", "async")]
        random.Random(rng.random()).shuffle(orders)
        said = []

        def plant():
            for how, ms, depth in orders:
                target.tell(f"{how} {ms} {depth}")
                said.append(json.loads(target.next_line("callback")))
                pause(0.1, 0.2)

        with Process([CALLBACKS]) as target:
            target.next_line("ready")
            stalls = self.stalls_of(target.pid, plant, count=2)
            for stall, truth in zip(sorted(stalls, key=lambda s: s["start_ns"]), said):
                self.assertIn_callback(stall, truth["callback"])
                self.assertGreaterEqual(stall["duration_ns"], truth["ns"] - SLACK)

    def test_that_is_not_on_the_stack_any_more(self):
        if not CALLBACKS.exists():
            raise unittest.SkipTest("callbacks was not built: cmake says which library is absent")
        with Process([CALLBACKS]) as target:
            target.next_line("ready")
            [stall] = self.stalls_of(target.pid, lambda: target.ask(f"timer {rng.randint(60, 140)} 0"))
            self.assertIn_callback(stall, "called from libuv timers")
            [finding] = [finding for finding in self.report["findings"] if stall["id"] in finding["stall_ids"]]
            self.assertIsNone(finding["site"], finding)
            self.assertTrue(finding["message"].startswith("callback called from libuv timers slept"), finding)
            self.assertNotIn("on_order_of_timer", [f["function"] for f in harness.frames_of(self.report, stall["stack"])])


if __name__ == "__main__":
    harness.main()
