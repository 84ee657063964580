# SPDX-License-Identifier: MIT
"""Healthy programs on a host with four times more to do than it has CPUs: what they lack is the
host's doing, and nobody else's. The truth is the kernel's own account of each thread's delay."""
import contextlib
import json
import os
import shutil
import threading
import time

from harness import HERE, MS, PYTHON, Attach, Case, Process, describe, loopscope, main, part, run

SECONDS = 6
WORK_MS = 3  # of CPU per turn: a third of a stall
QUIET_MS = 1  # the same where it is measured before the crowd comes: a shared core may be thrice as slow then
WORK = "local x = 0; for i = 1, ARGV[1] do x = x + i end; return x"


def run_delay(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return int(file.read().split()[1])


class Crowded(Case):
    def crowd(self):
        stress = shutil.which("stress")
        if not stress:
            self.skipTest("stress is not installed")
        return Process([stress, "-c", str(4 * os.cpu_count())])

    def watch(self, target):
        before = run_delay(target.pid)
        with self.crowd() as crowd, Attach(target.pid, self.capture) as attach:
            time.sleep(SECONDS)
            self.assertIsNone(crowd.child.poll())
            report = attach.stop()
        delayed = run_delay(target.pid) - before
        stalls, told = report["stalls"], f"delayed {delayed}; {describe(report)}"
        self.assertTrue(stalls, told)
        self.assertLessEqual({finding["rule"] for finding in report["findings"]}, {"host-contention"}, told)
        self.assertNotIn("error", [finding["severity"] for finding in report["findings"]], told)
        self.assertEqual({stall["id"] for stall in stalls},
                         {stall for finding in report["findings"] for stall in finding["stall_ids"]}, told)
        for stall in stalls:
            self.assertEqual(stall["cause"], "runqueue", f"{stall['split']}; {told}")
        waited = sum(part(stall, "runqueue") for stall in stalls)
        self.assertLessEqual(waited, delayed + MS, told)
        self.assertLessEqual(waited, sum(loop["runqueue_ns"] for loop in report["loops"]), told)
        self.assertIn("got no CPU", loopscope("report", self.capture).stdout)

    def test_asyncio(self):
        with Process([PYTHON, HERE / "targets/worker.py", WORK_MS]) as target:
            target.next_line("running")
            self.watch(target)

    def turns(self, socket):
        """How many turns of the script take QUIET_MS on this machine, by redis's slow log."""
        def cli(*command):
            return run("redis-cli", "-s", socket, "--json", *command).stdout

        cli("config", "set", "slowlog-log-slower-than", "0")
        for _ in range(5):
            cli("eval", WORK, "0", "1000000")
        took = [entry[2] for entry in json.loads(cli("slowlog", "get", "16")) if entry[3][0] == "eval"]
        return 1_000_000 * QUIET_MS * 1000 // min(took)

    def test_redis_with_one_client(self):
        socket = str(self.dir / "redis.sock")
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(Process(["/usr/bin/redis-server", "--port", "0", "--unixsocket", socket,
                                                 "--save", "", "--dir", self.dir]))
            redis.next_line("ready to accept connections")
            client = stack.enter_context(Process(["redis-cli", "-s", socket, "-r", "-1",
                                                  "eval", WORK, "0", self.turns(socket)]))
            client.next_line()
            self.watch(redis)


if __name__ == "__main__":
    main()
