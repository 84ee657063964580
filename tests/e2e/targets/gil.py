# SPDX-License-Identifier: MIT
"""An asyncio service beside threads that hold Python's lock; the argument is their number. A line on
stdin is a length in seconds: a coroutine then gives the lock away and takes it back for so long, and
prints what became of the time by its thread's own clocks."""
import asyncio
import json
import os
import sys
import threading
import time


def compute():
    while True:
        sum(range(1000))


def clocks():
    with open("/proc/thread-self/schedstat", encoding="ascii") as file:
        delay = int(file.read().split()[1])
    return {"ns": time.monotonic_ns(), "cpu_ns": time.thread_time_ns(), "delay_ns": delay}


async def hold(seconds):
    await asyncio.sleep(0.05)
    null = os.open("/dev/null", os.O_WRONLY)
    begin = clocks()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        os.write(null, b"x")
    end = clocks()
    os.close(null)
    print(json.dumps({"begin_ns": begin["ns"], **{key: end[key] - begin[key] for key in end}}), flush=True)


async def main():
    loop = asyncio.get_running_loop()
    held = set()
    loop.add_reader(sys.stdin.fileno(), lambda: held.add(loop.create_task(hold(float(sys.stdin.readline())))))
    print("running", flush=True)
    while True:
        await asyncio.sleep(0.02)


for _ in range(int(sys.argv[1])):
    threading.Thread(target=compute, daemon=True).start()
asyncio.run(main())
