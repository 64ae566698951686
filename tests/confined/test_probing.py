"""Until a slide is opened and planned its child gets a gibibyte and 30 seconds, afterwards what settings say."""

from datetime import timedelta

import pytest

from coverslip.confined.layers import Limits
from coverslip.confined.messages import Declined, Task, Tiled
from coverslip.confined.supervisor import Zygote
from coverslip.errors import ChildOutOfMemory, ChildTimedOut
from coverslip.progress import silent
from tests.confined.probes import LITTLE

MODULE = "tests.confined.probes"
WHOLE = Limits(memory=4 << 30, cpu=timedelta(hours=2), wall=timedelta(minutes=5), output=1 << 20)
"""As delivered."""


@pytest.fixture(scope="module")
def zygote():
    with Zygote(MODULE) as process:
        yield process


@pytest.fixture
def run(zygote, tmp_path):
    """Does one of the probes' works."""
    (tmp_path / "source").write_bytes(b"a slide")
    (tmp_path / "out").mkdir()
    task = Task(tmp_path / "source", tmp_path / "out", "strict", b"k" * 32)
    return lambda name: zygote.run(f"{MODULE}:{name}", task, WHOLE, progress=silent)


def test_memory_before_the_slide_is_known(run, zygote):
    """An allocation beyond the limit fails, and that is how it is told."""
    with pytest.raises(ChildOutOfMemory):
        run("hoard")
    assert zygote.spent.peak <= LITTLE + (64 << 20)


def test_time_before_the_slide_is_known(run, zygote):
    """The child is ended after so much CPU, whatever it would be given later."""
    with pytest.raises(ChildTimedOut):
        run("burn")
    assert 0.5 <= zygote.spent.cpu <= 3


@pytest.mark.parametrize("name", ["hoard_later", "burn_later", "burn_unpacking"])
def test_a_slide_gets_more(run, name):
    """The same is no fault once it is written or verified; nor is time, while an archive's pieces come out."""
    assert run(name) == Tiled()


@pytest.mark.parametrize("name", ["workers_work", "command_line_s_work"])
def test_the_real_work_is_held(run, name):
    """A gibibyte and 30 seconds for opening and planning; the settings' limits for writing, verifying, tiling."""
    outcome = run(name)
    assert isinstance(outcome, Declined)
    opening, planning, *later = outcome.where.split(" ")
    assert opening == planning == f"{1 << 30}/30"
    assert set(later) == {f"-1/{2 * 3600}"}
