#!/usr/bin/env python3
"""Mounts a FUSE file system that answers the handshake and then nothing: hung-mount.py DIR

Whoever asks it anything (stat, statvfs, open) sleeps until this process ends, as on a dead network mount. Root only; no
library is needed.
"""
import ctypes
import os
import struct
import sys
import time

INIT = 26


def main():
    target = sys.argv[1]
    device = os.open("/dev/fuse", os.O_RDWR)
    libc = ctypes.CDLL(None, use_errno=True)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    if libc.mount(b"hung", target.encode(), b"fuse", 0, options.encode()) != 0:
        sys.exit(f"cannot mount: {os.strerror(ctypes.get_errno())}")
    request = os.read(device, 1 << 17)
    _, opcode, unique = struct.unpack_from("<IIQ", request)
    if opcode != INIT:
        sys.exit(f"expected the handshake, got {opcode}")
    # Version 7.31, the least that is asked for; 64 bytes in all.
    body = struct.pack("<IIIIHHII", 7, 31, 0, 0, 1, 1, 4096, 1) + bytes(36)
    os.write(device, struct.pack("<IiQ", 16 + len(body), 0, unique) + body)
    while True:
        # Read, so that the queue is seen to be served, and never answered.
        os.read(device, 1 << 17)
        time.sleep(0)


if __name__ == "__main__":
    main()
