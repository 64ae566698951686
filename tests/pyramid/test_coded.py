"""Levels in a codec no browser shows: made on request, right in colour and place, never more work than was meant."""

import struct
import time
import tracemalloc
import zipfile
import zlib

import imagecodecs
import numpy as np
import pytest
import tifffile

from coverslip.errors import DamagedSlide, LimitExceeded, PyramidInvalid
from coverslip.pyramid import Pyramid, build, check, export_dzi, export_szi, on_request, szi_length
from coverslip.pyramid import index as form
from coverslip.pyramid.pixels import Encoding
from coverslip.pyramid.recipes import Codec, Recipe, parse
from samples.codecs import j2k, packed

SLIDES = {
    "33003, levels 1, 4": ("aperio", 1100, 900, {"codec": "j2k-ycbcr", "tile": 128, "downsamples": (1, 4)}),
    "33005, one level": ("aperio", 700, 500, {"codec": "j2k-rgb", "tile": 128, "downsamples": (1,)}),
    "34712, levels 1, 2, 4": ("generic", 900, 700, {"codec": "j2k", "tile": 128}),
    "34712, tiles of 240": ("generic", 1000, 700, {"codec": "j2k", "tile": 240, "downsamples": (1, 4)}),
    "no edge at all": ("generic", 1024, 512, {"codec": "deflate", "tile": 128, "downsamples": (1, 4)}),
    "deflate, differences": ("generic", 900, 700, {"codec": "deflate", "predictor": 2, "tile": 128}),
    "LZW, levels 1, 4, 16": ("generic", 2100, 1700, {"codec": "lzw", "tile": 64, "downsamples": (1, 4, 16)}),
    "LZW, differences": ("generic", 700, 500, {"codec": "lzw", "predictor": 2, "tile": 128, "downsamples": (1, 4)}),
    "nothing at all": ("generic", 700, 500, {"codec": "none", "tile": 128, "downsamples": (1, 4)}),
    "levels a pixel short": ("generic", 1027, 1031, {"codec": "lzw", "tile": 128, "downsamples": (1, 2, 4)}),
    "short by a whole column": ("generic", 1025, 1025, {"codec": "lzw", "tile": 256, "downsamples": (1, 2, 4)}),
    "smaller than a tile": ("generic", 100, 60, {"codec": "deflate", "tile": 256, "downsamples": (1,)}),
    "BigTIFF, Motorola order": ("generic", 600, 500, {"codec": "lzw", "order": ">", "bigtiff": True, "tile": 128}),
}
LOSSLESS = [name for name, (*_, options) in SLIDES.items() if "j2k" not in options["codec"]]


def every_tile(pyramid):
    """Address and bytes of all tiles."""
    for dz_level in range(pyramid.dz_levels):
        grid = pyramid.grid.grid(pyramid.grid.largest - dz_level)
        for row in range(grid.height):
            for column in range(grid.width):
                yield (dz_level, column, row), pyramid.tile(dz_level, column, row)


@pytest.fixture
def slide_of(generated):
    """A slide by its name above."""

    def made(name):
        vendor, width, height, options = SLIDES[name]
        return generated(vendor, width, height, **options)

    return made


@pytest.mark.parametrize("name", SLIDES)
def test_a_tile_on_request_is_the_tile_a_complete_build_stores(name, slide_of, built):
    """Byte for byte, at every address, edges included."""
    slide = slide_of(name)
    sparse, left_out = built(slide)
    complete, stored = built(slide, complete=True)
    assert dict(every_tile(sparse)) == dict(every_tile(complete))
    assert stored.on_request_tiles == 0
    assert left_out.on_request_tiles == sum(sparse.on_request(*at) for at, _ in every_tile(sparse))
    assert left_out.stored_tiles == stored.stored_tiles == 0
    assert left_out.pyramid_bytes < stored.pyramid_bytes or name == "smaller than a tile"


@pytest.mark.parametrize(
    ("name", "halvings"),
    [("33003, levels 1, 4", {0, 1, 2}), ("33005, one level", {0}), ("34712, levels 1, 2, 4", {0, 1, 2}),
     ("LZW, levels 1, 4, 16", {0, 1, 2, 3, 4}), ("smaller than a tile", set())],
)  # fmt: skip
def test_what_is_left_out(name, halvings, slide_of, built):
    """Whole tiles of levels the slide holds, and of levels between two of those; nothing that others are made of."""
    pyramid, _ = built(slide_of(name))
    side = pyramid.tile_size
    for dz_level, column, row in (at for at, _ in every_tile(pyramid)):
        reduction = pyramid.grid.largest - dz_level
        extent = pyramid.grid.extent(reduction, column, row)
        whole = (extent.width, extent.height) == (side, side)
        if pyramid.on_request(dz_level, column, row):
            assert reduction in halvings
            assert whole
        elif reduction in halvings and whole:  # between two: also those whose tiles above are cropped
            above = pyramid.grid.extent(reduction - 1, 2 * column + 1, 2 * row + 1)
            assert (above.width, above.height) != (side, side)


@pytest.fixture
def raw(monkeypatch):
    """Let derived tiles be their pixels."""
    monkeypatch.setattr(Encoding, "encode", lambda _, pixels: struct.pack("HH", *pixels.shape[:2]) + pixels.tobytes())

    def pixels(tile):
        height, width = struct.unpack_from("HH", tile)
        return np.frombuffer(tile, np.uint8, offset=4).reshape(height, width, -1)

    return pixels


@pytest.mark.parametrize("name", LOSSLESS)
def test_pixels_are_those_of_the_slide_and_the_mean_between(name, slide_of, built, raw, box):
    """Exactly, before encoding: a level the slide holds as another reader shows it, any other the mean of the one
    above; a last column or row that is short is repeated."""
    slide = slide_of(name)
    pyramid, _ = built(slide)
    with tifffile.TiffFile(slide) as file:
        held = {round(np.log2(pyramid.size.width / page.imagewidth)): page.asarray() for page in file.pages}
    wanted = None
    for reduction in range(pyramid.dz_levels):
        size = pyramid.grid.reduced(reduction)
        level = held.get(reduction)
        wanted = box(wanted) if level is None else level
        wanted = np.pad(
            wanted, ((0, size.height - wanted.shape[0]), (0, size.width - wanted.shape[1]), (0, 0)), mode="edge"
        )
        grid, side = pyramid.grid.grid(reduction), pyramid.tile_size
        for row in range(grid.height):
            for column in range(grid.width):
                shown = raw(pyramid.tile(pyramid.grid.largest - reduction, column, row))
                region = wanted[row * side : (row + 1) * side, column * side : (column + 1) * side]
                difference = np.abs(shown.astype(int) - region).max()
                # Pillow's mean of a last odd row or column takes what is there, ours repeats it: the same but rounding
                assert difference <= (0 if level is not None else 1), (reduction, column, row)


@pytest.mark.parametrize("name", ["33003, levels 1, 4", "33005, one level"])
def test_both_kinds_of_aperio_jpeg_2000_have_their_colours(name, slide_of, built, raw, openslide_levels, decibels):
    """Luma and chroma become red, green and blue where they have to, at every level the slide holds."""
    slide = slide_of(name)
    pyramid, _ = built(slide)
    for reduction, level in openslide_levels(slide).items():
        for column, row in ((1, 1), (0, 0)):
            at = (pyramid.grid.largest - reduction, column, row)
            shown = raw(pyramid.tile(*at))
            y, x = row * 128, column * 128
            assert decibels(shown, level[y : y + shown.shape[0], x : x + shown.shape[1]]) > 45


def written(path, tiles, size, tile, *, compression, photometric="rgb", samples=3):
    """A TIFF of one level from coded tiles; None is one that was never written."""
    holder = np.zeros((size[1], size[0], samples) if samples > 1 else (size[1], size[0]), np.uint8)
    extra = {"extrasamples": ["unassalpha"]} if samples == 4 else {}
    with tifffile.TiffWriter(path) as file:
        file.write(
            iter([each or b"\0" for each in tiles]), shape=holder.shape, dtype=np.uint8, tile=(tile, tile),
            compression=compression, photometric=photometric, **extra,
        )  # fmt: skip
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].tags["TileByteCounts"]
        lengths, at, kind = list(file.pages[0].databytecounts), counts.valueoffset, counts.dtype
    lengths = [0 if each is None else length for each, length in zip(tiles, lengths, strict=True)]
    with path.open("r+b") as file:
        file.seek(at)
        file.write(np.array(lengths, {3: "<u2", 4: "<u4", 16: "<u8"}[int(kind)]).tobytes())
    return path


def noise(seed, side=128, samples=3):
    """Pixels with some structure."""
    coarse = np.random.default_rng(seed).integers(0, 255, (side // 8, side // 8, samples), np.uint8)
    return np.ascontiguousarray(coarse.repeat(8, 0).repeat(8, 1))


def test_tiles_never_written_are_white(tmp_path, built, raw):
    """A byte count of zero is a tile of empty glass, on request or below one that is."""
    pictures = [noise(seed) for seed in range(16)]
    tiles = [None if number in (0, 5) else j2k(picture, 0, mct=True) for number, picture in enumerate(pictures)]
    slide = written(tmp_path / "sparse.tiff", tiles, (512, 512), 128, compression=34712)
    sparse, summary = built(slide)
    complete, _ = built(slide, complete=True)
    assert summary.on_request_tiles == 14
    assert dict(every_tile(sparse)) == dict(every_tile(complete))
    assert (raw(sparse.tile(9, 0, 0)) == 255).all()
    assert (raw(sparse.tile(9, 1, 1)) == 255).all()
    assert np.array_equal(raw(sparse.tile(9, 1, 0)), pictures[1])
    assert (raw(sparse.tile(8, 0, 0))[:64, :64] == 255).all()


@pytest.mark.parametrize(("samples", "photometric"), [(1, "minisblack"), (4, "rgb")])
def test_grey_stays_grey_and_a_fourth_sample_is_left_out(samples, photometric, tmp_path, built, raw):
    """One sample is served as one, four as three."""
    pictures = [noise(seed, samples=samples) for seed in range(4)]
    tiles = [packed(picture, "deflate") for picture in pictures]
    shape = {"compression": 8, "photometric": photometric, "samples": samples}
    pyramid, summary = built(written(tmp_path / "x.tiff", tiles, (256, 256), 128, **shape))
    assert summary.on_request_tiles == 4
    for number, picture in enumerate(pictures):
        shown = raw(pyramid.tile(8, number % 2, number // 2))
        assert np.array_equal(shown, picture[..., :1] if samples == 1 else picture[..., :3])


@pytest.fixture
def one(tmp_path):
    """A slide of sixteen JPEG 2000 tiles, opened with the bytes of one changed: `one(edit)`."""
    pictures = [noise(seed) for seed in range(16)]
    tiles = [j2k(picture, 0, mct=True) for picture in pictures]
    sound = written(tmp_path / "sound.tiff", tiles, (512, 512), 128, compression=34712)
    build(sound, tmp_path / "x.pyramid")
    with tifffile.TiffFile(sound) as file:
        offsets, lengths = file.pages[0].dataoffsets, file.pages[0].databytecounts

    def changed(edit, number=5):
        data = bytearray(sound.read_bytes())
        tile = bytearray(data[offsets[number] : offsets[number] + lengths[number]])
        edit(tile)
        data[offsets[number] : offsets[number] + lengths[number]] = tile
        path = tmp_path / "changed.tiff"
        path.write_bytes(data)
        return Pyramid.open(path, tmp_path / "x.pyramid")

    return changed


def zeros(tile):
    """Nothing of the codestream is left."""
    tile[:] = bytes(len(tile))


def _claim(right, bottom):
    def edit(tile):
        tile[8:16] = struct.pack(">II", right, bottom)

    return edit


def many_pieces(tile):
    """A tile cut into single pixels."""
    tile[24:32] = struct.pack(">II", 1, 1)


def two_components(tile):
    """Fewer samples than the recipe says."""
    tile[40:42] = struct.pack(">H", 2)


DAMAGE = {
    "no codestream": zeros,
    "as wide as a city": _claim(1 << 31, 1 << 31),
    "one pixel more": _claim(129, 128),
    "one row less": _claim(128, 127),
    "a million pieces": many_pieces,
    "two components": two_components,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_tile_is_a_typed_error_at_its_place(name, one):
    """Found when it is asked for, before anything large is allocated; its neighbours are served."""
    with one(DAMAGE[name]) as pyramid:
        begin = time.monotonic()
        with pytest.raises(PyramidInvalid) as caught:
            pyramid.tile(9, 1, 1)
        assert caught.value.where == "tile 9/1/1"
        assert time.monotonic() - begin < 10
        assert pyramid.tile(9, 1, 0)


def test_what_is_made_of_a_damaged_tile_is_one_too(slide_of, tmp_path):
    """A tile between two levels names its own place."""
    slide = slide_of("33003, levels 1, 4")
    build(slide, tmp_path / "x.pyramid")
    with tifffile.TiffFile(slide) as file:
        at, length = file.pages[0].dataoffsets[10], file.pages[0].databytecounts[10]
    data = bytearray(slide.read_bytes())
    data[at : at + length] = bytes(length)
    (tmp_path / "broken.svs").write_bytes(data)
    with Pyramid.open(tmp_path / "broken.svs", tmp_path / "x.pyramid") as pyramid:
        assert pyramid.on_request(pyramid.grid.largest - 1, 0, 0)
        with pytest.raises(PyramidInvalid) as caught:
            pyramid.tile(pyramid.grid.largest - 1, 0, 0)
        assert caught.value.where == f"tile {pyramid.grid.largest - 1}/0/0"
        assert pyramid.tile(pyramid.grid.largest - 1, 1, 0)


BOMB = zlib.compress(bytes(200 << 20), 9)


@pytest.mark.parametrize(
    ("codec", "data"),
    [(Codec.DEFLATE, b"no deflate"), (Codec.DEFLATE, zlib.compress(b"short")), (Codec.LZW, b"\x80\x00" + b"\xff" * 50),
     (Codec.LZW, b""), (Codec.NONE, bytes(100)), (Codec.JPEG_2000, b""), (Codec.JPEG_2000, b"\xff\x4f\xff\x51\x00")],
)  # fmt: skip
def test_what_is_no_tile_is_damage(codec, data):
    """Every codec says so in the same way."""
    with pytest.raises((DamagedSlide, LimitExceeded)):
        Recipe(codec, 3, False, False).decode(data, 64, "ifd[0]")


def test_what_unpacks_to_more_is_cut_off():
    """Two hundred MiB of nothing in a tile cost no more than a tile."""
    tracemalloc.start()
    pixels = Recipe(Codec.DEFLATE, 3, False, False).decode(BOMB, 64, "ifd[0]")
    assert pixels.shape == (64, 64, 3)
    long = bytes(imagecodecs.lzw_encode(bytes(1 << 20)))
    assert Recipe(Codec.LZW, 1, False, False).decode(long, 64, "ifd[0]").size == 4096
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20


def test_recipes_survive_being_packed():
    """Four bytes and back; anything else is none."""
    for codec in Codec:
        recipe = Recipe(codec, 3, codec is Codec.LZW, codec is Codec.JPEG_2000)
        assert parse(recipe.pack()) == recipe
    for data in (b"", b"\1\3\0", b"\1\3\0\0\0", b"\0\3\0\0", b"\5\3\0\0", b"\1\2\0\0", b"\1\3\2\0", b"\1\3\0\2"):
        assert parse(data) is None


@pytest.mark.parametrize(
    ("codec", "tile", "coded", "base", "between"),
    [("j2k", 256, 50_000, True, True), ("j2k", 256, 80_000, True, False), ("j2k", 512, 30_000, True, True),
     ("j2k", 512, 100_000, True, False), ("j2k", 1024, 100_000, True, False), ("j2k", 1024, 300_000, False, False),
     ("lzw", 512, 0, True, True), ("lzw", 1024, 0, True, False), ("lzw", 2048, 0, False, False)],
)  # fmt: skip
def test_what_would_take_too_long_is_stored(codec, tile, coded, base, between, tmp_path):
    """JPEG 2000 costs by its coded bytes, the others by their pixels: nobody waits for more than the budget."""
    picture = np.full((tile, tile, 3), 200, np.uint8)
    data = j2k(picture, 0, mct=False).ljust(coded, b"\0") if codec == "j2k" else packed(picture, "lzw")
    path = written(
        tmp_path / "x.tiff", [data] * 4, (2 * tile, 2 * tile), tile, compression={"j2k": 34712, "lzw": 5}[codec]
    )
    small = np.zeros((tile // 2, tile // 2, 3), np.uint8)
    tifffile.imwrite(path, small, tile=(tile, tile), compression="lzw", photometric="rgb", subfiletype=1, append=True)
    summary = build(path, tmp_path / "x.pyramid")
    with Pyramid.open(path, tmp_path / "x.pyramid") as pyramid:
        largest = pyramid.grid.largest
        assert (pyramid.on_request(largest, 0, 0), pyramid.on_request(largest - 1, 0, 0)) == (base, between)
    assert summary.on_request_tiles == 4 * base + between


def pages(path, *levels):
    """A TIFF of several levels: (side, tile, grey value) each."""
    for number, (side, tile, value) in enumerate(levels):
        picture = np.full((side, side, 3), value, np.uint8)
        form_ = {"tile": (tile, tile), "compression": "zlib", "photometric": "rgb", "subfiletype": int(number > 0)}
        tifffile.imwrite(path, picture, append=number > 0, **form_)
    return path


def test_of_two_levels_of_one_size_the_first_is_shown(tmp_path, built, raw):
    """As with JPEG levels."""
    pyramid, _ = built(pages(tmp_path / "x.tiff", (512, 128, 10), (256, 128, 20), (256, 128, 30)))
    assert (raw(pyramid.tile(8, 0, 0)) == 20).all()
    assert (raw(pyramid.tile(7, 0, 0)) == 20).all()


def test_levels_below_a_base_of_another_tile_are_derived_from_it(tmp_path, built, raw):
    """Tiles of 48 pixels cannot be served, so none of the slide's levels is."""
    pyramid, summary = built(pages(tmp_path / "x.tiff", (1024, 48, 10), (512, 256, 20)))
    assert (pyramid.tile_size, summary.on_request_tiles) == (256, 0)
    assert (raw(pyramid.tile(9, 0, 0)) == 10).all()


def test_it_is_served_from_two_ranges_and_one_per_tile(slide_of, tmp_path):
    """What a slide in a bucket needs: no TIFF field, no second file."""
    slide = slide_of("33003, levels 1, 4")
    build(slide, tmp_path / "x.pyramid")
    reads = []

    def part(path):
        data = path.read_bytes()

        def read(length, offset):
            reads.append(path.suffix)
            return data[offset : offset + length]

        return read, len(data)

    with Pyramid.open(slide, tmp_path / "x.pyramid") as whole:
        far = Pyramid.over(part(slide), part(tmp_path / "x.pyramid"))
        reads.clear()
        assert far.tile(whole.grid.largest, 0, 0) == whole.tile(whole.grid.largest, 0, 0)
        assert reads == [".svs"]
        assert far.tile(whole.grid.largest - 1, 0, 0) == whole.tile(whole.grid.largest - 1, 0, 0)
        assert reads == [".svs"] * 5
        assert whole.tile_at_hand(whole.grid.largest, 0, 0) is None
        assert whole.tile_length(whole.grid.largest, 0, 0) is None


def test_a_slide_cut_off_behind_the_index_is_a_typed_error(slide_of, tmp_path):
    """Fewer bytes than the entry says."""
    slide = slide_of("33003, levels 1, 4")
    build(slide, tmp_path / "x.pyramid")
    data = slide.read_bytes()
    index = (tmp_path / "x.pyramid").read_bytes()
    far = Pyramid.over((lambda length, offset: data[offset : offset + 9], len(data)), (_reader(index), len(index)))
    with pytest.raises(PyramidInvalid):
        far.tile(far.grid.largest, 0, 0)


def _reader(data):
    return lambda length, offset: data[offset : offset + length]


def test_exports_hold_every_tile(slide_of, built, tmp_path):
    """A folder and an archive of a sparse pyramid are those of a complete one; the archive's length is not known."""
    slide = slide_of("33003, levels 1, 4")
    sparse, _ = built(slide)
    complete, _ = built(slide, complete=True)
    assert szi_length(sparse, "x") is None
    archives = []
    for name, pyramid in (("sparse", sparse), ("complete", complete)):
        folder = tmp_path / name
        export_dzi(pyramid, folder, "x")
        archives.append(zipfile.ZipFile(export_szi(pyramid, folder, "x")))
        assert archives[-1].testzip() is None
        for at, tile in every_tile(complete):
            assert (folder / "x_files" / str(at[0]) / f"{at[1]}_{at[2]}.jpg").read_bytes() == tile
    assert {each: archives[0].read(each) for each in archives[0].namelist()} == {
        each: archives[1].read(each) for each in archives[1].namelist()
    }


def test_check_holds_for_both_kinds(slide_of, tmp_path):
    """Nothing of what a sparse index leaves out is missed, and a changed slide is found."""
    slide = slide_of("33003, levels 1, 4")
    for complete in (False, True):
        target = tmp_path / f"{complete}.pyramid"
        build(slide, target, complete=complete)
        check(slide, target)
    data = bytearray(slide.read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "other.svs").write_bytes(data)
    with pytest.raises(PyramidInvalid):
        check(tmp_path / "other.svs", tmp_path / "False.pyramid")


def _entry(field, value):
    def change(entries):
        entries[field][entries["part"] == form.PART_CODED] = value

    return change


@pytest.mark.parametrize(
    "change",
    [_entry("length", 0), _entry("blob", 0), _entry("offset", 1 << 40), _entry("blob", 99)],
    ids=["no bytes", "no recipe", "outside of the slide", "a recipe that is not there"],
)
def test_an_index_that_cannot_be_served_is_never_opened(change, slide_of, tmp_path):
    """What a tile on request is made of is checked with the rest."""
    from tests.pyramid.test_index import resealed

    slide = slide_of("33003, levels 1, 4")
    build(slide, tmp_path / "x.pyramid")
    raw = bytearray((tmp_path / "x.pyramid").read_bytes())
    head = form.parse_head(raw)
    count = form.level_records(head.size, head.tile, 0, 0)[-1]
    tiles = int(count["first"]) + int(count["columns"]) * int(count["rows"])
    entries = np.frombuffer(raw, form.ENTRY, tiles, head.tail_at - tiles * form.ENTRY.itemsize)
    change(entries)
    del entries
    resealed(raw)
    (tmp_path / "x.pyramid").write_bytes(raw)
    with pytest.raises(PyramidInvalid):
        Pyramid.open(slide, tmp_path / "x.pyramid")


def test_the_budget_is_what_the_estimate_is_held_against(slide_of, tmp_path, monkeypatch):
    """With no time at all everything is stored."""
    monkeypatch.setattr(on_request, "BUDGET", 0)
    slide = slide_of("33003, levels 1, 4")
    assert build(slide, tmp_path / "x.pyramid").on_request_tiles == 0
