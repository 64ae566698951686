"""Where clean slides and originals lie, as the settings say: on this disk, or in a bucket."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from coverslip.archive.arrivals import Arrivals
from coverslip.archive.bucket_arrivals import BucketArrivals
from coverslip.archive.catalog import Catalog
from coverslip.archive.clean import BucketSlides, CleanSlides
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.originals import Originals
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.store import PartStore, Store
from coverslip.errors import StorageFailed
from coverslip.settings import Settings

_ADDRESS: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]{0,200}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Places:
    """What may lie elsewhere; scratch folders and keys never do."""

    clean: CleanSlides
    originals: Store
    arriving: tuple[PartStore, PartStore] | None = None
    """Where uploads arrive, if not on this disk: in parts of what they become, and in pieces."""

    def arrivals(self, catalog: Catalog, originals: Originals, storage: Storage) -> Arrivals | None:
        """How uploads arrive; None for on this disk."""
        if self.arriving is None:
            return None
        return BucketArrivals(catalog, originals, *self.arriving, storage.zone(Zone.TMP))


def places(settings: Settings, storage: Storage) -> Places:
    """Connect; raises `StorageFailed` when the address cannot be read or the clients are not installed."""
    if not settings.storage:
        return Places(storage, FolderStore(storage.zone(Zone.ORIGINALS)))
    found = _ADDRESS.fullmatch(settings.storage)
    if found is None:
        raise StorageFailed("The address of the bucket cannot be read: s3://bucket/prefix.", where="storage")
    bucket, prefix = found[1], (found[2] or "").strip("/")
    slides, originals, pieces = _stores(settings, bucket, prefix, ("slides", "originals", "arriving"))
    return Places(BucketSlides(slides), originals, (originals, pieces))


def _stores(settings: Settings, name: str, prefix: str, folders: Iterable[str]) -> Iterator[PartStore]:
    try:
        from coverslip.archive.s3_store import Bucket, Clients, S3Store  # costs a third of a second
    except ImportError as error:
        raise StorageFailed("A bucket needs obstore and botocore: install coverslip[s3].", where="storage") from error
    bucket = Bucket(
        name,
        prefix,
        settings.s3_endpoint,
        settings.s3_region,
        settings.s3_key_id,
        settings.s3_secret_key.get_secret_value(),
        settings.s3_patience,
    )
    clients = Clients(bucket)
    return (S3Store(replace(bucket, prefix=f"{prefix}/{folder}"), clients) for folder in folders)
