# SPDX-License-Identifier: MIT
"""The protocol of tests/apps/app.h under asyncio, with the selector that the argument names, or uvloop.
Beside the loop there are a pool with jobs and a client that waits for answers."""
import asyncio
import concurrent.futures
import json
import pathlib
import selectors
import socket
import subprocess
import sys
import threading
import time


def helped(release, wait, seconds):
    """Waits for what another thread does after a while."""
    thread = threading.Thread(target=lambda: (time.sleep(seconds), release()))
    thread.start()
    wait()
    thread.join()


def lock(seconds):
    held = threading.Lock()
    held.acquire()
    helped(held.release, held.acquire, seconds)


def sockets(seconds):
    mine, other = socket.socketpair()
    helped(lambda: other.send(b"x"), lambda: mine.recv(1), seconds)
    mine.close()
    other.close()


BLOCKS = {"sleep": time.sleep, "lock": lock, "socket": sockets,
          "child": lambda seconds: subprocess.run(["sleep", str(seconds)], capture_output=True, check=True)}


def run_delay():
    return int(pathlib.Path("/proc/thread-self/schedstat").read_text().split()[1])


def block(kind, seconds):
    called = time.monotonic_ns()
    delay, begin = run_delay(), time.monotonic_ns()
    BLOCKS[kind](seconds)
    end = time.monotonic_ns()
    delay = run_delay() - delay
    return {"begin_ns": begin, "ns": end - begin, "unsure_ns": begin - called + time.monotonic_ns() - end,
            "delay_ns": delay, "tid": threading.get_native_id()}


async def serve(reader, writer):
    while line := (await reader.readline()).decode():
        words = line.split()
        if words[0] == "block":
            writer.write(json.dumps(block(words[1], int(words[2]) / 1e9)).encode() + b"\n")
        else:
            writer.write(line.removeprefix("echo ").encode())
    writer.close()


def client():
    mine, other = socket.socketpair()
    threading.Thread(target=lambda: [(time.sleep(0.03), other.send(b"x")) for _ in iter(lambda: other.recv(1), b"")],
                     daemon=True).start()
    while True:
        mine.send(b"x")
        poll = selectors.PollSelector()
        poll.register(mine, selectors.EVENT_READ)
        poll.select()
        mine.recv(1)
        time.sleep(0.005)


async def main():
    loop = asyncio.get_running_loop()
    pool = concurrent.futures.ThreadPoolExecutor(3)
    threading.Thread(target=client, daemon=True).start()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(json.dumps({"port": server.sockets[0].getsockname()[1]}), flush=True)
    while True:
        await asyncio.sleep(0.05)
        loop.run_in_executor(pool, time.sleep, 0.025)


def new_loop():
    if sys.argv[1] == "uvloop":
        import uvloop
        return uvloop.new_event_loop()
    selector = {"epoll": selectors.EpollSelector, "poll": selectors.PollSelector, "select": selectors.SelectSelector}
    return asyncio.SelectorEventLoop(selector[sys.argv[1]]())


with asyncio.Runner(loop_factory=new_loop) as runner:
    runner.run(main())
