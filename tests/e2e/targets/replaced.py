# SPDX-License-Identifier: MIT
"""A loop that turns for a while and is then replaced by another program, whose first turn is long. Prints
how often each turned, and how long that turn took, by its own clock. ARGUMENTS: whether the "main" thread
or an "other" one calls exec, how many turns, the seconds of the long one."""
import json
import os
import select
import sys
import threading
import time

who, turns, seconds, *second = sys.argv[1:]
epoll = select.epoll()


def turn(count):
    for _ in range(count):
        epoll.poll(0.003)


def replace():
    os.execv(sys.executable, [sys.executable, *sys.argv, "second"])


if second:
    turn(1)
    begin = time.monotonic_ns()
    time.sleep(float(seconds))
    print(json.dumps({"ns": time.monotonic_ns() - begin}), flush=True)
    turn(int(turns))
    sys.exit()
print("running", flush=True)
sys.stdin.readline()
turn(int(turns))
if who == "main":
    replace()
threading.Thread(target=replace).start()
epoll.poll(-1)
