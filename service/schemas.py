"""What goes over the wire as JSON: names follow docs/api.md."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel, ConfigDict, Field

from coverslip.archive.records import Event, QueueStats, SlideRecord, Upload
from coverslip.archive.states import State


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
    levels: int | None
    tile_size: int | None
    mpp_x: float | None = Field(description="Micrometres per pixel.")
    mpp_y: float | None = Field(description="Micrometres per pixel.")
    objective: float | None = Field(description="Nominal magnification.")
    sha256: str | None = Field(description="Of the clean slide.")
    bytes: int | None
    removed: int | None
    kept: int | None
    replaced: int | None
    links: Links

    @classmethod
    def of(cls, slide: SlideRecord) -> SlideOut:
        """What the catalogue knows, without where things lie and who sent them."""
        return cls(
            **{name: getattr(slide, name) for name in _SAME},
            problem=Problem(code=slide.code, where=slide.where) if slide.code else None,
            format=slide.vendor,
            objective=slide.magnification,
            bytes=slide.size_bytes,
            links=links_of(slide),
        )


_SAME = (
    *("sid", "state", "collection", "policy", "stage", "done", "created", "updated", "route", "width", "height"),
    *("levels", "tile_size", "mpp_x", "mpp_y", "sha256", "removed", "kept", "replaced"),
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
    reason: str = Field("", max_length=500)


class WorkerOut(Out):
    """A worker and when it was last heard of."""

    name: str
    seen: datetime
    job: str | None


class Queues(Out):
    """What ops looks at first."""

    oldest_age: float = Field(description="Seconds the oldest waiting job has waited.")
    depth: int
    running: int
    finished_per_minute: float
    workers: list[WorkerOut]
    failures: dict[str, int] = Field(description="Slides set aside, by cause.")

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


class Me(Out):
    """Who is signed in."""

    signed_in: bool
    owner: str | None = None
    roles: list[str] = []
    demo: bool = False
