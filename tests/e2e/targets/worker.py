# SPDX-License-Identifier: MIT
"""A healthy asyncio service: so many ms of CPU per turn, as the argument says."""
import asyncio
import sys
import time


async def work():
    while True:
        until = time.thread_time_ns() + int(sys.argv[1]) * 1_000_000
        while time.thread_time_ns() < until:
            pass
        await asyncio.sleep(0.003)


async def main():
    loop = asyncio.get_running_loop()
    loop.add_reader(sys.stdin.fileno(), loop.stop)
    print("running", flush=True)
    await work()


asyncio.run(main())
