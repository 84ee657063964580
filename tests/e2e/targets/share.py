# SPDX-License-Identifier: MIT
"""An asyncio loop that computes for a share of each 20 ms. Argument: the share. For each line on stdin it
prints how much CPU time its loop's thread has used so far, and since when, both in ns."""
import asyncio
import sys
import time

SHARE = float(sys.argv[1])
PERIOD = 0.02


async def work():
    while True:
        until = time.thread_time() + SHARE * PERIOD
        while time.thread_time() < until:
            pass
        await asyncio.sleep((1 - SHARE) * PERIOD)


async def main():
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(work())
    loop.add_reader(0, lambda: sys.stdin.readline() and
                    print(time.thread_time_ns(), time.monotonic_ns(), flush=True))
    print("running", flush=True)
    await task


asyncio.run(main())
