"""Exports in one piece: the SZI file and the folder with a page, judged by programs that know nothing of ours."""

import io
import json
import random
import struct
import zipfile

import openslide
import pytest
from typer.testing import CliRunner

from coverslip.cli import app
from coverslip.errors import OutputExists, PyramidInvalid
from coverslip.pyramid import PageFacts, Pyramid, build, export_static, export_szi, szi_chunks, szi_length
from coverslip.pyramid.zipped import LIMIT_32, Member, zip_chunks, zip_length, zip_range


@pytest.fixture(scope="module")
def tiled(generated, tmp_path_factory):
    """A slide with its index beside it."""
    clean = tmp_path_factory.mktemp("szi") / "slide.svs"
    clean.hardlink_to(generated("aperio", 1100, 700))
    build(clean, clean.with_suffix(".pyramid"), complete=True)
    return clean


@pytest.fixture
def pyramid(tiled):
    """The same, opened."""
    with Pyramid.open(tiled, tiled.with_suffix(".pyramid")) as opened:
        yield opened


def members(count, size=1):
    """`count` members that differ."""
    return [Member(f"m/{i}", size, lambda i=i: bytes([i % 251]) * size) for i in range(count)]


def packed(made, **limits):
    """The archive of some members, in memory."""
    return b"".join(zip_chunks(made, **limits))


def test_an_szi_holds_the_served_tiles(pyramid, tmp_path):
    """zipfile reads it, checksums and all; every tile is there once, stored, bit for bit what a viewer gets."""
    with zipfile.ZipFile(export_szi(pyramid, tmp_path, "one")) as archive:
        assert archive.testzip() is None
        assert archive.read("one/one.dzi").decode() == pyramid.descriptor()
        assert {info.compress_type for info in archive.infolist()} == {zipfile.ZIP_STORED}
        names = archive.namelist()
        assert len(names) == len(set(names))
        tiles = [name for name in names if name.startswith("one/one_files/")]
        zoom = pyramid.grid
        assert len(tiles) == sum(zoom.grid(reduction).area for reduction in range(zoom.levels))
        for name in tiles:
            level, place = name.removeprefix("one/one_files/").removesuffix(".jpg").split("/")
            assert archive.read(name) == pyramid.tile(int(level), *map(int, place.split("_")))
        assert set(names) - set(tiles) == {"one/one.dzi", "one/scan-properties.xml"}
        assert "1100" in archive.read("one/scan-properties.xml").decode()


def test_its_length_is_known_and_it_is_always_the_same(pyramid):
    """A Content-Length and a strong ETag may be promised before the first tile is read."""
    first = b"".join(szi_chunks(pyramid, "one"))
    assert szi_length(pyramid, "one") == len(first)
    assert first == b"".join(szi_chunks(pyramid, "one"))


@pytest.mark.parametrize("limit", [LIMIT_32, 200, 3000])
def test_any_range_is_that_part_of_the_whole(limit):
    """Whatever is asked for, with and without ZIP64, comes as it stands in the whole."""
    made = members(60, 90)
    whole, chance = packed(made, limit=limit), random.Random(1)
    edges = [0, 1, len(whole) - 1, len(whole)]
    for _ in range(300):
        start, stop = sorted(chance.choice([*edges, chance.randrange(len(whole))]) for _ in range(2))
        assert b"".join(zip_range(lambda: made, start, stop, limit=limit)) == whole[start:stop], (start, stop)


def test_a_range_reads_what_it_needs():
    """Of sixty members two are read for a range within them; all for one that reaches the directory."""
    read = []

    def member(number):
        return Member(f"m/{number}", 90, lambda: read.append(number) or bytes([number]) * 90)

    made = [member(number) for number in range(60)]
    at = sum(30 + len(f"m/{number}") + 90 for number in range(10))
    assert len(b"".join(zip_range(lambda: made, at + 100, at + 150))) == 50
    assert read == [10, 11]
    read.clear()
    whole = zip_length(made)
    assert len(b"".join(zip_range(lambda: made, whole - 1, whole))) == 1
    assert read == list(range(60))


def test_the_length_of_a_sparse_one_is_not_known(tiled, tmp_path, pyramid):
    """Tiles that are made on the way have no length before; the archive holds the same tiles."""
    build(tiled, tmp_path / "sparse.pyramid")
    with Pyramid.open(tiled, tmp_path / "sparse.pyramid") as sparse:
        assert szi_length(sparse, "one") is None
        assert b"".join(szi_chunks(sparse, "one")) == b"".join(szi_chunks(pyramid, "one"))


def test_a_second_export_is_refused_and_leaves_nothing(pyramid, tmp_path):
    """No output is written over, no half file stays."""
    export_szi(pyramid, tmp_path, "one")
    with pytest.raises(OutputExists):
        export_szi(pyramid, tmp_path, "one")
    assert [path.name for path in tmp_path.iterdir()] == ["one.szi"]


@pytest.mark.parametrize("limit", [0, 1, 100, 5000])
def test_zip64_offsets(limit):
    """Where 32 bits are too few the 64-bit fields take over; here the border is drawn low."""
    made = members(40, 200)
    content = packed(made, limit=limit)
    assert zip_length(made, limit) == len(content)
    assert b"PK\6\6" in content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert [archive.read(member.name) for member in made] == [member.read() for member in made]
        starts = [info.header_offset for info in archive.infolist()]
    assert starts == sorted(starts)
    directory = [at for at in range(len(content) - 46) if content[at : at + 4] == b"PK\1\2"]
    short = [struct.unpack_from("<I", content, at + 42)[0] for at in directory]
    assert short == [start if start < limit else 0xFFFFFFFF for start in starts]
    assert starts[-1] > limit


def test_zip64_counts():
    """65 535 members are one too many for the short form."""
    made = members(65_600)
    content = packed(made)
    assert zip_length(made) == len(content)
    assert struct.unpack_from("<H", content, len(content) - 22 + 10) == (0xFFFF,)
    record = content.index(b"PK\6\6")
    assert struct.unpack_from("<2Q", content, record + 24) == (65_600, 65_600)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert len(archive.namelist()) == 65_600
        assert archive.read("m/65599") == made[-1].read()


def test_a_small_archive_has_no_zip64():
    """Old readers open what needs nothing new."""
    assert b"PK\6\6" not in packed(members(3))


def test_a_member_must_be_as_long_as_it_said():
    """A promised Content-Length is kept or the download breaks off; it is never padded."""
    with pytest.raises(PyramidInvalid):
        packed([Member("a", 5, lambda: b"four")])


def test_a_static_folder_has_all_it_needs(pyramid, tmp_path):
    """Page, scripts, library and tiles; nothing is asked of another site, no script stands in the page."""
    library = tmp_path / "library.js"
    library.write_text("// the library")
    page = export_static(pyramid, tmp_path / "out", library, PageFacts(0.25, 40.0))
    text = page.read_text()
    assert "://" not in text
    assert 'data-width="1100" data-height="700" data-tile="256" data-mpp="0.25" data-objective="40"' in text
    assert "<script>" not in text
    names = {path.name for path in page.parent.iterdir()}
    assert names == {
        "index.html",
        "viewer.js",
        "viewer.css",
        "openseadragon.min.js",
        "slide.dzi",
        "slide_files",
    }
    top = pyramid.dz_levels - 1
    assert (page.parent / f"slide_files/{top}/0_0.jpg").read_bytes() == pyramid.tile(top, 0, 0)
    with pytest.raises(OutputExists):
        export_static(pyramid, tmp_path / "out", library)


def test_unknown_facts_are_left_out(pyramid, tmp_path):
    """A slide that does not say its resolution gets no scale bar, not a wrong one."""
    library = tmp_path / "library.js"
    library.write_text("")
    assert 'data-mpp="" data-objective=""' in export_static(pyramid, tmp_path / "out", library).read_text()


@pytest.mark.parametrize(("form", "made"), [("dzi", "slide.dzi"), ("szi", "slide.szi"), ("static", "slide/index.html")])
def test_the_command_line_exports(tiled, tmp_path, form, made):
    """`coverslip export` writes each form where it was told to and prints what to open."""
    library = tmp_path / "library.js"
    library.write_text("")
    arguments = ["export", str(tiled), "--to", form, "-o", str(tmp_path), "--openseadragon", str(library), "--json"]
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert json.loads(result.stdout) == {"export": str(tmp_path / made), "form": form}
    assert (tmp_path / made).is_file()


def test_the_static_page_knows_the_slide(tiled, tmp_path):
    """Resolution and magnification come out of the clean slide, as OpenSlide reads them."""
    (tmp_path / "library.js").write_text("")
    arguments = ["export", str(tiled), "--to", "static", "-o", str(tmp_path)]
    CliRunner().invoke(app, [*arguments, "--openseadragon", str(tmp_path / "library.js")], catch_exceptions=False)
    with openslide.OpenSlide(tiled) as slide:
        mpp = float(slide.properties["openslide.mpp-x"])
        power = float(slide.properties["openslide.objective-power"])
    text = (tmp_path / "slide" / "index.html").read_text()
    assert f'data-mpp="{mpp:.10g}" data-objective="{power:.10g}"' in text
