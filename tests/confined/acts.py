"""What a hostile parser would try, act by act; runs inside a confined child.

System calls are made by number, past what Python and libc would check beforehand. Machine code and numbers are made
ready when the module is loaded, before the walls stand.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import platform
import resource
import signal
import socket
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coverslip.beside import elsewhere
from coverslip.confined import libc
from coverslip.confined.messages import Declined, Outcome, Task
from coverslip.progress import Progress

try:
    import pyseccomp
except (ImportError, RuntimeError):
    pyseccomp = None

# fmt: off
NAMES: Final = (
    "capset", "chmod", "chown", "clone", "clone3", "epoll_create1", "eventfd2", "execve", "execveat", "fallocate",
    "fanotify_init", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchownat", "fsetxattr", "inotify_init1",
    "ioprio_set", "kcmp", "kill", "landlock_create_ruleset", "lchown", "lsetxattr", "madvise", "memfd_create",
    "memfd_secret", "migrate_pages", "mmap", "mount", "move_pages", "mprotect", "mq_open", "msgget",
    "name_to_handle_at", "open_by_handle_at", "perf_event_open", "personality", "pidfd_getfd", "pidfd_open",
    "pipe2", "pkey_mprotect", "prctl", "prlimit64", "process_madvise", "process_mrelease", "process_vm_readv",
    "ptrace", "quotactl", "rt_sigqueueinfo", "rt_tgsigqueueinfo", "sched_setaffinity", "sched_setattr",
    "sched_setscheduler", "semget", "setpgid", "setpriority", "setresuid", "setrlimit", "setsid", "setxattr",
    "shmat", "shmget", "signalfd4", "splice", "symlinkat", "tee", "tgkill", "timer_create", "timerfd_create",
    "tkill", "umount2", "unshare", "utime", "utimensat", "utimes", "futimesat", "userfaultfd", "vmsplice",
    "io_uring_setup", "bpf", "keyctl", "add_key", "setns", "fcntl", "ioctl",
)
# fmt: on
NUMBERS: Final = (
    {name: pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in NAMES} if pyseccomp else {}
)  # fmt: skip

SIGKILL, AT_FDCWD = signal.SIGKILL, -100
READ, WRITE, EXECUTE = 1, 2, 4
PRIVATE, SHARED, ANONYMOUS = 2, 1, 0x20
THREAD: Final = 0x3D0F00
NEW_USER: Final = 0x10000000


@dataclass(frozen=True, slots=True)
class Around:
    """What lies and runs around the child."""

    task: Task
    port: int
    """Somebody listens there."""
    pid: int
    """A process of the same user."""

    @property
    def neighbour(self) -> Path:
        """Another slide's original."""
        return self.task.source.parent / "neighbour"

    @property
    def ours(self) -> Path:
        """A file of our own."""
        path = self.task.out_dir / "ours"
        path.write_bytes(b"x" * mmap.PAGESIZE)
        return path

    @property
    def parent(self) -> int:
        """The process we were forked from."""
        return os.getppid()


def called(name: str, *arguments: object) -> int:
    """One system call; a process it makes leaves at once."""
    us = os.getpid()
    result = libc.syscall(NUMBERS[name], *arguments)
    if os.getpid() != us:
        os._exit(0)
    return result


def none(number: int = 0) -> ctypes.Array[ctypes.c_uint64]:
    """A limit, soft and hard."""
    return (ctypes.c_uint64 * 2)(number, number)


def us() -> tuple[int, int]:
    """Who we are."""
    return os.getuid(), os.getgid()


def path(name: Path) -> bytes:
    """A path as the kernel takes it."""
    return os.fsencode(name)


# fmt: off
ACTS: Final[dict[str, Callable[[Around], object]]] = {
    # network and programs
    "connect": lambda to: socket.create_connection(("127.0.0.1", to.port), 2).close(),
    "socket": lambda to: socket.socket(socket.AF_UNIX).close(),
    "socket pair": lambda to: socket.socketpair(),
    "exec": lambda to: subprocess.run(["/bin/true"], check=True),
    "execve": lambda to: os.execv("/bin/true", ["/bin/true"]),
    "execveat": lambda to: called("execveat", AT_FDCWD, b"/bin/true", None, None, 0),
    # processes of our own
    "fork": lambda to: fork(),
    "fork bomb": lambda to: [fork() for _ in range(1000)],
    "fork by clone": lambda to: called("clone", signal.SIGCHLD, 0, 0, 0, 0),
    "fork by clone3": lambda to: called("clone3", (ctypes.c_uint64 * 8)(0, 0, 0, 0, signal.SIGCHLD), 64),
    "thread in a namespace of its own": lambda to: called("clone", THREAD | NEW_USER, 0, 0, 0, 0),
    # other processes
    "kill parent": lambda to: os.kill(to.parent, SIGKILL),
    "kill neighbour": lambda to: os.kill(to.pid, SIGKILL),
    "kill neighbour's thread": lambda to: called("tkill", to.pid, SIGKILL),
    "kill neighbour's thread by group": lambda to: called("tgkill", to.pid, to.pid, SIGKILL),
    "queue a signal": lambda to: called("rt_sigqueueinfo", to.pid, SIGKILL, (ctypes.c_int * 32)(SIGKILL, 0, -1)),
    "queue a thread's signal":
        lambda to: called("rt_tgsigqueueinfo", to.pid, to.pid, SIGKILL, (ctypes.c_int * 32)(SIGKILL, 0, -1)),
    "take neighbour by handle": lambda to: os.pidfd_open(to.pid),
    "take parent by handle": lambda to: os.pidfd_open(to.parent),
    "take parent's files": lambda to: called("pidfd_getfd", 3, 0, 0),
    "kill by signals from a file": lambda to: own(to.pid),
    "neighbour's CPU time": lambda to: called("prlimit64", to.pid, resource.RLIMIT_CPU, none(), None),
    "parent's CPU time": lambda to: called("prlimit64", to.parent, resource.RLIMIT_CPU, none(), None),
    "neighbour's open files": lambda to: called("prlimit64", to.pid, resource.RLIMIT_NOFILE, none(), None),
    "read neighbour's limits": lambda to: resource.prlimit(to.pid, resource.RLIMIT_CPU),
    "neighbour's processors": lambda to: os.sched_setaffinity(to.pid, {0}),
    "parent's processors": lambda to: os.sched_setaffinity(to.parent, {0}),
    "neighbour's priority": lambda to: os.setpriority(os.PRIO_PROCESS, to.pid, 19),
    "priority of all of the user": lambda to: os.setpriority(os.PRIO_USER, 0, 19),
    "neighbour's scheduler": lambda to: os.sched_setscheduler(to.pid, os.SCHED_IDLE, os.sched_param(0)),
    "neighbour's disk priority": lambda to: called("ioprio_set", 1, to.pid, 3 << 13),
    "compare with neighbour": lambda to: called("kcmp", to.pid, to.parent, 0, 0, 0),
    "move neighbour's pages": lambda to: called("move_pages", to.pid, 0, None, None, None, 0),
    "migrate neighbour's pages": lambda to: called("migrate_pages", to.pid, 0, None, None),
    "reap neighbour": lambda to: called("process_mrelease", 3, 0),
    "advise neighbour": lambda to: called("process_madvise", 3, None, 0, 0, 0),
    "neighbour's group": lambda to: os.setpgid(to.pid, 0),
    "read parent memory": lambda to: Path(f"/proc/{to.parent}/mem").open("rb").close(),
    "read parent's memory by call": lambda to: called("process_vm_readv", to.parent, None, 0, None, 0, 0),
    "trace parent": lambda to: called("ptrace", 16, to.parent, 0, 0),
    "seize parent": lambda to: called("ptrace", 0x4206, to.parent, 0, 0),
    "read init's environ": lambda to: Path("/proc/1/environ").read_bytes(),
    "read parent environ": lambda to: Path(f"/proc/{to.parent}/environ").read_bytes(),
    "read parent's maps": lambda to: Path(f"/proc/{to.parent}/maps").read_bytes(),
    "list parent's files": lambda to: list(Path(f"/proc/{to.parent}/fd").iterdir()),
    "read our memory by name": lambda to: Path("/proc/self/mem").open("rb").close(),
    "read neighbour's command": lambda to: Path(f"/proc/{to.pid}/cmdline").read_bytes(),
    # other files: what is in them
    "read neighbour": lambda to: to.neighbour.read_bytes(),
    "list phi": lambda to: list(to.neighbour.parent.iterdir()),
    "write neighbour": lambda to: to.neighbour.with_name("made").write_bytes(b"x"),
    "write source": lambda to: to.task.source.open("r+b").close(),
    "cut source": lambda to: os.truncate(to.task.source, 0),
    "write program": lambda to: Path(__file__).with_name("made").write_bytes(b"x"),
    "read key": lambda to: (to.neighbour.parent.parent / "secrets" / "key").read_bytes(),
    "read through a link": lambda to: linked(to).read_bytes(),
    "hard link": lambda to: os.link(to.neighbour, to.task.out_dir / "hard"),
    "move neighbour": lambda to: to.neighbour.rename(to.task.out_dir / "moved"),
    "move source": lambda to: to.task.source.rename(to.task.out_dir / "moved"),
    "delete source": lambda to: to.task.source.unlink(),
    "open by handle": lambda to: called("open_by_handle_at", AT_FDCWD, None, 0),
    "name by handle": lambda to: called("name_to_handle_at", AT_FDCWD, path(to.task.source), None, None, 0),
    # other files: what is said of them
    "source's mode": lambda to: to.task.source.chmod(0o777),
    "neighbour's mode": lambda to: to.neighbour.chmod(0o777),
    "source's mode by handle": lambda to: with_open(to.task.source, lambda fd: os.fchmod(fd, 0o777)),
    "source's mode by fchmodat": lambda to: called("fchmodat", AT_FDCWD, path(to.task.source), 0o777),
    "source's mode by fchmodat2": lambda to: called("fchmodat2", AT_FDCWD, path(to.task.source), 0o777, 0),
    "our own file's mode": lambda to: to.ours.chmod(0o4777),
    "source's owner": lambda to: os.chown(to.task.source, *us()),
    "source's owner, link": lambda to: os.lchown(to.task.source, *us()),
    "source's owner by handle": lambda to: with_open(to.task.source, lambda fd: os.fchown(fd, *us())),
    "source's owner by fchownat": lambda to: called("fchownat", AT_FDCWD, path(to.task.source), *us(), 0),
    "source's times": lambda to: os.utime(to.task.source, (0, 0)),
    "neighbour's times": lambda to: os.utime(to.neighbour, (0, 0)),
    "source's times by handle": lambda to: with_open(to.task.source, lambda fd: os.utime(fd, (0, 0))),
    "source's times by utime": lambda to: called("utime", path(to.task.source), None),
    "source's times by utimes": lambda to: called("utimes", path(to.task.source), None),
    "source's times by futimesat": lambda to: called("futimesat", AT_FDCWD, path(to.task.source), None),
    "source's attributes": lambda to: os.setxattr(to.task.source, "user.x", b"x"),
    "source's attributes by handle": lambda to: with_open(to.task.source, lambda fd: os.setxattr(fd, "user.x", b"x")),
    "source's flags": lambda to: with_open(to.task.source, lambda fd: called("ioctl", fd, 0x40086602, none())),
    "quota": lambda to: called("quotactl", 0, None, 0, None),
    "link to a neighbour": lambda to: linked(to),
    "watch files": lambda to: called("inotify_init1", 0),
    "watch the file system": lambda to: called("fanotify_init", 0, 0),
    "size of a neighbour": lambda to: to.neighbour.stat(),
    "size of a key": lambda to: (to.neighbour.parent.parent / "secrets" / "key").stat(),
    "whether a user exists": lambda to: Path("/etc/passwd").stat(),
    "where a link leads": lambda to: Path("/proc/self").readlink(),
    "what runs here": lambda to: Path(f"/proc/{to.pid}").stat(),
    "hold a neighbour": lambda to: os.open(to.neighbour, os.O_PATH),
    "make a folder at the root": lambda to: Path("/made").mkdir(),
    # rights and namespaces
    "mount": lambda to: called("mount", b"none", path(to.task.out_dir), b"tmpfs", 0, None),
    "unmount": lambda to: called("umount2", b"/", 2),
    "new user namespace": lambda to: called("unshare", NEW_USER),
    "enter a namespace": lambda to: called("setns", 3, 0),
    "change root": lambda to: os.chroot(to.task.out_dir),
    "make a device": lambda to: os.mknod(to.task.out_dir / "device", 0o60600, os.makedev(8, 0)),
    "be somebody else": lambda to: called("setresuid", os.getuid(), os.getuid(), os.getuid()),
    "take capabilities": lambda to: called("capset", (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()),
    "leave the session": lambda to: os.setsid(),
    "outlive the parent": lambda to: libc.prctl(libc.PR_SET_PDEATHSIG, 0),
    "another personality": lambda to: called("personality", 0x0400000),
    "raise a limit": lambda to: resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2),
    "raise a limit by call": lambda to: called("setrlimit", resource.RLIMIT_AS, none(1 << 60)),
    "allow a core dump": lambda to: resource.setrlimit(resource.RLIMIT_CORE, (1 << 30,) * 2),
    "load a program into the kernel": lambda to: called("bpf", 0, None, 0),
    "count the kernel's events": lambda to: called("perf_event_open", None, 0, -1, -1, 0),
    "work behind the filter": lambda to: called("io_uring_setup", 1, (ctypes.c_uint32 * 30)()),
    "stop the kernel on a fault": lambda to: called("userfaultfd", 0),
    "keep a key in the kernel": lambda to: called("add_key", b"user", b"x", b"x", 1, -1),
    "read the kernel's keys": lambda to: called("keyctl", 0, -3, 0),
    "type into the terminal": lambda to: called("ioctl", 0, 0x5412, b"x"),
    # memory outside the address space
    "shared memory": lambda to: called("shmget", 0, 1 << 20, 0o1600),
    "message queue": lambda to: called("msgget", 0, 0o1600),
    "semaphores": lambda to: called("semget", 0, 1, 0o1600),
    "POSIX message queue": lambda to: called("mq_open", b"x", 0o102, 0o600, None),
    "file in memory": lambda to: os.memfd_create("x"),
    "secret memory": lambda to: called("memfd_secret", 0),
    "pipe": lambda to: os.pipe(),
    "larger pipe": lambda to: called("fcntl", 3, 1031, 1 << 20),
    "pages into a pipe": lambda to: called("vmsplice", 3, None, 0, 0),
    "splice": lambda to: called("splice", 3, None, 3, None, 0, 0),
    "tee": lambda to: called("tee", 3, 3, 0, 0),
    "timer": lambda to: called("timer_create", 0, None, None),
    "timer in a file": lambda to: called("timerfd_create", 0, 0),
    "events in a file": lambda to: called("eventfd2", 0, 0),
    "signals in a file": lambda to: called("signalfd4", -1, None, 8, 0),
    "poll for ever": lambda to: called("epoll_create1", 0),
    # room on the disk
    "write 10 GB": lambda to: write_at(to.task.out_dir / "great", 10 << 30),
    "allocate 10 GB": lambda to: allocate(to.task.out_dir / "allocated", 10 << 30),
    "allocate past the end": lambda to: with_written(to.ours, lambda fd: called("fallocate", fd, 1, 0, 10 << 30)),
    # code
    "code in our memory": lambda to: mmap.mmap(-1, mmap.PAGESIZE, prot=READ | WRITE | EXECUTE),
    "memory into code": lambda to: called("mprotect", address(to), mmap.PAGESIZE, READ | EXECUTE),
    "memory into code by key": lambda to: called("pkey_mprotect", address(to), mmap.PAGESIZE, READ | EXECUTE, -1),
    "code in a file we can write": lambda to: with_written(to.ours, lambda fd: mmap.mmap(fd, 0, SHARED, 7)),
}
BY_NAME: Final = (
    "size of a neighbour", "size of a key", "whether a user exists", "where a link leads", "what runs here",
    "hold a neighbour",
)  # fmt: skip
"""Acts that only a root of its own keeps a child from."""
ON_X86: Final[dict[str, Callable[[Around], object]]] = {
    "32-bit call": lambda to: by_machine_code(b"\xb8\x14\x00\x00\x00\xcd\x80\x48\x98\xc3"),
    "32-bit kill": lambda to: by_machine_code(
        b"\xb8\x25\x00\x00\x00\xbb" + to.pid.to_bytes(4, "little") + b"\xb9\x09\x00\x00\x00\xcd\x80\x48\x98\xc3"),
    "x32 call": lambda to: by_machine_code(b"\xb8\x27\x00\x00\x40\x0f\x05\xc3"),
}
"""getpid and kill by `int 0x80`, getpid by its x32 number; the registers that C expects back are not touched."""
# fmt: on
if platform.machine() == "x86_64":
    ACTS.update(ON_X86)

CODE: Final = mmap.mmap(-1, mmap.PAGESIZE, prot=READ | WRITE | EXECUTE)
"""Where machine code can be put; had before the walls stood."""


def by_machine_code(code: bytes) -> None:
    """Run machine code that returns what a system call said."""
    CODE.seek(0)
    CODE.write(b"\x53" + code[:-1] + b"\x5b\xc3")  # rbx is the caller's: kept
    place = ctypes.addressof(ctypes.c_char.from_buffer(CODE))
    result = ctypes.CFUNCTYPE(ctypes.c_long)(place)()
    if result < 0:
        raise OSError(-result, os.strerror(-result))


def address(to: Around) -> int:
    """A page of plain memory."""
    page = mmap.mmap(-1, mmap.PAGESIZE)
    PAGES.append(page)
    return ctypes.addressof(ctypes.c_char.from_buffer(page))


PAGES: list[mmap.mmap] = []


def with_open(path: Path, act: Callable[[int], object]) -> None:
    """Do something with an open file that can be read."""
    with path.open("rb") as file:
        act(file.fileno())


def with_written(path: Path, act: Callable[[int], object]) -> None:
    """Do something with an open file that can be written."""
    with path.open("r+b") as file:
        act(file.fileno())


def linked(to: Around) -> Path:
    """A link in our own folder to what lies beside the source."""
    link = to.task.out_dir / "link"
    link.symlink_to(to.neighbour)
    return link


def write_at(path: Path, place: int) -> None:
    """One byte far behind, so that nothing before it need be written."""
    with path.open("wb") as file:
        file.seek(place)
        file.write(b"x")


def allocate(path: Path, length: int) -> None:
    """Room on the disk without writing to it."""
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, length)


def own(pid: int) -> None:
    """Have signals of a file sent to somebody else."""
    with Path("/dev/null").open("rb") as file:
        called("fcntl", file.fileno(), 8, pid)


def fork() -> None:
    """Fork, and leave at once if it worked."""
    if os.fork() == 0:
        os._exit(0)


def attempt(act: Callable[[Around], object], around: Around) -> str:
    """What came of one act."""
    try:
        act(around)
    except OSError as error:
        return f"refused {error.errno}"
    except (ValueError, KeyError):  # Python's word for a limit that may not be raised; a call this machine has not
        return "refused"
    return "allowed"


def escape(task: Task, progress: Progress) -> Outcome:
    """Try every act and write down what came of it."""
    with (task.out_dir / "acts").open("w") as told:  # open beforehand: an act may take us out of reach
        told.writelines(tried(task.source, task.out_dir, task.policy))
    return Declined(code="unsupported-slide")


def escape_as_twin(task: Task, progress: Progress) -> Outcome:
    """Have the twin try every act."""
    told = elsewhere(tried, task.source, task.out_dir, task.policy)
    (task.out_dir / "acts").write_text("".join(told))
    return Declined(code="unsupported-slide")


def tried(source: Path, out_dir: Path, policy: str) -> list[str]:
    """One line for each act."""
    port, pid = map(int, policy.split())
    around = Around(Task(source, out_dir, policy, b""), port, pid)
    return [f"{name}: {attempt(act, around)}\n" for name, act in ACTS.items()]
