"""A slide that passes its verifier and then cannot be tiled: damage only a decoder finds, in a real confined child."""

import random
import tempfile
from functools import cache
from pathlib import Path

import pytest

from coverslip import pipeline, policy
from coverslip.archive.states import State
from coverslip.confined.supervisor import Zygote
from coverslip.errors import InputError
from coverslip.geometry import Size
from coverslip.outcomes import Cleaned
from samples import aperio
from samples.broken_pixels import tile
from samples.surgery import Patient
from workers.process import WORK, Station, process
from workers.sweeper import tidy

TRIES = 60
NAME = "ZQ-JANE-DOE.svs"


def spoilt(seed):
    """A slide whose JPEG 2000 tile has a sound header and other packets."""
    dice = random.Random(seed)

    def edit(stream):
        out = bytearray(stream)
        for _ in range(30):
            out[dice.randrange(len(out) // 2, len(out) - 2)] = dice.choice((0, 1, 0x55, 0x7F, 0xFE))
        return bytes(out)

    return tile(edit)(Patient(sound())).data


@cache
def sound():
    """Seventy tiles, so that one is little of what the verifier looks at, and a reduced level for the thumbnail."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound.svs"
        options = {"tile": 64, "downsamples": (1, 4), "identifiers": False, "tissue_share": 1}
        return aperio.write(path, Size(600, 400), codec="j2k-rgb", **options).path.read_bytes()


def fails_late(data, folder):
    """Whether the slide is cleaned and its clean copy then refused by the decoder."""
    folder.mkdir()
    (folder / "in.svs").write_bytes(data)
    made = pipeline.deidentify(folder / "in.svs", folder, policy=policy.load("strict"), key=b"k" * 32)
    if not isinstance(made, Cleaned):
        return False
    try:
        pipeline.build_pyramid(made.clean, folder / "x.pyramid", complete=True)
    except InputError:
        return True
    return False


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """Some damage is such: how a decoder takes it depends on its version."""
    root = tmp_path_factory.mktemp("late")
    return next(data for seed in range(TRIES) if fails_late(data := spoilt(seed), root / str(seed)))


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
