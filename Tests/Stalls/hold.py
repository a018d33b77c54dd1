#!/usr/bin/env python3
"""Holds the threads of a process as a debugger does: hold.py PID SECONDS

In turns all of them, and each alone while the others go on; some 300 ms at a time. Exits 1 where nothing could be held.
"""
import ctypes
import os
import sys
import time

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
WALL = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def hold(threads, seconds):
    held = [tid for tid in threads if libc.ptrace(SEIZE, tid, None, None) == 0]
    for tid in held:
        libc.ptrace(INTERRUPT, tid, None, None)
        os.waitpid(tid, WALL)
    time.sleep(seconds)
    for tid in held:
        libc.ptrace(DETACH, tid, None, None)
    return len(held)


def main():
    pid, end, count = int(sys.argv[1]), time.monotonic() + float(sys.argv[2]), 0
    while time.monotonic() < end:
        try:
            threads = [int(name) for name in os.listdir(f"/proc/{pid}/task")]
            count += hold(threads, 0.3)
            time.sleep(0.3)
            for tid in threads:
                count += hold([tid], 0.3)
                time.sleep(0.1)
                if time.monotonic() >= end:
                    break
        except (FileNotFoundError, ChildProcessError):
            continue
    sys.exit(0 if count else 1)


main()
