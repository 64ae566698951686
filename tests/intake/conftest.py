"""Archives and folders with slides in them, under names that name people."""

import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from samples import aperio, dicom, mirax, vms

PERSON = "Kowalczyk Anna 1961"


@pytest.fixture(scope="session")
def slides(tmp_path_factory) -> dict[str, Path]:
    """A folder for each kind of slide, with nothing else in it."""
    made = {kind: tmp_path_factory.mktemp(kind) for kind in ("mirax", "hamamatsu", "dicom", "file")}
    mirax.write(made["mirax"] / f"{PERSON}.mrxs", columns=2, rows=2, levels=2).sidecar.unlink()
    vms.write(made["hamamatsu"] / f"{PERSON}.vms")
    dicom.write(made["dicom"], patient=PERSON)
    tiff = aperio.write(made["file"] / f"{PERSON}.svs", aperio.Size(150, 100), tile=64, downsamples=(1, 2))
    tiff.sidecar.unlink()
    return made


@pytest.fixture
def pack(tmp_path) -> Iterator[Callable[..., Path]]:
    """Packs files of a folder, and further (name, content) pairs, into an archive."""
    made = []

    def write(folder: Path | None = None, *more: tuple[str, bytes], within: str = "", method=zipfile.ZIP_DEFLATED):
        path = tmp_path / f"upload{len(made)}.zip"
        made.append(path)
        with zipfile.ZipFile(path, "w", method) as archive:
            for file in sorted(folder.rglob("*")) if folder else ():
                archive.write(file, f"{within}{file.relative_to(folder)}")
            for name, content in more:
                archive.writestr(name, content)
        return path

    return write
