"""A store in an S3 bucket: parts with checksums, a name nobody else can take, and a look at what arrived.

Writing goes through botocore, because only it can complete a multipart upload on condition and list what others
abandoned; reading goes through obstore, which takes a range in a fraction of the time, without the interpreter's lock
(docs/decisions/0013-two-clients-for-s3.md).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import botocore.config
import botocore.session
import obstore
import obstore.exceptions
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store as Reader

from coverslip.archive.store import Kept, checked
from coverslip.errors import NotFound, OutputExists, StorageFailed, StorageFull

if TYPE_CHECKING:
    from obstore.store import S3Credential

PART: Final = 32 << 20
"""Bytes of one part; ten thousand of them are the most S3 takes, 312 GiB."""
ATTEMPTS: Final = 3
PATIENCE: Final = timedelta(seconds=30)
"""For one answer; a part of 32 MiB has to go through in it."""
CONNECT: Final = timedelta(seconds=5)
BELIEVED: Final = timedelta(minutes=5)
"""How long credentials are used before the chain is asked again."""

_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_FULL: Final = frozenset({"InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "507"})


@dataclass(frozen=True, slots=True)
class Bucket:
    """Where a bucket is and who asks."""

    name: str
    prefix: str = ""
    """Begins every key, without a slash at its end; empty for all of the bucket."""
    endpoint: str = ""
    """`http(s)://host:port` of a server other than Amazon's."""
    region: str = "us-east-1"
    key_id: str = ""
    """Empty: the usual chain is asked (environment, files, the machine's role)."""
    secret: str = ""


@dataclass(frozen=True, slots=True)
class _Part:
    number: int
    etag: str
    digest: bytes
    size: int

    def said(self) -> dict[str, Any]:
        return {"PartNumber": self.number, "ETag": self.etag, "ChecksumSHA256": _base64(self.digest)}


class S3Store:
    """Objects below one prefix of a bucket. Safe to share between threads."""

    def __init__(self, bucket: Bucket) -> None:
        """Connect lazily; raises `StorageFailed` when there are no credentials."""
        session = botocore.session.get_session()
        if bucket.key_id:
            session.set_credentials(bucket.key_id, bucket.secret)
        self._bucket = bucket.name
        self._front = f"{bucket.prefix.strip('/')}/" if bucket.prefix.strip("/") else ""
        with _our_errors():
            self._client = session.create_client(
                "s3", region_name=bucket.region, endpoint_url=bucket.endpoint or None, config=_config(bucket)
            )
        self._reader = _reader(bucket, session)

    def put(self, name: str, chunks: Iterable[bytes]) -> None:
        """See `Store.put`."""
        key = self._key(name)
        with _our_errors():
            if self._head(key) is not None:
                raise OutputExists(where="store")
        parts = _parts(chunks)
        first, second = next(parts, b""), next(parts, None)
        if second is None:
            self._put_at_once(key, first)
        else:
            self._put_in_parts(key, _chain(first, second, parts))

    def size(self, name: str) -> int:
        """See `Store.size`."""
        with _our_errors():
            found = self._head(self._key(name))
        if found is None:
            raise NotFound
        return int(found["ContentLength"])

    def read(self, name: str, length: int, offset: int) -> bytes:
        """See `Store.read`."""
        try:
            return self._range(name, length, offset)
        except StorageFailed:
            # Some servers refuse a range that goes over the end, and all refuse one behind it.
            inside = min(length, self.size(name) - offset)
            if inside == length:
                raise
            return self._range(name, inside, offset)

    def names(self, prefix: str = "") -> Iterator[Kept]:
        """See `Store.names`."""
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._front + prefix)
        for page in _guarded(pages):
            for found in page.get("Contents", ()):
                yield Kept(found["Key"][len(self._front) :], found["Size"], found["LastModified"].astimezone(UTC))

    def remove(self, name: str) -> None:
        """See `Store.remove`."""
        with _our_errors():
            self._client.delete_object(Bucket=self._bucket, Key=self._key(name))

    def abandon(self, before: datetime) -> int:
        """See `Store.abandon`."""
        pages = self._client.get_paginator("list_multipart_uploads").paginate(Bucket=self._bucket, Prefix=self._front)
        begun = [found for page in _guarded(pages) for found in page.get("Uploads", ())]
        dead = [found for found in begun if found["Initiated"] < before]
        for found in dead:
            self._abort(found["Key"], found["UploadId"])
        return len(dead)

    def _range(self, name: str, length: int, offset: int) -> bytes:
        if length <= 0:
            return b""
        try:
            return bytes(obstore.get_range(self._reader, self._key(name), start=offset, length=length))
        except FileNotFoundError as error:
            raise NotFound from error
        except obstore.exceptions.BaseError as error:
            raise StorageFailed("The bucket did not give what was asked.", where="s3") from error

    def _put_at_once(self, key: str, data: bytes) -> None:
        digest = hashlib.sha256(data).digest()
        with _our_errors():
            answer = self._client.put_object(
                Bucket=self._bucket, Key=key, Body=data, ChecksumSHA256=_base64(digest), IfNoneMatch="*"
            )
        self._compare(key, len(data), answer["ETag"], _base64(digest))

    def _put_in_parts(self, key: str, parts: Iterable[bytes]) -> None:
        with _our_errors():
            begun = self._client.create_multipart_upload(Bucket=self._bucket, Key=key, ChecksumAlgorithm="SHA256")
        upload = begun["UploadId"]
        try:
            sent = [self._send(key, upload, number, part) for number, part in enumerate(parts, 1)]
            etag = self._complete(key, upload, sent)
        except BaseException:
            with suppress(StorageFailed, NotFound):  # the first failure is the one to tell; `abandon` comes by
                self._abort(key, upload)
            raise
        composite = _base64(hashlib.sha256(b"".join(part.digest for part in sent)).digest())
        self._compare(key, sum(part.size for part in sent), etag, f"{composite}-{len(sent)}")

    def _send(self, key: str, upload: str, number: int, data: bytes) -> _Part:
        digest = hashlib.sha256(data).digest()
        with _our_errors():
            answer = self._client.upload_part(
                Bucket=self._bucket, Key=key, UploadId=upload, PartNumber=number, Body=data,
                ChecksumSHA256=_base64(digest),
            )  # fmt: skip
        return _Part(number, answer["ETag"], digest, len(data))

    def _complete(self, key: str, upload: str, sent: list[_Part]) -> str:
        with _our_errors():
            answer = self._client.complete_multipart_upload(
                Bucket=self._bucket, Key=key, UploadId=upload, IfNoneMatch="*",
                MultipartUpload={"Parts": [part.said() for part in sent]},
            )  # fmt: skip
        return str(answer["ETag"])

    def _compare(self, key: str, size: int, etag: str, checksum: str) -> None:
        """Hold what lies there now against what we sent; other bytes go, and `StorageFailed` is raised."""
        with _our_errors():
            found = self._head(key) or {}
        same = found.get("ContentLength") == size and found.get("ETag") == etag
        if not same or found.get("ChecksumSHA256", checksum).partition("-")[0] != checksum.partition("-")[0]:
            with _our_errors():
                self._client.delete_object(Bucket=self._bucket, Key=key)
            raise StorageFailed("What arrived in the bucket is not what was sent.", where="s3")

    def _head(self, key: str) -> dict[str, Any] | None:
        try:
            answer: dict[str, Any] = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if error.response["Error"]["Code"] in _ABSENT:
                return None
            raise
        return answer

    def _abort(self, key: str, upload: str) -> None:
        try:
            with _our_errors():
                self._client.abort_multipart_upload(Bucket=self._bucket, Key=key, UploadId=upload)
        except NotFound:  # completed or aborted a moment ago
            return

    def _key(self, name: str) -> str:
        return self._front + checked(name)


def _config(bucket: Bucket) -> botocore.config.Config:
    return botocore.config.Config(
        connect_timeout=CONNECT.total_seconds(),
        read_timeout=PATIENCE.total_seconds(),
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        request_checksum_calculation="when_required",  # we give our own; others' servers know no trailers
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if bucket.endpoint else "auto"},
        user_agent_appid="coverslip",
    )


def _reader(bucket: Bucket, session: Any) -> Reader:  # noqa: ANN401  botocore has no types
    def credentials() -> S3Credential:
        found = session.get_credentials()
        if found is None:
            raise StorageFailed("There are no credentials for the bucket.", where="s3")
        frozen = found.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + BELIEVED,
        }

    options: dict[str, Any] = {"endpoint": bucket.endpoint, "virtual_hosted_style_request": False}
    return Reader(
        bucket.name,
        region=bucket.region,
        credential_provider=credentials,
        client_options={"allow_http": bucket.endpoint.startswith("http://"), "timeout": PATIENCE},
        retry_config={"max_retries": ATTEMPTS - 1, "retry_timeout": PATIENCE},
        **(options if bucket.endpoint else {}),
    )


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
    with _our_errors():
        yield from pages


@contextmanager
def _our_errors() -> Iterator[None]:
    """The clients' complaints as errors of our tree, without an address in the text."""
    try:
        yield
    except ClientError as error:
        raise _typed(str(error.response.get("Error", {}).get("Code", ""))) from error
    except BotoCoreError as error:
        raise StorageFailed("The bucket's server cannot be reached.", where="s3") from error


def _typed(code: str) -> StorageFailed | NotFound | OutputExists:
    if code in _ABSENT:
        return NotFound()
    if code in _TAKEN:
        return OutputExists(where="store")
    return StorageFull(where="s3") if code in _FULL else StorageFailed("The bucket refused.", where="s3")


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
