"""Which slides exist for whom, whose pixels and files they get, and why there are none: for routes and tiles alike."""

from __future__ import annotations

from coverslip.archive.records import Principal, SlideRecord
from coverslip.archive.states import AT_WORK, State
from coverslip.errors import CoverslipError, NotFound
from service.errors import NotReady, Withdrawn
from service.roles import Role, has


def may_see(caller: Principal | None, slide: SlideRecord) -> bool:
    """Whether a slide exists for the caller: released for everyone, the rest for curators, ops and who sent it in."""
    if slide.state in (State.RELEASED, State.WITHDRAWN) or has(caller, Role.CURATOR, Role.OPS):
        return True
    return caller is not None and caller.owner == slide.owner and has(caller, Role.SUBMITTER)


def may_look(caller: Principal | None, slide: SlideRecord) -> bool:
    """Whether the caller may see pixels: released for everyone, in review for curators only."""
    return slide.state is State.RELEASED or has(caller, Role.CURATOR)


def absent(slide: SlideRecord, job: str | None) -> CoverslipError:
    """Why a slide that the caller may see has nothing to give; `job` is what works on it."""
    match slide.state:
        case State.WITHDRAWN:
            return Withdrawn()
        case state if state in AT_WORK:
            return NotReady(slide.sid, job)
        case _:
            return NotFound()
