"""A pyramid that is built while its slide is being verified: the same file, nobody's before the slide has passed."""

import hashlib
import time
from dataclasses import replace

import pytest

from coverslip import beside, pipeline, policy
from coverslip.errors import DamagedSlide, OutputExists, StorageFailed
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned, Quarantined, Rejected
from coverslip.progress import Stage, silent
from coverslip.tiling import Tiling, build_pyramid
from coverslip.verify import Finding, verify
from samples import aperio


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """One whose levels leave one out between two; about nobody: looking for people takes the verifier longest."""
    return aperio.write(tmp_path_factory.mktemp("slide") / "a.svs", Size(1100, 900), identifiers=False).path


class Other:
    """Stands for another process: does on the spot what it is asked, and knows of what it was asked."""

    def __init__(self):
        self.asked, self.events = [], []

    def __call__(self, work, *arguments, progress):
        self.asked.append((work.__name__, arguments))
        self.events.append(f"{work.__name__} begins")
        time.sleep(0.2)
        try:
            return work(*arguments, progress=progress) if progress else work(*arguments)
        finally:
            self.events.append(f"{work.__name__} ends")


@pytest.fixture
def other(monkeypatch):
    """Lent."""
    monkeypatch.setattr(beside, "_lent", [Other()])
    return beside._lent[0]


def cleaned(slide, out, progress=silent, **tiles):
    """What comes of the slide."""
    return pipeline.deidentify(slide, out, policy=policy.load("strict"), key=b"k" * 32, progress=progress, **tiles)


@pytest.mark.parametrize("complete", [False, True])
def test_it_is_what_a_build_afterwards_makes(complete, slide, tmp_path, other):
    """Byte for byte, with the slide's own digest in it; people see one stage after the other all the same."""
    stages = []
    outcome = cleaned(
        slide, tmp_path / "out", lambda stage, done: stages.append(stage), pyramid=True, complete=complete
    )
    assert stages == sorted(stages, key=list(Stage).index)
    assert isinstance(outcome, Cleaned)
    ((work, told),) = other.asked
    assert (work, told[2:]) == ("build_pyramid", (complete, hashlib.sha256(outcome.clean.read_bytes()).hexdigest()))
    build_pyramid(outcome.clean, tmp_path / "after.pyramid", complete)
    assert outcome.pyramid.read_bytes() == (tmp_path / "after.pyramid").read_bytes()
    assert outcome.pyramid.name == f"{outcome.clean.stem}.pyramid"


def test_without_another_process_it_is_built_when_the_slide_has_passed(slide, tmp_path):
    """Here threads would only take turns; people see one stage after the other."""
    stages = []
    outcome = cleaned(slide, tmp_path / "out", lambda stage, done: stages.append(stage), pyramid=True)
    assert outcome.pyramid.exists()
    assert list(dict.fromkeys(stages)) == list(Stage)
    assert stages == sorted(stages, key=list(Stage).index)


def test_what_nobody_asked_for_is_not_built(slide, tmp_path, other):
    """And the other process is left alone."""
    outcome = cleaned(slide, tmp_path / "out")
    assert (outcome.pyramid, other.asked) == (None, [])
    assert not list(tmp_path.rglob("*.pyramid*"))


def test_a_slide_that_does_not_pass_has_none(slide, tmp_path, other, monkeypatch):
    """It was being built by then: it goes with everything else, and whether it could be built does not matter."""

    def failing(*_, **options):
        raise DamagedSlide("a tile cannot be decoded", where="ifd[0]")

    def doubting(*arguments):
        report = verify(*arguments)
        return replace(report, findings=(*report.findings, Finding("leaks", "left", "ifd[0]", "is still there")))

    monkeypatch.setattr(pipeline, "verify", doubting)
    monkeypatch.setattr("coverslip.tiling.build", failing)
    outcome = cleaned(slide, tmp_path / "out", pyramid=True)
    assert isinstance(outcome, Quarantined)
    assert [work for work, _ in other.asked] == ["build_pyramid"]
    assert list((tmp_path / "out").iterdir()) == [outcome.certificate]


def test_a_verifier_that_gives_up_waits_for_what_was_begun(slide, tmp_path, other, monkeypatch):
    """What it raised is what is told, and nobody writes any more to a folder that is deleted."""

    def failing(*arguments):
        verify(*arguments)
        raise StorageFailed

    monkeypatch.setattr(pipeline, "verify", failing)
    with pytest.raises(StorageFailed):
        cleaned(slide, tmp_path / "out", pyramid=True)
    assert other.events == ["build_pyramid begins", "build_pyramid ends"]
    assert list((tmp_path / "out").iterdir()) == []


def test_it_is_begun_when_the_other_process_has_compared_the_pictures(slide, tmp_path, other, monkeypatch):
    """Large slides have it do that first: it does one thing after the other."""
    monkeypatch.setattr("coverslip.verify.run.WORTH_A_PROCESS", 0)
    cleaned(slide, tmp_path / "out", pyramid=True)
    assert other.events == ["look begins", "look ends", "build_pyramid begins", "build_pyramid ends"]


@pytest.fixture
def tiles(slide, tmp_path):
    """A pyramid to be, and what is heard of it."""
    heard = []
    clean = cleaned(slide, tmp_path / "out").clean
    with Tiling(clean, tmp_path / "a.pyramid", False, lambda stage, done: heard.append(stage)) as found:
        yield found, heard


def test_nothing_is_heard_of_it_before_somebody_waits(tiles, other):
    """While the slide is being verified, that is what people are told."""
    found, heard = tiles
    found.begin("")
    while other.events[-1:] != ["build_pyramid ends"]:
        time.sleep(0.01)
    assert found.target.exists()
    assert heard == []


def test_without_another_process_nothing_is_begun(tiles):
    """Only when somebody waits."""
    found, heard = tiles
    found.begin("")
    time.sleep(0.3)
    assert list(found.target.parent.glob("*.pyramid")) == []
    found.finish("")
    assert set(heard) == {Stage.PYRAMID}


@pytest.mark.parametrize("lent", [True, False])
def test_a_slide_whose_pyramid_cannot_be_built_is_refused(lent, slide, tmp_path, monkeypatch, request):
    """Slide and index appear together or not at all, wherever it was tried."""

    def failing(*_, **options):
        raise DamagedSlide("a tile cannot be decoded", where="ifd[0]")

    if lent:
        request.getfixturevalue("other")
    monkeypatch.setattr("coverslip.tiling.build", failing)
    outcome = cleaned(slide, tmp_path / "out", pyramid=True)
    assert isinstance(outcome, Rejected)
    assert (outcome.code, outcome.where) == ("damaged-slide", "ifd[0]")
    assert list((tmp_path / "out").iterdir()) == []


def test_an_index_that_has_the_name_already_is_not_overwritten(slide, tmp_path):
    """Nor does the slide appear beside it."""
    first = cleaned(slide, tmp_path / "first", pyramid=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / first.pyramid.name).write_bytes(b"mine")
    with pytest.raises(OutputExists):
        cleaned(slide, tmp_path / "out", pyramid=True)
    assert [file.read_bytes() for file in (tmp_path / "out").iterdir()] == [b"mine"]
