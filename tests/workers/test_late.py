"""A slide that passes its verifier and then cannot be tiled: damage only a decoder finds, in a real confined child."""

import random

import pytest
import tifffile

from coverslip import pipeline, policy
from coverslip.archive.states import State
from coverslip.confined.supervisor import Zygote
from coverslip.errors import InputError
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned
from samples import generic
from workers.process import WORK, Station, process
from workers.sweeper import tidy

TRIES = 60
NAME = "ZQ-JANE-DOE.svs"


def spoilt(path, seed):
    """A slide of one level, one of whose JPEG tiles has a sound header and another scan."""
    generic.write(path, Size(600, 500), tile=256, downsamples=(1,), identifiers=False)
    with tifffile.TiffFile(path) as tiff:
        at, length = tiff.pages[0].dataoffsets[0], tiff.pages[0].databytecounts[0]
    raw, dice = bytearray(path.read_bytes()), random.Random(seed)
    for _ in range(30):
        raw[dice.randrange(at + length // 2, at + length - 4)] = dice.choice((0, 1, 0x55, 0x7F, 0xFE))
    path.write_bytes(raw)
    return path


def fails_late(path):
    """Whether the slide is cleaned and its clean copy then refused by the decoder."""
    folder = path.with_suffix("")
    made = pipeline.deidentify(path, folder, policy=policy.load("strict"), key=b"k" * 32)
    if not isinstance(made, Cleaned):
        return False
    try:
        pipeline.build_pyramid(made.clean, folder / "x.pyramid")
    except InputError:
        return True
    return False


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """Some damage is such: how a decoder takes it depends on its version."""
    root = tmp_path_factory.mktemp("late")
    slides = (spoilt(root / f"{seed}.tiff", seed) for seed in range(TRIES))
    return next(path.read_bytes() for path in slides if fails_late(path))


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
