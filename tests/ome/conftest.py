"""OME-TIFFs that several tests look at, and blocks without a file."""

from contextlib import closing

import pytest

from coverslip.formats import ome_tiff
from coverslip.geometry import Size
from coverslip.ome.document import parse
from coverslip.tiff.structure import open_tiff
from samples import broken, ome

HEAD = '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """`made(width=…, **options)`: an OME-TIFF, written once per options."""
    folder, known = tmp_path_factory.mktemp("ome"), {}

    def make(width=300, height=200, **options):
        key = repr((width, height, sorted(options.items())))
        if key not in known:
            place = folder / f"{len(known)}.ome.tiff"
            options = {"tile": 64, "downsamples": (1, 2), "identifiers": False} | options
            known[key] = ome.write(place, Size(width, height), **options)
        return known[key]

    return make


@pytest.fixture
def opened(made):
    """The slide the reader makes of such a file."""
    slides = []

    def open_(**options):
        slides.append(ome_tiff.open(made(**options).path))
        return slides[-1]

    yield open_
    for slide in slides:
        slide.close()


@pytest.fixture(scope="session")
def pages(tmp_path_factory):
    """Four pages of 150 × 100 pixels, 16 bits, each with a level below it."""
    path = tmp_path_factory.mktemp("pages") / "x.tiff"
    path.write_bytes(broken.sound("ome"))
    with closing(open_tiff(path)) as tiff:
        return tiff.pages


@pytest.fixture(scope="session")
def block():
    """A document with one image: `block(pixels="…attributes…", inside="…elements…", image="…", root="…")`."""
    sizes = 'SizeX="150" SizeY="100" SizeZ="2" SizeC="2" SizeT="1"'

    def made(pixels=sizes, inside='<TiffData IFD="0" PlaneCount="4"/>', image="", root="", order="XYCZT"):
        about = f'ID="Pixels:0" DimensionOrder="{order}" Type="uint16" {pixels}'
        text = f'{HEAD}{root}<Image ID="Image:0">{image}<Pixels {about}>{inside}</Pixels></Image></OME>'
        return parse(text.encode(), "here")

    return made
