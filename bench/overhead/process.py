# SPDX-License-Identifier: MIT
"""Processes of the bench: pinned to a CPU, waited for, ended; and what they used."""
import contextlib
import os
import pathlib
import signal
import subprocess
import time


class Failed(Exception):
    """The bench cannot go on with this load or contestant; the text says why."""


def spawn(argv, cpu, output=subprocess.DEVNULL, nice=0):
    """Output goes to a file object, or nowhere."""

    def prepare():
        os.sched_setaffinity(0, {cpu})
        os.nice(nice)

    return subprocess.Popen([str(arg) for arg in argv], stdin=subprocess.DEVNULL, stdout=output,
                            stderr=subprocess.STDOUT, preexec_fn=prepare)


def end(process, number=signal.SIGTERM, again=20, seconds=20):
    """The signal is sent again after so many seconds, to a program that may miss one."""
    deadline = time.monotonic() + seconds
    while process.poll() is None:
        if time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise Failed(f"{process.args[0]} does not end")
        process.send_signal(number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(again)


def wait_until(condition, what, process, seconds=15):
    deadline = time.monotonic() + seconds
    while not condition():
        if process.poll() is not None:
            raise Failed(f"{what}: {process.args[0]} exits {process.returncode}")
        if time.monotonic() > deadline:
            raise Failed(f"{what}: not within {seconds} s")
        time.sleep(0.01)


def cpu_ns(pid):
    """What all threads of a process ran so far."""
    return sum(int(path.read_text().split()[0]) for path in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"))


def tree(pid):
    """A process and its descendants."""
    found = [pid]
    for path in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
        for child in path.read_text().split():
            found += tree(int(child))
    return found


def memory_kib(pid, field):
    """A line of smaps_rollup: Rss, Pss, ..."""
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1])
    raise Failed(f"no {field} of process {pid}")
