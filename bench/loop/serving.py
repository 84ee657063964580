# SPDX-License-Identifier: MIT
"""How the loop library serves beside others: echo servers with 1 and 100 connections, and HTTP.

Slices of two servers alternate, each is divided by its neighbour in time. All servers run all the time; only the client of
one is not stopped. Client and server are pinned: to one core together, or to one each.
"""
import mmap
import os
import re
import shutil
import signal
import socket
import statistics
import struct
import subprocess
import time

from ratio import row, spread

SETTLE_S = 0.03
PINNED = ["setpriv", "--pdeathsig", "KILL", "taskset", "-c"]  # ends with the bench; then a CPU and a command
HELLO = "Hello, world\n"


class Server:
    """A server that prints its port, and its environment."""

    def __init__(self, name, argv, core, env=None):
        self.name = name
        self.process = subprocess.Popen(
            [*PINNED, str(core), *map(str, argv)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env={**os.environ, **(env or {})}
        )
        line = self.process.stdout.readline()
        self.port = int(line.rsplit(":", 1)[1])

    def end(self):
        self.process.kill()
        self.process.wait()


class EchoLoad:
    """A client of a server, which sleeps outside of its slices."""

    def __init__(self, server, client, connections, core, folder):
        path = folder / f"{server.name}-{connections}"
        self.process = subprocess.Popen(
            [*PINNED, str(core), client, str(server.port), str(connections), path],
            start_new_session=True
        )
        while not path.exists() or path.stat().st_size < 8:
            time.sleep(0.01)
        with open(path, "rb") as file:
            self.count = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)
        time.sleep(0.5)  # a warm-up
        self.process.send_signal(signal.SIGSTOP)

    def answers(self):
        return struct.unpack("<Q", self.count)[0]

    def slice(self, seconds):
        """Answers a second."""
        self.process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_S)
        count, begin = self.answers(), time.monotonic()
        time.sleep(seconds)
        count, took = self.answers() - count, time.monotonic() - begin
        self.process.send_signal(signal.SIGSTOP)
        return count / took

    def end(self):
        self.process.kill()
        self.process.wait()


class HttpLoad:
    """wrk, for the time of a slice."""

    def __init__(self, server, connections, core):
        self.argv = [*PINNED, str(core), "wrk", "-t1", f"-c{connections}", f"http://127.0.0.1:{server.port}/"]
        self.slice(0.5)

    def slice(self, seconds):
        out = subprocess.run([*self.argv, f"-d{max(1, round(seconds))}s"], capture_output=True, text=True, check=True)
        assert "Non-2xx" not in out.stdout and "Socket errors" not in out.stdout, out.stdout
        return float(re.search(r"Requests/sec:\s+([\d.]+)", out.stdout).group(1))

    def end(self):
        pass


def compare(label, ours, reference, args):
    """The row of ours to the reference, which it prints."""
    ratios, rates = [], []
    for pair in range(args.pairs):
        first, second = (ours, reference) if pair % 2 else (reference, ours)
        one, two = first.slice(args.slice), second.slice(args.slice)
        mine, other = (one, two) if pair % 2 else (two, one)
        ratios.append(mine / other)
        rates.append(mine)
    rate = statistics.median(rates)
    print(f"| {label} | {rate / 1000:.1f} k/s | {spread(ratios)} |", flush=True)
    return row("serving", label, ratios, rate=rate)


# The last one says what the kernel's ways differ by, whoever uses them.
ECHO_PAIRS = (("ours", "epoll by hand"), ("ours", "libuv"), ("ours", "ours, unrecorded"), ("ours, io_uring", "epoll by hand"),
              ("ours, io_uring", "libuv"), ("ours, io_uring", "io_uring by hand"), ("epoll by hand", "io_uring by hand"))


def echo_servers(args):
    """Name: command and environment."""
    ours = [args.bin / "echo_server"]
    servers = {
        "ours": (ours, {"LSC_BACKEND": "epoll", "LSC_TRACE": "1"}),
        "ours, io_uring": (ours, {"LSC_BACKEND": "io_uring", "LSC_TRACE": "1"}),
        "ours, unrecorded": (ours, {"LSC_BACKEND": "epoll", "LSC_TRACE": "0"}),
        "epoll by hand": ([args.bin / "bench_echo_epoll"], {}),
    }
    for name, program in (("libuv", "bench_echo_uv"), ("io_uring by hand", "bench_echo_uring")):
        if (args.bin / program).exists():
            servers[name] = ([args.bin / program], {})
        else:
            print(f"# {name} is left out: its library was not found at build time")
    return servers


def echo(args):
    cpus, rows, servers_of = sorted(os.sched_getaffinity(0)), [], echo_servers(args)
    pairs = [pair for pair in ECHO_PAIRS if pair[1] in servers_of]
    print("| echo | ours | ratio, median (95 % of it) |\n|---|---|---|")
    for cores, server_core in (("one core", cpus[-1]), ("two cores", cpus[0])):
        for connections in (1, 100):
            what = f"{connections} connection{'s' if connections > 1 else ''}, {cores}"
            wanted = [(mine, other, f"{mine} / {other}, {what}") for mine, other in pairs]
            wanted = [pair for pair in wanted if args.match in pair[2]]
            used = {name for pair in wanted for name in pair[:2]}
            folder = args.folder / f"{server_core}-{connections}"
            folder.mkdir()
            running = []
            try:
                loads = {}
                for name in used:
                    running.append(Server(name, servers_of[name][0], server_core, servers_of[name][1]))
                    loads[name] = EchoLoad(running[-1], args.bin / "bench_echo_client", connections, cpus[-1], folder)
                    running.append(loads[name])
                rows += [compare(label, loads[mine], loads[other], args) for mine, other, label in wanted]
            finally:
                for it in reversed(running):
                    it.end()
    return rows


NODE = """
const body = process.argv[1];
const s = require('http').createServer((q, r) => { r.setHeader('Content-Type', 'text/plain'); r.end(body); });
s.listen(0, '127.0.0.1', () => console.log('listening on 127.0.0.1:' + s.address().port));
"""

NGINX = """
daemon off; master_process off; worker_processes 1; pid %(folder)s/nginx.pid; error_log /dev/null;
events { worker_connections 1024; }
http { access_log off; keepalive_requests 1000000000; default_type text/plain;
  client_body_temp_path %(folder)s/a; proxy_temp_path %(folder)s/b; fastcgi_temp_path %(folder)s/c;
  uwsgi_temp_path %(folder)s/d; scgi_temp_path %(folder)s/e;
  server { listen 127.0.0.1:%(port)d; location / { return 200 "%(body)s"; } } }
"""


class Nginx(Server):
    """It does not say its port: it is given one that was free."""

    def __init__(self, core, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.name = "nginx"
        path = folder / "nginx.conf"
        path.write_text(NGINX % {"folder": folder, "port": self.port, "body": HELLO.replace("\n", "\\n")})
        self.process = subprocess.Popen([*PINNED, str(core), "nginx", "-c", path], stderr=subprocess.DEVNULL)
        for _ in range(500):
            with socket.socket() as s:
                if s.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.01)
        raise RuntimeError("nginx does not listen")


def http(args):
    if not shutil.which("wrk"):
        print("# wrk was not found: HTTP is left out")
        return []
    core, rows, running = max(os.sched_getaffinity(0)), [], []
    makers = {
        "ours": lambda: Server("ours", [args.bin / "http_server"], core, {"LSC_BACKEND": "epoll"}),
        "ours, io_uring": lambda: Server("uring", [args.bin / "http_server"], core, {"LSC_BACKEND": "io_uring"}),
        "node": lambda: Server("node", ["node", "-e", NODE, HELLO], core),
        "nginx": lambda: Nginx(core, args.folder),
    }
    print("| HTTP, 50 connections, one core | ours | ratio, median (95 % of it) |\n|---|---|---|")
    try:
        loads = {}
        for name, make in makers.items():
            if name in ("node", "nginx") and not shutil.which(name):
                print(f"# {name} is left out: it was not found")
                continue
            running.append(make())
            loads[name] = HttpLoad(running[-1], 50, core)
        for mine in ("ours", "ours, io_uring"):
            rows += [compare(f"{mine} / {other}", loads[mine], loads[other], args) for other in ("node", "nginx")
                     if other in loads]
    finally:
        for server in running:
            server.end()
    return rows
