# SPDX-License-Identifier: MIT
"""Tasks of asyncio that come, go and change all the time, beside some that stay. Its ticker, a thread of
1 ms, says the longest gap that it saw for each line on stdin: nothing may stop the process."""
import asyncio
import sys
import threading
import time

longest = 0


def tick():
    global longest
    last = time.monotonic_ns()
    while True:
        time.sleep(0.001)
        now = time.monotonic_ns()
        longest = max(longest, now - last)
        last = now


async def short(n):
    for _ in range(n % 7):
        await asyncio.sleep(0.001 * (n % 3))
    return n


async def parent(n):
    await asyncio.gather(*(asyncio.ensure_future(short(n + i)) for i in range(5)))


async def stay():
    await asyncio.Event().wait()


async def listen():
    global longest
    loop = asyncio.get_running_loop()
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(longest, flush=True)
        longest = 0


async def main():
    staying = [asyncio.ensure_future(stay()) for _ in range(20)]
    for i, task in enumerate(staying):
        task.set_name("stays-%d" % i)
    listener = asyncio.ensure_future(listen())
    threading.Thread(target=tick, daemon=True).start()
    print("running", flush=True)
    n = 0
    while not listener.done():
        await asyncio.gather(*(asyncio.ensure_future(parent(n + i)) for i in range(4)))
        n += 1


asyncio.run(main())
