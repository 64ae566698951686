"""Every setting, from the environment (`COVERSLIP_…`); docs/settings.md lists the same, and a test keeps it so."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from coverslip.confined.bounds import USUAL
from coverslip.errors import SettingsInvalid

MIB = 1 << 20
GIB = 1 << 30
MAX_SOCKET_NAME = 100
"""Bytes; the kernel takes 107."""


def _seconds(value: object) -> object:
    """A bare number in the environment means seconds."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"\d+(\.\d+)?", value) else value


Duration = Annotated[timedelta, BeforeValidator(_seconds)]


class Settings(BaseSettings):
    """How this installation runs; frozen, read once at start."""

    model_config = SettingsConfigDict(env_prefix="COVERSLIP_", frozen=True, extra="ignore", hide_input_in_errors=True)

    data_dir: Path = Field(
        default=Path("data"), description="Where everything lies: PHI zone, review, released, database."
    )
    database_url: str = Field(default="", description="SQLite or PostgreSQL; empty means SQLite in `data_dir`.")
    broker_url: str = Field(
        default="",
        pattern=r"^((rediss?|redis\+socket|sentinel)://.+)?$",
        description="Redis or Valkey, version 6.2 or newer, by `redis://`, `rediss://`, `redis+socket://` or "
        "`sentinel://`; empty means our own Valkey on a socket in `data_dir`.",
    )
    storage: str = Field(
        default="",
        description="`s3://bucket/prefix` for clean slides and encrypted originals; empty means folders in `data_dir`.",
    )
    s3_endpoint: str = Field(
        default="",
        pattern=r"^(https?://[A-Za-z0-9.:\[\]-]+/?)?$",
        description="Address of an S3 server other than Amazon's.",
    )
    s3_region: str = Field(default="us-east-1", description="Region of the bucket.")
    s3_key_id: str = Field(
        default="", description="Who asks the bucket; empty means the usual chain: environment, files, machine's role."
    )
    s3_secret_key: SecretStr = Field(default=SecretStr(""), description="The secret that belongs to `s3_key_id`.")
    s3_patience: Duration = Field(
        default=timedelta(seconds=20),
        gt=timedelta(0),
        description="How long the bucket's server may take for one answer; for a tile's range never more than 10 s.",
    )
    copies_bytes: int = Field(
        default=20 * GIB,
        ge=0,
        description="Room for local copies of slides in a bucket, for answers that need a whole file.",
    )
    policy: str = Field(
        default="strict", description="The policy slides are de-identified by: a built-in name or a file."
    )
    collection: str = Field(default="default", description="The collection uploads belong to.")

    host: str = Field(
        default="127.0.0.1", description="Address the service listens on; others than loopback need API keys."
    )
    port: int = Field(default=8000, ge=0, le=65535, description="Port the service listens on; 0 takes a free one.")
    max_connections: int = Field(
        default=1000, ge=1, description="Connections one process of the service holds; more are refused (503)."
    )
    public_base_url: str = Field(
        default="", description="The address people see, behind a proxy; empty means host and port."
    )
    secret_key: SecretStr = Field(
        default=SecretStr(""), description="Signs sessions; empty means one made and kept in the PHI zone."
    )
    vault_key_file: Path | None = Field(
        default=None, description="32 bytes that seal file names; none means one made and kept in the PHI zone."
    )
    originals_key_file: Path | None = Field(
        default=None,
        description="32 bytes that wrap the originals' own keys; none means one made and kept in the PHI zone.",
    )
    keep_originals: Duration | None = Field(
        default=None,
        description="How long originals of released, rejected and withdrawn slides are kept; none means always.",
    )
    pseudonym_key_file: Path | None = Field(
        default=None,
        description="32 bytes that key pseudonyms and digests; none means one made and kept in the PHI zone.",
    )
    embed_origins: str = Field(
        default="",
        max_length=2000,
        pattern=r"^(https?://[A-Za-z0-9.*:\[\]-]+(,https?://[A-Za-z0-9.*:\[\]-]+)*)?$",
        description="Origins whose pages may frame the viewer, a list with commas; empty means none may.",
    )
    demo: bool = Field(default=False, description="On loopback only: make a key and sign the browser in.")

    cors_origins: str = Field(
        default="", description="Origins whose pages may read slides: `*`, or a list with commas; empty means none."
    )
    pinned_lifetime: Duration = Field(
        default=timedelta(days=1),
        le=timedelta(days=365),
        description="How long others may keep what a pinned address (`/v/…`) of a released slide gives.",
    )
    license_url: str = Field(default="", description="The licence of what is released, named with every answer.")
    cite_as: str = Field(default="", description="The persistent address to cite (a DOI), named with every answer.")
    region_pixels: int = Field(
        default=4 * MIB, gt=0, le=64 * MIB, description="Pixels of the largest derived picture given at once."
    )
    derived_workers: int = Field(default=2, ge=1, description="Derived pictures made at a time.")
    derived_waiting: int = Field(
        default=32, ge=0, description="Derived pictures that may wait their turn; more are refused (503)."
    )
    derived_cache_bytes: int = Field(default=64 * MIB, ge=0, description="Memory for derived pictures, per process.")

    max_upload_bytes: int = Field(default=20 * GIB, gt=0, description="The largest file taken.")
    max_open_uploads: int = Field(default=64, gt=0, description="Uploads one owner may have under way.")
    owner_bytes: int = Field(
        default=0,
        ge=0,
        description="Bytes of one owner's unfinished uploads and kept originals together; 0 means no bound.",
    )
    upload_expiry: Duration = Field(
        default=timedelta(days=2), description="An upload without news this long is dropped."
    )
    disk_reserve_ratio: float = Field(
        default=0.05,
        ge=0,
        lt=1,
        description="Part of the disk that stays free: uploads are refused before it is touched.",
    )

    lease: Duration = Field(default=timedelta(seconds=60), description="How long a claim holds without a heartbeat.")
    heartbeat: Duration = Field(default=timedelta(seconds=15), description="How often a claim is renewed.")
    sweep_every: Duration = Field(default=timedelta(seconds=2), description="How often lost hints are looked for.")
    retry_delay: Duration = Field(
        default=timedelta(seconds=5), description="Wait before a second attempt; doubled after."
    )
    max_attempts: int = Field(default=3, ge=1, description="Attempts at one slide before it is set aside.")
    hint_backlog: int = Field(default=100, ge=1, description="Hints the broker holds at most, of each kind of work.")
    complete_pyramids: bool = Field(
        default=False,
        description="Make every tile of a slide in review beforehand, when there is nothing else to do.",
    )
    work: str = Field(
        default="deidentify,pyramid",
        pattern=r"^(deidentify|pyramid)(,(deidentify|pyramid))?$",
        description="Kinds of work this worker takes, a list with commas.",
    )
    watchdog_every: Duration = Field(
        default=timedelta(seconds=15), description="How often the worker is asked for a sign."
    )
    watchdog_stall: Duration = Field(
        default=timedelta(seconds=60), description="Work waits and none is claimed this long: the worker hangs."
    )
    concurrency: int = Field(default=1, ge=1, description="Slides one worker takes at a time.")
    shutdown_grace: Duration = Field(
        default=timedelta(seconds=60),
        description="How long a worker told to stop may finish its slide; then it is given back.",
    )
    task_events: bool = Field(default=True, description="Send task events (ids only), as flower needs.")

    strict_confinement: bool = Field(
        default=USUAL.strict_confinement,
        description="Refuse to work unless limits, seccomp and a wall around files (Landlock or a root folder of its "
        "own) hold the child that parses.",
    )
    child_memory: int = Field(
        default=USUAL.child_memory, gt=0, description="Address space of the child that parses, in bytes."
    )
    child_cpu: Duration = Field(default=USUAL.child_cpu, description="CPU time of the child that parses.")
    child_wall: Duration = Field(default=USUAL.child_wall, description="Wall time of the child that parses.")
    child_output_ratio: float = Field(
        default=USUAL.child_output_ratio,
        gt=0,
        description="Output of one slide, as a multiple of its size, beyond which the child is stopped.",
    )

    log_level: str = Field(
        default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING or ERROR."
    )

    def __init__(self, **given: Any) -> None:  # noqa: ANN401  pydantic's own signature
        """What the environment says, and what is given instead. Raises SettingsInvalid, naming each wrong setting."""
        try:
            super().__init__(**given)
        except ValidationError as error:
            wrong = (f"COVERSLIP_{_name(found['loc'])}: {found['msg']}" for found in error.errors())
            raise SettingsInvalid("; ".join(wrong)) from None
        except SettingsError as error:
            raise SettingsInvalid() from error

    @property
    def database(self) -> str:
        """The database's URL, the embedded one filled in."""
        return self.database_url or f"sqlite:///{self.data_dir.resolve() / 'catalogue.sqlite'}"

    @property
    def broker_socket(self) -> Path:
        """The embedded broker's socket; below the temporary folder when `data_dir` is too deep for a socket's name."""
        socket = self.data_dir.resolve() / "broker" / "valkey.sock"
        if len(str(socket).encode()) <= MAX_SOCKET_NAME:
            return socket
        digest = hashlib.sha256(str(socket).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"coverslip-{os.getuid()}-{digest}" / "valkey.sock"

    @property
    def broker(self) -> str:
        """The broker's URL, the embedded one filled in."""
        return self.broker_url or f"redis+socket://{self.broker_socket}"


def _name(place: tuple[int | str, ...]) -> str:
    return str(place[0]).upper() if place else ""
