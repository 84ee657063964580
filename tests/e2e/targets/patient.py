# SPDX-License-Identifier: MIT
"""An asyncio service in which timers and a socket wait. Each line on stdin is one step, answered when it is done:
    timer SECONDS         a timer is set; its due time is told
    sleep SECONDS [stop]  the loop is blocked; the timer is cancelled within the same turn if it says stop
    fill                  data is sent to a connection that nobody reads yet
    drain                 ... and read
    ran                   when the timer ran, null if it did not"""
import asyncio
import json
import socket
import sys
import time


def connection():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]


async def main():
    loop = asyncio.get_running_loop()
    near, far = connection()
    timer = ran = None

    def answer(**values):
        print(json.dumps(values), flush=True)

    def run():
        nonlocal ran
        ran = time.monotonic_ns()

    def order():
        nonlocal timer, ran
        words = sys.stdin.readline().split() or ["end"]
        if words[0] == "timer":
            ran, timer = None, loop.call_later(float(words[1]), run)
            answer(ns=int(timer.when() * 1e9))
        elif words[0] == "sleep":
            begin = time.monotonic_ns()
            time.sleep(float(words[1]))
            end = time.monotonic_ns()
            if "stop" in words:
                timer.cancel()
            answer(ns=end - begin, end_ns=end)
        elif words[0] == "fill":
            near.sendall(b"waiting")
            answer(ns=time.monotonic_ns())
        elif words[0] == "drain":
            answer(ns=len(far.recv(100)))
        elif words[0] == "ran":
            answer(ns=ran)
        else:
            loop.stop()

    loop.add_reader(sys.stdin.fileno(), order)
    print("running", flush=True)
    await loop.create_future()


asyncio.run(main())
