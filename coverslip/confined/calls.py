"""The system calls a child that parses may make; every other one fails with EPERM.

Found by tracing real work over every kind of slide (`python -m scripts.calls`), with what other C libraries, newer
Pythons and aarch64 call by another name. Nothing here takes another process, changes whom a file belongs to, holds
memory outside the address space, or makes code out of data.
"""

from __future__ import annotations

import errno
import platform
import tempfile
from functools import cache
from typing import Any, Final

from coverslip.confined import libc

MACHINES: Final = {"x86_64": "X86_64", "aarch64": "AARCH64"}
"""Where the list was written for; elsewhere arguments stand in other places or calls have other names."""

# fmt: off
ALLOWED: Final = (
    # reading and writing what is open
    "read", "readv", "pread64", "preadv", "preadv2", "write", "writev", "pwrite64", "pwritev", "pwritev2", "lseek",
    "copy_file_range", "sendfile", "ftruncate", "fsync", "fdatasync", "sync_file_range", "msync", "fadvise64",
    "readahead", "flock", "close", "dup", "dup2", "dup3",
    # opening, finding, naming: Landlock and the root say what
    "open", "openat", "creat", "access", "faccessat", "faccessat2", "stat", "lstat", "fstat", "newfstatat", "statx",
    "statfs", "fstatfs", "readlink", "readlinkat", "getdents", "getdents64", "getcwd", "mkdir", "mkdirat", "rmdir",
    "unlink", "unlinkat", "rename", "renameat", "renameat2",
    # our own memory
    "brk", "munmap", "mremap", "madvise", "mincore",
    # our own threads
    "futex", "futex_waitv", "set_robust_list", "rseq", "set_tid_address", "membarrier", "sched_yield", "gettid",
    "exit", "exit_group", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    # time, waiting; an alarm is a process's own
    "alarm", "clock_gettime", "clock_getres", "clock_nanosleep", "nanosleep", "gettimeofday", "time", "poll", "ppoll",
    "select", "pselect6", "setitimer",
    # who and where we are
    "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid", "uname", "sysinfo", "getrusage", "times",
    "getrandom",
)
# fmt: on

ABSENT: Final = ("clone3", "openat2", "close_range")
"""ENOSYS, so that libc takes the older call: these hide what they ask for behind a pointer, or are tried first."""

PROT_WRITE, PROT_EXEC, MAP_ANONYMOUS = 2, 4, 0x20
THREAD: Final = 0x3D0F00
"""The flags of a new thread in glibc: everything shared, no namespace, no signal to a parent."""
THREAD_IN_MUSL: Final = 0x7D0F00
PR_SET_NAME: Final = 15
LOWERED: Final = (0, 2)
"""RLIMIT_CPU and RLIMIT_DATA: what `probing` holds a child to until its slide is known, and lifts again by itself."""
TCGETS, FIOCLEX, FIONCLEX = 0x5401, 0x5451, 0x5450
F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_GETLK, F_SETLK, F_SETLKW = 0, 1, 2, 3, 5, 6, 7
F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_DUPFD_CLOEXEC = 36, 37, 38, 1030


@cache
def program() -> bytes | None:
    """The list as the kernel takes it; None on a machine it was not written for, and without libseccomp.

    Asked once, before there are children: libseccomp is looked for by starting programs.
    """
    machine = MACHINES.get(platform.machine())
    try:
        return compiled(machine) if machine else None
    except (ImportError, OSError, RuntimeError):
        return None


def compiled(machine: str) -> bytes:
    """The list for a machine of `MACHINES`: its own calls only, none of its 32-bit or x32 ones."""
    import pyseccomp

    rules = pyseccomp.SyscallFilter(pyseccomp.ERRNO(errno.EPERM))
    rules.set_attr(pyseccomp.Attr.ACT_BADARCH, pyseccomp.ERRNO(errno.EPERM))
    if (wanted := getattr(pyseccomp.Arch, machine)) != pyseccomp.system_arch():
        rules.add_arch(wanted)
        rules.remove_arch(pyseccomp.system_arch())
    for name in ALLOWED:
        _add(rules, pyseccomp.ALLOW, name)
    for name in ABSENT:
        _add(rules, pyseccomp.ERRNO(errno.ENOSYS), name)
    for name, arguments in _with_arguments(pyseccomp):
        _add(rules, pyseccomp.ALLOW, name, *arguments)
    for lock in (F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW):
        # Said to be had and not taken: each would be kernel memory, and nobody else has these files open.
        _add(rules, pyseccomp.ERRNO(0), "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, lock))
    with tempfile.TemporaryFile() as file:
        rules.export_bpf(file)
        file.seek(0)
        return file.read()


def confine() -> None:
    """Hold this process and every thread it starts to the list, for good; raises `OSError`."""
    made = program()
    if made is None:
        raise OSError(errno.EOPNOTSUPP, "no list of system calls for this machine, or no libseccomp")
    libc.filter_calls(made)


def _with_arguments(seccomp: Any) -> list[tuple[str, tuple[Any, ...]]]:  # noqa: ANN401  pyseccomp may be absent
    """Calls that are allowed for some arguments only. Numbers are compared whole, so nothing hides in upper halves."""
    arg, equal, masked = seccomp.Arg, seccomp.EQ, seccomp.MASKED_EQ
    known = [
        # threads, no processes, and none with namespaces of its own
        ("clone", (arg(0, equal, THREAD),)),
        ("clone", (arg(0, equal, THREAD_IN_MUSL),)),
        # our own limits and processors, to be read; two of the limits to be set, below the hard ones nobody raises
        ("prlimit64", (arg(0, equal, 0), arg(2, equal, 0))),
        *(("prlimit64", (arg(0, equal, 0), arg(1, equal, kind))) for kind in LOWERED),
        ("sched_getaffinity", (arg(0, equal, 0),)),
        ("prctl", (arg(0, equal, PR_SET_NAME),)),
        # memory is never code, and code is only what a file holds: libraries that are loaded late
        ("mmap", (arg(2, masked, PROT_EXEC, 0),)),
        ("mmap", (arg(2, masked, PROT_EXEC | PROT_WRITE, PROT_EXEC), arg(3, masked, MAP_ANONYMOUS, 0))),
        ("mprotect", (arg(2, masked, PROT_EXEC, 0),)),
    ]
    commands = (F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_GETLK, F_OFD_GETLK, F_DUPFD_CLOEXEC)
    known += [("fcntl", (arg(1, equal, command),)) for command in commands]
    known += [("ioctl", (arg(1, equal, request),)) for request in (TCGETS, FIOCLEX, FIONCLEX)]
    return known


def _add(rules: Any, action: int, name: str, *arguments: Any) -> None:  # noqa: ANN401  pyseccomp may be absent
    try:
        rules.add_rule(action, name, *arguments)
    except (OSError, ValueError):  # this machine has no such call, or this library does not know it
        return
