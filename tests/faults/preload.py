"""What every process of these tests would do for the first time is done once, in the one they are forked from."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tests.faults import crashing


def once() -> None:
    """An upload is announced, and another ended: mappers are set up, and what is imported late is there. No thread."""
    with tempfile.TemporaryDirectory() as folder:
        archive = crashing.open_archive(Path(folder))
        until = datetime.now(UTC) + timedelta(days=1)
        archive.catalog.create_upload("owner", len(crashing.DATA), until, "x", {})
        crashing.terminate(archive)
        archive.close()


once()
