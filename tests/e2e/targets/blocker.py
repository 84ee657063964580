# SPDX-License-Identifier: MIT
"""An asyncio service with 20 quiet tasks. A line on stdin names a block and its length in seconds;
one coroutine then blocks the loop that way and prints how long it took, and when it was over, by its own
clock (CLOCK_MONOTONIC)."""
import asyncio
import json
import os
import subprocess
import sys
import time



def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def sleep_and_exec(seconds):
    time.sleep(seconds)
    os.execv("/bin/true", ["true"])


BLOCKS = {
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
