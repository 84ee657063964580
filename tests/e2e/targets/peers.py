# SPDX-License-Identifier: MIT
"""A loop (epoll, 20 ms) whose main thread waits for other processes. A line on stdin is one of
    read FD          one byte of a pipe
    poll FD          the same, in poll() first
    child SECONDS    a child's output       wait SECONDS   a child's end
    unix NAME SECONDS | tcp PORT SECONDS    an answer of the server there; @ begins an abstract name
and is answered with the turn by this program's own clock and the child's number."""
import json
import os
import select
import socket
import subprocess
import sys
import time


def read(fd):
    os.read(int(fd), 1)


def poll(fd):
    poller = select.poll()
    poller.register(int(fd), select.POLLIN)
    poller.poll()
    os.read(int(fd), 1)


def child(seconds):
    with subprocess.Popen(["sh", "-c", f"sleep {seconds}; echo x"], stdout=subprocess.PIPE) as process:
        os.read(process.stdout.fileno(), 1)
    return process.pid


def wait(seconds):
    pid = os.posix_spawn("/bin/sleep", ["sleep", seconds], {})
    os.waitpid(pid, 0)
    return pid


def ask(sock, address, seconds):
    with sock:
        sock.connect(address)
        sock.send(seconds.encode())
        sock.recv(1)


def unix(name, seconds):
    ask(socket.socket(socket.AF_UNIX), name.replace("@", "\0", 1), seconds)


def tcp(port, seconds):
    ask(socket.socket(), ("127.0.0.1", int(port)), seconds)


def main():
    epoll = select.epoll()
    epoll.register(0, select.EPOLLIN)
    print("running", flush=True)
    while True:
        if not epoll.poll(0.02):
            continue
        begin = time.monotonic_ns()
        line = os.read(0, 1000).split()
        if not line:
            return
        name, *arguments = (word.decode() for word in line)
        pid = globals()[name](*arguments)
        print(json.dumps({"ns": time.monotonic_ns() - begin, "pid": pid}), flush=True)


main()
