"""Nothing has a final name before it is whole, and the file system's words stay inside."""

import errno
import os

import pytest

from coverslip.archive import storage as module
from coverslip.archive.storage import Storage, Zone
from coverslip.errors import NotFound, OutputExists, StorageFailed, StorageFull


@pytest.fixture
def storage(tmp_path):
    return Storage(tmp_path / "data")


@pytest.fixture
def draft(storage):
    """A draft with one file."""
    with storage.scratch("sid", "art-1") as folder:
        (folder / "slide.svs").write_bytes(b"clean")
        yield folder


def test_zones_are_ours_alone(storage):
    """0700, whatever the umask."""
    for zone in Zone:
        assert storage.zone(zone).stat().st_mode & 0o777 == 0o700


def test_publishing_syncs_before_it_renames_and_the_folder_after(storage, draft, monkeypatch):
    """temp → fsync → rename → fsync of the folder, in that order."""
    steps = []
    sync, rename = module.sync, type(draft).rename
    monkeypatch.setattr(module, "sync", lambda path: (steps.append(f"sync {path.name}"), sync(path)))
    monkeypatch.setattr(type(draft), "rename", lambda self, to: (steps.append("rename"), rename(self, to))[1])
    storage.publish(draft, "sid", "art-1")
    at = steps.index("rename")
    assert steps[:2] == ["sync slide.svs", f"sync {draft.name}"]
    assert "sync sid" in steps[at:]


def test_a_failed_fsync_is_not_tried_again(storage, draft, monkeypatch):
    """After a failed fsync nobody knows what is on disk: the slide fails, nothing gets its name."""
    calls = []

    def broken(handle):
        calls.append(handle)
        raise OSError(errno.EIO, "secret/path")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(StorageFailed) as caught:
        storage.publish(draft, "sid", "art-1")
    assert len(calls) == 1
    assert "secret" not in str(caught.value)
    assert not storage.artefact(Zone.REVIEW, "sid", "art-1").exists()


def test_a_full_disk_has_its_own_error(storage, draft, monkeypatch):
    """Ops must tell it from a broken one."""

    def full(handle):
        raise OSError(errno.ENOSPC, "no room")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageFull):
        storage.publish(draft, "sid", "art-1")


def test_nothing_is_overwritten(storage):
    """A name taken stays with who has it."""
    with storage.scratch("sid", "art-1") as first:
        storage.publish(first, "sid", "art-1")
    with storage.scratch("sid", "art-1") as second, pytest.raises(OutputExists):
        storage.publish(second, "sid", "art-1")


def test_a_new_attempt_clears_what_died_before_it(storage):
    """Half files of a killed worker do not pile up."""
    dead = storage.zone(Zone.TMP) / "sid.art-1"
    dead.mkdir()
    (dead / "half").touch()
    other = storage.zone(Zone.TMP) / "other.art-1"
    other.mkdir()
    with storage.scratch("sid", "art-2"):
        assert not dead.exists()
        assert other.exists()
    assert [path.name for path in storage.zone(Zone.TMP).iterdir()] == ["other.art-1"]


def test_a_zombie_that_begins_late_clears_nothing_of_who_took_over(storage):
    """Stopped between its claim and its first folder, it wakes up beside the attempt that works now."""
    with (
        storage.scratch("sid", "art-10") as living,
        storage.opened("sid", "art-10", [b"plain"]) as source,
        storage.scratch("sid", "art-9"),
        storage.scratch("sid", "another-11"),
    ):
        assert living.exists()
        assert source.exists()


def test_a_file_among_the_drafts_is_no_draft(storage):
    """Nobody could delete it as one; the next round would try again, and the one after it."""
    (storage.zone(Zone.TMP) / "notes.txt").touch()
    with storage.scratch("sid", "art-1") as draft:
        assert storage.drafts() == (("sid", "art-1", draft),)


@pytest.mark.parametrize("name", ["", "..", "a/b", "/etc/passwd", "a\0b", "x" * 65, "é", "a.b"])
def test_only_ids_become_paths(storage, name):
    """Anything else never reaches the file system."""
    for ask in (storage.incoming, storage.original, storage.secret, lambda n: storage.artefact(Zone.REVIEW, n, "a")):
        with pytest.raises(NotFound):
            ask(name)


def test_an_original_is_found_in_either_zone(storage):
    """Also when the move was interrupted or asked for twice."""
    storage.incoming("uid").write_bytes(b"original")
    assert storage.original("uid").parent.name == "incoming"
    storage.quarantine("uid")
    storage.quarantine("uid")
    assert storage.original("uid").read_bytes() == b"original"
    assert storage.original("uid").parent.name == "quarantine"


def test_a_folder_that_cannot_be_made_is_an_error_of_ours(tmp_path):
    """No OSError, and so no path, crosses the border."""
    (tmp_path / "data").write_bytes(b"")
    with pytest.raises(StorageFailed):
        Storage(tmp_path / "data")


def test_a_slide_that_is_moved_while_somebody_looks(tmp_path, monkeypatch):
    """Whoever tidies lists a zone folder by folder; one that is gone by then is no failure of the disk's."""
    storage = Storage(tmp_path / "data")
    storage.artefact(Zone.REVIEW, "there", "art-1").mkdir(parents=True)
    monkeypatch.setattr(Storage, "slides_in", lambda self, zone: ("gone", "there"))
    assert storage.artefacts_in(Zone.REVIEW) == (("there", "art-1"),)
