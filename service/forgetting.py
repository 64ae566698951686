"""What a front end holds of slides that nobody is shown any more: it asks the record now and then, and lets go of it.

A deleted file lies on its disk for as long as somebody has it open, and the archive knows nothing of copies that were
fetched from a bucket; so a purge is over only when each front end has let go.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Set
from contextlib import suppress
from typing import Final, Protocol

from starlette.concurrency import run_in_threadpool

from coverslip.archive.catalog import Catalog
from coverslip.archive.states import READABLE
from coverslip.errors import StorageFailed

EVERY: Final = 600.0
"""Seconds between looks; a purge promises a day (operations.md, row 22)."""

Artefact = tuple[str, str]
"""A slide's id and the name of its artefact."""


class Holder(Protocol):
    """Whatever keeps files of slides open, or copies of them."""

    def held(self) -> Set[Artefact]:
        """What it holds something of."""

    def forget(self, gone: Collection[Artefact]) -> None:
        """Hold nothing of these any more; who is reading one of them reads on."""


class Forgetting:
    """The rounds of one front end."""

    def __init__(self, catalog: Catalog, holders: Callable[[], Collection[Holder]]) -> None:
        """`holders` may block: some are not there before they are needed."""
        self._catalog = catalog
        self._holders = holders

    async def run(self) -> None:
        """A round every ten minutes until cancelled; one that fails is made up for by the next."""
        while True:
            await asyncio.sleep(EVERY)
            with suppress(StorageFailed):
                await run_in_threadpool(self.once)

    def once(self) -> int:
        """Ask about everything that is held, let go of what is not shown; how much that was. Raises `StorageFailed`."""
        holders = self._holders()
        held = {artefact for holder in holders for artefact in holder.held()}
        standing = self._catalog.standing({sid for sid, _ in held})
        shown = {(sid, now.artefact) for sid, now in standing.items() if now.state in READABLE}
        gone = held - shown
        for holder in holders:
            holder.forget(gone)
        return len(gone)
