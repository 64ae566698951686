"""The one place that asks the kernel to keep bytes, and what it makes of a refusal."""

import errno
import os

import pytest

from coverslip import durable
from coverslip.errors import StorageFailed, StorageFull


@pytest.mark.parametrize(
    ("number", "kind"), [(errno.ENOSPC, StorageFull), (errno.EDQUOT, StorageFull), (errno.EIO, StorageFailed)]
)
def test_a_complaint_becomes_one_of_ours_without_a_path(number, kind):
    """No room is told apart from a broken disk; what the system said about the file stays out of the text."""
    with pytest.raises(StorageFailed) as caught, durable.our_errors("pyramid"):
        raise OSError(number, "no", "/secret/name")
    assert type(caught.value) is kind
    assert caught.value.where == "pyramid"
    assert "secret" not in str(caught.value)


def test_files_and_folders_are_synced(tmp_path, monkeypatch):
    """Either is opened, synced once and closed."""
    asked = []
    monkeypatch.setattr(os, "fsync", lambda handle: asked.append(os.fstat(handle).st_ino))
    (tmp_path / "file").touch()
    durable.sync(tmp_path / "file")
    durable.sync(tmp_path)
    assert asked == [(tmp_path / "file").stat().st_ino, tmp_path.stat().st_ino]


def test_what_is_missing_cannot_be_synced(tmp_path):
    """It is a failure of storage, not of the interpreter."""
    with pytest.raises(StorageFailed):
        durable.sync(tmp_path / "nothing")
