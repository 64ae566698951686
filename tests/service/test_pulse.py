"""Live pages hear of changes, also behind an outage of the catalogue's."""

import asyncio
from contextlib import aclosing

import pytest

from coverslip.errors import StorageAway
from service import pulse
from service.pulse import Pulse


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """A look costs nothing here."""
    monkeypatch.setattr(pulse, "INTERVAL", 0.01)


class Catalogue:
    """Looks the same until somebody changes it; away for as long as somebody says so."""

    def __init__(self):
        self.appearance, self.away, self.asked = 0, False, 0

    def __call__(self):
        self.asked += 1
        if self.away:
            raise StorageAway
        return self.appearance

    async def is_asked(self):
        """Return when it was looked at twice more."""
        until = self.asked + 2
        async with asyncio.timeout(5):
            while self.asked < until:
                await asyncio.sleep(0.005)


@pytest.mark.parametrize("away", [False, True])
def test_a_page_that_is_open_hears_of_what_changed(away):
    """Whether or not the catalogue was away meanwhile: nobody should have to load the page again."""

    async def watched():
        catalogue = Catalogue()
        async with aclosing(Pulse(catalogue).stream()) as stream:
            assert b"hello" in await anext(stream)
            await catalogue.is_asked()
            catalogue.away = away
            await catalogue.is_asked()
            catalogue.away, catalogue.appearance = False, 1
            async with asyncio.timeout(5):
                return await anext(stream)

    assert b"changed" in asyncio.run(watched())


def test_who_comes_while_the_catalogue_is_away_hears_of_changes_too():
    """The first look fails; the page is there all the same."""

    async def watched():
        catalogue = Catalogue()
        catalogue.away = True
        async with aclosing(Pulse(catalogue).stream()) as stream:
            await anext(stream)
            await catalogue.is_asked()
            catalogue.away = False
            await catalogue.is_asked()
            catalogue.appearance = 1
            async with asyncio.timeout(5):
                return await anext(stream)

    assert b"changed" in asyncio.run(watched())
