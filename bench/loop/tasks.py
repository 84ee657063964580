# SPDX-License-Identifier: MIT
"""asyncio's tasks, as bench_tasks.c has ours: yields of 100 tasks, 100,000 tasks gathered.
usage: tasks.py asyncio|uvloop"""
import asyncio
import sys
import time

YIELDERS, CALLS, CROWD = 100, 300_000, 100_000


async def yield_often():
    for _ in range(CALLS // YIELDERS):
        await asyncio.sleep(0)


async def finish():
    return 0


async def gather(name):
    begin = time.perf_counter_ns()
    await asyncio.gather(*[asyncio.create_task(finish()) for _ in range(CROWD)])
    print(f"{name} {(time.perf_counter_ns() - begin) / CROWD:.2f} ns")


async def main():
    await gather("gather_first")
    begin = time.perf_counter_ns()
    await asyncio.gather(*(yield_often() for _ in range(YIELDERS)))
    print(f"yield {(time.perf_counter_ns() - begin) / CALLS:.2f} ns")
    await gather("gather")


if sys.argv[1] == "uvloop":
    import uvloop
    uvloop.install()
asyncio.run(main())
