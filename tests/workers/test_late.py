"""A slide that passes its verifier and then cannot be tiled: damage only a decoder finds, in a real confined child."""

import random
import tempfile
from functools import cache
from pathlib import Path

import pytest

from coverslip import pipeline, policy, tiling
from coverslip.archive.states import State
from coverslip.confined.supervisor import Zygote
from coverslip.errors import InputError, PyramidInvalid
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned
from coverslip.pyramid import Pyramid
from samples import aperio
from samples.surgery import Patient
from workers.process import process
from workers.station import WORK, Station
from workers.sweeper import tidy

TRIES = 60
NAME = "ZQ-JANE-DOE.svs"


@cache
def sound():
    """A slide of JPEG 2000 with so many tiles that one is not missed when levels are compared."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.svs"
        aperio.write(path, Size(630, 470), codec="j2k-rgb", tile=64, downsamples=(1, 4), identifiers=False)
        return path.read_bytes()


EDGE, INSIDE = 79, 11
"""Tiles of a base of ten by eight: one is cut while the pyramid is built, the other decoded when it is asked for."""


def spoilt(seed, number):
    """A slide one of whose JPEG 2000 tiles has a sound header and other packets."""
    dice = random.Random(seed)
    patient = Patient(sound())

    def edit(stream):
        out = bytearray(stream)
        for _ in range(30):
            out[dice.randrange(len(out) // 2, len(out) - 2)] = dice.choice((0, 1, 0x55, 0x7F, 0xFE))
        return bytes(out)

    return patient.replace_tile(0, number, edit(patient.stored(0, number))).data


def fails_late(data, folder, *, complete=False):
    """Whether the slide is cleaned and its clean copy then refused by the decoder."""
    folder.mkdir()
    (folder / "in.svs").write_bytes(data)
    made = pipeline.deidentify(folder / "in.svs", folder, policy=policy.load("strict"), key=b"k" * 32)
    if not isinstance(made, Cleaned):
        return False
    try:
        tiling.build_pyramid(made.clean, folder / "x.pyramid", complete=complete)
    except InputError:
        return True
    return False


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """Some damage is such: how a decoder takes it depends on its version."""
    root = tmp_path_factory.mktemp("late")
    return next(data for seed in range(TRIES) if fails_late(data := spoilt(seed, EDGE), root / str(seed)))


@pytest.fixture(scope="module")
def real():
    """The real work's process."""
    with Zygote(WORK.partition(":")[0]) as zygote:
        yield zygote


def test_it_is_set_aside_with_a_code_and_nothing_of_it_is_shown(installation, real, slide, tmp_path, capfd):
    """A typed code and a place, an audit row, no file in a zone anybody looks at, no value."""
    archive = installation.archive
    sid, job = installation.add_slide(NAME, slide)
    station = Station("worker-a@test", archive, installation.settings, real, WORK)
    while installation.slide(sid).state in (State.QUEUED, State.PROCESSING):
        process(job, station)
    ended = installation.slide(sid)
    assert (ended.state, ended.code) == (State.QUARANTINED, "damaged-slide")
    assert ended.where
    assert ended.artefact is None
    tidy(archive)
    assert installation.files() <= {f"phi/quarantine/{ended.uid}"}
    events = archive.catalog.events(sid)
    assert [event.code for event in events if event.after == State.QUARANTINED] == ["damaged-slide"]
    said = repr(events) + "".join(capfd.readouterr())
    assert not any(word in said for word in ("ZQ", "JANE", "Traceback"))


def test_damage_inside_is_found_when_it_is_asked_for(installation, real, tmp_path):
    """No build but a complete one decodes such a tile: the slide comes to review, that one place says what it is."""
    found = (spoilt(seed, INSIDE) for seed in range(TRIES))
    data = next(data for number, data in enumerate(found) if fails_late(data, tmp_path / str(number), complete=True))
    sid, job = installation.add_slide(NAME, data)
    process(job, Station("worker-a@test", installation.archive, installation.settings, real, WORK))
    folder = installation.archive.where_is(installation.slide(sid))
    with Pyramid.open(folder / "slide.svs", folder / "slide.pyramid") as pyramid:
        with pytest.raises(PyramidInvalid) as caught:
            pyramid.tile(pyramid.grid.largest, 1, 1)
        assert caught.value.where == f"tile {pyramid.grid.largest}/1/1"
        assert pyramid.tile(pyramid.grid.largest, 0, 0)
