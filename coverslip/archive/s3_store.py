"""A store in an S3 bucket: parts with checksums, a name nobody else can take, and a look at what arrived.

Writing goes through botocore, because only it can complete a multipart upload on condition and list what others
abandoned; reading goes through obstore, which takes a range in a fraction of the time, without the interpreter's lock
(docs/decisions/0013-two-clients-for-s3.md).

An answer may get lost after the server did what it was asked, and the client asks again. So "there is none such any
more" and "the name is taken" are believed only after a look: what lies there may be ours.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from io import BytesIO, RawIOBase
from typing import Any, Final

import obstore
import obstore.exceptions

from coverslip.archive.s3_access import Bucket, Clients, our_errors
from coverslip.archive.store import Kept, Part, Spared, can_be_ours, checked, nothing_spared
from coverslip.errors import NotFound, OutputExists, StorageAway, StorageFailed

__all__ = ["PART", "Bucket", "Clients", "S3Store"]

PART: Final = 32 << 20
"""Bytes of one part; ten thousand of them are the most S3 takes, 312 GiB."""

_BEHIND: Final = re.compile(r"status code: 4(?:00|16)\b", re.ASCII)
"""How obstore tells that a server refused a range."""
_REFUSED: Final = re.compile(r"status code: 4(?!29)", re.ASCII)
_MD5: Final = re.compile(r'"?[0-9a-f]{32}"?', re.ASCII)


@dataclass(frozen=True, slots=True)
class _Sent:
    """What should lie there now."""

    size: int
    checksum: str
    """Base64 of SHA-256, of the file or of its parts'."""
    tag: str | None
    """The MD5 of the file or of its parts', for servers whose tags are that."""
    said: str | None = None
    """The tag the server gave it."""

    def is_in(self, found: Mapping[str, Any]) -> bool:
        """Whether that is what lies there; a server that knows no checksums is asked for its tag."""
        if found.get("ContentLength") != self.size or self.said not in (None, found.get("ETag")):
            return False
        known = found.get("ChecksumSHA256")
        if known is not None:
            return bool(known.partition("-")[0] == self.checksum)
        return self.said is not None or (self.tag is not None and found.get("ETag") == self.tag)


class S3Store:
    """Objects below one prefix of a bucket. Safe to share between threads."""

    def __init__(self, bucket: Bucket, clients: Clients | None = None) -> None:
        """Connect lazily, or by clients of the same bucket; raises `StorageFailed`."""
        self._clients = clients or Clients(bucket)
        self._bucket = bucket.name
        self._front = f"{bucket.prefix.strip('/')}/" if bucket.prefix.strip("/") else ""
        self._client, self._reader = self._clients.writer, self._clients.reader

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `Store.put`."""
        key = self._key(name)
        if self._head(key) is not None:
            raise OutputExists(where="store")
        parts = _parts(chunks)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            self._put_at_once(key, first)
        else:
            self._put_in_parts(name, _chain(first, second, parts))

    def stat(self, name: str) -> Kept:
        """See `Store.stat`."""
        with self._reading():
            found = obstore.head(self._reader, self._key(name))
        return Kept(name, found["size"], found["last_modified"].astimezone(UTC))

    def read(self, name: str, length: int, offset: int) -> bytes:
        """See `Store.read`."""
        try:
            return self._range(name, length, offset)
        except StorageFailed as error:
            # Some servers refuse a range that goes over the end, and all refuse one behind it.
            if not _BEHIND.search(str(error.__cause__)):
                raise
            inside = min(length, self.stat(name).size - offset)
            if inside == length:
                raise
            return self._range(name, inside, offset)

    def names(self, prefix: str = "") -> Iterator[Kept]:
        """See `Store.names`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._front + prefix)
        for page in _guarded(pages):
            for found in page.get("Contents", ()):
                name = found["Key"][len(self._front) :]
                if can_be_ours(name):
                    yield Kept(name, found["Size"], found["LastModified"].astimezone(UTC))

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        with our_errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def abandon(self, before: datetime, but: Spared = nothing_spared) -> int:
        """See `Store.abandon`."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._front)
        begun = [found for page in _guarded(pages) for found in page.get("Uploads", ())]
        ours = [found for found in begun if found["Key"].startswith(self._front)]  # not every server heeds the prefix
        old = [found for found in ours if found["Initiated"] < before]
        dead = [found for found in old if not but(found["Key"].removeprefix(self._front), found["UploadId"])]
        for found in dead:
            self._abort(found["Key"], found["UploadId"])
        return len(dead)

    def begin(self, name: str) -> str:
        """See `PartStore.begin`."""
        with our_errors():
            begun = self._client.create_multipart_upload(
                Bucket=self._bucket, Key=self._key(name), ChecksumAlgorithm="SHA256"
            )
        return str(begun["UploadId"])

    def send(self, name: str, token: str, number: int, body: RawIOBase | BytesIO) -> Part:
        """See `PartStore.send`."""
        digest, size = _hashed(body)
        with our_errors():
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=self._key(name), UploadId=token, PartNumber=number, Body=body,
                ContentLength=size, ChecksumSHA256=_base64(digest),
            )  # fmt: skip
        return Part(str(answer["ETag"]), digest, size)

    def complete(self, name: str, token: str, parts: Sequence[Part]) -> None:
        """See `PartStore.complete`."""
        key, sent = self._key(name), _of_parts(parts)
        said = [
            {"PartNumber": number, "ETag": part.etag, "ChecksumSHA256": _base64(part.digest)}
            for number, part in enumerate(parts, 1)
        ]
        try:
            with our_errors():
                answer = self._clients.completer.complete_multipart_upload(
                    Bucket=self._bucket, Key=key, UploadId=token, IfNoneMatch="*", MultipartUpload={"Parts": said}
                )
        except (NotFound, OutputExists):
            if not sent.is_in(self._head(key) or {}):
                raise
        else:
            if (found := self._head(key)) is None:  # whoever ended the upload meanwhile has deleted it
                raise NotFound
            self._compare(key, replace(sent, said=str(answer["ETag"])), found)

    def abort(self, name: str, token: str) -> None:
        """See `PartStore.abort`."""
        self._abort(self._key(name), token)

    def replace(self, name: str, body: RawIOBase) -> None:
        """See `PartStore.replace`."""
        digest, size = _hashed(body)
        with our_errors():
            self._client.put_object(
                Bucket=self._bucket, Key=self._key(name), Body=body, ContentLength=size, ChecksumSHA256=_base64(digest)
            )

    def _range(self, name: str, length: int, offset: int) -> bytes:
        if length <= 0:
            return b""
        with self._reading():
            return bytes(obstore.get_range(self._reader, self._key(name), start=offset, length=length))

    @contextmanager
    def _reading(self) -> Iterator[None]:
        """The reading client's complaints as errors of our tree; a refusal is an answer, silence is not."""
        with self._clients.doubt.asking():
            try:
                yield
            except FileNotFoundError as error:
                raise NotFound from error
            except obstore.exceptions.BaseError as error:
                if _REFUSED.search(str(error)):
                    raise StorageFailed("The bucket refused.", where="s3") from error
                raise StorageAway(where="s3") from error

    def _put_at_once(self, key: str, data: bytes) -> None:
        sent = _Sent(len(data), _base64(hashlib.sha256(data).digest()), f'"{_md5(data)}"')
        try:
            with our_errors():
                answer = self._client.put_object(
                    Bucket=self._bucket, Key=key, Body=data, ChecksumSHA256=sent.checksum, IfNoneMatch="*"
                )
        except OutputExists:
            if not sent.is_in(self._head(key) or {}):
                raise
        else:
            self._compare(key, replace(sent, said=str(answer["ETag"])), self._head(key) or {})

    def _put_in_parts(self, name: str, parts: Iterable[bytes]) -> None:
        token = self.begin(name)
        with ExitStack() as undo:
            undo.callback(self._give_up, name, token)
            sent = [self.send(name, token, number, BytesIO(part)) for number, part in enumerate(parts, 1)]
            self.complete(name, token, sent)
            undo.pop_all()

    def _give_up(self, name: str, token: str) -> None:
        with suppress(StorageFailed, NotFound):  # the first failure is the one to tell; `abandon` comes by
            self.abort(name, token)

    def _compare(self, key: str, sent: _Sent, found: Mapping[str, Any]) -> None:
        """Hold what lies there now against what we sent; other bytes go, and `StorageFailed` is raised."""
        if not sent.is_in(found):
            with our_errors():
                self._client.delete_object(Bucket=self._bucket, Key=key)
            raise StorageFailed("What arrived in the bucket is not what was sent.", where="s3")

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            with our_errors():
                answer: dict[str, Any] = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except NotFound:
            return None
        return answer

    def _abort(self, key: str, token: str) -> None:
        with suppress(NotFound), our_errors():  # completed or aborted a moment ago
            self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=token)

    def _key(self, name: str) -> str:
        return self._front + checked(name)


def _of_parts(parts: Sequence[Part]) -> _Sent:
    """A file made of parts: its checksum is that of theirs, and so is its tag where theirs are MD5."""
    checksum = _base64(hashlib.sha256(b"".join(part.digest for part in parts)).digest())
    tag = None
    if all(_MD5.fullmatch(part.etag) for part in parts):
        tag = f'"{_md5(b"".join(bytes.fromhex(part.etag.strip(chr(34))) for part in parts))}-{len(parts)}"'
    return _Sent(sum(part.size for part in parts), checksum, tag)


def _md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def _hashed(body: RawIOBase | BytesIO) -> tuple[bytes, int]:
    """SHA-256 and length of all of a body, which is at its beginning before and after."""
    digest, size = hashlib.sha256(), 0
    while piece := body.read(1 << 20):
        digest.update(piece)
        size += len(piece)
    body.seek(0)
    return digest.digest(), size


def _parts(chunks: Iterable[bytes]) -> Iterator[bytes]:
    held = bytearray()
    for chunk in chunks:
        held += chunk
        while len(held) >= PART:
            yield bytes(held[:PART])
            del held[:PART]
    if held:
        yield bytes(held)


def _chain(first: bytes, second: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield second
    yield from rest


def _guarded(pages: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    with our_errors():
        yield from pages


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
