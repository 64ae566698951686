"""Where catalogues live: a contract about one is a class of tests, run in each of these places."""

import pytest


class Catalogues:
    """A contract's base; a subclass says where the catalogue lives."""

    @pytest.fixture
    def catalog(self, url, open_catalog):
        return open_catalog(url)

    @pytest.fixture
    def filler(self, fill, catalog):
        return fill(catalog)


class InSqlite:
    """Embedded."""

    @pytest.fixture
    def url(self, sqlite_url):
        return sqlite_url


class InPostgres:
    """By URL."""

    @pytest.fixture
    def url(self, postgres_url):
        return postgres_url
