"""How an attempt ended that did not end well, and how it is written down."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from coverslip.archive.records import Claim
from coverslip.errors import ChildNotStarted, CoverslipError, LeaseLost, OriginalDamaged, PolicyInvalid, StorageFailed
from coverslip.logs import about
from coverslip.scarcity import is_scarcity
from workers import logs
from workers.station import Station

AGAIN: Final = 1.0
"""Seconds between two tries to say how an attempt ended."""

log = logs.get("workers.endings")


class Unconfirmed(Exception):
    """A child complains of something of ours in which we find nothing wrong."""

    def __init__(self, said: CoverslipError) -> None:
        """Keep what it said."""
        super().__init__()
        self.said = said


def record(claim: Claim, station: Station, error: Exception) -> bool:
    """Write down the end of an attempt; False when it was put off.

    Storage that fails us, on our side of the wall, a policy nobody can read and a child that never was are no fault of
    the slide's, and no attempt (decision 22).
    """
    match error:
        case LeaseLost():
            log.warning("lease lost", job=claim.job, sid=claim.sid, token=claim.token)
        case Unconfirmed():
            _fail(claim, station, error.said)
        case OriginalDamaged():
            _fail(claim, station, error)
        case StorageFailed() | PolicyInvalid() | ChildNotStarted():
            _put_off(claim, station, error)
            return False
        case CoverslipError():
            _fail(claim, station, error)
        case _ if is_scarcity(error):
            _put_off(claim, station, ChildNotStarted())
            return False
        case _:
            log.error("nobody foresaw this", job=claim.job, sid=claim.sid, **about(error))
            _fail(claim, station, CoverslipError())
    return True


def give_back(claim: Claim, station: Station) -> None:
    """Write down that there was no end: somebody told us to stop in mid-work, and that is nobody's failure."""
    log.warning("given back", job=claim.job, sid=claim.sid)
    _say(station, lambda: station.archive.catalog.release(claim))


def _fail(claim: Claim, station: Station, error: CoverslipError) -> None:
    log.warning("attempt failed", job=claim.job, sid=claim.sid, code=error.code, where=error.where)
    _say(station, lambda: station.archive.catalog.fail(claim, error.code, error.where))


def _put_off(claim: Claim, station: Station, error: CoverslipError) -> None:
    log.warning("put off", job=claim.job, sid=claim.sid, code=error.code, where=error.where)
    _say(station, lambda: station.archive.catalog.put_off(claim, error.code, error.where))


def _say(station: Station, end: Callable[[], None]) -> None:
    """Tell the catalogue, if the job is still ours, as often as it takes: while it is away, nobody else can claim."""
    while True:
        try:
            end()
        except LeaseLost:
            log.info("somebody else has the job")
        except StorageFailed as error:
            if station.is_stopping():
                raise
            log.warning("cannot say how it ended", code=error.code)
            time.sleep(AGAIN)
            continue
        return
