"""Folders that are gone afterwards, whatever is in them."""

import os

import pytest

from coverslip.rooms import clear


def nested(folder, depth):
    """Folders in each other, deeper than a name may be long."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("x", dir_fd=handle)
        inner = os.open("x", os.O_RDONLY, dir_fd=handle)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        os.close(handle)
        handle = inner
    os.close(handle)


def test_however_deep(tmp_path):
    """Ten thousand levels go as one does."""
    (tmp_path / "room").mkdir()
    nested(tmp_path / "room", 10_000)
    clear(tmp_path / "room")
    assert list(tmp_path.iterdir()) == []


def test_links_are_not_followed(tmp_path):
    """What a link leads to stays, a folder like a file."""
    (tmp_path / "room" / "inner").mkdir(parents=True)
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    for place in ("room/link", "room/inner/link"):
        (tmp_path / place).symlink_to(tmp_path / "kept")
    (tmp_path / "room" / "file").symlink_to(tmp_path / "kept" / "file")
    clear(tmp_path / "room")
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "file"]


def test_folders_without_rights(tmp_path):
    """Made so that nobody may look into them."""
    (tmp_path / "room" / "inner" / "inmost").mkdir(parents=True)
    for place in ("room/inner/inmost", "room/inner"):
        (tmp_path / place).chmod(0)
    clear(tmp_path / "room")
    assert list(tmp_path.iterdir()) == []


def test_a_link_in_its_place_is_refused(tmp_path):
    """Somebody else's folder is not emptied through a link."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").touch()
    (tmp_path / "room").symlink_to(tmp_path / "kept")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        clear(tmp_path / "room")
    assert (tmp_path / "kept" / "file").exists()
