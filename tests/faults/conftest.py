"""What rigs share."""

import os
import tempfile
from pathlib import Path

import pytest

MEMORY = Path("/dev/shm")


@pytest.fixture
def quick_folder(tmp_path):
    """A folder where syncing costs nothing, if the machine has one: for what is about bytes, not about the disk."""
    if not os.access(MEMORY, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=MEMORY, prefix="cs-") as folder:
        yield Path(folder)
