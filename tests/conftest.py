"""What tests of all parts share."""

from collections.abc import Callable
from pathlib import Path

import pytest

from samples.real import find


@pytest.fixture(scope="session")
def real_slide() -> Callable[[str], Path]:
    """A real slide by its place in the collection; the test is skipped, and says so, where the collection is absent."""

    def at_hand(name: str) -> Path:
        found = find(name)
        if found is None:
            pytest.skip(f"real slide {name} is not at hand (COVERSLIP_REAL_SLIDES)")
        return found

    return at_hand
