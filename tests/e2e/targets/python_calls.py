# SPDX-License-Identifier: MIT
"""An asyncio service that runs other people's coroutines. A line on stdin is a JSON object: `kind` of
what blocks, `seconds`, the `task`'s name, a `path` to a module and the name of its coroutine
function. The task runs that; another thread looks at it half way through and the target tells what
it saw, as CPython itself has it: the stack, leaf first, and where the coroutine begins; and what the
loop's thread did meanwhile, as the kernel has it: whether it slept half way through, and ns that passed, on the CPU,
and in its queue. The argument `uvloop` has it run on that."""
import asyncio
import importlib.util
import json
import os
import queue
import socket
import sqlite3
import sys
import tempfile
import threading
import time
import traceback
import urllib.request


def name_of(code):
    return getattr(code, "co_qualname", code.co_name)


def snapshot(thread):
    frame, stack = sys._current_frames()[thread], []
    while frame:
        stack.append([name_of(frame.f_code), frame.f_code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return stack


def sleeps(tid):
    """Whether the thread does, by the kernel."""
    with open(f"/proc/self/task/{tid}/stat", encoding="utf-8", errors="replace") as file:
        return file.read().rpartition(") ")[2][0] in "SD"


def account():
    """Time now, on the CPU so far, in its queue so far."""
    with open("/proc/thread-self/schedstat", encoding="ascii") as file:
        on_cpu, queued, _ = file.read().split()
    return time.monotonic_ns(), int(on_cpu), int(queued)


class Host:
    """What the blocking calls wait for; a thread provides it in time."""

    def __init__(self, thread):
        self.thread, self.tid = thread, threading.get_native_id()
        self.folder = tempfile.mkdtemp()
        self.lock = threading.Lock()
        self.data = bytes(1 << 24)
        self.fifo = os.path.join(self.folder, "fifo")
        os.mkfifo(self.fifo)
        self.path = os.path.join(self.folder, "db")
        self.other = sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)
        self.db = sqlite3.connect(self.path, isolation_level=None, timeout=10)
        os.environ["no_proxy"] = "*"
        self.server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.server.getsockname()[1]}/"
        self.unknown = "nobody.example."
        self.hungry = threading.Event()
        self.fed = False
        self.orders = queue.SimpleQueue()
        threading.Thread(target=self.serve, daemon=True).start()

    def begin(self, order):
        """Before the coroutine runs: nobody else is to have what it will wait for."""
        taken = threading.Event()
        self.orders.put((order, taken))
        taken.wait()

    def feed(self):
        """Has the other thread take the GIL as soon as it can get it."""
        self.hungry.set()

    def hold_gil(self, order):
        """Once the loop's thread waits for what this one does: it turns in a loop until then."""
        self.fed = False
        self.hungry.wait()
        self.hungry.clear()
        order["stack"], order["holder"] = snapshot(self.thread), threading.get_native_id()
        begin = time.monotonic()
        self.eat(100000)
        self.eat(int(order["seconds"] / (time.monotonic() - begin) * 100000))
        self.fed = True

    def eat(self, numbers):
        """In C, from the first to the last without letting go of the GIL."""
        sum(range(numbers))

    def answer(self):
        connection, _ = self.server.accept()
        connection.recv(65536)
        connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok")
        connection.close()

    def serve(self):
        while True:
            order, taken = self.orders.get()
            kind, half = order["kind"], order["seconds"] / 2
            if kind == "lock":
                self.lock.acquire()
            elif kind == "sqlite":
                self.other.execute("begin exclusive")
            taken.set()
            if kind == "gil":
                self.hold_gil(order)
                continue
            time.sleep(half)
            order["slept"] = sleeps(self.tid)
            order["stack"] = snapshot(self.thread)
            time.sleep(half)
            if kind == "lock":
                self.lock.release()
            elif kind == "sqlite":
                self.other.execute("rollback")
            elif kind == "fifo":
                os.close(os.open(self.fifo, os.O_WRONLY))
            elif kind == "http":
                self.answer()


async def quiet():
    while True:
        await asyncio.sleep(0.03)


async def main():
    loop = asyncio.get_running_loop()
    host = Host(threading.get_ident())
    tasks = {loop.create_task(quiet()) for _ in range(5)}
    modules = []

    def load(order):
        spec = importlib.util.spec_from_file_location("calls", order["path"])
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        modules.append(module)  # as an import would keep it
        return eval(order["function"], vars(module))

    def accept():
        order = json.loads(sys.stdin.readline())
        function = load(order)
        order["site"] = [name_of(function.__code__), function.__code__.co_filename,
                         function.__code__.co_firstlineno]

        async def start():
            await asyncio.sleep(0.05)
            host.begin(order)
            before = account()
            task = loop.create_task(function(host, order["seconds"]), name=order["task"])
            try:
                await task
            except Exception:
                traceback.print_exc()
            order["ns"], order["on_cpu"], order["queued"] = map(int.__sub__, account(), before)
            order["task"] = task.get_name()
            print(json.dumps(order), flush=True)

        tasks.add(loop.create_task(start()))

    loop.add_reader(sys.stdin.fileno(), accept)
    urllib.request.install_opener(urllib.request.build_opener())  # sets TLS up, which may outlast the slow server
    print("running", flush=True)
    await asyncio.gather(*tasks)


if "uvloop" in sys.argv:
    import uvloop
    uvloop.install()
asyncio.run(main())
