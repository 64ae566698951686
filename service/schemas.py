"""What goes over the wire as JSON: names follow docs/api.md."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from coverslip.archive.events import MAX_REASON
from coverslip.archive.pauses import Scope
from coverslip.archive.records import ApiKey, Event, Job, QueueStats, SlideRecord, Upload
from coverslip.archive.states import JobState, State
from coverslip.pyramid.stack import Stack
from service.reasons import advice, meaning


class Out(BaseModel):
    """Something we say."""

    model_config = ConfigDict(frozen=True, from_attributes=True)


class Links(Out):
    """Where the parts of a slide are."""

    self: str
    page: str
    report: str
    events: str
    dzi: str | None = None
    tiles: str | None = None
    thumbnail: str | None = None
    file: str | None = None
    szi: str | None = None
    viewer: str | None = None


class Problem(Out):
    """Why a slide is where it is, as a code and a place, never a value."""

    code: str
    where: str | None = None
    meaning: str = Field(description="The code in a sentence.")
    advice: str = Field(description="What to do about it; commands stand in backticks.")

    @classmethod
    def of(cls, code: str, where: str | None) -> Problem:
        """The code with what is said of it everywhere."""
        return cls(code=code, where=where, meaning=meaning(code), advice=advice(code))


class ChannelOut(Out):
    """One channel of a slide, and how it is shown."""

    name: str | None = Field(description="A fluorophore, stain or marker of the policy's list.")
    color: str = Field(description="`#RRGGBB`: what it is shown in, together with other channels.")
    emission: float | None = Field(description="Nanometres.")
    excitation: float | None = Field(description="Nanometres.")
    window: tuple[int, int] = Field(description="Sample values that its tiles show as black and as full brightness.")


class PlanesOut(Out):
    """What `z`, `t`, `channels` and `window` of an address choose among."""

    z: int = Field(description="Focal planes.")
    t: int = Field(description="Moments.")
    shown_z: int = Field(description="The focal plane that is shown when nobody asks for one.")
    z_step: float | None = Field(description="Micrometres between focal planes.")
    bits: int = Field(description="Of a sample, as windows count them.")
    color: bool = Field(description="Whether a plane is a colour picture: `channels` are its red, green and blue then.")
    channels: list[ChannelOut] = Field(description="One for colour pictures.")

    @property
    def several(self) -> bool:
        """Whether there is anything to choose."""
        return self.z > 1 or self.t > 1 or len(self.channels) > 1

    @classmethod
    def of(cls, stack: Stack) -> PlanesOut:
        """As the index tells it."""
        return cls(
            z=stack.z,
            t=stack.t,
            shown_z=stack.middle,
            z_step=stack.z_step,
            bits=stack.bits,
            color=stack.samples > 1,
            channels=[
                ChannelOut(
                    name=channel.name or None,
                    color=f"#{channel.colour}",
                    emission=channel.emission,
                    excitation=channel.excitation,
                    window=channel.window,
                )
                for channel in stack.channels
            ],
        )


class SlideOut(Out):
    """One slide."""

    sid: str
    state: State
    collection: str
    policy: str
    stage: str | None
    done: float | None = Field(description="Share of the stage that is done, 0 to 1.")
    problem: Problem | None = None
    created: datetime
    updated: datetime
    format: str | None
    route: str | None
    width: int | None
    height: int | None
    level_count: int | None = Field(description="Levels of the clean slide itself.")
    tile_size: int | None = Field(description="Side of a tile as it is served.")
    mpp_x: float | None = Field(description="Micrometres per pixel.")
    mpp_y: float | None = Field(description="Micrometres per pixel.")
    objective: float | None = Field(description="Nominal magnification.")
    sha256: str | None = Field(description="Of the clean slide.")
    bytes: int | None
    version: int = Field(description="Grows with every move and with every new index.")
    removed: int | None
    kept: int | None
    replaced: int | None
    planes: PlanesOut | None = Field(None, description="Of a slide with tiles, asked for by itself.")
    links: Links

    @classmethod
    def of(cls, slide: SlideRecord) -> SlideOut:
        """What the catalogue knows, without where things lie and who sent them."""
        return cls(
            **{name: getattr(slide, name) for name in _SAME},
            problem=Problem.of(slide.code, slide.where) if slide.code else None,
            format=slide.vendor,
            objective=slide.magnification,
            level_count=slide.levels,
            bytes=slide.size_bytes,
            links=links_of(slide),
        )


class LevelOut(Out):
    """One level."""

    index: int | None = Field(description="Number of a native level, for `/levels/{n}` and a region's `level`.")
    width: int
    height: int
    downsample: float
    tile_w: int
    tile_h: int
    native: bool = Field(description="Whether the slide holds it; the others are made of those.")
    bytes: int | None = Field(description="Of a native level's tiles as stored.")


class SlideDetail(SlideOut):
    """One slide in full."""

    levels: list[LevelOut] | None = Field(None, description="Largest first; null while there are no files.")
    codec: str | None = Field(None, description="Of the stored tiles: jpeg, jpeg2000, or null for another.")
    icc: bool | None = Field(None, description="Whether the slide has a colour profile.")
    licence: str | None = None
    doi: str | None = Field(None, description="The persistent address to cite.")

    @classmethod
    def of(cls, slide: SlideRecord, **more: object) -> SlideDetail:
        """The same, with what else is known."""
        return cls(**{**SlideOut.of(slide).model_dump(), **more})


_SAME = (
    *("sid", "state", "collection", "policy", "stage", "done", "created", "updated", "route", "width", "height"),
    *("tile_size", "mpp_x", "mpp_y", "sha256", "version", "removed", "kept", "replaced"),
)


def links_of(slide: SlideRecord) -> Links:
    """Addresses of a slide's parts; those of pixels only when there are any."""
    api, page = f"/api/v1/slides/{slide.sid}", f"/slides/{slide.sid}"
    tiled = slide.state in (State.IN_REVIEW, State.RELEASED)
    return Links(
        self=api,
        page=page,
        report=f"{api}/report",
        events=f"{api}/events",
        dzi=f"{page}.dzi" if tiled else None,
        tiles=f"{page}_files/" if tiled else None,
        thumbnail=f"{page}/thumbnail" if tiled else None,
        file=f"{page}/file" if tiled else None,
        szi=f"{page}.szi" if tiled else None,
        viewer=f"{page}/viewer" if tiled else None,
    )


class SlidePage(Out):
    """Some slides and how many there are in each state."""

    slides: list[SlideOut]
    cursor: str | None = Field(description="Pass it as `cursor` for the next page; null at the end.")
    counts: dict[State, int]


class EventOut(Out):
    """One line of the audit trail."""

    seq: int
    at: datetime
    actor: str
    action: str
    before: str | None
    after: str | None
    code: str | None
    where: str | None
    reason: str | None

    @classmethod
    def of(cls, event: Event) -> EventOut:
        """The event as recorded."""
        return cls.model_validate(event)


class LinkOut(Out):
    """A way to one slide for whoever holds it."""

    url: str
    dzi: str
    iiif: str = Field(description="`info.json` for IIIF viewers.")
    manifest: str = Field(description="For Mirador and other viewers of IIIF manifests.")
    token: str
    expires: datetime


class Events(Out):
    """The audit trail of one slide, oldest first."""

    events: list[EventOut]


class TransitionIn(BaseModel):
    """A move somebody asks for."""

    to: State
    reason: str = Field("", max_length=MAX_REASON)


class PurgeIn(BaseModel):
    """Why an original is destroyed."""

    reason: str = Field(min_length=1, max_length=MAX_REASON)


class OriginalOut(Out):
    """Whether a slide's original can still be read by anybody, and its clean files be found."""

    sid: str
    kept: bool
    purged: datetime | None = Field(description="When its key was destroyed.")
    clean: bool = Field(description="Whether the clean slide is still there; of one that is over, a purge deletes it.")


class WorkerOut(Out):
    """A worker and when it was last heard of."""

    name: str
    seen: datetime
    job: str | None


class KindOut(Out):
    """One kind of work."""

    kind: str
    depth: int
    oldest_age: float = Field(description="Seconds the oldest waiting job has waited.")
    running: int


class PauseOut(Out):
    """Work that is not begun for now."""

    scope: Scope
    name: str = Field(description="Whose; empty for everything.")
    since: datetime
    actor: str


class DeadLetterOut(Out):
    """A job that came to no verdict and waits for somebody."""

    job: str
    sid: str
    kind: str
    code: str
    where: str | None
    attempts: int
    finished: datetime
    verified: bool = Field(description="Whether a replay starts behind the verifier.")


class DeadLetters(Out):
    """Dead letters, newest first, and how many there are of each reason."""

    letters: list[DeadLetterOut]
    reasons: dict[str, int]


class JobOut(Out):
    """One piece of work."""

    id: str
    sid: str
    kind: str
    state: JobState
    priority: int = Field(description="2 first, 1 usual, 0 when there is nothing else to do.")
    attempts: int
    stage: str | None = Field(description="While it runs: open, plan, write, verify or pyramid.")
    done: float | None = Field(description="Share of the stage that is done, 0 to 1.")
    ahead: int | None = Field(description="While it waits: about how many jobs begin before it.")
    code: str | None
    where: str | None
    created: datetime
    finished: datetime | None

    @classmethod
    def of(cls, job: Job, slide: SlideRecord, ahead: int | None) -> JobOut:
        """The job as recorded, and how far it came with its slide."""
        facts = {name: getattr(job, name) for name in cls.model_fields if hasattr(job, name)}
        running = job.state is JobState.RUNNING and slide.state is State.PROCESSING
        stage, done = (slide.stage, slide.done) if running else (None, None)
        return cls(**facts, stage=stage, done=done, ahead=ahead)


class PauseIn(BaseModel):
    """What to pause or resume: everything, or one owner's or collection's work."""

    scope: Scope = Scope.EVERYTHING
    name: str = Field("", max_length=128)

    @model_validator(mode="after")
    def _named(self) -> PauseIn:
        if (self.scope is Scope.EVERYTHING) == bool(self.name):
            raise ValueError
        return self


class ReplayIn(BaseModel):
    """Which dead letters to replay."""

    code: str = Field(max_length=64, pattern=r"^[a-z][a-z-]*$")


class Replayed(Out):
    """How many dead letters were replayed."""

    count: int


class PriorityIn(BaseModel):
    """How urgent a waiting job is to be."""

    priority: Literal["first", "usual", "later"]


class Queues(Out):
    """What ops looks at first."""

    oldest_age: float = Field(description="Seconds the oldest waiting job has waited.")
    depth: int
    running: int
    finished_per_minute: float
    workers: list[WorkerOut]
    failures: dict[str, int] = Field(description="Slides set aside, by cause.")
    held_up: dict[str, int] = Field(description="Slides that were tried and wait again, by cause.")
    kinds: list[KindOut]
    eta: float | None = Field(description="Seconds until what waits is done, at the pace of the last five minutes.")

    @classmethod
    def of(cls, stats: QueueStats) -> Queues:
        """The figures as counted."""
        return cls.model_validate(stats)


class UploadOut(Out):
    """An unfinished upload, without its name."""

    uid: str
    length: int
    offset: int
    created: datetime
    expires: datetime

    @classmethod
    def of(cls, upload: Upload) -> UploadOut:
        """What the protocol would say too."""
        return cls.model_validate(upload)


class UploadDesk(Out):
    """What an uploader needs to know before sending anything."""

    endpoint: str
    max_bytes: int
    max_files: int = Field(description="In one folder or archive.")
    policies: list[str]
    policy: str
    collection: str
    unfinished: list[UploadOut]


class KeyOut(Out):
    """An API key, without its secret."""

    id: str
    label: str
    owner: str
    roles: list[str]
    created: datetime
    revoked: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyOut:
        """The key as recorded."""
        return cls(
            id=key.id,
            label=key.label,
            owner=key.owner,
            roles=sorted(key.roles),
            created=key.created,
            revoked=key.revoked,
        )


class Me(Out):
    """Who is signed in."""

    signed_in: bool
    owner: str | None = None
    roles: list[str] = []
    demo: bool = False
