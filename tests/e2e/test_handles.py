# SPDX-License-Identifier: MIT
"""loopscope ps PID of a loop of libuv: its handles are those that libuv and node themselves tell."""
import json
import time

import nodes
import pythons
from harness import BIN, HERE, MS, PYTHON, SEED, Case, Process, loopscope, main, rng, run
from runner import calm, for_each
from test_ps import ps

UV_HANDLES = BIN.parent / "tests/e2e/uv_handles"


def looked_at(pid):
    """The document, and the two moments between which it was made."""
    before = time.monotonic_ns()
    document = ps(pid)
    return document, before, time.monotonic_ns()


@calm
class Handles(Case):
    def assertDue(self, handle, at, before, after, told):
        """`at`: the least and the most moment of the monotonic clock when it is due."""
        self.assertGreaterEqual(handle["due_ns"], at[0] - after, told)
        self.assertLessEqual(handle["due_ns"], at[1] - before, told)

    @for_each("1234")
    def test_every_handle_of_libuv_is_the_one_that_uv_walk_tells(self, _):
        if not UV_HANDLES.exists():
            self.skipTest("libuv was not there when this was built")
        seed, loops, count = rng.randrange(10 ** 6), rng.randint(1, 3), rng.choice([0, 3, 30, 200])
        told = f"seed {seed} loops {loops} handles {count}; LSC_SEED={SEED}"
        with Process([UV_HANDLES, seed, loops, count]) as target:
            truth = [json.loads(target.next_line("{")) for _ in range(loops)]
            listed = [loop for loop in ps()["loops"] if loop["pid"] == target.pid]
            document, before, after = looked_at(target.pid)
            self.assertEqual(document["unseen"], [], told)
            self.assertEqual({(loop["tid"], loop["runtime"], loop["runtime_version"]) for loop in listed},
                             {(loop["tid"], "libuv", loop["version"]) for loop in truth}, told)
            found = {loop["tid"]: loop for loop in document["loops"]}
            self.assertEqual(set(found), {loop["tid"] for loop in truth}, told)
            for loop in truth:
                told_of = found[loop["tid"]]
                self.assertEqual((told_of["runtime"], told_of["runtime_version"]), ("libuv", loop["version"]), told)
                self.assertEqual(found[loop["tid"]]["handles_omitted"], 0, told)
                self.check(found[loop["tid"]]["handles"], loop["handles"], before, after, told)

    def check(self, ours, theirs, before, after, told):
        for mine, its in zip(ours, theirs):
            told_of = f"{mine} {its} {told}"
            self.assertEqual(mine["kind"], its["kind"].replace("_", "-"), told_of)
            self.assertEqual((mine["active"], mine["referenced"], mine["closing"]),
                             (bool(its["active"]), bool(its["referenced"]), False), told_of)
            self.assertEqual((mine["fd"], mine["number"]),
                             (None if its["fd"] < 0 else its["fd"], its["number"] or None), told_of)
            if its["callback"]:
                self.assertEqual(mine["callback"], its["callback"], told_of)
            if its["due_ms"]:
                self.assertDue(mine, [its["due_ms"] * MS] * 2, before, after, told_of)
                self.assertEqual(mine["repeat_ns"], its["repeat_ms"] * MS or None, told_of)
            else:
                self.assertIsNone(mine["due_ns"], told_of)
        self.assertEqual(len(ours), len(theirs), told)

    def test_more_handles_than_are_told_are_counted(self):
        if not UV_HANDLES.exists():
            self.skipTest("libuv was not there when this was built")
        with Process(["sh", "-c", "ulimit -n 4096; exec \"$@\"", "sh", UV_HANDLES, rng.randrange(10 ** 6), 1, 1500]) as target:
            truth = json.loads(target.next_line("{"))
            document, before, after = looked_at(target.pid)
        loop, = document["loops"]
        self.assertEqual(len(loop["handles"]), 1000)
        self.assertEqual(loop["handles_omitted"], len(truth["handles"]) - 1000)
        self.check(loop["handles"], truth["handles"][:1000], before, after, f"LSC_SEED={SEED}")

    def watch_node(self, command):
        servers, clients, timers = rng.randint(1, 3), rng.randint(1, 20), rng.randint(1, 50)
        told = f"servers {servers} clients {clients} timers {timers}; LSC_SEED={SEED}"
        with Process([*command, HERE / "targets/handles.js", servers, clients, timers]) as target:
            truth = json.loads(target.next_line("{"))
            document, before, after = looked_at(target.pid)
            text = loopscope("ps", target.pid).stdout
        loop, = (loop for loop in document["loops"] if loop["tid"] == target.pid)
        said = run(*command, "--version").stdout.strip()
        self.assertEqual((loop["runtime"], "v" + loop["runtime_version"]), ("node", said), told)
        tcp = [handle for handle in loop["handles"] if handle["kind"] == "tcp"]
        self.assertEqual([name for name in truth["resources"] if name == "Timeout"], ["Timeout"] * timers, told)
        self.assertEqual(len(tcp), sum(name in ("TCPServerWrap", "TCPSocketWrap") for name in truth["resources"]), told)
        self.assertEqual(sorted([handle["local"], handle["peer"]] for handle in tcp if handle["state"] == "established"),
                         sorted(truth["sockets"]), told)
        self.assertEqual(sorted(handle["local"] for handle in tcp if handle["state"] == "listening"),
                         sorted(truth["listening"]), told)
        # others are of V8's platform, for tasks that it puts off: they keep no loop going
        timer, = (handle for handle in loop["handles"]
                  if handle["kind"] == "timer" and handle["active"] and handle["referenced"])
        # libuv counts whole milliseconds, and node rounds a part of one up
        self.assertDue(timer, [truth["due_ms"][0] * MS, (truth["due_ms"][1] + 2) * MS], before, after, told)
        self.assertRegex(text, r"\n    timer  in \d+\.\d\d (s|min)  calls node::Environment::RunTimers\(", told)
        for local, peer in truth["sockets"]:
            self.assertRegex(text, rf"\n    tcp fd \d+  {local} <-> {peer}  established", told)
        self.assertNotIn("timers: unknown", text, told)

    def test_the_machines_node(self):
        self.watch_node([nodes.machine()])

    def test_debians_node_18(self):
        self.watch_node(nodes.debian())

    def test_node_22(self):
        self.watch_node(nodes.published("22"))

    def test_node_24(self):
        self.watch_node(nodes.published("24"))

    @for_each(pythons.WITH_UVLOOP)
    def test_uvloop_has_handles_beside_its_tasks(self, name):
        command = pythons.command_of(pythons.WITH_UVLOOP, name)
        with Process([*command, HERE / "targets/tasks.py", 1, 2, 5, "uvloop"]) as target:
            truth = json.loads(target.next_line("{", 60))
            document = ps(target.pid)
            self.assertEqual({str(loop["tid"]): loop["tasks"] for loop in document["loops"]},
                             {tid: len(tasks) for tid, tasks in truth.items()})
            for loop in document["loops"]:
                self.assertIn("async", {handle["kind"] for handle in loop["handles"]})

    def test_another_loop_has_none(self):
        with Process([PYTHON, HERE / "targets/tasks.py", 1, 1, 5]) as target:
            target.next_line("{", 60)
            loop, = ps(target.pid)["loops"]
        self.assertNotIn("handles", loop)


if __name__ == "__main__":
    main()
