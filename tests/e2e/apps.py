# SPDX-License-Identifier: MIT
"""The apps that test_apps.py watches: how each is started, loaded, blocked, and asked for the truth.

Every app has `pid`, `loops()` (the tids of its loops: nothing else is one), `kinds` of blocks that
block(kind, seconds) plants, and load(). A planted block is a `Truth`.
"""
import contextlib
import dataclasses
import fcntl
import json
import os
import pathlib
import socket
import subprocess
import tempfile
import threading
import time
import unittest
import urllib.request

from harness import BIN, HERE, PYTHON, Process, rng, run, wait_until

APPS = BIN.parent / "tests/apps"


@dataclasses.dataclass
class Truth:
    """A planted block as the app's own clock has it."""
    kind: str
    begin_ns: int  # of CLOCK_MONOTONIC
    ns: int
    delay_ns: int  # of these, runnable and without a CPU, as the kernel counts
    tid: int
    unsure_ns: int = 0  # what it may have lasted longer
    call_ns: int = 0  # all of the call that waited, where the app cannot measure the wait alone
    rest_ns: int = 0  # what the loop worked before and after it in the same turn, by its own clock
    others_ns: int = 0  # what other callbacks of the same turn may have computed besides

    def overlaps(self, begin_ns, ns):
        return begin_ns < self.begin_ns + self.ns and self.begin_ns < begin_ns + ns


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def answers(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def threads_named(pid, name):
    return {int(task.name) for task in pathlib.Path(f"/proc/{pid}/task").iterdir()
            if (task / "comm").read_text().strip() == name}


def threads_in(pids, number):
    """The threads that are in this system call."""
    found = set()
    for pid in pids:
        for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
            with contextlib.suppress(OSError):
                if (task / "syscall").read_text().split()[0] == str(number):
                    found.add(int(task.name))
    return found


@contextlib.contextmanager
def load(port, request, connections, depth=1, rest_us=0):
    """Requests for as long as the block runs."""
    with Process([APPS / "app_load", port, connections, depth, rest_us, request]) as process:
        process.next_line("running")
        yield


class Lines:
    """One connection that asks in lines and is answered in JSON."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.lines = self.socket.makefile("r", encoding="ascii")

    def tell(self, line):
        self.socket.sendall(f"{line}\n".encode())

    def ask(self, line):
        self.tell(line)
        return json.loads(self.lines.readline())

    def close(self):
        self.lines.close()
        self.socket.close()


class App(Process):
    options = []  # of attach
    shows_itself_when_busy = True
    exact = True  # its blocks are told in one piece
    plants_under_load = True

    def loops(self):
        return {self.pid}


class LineApp(App):
    """A program that says {"port": N} and serves the protocol of tests/apps/app.h there."""
    kinds = ("sleep", "mutex", "pipe", "poll", "epoll", "socket", "child")
    request = "echo 0123456789\\n"

    def __init__(self, command):
        super().__init__(command)
        self.control = None
        try:
            self.port = json.loads(self.next_line("port"))["port"]
        except AssertionError:
            self.__exit__()
            raise

    def __exit__(self, *exit):
        if self.control:
            self.control.close()
        super().__exit__(*exit)

    def ask(self, line):
        if not self.control:
            self.control = Lines(self.port)
        return self.control.ask(line)

    def block(self, kind, seconds):
        return Truth(kind, **self.ask(f"block {kind} {round(seconds * 1e9)}"))

    def burst(self, count, seconds):
        return Truth("spin", **self.ask(f"burst {count} {round(seconds * 1e9)}"))

    def load(self, **options):
        return load(self.port, self.request, **options)


class CApp(LineApp):
    """A program of tests/apps."""

    def __init__(self, name, *options):
        program = APPS / f"app_{name}"
        if not program.exists():
            raise unittest.SkipTest(f"{program.name} was not built: cmake says which library is absent")
        super().__init__([program, *options])


class UringApp(CApp):
    """io_uring interrupts a thread's sleeps for its own work: a block is several."""
    exact = False

    def __init__(self, *options):
        super().__init__("uring", *options)


class ParkApp(CApp):
    """Its selector is a loop too. While there is work it makes no call that shows where it parks."""
    shows_itself_when_busy = False

    def __init__(self, *options):
        super().__init__("park", *options)

    def loops(self):
        return {self.pid} | threads_named(self.pid, "selector")


class WorkersApp(CApp):
    """Three workers that take turns in one epoll set."""

    def __init__(self, *options):
        super().__init__("workers", *options)

    def loops(self):
        return threads_named(self.pid, "worker")


class JobApp(CApp):
    """The loop runs within jobs of a pool's thread."""

    def __init__(self, name):
        super().__init__(name, "job")

    def loops(self):
        return {self.worker}

    def turn(self):
        """A job that turns the loop until end()."""
        self.tell("")
        self.worker = self.block("sleep", 0).tid

    def end(self):
        self.control.tell("end")


class ScriptApp(LineApp):
    """A script that speaks the protocol of tests/apps/app.h, as far as its runtime has such blocks."""

    def __init__(self, kinds, *command):
        super().__init__(command)
        self.kinds = kinds

    def block(self, kind, seconds):
        """Of a call that starts a child and waits for it, the child's life is the wait: it begins and ends within."""
        truth = super().block(kind, seconds)
        if kind == "child":
            truth.call_ns, truth.ns = truth.ns, round(seconds * 1e9)
            truth.unsure_ns += truth.call_ns - truth.ns
        return truth


class Node(ScriptApp):
    kinds = ("spin", "child", "atomics")

    def __init__(self):
        node = pathlib.Path("/usr/bin/node")
        if not node.exists():
            raise unittest.SkipTest("no /usr/bin/node")
        super().__init__(self.kinds, node, HERE / "targets/app.js")

    def loops(self):
        """The platform's timers turn a loop of libuv in a thread of their own."""
        return {self.pid} | self.others

    def __enter__(self):
        self.others = wait_until(lambda: threads_in([self.pid], 281) - {self.pid}, 5, "no thread for delayed tasks")
        return super().__enter__()


class Redis(App):
    """Its own slow log is the truth."""
    kinds = ("sleep",)

    def __init__(self):
        self.port = free_port()
        super().__init__(["/usr/bin/redis-server", "--port", self.port, "--save", "", "--enable-debug-command", "yes",
                          "--slowlog-log-slower-than", "5000"])
        self.next_line("Ready to accept connections")

    def cli(self, *command):
        return run("redis-cli", "-p", self.port, "--json", *command).stdout

    def block(self, kind, seconds):
        begin = time.monotonic_ns()
        self.cli("debug", "sleep", f"{seconds:.3f}")
        # others that lacked a CPU in their command may be newer
        slept = max(entry for entry in json.loads(self.cli("slowlog", "get", "128")) if entry[3][:2] == ["debug", "sleep"])
        return Truth(kind, begin, slept[2] * 1000, 0, self.pid)

    def load(self, **options):
        return load(self.port, "PING\\r\\n", **options)


class SlowPipe:
    """A pipe that somebody writes their log to. Its reader is this test, which may stop reading: then
    the next to write is blocked until it lets go."""

    def __init__(self, read_fd, write_fd):
        self.read_fd, self.write_fd = read_fd, write_fd
        fcntl.fcntl(read_fd, fcntl.F_SETPIPE_SZ, 4096)
        self.flows = threading.Event()
        self.flows.set()
        threading.Thread(target=self._drain, daemon=True).start()

    def _drain(self):
        while os.read(self.read_fd, 1 << 16):
            self.flows.wait()

    def fill(self):
        """Stops reading, and fills the pipe to the brim."""
        self.flows.clear()
        os.set_blocking(self.write_fd, False)
        size = 4096
        full = 0
        while full < 2:  # the reader may take one more helping
            try:
                os.write(self.write_fd, b"x" * size)
                full = 0
            except BlockingIOError:
                full += size == 1
                size = max(1, size // 2)
                time.sleep(0.005)
        os.set_blocking(self.write_fd, True)

    def hold(self, provoke, seconds, pids):
        """Fills the pipe and has a thread of these processes write to it: it is blocked from between the
        request and the moment that it is seen in write() until the reader goes on."""
        self.fill()
        asked = time.monotonic_ns()
        provoke()
        deadline = asked + 5_000_000_000
        while not (writers := threads_in(pids, 1)) and time.monotonic_ns() < deadline:
            time.sleep(0.0005)
        [tid] = writers
        seen = time.monotonic_ns()
        time.sleep(seconds)
        over = time.monotonic_ns()
        self.flows.set()
        return Truth("fifo", seen, over - seen, 0, tid, seen - asked)


class Fifo(SlowPipe):
    def __init__(self, path):
        os.mkfifo(path)
        read_fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)  # there is no writer yet
        os.set_blocking(read_fd, True)
        super().__init__(read_fd, os.open(path, os.O_WRONLY))


class Nginx(App):
    """Two workers. A request for /planted is logged to a FIFO, after it was answered."""
    kinds = ("fifo",)
    options = ["--follow"]

    def __init__(self):
        if not pathlib.Path("/usr/sbin/nginx").exists():
            raise unittest.SkipTest("no /usr/sbin/nginx")
        self.folder = tempfile.TemporaryDirectory(prefix="lsc-nginx-")
        folder = pathlib.Path(self.folder.name)
        folder.chmod(0o755)
        self.port = free_port()
        self.log = Fifo(folder / "log")
        (folder / "conf").write_text(f"""
            daemon off; master_process on; worker_processes 2; pid {folder}/pid; error_log stderr warn;
            events {{ worker_connections 256; }}
            http {{
                access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/b;
                proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
                scgi_temp_path {folder}/s;
                server {{
                    listen 127.0.0.1:{self.port};
                    location / {{ return 200 "fine"; }}
                    location /planted {{ access_log {folder}/log; return 200 "logged"; }}
                }}
            }}""")
        super().__init__(["/usr/sbin/nginx", "-c", folder / "conf", "-p", folder])
        wait_until(lambda: len(self.loops()) == 2 and answers(self.port), 10, "nginx has no workers")

    def __exit__(self, *exit):
        self.child.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.child.wait(5)
        super().__exit__(*exit)
        self.folder.cleanup()

    def loops(self):
        return {int(pid) for pid in pathlib.Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()}

    def block(self, _, seconds):
        return self.log.hold(lambda: urllib.request.urlopen(f"http://127.0.0.1:{self.port}/planted").close(), seconds,
                             self.loops())

    def load(self, **options):
        return load(self.port, "GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n", **options)


class Memcached(App):
    """Four threads with a libevent loop each, and a main thread with a fifth. With -vv it logs each
    command to stderr; a full pipe there blocks the thread of the connection that asks."""
    kinds = ("fifo",)
    plants_under_load = False  # every thread would log then

    def __init__(self):
        if not pathlib.Path("/usr/bin/memcached").exists():
            raise unittest.SkipTest("no /usr/bin/memcached")
        self.folder = tempfile.TemporaryDirectory(prefix="lsc-memcached-")
        log = pathlib.Path(self.folder.name) / "log"
        self.log = Fifo(log)
        self.port = free_port()
        super().__init__(["sh", "-c", 'exec /usr/bin/memcached -u root -U 0 -t 4 -p "$1" 2>"$2"', "sh", self.port, log])
        wait_until(lambda: answers(self.port), 10, "memcached does not answer")
        self.clients = [socket.create_connection(("127.0.0.1", self.port)) for _ in range(8)]

    def __exit__(self, *exit):
        for client in self.clients:
            client.close()
        super().__exit__(*exit)
        self.folder.cleanup()

    def loops(self):
        return {self.pid} | threads_named(self.pid, "mc-worker")

    def say(self, client, text):
        client.sendall(text)
        return client.recv(4096)

    def block(self, _, seconds):
        client = rng.choice(self.clients)
        self.say(client, b"verbosity 2\r\n")
        truth = self.log.hold(lambda: client.sendall(b"get planted\r\n"), seconds, [self.pid])
        client.recv(4096)
        self.say(client, b"verbosity 0\r\n")
        return truth

    def load(self, **options):
        return load(self.port, "get missing\\r\\n", **options)


def asyncio_app(selector):
    kinds = ("sleep", "lock", "socket", "child")
    return ScriptApp(kinds, PYTHON, HERE / "targets/app.py", selector)


# Every app by its name: what CMakeLists.txt lists.
APP = {
    **{name: (lambda name=name: CApp(name)) for name in ("epoll", "poll", "select", "uv", "event", "ev", "glib", "sd",
                                                          "tevent")},
    "uring": UringApp,
    "park": ParkApp,
    "workers": WorkersApp,
    "redis": Redis,
    "nginx": Nginx,
    "memcached": Memcached,
    "node": Node,
    **{f"asyncio-{selector}": (lambda selector=selector: asyncio_app(selector)) for selector in ("epoll", "poll", "select")},
    "uvloop": lambda: asyncio_app("uvloop"),
}
