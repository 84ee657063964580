# SPDX-License-Identifier: MIT
"""An asyncio loop without timers: it turns when it is told something, and then once. A line on stdin names what holds the
loop, spin or sleep, and for how many seconds; "began" is printed before, and after it how long it took, by its own clock."""
import asyncio
import json
import sys
import time


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


HOLDS = {"spin": spin, "sleep": time.sleep}


def order():
    kind, seconds = sys.stdin.readline().split()
    print("began", flush=True)
    begin = time.monotonic_ns()
    HOLDS[kind](float(seconds))
    end = time.monotonic_ns()
    print(json.dumps({"ns": end - begin, "end_ns": end}), flush=True)


loop = asyncio.new_event_loop()
loop.add_reader(sys.stdin.fileno(), order)
loop.call_soon(lambda: print("running", flush=True))
loop.run_forever()
