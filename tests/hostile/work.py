"""The real work on a slide that may be a folder; runs inside a confined child."""

from __future__ import annotations

import dataclasses

import coverslip.formats.dicom_series  # noqa: F401  a second to import: once, not in each child
from coverslip.confined.messages import Made, Outcome, Task
from coverslip.progress import Progress
from workers import work


def deidentify(task: Task, progress: Progress) -> Outcome:
    """All stages as workers do them; of a folder with a MIRAX, VMS or VMU slide its entry is opened."""
    endings = ("*.mrxs", "*.vms", "*.vmu")
    entries = sorted(file for ending in endings for file in task.source.glob(ending)) if task.source.is_dir() else []
    outcome = work.deidentify(dataclasses.replace(task, source=entries[0] if entries else task.source), progress)
    if isinstance(outcome, Made):
        made = Task(task.out_dir / outcome.clean_name, task.out_dir, "", b"", outcome.sha256, complete=True)
        work.tile(made, progress)
    return outcome
