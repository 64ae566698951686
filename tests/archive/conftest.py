"""A clock that stands still and a catalogue filled by hand."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest

from coverslip.archive import schema
from coverslip.archive.archive import Archive
from coverslip.archive.catalog import Catalog
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.originals import Originals
from coverslip.archive.records import Produced
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.vault import Vault

LENGTH = 10


@dataclass
class StoppedClock:
    """Time passes when told to."""

    now: datetime = field(default=datetime(2026, 1, 1, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def wait(self, **units: float) -> None:
        self.now += timedelta(**units)


@dataclass
class Filler:
    """Brings slides into a catalogue the way the front end does."""

    catalog: Catalog
    clock: StoppedClock

    def upload(self, owner: str = "owner", filename: str = "x.svs") -> tuple[str, int]:
        """An upload whose bytes are all there, and the generation that may finish it."""
        expires = self.clock.now + timedelta(days=1)
        upload = self.catalog.create_upload(owner, LENGTH, expires, filename, {"note": "n"})
        generation = self.catalog.begin_patch(upload.uid)
        self.catalog.advance(upload.uid, generation, LENGTH)
        return upload.uid, generation

    def slide(self) -> tuple[str, str]:
        """A queued slide and its job."""
        uid, generation = self.upload()
        sid = self.catalog.finish_upload(uid, generation, "00" * 32, "strict")
        return sid, self.catalog.jobs(sid)[-1].id


@pytest.fixture
def clock() -> StoppedClock:
    """Time passes when told to."""
    return StoppedClock()


@pytest.fixture
def open_catalog(clock):
    """Opens catalogues on one clock and one vault key, and closes them."""
    opened = []

    def open_at(url: str, **options) -> Catalog:
        opened.append(Catalog(schema.opened(url), vault=Vault(b"k" * 32), clock=clock, **options))
        return opened[-1]

    yield open_at
    for catalog in opened:
        catalog.close()


@pytest.fixture
def archive(open_catalog, sqlite_url, tmp_path):
    """An empty one, in folders and SQLite."""
    storage = Storage(tmp_path / "data")
    return Archive(open_catalog(sqlite_url), storage, Originals(FolderStore(storage.zone(Zone.ORIGINALS)), b"k" * 32))


@pytest.fixture
def fill(clock):
    """Makes a `Filler` for a catalogue."""
    return lambda catalog: Filler(catalog, clock)


@pytest.fixture
def produced() -> Produced:
    """The numbers of some clean slide."""
    return Produced(
        clean_name="slide.svs",
        sha256="ab" * 32,
        size_bytes=123,
        vendor="aperio",
        route="same-container",
        width=2220,
        height=2967,
        levels=1,
        tile_size=240,
        mpp_x=0.499,
        mpp_y=0.499,
        magnification=20.0,
        removed=9,
        kept=8,
        replaced=1,
    )
