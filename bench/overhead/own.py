# SPDX-License-Identifier: MIT
"""What loopscope itself uses: its processes on a quiet and on a busy target, and its kernel programs
for each turn, block and event of a loop, by the kernel's own account of BPF run time."""
import ctypes
import json
import mmap
import os
import struct
import subprocess
import tempfile
import time

from contestant import Loopscope
from load import Load, RedisGet
from process import Failed, cpu_ns, memory_kib, tree, wait_until

BPF_SYSCALL = 321  # x86-64
BPF_ENABLE_STATS = 32
PROGRAMS = "on_switch", "on_waking", "on_sample", "on_sys_exit"


class QuietRedis(RedisGet):
    name, about = "quiet", "redis without clients"

    def run(self, *argv):
        return super().run(*argv) if argv[0] == "redis-server" else None


class Sleeper(Load):
    """A loop with known numbers of turns and blocks, and its own loopscope: what that one's kernel
    programs ran for it is what theirs is over that of one whose loop sleeps meanwhile."""
    name = "sleeper"
    warm_up = 0

    def __init__(self, turn_us, blocks, block_us, threshold, folder, options):
        self.argv = turn_us, blocks, block_us
        super().__init__(tempfile.mkdtemp(dir=folder), options.load_cpu, options.bin)
        self.watcher = WithBlocksFrom(self, options, threshold)
        self.watcher.start()

    def start(self):
        counted = os.path.join(self.folder, "counts")
        self.server = self.run(self.bin / "bench_sleeper", *self.argv, counted)
        wait_until(lambda: os.path.exists(counted) and os.path.getsize(counted) == 16, "start", self.server)
        with open(counted, "rb") as file:
            self.map = mmap.mmap(file.fileno(), 16, prot=mmap.PROT_READ)

    def requests(self):
        """turns, blocks"""
        return struct.unpack("=QQ", self.map[:16])

    def close(self):
        self.watcher.stop()
        super().close()


class RunTime:
    """What the kernel programs of some processes ran, from when this is opened until it is closed."""

    def __init__(self, roots):
        attr = ctypes.create_string_buffer(128)  # type 0: BPF_STATS_RUN_TIME
        self.fd = ctypes.CDLL(None, use_errno=True).syscall(BPF_SYSCALL, BPF_ENABLE_STATS, attr, 128)
        if self.fd < 0:
            raise Failed(f"BPF statistics: {os.strerror(ctypes.get_errno())}")
        self.owner = {number: root for root in roots for pid in tree(root) for number in program_ids(pid)}
        self.before = self.look()

    def look(self):
        """{(root, program): (ns, runs)}"""
        shown = json.loads(subprocess.run(["bpftool", "prog", "show", "-j"], check=True, capture_output=True).stdout)
        return {(self.owner[one["id"]], one["name"]): (one.get("run_time_ns", 0), one.get("run_cnt", 0))
                for one in shown if one["id"] in self.owner and one.get("name") in PROGRAMS}

    def close(self):
        """The same, of the time in between."""
        now = self.look()
        os.close(self.fd)
        return {key: (now[key][0] - self.before[key][0], now[key][1] - self.before[key][1]) for key in now}


def program_ids(pid):
    for fd in os.listdir(f"/proc/{pid}/fdinfo"):
        with open(f"/proc/{pid}/fdinfo/{fd}", encoding="ascii", errors="replace") as info:
            for line in info:
                if line.startswith("prog_id:"):
                    yield int(line.split()[1])


class WithBlocksFrom(Loopscope):
    """loopscope attach --block TIME"""

    def __init__(self, load, options, block):
        super().__init__(load, options)
        self.block = block

    def argv(self):
        return [*super().argv(), "--block", self.block]


def processes(title, load, options, seconds):
    """CPU and memory of the collector and its workers."""
    watcher = Loopscope(load, options)
    watcher.start()
    try:
        pids = tree(watcher.process.pid)
        time.sleep(1.5)  # the first second is that of learning
        (begin, before) = (time.monotonic_ns(), sum(map(cpu_ns, pids)))
        time.sleep(seconds)
        share = (sum(map(cpu_ns, pids)) - before) / (time.monotonic_ns() - begin)
        rss, pss = (sum(memory_kib(pid, field) for pid in pids) / 1024 for field in ("Rss", "Pss"))
    finally:
        watcher.stop()
    print(f"| {title} | {share * 100:.2f} % | {rss:.0f} MiB | {pss:.0f} MiB | {len(pids)} |", flush=True)


def extra_ns(run_time, root, idle, runs):
    """What the programs of one loopscope ran beyond those of an idle one, which see the same switches
    of everybody else; runs: of each program, for its own loop."""
    extra = 0
    for name, own_runs in runs.items():
        (idle_ns, idle_runs) = run_time[idle, name]
        (spent_ns, all_runs) = run_time[root, name]
        others = idle_ns / idle_runs if idle_runs else 0
        extra += spent_ns - max(0, all_runs - own_runs) * others
    return extra


def probes(options, folder, seconds):
    """ns for each turn, each short block, each recorded block."""
    shapes = {"idle": (900000, 0, 0, "10ms"), "turn": (1000, 0, 0, "10ms"), "block": (20000, 12, 200, "10ms"),
              "record": (20000, 12, 200, "100us")}
    sleepers = {}
    try:
        for name, shape in shapes.items():
            sleepers[name] = Sleeper(*shape, folder, options)
        time.sleep(1)
        run_time = RunTime([sleeper.watcher.process.pid for sleeper in sleepers.values()])
        before = {name: sleeper.requests() for name, sleeper in sleepers.items()}
        time.sleep(seconds)
        after = {name: sleeper.requests() for name, sleeper in sleepers.items()}
        spent = run_time.close()
    finally:
        for sleeper in sleepers.values():
            sleeper.close()
    cost = {}
    for name in ("turn", "block", "record"):
        turns, blocks = (late - early for late, early in zip(after[name], before[name]))
        sleeps = turns + blocks
        total = extra_ns(spent, sleepers[name].watcher.process.pid, sleepers["idle"].watcher.process.pid,
                         {"on_switch": 2 * sleeps, "on_waking": sleeps})
        cost[name] = (total - turns * cost.get("turn", 0)) / (blocks or turns)
    return cost, blocks / seconds


def measure(options, folder):
    seconds = 2 if options.quick else 5
    where = folder, options.load_cpu, options.bin
    print("| loopscope and its helpers on | CPU, of one core | memory (RSS) | of it its own (PSS) | processes |\n"
          "|---|---|---|---|---|", flush=True)
    for load_class in (QuietRedis, RedisGet):
        load = load_class(*where)
        try:
            processes(load.about, load, options, seconds)
        finally:
            load.close()

    (cost, rate) = probes(options, folder, 2 * seconds)
    print("\n| run time of our kernel programs, by the kernel's own account, which adds to it | ns |\n|---|---|\n"
          f"| a turn of a loop that sleeps in between | {cost['turn']:.0f} |\n"
          f"| a block of 0.2 ms, its stack copied in case it turns out long | {cost['block']:.0f} |\n"
          f"| the same, recorded ({rate:.0f} a second) | {cost['record']:.0f} |", flush=True)
