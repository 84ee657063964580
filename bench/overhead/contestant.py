# SPDX-License-Identifier: MIT
"""What is attached to the server: loopscope, and tools that everybody has for a neighbouring question.
Each is started, waited for until it watches, and stopped, once for every slice."""
import contextlib
import os
import pathlib
import signal
import sqlite3

from process import Failed, end, spawn, wait_until

HERE = pathlib.Path(__file__).resolve().parent
BUSY_EVERY = 0.25  # seconds: busy_loop.py's turns


class Contestant:
    """started for one slice; ready() says when it watches."""
    name = None
    about = None
    end_signal = signal.SIGINT
    settle = 1.3  # seconds from the start to the slice that measures it: watching begins with learning
    slice = None  # seconds, where it takes longer to see what it costs

    def __init__(self, load, options):
        self.load, self.cpu, self.bin = load, options.tool_cpu, options.bin
        self.process = None

    def path(self, name):
        return os.path.join(self.load.folder, f"{self.name}-{name}")

    def output(self):
        return pathlib.Path(self.path("log")).read_text(errors="replace")

    def start(self):
        with open(self.path("log"), "wb") as log:
            self.process = spawn(self.argv(), self.cpu, log)
        try:
            wait_until(self.ready, f"start of {self.name}", self.process)
        except Failed as why:
            self.stop()
            last = (self.output().strip().splitlines() or ["it says nothing"])[-1]
            raise Failed(f"{why}; {last[:120]}") from None

    def stop(self):
        end(self.process, self.end_signal)

    def check(self, watched):
        """Whether the slice was really watched; Failed if not. After stop()."""

    def holds(self, text):
        """Does the tool hold such a descriptor?"""
        folder = f"/proc/{self.process.pid}/fd"
        with contextlib.suppress(OSError):  # it has just ended
            return any(text in os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder))
        return False


class Nothing(Contestant):
    name, about = "nothing", "nothing (the noise)"

    def start(self):
        pass

    def stop(self):
        pass


class Loopscope(Contestant):
    name, about = "loopscope", "**loopscope attach**"

    def targets(self):
        return ["-p", self.load.server.pid]

    def argv(self):
        return [self.bin / "loopscope", "attach", *self.targets(), "-o", self.path("capture.lsc")]

    def ready(self):
        return "attached" in self.output()


class LoopscopeBeside(Loopscope):
    """Watches a second process, too: a loop whose turns are stalls."""
    busy_ms = rest_ms = 0

    def start(self):
        self.busy = spawn(["/usr/bin/python3", HERE / "busy_loop.py", self.busy_ms, self.rest_ms], self.cpu, nice=5)
        super().start()

    def stop(self):
        end(self.busy)
        super().stop()

    def targets(self):
        return [*super().targets(), "-p", self.busy.pid]

    def armed_ns(self, watched, around=0):
        """For how long of the slice, and of some seconds around it, the precise mode was armed."""
        begin, end = watched.begin_ns - around * 1e9, watched.end_ns + around * 1e9
        with contextlib.closing(sqlite3.connect(f"file:{self.path('capture.lsc')}?mode=ro", uri=True)) as db:
            spans = db.execute("select max(from_ns, ?), min(to_ns, ?) from mode where mode = 1 and from_ns < ? and to_ns > ?",
                               (begin, end, end, begin)).fetchall()
        return sum(until - since for since, until in spans)


class LoopscopePrecise(LoopscopeBeside):
    name, about = "precise", "loopscope attach, precise mode armed all the time"
    busy_ms, rest_ms = 22, 2  # it rests so little that the precise mode stays armed on its account

    def check(self, watched):
        if self.armed_ns(watched) < watched.end_ns - watched.begin_ns:
            raise Failed("the precise mode was not armed all the time")


class LoopscopeSaturated(LoopscopeBeside):
    """The precise mode is armed for it in turns with pauses."""
    name, about = "saturated", "loopscope attach, beside a saturated loop"
    busy_ms, rest_ms = 1, 0
    settle, slice = 3, 2.56

    def check(self, watched):
        share = self.armed_ns(watched) / (watched.end_ns - watched.begin_ns)
        if share > 0.2 or not self.armed_ns(watched, around=10):  # shorter glances are not told
            raise Failed(f"the precise mode was armed for {share:.0%} of the time")


class LoopscopeStalls(LoopscopeBeside):
    name, about = "stalls", "loopscope attach, beside four stalls a second of 20 ms"
    busy_ms, rest_ms = 20, 230

    def check(self, watched):
        if not self.armed_ns(watched, around=1):
            raise Failed("the precise mode was not armed")


class Strace(Contestant):
    name, about = "strace", "strace -c -f -p"

    def argv(self):
        return ["strace", "-c", "-f", "-p", self.load.server.pid, "-o", self.path("out")]

    def ready(self):
        return "TracerPid:\t0\n" not in pathlib.Path(f"/proc/{self.load.server.pid}/status").read_text()


class PerfTrace(Contestant):
    name, about = "perf-trace", "perf trace -s -p"

    def argv(self):
        return ["perf", "trace", "-s", "-p", self.load.server.pid, "-o", self.path("out")]

    def ready(self):
        return self.holds("perf_event")


class PerfRecord(Contestant):
    name, about = "perf-record", "perf record -F 999 -g -p"

    def argv(self):
        return ["perf", "record", "-F", "999", "-g", "-p", self.load.server.pid, "-o", self.path("out")]

    def ready(self):
        return self.holds("perf_event")


class Bpftrace(Contestant):
    name, about = "bpftrace", "bpftrace, epoll gap and off-CPU"

    def argv(self):
        return ["unshare", "-m", "sh", "-c", 'mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null; exec "$@"', "sh",
                "bpftrace", HERE / "epoll_gap.bt", self.load.server.pid]

    def ready(self):
        return "Attaching" in self.output() and self.holds("perf_event")

    def stop(self):
        end(self.process, self.end_signal, again=1)  # one signal in twenty is lost between two of its waits


class Offcputime(Contestant):
    name, about = "offcputime", "offcputime -p (libbpf-tools)"

    def argv(self):
        return ["offcputime", "-p", self.load.server.pid]

    def ready(self):
        return self.holds("bpf_link") or self.holds("perf_event")


CONTESTANTS = {one.name: one for one in (Nothing, Loopscope, LoopscopeStalls, LoopscopeSaturated, LoopscopePrecise, Bpftrace, Offcputime, PerfRecord,
                                         PerfTrace, Strace)}
