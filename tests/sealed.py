"""Runs Python code that the kernel kills if it or a library in it connects or sends to a socket: python sealed.py CODE.

Neither is a name looked up without that. The kernel's filter (seccomp) needs no privilege and binds every
thread and process begun after it. Exit 77 where it is not to be had.
"""

from __future__ import annotations

import ctypes
import platform
import struct
import sys

REFUSED = 77
#: the kernel's number of the architecture, and those of its calls connect, sendto, sendmsg and sendmmsg
CALLS = {"x86_64": (0xC000003E, (42, 44, 46, 307)), "aarch64": (0xC00000B7, (203, 206, 211, 269))}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
ALLOW, KILL = 0x7FFF0000, 0x80000000
ARCHITECTURE, CALL = 4, 0  #: where they stand in what the filter is shown
NO_NEW_PRIVILEGES, SECCOMP, FILTER = 38, 22, 2


def seal() -> bool:
    """From now on those calls end the process by SIGSYS; false where the kernel knows no such filter."""
    if sys.platform != "linux" or platform.machine() not in CALLS:
        return False
    architecture, calls = CALLS[platform.machine()]
    kill = len(calls) + 4
    steps = [(LOAD, 0, 0, ARCHITECTURE), (EQUAL, 0, kill - 3, architecture), (LOAD, 0, 0, CALL)]
    steps += [(EQUAL, kill - at - 1, 0, call) for at, call in enumerate(calls, len(steps))]
    steps += [(RETURN, 0, 0, ALLOW), (RETURN, 0, 0, KILL)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(struct.pack("HP", len(steps), ctypes.addressof(code)))
    prctl = ctypes.CDLL(None).prctl
    return not prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) and not prctl(SECCOMP, FILTER, program, 0, 0)


if __name__ == "__main__":
    if not seal():
        sys.exit(REFUSED)
    code = sys.argv.pop(1)
    exec(code)
