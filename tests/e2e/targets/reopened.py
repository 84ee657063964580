# SPDX-License-Identifier: MIT
"""Two loops of one thread, one after the other and at different depths; before, between and after them it
blocks and computes, which is no turn of a loop. Prints what it plants within a loop, by its own clock.
ARGUMENTS: epoll, poll or select (asyncio on it) or uvloop, a seed."""
import asyncio
import json
import os
import random
import selectors
import sys
import threading
import time

chance = random.Random(int(sys.argv[2]))


def read_late(seconds):
    """Waits for a pipe that a thread writes into."""
    ours, theirs = os.pipe()
    writer = threading.Timer(seconds, os.write, (theirs, b"x"))
    writer.start()
    os.read(ours, 1)
    writer.join()
    os.close(ours)
    os.close(theirs)


def spin(seconds):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        sum(range(1000))


def outside():
    for block in chance.sample((time.sleep, read_late, spin), 3):
        block(chance.uniform(0.2, 0.4))


def plant():
    begin = time.monotonic_ns()
    time.sleep(chance.uniform(0.1, 0.2))
    print(json.dumps({"ns": time.monotonic_ns() - begin}), flush=True)


async def turns():
    for _ in range(chance.randint(15, 30)):
        await asyncio.sleep(0.01)
    plant()
    for _ in range(chance.randint(5, 15)):
        await asyncio.sleep(0.01)
    plant()  # in the turn that ends the loop


def deeper(levels):
    if levels:
        deeper(levels - 1)
    else:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            runner.run(turns())


def new_loop():
    if sys.argv[1] == "uvloop":
        import uvloop
        return uvloop.new_event_loop()
    return asyncio.SelectorEventLoop(getattr(selectors, sys.argv[1].capitalize() + "Selector")())


outside()
for _ in range(3):
    deeper(chance.randint(0, 200))
    outside()
