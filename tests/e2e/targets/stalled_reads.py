# SPDX-License-Identifier: MIT
"""An asyncio loop in whose memory there is a page of a file that only this process can read, everybody else who tries
is kept waiting for ever (stalled_file.c). A line on stdin says where that page is met by who unwinds the stack, and for
how many seconds to sleep there: `frame`, the frame pointer of code without unwind information points to it;
`interpreter`, the name of the running function lies on it. `code`, a function of the file sleeps. `nowhere`: an ordinary
sleep. Answered as blocker.py does it.

    stalled_reads.py FILE [code]

code: the file is a library, with stalled_code_sleep()."""
import asyncio
import ctypes
import json
import mmap
import os
import sys
import time

PAGE = 4096
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]


def map_memory(protection, flags, fd):
    address = libc.mmap(None, PAGE, protection, flags, fd, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "mmap")
    return address


file = open(sys.argv[1], "rb")  # stays open
stalled = map_memory(mmap.PROT_READ, mmap.MAP_PRIVATE, file.fileno())
library = ctypes.CDLL(sys.argv[1]) if sys.argv[2:] == ["code"] else None

# push rbp; mov rbp, rdi; mov edi, esi; call rdx; pop rbp; ret
CALL = bytes.fromhex("55 4889fd 89f7 ffd2 5d c3")
code = map_memory(mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1)
ctypes.memmove(code, CALL, len(CALL))
call = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_uint, ctypes.c_void_p)(code)
usleep = ctypes.cast(libc.usleep, ctypes.c_void_p)


def renamed(seconds):
    time.sleep(seconds)


QUALIFIED_NAME = 128  # of a code object, in CPython 3.11 to 3.14
held = renamed.__qualname__, renamed.__code__.co_qualname
word = ctypes.c_uint64.from_address(id(renamed.__code__) + QUALIFIED_NAME)
if word.value != id(held[1]):
    raise SystemExit("a code object has its name elsewhere")
word.value = stalled + 64

BLOCKS = {
    "frame": lambda seconds: call(stalled + 64, int(seconds * 1e6), usleep),
    "interpreter": renamed,
    "code": lambda seconds: library.stalled_code_sleep(int(seconds * 1e6)),
    "nowhere": time.sleep,
}


async def main():
    loop = asyncio.get_running_loop()

    def obey():
        line = sys.stdin.readline().split()
        if not line:
            os._exit(0)  # what is renamed is not to be taken down
        begin = time.monotonic_ns()
        BLOCKS[line[0]](float(line[1]))
        end = time.monotonic_ns()
        print(json.dumps({"ns": end - begin, "end_ns": end}), flush=True)

    loop.add_reader(sys.stdin.fileno(), obey)
    print("running", flush=True)
    while True:
        await asyncio.sleep(0.02)


asyncio.run(main())
