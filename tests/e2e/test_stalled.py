# SPDX-License-Identifier: MIT
"""Targets that hang whoever reads their memory or their files: on a FUSE whose daemon never answers. Memory costs
workers, which are replaced; a file costs indexers, and the names in it. The other loops, the target's own stacks in other
files, and the collector do not notice."""
import contextlib
import json
import os
import pathlib
import time
import unittest

from harness import BIN, HERE, MS, PYTHON, Process, describe, frames_of, main, pause, rng, run, wait_until
from test_live import Events, Live, blocker, helpers_of, plant
from test_perfmap import JIT

STALLED_FILE = BIN.parent / "tests/e2e/stalled_file"
REPLACED = (2 * 50 + 100) * MS  # the deadlines of two tries at the same block, and what it may take to start a worker
STALLED_CODE = STALLED_FILE.with_name("stalled_code.so")
INDEXED = 2 * 2000 * MS  # the two deadlines for a file, after which it is left alone


def of_process(pid, name):
    """A line of /proc/PID/status; None: there is no such process."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return line.split(":", 1)[1].strip()
    return None


def began(pid):
    """When a process began, by CLOCK_MONOTONIC, give or take 10 ms."""
    ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19])
    asleep = time.clock_gettime_ns(time.CLOCK_BOOTTIME) - time.monotonic_ns()
    return ticks * 10**9 // os.sysconf("SC_CLK_TCK") - asleep


def workers_of(client, name="lsc-worker"):
    """The workers of a running loopscope, by the state that they are in."""
    return {pid: of_process(pid, "State") for pid in helpers_of(client) if of_process(pid, "Name") == name}


class Stalled(Live):
    def hostile(self, *options, late_ms=0):
        content = STALLED_CODE.read_bytes() if options else bytes(4096)
        return self.beside(content, PYTHON, HERE / "targets/stalled_reads.py", self.dir / "file", *options, late_ms=late_ms)

    def beside(self, content, *command, late_ms=0):
        """A command that finds the file there, on the FUSE."""
        if not os.access("/dev/fuse", os.R_OK | os.W_OK):
            raise unittest.SkipTest("no /dev/fuse")
        file = self.dir / "file"
        file.write_bytes(content)
        process = Process([STALLED_FILE, str(late_ms), file, *command])
        with contextlib.suppress(AssertionError):
            process.next_line("running")
            return process
        said, status = process.stderr(), process.child.poll()
        process.__exit__()
        if status == 77:
            raise unittest.SkipTest(f"no FUSE can be mounted here: {said.strip()}")
        raise AssertionError(said)

    def told_of(self, attach, process):
        return [stall for stall in attach.stalls(False) if stall["pid"] == process.pid]

    def watch(self, hostile, good, where, rounds=6):
        """Both block at the same time, again and again. The report, what the good one measured, and how long after the
        first block began there was another worker."""
        with Events(f"{hostile.pid},{good.pid}", self.capture) as attach:
            pause()
            first, replaced = workers_of(attach.pid), None
            truths, late = [], []
            for number in range(rounds):
                hostile.tell(f"{where} {rng.uniform(0.06, 0.2):.3f}")
                truths.append(plant(good, f"{rng.choice(('sleep', 'spin'))} {rng.uniform(0.06, 0.2):.3f}"))
                wait_until(lambda number=number: len(self.told_of(attach, good)) > number, 2, "the line of the good one")
                told = self.told_of(attach, good)[number]
                self.assertSoon(told, truths[-1]["end_ns"], f"{where}, round {number},")
                late.append(told["came_ns"] - truths[-1]["end_ns"])
                block = json.loads(hostile.next_line("{"))
                if not number:
                    replaced = [began(pid) - (block["end_ns"] - block["ns"])
                                for pid in workers_of(attach.pid) if pid not in first]
                pause(0.1, 0.3)
            workers = workers_of(attach.pid)
            print(f"{where}: told {max(late) / MS:.1f} ms late at most; replaced after {replaced} ns; {first}, then {workers}")
            alive = [pid for pid, state in workers.items() if state[0] not in "DZ"]
            self.assertEqual(len(alive), 1, workers)
            self.assertNotIn(alive[0], first)
            return attach.stop(), truths, replaced

    def stalls_of(self, report, process):
        loops = {target["pid"]: {loop["id"] for loop in report["loops"] if loop["target"] == target["id"]}
                 for target in report["capture"]["targets"]}
        return [stall for stall in report["stalls"] if stall["loop"] in loops[process.pid]]

    def assertUnharmed(self, report, hostile, good, truths):
        """All of the good one's stalls are there, with frames."""
        stalls = self.stalls_of(report, good)
        self.assertEqual(len(stalls), len(truths), describe(report))
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth["ns"], stall["cause"], report)
        told = [bool(frames_of(report, stall["stack"])) for stall in stalls]
        self.assertTrue(all(told), f"{told}; {report['capture']['unresolved']}")
        self.assertGreater(len(self.stalls_of(report, hostile)), 0)

    def assertReplaced(self, replaced):
        self.assertTrue(replaced and min(replaced) <= REPLACED, replaced)

    def assertQuarantined(self, report):
        unresolved = report["capture"]["unresolved"]
        self.assertIn(("stack", "quarantined"), {(entry["what"], entry["why"]) for entry in unresolved}, unresolved)

    def test_a_frame_pointer_into_a_page_that_never_comes(self):
        with self.hostile() as hostile, blocker() as good:
            report, truths, replaced = self.watch(hostile, good, "frame")
        self.assertReplaced(replaced)
        self.assertUnharmed(report, hostile, good, truths)
        self.assertQuarantined(report)

    def test_an_object_of_the_interpreter_on_a_page_that_never_comes(self):
        with self.hostile() as hostile, blocker() as good:
            report, truths, replaced = self.watch(hostile, good, "interpreter")
        self.assertReplaced(replaced)
        self.assertUnharmed(report, hostile, good, truths)
        self.assertQuarantined(report)

    def test_code_in_a_file_that_nobody_else_can_read(self):
        """Its indexers hang until the deadline, two times. Meanwhile, and afterwards, both targets block elsewhere."""
        with self.hostile("code") as hostile, blocker() as good, \
                Events(f"{hostile.pid},{good.pid}", self.capture) as attach:
            pause()
            workers, indexers = workers_of(attach.pid), workers_of(attach.pid, "lsc-indexer")
            # one that waits sleeps; when it was killed, the kernel holds it for as long as the daemon lives
            lost = lambda: sum(state[0] == "D" for state in workers_of(attach.pid, "lsc-indexer").values())
            inside = plant(hostile, f"code {rng.uniform(0.06, 0.2):.3f}")
            hung_ns, truths, elsewhere, held = time.monotonic_ns(), [], [], []
            while time.monotonic_ns() < hung_ns + INDEXED + 1000 * MS:
                elsewhere.append(plant(hostile, f"nowhere {rng.uniform(0.06, 0.2):.3f}"))
                truths.append(plant(good, f"{rng.choice(('sleep', 'spin'))} {rng.uniform(0.06, 0.2):.3f}"))
                number = len(truths)
                wait_until(lambda number=number: len(self.told_of(attach, good)) >= number, 2, "the line of the good one")
                self.assertSoon(self.told_of(attach, good)[-1], truths[-1]["end_ns"], f"round {number},")
                held.append(lost())
                pause(0.1, 0.3)
            inside_again = plant(hostile, f"code {rng.uniform(0.06, 0.2):.3f}")
            pause()
            print(f"indexers {indexers}, then {workers_of(attach.pid, 'lsc-indexer')}; {len(truths)} rounds")
            self.assertEqual(workers_of(attach.pid).keys(), workers.keys())  # who reads memory was not lost
            self.assertEqual((held[0], held[-1]), (0, 2), held)
            report = attach.stop()
        self.assertUnharmed(report, hostile, good, truths)
        stalls = self.stalls_of(report, hostile)
        blocks = [inside, *elsewhere, inside_again]
        self.assertEqual(len(stalls), len(blocks), describe(report))
        for stall, truth in zip(stalls, blocks):
            self.assertStall(stall, truth["ns"], "sleep", report)
        for stall in stalls[1:-1]:
            names = [frame["function"] for frame in frames_of(report, stall["stack"])]
            self.assertIn("main.<locals>.obey", names, report["capture"]["unresolved"])
        for stall in (stalls[0], stalls[-1]):
            [frame] = [f for f in frames_of(report, stall["stack"]) if f["module"] == str(self.dir / "file")]
            self.assertIsNone(frame["function"])
        unresolved = report["capture"]["unresolved"]
        self.assertIn(("names and lines", "a file could not be read in time"),
                      {(entry["what"], entry["why"]) for entry in unresolved}, unresolved)

    def test_a_perf_map_that_nobody_else_can_read(self):
        """Its reader is lost once; what it would have named has no names. All other frames are there, and nobody waits."""
        with self.beside(b"1000 10 never read\n", JIT) as hostile, blocker() as good:
            perf_map = pathlib.Path(f"/tmp/perf-{hostile.pid}.map")
            self.addCleanup(perf_map.unlink)
            run("nsenter", f"--mount=/proc/{hostile.pid}/ns/mnt", "mount", "--bind", self.dir / "file", perf_map)
            with Events(f"{hostile.pid},{good.pid}", self.capture) as attach:
                pause()
                workers, made, truths = workers_of(attach.pid), [], []
                for number in range(6):
                    made.append(hostile.ask(f"0 {rng.randint(60, 200)} made {number}"))
                    truths.append(plant(good, f"sleep {rng.uniform(0.06, 0.2):.3f}"))
                    wait_until(lambda number=number: len(self.told_of(attach, good)) > number, 2, "the line of the good one")
                    self.assertSoon(self.told_of(attach, good)[number], truths[-1]["end_ns"], f"round {number},")
                    pause(0.1, 0.3)
                then = workers_of(attach.pid)
                alive = [pid for pid, state in then.items() if state[0] not in "DZ"]
                print(f"workers {workers}, then {then}")
                self.assertEqual(len(alive), 1, then)
                self.assertNotIn(alive[0], workers)
                self.assertLessEqual(len(then), 2, then)  # one was lost, no more
                report = attach.stop()
        self.assertUnharmed(report, hostile, good, truths)
        stalls = self.stalls_of(report, hostile)
        self.assertEqual(len(stalls), len(made), describe(report))
        for stall, truth in zip(stalls, made):
            self.assertStall(stall, truth, "sleep", report)
            names = [frame["function"] for frame in frames_of(report, stall["stack"])]
            self.assertIn("block", names, report["capture"]["unresolved"])
            self.assertIn("main", names[names.index("block"):])
            self.assertIn(None, names)
        unresolved = {(entry["what"], entry["why"]) for entry in report["capture"]["unresolved"]}
        self.assertIn(("frames of code made at run time", "a file could not be read in time"), unresolved)
        self.assertNotIn("stack", [what for what, _ in unresolved], unresolved)

    def test_code_in_a_file_that_comes_late(self):
        """Later than a stall is waited for otherwise: it has its names all the same."""
        late_ms = rng.randint(700, 1200)
        with self.hostile("code", late_ms=late_ms) as target, Events(str(target.pid), self.capture) as attach:
            pause()
            truth = plant(target, f"code {rng.uniform(0.06, 0.2):.3f}")
            wait_until(lambda: self.told_of(attach, target), 2, "its line")
            self.assertSoon(self.told_of(attach, target)[0], truth["end_ns"])
            pause(late_ms / 1000 + 0.5, late_ms / 1000 + 1)  # the file comes meanwhile
            report = attach.stop()
        [stall] = self.stalls_of(report, target)
        self.assertStall(stall, truth["ns"], "sleep", report)
        names = [frame["function"] for frame in frames_of(report, stall["stack"])]
        # those of Python were read while the block lasted, and kept
        functions = ["stalled_code_sleep", "<lambda>", "main.<locals>.obey"]
        self.assertEqual([name for name in names if name in functions], functions, names)
        self.assertEqual([entry for entry in report["capture"]["unresolved"] if entry["what"] in ("stack", "frames of Python")], [])


if __name__ == "__main__":
    main()
