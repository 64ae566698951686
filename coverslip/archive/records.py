"""What the catalogue hands out: frozen facts, never live database objects."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from coverslip.archive.attempts import artefact_name
from coverslip.archive.states import JobState, State
from coverslip.geometry import Mpp

PYRAMID = "slide.pyramid"
"""The index a slide comes to review with."""


@dataclass(frozen=True, slots=True)
class Upload:
    """A file on its way in."""

    uid: str
    owner: str
    length: int
    """Bytes announced."""
    offset: int
    """Bytes we have promised to keep."""
    generation: int
    """The newest request that writes; an older one gets `LeaseLost`."""
    state: str
    """`open`, `finished` or `terminated`."""
    created: datetime
    expires: datetime
    sid: str | None
    """The slide it became."""


@dataclass(frozen=True, slots=True)
class Load:
    """What uploads hold at one moment: bounds are held against it."""

    open_now: int
    """Unfinished uploads of one owner."""
    owned: int
    """Bytes of that owner: announced by unfinished uploads, and of originals that are kept."""
    announced: int
    """Bytes all unfinished uploads announced, whoever's."""
    arrived: int
    """Bytes of those that are here."""


@dataclass(frozen=True, slots=True)
class Produced:
    """A clean slide that passed its verifier, with the numbers the catalogue keeps of it."""

    clean_name: str
    """File name inside the artefact directory: `slide.svs` or `slide.tiff`."""
    sha256: str
    size_bytes: int
    vendor: str
    route: str
    width: int
    height: int
    levels: int
    tile_size: int | None
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    removed: int
    kept: int
    replaced: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """The pipeline had a doubt: the slide goes to quarantine."""

    code: str
    where: str = ""


@dataclass(frozen=True, slots=True)
class Refused:
    """No reader takes the file, or it is damaged or too large."""

    code: str
    where: str = ""


Verdict = Produced | SetAside | Refused
"""What a finished job says about its slide."""


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """One slide as the catalogue knows it; numbers of the clean copy are None until there is one."""

    sid: str
    uid: str
    """The upload its original came from."""
    owner: str
    collection: str
    policy: str
    state: State
    version: int
    """Raised at every change of state."""
    stage: str | None
    done: float | None
    """How much of `stage` is done, 0…1."""
    code: str | None
    where: str | None
    created: datetime
    updated: datetime
    artefact: str | None
    """Directory name below `review/<sid>/` or `released/<sid>/`; None while nothing is published."""
    clean_name: str | None
    index_name: str | None
    """The pyramid's file in a bucket, once it was made complete; None for the one the slide came with."""
    sha256: str | None
    """Of the clean slide, never of the original."""
    size_bytes: int | None
    vendor: str | None
    route: str | None
    width: int | None
    height: int | None
    levels: int | None
    tile_size: int | None
    mpp_x: float | None
    mpp_y: float | None
    magnification: float | None
    removed: int | None
    kept: int | None
    replaced: int | None

    @property
    def index(self) -> str:
        """The pyramid's file beside the clean slide."""
        return self.index_name or PYRAMID

    @property
    def mpp(self) -> Mpp | None:
        """Micrometres per pixel, when known in both directions."""
        return None if self.mpp_x is None or self.mpp_y is None else Mpp(self.mpp_x, self.mpp_y)


@dataclass(frozen=True, slots=True)
class Standing:
    """What who tidies needs to know of a slide."""

    state: State
    artefact: str | None


@dataclass(frozen=True, slots=True)
class Page:
    """Some slides, newest first, and where to go on."""

    slides: tuple[SlideRecord, ...]
    cursor: str | None
    """Pass it to the next call; None when there is no more."""


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail."""

    seq: int
    at: datetime
    sid: str | None
    actor: str
    action: str
    before: str | None
    after: str | None
    code: str | None
    where: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class Job:
    """One piece of work as the queue knows it."""

    id: str
    sid: str
    kind: str
    state: JobState
    priority: int
    owner: str
    token: int
    attempts: int
    worker: str | None
    code: str | None
    where: str | None
    created: datetime
    finished: datetime | None


@dataclass(frozen=True, slots=True)
class Claim:
    """The right to work on one job until the lease runs out; void as soon as a higher token exists."""

    job: str
    kind: str
    sid: str
    uid: str
    policy: str
    collection: str
    worker: str
    token: int
    attempt: int
    verified: str | None = None
    """The attempt that came as far as a verified clean slide, by its artefact's name."""
    facts: Produced | None = None
    """What that attempt made; for a pyramid what the slide is."""
    target: str | None = None
    """For a pyramid: the published artefact it belongs to."""

    @property
    def artefact(self) -> str:
        """A directory name no other attempt, job or zombie can have."""
        return artefact_name(self.job, self.token)


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A job that came to no verdict and waits for somebody."""

    job: str
    sid: str
    kind: str
    code: str
    where: str | None
    attempts: int
    finished: datetime
    verified: bool
    """Whether a replay starts behind the verifier."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Work that is not begun for now."""

    scope: str
    """`everything`, `owner` or `collection`."""
    name: str
    """Whose; empty for everything."""
    since: datetime
    actor: str


@dataclass(frozen=True, slots=True)
class WorkerSeen:
    """A worker and when it was last heard of."""

    name: str
    started: datetime
    seen: datetime
    job: str | None
    """What it holds a claim on."""


@dataclass(frozen=True, slots=True)
class KindStats:
    """One kind of work."""

    kind: str
    depth: int
    """Jobs waiting."""
    oldest_age: float
    """Seconds the oldest waiting job has waited; 0 when none waits."""
    running: int


@dataclass(frozen=True, slots=True)
class QueueStats:
    """What ops looks at first."""

    depth: int
    """Jobs waiting."""
    oldest_age: float
    """Seconds the oldest waiting job has waited; 0 when none waits."""
    running: int
    workers: tuple[WorkerSeen, ...]
    failures: dict[str, int]
    """Slides in quarantined, rejected or failed, by code."""
    held_up: dict[str, int]
    """Slides that were tried and wait again, by the code their attempt ended with."""
    finished_per_minute: float
    """Jobs that came to an end, averaged over the last five minutes."""
    kinds: tuple[KindStats, ...] = ()
    """The same by kind of work, every kind there is."""

    @property
    def eta(self) -> float | None:
        """Seconds until what waits is done, at the pace of the last five minutes; None without a pace."""
        return 60 * self.depth / self.finished_per_minute if self.finished_per_minute else None


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key without its secret."""

    id: str
    label: str
    owner: str
    roles: frozenset[str]
    created: datetime
    revoked: datetime | None


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking, and what they may do."""

    key_id: str
    owner: str
    roles: frozenset[str]
