# SPDX-License-Identifier: MIT
"""Debian's redis-server: planted sleeps are found, and nothing else, idle, busy and saturated.
The truth is redis's own slow log. LSC_FULL=1 watches the healthy one twice as long."""
import contextlib
import json
import os
import sqlite3
import time

from harness import MS, Attach, Case, Process, describe, frames_of, main, part, pause, rng, run
from standstill import OnHost

SERVER = "/usr/bin/redis-server"
SECONDS = 10 if os.environ.get("LSC_FULL") == "1" else 5  # of each watch of a healthy one


class Redis(Process):
    """A server on a Unix socket in the test's folder."""

    def __init__(self, folder):
        self.socket = str(folder / "redis.sock")
        super().__init__([SERVER, "--port", "0", "--unixsocket", self.socket, "--save", "", "--dir", folder,
                          "--enable-debug-command", "yes", "--slowlog-log-slower-than", "5000"])
        self.next_line("ready to accept connections")

    def cli(self, *command):
        return run("redis-cli", "-s", self.socket, "--json", *command).stdout

    def sleep(self, seconds):
        self.cli("debug", "sleep", f"{seconds:.3f}")

    def slept(self):
        """How long each DEBUG SLEEP took, in ns, in their order."""
        log = json.loads(self.cli("slowlog", "get", "128"))
        return [entry[2] * 1000 for entry in sorted(log) if entry[3][:2] == ["debug", "sleep"]]

    @contextlib.contextmanager
    def load(self, *options):
        """redis-benchmark at full speed for as long as the block runs."""
        with Process(["redis-benchmark", "-s", self.socket, "-t", "get", "-n", "1000000000", "-q", *options]):
            time.sleep(1)
            yield


def run_delay(pid):
    """ns that the process's main thread was runnable and got no CPU, as the kernel counts them."""
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1])


def exported_functions():
    names = run("nm", "-D", "--defined-only", os.path.realpath(SERVER)).stdout
    return {line.split()[2] for line in names.splitlines() if line.split()[1:2] == ["T"]}


class Sleeps(Case):
    def test_each_debug_sleep_is_one_stall_with_its_native_stack(self):
        with Redis(self.dir) as redis, Attach(redis.pid, self.capture) as attach:
            for _ in range(3):
                pause()
                redis.sleep(rng.uniform(0.25, 0.35))
            pause()
            report, truths = attach.stop(), redis.slept()
        exported = exported_functions()
        stalls = self.assertStalls(report, truths, "sleep")
        for stall in stalls:
            block = max(stall["blocks"], key=lambda b: b["duration_ns"])
            self.assertIn(block["syscall"], ("nanosleep", "clock_nanosleep"))
            frames = frames_of(report, stall["stack"])
            functions = [frame["function"] for frame in frames]
            self.assertGreaterEqual(len(frames), 8, functions)
            self.assertTrue(all(frame["lang"] == "native" for frame in frames), frames)
            self.assertTrue(exported & set(functions), f"no exported function of redis in {functions}")
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as db:
            told = {row[0] for row in db.execute("select function from stalls")}
        self.assertEqual(told, {"debugCommand"})  # not the C library's wrapper of the call
        self.assertOnlyFindingsOf(report, stalls)
        self.assertExplained(report, stalls)


class Healthy(OnHost):
    """One small planted stall says that the eyes were open; nothing else may be seen. On a crowded
    host the server may lack a CPU: that much is a stall too, if the kernel's own account has it; so it is where the host
    stood still. That the turns of a saturated loop were not all told apart may be said, if they were not."""

    def watch(self, seconds, *load):
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(Redis(self.dir))
            if load:
                stack.enter_context(redis.load(*load))
            delayed = run_delay(redis.pid)
            attach = stack.enter_context(Attach(redis.pid, self.capture))
            before = rng.uniform(0.2, 0.8) * seconds
            time.sleep(before)
            redis.sleep(rng.uniform(0.030, 0.040))
            time.sleep(seconds - before)
            report, truths = attach.stop(), redis.slept()
            delayed = run_delay(redis.pid) - delayed
        self.assertEqual(len(truths), 1)
        stalls = self.assertStalls(report, truths, "sleep")
        if "each tick of a saturated loop" in [unseen["what"] for unseen in report["capture"]["unseen"]]:
            report["findings"] = [finding for finding in report["findings"] if finding["rule"] != "blind"]
        self.assertOnlyFindingsOf(report, stalls)
        self.assertExplained(report, stalls)
        crowded = sum(part(stall, "runqueue") for stall in report["stalls"])
        self.assertLessEqual(crowded, delayed + MS, describe(report))

    def test_idle(self):
        self.watch(SECONDS)

    def test_under_fifty_clients(self):
        self.watch(SECONDS, "-c", "50")

    def test_saturated_by_pipelines(self):
        self.watch(SECONDS, "-c", "50", "-P", "16")


if __name__ == "__main__":
    main()
