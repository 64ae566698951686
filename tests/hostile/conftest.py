"""A confined child for hostile slides, and what the outcome of one must look like."""

from collections.abc import Iterator

import pytest

from coverslip.confined.supervisor import Zygote
from tests.hostile.running import WORK


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """The process children are forked from."""
    with Zygote(WORK) as process:
        yield process
