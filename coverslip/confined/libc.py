"""The few system calls Python has no name for."""

from __future__ import annotations

import ctypes
import os
import signal

_LIBC = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CLONE_NEWIPC = 0x08000000
SECCOMP_MODE_FILTER = 2
STEP = 8
"""Bytes of one step of a filter, `struct sock_filter`."""


class _Program(ctypes.Structure):
    """`struct sock_fprog` of seccomp(2)."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def prctl(option: int, value: int, more: object = 0) -> None:
    """Set a property of this process; raises `OSError`."""
    _checked(_LIBC.prctl(option, value, more, 0, 0))


def filter_calls(program: bytes) -> None:
    """Put a filter between this process and the kernel, for good; `program` as seccomp(2) has it. Raises `OSError`."""
    steps = ctypes.create_string_buffer(program, len(program))
    whole = _Program(len(program) // STEP, ctypes.addressof(steps))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(whole))


def die_with_parent() -> None:
    """Be killed when the thread that started us ends, so that nothing outlives its supervisor."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def unshare(flags: int) -> None:
    """Leave shared namespaces; raises `OSError` where that is not allowed."""
    _checked(_LIBC.unshare(flags))


def syscall(number: int, *arguments: object) -> int:
    """Call the kernel by number; raises `OSError`."""
    return _checked(_LIBC.syscall(number, *arguments))


def capset_none() -> None:
    """Give up every capability; raises `OSError`."""
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    _checked(_LIBC.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
