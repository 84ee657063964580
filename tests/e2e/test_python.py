# SPDX-License-Identifier: MIT
"""Frames of Python and the asyncio task, in each CPython that is here: what the report says is what
the interpreter itself says of the thread while it is blocked."""
import json
import string
import textwrap
import unittest

from harness import HERE, PYTHONS, Attach, Case, Process, frames_of, main, pause, rng

# What blocks, over several lines where lines are told apart by it.
CALLS = {
    "sleep": "time.sleep(seconds)",
    "fifo": "open(\n    host.fifo\n).close()",
    "child": "subprocess.run(\n    ['sleep', str(seconds)],\n    check=True,\n)",
    "lock": "if True:\n    host.lock.acquire(); host.lock.release()",
    "spin": "until = time.monotonic() + seconds\nwhile time.monotonic() < until:\n    sum(range(1000))",
    "sqlite": "host.db.execute(\n    'begin immediate'\n); host.db.execute('rollback')",
}
CAUSES = {"sleep": {"sleep"}, "fifo": {"pipe-io"}, "child": {"child-wait"}, "lock": {"lock"}, "sqlite": {"sleep"},
          "spin": {"cpu-user", "runqueue"}}


def name(letters=string.ascii_lowercase, most=60):
    return "f" + "".join(rng.choices(letters, k=rng.randint(1, most)))


def write_module(folder, kind):
    """A module of two to six functions that call each other, some of them methods, some of a function
    within another. Its path and the expression that names the first one, a coroutine function."""
    depth = rng.randint(2, 6)
    names = [f"{name(string.ascii_lowercase + '_äßñ日', rng.choice([3, 20, 200]))}_{i}" for i in range(depth)]
    lines, ways = ["import subprocess, time"], []
    for own in names:
        ways.append(rng.choice([own, f"C{own}.{own}", f"make_{own}()"]))
    for i, own in enumerate(names):
        call = CALLS[kind] if i == depth - 1 else f"{ways[i + 1]}(\n    host,\n    seconds)"
        keyword = "async def" if i == 0 else "def"
        filler = "\n".join(f"x{n} = {n}" for n in range(rng.randint(0, 20)))
        function = f"{keyword} {own}(host, seconds):\n" + textwrap.indent(f"{filler}\n{call}\nreturn 1\n", "    ")
        if ways[i].startswith("C"):
            function = f"class C{own}:\n    @staticmethod\n" + textwrap.indent(function, "    ")
        elif ways[i].endswith("()"):
            function = f"def make_{own}():\n" + textwrap.indent(function + f"return {own}", "    ")
        lines += [""] * rng.randint(0, 400) + [function]
    path = folder / f"{name()}.py"
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path), ways[0]


class Python(Case):
    def frames(self, report, stack):
        return [[frame["function"], frame["file"], frame["line"]] for frame in frames_of(report, stack)
                if frame["lang"] == "python"]

    @staticmethod
    def settled(kind, stack):
        """A function that runs is at any line of its loop."""
        leaf = stack[0][:2] if kind == "spin" and stack else stack[0] if stack else None
        return [leaf, *stack[1:]]

    def assertTold(self, report, pid, truth):
        """The stall, its task and its site are what the target says of itself."""
        told = f"{truth['kind']}; unresolved: {report['capture']['unresolved']}"
        loops = {loop["id"] for loop in report["loops"] if loop["pid"] == pid}
        stalls = [stall for stall in report["stalls"]
                  if stall["loop"] in loops and stall["task"] and stall["task"]["name"] == truth["task"]]
        self.assertEqual(len(stalls), 1, told)
        stall = stalls[0]
        self.assertIn(stall["cause"], CAUSES[truth["kind"]], told)
        self.assertEqual(list(stall["task"]["spawn_site"].values()), truth["site"], told)
        self.assertEqual(self.settled(truth["kind"], self.frames(report, stall["stack"])),
                         self.settled(truth["kind"], truth["stack"]), told)
        frames = frames_of(report, stall["stack"])
        self.assertFalse([frame for frame in frames if "EvalFrameDefault" in (frame["function"] or "")], told)
        own = next(frame for frame in truth["stack"] if frame[1] == truth["path"])
        self.assertEqual(self.settled(truth["kind"], [list(stall["site"].values())])[0],
                         self.settled(truth["kind"], [own])[0], told)
        if truth["kind"] == "spin":
            return
        self.assertEqual(frames[0]["lang"], "native", told)
        longest = max(stall["blocks"], key=lambda block: block["duration_ns"])
        self.assertEqual(longest["task"], stall["task"]["id"], told)
        findings = [finding for finding in report["findings"] if stall["id"] in finding["stall_ids"]]
        self.assertTrue(any(list(finding["site"].values()) == own for finding in findings), told)

    def plant(self, target, kind):
        path, function = write_module(self.dir, kind)
        seconds = rng.uniform(0.12, 0.2) + 0.2 * (kind == "sqlite")  # one sleep of 100 ms
        task = name(string.printable.strip() + "äé日本😀", rng.choice([5, 50, 200]))
        target.tell(json.dumps({"kind": kind, "seconds": seconds, "path": path, "function": function,
                                "task": f"{task}-{kind}"}))
        return json.loads(target.next_line("{"))

    def test_stack_and_task_are_those_that_the_interpreter_tells(self):
        """All versions in one capture, one after the other."""
        targets, truths = {}, {}
        for version, path in PYTHONS.items():
            if not path.exists():
                print(f"skipped {version}: {path} is not there")
                continue
            target = Process([path, HERE / "targets/python_calls.py"])
            target.__enter__()
            self.addCleanup(target.__exit__)
            targets[version] = target
        if not targets:
            self.skipTest("no CPython is here")
        for target in targets.values():
            target.next_line("running")
        pids = [target.pid for target in targets.values()]
        with Attach(pids[0], self.capture, *(part for pid in pids[1:] for part in ("-p", str(pid)))) as attach:
            for version in rng.sample(list(targets), len(targets)):
                truths[version] = [self.plant(targets[version], kind) for kind in rng.sample(list(CALLS), len(CALLS))]
            pause(0.1, 0.2)
            report = attach.stop()
        for version, told in truths.items():
            for truth in told:
                with self.subTest(version=version, kind=truth["kind"]):
                    self.assertTold(report, targets[version].pid, truth)


if __name__ == "__main__":
    main()
