# SPDX-License-Identifier: MIT
"""An asyncio program and its only client, which take turns on one CPU. The client's message ends the
loop's idling; in the turn the two exchange BLOCKS more, for each of which the loop's named task, DEPTH
functions deep, blocks in read() while the client does STEPS of work. The client counts exchanges in a
mapped file: python_rounds.py DEPTH BLOCKS STEPS COUNT-FILE"""
import asyncio
import ctypes
import mmap
import os
import signal
import socket
import struct
import sys

MESSAGE = bytes(32)
PR_SET_PDEATHSIG = 1


def exchange(read_from, write_to):
    """Sends a message and waits for one."""
    os.write(write_to, MESSAGE)
    if not os.read(read_from, len(MESSAGE)):
        sys.exit("the loop is gone")


def run_client(turns, calls, blocks, steps, counts):
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))  # it runs when the loop sleeps, not in its stead
    done = 0
    while True:
        exchange(turns, turns)
        for _ in range(blocks):
            for _ in range(steps):
                pass
            exchange(*calls)
            done += 1
            counts[:8] = struct.pack("=Q", done)


def answer(depth, read_from, write_to, blocks):
    if depth > 1:
        answer(depth - 1, read_from, write_to, blocks)
        return
    for _ in range(blocks):
        os.write(write_to, os.read(read_from, len(MESSAGE)))


async def serve(turns, depth, calls, blocks):
    loop = asyncio.get_running_loop()
    while message := await loop.sock_recv(turns, len(MESSAGE)):
        await loop.sock_sendall(turns, message)
        answer(depth, *calls, blocks)


async def run_loop(turns, depth, calls, blocks):
    turns.setblocking(False)
    await asyncio.get_running_loop().create_task(serve(turns, depth, calls, blocks), name="rounds")


def main(depth, blocks, steps, path):
    (near, far), (questions, ask), (answers, tell) = socket.socketpair(), os.pipe(), os.pipe()
    with open(path, "w+b") as file:
        file.truncate(8)
        counts = mmap.mmap(file.fileno(), 8)
    if os.fork() == 0:
        run_client(far.fileno(), (answers, ask), blocks, steps, counts)
    asyncio.run(run_loop(near, depth, (questions, tell), blocks))


main(*map(int, sys.argv[1:4]), sys.argv[4])
