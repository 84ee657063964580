# SPDX-License-Identifier: MIT
"""An asyncio service with 20 quiet tasks. A line on stdin names a block and its length in seconds;
one coroutine then blocks the loop that way and prints how long it took, and when it was over, by its own
clock (CLOCK_MONOTONIC)."""
import asyncio
import ctypes
import json
import os
import subprocess
import sys
import time

CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
MS_REC, MS_PRIVATE = 0x4000, 0x40000


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def fork_and_sleep(seconds):
    """The child lives on, and sleeps for as long again."""
    child = os.fork()
    time.sleep(seconds)
    if child == 0:
        time.sleep(seconds)
        os._exit(0)


def move(_):
    """Into namespaces of its own, in which what it is made of lies elsewhere."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWCGROUP) < 0 or \
       libc.mount(b"none", b"/", None, MS_PRIVATE | MS_REC, None) < 0 or \
       libc.mount(b"tmpfs", os.path.dirname(os.__file__).encode(), b"tmpfs", 0, None) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def sleep_and_exec(seconds):
    time.sleep(seconds)
    os.execv("/bin/true", ["true"])


BLOCKS = {
    "fork": fork_and_sleep,
    "move": move,
    "sleep-exec": sleep_and_exec,
    "sleep": time.sleep,
    "spin": spin,
    "child": lambda seconds: subprocess.run(["sleep", str(seconds)], capture_output=True, check=True),
    "exec": lambda seconds: os.execv("/bin/sleep", ["sleep", str(seconds)]),
    "exit": lambda status: os._exit(int(status)),
}


async def quiet(number):
    while True:
        await asyncio.sleep(0.02 + number / 1000)


async def block(kind, seconds):
    await asyncio.sleep(0.05)
    begin = time.monotonic_ns()
    BLOCKS[kind](seconds)
    end = time.monotonic_ns()
    print(json.dumps({"ns": end - begin, "end_ns": end}), flush=True)


async def main():
    loop = asyncio.get_running_loop()
    tasks = {loop.create_task(quiet(number), name=f"quiet-{number}") for number in range(19)}

    def order():
        line = sys.stdin.readline().split()
        if not line:
            loop.stop()
            return
        tasks.add(loop.create_task(block(line[0], float(line[1])), name="blocker"))

    loop.add_reader(sys.stdin.fileno(), order)
    print("running", flush=True)
    await asyncio.gather(*tasks)


asyncio.run(main())
