# SPDX-License-Identifier: Apache-2.0
"""Makes this process and its children see a kernel before 6.13, where guards of stacks are mappings of their own without WEFT_GUARDS."""
import ctypes
import struct

MADVISE, PROCESS_MADVISE = 28, 440
GUARD_INSTALL = 102
EINVAL = 22
PR_SET_NO_NEW_PRIVS, PR_SET_SECCOMP, SECCOMP_MODE_FILTER = 38, 22, 2
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06
RET_ERRNO, RET_ALLOW = 0x00050000, 0x7FFF0000


class Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_char_p)]


def argument(number):
    """Where the low half of a system call's argument lies in struct seccomp_data."""
    return 16 + 8 * number


def without_guards_by_advice():
    steps = [
        (LOAD, 0, 0, 0),                          # its number
        (EQUAL, 0, 2, MADVISE),
        (LOAD, 0, 0, argument(2)),
        (EQUAL, 3, 4, GUARD_INSTALL),
        (EQUAL, 0, 3, PROCESS_MADVISE),
        (LOAD, 0, 0, argument(3)),
        (EQUAL, 0, 1, GUARD_INSTALL),
        (RETURN, 0, 0, RET_ERRNO | EINVAL),
        (RETURN, 0, 0, RET_ALLOW),
    ]
    code = b"".join(struct.pack("<HBBI", *step) for step in steps)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 or libc.prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER,
                                                                      ctypes.byref(Program(len(steps), code)), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
