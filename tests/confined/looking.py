"""What a confined child sees; runs inside it."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

from coverslip import progress as progress_module
from coverslip.confined.messages import Answered, Declined, Outcome, Task
from coverslip.progress import Progress


def inherit(task: Task, progress: Progress) -> Outcome:
    """Write down what was handed down: open files, variables, what begins the command."""
    handles = [handle for handle in range(256) if is_open(handle)]
    seen = {"handles": handles, "variables": sorted(os.environ), "key": task.key.hex()}
    (task.out_dir / "seen").write_text(json.dumps(seen))
    return Declined(code="unsupported-slide")


def is_open(handle: int) -> bool:
    """Whether a number stands for an open file."""
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True


def look(task: Task, progress: Progress) -> Outcome:
    """Write down what there is at the root, on the way to the source, and in it."""
    top = task.source.anchor
    seen = {
        "root": sorted(
            name for name in ("etc", "home", "proc", "root", "sys", "tmp", "usr") if Path(top, name).exists()
        ),
        "beside": [path.exists() for path in (task.source.with_name("neighbour"), task.out_dir.with_name("elsewhere"))],
        "source": task.source.read_text(),
        "also": [path.read_text() if path.is_file() else sorted(os.listdir(path)) for path in task.also],  # noqa: PTH208
        "cwd": str(Path.cwd()),
        "owner": (task.out_dir / "made").stat().st_uid if (task.out_dir / "made").write_text("x") else None,
        "program": Path(progress_module.__file__).is_file(),
    }
    (task.out_dir / "seen").write_text(json.dumps(seen))
    return Declined(code="unsupported-slide")


def stay(task: Task, progress: Progress) -> Outcome:
    """Behind the walls until somebody outside has looked."""
    (task.out_dir / "here").touch()
    while not (task.out_dir / "looked").exists():
        time.sleep(0.01)
    return Answered()
