"""What a child has from those it descends from: nothing that says anything about another slide."""

import base64
import json
import os
import re
from pathlib import Path

import pytest

from coverslip.confined.messages import Task
from coverslip.confined.supervisor import Zygote
from coverslip.progress import silent
from tests.confined import looking
from tests.faults.kernel import kernel_forbids

KEY = b"a key of some other collection.."
LOOKING = looking.__name__


@pytest.fixture
def task(tmp_path):
    """A slide with a telling name."""
    (tmp_path / "ZQMUELLER").mkdir()
    (tmp_path / "out").mkdir()
    (tmp_path / "ZQMUELLER" / "slide").write_text("ZQCONTENT")
    return Task(tmp_path / "ZQMUELLER" / "slide", tmp_path / "out", "", KEY)


def test_no_file_and_no_secret_is_handed_down(zygote, task, limits, monkeypatch):
    """Nothing, the pipe to say something on, the door to the twin, and variables of ours."""
    monkeypatch.setenv("COVERSLIP_SECRET_KEY", "x")
    zygote.run(f"{LOOKING}:inherit", task, limits, progress=silent)
    seen = json.loads((task.out_dir / "seen").read_text())
    assert seen["handles"] == [0, 1, 2, 3, 4]
    assert seen["key"] == KEY.hex()
    known = {"PATH", "LANG", "LC_ALL", "LC_CTYPE", "LD_LIBRARY_PATH", "PYTHONPATH", "TMPDIR"}
    for_libraries = {"PYTHONDONTWRITEBYTECODE", "OPENBLAS_NUM_THREADS"}
    for_memory = {"MALLOC_ARENA_MAX", "MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"}
    assert set(seen["variables"]) <= known | for_libraries | for_memory


def test_the_next_child_cannot_find_the_last_ones_key(task, limits):
    """The memory it inherits never held it, nor where the slide lay."""
    with Zygote(LOOKING) as zygote:
        zygote.run(f"{LOOKING}:inherit", task, limits, progress=silent)
        memory = memory_of(zygote._process.pid)
    assert b"tests.confined.looking" in memory
    for said in (KEY, KEY.hex().encode(), base64.b64encode(KEY), b"ZQMUELLER", b"ZQCONTENT"):
        assert said not in memory


def memory_of(pid):
    """Everything a process can write to."""
    pieces = []
    try:
        with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as file:
            for begin, end in re.findall(r"^(\w+)-(\w+) rw", Path(f"/proc/{pid}/maps").read_text(), re.MULTILINE):
                file.seek(int(begin, 16))
                pieces.append(file.read(int(end, 16) - int(begin, 16)))
    except PermissionError:
        kernel_forbids("reading another process's memory")
    return b"".join(pieces)


def test_nobody_of_its_user_may_look_into_it(zygote, task, limits):
    """The process that children are forked from belongs to root for whoever asks by name, and leaves no core."""
    zygote.run(f"{LOOKING}:inherit", task, limits, progress=silent)
    if os.geteuid() == 0:
        kernel_forbids("root may look into everything")
    with pytest.raises(PermissionError):
        Path(f"/proc/{zygote._process.pid}/environ").read_bytes()
