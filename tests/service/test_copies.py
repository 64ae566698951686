"""Local copies of what lies in a bucket: fetched once, bounded, never half."""

from datetime import UTC, datetime

import pytest

from coverslip.archive.store import Stored
from coverslip.errors import StorageFailed
from service.copies import Copies


def remote(data, asked, *, ends_at=None):
    """A file elsewhere that counts how often it is asked."""

    def read(length, offset):
        asked.append(offset)
        return data[:ends_at][offset : offset + length]

    return Stored(len(data), datetime.now(UTC), read)


def test_a_file_is_fetched_once(tmp_path):
    """The second time it lies here."""
    copies, asked = Copies(tmp_path / "copies", 1000), []
    for _ in range(2):
        assert copies.path(("sid", "art-1"), remote(b"x" * 100, asked)).read_bytes() == b"x" * 100
    assert len(asked) == 1


def test_the_longest_unused_goes(tmp_path):
    """Never the one just asked for, even if it alone is too large."""
    copies = Copies(tmp_path / "copies", 250)
    for number in range(3):
        copies.path(("sid", f"art-{number}"), remote(b"x" * 100, []))
    assert len(list((tmp_path / "copies").iterdir())) == 2
    large = copies.path(("sid", "large"), remote(b"x" * 1000, []))
    assert list((tmp_path / "copies").iterdir()) == [large]
    assert set(copies._locks) == {("sid", "large")}, "nothing grows with what was ever asked for"


def test_a_file_that_ends_early_is_no_copy(tmp_path):
    """Nothing stays of it."""
    copies = Copies(tmp_path / "copies", 1000)
    with pytest.raises(StorageFailed):
        copies.path(("sid", "art-1"), remote(b"x" * 100, [], ends_at=50))
    assert list((tmp_path / "copies").iterdir()) == []


def test_nothing_is_kept_of_what_is_gone(tmp_path):
    """Deleted by another process that makes room, or never fetched."""
    copies = Copies(tmp_path / "copies", 1000)
    copies.path(("sid", "art-1"), remote(b"x", [])).unlink()
    with pytest.raises(StorageFailed):
        copies.path(("sid", "art-2"), remote(b"x" * 100, [], ends_at=50))
    copies.path(("sid", "art-3"), remote(b"x", []))
    assert set(copies._locks) == {("sid", "art-3")}


def test_what_lies_here_is_not_copied(tmp_path):
    """A file on this machine is its own copy."""
    here = tmp_path / "slide.svs"
    copies = Copies(tmp_path / "copies", 1000)
    assert copies.path(("sid", "art-1"), Stored(1, datetime.now(UTC), lambda length, offset: b"", here)) == here


def test_a_copy_is_forgotten(tmp_path):
    """The one that is named, and no other."""
    copies = Copies(tmp_path / "copies", 1000)
    for artefact in ("art-1", "art-2"):
        copies.path(("sid", artefact), remote(b"x" * 100, []))
    (tmp_path / "copies" / ".half").touch()
    assert copies.held() == {("sid", "art-1"), ("sid", "art-2")}
    copies.forget({("sid", "art-1"), ("other", "art-1")})
    assert copies.held() == {("sid", "art-2")}
