# SPDX-License-Identifier: MIT
"""Says that it has rings of the loop library, which it made up itself. Arguments: what is wrong with them, how many,
a seed. It prints "running"; at each line of stdin there is one more, which is not sealed. The end of stdin ends it.

several   sound ones, all of one thread
burst     one, in which at a line of stdin so many ticks of 11 ms appear that are just over
wild      bits of them change at random, as fast as it can, and the head with them"""
import ctypes
import fcntl
import mmap
import os
import random
import struct
import sys
import threading
import time

KIND, COUNT, SEED = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
HEADER, RECORD, BITS = 4096, 32, 10  # loopscope/wire.h
SIZE = HEADER + (RECORD << BITS)
HEAD = 2048
RECORD_KINDS = 18
TICK_BEGIN, TICK_END, TICK_NS = 1, 2, 11_000_000
rng = random.Random(SEED)
word = ctypes.c_uint32()  # the "current task"


def record(index):
    kind = rng.randrange(RECORD_KINDS)
    return struct.pack("<QQBBHIQ", index + 1, time.monotonic_ns(), kind, rng.randrange(16), rng.choice((0, 1, 0x8000)),
                       rng.randrange(1, 5000), rng.choice((rng.getrandbits(64), rng.randrange(1, 5000), 1 << 32)))


def ring():
    fd = os.memfd_create("loopscope-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.ftruncate(fd, SIZE)
    header = struct.pack("<QIIIIIIIIQQQ32s32s", 0x31474e4952435354, 1, HEADER, RECORD, BITS, os.getpid(),
                         threading.get_native_id(), 0, HEAD + 8, ctypes.addressof(word), 0, time.monotonic_ns(),
                         b"</script>\x1b[2J", b"\xff" * 31)
    os.pwrite(fd, header, 0)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
    return fd


def go_wild(fd):
    content = mmap.mmap(fd, SIZE)
    head = 0
    while True:
        for _ in range(rng.randrange(1, 2000)):
            at = HEADER + (head % (1 << BITS)) * RECORD
            content[at:at + RECORD] = record(head)
            head += 1
            content[HEAD:HEAD + 8] = struct.pack("<Q", head)
            if rng.randrange(4) == 0:
                content[rng.randrange(HEADER, SIZE)] ^= 1 << rng.randrange(8)
        if rng.randrange(200) == 0:
            content[rng.randrange(SIZE)] ^= 1 << rng.randrange(8)
        time.sleep(0)


def put_ticks(fd):
    begin = time.monotonic_ns() - COUNT * TICK_NS
    for index in range(2 * COUNT):
        kind = TICK_END if index % 2 else TICK_BEGIN
        os.pwrite(fd, struct.pack("<QQBBHIQ", index + 1, begin + (index + 1) // 2 * TICK_NS, kind, 0, 0, 0, 1),
                  HEADER + index * RECORD)
    os.pwrite(fd, struct.pack("<Q", 2 * COUNT), HEAD)
    print("put", flush=True)


place = os.open("/dev/null", os.O_RDONLY)  # ahead of all rings, so that it is looked at
fds = [ring() for _ in range(1 if KIND == "burst" else COUNT)]
if KIND == "wild":
    for number in fds:
        threading.Thread(target=go_wild, args=(number,), daemon=True).start()
print("running", flush=True)
if KIND == "burst" and sys.stdin.readline():
    put_ticks(*fds)
for _ in sys.stdin:
    unsealed = os.memfd_create("loopscope-ring", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.dup2(unsealed, place)
    os.close(unsealed)
