# SPDX-License-Identifier: MIT
"""A loop that is busy for a number of ms, and then rests for a number of ms, for ever. With turns of 10 ms and more each
is a stall; one that does not rest at all is saturated."""
import os
import select
import sys
import time

busy, rest = (float(arg) / 1000 for arg in sys.argv[1:])
epoll = select.epoll()
for _ in range(0 if rest else 20):
    epoll.poll(0.1)  # shows where it idles, and then
if not rest:
    epoll.register(os.eventfd(1), select.EPOLLIN)  # there is always something to do
while True:
    epoll.poll(rest or 1)
    until = time.monotonic() + busy
    while time.monotonic() < until:
        pass
