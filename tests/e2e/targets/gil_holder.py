# SPDX-License-Identifier: MIT
"""An asyncio service beside a thread that takes Python's lock and keeps it, and one that takes it for
moments all the time. A line on stdin is a kind and a length in seconds; the thread tells by its own
clock when it held the lock, and the numbers of both.

    sleep   it sleeps in C, in usleep(), without giving the lock away
    burn    it computes in C, in crypt(), for about so long
    think   it computes in Python, and the coroutine that asked gives the lock away again and again
"""
import asyncio
import ctypes
import json
import os
import queue
import sys
import threading
import time

C = ctypes.PyDLL(None)  # calls keep the lock
FREE = ctypes.CDLL(None)  # calls give it away
CRYPT = ctypes.PyDLL("libcrypt.so.1")
ROUNDS = 20000


def crypt(rounds):
    CRYPT.crypt(b"secret", b"$6$rounds=%d$salt$" % rounds)


def think(seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        sum(range(1000))


def call_me(name):
    with open("/proc/thread-self/comm", "w", encoding="ascii") as file:
        file.write(name)
    return threading.get_native_id()


def pass_by(numbers):
    numbers["passer_tid"] = call_me("passer")
    while True:
        FREE.usleep(2000)


def keep(jobs, rate, numbers):
    numbers["tid"] = call_me("holder")
    while True:
        kind, seconds, done = jobs.get()
        begin = time.monotonic_ns()
        if kind == "sleep":
            C.usleep(int(seconds * 1e6))
        elif kind == "burn":
            crypt(int(seconds * rate))
        else:
            think(seconds)
        done({"kind": kind, "begin_ns": begin, "ns": time.monotonic_ns() - begin, **numbers})


async def main():
    loop = asyncio.get_running_loop()
    jobs = queue.SimpleQueue()
    null = os.open("/dev/null", os.O_WRONLY)
    held = set()

    async def hold(kind, seconds):
        done = loop.create_future()
        jobs.put((kind, seconds, lambda told: loop.call_soon_threadsafe(done.set_result, told)))
        if kind == "think":
            until = time.monotonic() + seconds
            while time.monotonic() < until:
                os.write(null, b"x")
        print(json.dumps(await done), flush=True)

    def read():
        kind, seconds = sys.stdin.readline().split()
        held.add(loop.create_task(hold(kind, float(seconds))))

    begin = time.monotonic()
    crypt(ROUNDS)
    rate = ROUNDS / (time.monotonic() - begin)
    numbers = {}
    threading.Thread(target=keep, args=(jobs, rate, numbers), daemon=True).start()
    threading.Thread(target=pass_by, args=(numbers,), daemon=True).start()
    loop.add_reader(sys.stdin.fileno(), read)
    print("running", flush=True)
    while True:
        await asyncio.sleep(0.01)


asyncio.run(main())
