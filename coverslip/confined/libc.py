"""The few system calls Python has no name for."""

from __future__ import annotations

import ctypes
import errno
import os
import signal
from pathlib import Path

_LIBC = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000
CLONE_NEWIPC = 0x08000000
SECCOMP_MODE_FILTER = 2
STEP = 8
"""Bytes of one step of a filter, `struct sock_filter`."""
_CAPABILITIES = 0x20080522
"""`_LINUX_CAPABILITY_VERSION_3`."""


class _Program(ctypes.Structure):
    """`struct sock_fprog` of seccomp(2)."""

    _fields_ = (("length", ctypes.c_ushort), ("steps", ctypes.c_void_p))


def prctl(option: int, value: int, more: object = 0) -> None:
    """Set a property of this process; raises `OSError`."""
    _checked(_LIBC.prctl(option, value, more, 0, 0))


def keep_to_itself() -> None:
    """Dump no core of this process, and let nobody of its user read its memory, files or environment."""
    prctl(PR_SET_DUMPABLE, 0)


def filter_calls(program: bytes) -> None:
    """Put a filter between this process and the kernel, for good; `program` as seccomp(2) has it. Raises `OSError`."""
    steps = ctypes.create_string_buffer(program, len(program))
    whole = _Program(len(program) // STEP, ctypes.addressof(steps))
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(whole))


def die_with_parent(parent: int) -> None:
    """Be killed when the thread that started us ends, so that nothing outlives its supervisor.

    `parent` is the process that did: where it ended before we could say so, nobody would kill us, and we end here.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)


def leave(flags: int) -> None:
    """Leave shared namespaces, by way of a user namespace of our own where that takes rights we have not.

    Raises `OSError` where neither is allowed.
    """
    try:
        unshare(flags)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
        us, ours = os.geteuid(), os.getegid()
        unshare(flags | CLONE_NEWUSER)
        _map_ids(us, ours)


def unshare(flags: int) -> None:
    """unshare(2); raises `OSError`."""
    _checked(_LIBC.unshare(flags))


def _map_ids(user: int, group: int) -> None:
    """Be there who we were, so that files we make belong to somebody (user_namespaces(7))."""
    for name, content in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        handle = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(handle, content.encode())
        finally:
            os.close(handle)


def mount(source: str | None, target: str, kind: str | None, flags: int, options: str | None = None) -> None:
    """mount(2); raises `OSError`."""
    source_, target_, kind_, options_ = (word and os.fsencode(word) for word in (source, target, kind, options))
    _checked(_LIBC.mount(source_, target_, kind_, ctypes.c_ulong(flags), options_))


def unmount(target: str, flags: int) -> None:
    """umount2(2); raises `OSError`."""
    _checked(_LIBC.umount2(os.fsencode(target), flags))


def syscall(number: int, *arguments: object) -> int:
    """Call the kernel by number; raises `OSError`."""
    return _checked(_LIBC.syscall(number, *arguments))


def in_own_users() -> bool:
    """Whether we are in a user namespace with nobody in it but us."""
    mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return len(mapped) == 3 and mapped[2] == "1"


def kernel() -> tuple[int, ...]:
    """Its version, as two numbers."""
    return tuple(int(part) for part in os.uname().release.split("-")[0].split(".")[:2])


def capset_none() -> None:
    """Give up every capability; raises `OSError`."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITIES, 0)
    _checked(_LIBC.capset(ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)())))


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(result)
