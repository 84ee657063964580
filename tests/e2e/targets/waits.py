# SPDX-License-Identifier: MIT
"""Waits of many kinds. The argument names one; "running" says that it turns, and each line on stdin is
a block of so many seconds in the main thread."""
import os
import queue
import select
import socket
import sys
import threading
import time


def blocks(ready):
    if sys.stdin in ready:
        begin = time.monotonic_ns()
        time.sleep(float(sys.stdin.readline()))
        print(f'{{"ns": {time.monotonic_ns() - begin}}}', flush=True)


def answer_slowly(end):
    while end.recv(1):
        time.sleep(0.03)
        end.send(b"x")


def client():
    """Asks and waits in poll() for one answer, turn after turn: between them it works."""
    mine, other = socket.socketpair()
    threading.Thread(target=answer_slowly, args=(other,), daemon=True).start()
    for _ in range(3):
        mine.send(b"x")
        poll = select.poll()
        poll.register(mine, select.POLLIN)
        poll.poll()
        mine.recv(1)
    while True:
        time.sleep(0.05)


def pool():
    """Workers that wait for work in a futex, and a main thread that waits for them."""
    work, done = queue.Queue(), queue.Queue()

    def worker():
        while True:
            time.sleep(work.get())
            done.put(1)

    for _ in range(4):
        threading.Thread(target=worker, daemon=True).start()
    while True:
        for _ in range(4):
            work.put(0.03)
        for _ in range(4):
            done.get()


def select_loop():
    pipe, _ = os.pipe()
    while True:
        blocks(select.select([sys.stdin, pipe], [], [], 0.02)[0])


def poll_loop():
    pipe, _ = os.pipe()
    poll = select.poll()
    poll.register(sys.stdin, select.POLLIN)
    poll.register(pipe, select.POLLIN)
    while True:
        blocks([sys.stdin] if any(fd == 0 for fd, _ in poll.poll(20)) else [])


def busy_loop():
    """Never sleeps in its wait: every turn asks with a timeout of zero."""
    epoll = select.epoll()
    epoll.register(sys.stdin, select.EPOLLIN)
    while True:
        blocks([sys.stdin] if epoll.poll(0) else [])


print("running", flush=True)
{"client": client, "pool": pool, "select": select_loop, "poll": poll_loop, "busy": busy_loop}[sys.argv[1]]()
