"""Finds what got lost and sends it again; any process may sweep, one at a time does.

Messages may vanish (a broker emptied, a worker killed between taking and acknowledging): the job rows do not.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from celery import Celery

from coverslip.archive import tidying
from coverslip.archive.archive import Archive
from coverslip.archive.kinds import JobKind
from coverslip.archive.strangers import strangers
from coverslip.archive.tidying import COLLECT_EVERY
from coverslip.errors import CoverslipError, StorageAway
from coverslip.logs import about
from coverslip.settings import Settings
from workers import logs
from workers.app import QUEUES, broker_errors, create

DUTY = "sweep"
BATCHES_HELD = 5
"""The duty is kept for this many rounds, so that a killed sweeper is replaced soon."""

log = logs.get("workers.sweeper")


class BrokerAway(Exception):
    """The broker did not take a message; the row stays, so nothing is lost."""


@dataclass(frozen=True, slots=True)
class Broker:
    """The two things a sweeper wants of a broker."""

    send: Callable[[JobKind, str], None]
    waiting: Callable[[JobKind], int]


def celery_broker(app: Celery) -> Broker:
    """Hints over Celery; both callables raise `BrokerAway`."""
    errors = broker_errors(app)

    def send(kind: JobKind, job: str) -> None:
        try:
            app.send_task(kind.task, kwargs={"job": job}, queue=QUEUES[kind], task_id=job, retry=False)
        except errors as error:
            raise BrokerAway from error

    def waiting(kind: JobKind) -> int:
        try:
            with app.connection_for_write() as connection, connection.channel() as channel:
                return int(channel._size(QUEUES[kind]))
        except errors as error:
            raise BrokerAway from error

    return Broker(send, waiting)


def sweep(archive: Archive, broker: Broker, settings: Settings, holder: str) -> int:
    """One round, if it is our duty; returns how many hints were sent."""
    if not archive.catalog.take_duty(DUTY, holder, settings.sweep_every * BATCHES_HELD):
        return 0
    buried = archive.catalog.bury()
    if buried:
        log.warning("worker died at every attempt", count=buried)
    try:
        return _hint(archive, broker, settings)
    except BrokerAway:
        log.warning("broker away")
        return 0


def sweep_once(settings: Settings) -> int:
    """One round from the command line, as a timer would call it."""
    archive = Archive.open(settings, with_vault=False)
    try:
        sweep(archive, celery_broker(create(settings)), settings, "command line")
        tidy(archive)
    finally:
        archive.close()
    return 0


def tidy(archive: Archive) -> None:
    """What need not be done often: interrupted releases, what is overdue, what dead attempts left behind."""
    now = datetime.now(UTC)
    steps: dict[str, Callable[[], int]] = {
        "reconcile": lambda: tidying.reconcile(archive),
        "expire": lambda: tidying.expire_uploads(archive, now),
        "purge": lambda: tidying.purge_overdue(archive, now),
        "ended": lambda: tidying.discard_ended(archive),
        "drafts": lambda: tidying.discard_drafts(archive),
        "collect": lambda: tidying.collect(archive, now),
    }
    done = sum(_tidied(archive, name, step) for name, step in steps.items())
    if done:
        log.info("tidied", count=done)
    if archive.catalog.take_duty("strangers", secrets.token_hex(8), COLLECT_EVERY) and (unknown := strangers(archive)):
        log.warning("strangers", count=len(unknown))


def _tidied(archive: Archive, name: str, step: Callable[[], int]) -> int:
    """One step; what goes wrong with a file or a folder is no reason to leave the next ones undone.

    Raises `StorageFailed` while the database or the bucket is away: then none of them can be done.
    """
    try:
        return step()
    except StorageAway:
        raise
    except CoverslipError as error:
        archive.catalog.ping()
        log.error("not all tidied", stage=name, code=error.code, where=error.where)
    except Exception as error:  # noqa: BLE001  what nobody thought of is no reason for never deleting anything again
        log.error("not all tidied", stage=name, **about(error))
    return 0


def _hint(archive: Archive, broker: Broker, settings: Settings) -> int:
    """As many hints as there is work, at most a backlog of them: whoever takes one asks whose turn it is."""
    sent = 0
    for kind in JobKind:
        due = archive.catalog.hints_due(kind, held=broker.waiting(kind), limit=settings.hint_backlog)
        for job in due:
            broker.send(kind, job)
        sent += len(due)
    if sent:
        log.info("hinted", count=sent)
    return sent
