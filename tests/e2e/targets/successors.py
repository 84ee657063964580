# SPDX-License-Identifier: MIT
"""A loop of a few short turns, whose process runs the next one's program, and so on. ARGUMENT: how many follow."""
import os
import select
import sys

left = int(sys.argv[1])
epoll = select.epoll()
for _ in range(2):
    epoll.poll(0.001)
if left:
    os.execv(sys.executable, [sys.executable, "-I", "-S", sys.argv[0], str(left - 1)])
