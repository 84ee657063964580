# SPDX-License-Identifier: MIT
"""Runs a program in a child and prints "child NUMBER". At SIGUSR1 that child is killed, reaped, and another one with
the same number runs the program anew: the kernel gives a number that is asked for, where it is free. Prints
"refused" where it does not.

  reborn.py PROGRAM ARGUMENT...
"""
import ctypes
import os
import signal
import sys

CLONE3 = 435
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long


class Arguments(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack",
                                                     "stack_size", "tls", "set_tid", "set_tid_size", "cgroup")]


def bear(number=0):
    wanted = (ctypes.c_int * 1)(number)
    how = Arguments(exit_signal=signal.SIGCHLD, set_tid=ctypes.addressof(wanted) if number else 0,
                    set_tid_size=1 if number else 0)
    child = libc.syscall(CLONE3, ctypes.byref(how), ctypes.sizeof(how))
    if child == 0:
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGUSR1})
        os.execv(sys.argv[1], sys.argv[1:])
    print(f"child {child}" if child > 0 else f"refused: {os.strerror(ctypes.get_errno())}", flush=True)
    return child


def main():
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    child = bear()
    while child > 0:
        signal.sigwait({signal.SIGUSR1})
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        child = bear(child)


main()
