# SPDX-License-Identifier: MIT
"""Many targets, named by their comm or their control group, those that come later, and many threads."""
import contextlib
import json
import os
import pathlib
import resource
import time
import unittest

from harness import BIN, LOOPSCOPE, Case, Process, describe, loopscope, main, pause, report_of, rng, run, wait_until
from runner import alone, calm, working
from test_live import Events

MANY = BIN.parent / "tests/e2e/many_processes"
THREADS = BIN.parent / "tests/e2e/many_threads"
FULL = os.environ.get("LSC_FULL") == "1"
READY_SECONDS = 3  # for 1,000 processes on a host that has other work; docs/benchmarks.md has the figure


def new_name():
    return f"lsc{rng.randrange(16 ** 8):08x}"


class Processes(Process):
    """N epoll loops, a process each, all of one name."""

    def __init__(self, number, name, seconds=60):
        super().__init__([MANY, number, name])
        self.next_line("running", seconds)

    def pids(self):
        return [int(p) for p in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def block(self, index, us):
        """One of them sleeps. Its own account: pid, ns, end_ns."""
        self.tell(f"{index} {us}")
        return json.loads(self.next_line("{"))

    def more(self, number):
        self.tell(f"more {number}")
        self.next_line("more", 60)


class Watch(Events):
    """loopscope attach --json of what the options select."""

    def __init__(self, capture, *options, seconds=20, **popen):
        self.events = []
        self.capture = capture
        with working:
            Process.__init__(self, [LOOPSCOPE, "attach", "--json", "-o", capture, *options], **popen)
            [self.ready] = wait_until(lambda: self.of("ready"), seconds, "ready")

    def loops(self):
        return {event["pid"] for event in self.of("loop")}


def collector_of(attach):
    """The private loopscoped of a running loopscope."""
    return int(pathlib.Path(f"/proc/{attach.pid}/task/{attach.pid}/children").read_text().split()[0])


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_kib(pid):
    """At most so far."""
    return int(pathlib.Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0])


@contextlib.contextmanager
def control_group(parent):
    """A group with one below it; both are empty again before they are removed."""
    group = pathlib.Path(parent) / new_name()
    below = group / "below"
    below.mkdir(parents=True)
    try:
        yield group, below
    finally:
        for path in (below, group):
            wait_until(lambda path=path: not (path / "cgroup.procs").read_text(), 10, "an empty group")
            path.rmdir()


def move(pid, group):
    (group / "cgroup.procs").write_text(str(pid))


def hierarchies():
    """A mount of cgroup v1 and one of v2, as far as this host has them."""
    found = {}
    for line in pathlib.Path("/proc/self/mountinfo").read_text().splitlines():
        mount, kind = line.split()[4], line.split(" - ")[1].split()[0]
        if kind == "cgroup2" or (kind == "cgroup" and ("freezer" in mount or "memory" in mount)):
            found.setdefault(kind, mount)
    return found


class Selected(Case):
    def assertPlanted(self, report, truths):
        """These stalls, each in the loop of its process, and no others."""
        stalls = self.planted(report)
        loops = {loop["id"]: loop["pid"] for loop in report["loops"]}
        truths = sorted(truths, key=lambda truth: truth["end_ns"])
        self.assertEqual([loops[stall["loop"]] for stall in stalls], [t["pid"] for t in truths], describe(report))
        for stall, truth in zip(stalls, truths):
            self.assertStall(stall, truth["ns"], "sleep", report)


@calm
class Names(Selected):
    def test_all_processes_of_a_name_and_those_that_come_later(self):
        name = new_name()
        number = rng.randint(3, 8)
        with Processes(number, name) as processes, Watch(self.capture, "--name", name) as attach:
            pids = processes.pids()
            self.assertEqual(set(attach.ready["pids"]), set(pids))
            truths = [processes.block(rng.randrange(number), rng.randint(60_000, 120_000)) for _ in range(2)]
            processes.more(2)
            later = set(processes.pids()) - set(pids)
            wait_until(lambda: later <= attach.loops(), 5, "the later ones")
            pause(0.8, 1.2)  # they turn
            truths += [processes.block(number + i, rng.randint(60_000, 120_000)) for i in range(2)]
            pause()
            report = attach.stop()
        self.assertEqual({t["pid"] for t in report["capture"]["targets"]}, set(pids) | later)
        self.assertEqual({loop["pid"] for loop in report["loops"]}, set(pids) | later)
        self.assertPlanted(report, truths)

    def test_names_and_numbers_together(self):
        names = [new_name() for _ in range(3)]
        with contextlib.ExitStack() as stack:
            one, two, three = (stack.enter_context(Processes(2, name)) for name in names)
            pids = [*one.pids(), *two.pids(), *three.pids()[:1]]
            with Watch(self.capture, "--name", names[0], "--name", names[1], "-p", pids[-1], "-p", pids[0]) as attach:
                self.assertEqual(sorted(attach.ready["pids"]), sorted(pids))
                truths = [group.block(0, rng.randint(60_000, 120_000)) for group in (one, two, three)]
                three.block(1, 60_000)  # nobody looks at that one
                pause()
                report = attach.stop()
        self.assertPlanted(report, truths)

    def test_of_several_numbers_those_that_have_ended_are_told_and_left_out(self):
        with Process(["true"]) as first, Process(["true"]) as second:
            gone = [first.pid, second.pid]
            for ended in (first, second):
                ended.finish()
        with Processes(2, new_name()) as processes:
            pids = processes.pids()
            numbers = ",".join(map(str, [gone[0], *pids, gone[1]]))
            with Watch(self.capture, "-p", numbers) as attach:
                self.assertEqual(sorted(attach.ready["pids"]), sorted(pids))
                self.assertIn(f"not all processes are watched: no process {gone[0]}, and 1 more",
                              [notice["text"] for notice in attach.of("notice")])
                truths = [processes.block(i, rng.randint(60_000, 120_000)) for i in range(2)]
                pause()
                report = attach.stop()
            self.assertPlanted(report, truths)
            # the capture is called by one that is there
            loopscope("attach", "-p", *gone, pids[0], "-d", "300ms", cwd=self.dir)
            self.assertEqual(len(list(self.dir.glob(f"*-{pids[0]}.lsc"))), 1, list(self.dir.iterdir()))
        done = loopscope("attach", "-p", *gone, "-o", self.dir / "none.lsc", status=4)
        self.assertEqual(done.stderr, f"loopscope attach: no process {gone[0]}\n")
        self.assertFalse((self.dir / "none.lsc").exists())

    def test_a_process_that_takes_the_name_by_exec_is_watched(self):
        name = new_name()
        copy = self.dir / name
        copy.write_bytes(MANY.read_bytes())
        copy.chmod(0o755)
        with Processes(1, name) as first, Watch(self.capture, "--name", name) as attach:
            with Process(["sh", "-c", f"sleep {rng.uniform(0.2, 1.2):.2f}; exec {copy} 1 other"]) as later:
                later.next_line("running")
                wait_until(lambda: attach.of("end") or self.is_known(attach, later.pid), 15, "the later one")
            first.child.stdin.close()
            first.finish()
            attach.finish()
            self.assertEqual(attach.of("end")[0]["reason"], "target-exit")
        report = report_of(self.capture)
        self.assertIn(later.pid, {target["pid"] for target in report["capture"]["targets"]})

    @staticmethod
    def is_known(attach, pid):
        """A pidfd of the collector names it."""
        for info in pathlib.Path(f"/proc/{collector_of(attach)}/fdinfo").iterdir():
            with contextlib.suppress(OSError):
                if f"Pid:\t{pid}\n" in info.read_text():
                    return True
        return False

    def test_the_capture_ends_with_the_last_of_them(self):
        name = new_name()
        with Processes(3, name) as processes, Watch(self.capture, "--name", name) as attach:
            processes.child.stdin.close()
            processes.finish()
            self.assertEqual(attach.finish(), 0)
            self.assertEqual(attach.of("end")[0]["reason"], "target-exit")
        report_of(self.capture)

    @alone
    def test_a_thousand_are_attached_within_a_second_or_so(self):
        name = new_name()
        with Processes(1000, name) as processes:
            begin = time.monotonic()
            with Watch(self.capture, "--name", name) as attach:
                took = time.monotonic() - begin
                print(f"    {len(attach.ready['pids'])} processes, {attach.ready['loops']} loops in {took:.2f} s")
                self.assertEqual(set(attach.ready["pids"]), set(processes.pids()))
                self.assertLess(took, READY_SECONDS)
                wait_until(lambda: len(attach.loops()) == 1000, 10, "all loops")
                truths = [processes.block(rng.randrange(1000), rng.randint(60_000, 120_000)) for _ in range(5)]
                pause()
                self.assertLess(resident_kib(collector_of(attach)), 100 << 10)
                report = attach.stop()
        self.assertEqual(len(report["loops"]), 1000)
        self.assertPlanted(report, truths)
        self.assertEqual(report["capture"]["lost"], {})


class Threads(Case):
    """One process of many threads."""

    def watch(self, loops, *rest, seconds=2.0, planted=2, validate=True):
        """Attaches, plants blocks in all its loops. The report, the target's account of its first loop,
        the collector's share of a CPU, and how many threads were born a second."""
        with Process([THREADS, loops, *rest]) as process:
            process.next_line("running", 60)
            begin = time.monotonic()
            with Watch(self.capture, "-p", process.pid) as attach:
                self.took = time.monotonic() - begin
                collector = collector_of(attach)
                truths, cpu, begin = [], cpu_seconds(collector), time.monotonic()
                for _ in range(planted):
                    time.sleep(seconds / planted * rng.uniform(0.7, 1.3))
                    process.tell(str(rng.randint(60_000, 120_000)))
                    truths.append(json.loads(process.next_line("{")))
                took = time.monotonic() - begin
                self.share = (cpu_seconds(collector) - cpu) / took
                self.resident = resident_kib(collector)
                self.births = (truths[-1]["born"] - truths[0]["born"]) / took
                self.notices = [event["text"] for event in attach.of("notice")]
                pause()
                report = attach.stop(validate=validate)
        print(f"    ready in {self.took:.2f} s, {self.births:.0f} threads a second, {self.share * 100:.1f} % of a CPU, "
              f"{self.resident >> 10} MiB")
        self.assertLess(self.took, READY_SECONDS)
        self.assertLess(self.resident, 100 << 10)
        return report, [truth["ns"] for truth in truths]

    def assertOneLoop(self, report, truths):
        [tid] = {loop["tid"] for loop in report["loops"]}
        self.assertStalls(report, truths, "sleep")
        return tid

    def test_ten_thousand_idle_threads(self):
        report, truths = self.watch(1, 0, 10_000)
        self.assertOneLoop(report, truths)
        self.assertEqual(report["capture"]["lost"], {})
        self.assertLess(self.share, 0.2)

    def test_ten_thousand_short_threads_a_second(self):
        report, truths = self.watch(1, 2, seconds=10 if FULL else 6, planted=4)
        self.assertGreater(self.births, 5_000)
        self.assertOneLoop(report, truths)
        self.assertEqual(report["capture"]["lost"], {})
        self.assertLess(self.share, 0.2)

    def test_short_threads_that_wait_once_are_no_loops(self):
        report, truths = self.watch(1, 2, 0, 1, seconds=4)
        self.assertGreater(self.births, 2_000)
        # one that the sampler met in its wait besides looks like a loop for which there is no room
        self.assertLessEqual(set(report["capture"]["lost"]), {"unconfirmed", "quota"})
        self.assertStalls(report, truths, "sleep")
        self.assertLess(self.share, 0.5)

    def test_short_threads_that_turn_like_loops_are_bounded_and_counted(self):
        report, truths = self.watch(1, 2, 0, 4, seconds=8, validate=False)  # a schema takes minutes for so many
        self.assertGreater(self.births, 1_000)
        notices = [notice for notice in self.notices if "overhead" not in notice]
        self.assertEqual(len(notices), 1, self.notices)
        self.assertIn("lost", notices[0])
        self.assertGreater(report["capture"]["lost"]["quota"], 0)
        self.assertLess(report["capture"]["coverage"], 1)
        self.assertLess(len(report["loops"]), 12_000)
        stalls = self.assertStalls(report, truths, "sleep")
        self.assertEqual(len({stall["loop"] for stall in stalls}), 1)
        self.assertLess(self.share, 0.5)


@calm
class Groups(Selected):
    def watch_group(self, kind, spell):
        mounts = hierarchies()
        if kind not in mounts:
            self.skipTest(f"no {kind} is mounted")
        try:
            probe = pathlib.Path(mounts[kind]) / new_name()
            probe.mkdir()
            probe.rmdir()
        except OSError as error:
            self.skipTest(f"no group can be made: {error}")
        with control_group(mounts[kind]) as (group, below):
            with Processes(4, new_name()) as processes:
                pids = processes.pids()
                move(pids[0], group)
                move(pids[1], below)
                with Watch(self.capture, "--cgroup", spell(mounts[kind], group)) as attach:
                    self.assertEqual(set(attach.ready["pids"]), set(pids[:2]))
                    truths = [processes.block(i, rng.randint(60_000, 120_000)) for i in (1, 0)]
                    processes.block(3, 60_000)
                    move(pids[2], below)
                    wait_until(lambda: pids[2] in attach.loops(), 5, "the one that came later")
                    pause(0.8, 1.2)
                    truths.append(processes.block(2, rng.randint(60_000, 120_000)))
                    pause()
                    report = attach.stop()
        self.assertPlanted(report, truths)

    def test_a_directory_of_v1(self):
        self.watch_group("cgroup", lambda mount, group: group)

    def test_a_directory_of_v2(self):
        self.watch_group("cgroup2", lambda mount, group: group)

    def test_a_path_as_proc_tells_it(self):
        self.watch_group("cgroup2", lambda mount, group: f"/{group.relative_to(mount)}")

    def test_a_path_that_only_v1_has(self):
        self.watch_group("cgroup", lambda mount, group: str(group.relative_to(mount)))


class Refusals(Case):
    def assertRefused(self, status, says, *options):
        done = run(LOOPSCOPE, "attach", *options, "-d", "1", "-o", self.capture, status=status)
        self.assertEqual(done.stdout, "")
        if status == 4:
            self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertRegex(done.stderr, says)
        self.assertEqual(os.listdir(self.dir), [])

    def test_what_is_not_there_is_exit_4(self):
        self.assertRefused(4, "no process named 'no-such-comm'", "--name", "no-such-comm")
        self.assertRefused(4, "no process named 'one' or the others", "--name", "one", "--name", "two")
        self.assertRefused(4, "no control group '/no/such'", "--cgroup", "/no/such")
        self.assertRefused(4, "no control group '/etc'", "--cgroup", "/etc")
        self.assertRefused(4, "no process named 'kthreadd'", "--name", "kthreadd")

    def test_an_empty_group_is_exit_4(self):
        for mount in hierarchies().values():
            with control_group(mount) as (group, _):
                self.assertRefused(4, "no process in control group", "--cgroup", group)

    def test_what_can_mean_nothing_is_exit_2(self):
        self.assertRefused(2, "whom", "--follow")
        self.assertRefused(2, "not a process's name", "--name", "")
        self.assertRefused(2, "control group", "--cgroup", "")
        self.assertRefused(2, "not a path of a control group", "--cgroup", "../../etc")
        self.assertRefused(2, "not a number", "-p", "12x")


def setUpModule():
    """A pidfd for each process that is watched, an eventfd for each that is made."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < 4096:
        raise unittest.SkipTest(f"only {hard} open files are allowed")


if __name__ == "__main__":
    main()
