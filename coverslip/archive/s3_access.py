"""The two clients of an S3 bucket, how long they wait, and what their complaints mean."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import botocore.config
import botocore.session
from botocore.exceptions import BotoCoreError, ClientError
from obstore.store import S3Store as Reader

from coverslip.errors import NotFound, OriginalDamaged, OutputExists, StorageAway, StorageFailed, StorageFull

if TYPE_CHECKING:
    from obstore.store import S3Credential

ATTEMPTS: Final = 3
PATIENCE: Final = timedelta(seconds=20)
"""For one answer, and for each step of sending a part."""
READING: Final = timedelta(seconds=10)
"""For one range, all attempts included: somebody looks at a tile."""
COMPLETING: Final = timedelta(minutes=5)
"""Putting the parts of a large file together takes some servers this long."""
CONNECT: Final = timedelta(seconds=5)
BELIEVED: Final = timedelta(minutes=5)
"""How long credentials are used before the chain is asked again."""
PAUSE: Final = 1.0
"""Seconds from one try to the next while a bucket gives no answer to those who read."""
CONNECTIONS: Final = 64
"""Kept open for those who write."""

_ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound", "NoSuchUpload"})
_TAKEN: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412"})
_FULL: Final = frozenset({"InsufficientStorage", "XMinioStorageFull", "QuotaExceeded", "507"})
_CHANGED: Final = frozenset({"InvalidPart", "InvalidPartOrder", "EntityTooSmall"})


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
    patience: timedelta = PATIENCE


class Doubt:
    """Whether a bucket gives answers: once it gave none, all are refused at once but one each moment, who tries.

    So those who look at slides are told in no time, and no thread stands in the queue of a bucket that stands still.
    """

    def __init__(self, pause: float = PAUSE) -> None:
        """Trust it; `pause`: seconds from one try to the next."""
        self._pause = pause
        self._lock = threading.Lock()
        self._next: float | None = None

    @contextmanager
    def asking(self) -> Iterator[None]:
        """Ask for something; `StorageAway` out of the block begins the doubt, anything else ends it.

        Raises `StorageAway` while it lasts.
        """
        with self._lock:
            now = time.monotonic()
            if self._next is not None:
                if now < self._next:
                    raise StorageAway(where="s3")
                self._next = now + self._pause
        following: float | None = None
        try:
            yield
        except StorageAway:
            following = time.monotonic() + self._pause
            raise
        finally:
            with self._lock:
                self._next = following


class Clients:
    """What talks to one bucket, for any number of stores in it. Safe to share between threads."""

    def __init__(self, bucket: Bucket) -> None:
        """Connect lazily; raises `StorageFailed`."""
        self._bucket = bucket
        self._session = botocore.session.get_session()
        if bucket.key_id:
            self._session.set_credentials(bucket.key_id, bucket.secret)
        self.writer = self._writer(bucket.patience)
        """Writes and lists."""
        self.reader = _reader(bucket, self._session)
        """Reads ranges."""
        self.doubt = Doubt()
        """Whether it does."""

    @cached_property
    def completer(self) -> Any:  # noqa: ANN401  botocore has no types
        """Writes, and waits longer."""
        return self._writer(max(COMPLETING, self._bucket.patience))

    def _writer(self, patience: timedelta) -> Any:  # noqa: ANN401  botocore has no types
        where = {"region_name": self._bucket.region, "endpoint_url": self._bucket.endpoint or None}
        with our_errors():
            return self._session.create_client("s3", **where, config=_config(self._bucket, patience))


@contextmanager
def our_errors() -> Iterator[None]:
    """botocore's complaints as errors of our tree, without an address in the text."""
    try:
        yield
    except ClientError as error:
        raise _typed(str(error.response.get("Error", {}).get("Code", ""))) from error
    except BotoCoreError as error:
        raise StorageAway(where="s3") from error


def _typed(code: str) -> StorageFailed | NotFound | OutputExists:
    if code in _ABSENT:
        return NotFound()
    if code in _TAKEN:
        return OutputExists(where="store")
    if code in _CHANGED:
        return OriginalDamaged("Its parts are not those that were acknowledged.", where="s3")
    return StorageFull(where="s3") if code in _FULL else StorageAway(where="s3")


def _reader(bucket: Bucket, session: Any) -> Reader:  # noqa: ANN401  botocore has no types
    patience = min(READING, bucket.patience)
    options: dict[str, Any] = {"endpoint": bucket.endpoint, "virtual_hosted_style_request": False}
    return Reader(
        bucket.name,
        region=bucket.region,
        credential_provider=_credentials(session),
        client_options={
            "allow_http": bucket.endpoint.startswith("http://"),
            "timeout": patience,
            "connect_timeout": min(CONNECT, patience),
        },
        retry_config={"max_retries": ATTEMPTS - 1, "retry_timeout": patience},
        **(options if bucket.endpoint else {}),
    )


def _config(bucket: Bucket, patience: timedelta) -> botocore.config.Config:
    return botocore.config.Config(
        connect_timeout=min(CONNECT, patience).total_seconds(),
        read_timeout=patience.total_seconds(),
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # we give our own; others' servers know no trailers
        response_checksum_validation="when_required",
        s3={"addressing_style": "path" if bucket.endpoint else "auto"},
        user_agent_appid="coverslip",
    )


def _credentials(session: Any) -> Callable[[], S3Credential]:  # noqa: ANN401  botocore has no types
    def found() -> S3Credential:
        credentials = session.get_credentials()
        if credentials is None:
            raise StorageFailed("There are no credentials for the bucket.", where="s3")
        frozen = credentials.get_frozen_credentials()
        return {
            "access_key_id": frozen.access_key,
            "secret_access_key": frozen.secret_key,
            "token": frozen.token,
            "expires_at": datetime.now(UTC) + BELIEVED,
        }

    return found
