"""Work functions that try what a hostile parser would try; each runs inside a confined child."""

from __future__ import annotations

import ctypes
import hashlib
import json
import mmap
import os
import shutil
import sys
import threading
import time

from coverslip.confined.messages import Declined, Doubted, Made, Outcome, Task, Tiled
from coverslip.errors import DamagedSlide, StorageAway, StorageFull
from coverslip.progress import Progress, Stage


def made(task: Task, data: bytes) -> Made:
    """An outcome for a file that was written."""
    return Made(
        clean_name="slide.svs",
        sha256=hashlib.sha256(data).hexdigest(),
        size_bytes=len(data),
        vendor="aperio",
        route="same-container",
        width=4000,
        height=3000,
        levels=3,
        tile_size=256,
        mpp_x=0.25,
        mpp_y=0.25,
        magnification=40,
        removed=7,
        kept=5,
        replaced=1,
    )


def copy(task: Task, progress: Progress) -> Outcome:
    """Copy the source; what an honest worker does."""
    progress(Stage.OPEN, 0.0)
    shutil.copyfile(task.source, task.out_dir / "slide.svs")
    (task.out_dir / "slide.certificate.json").write_text("{}")
    progress(Stage.PYRAMID, 1.0)
    return made(task, task.source.read_bytes())


def tile(task: Task, progress: Progress) -> Outcome:
    """Tile, as far as anybody here looks; a file that says so fails at it."""
    progress(Stage.PYRAMID, 0.0)
    if task.source.read_bytes().startswith(b"untileable"):
        raise DamagedSlide
    (task.out_dir / "slide.pyramid").write_bytes(b"complete" if task.complete else b"sparse")
    return Tiled()


def complain(task: Task, progress: Progress) -> Outcome:
    """Say that the disk is full."""
    raise StorageFull


def fill_up(task: Task, progress: Progress) -> Outcome:
    """Take all the room there is."""
    with (task.out_dir / "slide.svs").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))


def pretend(task: Task, progress: Progress) -> Outcome:
    """Say what only those can know who look after a child."""
    raise StorageAway


def list_words(task: Task, progress: Progress) -> Outcome:
    """Write down what it was told about the slide."""
    (task.out_dir / "words.json").write_text(json.dumps(task.untrusted_words))
    return copy(task, progress)


def slow_copy(task: Task, progress: Progress) -> Outcome:
    """Write half a file, then take a while."""
    (task.out_dir / "slide.svs").write_bytes(task.source.read_bytes()[:3])
    for step in range(80):
        progress(Stage.WRITE, step / 80)
        time.sleep(0.05)
    return copy(task, progress)


def brief_copy(task: Task, progress: Progress) -> Outcome:
    """Take long enough to be struck in the middle now and then."""
    progress(Stage.WRITE, 0.5)
    time.sleep(0.2)
    return copy(task, progress)


def long_copy(task: Task, progress: Progress) -> Outcome:
    """Take long enough that whoever watches can act in mid-stage, on a busy machine too."""
    progress(Stage.WRITE, 0.1)
    time.sleep(10)
    return copy(task, progress)


def doubt(task: Task, progress: Progress) -> Outcome:
    """Find something nobody understands."""
    (task.out_dir / "slide.findings.json").write_text("{}")
    return Doubted(code="unknown-structure", where="ifd[3]")


def decline(task: Task, progress: Progress) -> Outcome:
    """Not a slide."""
    return Declined(code="unsupported-slide", where="")


def damaged(task: Task, progress: Progress) -> Outcome:
    """Raise a typed error whose text carries a value."""
    raise DamagedSlide("SECRET-VALUE", where="ifd[0]/ImageWidth")


def bug(task: Task, progress: Progress) -> Outcome:
    """Raise what nobody foresaw, with a value in its text."""
    raise KeyError("SECRET-VALUE")


def lie(task: Task, progress: Progress) -> Outcome:
    """Deliver other bytes than announced."""
    outcome = copy(task, progress)
    (task.out_dir / "slide.svs").write_bytes(task.source.read_bytes()[:-1] + b"!")
    return outcome


def leave_folder(task: Task, progress: Progress) -> Outcome:
    """Leave what was unpacked beside the clean slide."""
    (task.out_dir / ".coverslip-unpacked").mkdir()
    (task.out_dir / ".coverslip-unpacked" / "Anna.dat").write_bytes(b"original")
    return copy(task, progress)


def leave_link(task: Task, progress: Progress) -> Outcome:
    """Leave a way back to the original."""
    (task.out_dir / "slide.pyramid").symlink_to(task.source)
    return copy(task, progress)


def segfault(task: Task, progress: Progress) -> Outcome:
    """Read where nothing is."""
    ctypes.string_at(8)
    raise AssertionError


def leave(task: Task, progress: Progress) -> Outcome:
    """Go without a word."""
    os._exit(0)


def hang(task: Task, progress: Progress) -> Outcome:
    """Never come back."""
    while True:
        time.sleep(60)


def stick(task: Task, progress: Progress) -> Outcome:
    """Write half a file and never come back."""
    (task.out_dir / "slide.svs").write_bytes(task.source.read_bytes()[:3])
    progress(Stage.WRITE, 0.5)
    return hang(task, progress)


def burn(task: Task, progress: Progress) -> Outcome:
    """Use CPU for ever."""
    while True:
        pass


def hoard(task: Task, progress: Progress) -> Outcome:
    """Take memory for ever."""
    kept = []
    while True:
        kept.append(b"x" * (16 << 20))


def flood(task: Task, progress: Progress) -> Outcome:
    """Write one file for ever."""
    with (task.out_dir / "big").open("wb") as file:
        while True:
            file.write(bytes(1 << 20))
            file.flush()


def scatter(task: Task, progress: Progress) -> Outcome:
    """Write many files, each within the limit."""
    number = 0
    while True:
        (task.out_dir / f"part{number}").write_bytes(bytes(1 << 20))
        number += 1


def babble(task: Task, progress: Progress) -> Outcome:
    """Say what is no message, on the pipe only we hold."""
    os.write(3, b'{"kind": "made", "patient": "Jane"}\n')
    return copy(task, progress)


def shout(task: Task, progress: Progress) -> Outcome:
    """Never end a line."""
    while True:
        os.write(3, b"x" * 65536)


def print_secret(task: Task, progress: Progress) -> Outcome:
    """Print to every stream."""
    for stream in (1, 2):
        os.write(stream, b"SECRET-VALUE")
    print("SECRET-VALUE", file=sys.stderr, flush=True)
    return copy(task, progress)


def as_asked(task: Task, progress: Progress) -> Outcome:
    """Do what the file's first word says."""
    return globals()[task.source.read_bytes().split(b" ")[0].decode()](task, progress)


def honest_needs(task: Task, progress: Progress) -> Outcome:
    """What a real pipeline does and must stay able to do: threads, temporary files, numpy, memory maps."""
    import tempfile

    import numpy as np

    seen: list[float] = []
    threads = [threading.Thread(target=lambda: seen.append(float(np.ones((64, 64)).sum()))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(4096))
    with task.source.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
        assert len(view) == task.source.stat().st_size
    draft = task.out_dir / "draft"
    draft.write_bytes(b"x")
    draft.rename(task.out_dir / "final")
    assert seen == [4096.0] * 4
    return copy(task, progress)
