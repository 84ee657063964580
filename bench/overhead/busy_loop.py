# SPDX-License-Identifier: MIT
"""A loop that is busy for a number of ms, and then rests for a number of ms, for ever: each of its turns is a
stall. One that hardly rests keeps the precise mode armed."""
import select
import sys
import time

busy, rest = (float(arg) / 1000 for arg in sys.argv[1:])
epoll = select.epoll()
while True:
    epoll.poll(rest)
    until = time.monotonic() + busy
    while time.monotonic() < until:
        pass
