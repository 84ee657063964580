# SPDX-License-Identifier: MIT
"""Healthy programs on a host with four times more to do than it has CPUs: what they lack is the
host's doing, and nobody else's. The truth is the kernel's own account of each thread's delay."""
import contextlib
import os
import shutil
import time

from harness import HERE, MS, PYTHON, Attach, Process, describe, loopscope, main, part, run
from standstill import OnHost

SECONDS = 8 if os.environ.get("LSC_FULL") == "1" else 5
WORK_MS = 4  # of redis's CPU a request: far less than half a stall
SHARED = {"start_new_session": False}  # a session of its own may have a share of the CPUs of its own
WORK = "local x = 0; for i = 1, ARGV[1] do x = x + i end; return x"


def schedstat(pid):
    with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
        return list(map(int, file.read().split()))


def cpu_time(pid):
    return schedstat(pid)[0]


def run_delay(pid):
    return schedstat(pid)[1]


class Crowded(OnHost):
    def crowd(self):
        stress = shutil.which("stress")
        if not stress:
            self.skipTest("stress is not installed")
        return Process([stress, "-c", str(4 * os.cpu_count())], **SHARED)

    def watch(self, target, *options, ask=lambda: None):
        """Beside the crowd, which is there already. Gives the stalls, what ask() says at the end, and all that was seen."""
        before = run_delay(target.pid)
        with Attach(target.pid, self.capture, *options) as attach:
            ask()
            within = run_delay(target.pid)
            time.sleep(SECONDS)
            within = run_delay(target.pid) - within
            answer = ask()
            report = attach.stop()
        delayed = run_delay(target.pid) - before
        told = f"delayed {delayed}; {describe(report)}"
        stood = {stall["id"] for stall in report["stalls"] if 2 * self.stood_ns(stall, report) > stall["duration_ns"]}
        stalls = [stall for stall in report["stalls"] if stall["id"] not in stood]
        findings = [finding for finding in report["findings"] if not finding["stall_ids"] or set(finding["stall_ids"]) - stood]
        self.assertLessEqual({finding["rule"] for finding in findings}, {"host-contention"}, told)
        self.assertNotIn("error", [finding["severity"] for finding in findings], told)
        self.assertEqual({stall["id"] for stall in stalls},
                         {stall for finding in findings for stall in finding["stall_ids"]} - stood, told)
        for stall in stalls:
            self.assertEqual(stall["cause"], "runqueue", f"{stall['split']}; {told}")
        waited = sum(part(stall, "runqueue") for stall in stalls)
        self.assertLessEqual(waited, delayed + MS, told)
        seen = sum(loop["runqueue_ns"] for loop in report["loops"])
        self.assertLessEqual(waited, seen, told)
        self.assertGreaterEqual(seen, within * 0.95 - MS, f"seen {seen} of {within}; {told}")
        self.assertLessEqual(seen, delayed + MS, told)
        return stalls, answer, told

    def test_asyncio(self):
        """Each turn needs more than the scheduler gives at once, and less than half a stall. What it waits for a CPU at once is
        certain, and a stall from half the threshold on."""
        with Process([PYTHON, HERE / "targets/worker.py", 9], **SHARED) as target, self.crowd():
            target.next_line("running")
            stalls, longest_ns, told = self.watch(target, "--stall", 20, ask=lambda: target.ask("?"))
        told = f"waited {longest_ns} at once; {told}"
        self.assertGreater(longest_ns, 3 * MS, f"there was no crowd: {told}")
        if not 9 * MS < longest_ns < 12 * MS:
            self.assertEqual(bool(stalls), longest_ns > 10 * MS, told)
        self.assertEqual("got no CPU" in loopscope("report", self.capture).stdout, bool(stalls))

    def test_redis_under_light_load(self):
        socket = str(self.dir / "redis.sock")
        command = ["redis-cli", "-s", socket]
        with contextlib.ExitStack() as stack:
            redis = stack.enter_context(Process(["/usr/bin/redis-server", "--port", "0", "--unixsocket", socket,
                                                 "--save", "", "--dir", self.dir], **SHARED))
            redis.next_line("ready to accept connections")
            stack.enter_context(self.crowd())
            # a shared core may be thrice as slow in a crowd: measure there how much work it takes
            before = cpu_time(redis.pid)
            run(*command, "-r", "10", "eval", WORK, "0", "1000000")
            turns = 10 * 1_000_000 * WORK_MS * MS // (cpu_time(redis.pid) - before)
            client = stack.enter_context(Process([*command, "-r", "-1", "-i", "0.005", "eval", WORK, "0", turns]))
            client.next_line()
            self.watch(redis, "--stall", 20)  # it rests enough to be let in at once, mostly: its turns may all be short


if __name__ == "__main__":
    main()
