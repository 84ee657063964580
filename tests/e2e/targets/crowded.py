# SPDX-License-Identifier: MIT
"""As many descriptors as it may have, and loops that come and go: threads of three short turns each; "forks": children
that do nothing; "execs": one child that becomes another program again and again."""
import os
import resource
import select
import signal
import sys
import threading
import time

SPARE = 100
MOST = 40000

_, most = resource.getrlimit(resource.RLIMIT_NOFILE)
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
first = os.open("/dev/null", os.O_RDONLY)
files = min(most - SPARE, MOST)
for _ in range(files):
    os.dup(first)


def turn():
    with select.epoll() as epoll:
        for _ in range(3):
            epoll.poll(0.002)


def fork():
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        if os.fork() == 0:
            time.sleep(0.5)
            os._exit(0)
        time.sleep(0.005)


def execute():
    """A shell ends as itself: its descriptors, given on, are there in the next one."""
    for fd in range(3, first + files + 1):
        os.set_inheritable(fd, True)
    again = 'sleep 0.02; exec sh -c "$0" "$0"'
    os.execvp("sh", ["sh", "-c", again, again])


print("running", files, flush=True)
if "forks" in sys.argv:
    fork()
if "execs" in sys.argv:
    execute()
while True:
    threading.Thread(target=turn).start()
    time.sleep(0.01)
