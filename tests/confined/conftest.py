"""The process that children with something to try are forked from."""

from collections.abc import Iterator
from datetime import timedelta

import pytest

from coverslip.confined.layers import Limits
from coverslip.confined.supervisor import Zygote


@pytest.fixture(scope="session")
def zygote() -> Iterator[Zygote]:
    """With everything loaded that children of these tests do."""
    with Zygote(*(f"tests.confined.{name}" for name in ("asking", "acts", "hoarding", "looking", "twins"))) as process:
        yield process


@pytest.fixture
def limits() -> Limits:
    """Generous for an honest child, soon reached by a dishonest one."""
    return Limits(memory=1 << 30, cpu=timedelta(seconds=20), wall=timedelta(seconds=20), output=8 << 20)
