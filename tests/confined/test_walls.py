"""What a child that parses cannot do to anybody or anything but itself and its own folder."""

import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from coverslip.confined.layers import Limits
from coverslip.confined.messages import Task
from coverslip.progress import silent
from tests.confined import acts, looking
from tests.faults.kernel import kernel_forbids

NEEDED = {"landlock", "seccomp", "no_network"}
LIMITS = Limits(memory=1 << 30, cpu=timedelta(seconds=60), wall=timedelta(seconds=120), output=8 << 20)


def about(process):
    """What others could change of a process: its limits, its processors, its priority."""
    proc = Path(f"/proc/{process.pid}")
    status, limits, stat = (proc.joinpath(name).read_text() for name in ("status", "limits", "stat"))
    allowed = next(line for line in status.splitlines() if line.startswith("Cpus_allowed:"))
    return limits, allowed, stat.rpartition(")")[2].split()[15:17], process.poll()


@pytest.fixture(scope="module", params=["escape", "escape_as_twin"])
def who(request):
    """A child, and its twin."""
    return request.param


@pytest.fixture(scope="module")
def around(tmp_path_factory, who):
    """A source among other people's files."""
    root = tmp_path_factory.mktemp("escape")
    for name in ("phi", "secrets", "out"):
        (root / name).mkdir()
    for name in ("phi/original", "phi/neighbour", "secrets/key"):
        (root / name).write_bytes(b"somebody else")
    return root


@pytest.fixture(scope="module")
def escaped(zygote, around, who):
    """What came of every act in one child, once nothing and nobody around it was found changed."""
    files = [around / "phi" / "original", around / "phi" / "neighbour"]
    before = [path.stat() for path in files]
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as neighbour,
    ):
        try:
            was = about(neighbour)
            task = Task(files[0], around / "out", f"{server.getsockname()[1]} {neighbour.pid}", b"k" * 32)
            zygote.run(f"{acts.__name__}:{who}", task, LIMITS, progress=silent)
            assert about(neighbour) == was
        finally:
            neighbour.kill()
    assert sorted((around / "phi").iterdir()) == sorted(files)
    seen = ("st_mode", "st_uid", "st_gid", "st_size", "st_mtime_ns", "st_nlink")
    for path, then in zip(files, before, strict=True):
        assert [getattr(path.stat(), name) for name in seen] == [getattr(then, name) for name in seen]
    return dict(line.split(": ") for line in (around / "out" / "acts").read_text().splitlines())


@pytest.mark.parametrize("act", acts.ACTS)
def test_escapes_are_refused(escaped, zygote, act):
    """No network, no program, no process, no file but its own, no signal, no rights, no room beyond the limits."""
    needed = NEEDED | {"own_root"} if act in acts.BY_NAME else NEEDED
    if missing := needed - set(zygote.layers):
        kernel_forbids(f"it lacks {sorted(missing)}")
    assert escaped[act].startswith("refused")


def test_it_is_in_nobody_s_network(zygote, tmp_path):
    """Seen from outside, where no list of calls is in the way: neither its network nor its shared memory is ours."""
    names, seen = ("net", "ipc"), {}

    def look():
        if seen or not (tmp_path / "here").exists():
            return
        (child,) = psutil.Process(zygote._process.pid).children()
        seen.update({name: Path(f"/proc/{child.pid}/ns/{name}").readlink() for name in names})
        (tmp_path / "looked").touch()

    task = Task(Path(__file__), tmp_path, "", b"")
    zygote.run(f"{looking.__name__}:stay", task, LIMITS, progress=silent, check=look)
    if "no_network" not in zygote.layers:
        kernel_forbids("no network namespaces")
    assert not {Path(f"/proc/self/ns/{name}").readlink() for name in names} & set(seen.values())
