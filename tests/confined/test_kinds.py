"""Every kind of slide goes through the walls and comes out as it does without them."""

import pytest

from coverslip.batch import Batch, run_batch
from coverslip.confined.desk import Desk
from coverslip.outcomes import Cleaned
from coverslip.progress import silent
from coverslip.unconfined import here
from samples import archives, hostile

PACKED = [kind for kind in hostile.KINDS if kind.name in ("aperio", "mirax", "vms", "ndpi", "sakura")]
REAL = (
    "aperio/CMU-1-Small-Region.svs", "aperio/luna-1065626-jp2k.svs", "dicom/cmu-1-small-region",
    "generic-tiff/CMU-0-small.tiff", "hamamatsu/test3-DAPI.ndpi", "ome-tiff/OS-1-detail.ome.tif",
)  # fmt: skip


class Nobody:
    """Watches nothing."""

    def progress(self, label):
        return silent

    def finished(self, result):
        pass


@pytest.fixture(scope="module")
def desk():
    """Where slides are worked on in children."""
    with Desk() as found:
        yield found


def made(slide, out, work):
    """Everything that came of a slide, by name, and how it ended."""
    (result,) = run_batch(Batch((slide,), out, "strict", b"k" * 32, pyramid=True), Nobody(), work)
    assert isinstance(result.outcome, Cleaned), result.outcome
    return result.outcome.facts, {path.name: path.read_bytes() for path in out.iterdir()}


@pytest.mark.parametrize("kind", hostile.KINDS, ids=lambda kind: kind.name)
def test_every_kind_of_slide(kind, desk, tmp_path):
    """Facts and files are the same byte for byte, whichever reader and codec it takes."""
    slide = hostile.sound(kind, tmp_path / "in").entry
    for path in (tmp_path / "in").rglob("*"):
        path.chmod(0o700 if path.is_dir() else 0o600)  # nobody's but ours, as originals are
    assert made(slide, tmp_path / "behind", desk) == made(slide, tmp_path / "without", here)


@pytest.mark.parametrize("kind", PACKED, ids=lambda kind: kind.name)
def test_every_kind_of_slide_in_an_archive(kind, desk, tmp_path):
    """Unpacked inside, into a folder nobody else may look into."""
    slide = hostile.sound(kind, tmp_path / "in").folder
    packed = tmp_path / "packed.zip"
    packed.write_bytes(archives.pack(slide))
    assert made(packed, tmp_path / "behind", desk) == made(packed, tmp_path / "without", here)


@pytest.mark.parametrize("name", REAL)
def test_real_slides(name, real_slide, desk, tmp_path):
    """What scanners write, too."""
    slide = real_slide(name)
    assert made(slide, tmp_path / "behind", desk) == made(slide, tmp_path / "without", here)
