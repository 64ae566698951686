"""The verifier's own walkers against streams other people's encoders make."""

from __future__ import annotations

import hashlib
import io
import struct

import imagecodecs
import numpy as np
import pytest
import tifffile
from PIL import Image

from coverslip.errors import DamagedSlide, LimitExceeded, UnsupportedSlide
from coverslip.verify import j2k_meaning, j2k_walk, jpeg_walk, verify_alone
from coverslip.verify.lzw_walk import lzw_end
from coverslip.verify.merkle import merkle_root
from coverslip.verify.pages import pictures
from coverslip.verify.reading import Bytes
from coverslip.verify.tiff_walk import walk


def data_of(kind: str, size: int) -> bytes:
    rng = np.random.default_rng(size)
    return {
        "random": rng.integers(0, 256, size, dtype=np.uint8).tobytes(),
        "flat": b"a" * size,
        "few values": (rng.integers(0, 4, size, dtype=np.uint8) * 7).tobytes(),
    }[kind]


@pytest.mark.parametrize("kind", ["random", "flat", "few values"])
@pytest.mark.parametrize("size", [0, 1, 253, 254, 255, 256, 700, 5000, 200_000])
def test_an_lzw_stream_ends_where_its_encoder_ended(kind, size):
    """The end found from code widths is the encoder's, give or take its one empty byte, and so is what comes out."""
    data = data_of(kind, size)
    stream = bytes(imagecodecs.lzw_encode(data))
    end, out = lzw_end(stream, "tile")
    assert end == len(stream) or stream[end:] == b"\0"
    assert out == len(data)
    assert lzw_end(stream + b"hidden text", "tile") == (end, out)


def test_an_lzw_stream_without_end_is_damaged():
    """Half a stream has no end."""
    stream = bytes(imagecodecs.lzw_encode(data_of("random", 5000)))
    with pytest.raises(DamagedSlide):
        lzw_end(stream[:2000], "tile")


@pytest.mark.parametrize("options", [{}, {"reversible": True}, {"level": 40}])
def test_a_codestream_is_walked_to_its_end(options):
    """Every byte of an OpenJPEG codestream is a segment or a packet, and its comment is seen."""
    pixels = np.random.default_rng(1).integers(0, 255, (128, 128, 3), dtype=np.uint8)
    stream = bytes(imagecodecs.jpeg2k_encode(pixels, codecformat="j2k", **options))
    walked = j2k_walk.walk_j2k(stream + b"tail", "tile")
    assert walked.end == len(stream)
    assert len(j2k_walk.packets(stream, walked)) > 1000
    comment = struct.pack(">HHH", 0xFF64, 8, 1) + b"Jane"
    at = stream.index(b"\xff\x52")
    commented = j2k_walk.walk_j2k(stream[:at] + comment + stream[at:], "tile")
    assert j2k_walk.COM in j2k_walk.foreign(commented)
    assert j2k_meaning.meaning(commented) == j2k_meaning.meaning(walked)


def test_a_progressive_jpeg_is_walked_scan_by_scan():
    """Tables between scans are segments, not ends."""
    rng = np.random.default_rng(2)
    pixels = np.kron(rng.integers(0, 255, (8, 8, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=80, progressive=True)
    stream = out.getvalue()
    walked = jpeg_walk.walk_jpeg(stream, "tile")
    assert len(walked.scans) > 1
    assert walked.end == len(stream)


def test_a_thumbnail_in_jfif_is_foreign():
    """A JFIF segment longer than its fixed part holds a picture."""
    plain = jpeg_walk.Segment(jpeg_walk.APP0, 0, 0, b"JFIF\0\x01\x01\0\0\x01\0\x01\0\0")
    thumbnail = jpeg_walk.Segment(jpeg_walk.APP0, 0, 0, b"JFIF\0\x01\x01\0\0\x01\0\x01\x01\x01abc")
    adobe = jpeg_walk.Segment(jpeg_walk.APP14, 0, 0, b"Adobe\0\x64\0\0\0\0\0")
    longer = jpeg_walk.Segment(jpeg_walk.APP14, 0, 0, b"Adobe\0\x64\0\0\0\0\0Jane")
    assert list(jpeg_walk.foreign([plain, thumbnail, adobe, longer])) == [thumbnail, longer]


@pytest.mark.parametrize("options", [{"bigtiff": False}, {"bigtiff": True}, {"byteorder": ">"}])
def test_tifffile_and_the_walker_agree(tmp_path, options):
    """Same directories, same sizes, same tiles, SubIFDs included."""
    path = tmp_path / "a.tif"
    pixels = np.random.default_rng(3).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    order = {"byteorder": options["byteorder"]} if "byteorder" in options else {}
    with tifffile.TiffWriter(path, bigtiff=options.get("bigtiff", False), **order) as writer:
        writer.write(pixels, tile=(64, 64), subifds=1, compression="zlib")
        writer.write(pixels[::2, ::2], tile=(64, 64), subfiletype=1)
        writer.write(pixels[::4, ::4])
    with Bytes(path) as file, tifffile.TiffFile(path) as tiff:
        pages = pictures(file, walk(file))
        other = [tiff.pages[0], tiff.pages[1], tiff.pages[0].pages[0]]
        assert [page.path for page in pages] == ["ifd[0]", "ifd[1]", "ifd[0]/SubIFDs[0]"]
        for page, theirs in zip(pages, other, strict=True):
            assert (page.size.height, page.size.width) == theirs.shape[:2]
            assert page.offsets.tolist() == list(theirs.dataoffsets)
            assert page.counts.tolist() == list(theirs.databytecounts)


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", UnsupportedSlide),
        (b"II*\0", UnsupportedSlide),
        (b"MM\0*\0\0\0\x08" + b"\0\0\0\0\0\0", DamagedSlide),
        (b"II*\0\x08\0\0\0" + struct.pack("<H", 600), LimitExceeded),
        (b"II*\0\x08\0\0\0" + struct.pack("<HI", 0, 8), DamagedSlide),
        (b"II*\0\xff\xff\xff\x7f", DamagedSlide),
    ],
    ids=["empty", "short", "no picture", "too many entries", "loop", "outside"],
)
def test_hostile_directories_end_in_one_typed_error(tmp_path, data, error):
    """Loops, pointers outside and absurd counts."""
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    with pytest.raises(error):
        verify_alone(path)


def test_a_merkle_root_depends_on_every_leaf_and_its_place():
    """Also with an odd number of leaves, and an inner node is no leaf."""
    leaves = [bytes([number]) * 32 for number in range(7)]
    root = merkle_root(b"".join(leaves))
    for number in range(7):
        assert merkle_root(b"".join([*leaves[:number], b"x" * 32, *leaves[number + 1 :]])) != root
    assert merkle_root(b"".join(leaves[::-1])) != root
    assert merkle_root(merkle_root(b"".join(leaves[:2])) + leaves[2]) == merkle_root(b"".join(leaves[:3]))


def test_a_merkle_root_is_what_its_description_says():
    """Worked out by hand: nothing, one leaf, two, and three, of which the odd one moves up."""
    a, b, c = (bytes([number]) * 32 for number in range(3))
    pair = hashlib.sha256(b"\x01" + a + b).digest()
    assert merkle_root(b"") == hashlib.sha256(b"").digest()
    assert merkle_root(a) == a
    assert merkle_root(a + b) == pair
    assert merkle_root(a + b + c) == hashlib.sha256(b"\x01" + pair + c).digest()
