# SPDX-License-Identifier: MIT
"""A loop that is busy for a number of ms, and then rests for a number of ms, for ever. With turns of 10 ms and more each
is a stall; one that does not rest is saturated, but for a moment every 300 turns."""
import os
import select
import sys
import time

busy, rest = (float(arg) / 1000 for arg in sys.argv[1:])
epoll = select.epoll()
something = os.eventfd(1)
turns = 0
while True:
    if not rest and turns % 300 == 0:  # shows where it idles
        epoll.poll(0.002)
        epoll.register(something, select.EPOLLIN)
    epoll.poll(rest or 1)
    if not rest and turns % 300 == 299:
        epoll.unregister(something)
    turns += 1
    until = time.monotonic() + busy
    while time.monotonic() < until:
        pass
