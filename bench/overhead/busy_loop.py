# SPDX-License-Identifier: MIT
"""A loop that is busy for 20 ms four times a second: watching it keeps the precise mode armed."""
import select
import time

epoll = select.epoll()
while True:
    epoll.poll(0.25)
    until = time.monotonic() + 0.02
    while time.monotonic() < until:
        pass
