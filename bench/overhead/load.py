# SPDX-License-Identifier: MIT
"""The servers under load. Server and client share one core: across cores such pairs flip between two
speeds, and on one core whatever either of them loses shows."""
import mmap
import os
import pathlib
import socket
import struct
import sys
import time

from process import Failed, cpu_ns, end, spawn, wait_until

HERE = pathlib.Path(__file__).resolve().parent
CONNECTIONS = 50


class Slice:
    """A stretch of time under load: requests a second, and the server's CPU time for each (ns)."""

    def __init__(self, load, seconds):
        (self.begin_ns, requests, cpu) = load.sample()
        time.sleep(seconds)
        (self.end_ns, after, cpu_after) = load.sample()
        if after <= requests:
            raise Failed(f"{load.name}: no request was served")
        self.throughput = (after - requests) * 1e9 / (self.end_ns - self.begin_ns)
        self.cpu_per_request = (cpu_after - cpu) / (after - requests)


class Load:
    """A server with its client. Subclasses start both and count requests."""
    name = None
    about = None
    warm_up = 1.0  # seconds
    settle = 0.0  # seconds of watching before a slice that measures it, where its watchers need more than usual
    slice = None  # seconds of all slices, where it takes longer to see what watching costs

    def __init__(self, folder, cpu, bin_dir):
        self.folder, self.cpu, self.bin = folder, cpu, bin_dir
        self.processes = []
        self.start()
        time.sleep(self.warm_up)

    def run(self, *argv):
        with open(os.path.join(self.folder, "load.log"), "ab") as log:
            self.processes.append(spawn(argv, self.cpu, log))
        return self.processes[-1]

    def listens(self, path):
        wait_until(lambda: os.path.exists(path), f"start of {self.name}", self.server)

    def sample(self):
        """(time in ns, requests so far, CPU time of the server so far in ns)"""
        requests = self.requests()
        return time.monotonic_ns(), requests, cpu_ns(self.server.pid)

    def close(self):
        for process in reversed(self.processes):
            end(process)


class Redis(Load):
    options = ()

    def start(self):
        path = os.path.join(self.folder, "redis.sock")
        self.server = self.run("redis-server", "--port", "0", "--unixsocket", path, "--save", "", "--dir", self.folder)
        self.listens(path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.run("redis-benchmark", "-s", path, "-n", "2000000000", "-q", *self.options)

    def requests(self):
        self.socket.sendall(b"INFO stats\r\n")
        text = b""
        while b"total_net_input_bytes" not in text or not text.endswith(b"\r\n"):
            text += self.socket.recv(65536)
        return int(text.split(b"total_commands_processed:")[1].split(b"\r\n")[0])

    def close(self):
        self.socket.close()
        super().close()


class RedisGet(Redis):
    name, about = "redis-get", f"redis GET, {CONNECTIONS} clients"
    options = ("-t", "get", "-c", CONNECTIONS)


class RedisPipelined(Redis):
    name, about = "redis-pipeline", f"redis GET, {CONNECTIONS} clients, pipelines of 16"
    options = ("-t", "get", "-c", CONNECTIONS, "-P", "16")


class RedisSet(Redis):
    name, about = "redis-set", f"redis SET, {CONNECTIONS} clients"
    options = ("-t", "set", "-c", CONNECTIONS)


class RedisSingle(Redis):
    name, about = "redis-single", "redis GET, 1 client"
    options = ("-t", "get", "-c", "1")


class Nginx(Load):
    name, about = "nginx", f"nginx, an empty answer over HTTP, {CONNECTIONS} connections of wrk"
    conf = """daemon off; master_process off; pid {0}/nginx.pid; error_log {0}/error.log;
        events {{ worker_connections 256; }}
        http {{ access_log off; keepalive_requests 1000000000;
            server {{ listen 127.0.0.1:{1}; location / {{ return 200 "ok"; }} }}
            server {{ listen unix:{0}/status.sock; location / {{ stub_status; }} }} }}"""

    def start(self):
        conf = pathlib.Path(self.folder, "nginx.conf")
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        conf.write_text(self.conf.format(self.folder, port))
        self.server = self.run("nginx", "-p", self.folder, "-c", conf)
        path = os.path.join(self.folder, "status.sock")
        self.listens(path)
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.connect(path)
        self.run("wrk", "-t1", "-c", CONNECTIONS, "-d", "10000", f"http://127.0.0.1:{port}/")

    def requests(self):
        self.socket.sendall(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
        text = b""
        while b"Waiting:" not in text:
            text += self.socket.recv(65536)
        counts = text.split(b"handled requests")[1].split()
        return int(counts[2])

    def close(self):
        self.socket.close()
        super().close()


class Asyncio(Load):
    # a saturated loop: slices hold several of the precise mode's glances and pauses, 0.64 s together
    settle, slice = 2, 2.56
    name, about = "asyncio", f"asyncio echo, {CONNECTIONS} connections"
    warm_up = 3.0

    def start(self):
        path = os.path.join(self.folder, "echo.sock")
        self.server = self.run("/usr/bin/python3", HERE / "echo_server.py", path)
        self.listens(path)
        counted = os.path.join(self.folder, "answers")
        argv = (self.bin / "bench_echo_client", path, CONNECTIONS, counted)
        warm = self.run(*argv)  # a fresh server runs at a third of its speed in its first run
        time.sleep(1)
        end(warm)
        self.processes.remove(warm)
        client = self.run(*argv)
        wait_until(lambda: os.path.exists(counted), "start of the client", client)
        with open(counted, "rb") as file:
            self.count = mmap.mmap(file.fileno(), 8, prot=mmap.PROT_READ)

    def requests(self):
        return struct.unpack(f"{'<' if sys.byteorder == 'little' else '>'}Q", self.count[:8])[0]


LOADS = {load.name: load for load in (RedisGet, RedisPipelined, RedisSet, RedisSingle, Nginx, Asyncio)}
