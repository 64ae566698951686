"""The walls around a child that parses; each is tried, and what holds is said aloud.

No single layer is relied on: containers often forbid namespaces, old kernels have no Landlock, slim images no
libseccomp. What `REQUIRED` says must hold when confinement is strict.
"""

from __future__ import annotations

import errno
import os
import resource
import sys
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import cache
from pathlib import Path

from coverslip.confined import calls, landlock, libc, root
from coverslip.errors import ConfinementFailed

REQUIRED = (
    frozenset({"rlimits"}),
    frozenset({"no_new_privs"}),
    frozenset({"seccomp"}),  # without a network too: no call on its list makes a socket
    frozenset({"landlock", "own_root"}),
)
"""What strict confinement takes: of each set one layer. Without the last, any other slide or key could be read."""
OPEN_FILES = 256
NO_CORE = 1
"""core(5): 0 would still let the kernel hand a dump to a program, as most machines are set up to do."""
THREADS, THREADS_PER_CPU = 64, 4
COUNTS_PER_NAMESPACE = (5, 14)
"""Linux since which a user is counted apart in each user namespace."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a child may use."""

    memory: int
    """Address space, bytes."""
    cpu: timedelta
    wall: timedelta
    output: int
    """Bytes, for one file and for all of them."""


@dataclass(frozen=True, slots=True)
class Reach:
    """Which files a child may touch besides the program itself."""

    source: Path
    out_dir: Path
    also: tuple[Path, ...] = ()
    """Further files it may read, e.g. a policy."""

    @property
    def readable(self) -> tuple[Path, ...]:
        """All it may read of what is not ours."""
        return self.source, *self.also


def apply(limits: Limits, reach: Reach, *, strict: bool) -> tuple[str, ...]:
    """Confine this process for good and return the layers that hold.

    Raises `ConfinementFailed` when `strict` and a required one does not.
    """
    holding = tuple(name for name, step in STEPS.items() if _holds(step, limits, reach))
    if strict and (missing := lacking(holding)):
        raise ConfinementFailed("A required layer does not hold.", where=", ".join(missing))
    return holding


def lacking(holding: Iterable[str]) -> tuple[str, ...]:
    """What of `REQUIRED` none of these layers gives, each as its names."""
    found = frozenset(holding)
    return tuple(" or ".join(sorted(wanted)) for wanted in REQUIRED if not wanted & found)


@cache
def program_roots() -> tuple[Path, ...]:
    """What the program itself is read from: interpreter, libraries, our own packages; never a data folder."""
    checkout = Path(__file__).resolve().parent.parent.parent
    ours = (checkout / name for name in ("coverslip", "workers"))
    installed = [Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    installed += [path for path in map(Path, sys.path) if path.name in ("site-packages", "dist-packages")]  # a user's
    system = map(Path, ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/usr/local/lib", "/usr/share", "/etc/ld.so.cache"))
    devices = map(Path, ("/dev/null", "/dev/urandom", "/dev/random", "/dev/zero"))
    return (*ours, *installed, *system, *devices)


@cache
def _program_layout() -> root.Layout:
    return root.Layout.of(map(root.Part.program, program_roots()))


def learn() -> None:
    """Look for the program once, before there are children: each would look for itself."""
    _program_layout()
    calls.program()


def _holds(step: Step, limits: Limits, reach: Reach) -> bool:
    try:
        step(limits, reach)
    except (OSError, ImportError, RuntimeError):
        return False
    return True


def _rlimits(limits: Limits, reach: Reach) -> None:
    seconds = max(1, int(limits.cpu.total_seconds()))
    for kind, soft, hard in (
        (resource.RLIMIT_AS, limits.memory, limits.memory),
        (resource.RLIMIT_CPU, seconds, seconds + 5),
        (resource.RLIMIT_FSIZE, limits.output, limits.output),
        (resource.RLIMIT_NOFILE, OPEN_FILES, OPEN_FILES),
        (resource.RLIMIT_MEMLOCK, 0, 0),
        (resource.RLIMIT_MSGQUEUE, 0, 0),
    ):
        _lower(kind, soft, hard)
    leave_no_core()


def leave_no_core() -> None:
    """No core of this process, nor of any it makes: it would hold the slide and the key."""
    _lower(resource.RLIMIT_CORE, NO_CORE, NO_CORE)


def _lower(kind: int, soft: int, hard: int) -> None:
    """Set a limit, and leave alone what is lower already."""
    _, bound = resource.getrlimit(kind)
    if bound != resource.RLIM_INFINITY:
        soft, hard = min(soft, bound), min(hard, bound)
    resource.setrlimit(kind, (soft, hard))


def most_threads() -> int:
    """Threads a child may have: one pool as wide as the machine per stage, and what libraries start beside."""
    return THREADS + THREADS_PER_CPU * (os.cpu_count() or 1)


def _few_threads(limits: Limits, reach: Reach) -> None:
    """The kernel counts all threads of a user, in each user namespace apart, and none of root's.

    Where the count is not ours alone, the supervisor's own is all there is (`watch`).
    """
    if os.geteuid() == 0 or not libc.in_own_users() or libc.kernel() < COUNTS_PER_NAMESPACE:
        raise OSError(errno.EOPNOTSUPP, "no user that is ours alone")
    _lower(resource.RLIMIT_NPROC, most_threads(), most_threads())


@cache
def leave_network() -> bool:
    """Leave it for good, and for all who are forked from here; False where that takes users of one's own.

    A network for each child would cost a tenth of it, and no list of calls lets one speak in it to the next.
    """
    try:
        libc.unshare(libc.CLONE_NEWNET)
    except OSError:
        return False
    return True


def _leave_network(limits: Limits, reach: Reach) -> None:
    libc.leave(libc.CLONE_NEWIPC if leave_network() else libc.CLONE_NEWNET | libc.CLONE_NEWIPC)


def _own_root(limits: Limits, reach: Reach) -> None:
    task = root.Layout.of([*map(root.Part.readable, reach.readable), root.Part.writable(reach.out_dir)])
    pivot = reach.out_dir if reach.out_dir.is_dir() else Path("/proc")  # who writes nothing has no folder of its own
    root.enter(_program_layout().joined(task), pivot)


def _drop_capabilities(limits: Limits, reach: Reach) -> None:
    for capability in range(64):
        try:
            libc.prctl(libc.PR_CAPBSET_DROP, capability)
        except OSError as error:  # EINVAL: past the last one; EPERM: we never had the right to drop
            if error.errno in (errno.EINVAL, errno.EPERM):
                break
            raise
    libc.capset_none()


def _no_new_privileges(limits: Limits, reach: Reach) -> None:
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)


def _landlock(limits: Limits, reach: Reach) -> None:
    if not landlock.abi():
        raise OSError(errno.EOPNOTSUPP, "no Landlock")
    landlock.restrict((*program_roots(), *reach.readable), (reach.out_dir, Path("/dev/null")))


def _seccomp(limits: Limits, reach: Reach) -> None:
    calls.confine()


Step = Callable[[Limits, Reach], None]
STEPS: dict[str, Step] = {
    "rlimits": _rlimits,
    "no_network": _leave_network,
    "few_threads": _few_threads,
    "own_root": _own_root,
    "no_capabilities": _drop_capabilities,
    "no_new_privs": _no_new_privileges,
    "landlock": _landlock,
    "seccomp": _seccomp,  # last: it forbids what the others need
}
