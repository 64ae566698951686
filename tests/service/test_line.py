"""One request body among others that want its place: whoever asks it to stop is never answered with an accident."""

import asyncio

import pytest

from service.errors import Superseded, UploadStalled
from service.receiving import Line

TURNS = 6
"""Turns of the loop between a timer that fires and the task that learns of it, and a few more."""
FOR_EVER = 3600.0


class SilentRequest:
    """A client that sent headers and nothing else."""

    async def stream(self):
        await asyncio.Event().wait()
        yield b""


async def ended_by(line: Line) -> None:
    async for _ in line.pieces():
        raise AssertionError("nothing comes")


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


@pytest.mark.parametrize("between", range(TURNS))
def test_two_may_stop_it_at_any_moment(between):
    """Two newer requests come while an old one stands still: both ask it to go, the second while it is going."""

    async def run():
        line = Line(SilentRequest(), FOR_EVER)
        reading = asyncio.create_task(ended_by(line))
        await turns(2)
        line.stop()
        await turns(between)
        line.stop()
        with pytest.raises(Superseded):
            await reading

    asyncio.run(run())


@pytest.mark.parametrize("between", range(TURNS))
def test_it_may_be_stopped_while_its_patience_ends(between):
    """However the two fall together, it ends in one of the two ways that are documented."""

    async def run():
        line = Line(SilentRequest(), 0.0)
        reading = asyncio.create_task(ended_by(line))
        await turns(between)
        line.stop()
        with pytest.raises((Superseded, UploadStalled)):
            await reading

    asyncio.run(run())
