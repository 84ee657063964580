# SPDX-License-Identifier: MIT
"""Frames of Python and the asyncio task, in each CPython that is here: what the report says is what
the interpreter itself says of the thread while it is blocked."""
import json
import socket
import string
import subprocess
import textwrap
import time

import pythons
from harness import HERE, SLACK, Attach, Case, Process, describe, frames_of, main, pause, rng

TARGET = HERE / "targets/python_calls.py"
# Watching a program that is held half of the time costs more than --max-overhead. Detail is left out after three seconds
# of that, of which the first one is not among them.
BRIEF = 2
FRAMES_MAX = 128  # of a stack are told
# Code that is made, runs for 30 ms and is freed; other code takes its place.
FREED = """import asyncio, time
def run_it(n):
    exec("\\n" * n + "until = time.monotonic() + 0.03\\nwhile time.monotonic() < until: pass", {"time": time})
    return [compile("x = %d" % i, "other", "exec") for i in range(50)]
async def turn():
    for n in range(20):
        await asyncio.sleep(0.03)
        run_it(n)
async def main():
    print("running", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, input)
    await asyncio.create_task(turn(), name="freeing")
    print("done", flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""

# What blocks, over several lines where lines are told apart by it.
CALLS = {
    "sleep": "time.sleep(seconds)",
    "fifo": "open(\n    host.fifo\n).close()",
    "child": "subprocess.run(\n    ['sleep', str(seconds)],\n    check=True,\n)",
    "lock": "if True:\n    host.lock.acquire(); host.lock.release()",
    "spin": "until = time.monotonic() + seconds\nwhile time.monotonic() < until:\n    sum(range(1000))",
    "crc": "until = time.monotonic() + seconds\nwhile time.monotonic() < until:\n    zlib.crc32(host.data)",  # without the GIL
    "gil": "host.feed()\nwhile not host.fed: pass",
    "http": "urllib.request.urlopen(\n    host.url\n).read()",
    "dns": "try:\n    socket.getaddrinfo(\n        host.unknown, 80)\nexcept OSError: pass",
    "sqlite": "host.db.execute(\n    'begin immediate'\n); host.db.execute('rollback')",
}
# How one function gets to the next: straight, or through code of every other kind. What it awaits, if it does, is `call`.
LINKS = [
    "{call}",
    "x = [\n    {call}\n    for _ in range(1)\n]",
    "x = {{\n    1:\n    {call}\n    for _ in range(1)}}",
    "try:\n    {call}\nfinally:\n    x = 1",
    "if (x :=\n        {call}):\n    pass",
    "with contextlib.suppress(OSError):\n    x = 1; {call}",
]
SYNC_LINKS = LINKS + [
    "list(\n    {call}\n    for _ in range(1))",
    "def produce():\n    yield 0\n    yield {call}\nlist(produce())",
    "def produce():\n    yield {call}\ndef pass_on():\n    yield from produce()\nfor _ in pass_on(): x = 1",
    "(lambda: [\n    {call}\n])()",
    "sorted([1], key=lambda _:\n    {call})",
    "class Made:\n    x = 1\n    y = {call}",
    "class Made:\n    def __init__(self):\n        self.x = {call}\nMade()",
    "class Made:\n    @property\n    def value(self):\n        return {call}\nMade().value",
    "class Made:\n    def __enter__(self): {call}\n    def __exit__(self, *_): pass\nwith Made():\n    x = 1",
    "@functools.lru_cache\n@functools.partial\ndef ready():\n    return {call}\nready()",
    "def wrap(inner):\n    @functools.wraps(inner)\n    def wrapped(*args):\n        return inner(*args)\n    return wrapped\n"
    "@wrap\ndef ready():\n    return {call}\nready()",
    # Kept as an import keeps it: a sample that is read when the tick is over has no frames of code that is freed by then.
    "globals().setdefault('kept', []).append(\n    compile('x = 1\\n\\n{plain}', __file__, 'exec'))\n"
    "exec(kept[-1], globals(), locals())",
    "globals().setdefault('kept', []).append(\n    compile('{plain}', '<string>', 'eval'))\n"
    "eval(kept[-1], globals(), locals())",
]
ASYNC_LINKS = LINKS + [
    "async def produce():\n    yield 0\n    yield {call}\nasync for _ in produce(): x = 1",
    "async def produce():\n    yield {call}\nx = [\n    y\n    async for y in produce()]",
    "class Made:\n    async def __aenter__(self):\n        return {call}\n    async def __aexit__(self, *_): pass\n"
    "async with Made(): x = 1",
    "class Made:\n    def __await__(self):\n        return (yield from\n            self.run().__await__())\n"
    "    async def run(self):\n        return {call}\nawait Made()",
]
CAUSES = {"sleep": "sleep", "fifo": "pipe-io", "child": "child-wait", "lock": "lock", "sqlite": "sleep",
          "spin": "cpu-user", "crc": "cpu-user", "gil": "gil", "http": "network-io", "dns": "network-io"}

COMPUTE = {kind for kind, cause in CAUSES.items() if cause == "cpu-user"}


def name(letters=string.ascii_lowercase, most=60):
    return "f" + "".join(rng.choices(letters, k=rng.randint(1, most)))


def write_module(folder, kind):
    """A module of four to seven functions that call each other, some of them methods, some of a function
    within another, straight or through code of other kinds. The first ones are coroutine functions that await each
    other. Its path and the expression that names the first one."""
    depth = rng.randint(4, 7)
    awaits = rng.randint(1, depth)
    names = [f"{name(string.ascii_lowercase + '_äßñ日', rng.choice([3, 20, 200]))}_{i}" for i in range(depth)]
    lines, ways = ["import contextlib, functools, socket, subprocess, time, urllib.request, zlib"], []
    for own in names:
        ways.append(rng.choice([own, f"C{own}.{own}", f"make_{own}()"]))
    for i, own in enumerate(names):
        if i == depth - 1:
            call = CALLS[kind]
        elif i + 1 < awaits:
            call = rng.choice(ASYNC_LINKS).format(call=f"(await {ways[i + 1]}(\n    host,\n    seconds))")
        else:
            call = rng.choice(SYNC_LINKS).format(call=f"{ways[i + 1]}(\n    host,\n    seconds)",
                                                 plain=f"{ways[i + 1]}(host, seconds)")
        keyword = "async def" if i < awaits else "def"
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


def causes(truth):
    """What the stall may be for. It is the kind's cause, unless the thread's own account says that it stood in its CPU's
    queue for longer; both where that leaves it open, by what a stall's measure may be off."""
    own = truth["on_cpu"] if truth["kind"] in COMPUTE else truth["ns"] - truth["on_cpu"] - truth["queued"]
    # Linux 6.12 and later count a sleep as waiting for a CPU when the sleeper is moved to another. Of a thread that
    # slept half way through that cannot be most of the time.
    if truth.get("slept") and truth["queued"] > truth["ns"] / 2 + SLACK:
        return {CAUSES[truth["kind"]]}
    return {cause for cause, ns in ((CAUSES[truth["kind"]], own), ("runqueue", truth["queued"]))
            if ns > max(own, truth["queued"]) - SLACK}


class Python(Case):
    def frames(self, report, stack):
        return [[frame["function"], frame["file"], frame["line"]] for frame in frames_of(report, stack)
                if frame["lang"] == "python"]

    @staticmethod
    def settled(kind, stack):
        """A function that runs is at any line of its loop."""
        leaf = stack[0][:2] if kind in COMPUTE and stack else stack[0] if stack else None
        return [leaf, *stack[1:]]

    def assertTold(self, report, pid, truth):
        """The stall, its task and its site are what the target says of itself."""
        told = f"{truth}; {describe(report)}; unresolved: {report['capture']['unresolved']}"
        loops = {loop["id"] for loop in report["loops"] if loop["pid"] == pid}
        stalls = [stall for stall in report["stalls"]
                  if stall["loop"] in loops and stall["task"] and stall["task"]["name"] == truth["task"]]
        self.assertEqual(len(stalls), 1, told)
        stall = stalls[0]
        self.assertIn(stall["cause"], causes(truth), told)
        self.assertEqual(list(stall["task"]["spawn_site"].values()), truth["site"], told)
        frames = frames_of(report, stall["stack"])
        python = self.frames(report, stall["stack"])
        # of a stack that is deeper than what is kept of one, the outer frames may lack
        cut = next(stack["truncated"] for stack in report["stacks"] if stack["id"] == stall["stack"])
        all_of_it = truth["stack"][:len(python)] if cut and python and len(frames) == FRAMES_MAX else truth["stack"]
        self.assertEqual(self.settled(truth["kind"], python), self.settled(truth["kind"], all_of_it), told)
        self.assertFalse([frame for frame in frames if "EvalFrameDefault" in (frame["function"] or "")], told)
        own = next(frame for frame in truth["stack"] if frame[1] == truth["path"])
        self.assertEqual(self.settled(truth["kind"], [list(stall["site"].values())])[0],
                         self.settled(truth["kind"], [own])[0], told)
        if truth["kind"] in COMPUTE:
            return
        self.assertEqual(frames[0]["lang"], "native", told)
        if truth["kind"] == "gil":
            self.assertHeld(report, stall, truth, told)
        else:
            longest = max(stall["blocks"], key=lambda block: block["duration_ns"])
            self.assertEqual(longest["task"], stall["task"]["id"], told)
        findings = [finding for finding in report["findings"] if stall["id"] in finding["stall_ids"]]
        self.assertTrue(any(finding["rule"] == "host-contention" if stall["cause"] == "runqueue"
                            else list(finding["site"].values()) == own for finding in findings), told)

    def assertHeld(self, report, stall, truth, told):
        """The wait for the GIL is many short ones. Whose they were is told of some, and of no other task; and
        which function of which thread had it."""
        tasks = [block["task"] for block in stall["blocks"] if block["task"]]
        self.assertEqual(set(tasks), {stall["task"]["id"]}, told)
        owners = [block["owner"] for block in stall["blocks"] if block["owner"]]
        self.assertEqual({owner["tid"] for owner in owners}, {truth["holder"]}, told)
        stacks = [self.frames(report, owner["stack"]) for owner in owners if owner["stack"]]
        self.assertTrue(stacks, told)
        for frames in stacks:
            functions = [function.rsplit(".", 1)[-1] for function, *_ in frames]
            self.assertIn("hold_gil", functions, told)
        self.assertTrue(any(frames[0][0].rsplit(".", 1)[-1] == "eat" for frames in stacks), told)

    def plant(self, target, kind, seconds=None):
        path, function = write_module(self.dir, kind)
        seconds = seconds or rng.uniform(0.12, 0.2) + 0.2 * (kind == "sqlite")  # one sleep of 100 ms
        task = name(string.printable.strip() + "äé日本😀", rng.choice([5, 50, 200]))
        target.tell(json.dumps({"kind": kind, "seconds": seconds, "path": path, "function": function,
                                "task": f"{task}-{kind}"}))
        return json.loads(target.next_line("{"))

    def silent_resolver(self):
        """How to run a program whose only resolver is one that never answers; None where that cannot be had."""
        resolver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(resolver.close)
        config = self.dir / "resolv.conf"
        config.write_text("nameserver 127.0.0.77\noptions timeout:1 attempts:1\n")
        command = ["unshare", "-m", "sh", "-c", 'mount --bind "$1" "$2" && shift 2 && exec "$@"', "sh", config]
        try:
            resolver.bind(("127.0.0.77", 53))
            subprocess.run([*command, "/etc/resolv.conf", "true"], check=True, capture_output=True, timeout=10)
        except (OSError, subprocess.SubprocessError) as why:
            print(f"skipped dns: no resolver of one's own: {why}")
            return None
        return command

    def start(self, command, resolver, *options):
        root = command[command.index("sh", 5) + 1] if "unshare" in command else ""
        before = [*resolver, f"{root}/etc/resolv.conf"] if resolver else []
        return Process([*before, *command, TARGET, *options])

    def captures(self, target, kinds):
        """Plants each kind; (report, what the target says of each) of captures that are over before detail may be left out."""
        kinds = rng.sample(kinds, len(kinds))
        while kinds:
            self.capture, truths, begin = str(self.dir / f"{len(kinds)}-{target.pid}.lsc"), [], time.monotonic()
            with Attach(target.pid, self.capture) as attach:
                while kinds and (not truths or time.monotonic() < begin + BRIEF):
                    truths.append(self.plant(target, kinds.pop()))
                pause(0.1, 0.2)
                yield attach.stop(), truths

    def watch(self, interpreters, kinds):
        """Whatever is planted in each of these (name, target) must be told."""
        for name, target in interpreters:
            with target:
                target.next_line("running")
                for report, truths in self.captures(target, kinds):
                    for truth in truths:
                        with self.subTest(interpreter=name, kind=truth["kind"]):
                            self.assertTold(report, target.pid, truth)

    def test_stack_and_task_are_those_that_the_interpreter_tells(self):
        resolver = self.silent_resolver()
        kinds = [kind for kind in CALLS if resolver or kind != "dns"]
        self.watch(((name, self.start(command, resolver)) for name, command in pythons.every(self)), kinds)

    def test_a_capture_begins_with_frames(self):
        """Nothing is known yet of the module and the lines that the first block is in. Finding out takes longer than that
        lasts; what is read of it is read in time."""
        for name, command in pythons.every(self):
            with self.start(command, None) as target:
                target.next_line("running")
                for turn in range(3):
                    self.capture = str(self.dir / f"first-{target.pid}-{turn}.lsc")
                    with Attach(target.pid, self.capture) as attach:
                        truth = self.plant(target, "http", 0.06)
                        pause(0.1, 0.2)
                        report = attach.stop()
                    with self.subTest(interpreter=name, turn=turn):
                        self.assertTold(report, target.pid, truth)

    def test_of_code_that_is_freed_at_once_the_rest_of_the_stack_stays(self):
        program = self.dir / "freed.py"
        program.write_text(FREED)
        own = [["run_it", str(program), 3], ["turn", str(program), 8]]
        for name, command in pythons.every(self):
            self.capture = str(self.dir / "freed.lsc")
            with self.subTest(interpreter=name), Process([*command, program]) as target:
                target.next_line("running")
                with Attach(target.pid, self.capture) as attach:
                    target.tell("")
                    target.next_line("done")
                    report = attach.stop()
                stalls = [stall for stall in report["stalls"] if stall["task"] and stall["task"]["name"] == "freeing"]
                self.assertGreater(len(stalls), 10, describe(report))
                gone = 0
                for stall in stalls:
                    leaf, *rest = self.frames(report, stall["stack"])
                    self.assertEqual(rest[:2], own, describe(report))
                    self.assertIn(leaf[:2], (["<module>", "<string>"], [None, None]), describe(report))
                    self.assertIn(stall["site"]["function"], ("<module>", "run_it"), stall)
                    gone += leaf[0] is None
                print(f"{name}: of {len(stalls)} stalls {gone} without the function; {report['capture']['unresolved']}")
                self.assertLess(gone, len(stalls) / 2, "after the first of them they are read while they are there")
                why = [entry["why"] for entry in report["capture"]["unresolved"]]
                self.assertTrue(not gone or "their code is not there any more" in why, why)

    def test_uvloops_tasks_are_told_as_asyncios(self):
        self.watch(((name, self.start(command, None, "uvloop")) for name, command in pythons.every_with_uvloop(self)),
                   [kind for kind in CALLS if kind != "dns"])


if __name__ == "__main__":
    main()
