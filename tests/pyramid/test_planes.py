"""Several planes in one index: each has its own tiles, channels are shown through one window and in their colours."""

import gc
import weakref
from pathlib import Path

import numpy as np
import pytest
import tifffile

from coverslip.errors import PyramidInvalid, TileNotFound, UnsupportedSlide
from coverslip.geometry import Size
from coverslip.pyramid import Pyramid, build, check
from coverslip.pyramid import index as form
from coverslip.pyramid.native import Native
from coverslip.pyramid.on_request import made
from coverslip.pyramid.readouts import tissue
from coverslip.pyramid.regions import pixels_of_level
from coverslip.pyramid.stack import Stack, parse
from samples import ome
from tests.pyramid.test_index import resealed

SIZE = Size(700, 520)
EMPTY = 0


@pytest.fixture(scope="session")
def slides(tmp_path_factory):
    """A generated OME-TIFF: `slides(**options)`, made once per session and options."""
    folder, made = tmp_path_factory.mktemp("ome"), {}

    def slide(size=SIZE, **options):
        key = repr((size, sorted(options.items())))
        if key not in made:
            made[key] = folder / f"{len(made)}.ome.tiff"
            ome.write(made[key], size, identifiers=False, **options)
        return made[key]

    return slide


@pytest.fixture
def stacked(slides, built):
    """Three focal planes of two channels of 16 bits at two moments: opened."""
    return built(slides(z=3, channels=2, t=2))[0]


def _planes(path):
    """What tifffile shows of each plane, by z, channel and moment."""
    with tifffile.TiffFile(path) as file:
        series = file.series[0]
        array, axes = series.asarray(), series.axes.replace("S", "")
    for axis in "TCZ":
        if axis not in axes:
            array, axes = array[None], axis + axes
    order = [axes.index(axis) for axis in "TCZYX"]
    found = np.transpose(array, [*order, *range(5, array.ndim)])
    return {(z, c, t): found[t, c, z] for t in range(found.shape[0]) for c in range(found.shape[1]) for z in
            range(found.shape[2])}  # fmt: skip


def _whole(shown):
    """The largest level of a picture, put together."""
    grid = shown.grid
    canvas = np.empty((grid.size.height, grid.size.width, 3), np.uint8)
    for row in range(grid.grid(0).height):
        for column in range(grid.grid(0).width):
            tile = shown.decoded(grid.largest, column, row)
            y, x = row * grid.tile, column * grid.tile
            canvas[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return canvas


def _expected(samples, window):
    low, high = window
    return np.rint(np.clip((samples.astype(float) - low) / (high - low), 0, 1) * 255)


def test_every_plane_shows_its_own_samples(slides, stacked, decibels):
    """Each focal plane of each channel at each moment is the one tifffile reads, through the channel's window."""
    planes = _planes(slides(z=3, channels=2, t=2))
    assert len(planes) == 12
    for (z, channel, t), samples in planes.items():
        white = stacked.shown(z, t, (channel,))
        colour = np.frombuffer(bytes.fromhex(stacked.stack.channels[channel].colour), np.uint8)
        shown = _whole(white)[..., int(colour.argmax())]
        expected = _expected(samples, stacked.stack.channels[channel].window)
        assert decibels(shown, expected) > 36, (z, channel, t)
        others = [plane for at, plane in planes.items() if at[1] == channel and at != (z, channel, t)]
        assert max(decibels(shown, _expected(o, stacked.stack.channels[channel].window)) for o in others) < 30


def test_the_stack_says_what_the_block_says(stacked):
    """Counts, names, colours, wavelengths and the distance of planes are those of the description."""
    stack = stacked.stack
    assert (stack.z, len(stack.channels), stack.t, stack.bits, stack.samples) == (3, 2, 2, 16, 1)
    assert stack.z_step == pytest.approx(1.5)
    assert [channel.name for channel in stack.channels] == ["DAPI", "FITC"]
    assert [channel.colour for channel in stack.channels] == ["0000FF", "00FF00"]
    assert [channel.emission for channel in stack.channels] == pytest.approx([461.0, 519.0])
    assert parse(stack.pack()) == stack


def test_a_window_is_where_the_data_is(slides, stacked):
    """One per cent of a channel's pixels are darker, a thousandth brighter; one window for all tiles of all planes."""
    planes = _planes(slides(z=3, channels=2, t=2))
    for number, channel in enumerate(stacked.stack.channels):
        values = np.concatenate([samples.ravel() for at, samples in planes.items() if at[1] == number])
        low, high = channel.window
        assert np.mean(values < low) <= 0.03
        assert np.mean(values > high) <= 0.01
        assert high - low < 0.25 * 65535


def test_many_planes_give_the_same_bytes_whatever_the_workers(slides, tmp_path):
    """Windows are looked up in the same tiles, derived tiles written in the same order."""
    slide, made = slides(z=3, channels=2, t=2), []
    for workers in (1, 3):
        target = tmp_path / f"{workers}.pyramid"
        build(slide, target, workers=workers)
        made.append(target.read_bytes())
    assert made[0] == made[1]


def test_planes_a_browser_can_show_are_served_as_they_are(slides, built):
    """JPEG planes of 8 bits: a tile is the slide's own bytes with the plane's own tables, and the window is theirs."""
    path = slides(z=2, channels=2, bits=8, codec="jpeg", downsamples=(1, 2))
    pyramid, summary = built(path)
    raw = path.read_bytes()
    assert [channel.window for channel in pyramid.stack.channels] == [(0, 255)] * 2
    assert summary.stored_tiles == 4 * (2 * 2 + 1)
    for z in range(2):
        for channel in range(2):
            lone = pyramid.shown(z, 0, (channel,))._layers[0].plane
            assert lone.stored(lone.grid.largest, 0, 0)
            assert raw.count(lone.tile(lone.grid.largest, 0, 0)[-200:]) == 1


def test_without_a_wish_the_middle_plane_with_all_channels_is_shown(slides, stacked):
    """Light adds up: what DAPI and FITC show is blue and green in one picture, of the focal plane in the middle."""
    planes = _planes(slides(z=3, channels=2, t=2))
    expected = np.zeros((SIZE.height, SIZE.width, 3))
    for number, channel in enumerate(stacked.stack.channels):
        light = _expected(planes[1, number, 0], channel.window)[..., None]
        expected += light * (np.frombuffer(bytes.fromhex(channel.colour), np.uint8) / 255)
    assert np.abs(_whole(stacked.plain) - np.minimum(expected, 255)).mean() < 3
    assert stacked.plain.key == ""
    assert stacked.on_request(stacked.grid.largest, 0, 0)
    assert stacked.tile(stacked.grid.largest, 0, 0)[:2] == b"\xff\xd8"


def test_one_picture_has_one_name(stacked):
    """Asking for what is shown anyway is the same picture; anything else has another validator."""
    same = [stacked.shown(), stacked.shown(1), stacked.shown(1, 0, (0, 1))]
    other = [stacked.shown(0), stacked.shown(1, 1), stacked.shown(1, 0, (0,)), stacked.shown(1, 0, (1, 0)),
             stacked.shown(1, 0, (), ((5, 900),)), stacked.shown(1, 0, (), ((5, 900), (5, 900)))]  # fmt: skip
    assert {shown.etag(10, 0, 0) for shown in same} == {stacked.etag(10, 0, 0)}
    assert len({shown.etag(10, 0, 0) for shown in [*other, *same]}) == len(other) + 1


def test_channels_keep_their_order_and_windows(stacked):
    """Windows belong to the channels they are asked for with, whatever the order."""
    one = stacked.shown(1, 0, (0, 1), ((0, 900), (0, 2000)))
    other = stacked.shown(1, 0, (1, 0), ((0, 2000), (0, 900)))
    assert np.array_equal(_whole(one), _whole(other))
    assert not np.array_equal(_whole(one), _whole(stacked.shown(1, 0, (0, 1), ((0, 2000), (0, 900)))))


def test_an_address_outside_is_not_found_on_any_picture(stacked):
    """Joined pictures have the grid of their planes."""
    for shown in (stacked.plain, stacked.shown(0, 0, (1,))):
        for at in ((stacked.dz_levels, 0, 0), (-1, 0, 0), (stacked.grid.largest, 99, 0), (stacked.grid.largest, 0, -1)):
            for ask in (shown.tile, shown.tile_at_hand, shown.tile_length, shown.on_request, shown.stored, shown.etag):
                with pytest.raises(TileNotFound):
                    ask(*at)


def test_colour_planes_are_shown_as_they_are(slides, built, decibels):
    """An RGB z-stack: every focal plane in its colours, without a window of anybody's choosing."""
    path = slides(z=3, rgb=True, codec="deflate")
    pyramid, _ = built(path)
    assert (pyramid.stack.z, pyramid.stack.samples, pyramid.stack.joined) == (3, 3, False)
    assert pyramid.stack.channels[0].window == (0, 255)
    for (z, _, _), samples in _planes(path).items():
        assert decibels(_whole(pyramid.shown(z)), samples) > 30


def test_samples_with_tiles_of_their_own_are_put_side_by_side(tmp_path, built, decibels):
    """Red, green and blue stored apart (planar configuration 2) are one picture; no browser shows them as stored."""
    path = tmp_path / "planar.ome.tiff"
    colours = ome.pixels(SIZE, ome.Plane(0, 0, 0), rgb=True)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(
            np.moveaxis(colours, 2, 0), photometric="rgb", planarconfig="separate", tile=(256, 256), compression="zlib"
        )
    pyramid, _ = built(path)
    assert decibels(_whole(pyramid), colours) > 30


def test_white_is_zero_is_counted_from_black(tmp_path, built, decibels):
    """A slide that stores white as zero is shown as it means."""
    path = tmp_path / "inverted.ome.tiff"
    samples = ome.pixels(SIZE, ome.Plane(0, 0, 0), bits=16)
    tifffile.imwrite(path, ~samples, ome=True, photometric="miniswhite", tile=(256, 256), compression="zlib")
    pyramid, _ = built(path)
    assert decibels(_whole(pyramid)[..., 0], _expected(samples, pyramid.stack.channels[0].window)) > 36


def test_what_was_never_scanned_is_dark_where_light_is_counted(tmp_path, built):
    """A sparse tile of a fluorescence plane is black, not the white of empty glass, and no value of the window."""
    path = tmp_path / "sparse.ome.tiff"
    samples = np.full((512, 512), 4000, np.uint16)
    samples[:256, 256:] = np.linspace(3000, 5000, 256)[None, :]
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(samples, tile=(256, 256), photometric="minisblack", compression="zlib", metadata={"axes": "YX"})
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].tags["TileByteCounts"]
    raw[counts.valueoffset : counts.valueoffset + counts.valuebytecount // 4] = bytes(counts.valuebytecount // 4)
    path.write_bytes(raw)
    pyramid, _ = built(path)
    assert pyramid.stack.channels[0].window[0] >= 3000
    assert not pyramid.decoded(pyramid.grid.largest, 0, 0).any()


def test_planes_stored_in_different_ways_are_one_channel(tmp_path, slides, built):
    """Only the first focal plane is JPEG here: it cannot be served through another window than its neighbours are."""
    path = tmp_path / "mixed.ome.tiff"
    planes = [ome.pixels(SIZE, ome.Plane(z, 0, 0), bits=8) for z in range(2)]
    with tifffile.TiffWriter(path, ome=True) as file:
        for plane, codec in zip(planes, ("zlib", "jpeg"), strict=True):
            file.write(plane, tile=(256, 256), photometric="minisblack", compression=codec, metadata=None)
    description = ome_block(2)
    tifffile.tiffcomment(path, description)
    pyramid, _ = built(path)
    window = pyramid.stack.channels[0].window
    for z in range(2):
        shown = _whole(pyramid.shown(z))[..., 0]
        assert np.abs(shown - _expected(planes[z], window)).mean() < 4


def ome_block(z):
    """A description of 8-bit focal planes, one page each."""
    return (
        '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
        f'<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="{SIZE.width}" '
        f'SizeY="{SIZE.height}" SizeZ="{z}" SizeC="1" SizeT="1"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>'
        f'<TiffData IFD="0" PlaneCount="{z}"/></Pixels></Image></OME>'
    )


def test_one_window_for_a_constant_plane(tmp_path, built):
    """Every sample is the same: the window is not empty, and building goes on."""
    for value in (0, 65535, 7):
        path = tmp_path / f"{value}.ome.tiff"
        samples = np.full((300, 300), value, np.uint16)
        tifffile.imwrite(path, samples, ome=True, tile=(256, 256), photometric="minisblack", compression="zlib")
        low, high = built(path)[0].stack.channels[0].window
        assert 0 <= low < high <= 65535


def test_samples_of_sixteen_bits_in_colour_are_shown_whole(tmp_path, built, decibels):
    """RGB of 16 bits: no window is chosen, since channels that are stretched apart change the colour."""
    path = tmp_path / "deep.ome.tiff"
    colours = ome.pixels(SIZE, ome.Plane(0, 0, 0), rgb=True).astype(np.uint16) * 257
    tifffile.imwrite(path, colours, ome=True, photometric="rgb", tile=(256, 256), compression="zlib")
    pyramid, _ = built(path)
    assert pyramid.stack.channels[0].window == (0, 65535)
    assert decibels(_whole(pyramid), colours / 257) > 30


def test_several_colour_pictures_of_one_plane_are_refused(tmp_path):
    """Nobody could say how two RGB channels look together."""
    path = tmp_path / "two.ome.tiff"
    colours = np.stack([ome.pixels(SIZE, ome.Plane(0, 0, 0), rgb=True)] * 2)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(colours, photometric="rgb", tile=(256, 256), compression="zlib", metadata={"axes": "CYXS"})
    with pytest.raises(UnsupportedSlide):
        build(path, tmp_path / "two.pyramid")


def test_check_reads_every_plane(slides, tmp_path):
    """A flipped bit in the last plane's tiles or block is found; opening looks at neither."""
    slide, target = slides(z=3, channels=2, t=2), tmp_path / "a.pyramid"
    build(slide, target)
    check(slide, target)
    head = form.parse_head(target.read_bytes()[: form.HEADER_BYTES])
    for at, reason in ((head.tail_at - 20, "index"), (head.index_at - 300, "derived")):
        raw = bytearray(target.read_bytes())
        raw[at] ^= 1
        bad = tmp_path / "bad.pyramid"
        bad.write_bytes(raw)
        Pyramid.open(slide, bad).close()
        with pytest.raises(PyramidInvalid, match=reason):
            check(slide, bad)


def _second_begins_in_the_first(records):
    records["at"][1] -= 16


def _last_is_shorter(records):
    records["length"][-1] -= 16


@pytest.mark.parametrize("change", [_second_begins_in_the_first, _last_is_shorter])
def test_blocks_lie_one_behind_the_other(slides, tmp_path, change):
    """Whoever seals an index anew may not let a plane read another's entries, nor leave bytes nobody vouches for."""
    slide, target = slides(z=3, channels=2, t=2), tmp_path / "a.pyramid"
    build(slide, target)
    raw = bytearray(target.read_bytes())
    resealed(raw, records=change)
    target.write_bytes(raw)
    with pytest.raises(PyramidInvalid, match="block"):
        Pyramid.open(slide, target)


def test_a_window_looks_at_more_than_the_first_plane(tmp_path, built):
    """The last focal plane is ten times as bright as the first: it is not all white."""
    path = tmp_path / "brighter.ome.tiff"
    plane = ome.pixels(SIZE, ome.Plane(0, 0, 0), bits=16)
    with tifffile.TiffWriter(path, ome=True) as file:
        file.write(
            np.stack([plane, plane * 4, plane * 10]),
            tile=(256, 256),
            photometric="minisblack",
            metadata={"axes": "ZYX"},
        )
    low, high = built(path)[0].stack.channels[0].window
    assert low < np.percentile(plane, 10)
    assert high > 8 * np.percentile(plane, 90)


def test_a_damaged_block_is_found_before_its_first_tile(slides, tmp_path):
    """The plain picture opens; the plane whose entries were changed does not serve one of them."""
    slide, target = slides(z=3, channels=2, t=2), tmp_path / "a.pyramid"
    build(slide, target)
    raw = bytearray(target.read_bytes())
    raw[form.parse_head(raw).tail_at - 16] ^= 1
    target.write_bytes(raw)
    with Pyramid.open(slide, target) as pyramid:
        pyramid.tile(pyramid.grid.largest, 0, 0)
        with pytest.raises(PyramidInvalid):
            pyramid.shown(2, 1, (1,)).tile(pyramid.grid.largest, 0, 0)


def test_opening_reads_the_header_the_tail_and_what_is_shown(slides, tmp_path):
    """However many planes there are, three ranges and one per channel: the rest waits until it is asked for."""
    slide, target = slides(z=3, channels=2, t=2), tmp_path / "a.pyramid"
    build(slide, target)
    asked = []
    raw, pixels = target.read_bytes(), slide.read_bytes()

    def read(length, offset):
        asked.append((length, offset))
        return raw[offset : offset + length]

    pyramid = Pyramid.over((lambda length, offset: pixels[offset : offset + length], len(pixels)), (read, len(raw)))
    assert len(asked) == 4
    with Pyramid.open(slide, target) as mapped:
        shown = [which.shown(0, 1, (0,)) for which in (pyramid, mapped)]
        assert not any(one.loaded for one in shown)
        assert shown[0].tile(9, 0, 0) == shown[1].tile(9, 0, 0)
        assert all(one.loaded for one in shown)
    assert len(asked) == 6


def test_a_picture_outlives_its_pyramid(slides, tmp_path):
    """Whoever holds a picture can read on; the files close with the last of them."""
    slide, target = slides(z=3, channels=2, t=2), tmp_path / "a.pyramid"
    build(slide, target)
    gc.collect()
    before = len(list(Path("/proc/self/fd").iterdir()))
    pyramid = Pyramid.open(slide, target)
    alive = weakref.ref(pyramid)
    plain, shown = pyramid.plain, pyramid.shown(0, 0, (1,))
    del pyramid
    assert alive() is None
    assert plain.tile(9, 0, 0)
    assert shown.tile(9, 0, 0)
    del plain, shown
    assert len(list(Path("/proc/self/fd").iterdir())) == before


@pytest.mark.parametrize("number", form.SINGLE)
def test_an_index_from_before_planes_still_opens(number, generated, tmp_path):
    """Formats 2 and 3: a block and no tail. Its tiles, its check and its one plane are as they were."""
    slide, target, older = generated("aperio", 700, 600, tile=240), tmp_path / "4.pyramid", tmp_path / "2.pyramid"
    build(slide, target)
    raw = target.read_bytes()
    head = form.parse_head(raw)
    record = form.parse_tail(head, raw[head.tail_at :]).record(0)
    fields = {name: getattr(head, name) for name in form.Head.__dataclass_fields__}
    fields |= {"index_bytes": record.length, "index_digest": record.digest, "tail_bytes": 0, "format": number}
    older.write_bytes(form.Head(**fields).pack() + raw[form.HEADER_BYTES : head.tail_at])
    assert older.read_bytes()[8] == number
    check(slide, older)
    with Pyramid.open(slide, target) as new, Pyramid.open(slide, older) as old:
        assert old.stack == new.stack
        for at in ((10, 0, 0), (10, 2, 2), (8, 0, 0), (3, 0, 0)):
            assert old.tile(*at) == new.tile(*at)


def test_native_tiles_of_every_plane(slides):
    """The scanner's own grid, plane by plane: other bytes for other planes, and none for a plane that is not there."""
    native = Native(slides(z=3, channels=2, t=2))
    assert [level.size for level in native.levels] == [Size(700, 520), Size(350, 260), Size(175, 130)]
    count = native.scene.stack.count
    assert len({native.tile(0, 1, 1, plane) for plane in range(count)}) == count == 12
    with pytest.raises(TileNotFound):
        native.tile(3, 0, 0, 5)


def test_tissue_shines_where_light_was_counted(tmp_path, built):
    """In a grey fluorescence slide the bright is tissue and the dark is nothing; on stained glass it is otherwise."""
    path = tmp_path / "light.ome.tiff"
    samples = np.full((512, 512), 300, np.uint16)
    samples[100:300, 200:400] = 30_000
    tifffile.imwrite(path, samples, ome=True, tile=(256, 256), photometric="minisblack", compression="zlib")
    pyramid, _ = built(path)
    assert pyramid.stack.of_light
    found = np.asarray(tissue(pixels_of_level(pyramid, 512), light=True))
    assert found[110:290, 210:390].all()
    assert not found[:90].any()
    assert np.asarray(tissue(pixels_of_level(pyramid, 512)))[:90].all()


@pytest.mark.parametrize(("samples", "photometric"), [(1, "minisblack"), (1, "miniswhite"), (3, "rgb")])
def test_deep_samples_of_a_slide_without_a_block_show_their_upper_bits(samples, photometric, tmp_path, built, decibels):
    """Where nobody says what a plane is, no window is looked up: 16 bits are shown as they were before planes."""
    path = tmp_path / "deep.tiff"
    shape = (300, 300) if samples == 1 else (300, 300, 3)
    ramp = np.linspace(0, 60_000, int(np.prod(shape))).astype(np.uint16).reshape(shape)
    stored = ~ramp if photometric == "miniswhite" else ramp
    tifffile.imwrite(path, stored, tile=(256, 256), photometric=photometric, compression="zlib")
    pyramid, _ = built(path)
    assert pyramid.stack == Stack(samples=samples)
    assert not pyramid.stack.of_light
    assert decibels(_whole(pyramid)[..., 0], (ramp >> 8).reshape(300, 300, -1)[..., 0]) > 36


@pytest.mark.parametrize("codec", ["deflate", "j2k"])
def test_planes_in_other_codecs_are_made_by_whoever_makes_them(codec, slides, tmp_path):
    """A colour stack no browser shows: tiles of each plane are made on request, of its own pieces, by the `make` given;
    the same bytes as a complete build stores."""
    slide = slides(z=3, rgb=True, codec=codec)
    build(slide, tmp_path / "a.pyramid")
    build(slide, tmp_path / "b.pyramid", complete=True)
    orders = []

    def make(order):
        orders.append(order)
        return made(order)

    with (
        Pyramid.open(slide, tmp_path / "a.pyramid", make=make) as sparse,
        Pyramid.open(slide, tmp_path / "b.pyramid", make=make) as whole,
    ):
        at = (sparse.grid.largest, 1, 0)
        for z in range(3):
            shown = sparse.shown(z)
            assert shown.on_request(*at)
            assert shown.tile_at_hand(*at) is None
            assert shown.tile_length(*at) is None
            assert shown.tile(*at) == whole.shown(z).tile(*at)
            assert shown.etag(*at) != whole.shown(z).etag(*at)
        assert len(orders) == 3
        assert len({order.pieces[0].data for order in orders}) == 3
        assert not whole.shown(0).on_request(*at)


def test_the_rest_of_a_jpeg_plane_that_was_never_scanned_is_dark(tmp_path, built):
    """Of a grey plane in JPEG too: what stands in for a missing tile is no light, not white glass."""
    path = tmp_path / "sparse.ome.tiff"
    samples = np.full((512, 512), 90, np.uint8)
    tifffile.imwrite(path, samples, ome=True, tile=(256, 256), photometric="minisblack", compression="jpeg")
    raw = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        counts = file.pages[0].tags["TileByteCounts"]
    width = counts.valuebytecount // 4
    raw[counts.valueoffset : counts.valueoffset + width] = bytes(width)
    path.write_bytes(raw)
    pyramid, _ = built(path)
    assert not pyramid.decoded(pyramid.grid.largest, 0, 0).any()
    assert np.abs(pyramid.decoded(pyramid.grid.largest, 1, 0).astype(int) - 90).max() < 4
    assert pyramid.decoded(pyramid.grid.largest - 1, 0, 0)[:100, :100].max() < 4
