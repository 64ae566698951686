"""A request that is given up while a thread still writes its bytes: they go into its upload's file, or nowhere."""

import os
import threading
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive.archive import Archive
from coverslip.errors import StorageFailed
from coverslip.settings import Settings


@pytest.fixture
def archive(tmp_path):
    """One on this disk."""
    found = Archive.open(Settings(data_dir=tmp_path / "data"), with_vault=True)
    yield found
    found.close()


def begun(archive, length):
    """An upload's id, and a writer at its beginning."""
    upload = archive.catalog.create_upload("o", length, datetime.now(UTC) + timedelta(days=1), "x.svs")
    return upload.uid, archive.writer(upload, archive.begin_patch(upload.uid))


def test_a_thread_that_comes_too_late_writes_into_nobody_s_file(archive, tmp_path):
    """Its file's number is another's by then."""
    _, writer = begun(archive, 9)
    writer.close()
    writer.close()
    with (tmp_path / "somebody's").open("wb"):
        for late in (lambda: writer.write(b"somebody else"), lambda: writer.keep(9)):
            with pytest.raises(StorageFailed):
                late()
    assert not (tmp_path / "somebody's").stat().st_size


def test_a_thread_that_is_still_at_it_keeps_the_number(archive, tmp_path, monkeypatch):
    """A request is given up while its bytes are written: the number is nobody's until they are."""
    writing, go_on, really = threading.Event(), threading.Event(), os.pwrite

    def slowly(file, view, at):
        writing.set()
        go_on.wait()
        return really(file, view[:10], at)

    uid, writer = begun(archive, 30)
    monkeypatch.setattr(os, "pwrite", slowly)
    late = threading.Thread(target=writer.write, args=(bytes(range(30)),))
    late.start()
    writing.wait()
    writer.close()
    with (tmp_path / "somebody's").open("wb") as other:
        assert other.fileno() != writer._file
        go_on.set()
        late.join()
    assert archive.storage.incoming(uid).read_bytes() == bytes(range(30))
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(writer._file)
