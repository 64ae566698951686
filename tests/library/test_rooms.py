"""Folders that are gone afterwards, whatever is in them."""

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from coverslip import rooms
from coverslip.clearing import clear
from coverslip.errors import StorageFailed
from coverslip.rooms import sweep, workspace


def nested(folder, depth):
    """Folders in each other, deeper than a name may be long."""
    handle = os.open(folder, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("inner", dir_fd=handle)
        inner = os.open("inner", os.O_RDONLY, dir_fd=handle)
        os.close(os.open("file", os.O_CREAT | os.O_WRONLY, dir_fd=handle))
        os.close(handle)
        handle = inner
    os.close(handle)


def test_however_deep(tmp_path):
    """Fifteen hundred levels go as one does: more than a function may call itself, longer than a name may be."""
    (tmp_path / "room").mkdir()
    nested(tmp_path / "room", 1500)
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


def held(parent, *, then=""):
    """A process that works in a folder below `parent` until it is killed; gives back the folder's room."""
    code = (
        "import sys, time; from pathlib import Path; from coverslip.rooms import about_to_name, workspace\n"
        f"with workspace(Path(sys.argv[1])) as room:\n  (room / 'original').touch()\n  {then or 'pass'}\n"
        "  print(room, flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(parent)], stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_the_dead_are_told_from_the_living(tmp_path):
    """What a killed process left goes at the next sweep, what a living one works in stays."""
    dead, room_of_dead = held(tmp_path)
    living, room_of_living = held(tmp_path)
    dead.kill()
    dead.wait()
    sweep(tmp_path)
    assert not room_of_dead.parent.exists()
    assert (room_of_living / "original").exists()
    living.kill()
    living.wait()
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_half_a_slides_files_are_taken_back(tmp_path):
    """Who was killed between two names had named the slide last: the others go, and nothing else does."""
    dead, _ = held(tmp_path, then="about_to_name(room, ['slide.svs', 'slide.json', 'slide.html'])")
    for name in ("slide.html", "other.html"):
        (tmp_path / name).touch()
    dead.kill()
    dead.wait()
    sweep(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["other.html"]


def test_a_whole_slides_files_stay(tmp_path):
    """Who was killed after the last name had made everything."""
    dead, _ = held(tmp_path, then="about_to_name(room, ['slide.svs', 'slide.json'])")
    for name in ("slide.svs", "slide.json"):
        (tmp_path / name).touch()
    dead.kill()
    dead.wait()
    sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["slide.json", "slide.svs"]


@pytest.mark.parametrize("names", ['["../kept", "../kept"]', '["x", "/kept"]', "[]", "not JSON", '{"a": 1}'])
def test_nothing_elsewhere_is_taken_back(tmp_path, names):
    """Whatever stands there, only names beside the folder are meant."""
    out = tmp_path / "out"
    (out / ".coverslip-abcdefgh").mkdir(parents=True)
    (out / ".coverslip-abcdefgh" / "lock").touch()
    (out / ".coverslip-abcdefgh" / "names").write_text(names)
    (tmp_path / "kept").touch()
    sweep(out)
    assert (tmp_path / "kept").exists()


def test_what_is_not_ours_stays(tmp_path):
    """Folders of other names, a link, a folder somebody has just made, one of an older version that may live."""
    for name in (".coverslip-short", ".coverslip-abcdefgh", "results", ".coverslip-ABCDEFGH"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").touch()
    (tmp_path / ".coverslip-ijklmnop").symlink_to("results")
    (tmp_path / ".coverslip-qrstuvwx").mkdir()
    before = sorted(tmp_path.rglob("*"))
    sweep(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_what_older_versions_left_goes_after_a_day(tmp_path):
    """They made no lock; an empty folder without one goes after a minute."""
    day, minute = tmp_path / ".coverslip-abcdefgh", tmp_path / ".coverslip-ijklmnop"
    for folder, age in ((day, 25 * 3600), (minute, 61)):
        folder.mkdir()
        if folder is day:
            (folder / "original").touch()
        os.utime(folder, (time.time() - age,) * 2)
    sweep(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_swept_before_it_was_locked_is_made_again(tmp_path, monkeypatch):
    """Two start together: one may take the other's new folder for a dead one's."""
    made, real = [], tempfile.mkdtemp

    def swept(**options):
        made.append(Path(real(**options)))
        if len(made) == 1:
            made[0].rmdir()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", swept)
    with workspace(tmp_path) as room:
        assert room.parent == made[1]
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_deleted_is_an_error(tmp_path, monkeypatch):
    """An original may lie there: that it goes is part of the promise."""

    def refused(folder):
        raise PermissionError

    with pytest.raises(StorageFailed), workspace(tmp_path):
        monkeypatch.setattr(rooms, "clear", refused)


def test_what_is_open_is_left_when_a_command_ends(tmp_path):
    """Also when it was interrupted before the block began."""
    workspace(tmp_path).__enter__()
    rooms.leave_all()
    assert list(tmp_path.iterdir()) == []
