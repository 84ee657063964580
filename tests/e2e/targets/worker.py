# SPDX-License-Identifier: MIT
"""A healthy asyncio service: so many ms of CPU per turn, as the argument says. A line is answered with the longest time
that a turn was without a CPU since the last one."""
import asyncio
import json
import sys
import time

longest_ns = 0


def answer():
    global longest_ns
    sys.stdin.readline()
    print(json.dumps({"ns": longest_ns}), flush=True)
    longest_ns = 0


def turn(ns):
    global longest_ns
    until, last = time.thread_time_ns() + ns, time.monotonic_ns()
    while time.thread_time_ns() < until:
        now = time.monotonic_ns()
        longest_ns = max(longest_ns, now - last)
        last = now


async def work():
    while True:
        turn(int(sys.argv[1]) * 1_000_000)
        await asyncio.sleep(0.003)


async def main():
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), answer)
    print("running", flush=True)
    await work()


asyncio.run(main())
