# SPDX-License-Identifier: MIT
"""Frames of JavaScript in the machine's node, Debian's and newer ones: what the report says is what
node itself says of the same functions: their names, scripts and the lines where they begin; of
functions that were inlined, too."""
import json
import string
import textwrap
import unittest

import harness
import nodes
import test_stalled
from harness import HERE, MS, PYTHON, Attach, Case, Process, frames_of, main, pause, rng

# What holds the loop.
CALLS = {
    "fifo": "host.fs.readFileSync(\n    host.file);",
    "child": "host.childProcess.execSync(host.command);",
    "hash": "host.crypto.pbkdf2Sync('secret', 'salt', host.rounds, 64, 'sha512');",
    "loop": "const end = Date.now() + host.ms;\nlet n = 0;\nwhile (Date.now() < end) { n++; }",
    "json": "JSON.parse(host.text);",
    "regexp": "host.pattern.test(host.line);",
    "rounds": "host.crypto.pbkdf2Sync('secret', 'salt', host.rounds, 64, 'sha512');",  # little, in a hot loop
}
# Of these a frame is where it calls something: what is inlined there is known.
CALLING = [kind for kind in CALLS if kind != "loop"]
# In code whose file is indexed late.
ADDON = "host.addon.sleep(host.ms);"
CAUSES = {"fifo": {"pipe-io"}, "child": {"child-wait"}, "addon": {"sleep"}}
RUNS = {"cpu-user", "cpu-kernel", "runqueue"}
FIXES = {"fifo": "fs.promises", "child": "execFile()"}
# A small function that is inlined into a hot loop, which calls next to nothing.
SPIN = """
function add(a, b) {
    return (a * 31 + b) | 0;
}
function spin(host) {
    host.note();
    const end = Date.now() + host.ms;
    let n = 0;
    do {
        for (let i = 0; i < 1000; i++)
            n = add(n, i);
    } while (Date.now() < end);
    return n;
}
module.exports = { spin };
"""
# Functions that are inlined 24 deep, where the innermost one waits: hot when the module is there.
DEEP = 24
CHAIN = "\n".join([
    *(f"function f{i}(words, ms) {{\n    return f{i + 1}(words, ms);\n}}" for i in range(DEEP)),
    f"""function f{DEEP}(words, ms) {{
    return Atomics.wait(words, 0, 0, ms);
}}
function loop(words, times, ms) {{
    for (let i = 0; i < times; i++)
        f0(words, ms);
}}
const words = new Int32Array(new SharedArrayBuffer(4));
for (let i = 0; i < 3000; i++)
    loop(words, 200, 0);
function first(host) {{
    host.note();
    loop(words, 200, 0);
    loop(words, 1, host.ms);
}}
module.exports = {{ first }};"""])
NO_INLINING = ["--no-turbo-inlining", "--no-maglev-inlining"]


def name(most=60):
    letters = rng.choice([string.ascii_lowercase, string.ascii_letters + "_$", "abcäßñ日本"])
    return "f" + "".join(rng.choices(letters, k=rng.randint(1, most)))


class Function:
    """One of a chain: how it is written, and how the one before it calls it."""

    def __init__(self, number, body):
        own = f"{name(rng.choice([3, 20, 150]))}_{number}"
        inner = textwrap.indent(body, "\t")
        self.text, self.call = rng.choice([
            (f"function {own}(host) {{\n{inner}\n}}", f"{own}(host)"),
            (f"const {own} = (host) => {{\n{inner}\n}};", f"{own}(host)"),
            (f"const {own} = function (host) {{\n{inner}\n}};", f"{own}(host)"),
            (f"class C{own} {{\n\t{own}(\n\t\thost) {{\n{inner}\n}}\n}}", f"new C{own}().{own}(host)"),
            (f"class C{own} {{\n\tstatic {own}(host) {{\n{inner}\n}}\n}}", f"C{own}.{own}(host)"),
            (f"class C{own} {{\n\tconstructor(host) {{\n{inner}\n}}\n}}", f"new C{own}(host)"),
            (f"const o{own} = {{\n\t'{own} x'(host) {{\n{inner}\n}}\n}};", f"o{own}['{own} x'](host)"),
            (f"function {own}(host) {{\n\t(() => {{\n{inner}\n\t}})();\n}}", f"{own}(host)"),
            (f"function {own}(host) {{\n\t[host].forEach(function (host) {{\n{inner}\n\t}});\n}}", f"{own}(host)"),
            # more locals than a scope has names for in itself
            (f"function {own}(host) {{\n" + "".join(f"\tlet l{i} = {i};\n" for i in range(90)) +
             "\tconst all = () => [" + ", ".join(f"l{i}" for i in range(90)) + "];\n" + inner + "\n}", f"{own}(host)"),
        ])
        self.entry = f"export_{number}"
        self.text += f"\nfunction {self.entry}(host) {{ {self.call}; }}"


def write_module(folder, kind):
    """A module of functions that call each other. Its path and the name of its entry."""
    lines = []
    function = Function(0, f"host.note();\n{CALLS.get(kind, ADDON)}")
    chain = [function]
    if kind == "rounds":
        chain.append(Function(1, f"const end = Date.now() + host.ms;\ndo {{ {function.call}; }} while (Date.now() < end);"))
    for i in range(len(chain), rng.randint(2, 8)):
        chain.append(Function(i, f"let x{i} = 1;\n{chain[-1].call};\nreturn x{i};"))
    for function in chain:
        lines += [""] * rng.randint(0, 300) + [function.text]
    ending = rng.choice([".js", ".mjs"])
    lines.append(f"export {{ {chain[-1].entry} }};" if ending == ".mjs" else f"module.exports = {{ {chain[-1].entry} }};")
    path = folder / (rng.choice(["", "node_module", "ä日"]) + f"{harness.rng.randrange(1 << 32)}{ending}")
    path.write_text(rng.choice(["\n", "\r\n"]).join("\n".join(lines).split("\n")), encoding="utf-8")
    return str(path), chain[-1].entry


class Planted(Case):
    @staticmethod
    def told(report, stack):
        return [[frame["function"], frame["file"], frame["line"]] for frame in frames_of(report, stack)
                if frame["lang"] == "js" and frame["file"]]

    @staticmethod
    def known(truth):
        """What node says of the stack; those of its own that have no script are left out."""
        return [[function or "(anonymous)", script, line] for function, script, line in truth["stack"] if script]

    @staticmethod
    def order(target, **order):
        target.tell(json.dumps({"ms": rng.randint(150, 250), **order}))
        return json.loads(target.next_line("{", 60))

    def plant(self, target, kind, warm, **more):
        path, entry = write_module(self.dir, kind)
        return self.order(target, kind=kind, module=path, entry=entry, warm=warm, **more)

    def find_stall(self, report, truth):
        """The one in which the target's timer called the module: warming up, it is called by others."""
        told = [(stall, self.frames_from(self.told(report, stall["stack"]), truth)) for stall in report["stalls"]]
        here = [stall for stall, own in told if any(function == "held" for function, _, _ in own)]
        near = [own for _, own in told if own] or [s["id"] for s in report["stacks"] if self.frames_from(self.told(report, s["id"]), truth)]
        self.assertEqual(len(here), 1, f"{truth['kind']} {truth['ns']}; {near}; {report['capture']['unresolved']}")
        self.assertGreaterEqual(here[0]["duration_max_ns"], truth["ns"] - harness.SLACK, truth)
        return here[0]

    @staticmethod
    def frames_from(told, truth):
        """From the innermost function of the module on."""
        script = Planted.known(truth)[0][1]
        return told[next((i for i, frame in enumerate(told) if frame[1] == script), len(told)):]

    def assertTold(self, report, truth):
        what = f"{truth['kind']}, warm {truth['warm']}; unresolved: {report['capture']['unresolved']}; seed {harness.SEED}"
        stall, known = self.find_stall(report, truth), self.known(truth)
        self.assertIn(stall["cause"], CAUSES.get(truth["kind"], RUNS), what)
        told = self.told(report, stall["stack"])
        own = self.frames_from(told, truth)
        self.assertEqual(own, known, what)
        self.assertEqual(list(stall["site"].values()), known[0], what)
        for frame in told[:len(told) - len(own)]:
            self.assertTrue(frame[1].startswith("node:"), f"{frame}; {what}")
        if truth["kind"] in FIXES:
            fixes = [finding["fix"] for finding in report["findings"] if stall["id"] in finding["stall_ids"]]
            self.assertTrue(any(FIXES[truth["kind"]] in fix for fix in fixes), f"{fixes}; {what}")

    def attach(self, command, plant):
        """Attaches to a node that does what plant(target) has it do. What that gives, and the report."""
        with Process([*command, HERE / "targets/javascript_calls.js"]) as target:
            target.next_line("running")
            return self.attach_to(target, plant)

    def attach_to(self, target, plant):
        with Attach(target.pid, self.capture) as attach:
            truth = plant(target)
            pause()
            return truth, attach.stop()

    def watch(self, command, *, options=(), kinds=tuple(CALLS)):
        orders = [(kind, warm) for kind in kinds for warm in (False, True)]
        truths, report = self.attach([*command, *options], lambda target: [
            self.plant(target, *order) for order in rng.sample(orders, len(orders))])
        for truth in truths:
            with self.subTest(kind=truth["kind"], warm=truth["warm"]):
                self.assertTold(report, truth)
        return report


class WithoutInlining(Planted):
    """Each function has a frame of its own."""

    def test_functions_are_those_that_node_tells_in_the_machines_node(self):
        self.watch([nodes.machine()], options=NO_INLINING)

    def test_functions_are_those_that_node_tells_in_debians_node_18(self):
        self.watch(nodes.debian(), options=NO_INLINING[:1])  # it has no other compiler that inlines

    def test_functions_are_those_that_node_tells_in_node_22(self):
        self.watch(nodes.published(22), options=NO_INLINING)

    def test_functions_are_those_that_node_tells_in_node_24(self):
        self.watch(nodes.published(24), options=NO_INLINING)

    def test_parsing_50_mb_is_told_with_the_function_that_does_it(self):
        truth, report = self.attach([nodes.machine(), *NO_INLINING],
                                    lambda target: self.plant(target, "json", True, bytes=50_000_000))
        self.assertTold(report, truth)

    def test_hashing_is_told_while_others_compute(self):
        """OpenSSL's assembler keeps who called it below the stack pointer: soon something else lies there."""
        spin = [PYTHON, "-c", "while True: pass"]
        with Process(spin), Process(spin), Process(spin):
            for command, options in (([nodes.machine()], NO_INLINING), (nodes.debian(), NO_INLINING[:1])):
                with self.subTest(node=str(command[-1])):
                    self.capture = str(self.dir / f"{len(options)}.lsc")
                    self.watch(command, options=options, kinds=("hash",))


class FilesThatComeLate(Planted):
    """What is read of V8 is read while the thread sleeps, however late the rest of its stack can be walked."""
    beside = test_stalled.Stalled.beside

    def watch_first_block(self, node, options=()):
        content = test_stalled.STALLED_CODE.with_name("late_addon.so").read_bytes()
        with self.beside(content, node, "--expose-gc", *options, HERE / "targets/javascript_calls.js", self.dir / "file",
                         late_ms=rng.randint(200, 500)) as target:
            truth, report = self.attach_to(target, lambda target: self.plant(target, "addon", False, ms=rng.randint(50, 100)))
        self.assertTold(report, truth)
        stall = self.find_stall(report, truth)
        native = [frame["function"] for frame in frames_of(report, stall["stack"]) if frame["lang"] == "native"]
        self.assertTrue(any("napi" in function or "node" in function for function in native if function), native)

    def test_the_first_block_has_its_functions_although_a_file_is_indexed_after_it(self):
        for n in range(20):
            with self.subTest(n=n):
                self.watch_first_block(nodes.machine())

    def test_the_first_block_has_its_functions_in_newer_versions(self):
        for version in (22, 24):
            with self.subTest(version=version):
                self.watch_first_block(*nodes.published(version))


class JavaScript(Planted):
    """As node runs by itself."""

    def watch_inlined(self, command):
        """Where a function that calls something was inlined it is told all the same."""
        report = self.watch(command, kinds=CALLING)
        inlined = [frame["function"] for stack in report["stacks"] for frame in stack["frames"]
                   if frame["lang"] == "js" and frame["inlined"]]
        self.assertGreater(len(inlined), 0, f"nothing was inlined; seed {harness.SEED}")

    def test_inlined_functions_are_told_in_the_machines_node(self):
        self.watch_inlined([nodes.machine()])

    def test_inlined_functions_are_told_in_debians_node_18(self):
        self.watch_inlined(nodes.debian())

    def test_inlined_functions_are_told_in_node_22(self):
        self.watch_inlined(nodes.published(22))

    def test_inlined_functions_are_told_in_node_24(self):
        self.watch_inlined(nodes.published(24))

    def watch_chain(self, command):
        path = self.dir / "chain.js"
        path.write_text(CHAIN)
        truth, report = self.attach(command, lambda target: self.order(
            target, kind="chain", module=str(path), entry="first", warm=False))
        chain = [["loop", str(path), 3 * DEEP + 4], *([f"f{i}", str(path), 3 * i + 1] for i in range(DEEP + 1))][::-1]
        stack = self.find_stall(report, truth)["stack"]
        self.assertEqual(self.frames_from(self.told(report, stack), truth), [*chain, *self.known(truth)],
                         f"{report['capture']['unresolved']}; seed {harness.SEED}")
        return [frame["function"] for frame in frames_of(report, stack) if frame["lang"] == "js" and frame["inlined"]]

    def test_functions_that_are_inlined_24_deep_are_told(self):
        for command in ([nodes.machine()], nodes.published(24)):
            with self.subTest(node=str(command[-1])):
                self.capture = str(self.dir / f"{len(str(command[-1]))}.lsc")
                inlined = self.watch_chain(command)
                self.assertGreaterEqual(len(inlined), DEEP, inlined)

    def test_what_is_inlined_where_nothing_is_called_is_said_to_be_unknown(self):
        path = self.dir / "spin.js"
        path.write_text(SPIN)
        truth, report = self.attach([nodes.machine()], lambda target: self.order(
            target, kind="loop", module=str(path), entry="spin", warm=True))
        self.assertTold(report, truth)
        whys = {entry["why"] for entry in report["capture"]["unresolved"] if entry["what"] == "frames of JavaScript"}
        self.assertIn("what is inlined there is not known", whys, harness.SEED)

    def test_a_function_that_is_moved_meanwhile_is_told_right_or_not_at_all(self):
        """Young functions and much garbage: each that is named is one that was called there."""
        command = [nodes.machine(), "--expose-gc", "--max-semi-space-size=1"]
        with Process([*command, HERE / "targets/javascript_garbage.js", str(rng.randrange(1 << 30))]) as target:
            target.next_line("running")
            with Attach(target.pid, self.capture, "--stall", "5") as attach:
                pause(2, 3)
                target.tell("end")
                calls = {tuple(call) for call in json.loads(target.next_line("[", 30))}
                report = attach.stop()
        script = str(HERE / "targets/javascript_garbage.js")
        frames = [(stack["id"], frame) for stack in report["stacks"] for frame in stack["frames"] if frame["lang"] == "js"]
        pairs = [(frame["function"], below["function"]) for stack in report["stacks"]
                 for frame, below in zip(stack["frames"], stack["frames"][1:])
                 if frame["file"] == below["file"] == script]
        self.assertGreater(len(pairs), 20, f"{len(frames)} frames; {report['capture']['unresolved']}")
        self.assertLessEqual(set(pairs), calls, f"{report['capture']['unresolved']}; seed {harness.SEED}")


if __name__ == "__main__":
    main()
