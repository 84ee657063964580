# SPDX-License-Identifier: MIT
"""Targets whose names are made to harm whoever reads of them: control characters, escapes of terminals, markup,
broken UTF-8. Nothing of it reaches an output; what is harmless of it does. And targets with rings that they made
up, and with descriptors that have to be looked through for rings: a target beside them does not suffer."""
import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import sqlite3
import subprocess
import time

from harness import HERE, PYTHON, Attach, Case, Process, describe, loopscope, main, pause, rng, wait_until
from runner import calm
from test_hostile import daemon_of

LIAR = HERE / "targets/liar.py"
BURST_TICK_S = 0.011  # of lying_rings.py
CHROMIUM = shutil.which("chromium")
MARKUP = b"\"'></script><script>document.title='pwned'</script><img src=x onerror=document.title='pwned'>"
NAMES = {
    "markup": MARKUP,
    "short markup": b"<svg onload=a()",
    "a terminal's escapes": b"\x1b[31mred\x1b]0;title\x07\x1bP\x9b31m\r\n\tnext\x7f\x08",
    "broken UTF-8": b"a\xffb\xc3(\xe2\x82\xf0\x9f\x98 \xed\xa0\x80 \xc0\xaf",
    "C1 and directions": "\x85\x9b1m\u202eabc\u2066\u200b\u2028\u2029\u061c\ufeff\u00ad\u2060\U000e0041".encode(),
    "quotes and backslashes": b"\\\"'`$(reboot)`;\\u0000 %s%n%n {} {{7*7}}",
    "4 KiB": b"<b>\x1b[2J" * 512,
}
# What no text may hold but line ends: C0, DEL, C1, and what is invisible or turns the direction.
HARMFUL = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
                     "\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]")


@calm
class Lies(Case):
    def assertHarmless(self, told, where):
        found = HARMFUL.search(told)
        around = found and told[max(0, found.start() - 60):found.end() + 20]
        self.assertIsNone(found, f"{where} has {found and found[0]!r}: {around!r}")

    def assertJson(self, told, where):
        for line in told.splitlines() if where.startswith("attach") else [told]:
            json.loads(line)
            self.assertTrue(line.isascii(), where)  # DEL is left in: a terminal ignores it
            self.assertIsNone(re.search(r"[\x00-\x09\x0b-\x1f]", line), where)

    def outputs(self, *argv, status=(0,)):
        """What a command says, as text: undecodable bytes fail."""
        done = loopscope(*argv, text=False, status=None)
        self.assertIn(done.returncode, status, (argv, done.stderr))
        return done.stdout.decode(), done.stderr.decode()

    def watch(self, name):
        with Process([PYTHON, LIAR, self.dir, name]) as process:
            process.next_line("running")
            asjson = str(self.dir / "json.lsc")
            with Attach(process.pid, self.capture, "--print", "10ms") as attach, \
                    Process([*attach.argv[:2], "-p", process.pid, "-o", asjson, "--json", "--print", "10ms"]) as events:
                events.next_line("ready")
                for kind in ("sleep", "fifo", "socket"):
                    process.ask(f"{kind} {rng.uniform(0.06, 0.12):.3f}")
                self.assertHarmless("\n".join(self.outputs("ps", process.pid)), "ps PID")
                self.assertHarmless("\n".join(self.outputs("ps")), "ps")
                self.assertJson(self.outputs("ps", "--json", process.pid)[0], "ps --json PID")
                events.child.send_signal(signal.SIGINT)
                self.assertEqual(events.finish(), 0)
                report = attach.stop()
                self.assertHarmless("\n".join([*attach.lines, attach.stderr()]), "attach")
            self.assertJson("\n".join(events.lines), "attach --json")
        return report

    def assertUnharmed(self, name):
        report = self.watch(os.fsdecode(NAMES[name]))
        self.assertGreaterEqual(len(report["stalls"]), 3, report["stalls"])
        for color in ("never", "auto"):
            self.assertHarmless("\n".join(self.outputs("report", "--color", color, self.capture)), "report")
            judged = self.outputs("check", "--color", color, self.capture, status=(0, 1, 3))
            self.assertHarmless("\n".join(judged), "check")
        self.assertJson(self.outputs("report", "--json", self.capture)[0], "report --json")
        self.assertJson(self.outputs("check", "--json", self.capture, status=(0, 1, 3))[0], "check --json")
        page, _ = self.outputs("report", "--html", self.capture)
        # its own style is indented by tabs, and JSON leaves DEL in
        self.assertHarmless(page.replace("\t", " ").replace("\x7f", ""), "the page")
        self.assertEqual(re.findall(r'<script(?! type="application/json")|<img|<svg onload', page), [])
        return page

    def test_a_name_of_markup(self):
        page = self.assertUnharmed("markup")
        if CHROMIUM:
            self.assertRunsNothing(page)
            self.assertIn("&lt;script&gt;", page)

    def test_a_name_of_short_markup(self):
        self.assertUnharmed("short markup")

    def test_a_name_of_a_terminals_escapes(self):
        self.assertUnharmed("a terminal's escapes")

    def test_a_name_of_broken_utf_8(self):
        self.assertUnharmed("broken UTF-8")

    def test_a_name_of_c1_and_directions(self):
        self.assertUnharmed("C1 and directions")

    def test_a_name_of_quotes_and_backslashes(self):
        self.assertUnharmed("quotes and backslashes")

    def test_a_name_of_4_kib(self):
        self.assertUnharmed("4 KiB")

    def assertRunsNothing(self, page):
        path = self.dir / "page.html"
        path.write_text(page)
        done = subprocess.run([CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
                               f"--user-data-dir={self.dir}/profile", "--dump-dom", path.as_uri()],
                              capture_output=True, text=True, timeout=90)
        self.assertEqual(done.returncode, 0, done.stderr[-2000:])
        self.assertNotIn("<title>pwned", done.stdout)
        self.assertNotIn("<img", done.stdout)
        self.assertIn("pwned", done.stdout)


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Rings(Case):
    """A target with rings that it made up, beside one that is sound."""
    MEMORY = 100 << 10  # KiB of the collector: its 40 MB, and 60 for a ring that names tasks without end

    def unseen(self):
        with contextlib.closing(sqlite3.connect(f"file:{self.capture}?mode=ro", uri=True)) as capture:
            return [why for why, in capture.execute("SELECT why FROM unseen")]

    def watch(self, kind, count):
        seed = rng.randrange(1 << 32)
        with Process([PYTHON, HERE / "targets/lying_rings.py", kind, count, seed]) as liar, \
                Process([PYTHON, HERE / "targets/blocker.py"]) as good:
            liar.next_line("running")
            good.next_line("running")
            with Attach(f"{liar.pid},{good.pid}", self.capture) as attach:
                truths = []
                for _ in range(8):
                    truths.append(good.ask(f"sleep {rng.uniform(0.05, 0.1):.3f}"))
                    pause(0.05, 0.2)  # its turn ends
                liar.tell("more")
                wait_until(lambda: "the ring is not a sealed memfd" in self.unseen(), 20, "another look for rings")
                truths.append(good.ask("sleep 0.07"))
                pause()
                status = pathlib.Path(f"/proc/{daemon_of(attach.pid)}/status").read_text()
                report = attach.stop()
        self.assertLess(int(re.search(r"VmHWM:\s*(\d+)", status)[1]), self.MEMORY, status)
        by_pid = {target["id"]: target["pid"] for target in report["capture"]["targets"]}
        loops = {loop["id"]: by_pid[loop["target"]] for loop in report["loops"]}
        told = [stall for stall in self.planted(report) if loops[stall["loop"]] == good.pid]
        self.assertEqual(len(told), len(truths), describe(report))
        for stall, truth in zip(told, truths):
            self.assertStall(stall, truth, "sleep", report)
        self.assertLessEqual(list(loops.values()).count(liar.pid), 1, report["loops"])
        return {entry["why"] for entry in report["capture"]["unseen"] if entry["what"] == "tasks"}

    def test_many_rings_of_one_thread_are_one_loop(self):
        self.assertIn("a thread has several rings: the first one is read", self.watch("several", 400))

    def test_more_rings_than_are_looked_at(self):
        self.assertIn("a process has more than 1024 rings: the others are not read", self.watch("several", 3000))

    def test_of_more_ticks_at_once_than_are_kept_the_rest_is_counted(self):
        count = rng.randint(120, 160)
        with Process([PYTHON, HERE / "targets/lying_rings.py", "burst", count, 0]) as liar:
            liar.next_line("running")
            with Attach(liar.pid, self.capture) as attach:
                time.sleep(count * BURST_TICK_S)  # they began as long ago, and are to have done so within the capture
                liar.tell("go")
                liar.next_line("put")
                pause()
                report = attach.stop()
        lost = report["capture"]["lost"]
        self.assertEqual(set(lost), {"quota"}, lost)
        self.assertEqual(len(report["stalls"]) + lost["quota"], count, describe(report))

    def test_rings_that_change_under_the_reader(self):
        self.watch("wild", 3)


class Descriptors(Case):
    SHARE = 0.25  # of a CPU: looking through them is to take 2 %, and the loops that come and go some 10 %
    SHARE_ANEW = 0.15

    def watch(self, *arguments, options=()):
        with Process([PYTHON, HERE / "targets/crowded.py", *arguments]) as crowded:
            crowded.next_line("running")
            with Attach(crowded.pid, self.capture, *options) as attach:
                daemon, begin = daemon_of(attach.pid), time.monotonic()
                before = cpu_seconds(daemon)
                time.sleep(3)  # what it costs in that time
                share = (cpu_seconds(daemon) - before) / (time.monotonic() - begin)
                attach.stop()
        print(f"the collector took {share:.2f} of a CPU")
        return share

    def test_many_of_them_and_many_new_loops_do_not_keep_the_collector_busy(self):
        self.assertLess(self.watch(), self.SHARE)

    def test_many_of_them_in_many_new_processes_do_not_either(self):
        self.assertLess(self.watch("forks", options=["--follow"]), self.SHARE_ANEW)

    def test_many_of_them_in_many_programs_one_after_the_other_do_not_either(self):
        self.assertLess(self.watch("execs"), self.SHARE_ANEW)


if __name__ == "__main__":
    main()
