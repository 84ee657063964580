# SPDX-License-Identifier: MIT
"""An asyncio service that lies wherever it can: in the names of its program, its threads, its task, its functions,
its files and its sockets. Each line on stdin names a block; its length, by its own clock, is printed. Arguments: the
folder for its files, and the name that it gives to everything."""
import asyncio
import ctypes
import json
import os
import socket
import sys
import threading
import time

FOLDER, NAME = sys.argv[1].encode(), os.fsencode(sys.argv[2])
PR_SET_NAME = 15
libc = ctypes.CDLL(None, use_errno=True)


def lying_function(body):
    """Calls body from code whose function and file have the name."""
    text = NAME.decode(errors="replace")
    space = {"body": body}
    exec(compile("def f(seconds):\n    return body(seconds)\n", text, "exec"), space)  # pylint: disable=exec-used
    names = {"co_name": text}
    if sys.version_info >= (3, 11):
        names["co_qualname"] = text
    space["f"].__code__ = space["f"].__code__.replace(**names)
    return space["f"]


def of_fifo(seconds):
    """Opens a FIFO whose other end comes late, and reads a byte whose writer takes as long."""
    path = os.path.join(FOLDER, NAME.replace(b"/", b"_")[:200])
    os.mkfifo(path)

    def other():
        time.sleep(seconds / 2)
        fd = os.open(path, os.O_WRONLY)
        time.sleep(seconds / 2)
        os.write(fd, b"x")
        os.close(fd)

    threading.Thread(target=other).start()
    fd = os.open(path, os.O_RDONLY)
    os.read(fd, 1)
    os.close(fd)
    os.unlink(path)


def of_socket(seconds):
    """Waits for a peer in the abstract namespace."""
    address = b"\0" + NAME[:100]
    server = socket.socket(socket.AF_UNIX)
    server.bind(address)
    server.listen()
    client = socket.socket(socket.AF_UNIX)
    client.connect(address)
    peer, _ = server.accept()

    def other():
        time.sleep(seconds)
        peer.send(b"x")

    thread = threading.Thread(target=other)
    thread.start()
    client.recv(1)
    thread.join()
    for s in (client, peer, server):
        s.close()


BLOCKS = {"sleep": time.sleep, "fifo": of_fifo, "socket": of_socket}


async def block(kind, seconds):
    begin = time.monotonic_ns()
    lying_function(BLOCKS[kind])(seconds)
    print(json.dumps({"ns": time.monotonic_ns() - begin}), flush=True)


async def main():
    tasks = set()
    loop = asyncio.get_running_loop()

    def order():
        line = sys.stdin.readline().split()
        if not line:
            loop.stop()
            return
        tasks.add(loop.create_task(block(line[0], float(line[1])), name=NAME.decode(errors="surrogateescape")))

    libc.prctl(PR_SET_NAME, NAME[:15], 0, 0, 0)
    loop.add_reader(sys.stdin.fileno(), order)
    tasks.add(loop.create_task(asyncio.sleep(1000), name=NAME.decode(errors="surrogateescape")))
    print("running", flush=True)
    while True:
        await asyncio.sleep(0.02)


asyncio.run(main())
