"""Where clean slides and originals lie, as the settings say: on this disk, or in a bucket."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from coverslip.archive.clean import BucketSlides, CleanSlides
from coverslip.archive.folder_store import FolderStore
from coverslip.archive.storage import Storage, Zone
from coverslip.archive.store import Store
from coverslip.errors import StorageFailed
from coverslip.settings import Settings

_ADDRESS: Final = re.compile(r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/([A-Za-z0-9._/-]{0,200}))?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Places:
    """The two things that may lie elsewhere; uploads on their way, scratch folders and keys never do."""

    clean: CleanSlides
    originals: Store


def places(settings: Settings, storage: Storage) -> Places:
    """Connect; raises `StorageFailed` when the address cannot be read or the clients are not installed."""
    if not settings.storage:
        return Places(storage, FolderStore(storage.zone(Zone.ORIGINALS)))
    found = _ADDRESS.fullmatch(settings.storage)
    if found is None:
        raise StorageFailed("The address of the bucket cannot be read: s3://bucket/prefix.", where="storage")
    bucket, prefix = found[1], (found[2] or "").strip("/")
    below = [_store(settings, bucket, f"{prefix}/{name}".strip("/")) for name in ("slides", "originals")]
    return Places(BucketSlides(below[0]), below[1])


def _store(settings: Settings, bucket: str, prefix: str) -> Store:
    try:
        from coverslip.archive.s3_store import Bucket, S3Store  # costs a third of a second, for those who have a bucket
    except ImportError as error:
        raise StorageFailed("A bucket needs obstore and botocore: install coverslip[s3].", where="storage") from error
    return S3Store(
        Bucket(
            bucket,
            prefix,
            settings.s3_endpoint,
            settings.s3_region,
            settings.s3_key_id,
            settings.s3_secret_key.get_secret_value(),
        )
    )
