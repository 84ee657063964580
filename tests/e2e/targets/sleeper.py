# SPDX-License-Identifier: MIT
"""A loop that blocks all the time: it turns every 5 ms and sleeps in each turn, COUNT times for
SECONDS. A line on stdin is a longer sleep; how long it took by the loop's own clock is printed."""
import json
import select
import sys
import time

count, seconds = int(sys.argv[1]), float(sys.argv[2])
epoll = select.epoll()
epoll.register(sys.stdin, select.EPOLLIN)
print("running", flush=True)
while True:
    if epoll.poll(0.005):
        line = sys.stdin.readline()
        if not line:
            break
        begin = time.monotonic_ns()
        time.sleep(float(line))
        print(json.dumps({"ns": time.monotonic_ns() - begin}), flush=True)
        continue
    for _ in range(count):
        time.sleep(seconds)
