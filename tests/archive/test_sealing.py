"""Frames that are sealed while their file arrives: again without harm, and read only as what was sealed."""

import random

import pytest

from coverslip.archive.frames import FACTS_BYTES, FRAME, NONCE, Opened
from coverslip.archive.sealing import STRIDE, Sealer
from coverslip.errors import OriginalDamaged

KEY = b"k" * 32
PLAIN = random.Random(6).randbytes(3 * FRAME + 777)


def sealed(plain=PLAIN, key=KEY, name="uid"):
    """The whole file, as parts of it put together make it."""
    sealer = Sealer(key, name, len(plain))
    frames = (plain[at : at + FRAME] for at in range(0, len(plain), FRAME))
    return b"".join(sealer.seal(number, frame) for number, frame in enumerate(frames)) + sealer.facts


def opened(stored, key=KEY, name="uid"):
    return Opened(lambda length, offset: bytes(stored[offset : offset + length]), len(stored), key, name)


@pytest.mark.parametrize("length", [1, FRAME - 1, FRAME, FRAME + 1, len(PLAIN)])
def test_what_is_sealed_is_what_is_read(length):
    """Around every edge of a frame, all of it and any part."""
    found = opened(sealed(PLAIN[:length]))
    assert found.length == length
    assert b"".join(found.pieces()) == PLAIN[:length]
    assert found.read(100, length // 2) == PLAIN[length // 2 : min(length, length // 2 + 100)]


def test_the_same_bytes_give_the_same_frame_and_others_another_nonce():
    """Whoever seals them and whenever; half a frame, another place and another file have nonces of their own."""
    one, two = Sealer(KEY, "uid", len(PLAIN)), Sealer(KEY, "uid", len(PLAIN))
    frame = PLAIN[:FRAME]
    assert one.seal(0, frame) == two.seal(0, memoryview(frame))
    others = [one.seal(0, frame[:100]), one.seal(1, frame), one.seal(0, frame[:-1] + b"x")]
    others += [Sealer(KEY, "other", len(PLAIN)).seal(0, frame), Sealer(KEY, "uid", len(PLAIN) + 1).seal(0, frame)]
    assert len({each[:NONCE] for each in (one.seal(0, frame), *others)}) == 6


def test_half_a_frame_is_opened_by_whoever_has_the_key():
    """In its own place only."""
    sealer = Sealer(KEY, "uid", len(PLAIN))
    half = sealer.seal(1, PLAIN[FRAME : FRAME + 100])
    assert sealer.open(1, half) == PLAIN[FRAME : FRAME + 100]
    for number, stored in ((0, half), (1, half[:-1]), (1, b""), (1, half[:-1] + bytes([half[-1] ^ 1]))):
        with pytest.raises(OriginalDamaged):
            sealer.open(number, stored)
    with pytest.raises(OriginalDamaged):
        Sealer(b"x" * 32, "uid", len(PLAIN)).open(1, half)


def _flip(at):
    def change(data):
        data[at] ^= 1

    return change


def _drop_a_frame(data):
    del data[STRIDE : 2 * STRIDE]


def _swap_two_frames(data):
    data[:STRIDE], data[STRIDE : 2 * STRIDE] = data[STRIDE : 2 * STRIDE], data[:STRIDE]


def _end_a_frame_earlier(data):
    facts = bytearray(data[-FACTS_BYTES:])
    facts[12:20] = (3 * FRAME).to_bytes(8, "little")
    data[3 * STRIDE :] = facts


def _half_a_frame_in_its_place(data):
    """A piece that was kept on the way is no end of the file, whatever the facts say."""
    facts = bytearray(data[-FACTS_BYTES:])
    facts[12:20] = (FRAME + 100).to_bytes(8, "little")
    data[STRIDE:] = Sealer(KEY, "uid", len(PLAIN)).seal(1, PLAIN[FRAME : FRAME + 100]) + facts


def _cut_to(length):
    def change(data):
        del data[length:]

    return change


BROKEN = {
    "a nonce": _flip(STRIDE),
    "first byte": _flip(NONCE),
    "a tag": _flip(STRIDE - 1),
    "last frame": _flip(-FACTS_BYTES - 1),
    "magic": _flip(-FACTS_BYTES),
    "version": _flip(-FACTS_BYTES + 7),
    "frame size": _flip(-FACTS_BYTES + 9),
    "length": _flip(-FACTS_BYTES + 12),
    "a frame is gone": _drop_a_frame,
    "two frames change places": _swap_two_frames,
    "cut in a frame": _cut_to(STRIDE + 5),
    "cut after a frame": _cut_to(2 * STRIDE),
    "without its facts": _cut_to(-FACTS_BYTES),
    "empty": _cut_to(0),
    "shorter, and the facts agree": _end_a_frame_earlier,
    "half a frame at the end, and the facts agree": _half_a_frame_in_its_place,
}


@pytest.mark.parametrize("change", BROKEN.values(), ids=BROKEN.keys())
def test_a_change_shows(change):
    """One bit anywhere, a frame dropped, moved, cut or from an earlier moment: refused by type."""
    data = bytearray(sealed())
    change(data)
    with pytest.raises(OriginalDamaged):
        b"".join(opened(data).pieces())


def test_a_wrong_key_and_another_upload_open_nothing():
    """Frames are bound to their file."""
    for key, name in ((b"x" * 32, "uid"), (KEY, "other")):
        with pytest.raises(OriginalDamaged):
            b"".join(opened(sealed(), key, name).pieces())
