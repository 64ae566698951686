"""The list of system calls, read as the kernel reads it and asked in a real child."""

import errno
import platform

import pytest

from coverslip.confined import calls
from coverslip.confined.messages import Task
from coverslip.progress import silent
from tests.confined import asking, bpf
from tests.confined.bpf import AARCH64, ALLOW, ARM, ERRNO, I386, X86_64
from tests.faults.kernel import kernel_forbids

seccomp = pytest.importorskip("pyseccomp")

MACHINES = {"X86_64": (X86_64, I386), "AARCH64": (AARCH64, ARM)}
"""Each with the 32-bit machine its kernel speaks too."""
LAST = 600
"""Past the last system call of any kernel."""
X32 = 0x40000000

# fmt: off
SOMETIMES = {
    "clone": ((0x3D0F00,), (0x7D0F00,)), "prlimit64": ((0, 7, 0, 1), (0, 0, 1), (0, 2, 1)),
    "sched_getaffinity": ((0,),), "prctl": ((15,),),
    "ioctl": ((0, 0x5401), (0, 0x5451)), "fcntl": ((0, 0), (0, 1), (0, 2), (0, 3), (0, 5), (0, 1030)),
    "mmap": ((0, 1, 0, 2), (0, 1, 3, 0x22), (0, 1, 5, 2)), "mprotect": ((0, 1, 0), (0, 1, 3)),
}
"""Calls that are allowed with these arguments…"""
NEVER = {
    "clone": ((17,), (0,), (0x3D0F00 | 0x10000000,), (0x3D0F00 | 0x40000000,), (0x3D0F00 & ~0x10000,), (0x13D0F0000,)),
    "prlimit64": ((1, 7, 0, 1), (0, 7, 1), (0, 9, 1), (1, 0, 1), (1, 2, 1), (1 << 32, 7, 0), (1 << 32, 2, 1)),
    "sched_getaffinity": ((1,),), "prctl": ((4,), (1,), (22,), (23,)), "ioctl": ((0, 0x5412), (0, 0x40049409)),
    "fcntl": ((0, 4), (0, 8), (0, 10), (0, 1024), (0, 1026), (0, 1031), (0, 1033)),
    "mmap": ((0, 1, 7, 2), (0, 1, 7, 0x22), (0, 1, 4, 0x22), (0, 1, 5, 0x21)), "mprotect": ((0, 1, 4), (0, 1, 7)),
}
"""… and refused with these: processes, namespaces, other processes' limits, code made of data, signals, leases."""
FORBIDDEN = (
    "kill", "tkill", "tgkill", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "pidfd_open", "pidfd_getfd",
    "pidfd_send_signal", "ptrace", "kcmp", "process_vm_readv", "process_vm_writev", "process_madvise",
    "process_mrelease", "move_pages", "migrate_pages", "sched_setaffinity", "sched_setscheduler",
    "sched_setparam", "sched_setattr", "setpriority", "ioprio_set", "setpgid", "setsid", "setrlimit", "fork",
    "vfork", "execve", "execveat", "socket", "socketpair", "connect", "bind", "listen", "accept", "accept4",
    "sendto", "sendmsg", "sendmmsg", "recvfrom", "recvmsg", "recvmmsg", "chmod", "fchmod", "fchmodat",
    "fchmodat2", "chown", "fchown", "lchown", "fchownat", "utime", "utimes", "futimesat", "utimensat", "setxattr",
    "lsetxattr", "fsetxattr", "setxattrat", "removexattr", "lremovexattr", "fremovexattr", "link", "linkat",
    "symlink", "symlinkat", "mknod", "mknodat", "umask", "chdir", "fchdir", "chroot", "pivot_root", "mount",
    "umount2", "unshare", "setns", "open_tree", "move_mount", "mount_setattr", "fsopen", "fsmount", "fsconfig",
    "open_by_handle_at", "name_to_handle_at", "inotify_init", "inotify_init1", "fanotify_init", "quotactl",
    "quotactl_fd", "memfd_create", "memfd_secret", "shmget", "shmat", "shmctl", "msgget", "msgsnd", "semget",
    "semop", "mq_open", "pipe", "pipe2", "splice", "vmsplice", "tee", "eventfd", "eventfd2", "epoll_create",
    "epoll_create1", "timer_create", "timerfd_create", "signalfd", "signalfd4", "userfaultfd", "io_uring_setup",
    "io_setup", "bpf", "perf_event_open", "add_key", "request_key", "keyctl", "personality", "seccomp",
    "landlock_create_ruleset", "setuid", "setresuid", "setgroups", "capset", "mlock", "mlockall", "fallocate",
    "shmdt", "pkey_mprotect", "remap_file_pages", "modify_ldt", "arch_prctl", "acct", "reboot",
)
# fmt: on
PRETENDED = ((0, 6), (0, 7), (0, 37), (0, 38))


@pytest.fixture(scope="module", params=MACHINES)
def machine(request):
    """A machine's name, its number and that of its 32-bit sister."""
    return request.param, *MACHINES[request.param]


def numbers(machine, names):
    """Where a machine has these calls; those it has none of are left out."""
    found = {name: seccomp.resolve_syscall(getattr(seccomp.Arch, machine), name) for name in names}
    return {name: number for name, number in found.items() if number >= 0}


def test_what_is_listed_is_allowed(machine):
    """On both machines, by their own numbers."""
    name, code, _ = machine
    program = calls.compiled(name)
    assert {bpf.answer(program, code, number) for number in numbers(name, calls.ALLOWED).values()} == {ALLOW}


def test_what_reaches_others_is_not_listed(machine):
    """Whatever the list becomes: other processes, files' modes and owners, memory outside ours, the kernel's doors."""
    name, code, _ = machine
    program = calls.compiled(name)
    refused = {each: bpf.answer(program, code, number) for each, number in numbers(name, FORBIDDEN).items()}
    assert {each for each, said in refused.items() if said != ERRNO + errno.EPERM} == set()


def test_what_is_not_listed_is_refused(machine):
    """Every other number there is or will be."""
    name, code, _ = machine
    program = calls.compiled(name)
    listed = numbers(name, (*calls.ALLOWED, *SOMETIMES)).values()
    absent = numbers(name, calls.ABSENT).values()
    for number in set(range(LAST)) - set(listed):
        wanted = errno.ENOSYS if number in absent else errno.EPERM
        assert bpf.answer(program, code, number) == ERRNO + wanted, number


def test_the_other_numbers_of_the_same_machine_are_refused(machine):
    """x32 and the 32-bit calls reach the same kernel under other numbers."""
    name, code, sister = machine
    program = calls.compiled(name)
    for number in range(LAST):
        assert bpf.answer(program, code, number | X32) == ERRNO + errno.EPERM
        assert bpf.answer(program, sister, number) == ERRNO + errno.EPERM


@pytest.mark.parametrize("call", SOMETIMES)
def test_arguments_decide(machine, call):
    """Threads but no processes, our own limits but nobody else's, memory or code but never both."""
    name, code, _ = machine
    program, (number,) = calls.compiled(name), numbers(name, [call]).values()
    for arguments in SOMETIMES[call]:
        assert bpf.answer(program, code, number, arguments) == ALLOW, arguments
    for arguments in NEVER[call]:
        assert bpf.answer(program, code, number, arguments) == ERRNO + errno.EPERM, arguments


def test_locks_are_pretended(machine):
    """SQLite asks for them; each would be kernel memory that nobody counts."""
    name, code, _ = machine
    program, (number,) = calls.compiled(name), numbers(name, ["fcntl"]).values()
    assert {bpf.answer(program, code, number, arguments) for arguments in PRETENDED} == {ERRNO}


def test_a_real_child_is_refused_them_all(zygote, tmp_path, limits):
    """Each number that is not listed, called in a child, comes back with the filter's answer."""
    (tmp_path / "source").touch()
    zygote.run(f"{asking.__name__}:ask", Task(tmp_path / "source", tmp_path, "", b""), limits, progress=silent)
    if "seccomp" not in zygote.layers:
        kernel_forbids("it lacks seccomp")
    answers = dict(map(str.split, (tmp_path / "answers").read_text().splitlines()))
    assert len(answers) > 300
    absent = {str(number) for number in numbers(MACHINE, calls.ABSENT).values()}
    assert {number for number, answer in answers.items() if answer == "ENOSYS"} == absent
    assert set(answers.values()) == {"EPERM", "ENOSYS"}


def test_a_machine_without_a_list_says_so(monkeypatch):
    """The layer does not hold there, and strict confinement refuses to work."""
    monkeypatch.setattr(platform, "machine", lambda: "riscv64")
    calls.program.cache_clear()
    try:
        with pytest.raises(OSError, match="no list of system calls"):
            calls.confine()
    finally:
        calls.program.cache_clear()


MACHINE = calls.MACHINES.get(platform.machine(), "X86_64")
