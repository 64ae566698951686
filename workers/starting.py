"""What has to be right before a worker starts: a policy it can read, and a database and a broker that answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final

from coverslip.archive.database import answers
from coverslip.errors import PolicyInvalid, SettingsInvalid
from coverslip.policy import load
from coverslip.settings import Settings
from workers import logs
from workers.app import broker_errors, create
from workers.programs import Stopping

FIRST_WAIT: Final = 1.0
LONGEST_WAIT: Final = 30.0
"""Seconds between two tries to reach what does not answer."""

log = logs.get("workers.starting")


def check_policy(settings: Settings) -> None:
    """Raise SettingsInvalid when slides could not be worked on by the policy that the settings name."""
    try:
        load(settings.policy)
    except PolicyInvalid as error:
        raise SettingsInvalid(f"COVERSLIP_POLICY: {error}") from error


def reached(settings: Settings, stopping: Stopping) -> bool:
    """Wait until database and broker answer, saying at each try which does not; False when told to stop meanwhile.

    A broker of our own is started, and looked after, by whoever runs the worker.
    """
    asked: list[tuple[str, Callable[[], bool]]] = [("COVERSLIP_DATABASE_URL", partial(answers, settings.database))]
    if settings.broker_url:
        asked.append(("COVERSLIP_BROKER_URL", partial(broker_answers, settings)))
    return all(_reached(where, answer, stopping) for where, answer in asked)


def _reached(where: str, answer: Callable[[], bool], stopping: Stopping) -> bool:
    patience = FIRST_WAIT
    while not answer():
        log.error("does not answer, trying again", where=where, seconds=patience)
        if stopping.wait(patience):
            return False
        patience = min(patience * 2, LONGEST_WAIT)
    return True


def broker_answers(settings: Settings) -> bool:
    """Whether a broker is there and lets us in."""
    app = create(settings)
    try:
        with app.connection_for_write() as connection:
            connection.channel().close()
    except broker_errors(app):
        return False
    return True
