"""Colour profiles of every shape that one may have, with a name wherever nobody looks for colours."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

NAME = b"JANE"
"""Stands between and behind what says a colour."""
ONE = 1 << 16
CONNECTIONS = (b"XYZ ", b"Lab ")
CHANNELS = {b"RGB ": 3, b"GRAY": 1, b"XYZ ": 3, b"Lab ": 3}
PARAMETERS = (1, 3, 4, 5, 7)
PADS = st.sampled_from((b"", NAME))


def points(size):
    """Any bytes but the name's, which hypothesis knows from this file and likes to try."""
    return st.binary(min_size=size, max_size=size).map(lambda found: found.replace(NAME, bytes(len(NAME))))


@st.composite
def numbers(draw, count, most):
    """Numbers with sixteen bits behind the point, none further from zero than `most`."""
    found = draw(st.lists(st.integers(-most * ONE, most * ONE), min_size=count, max_size=count))
    return struct.pack(f">{count}i", *found)


@st.composite
def sampled(draw):
    """A curve of points; one point is an exponent, none is the identity."""
    count = draw(st.integers(0, 5))
    return b"curv" + NAME + struct.pack(">I", count) + draw(points(2 * count))


@st.composite
def parametric(draw):
    """A curve by formula."""
    kind = draw(st.integers(0, 4))
    return b"para" + NAME + struct.pack(">H", kind) + NAME[:2] + draw(numbers(PARAMETERS[kind], 16))


CURVES = st.one_of(sampled(), parametric())


@st.composite
def several(draw, count):
    """Curves as they stand in a stage, each on a multiple of four."""
    found = [draw(CURVES) for _ in range(count)]
    return b"".join(curve + bytes(-len(curve) % 4) for curve in found)


@st.composite
def tables(draw, inputs, outputs, begins_in):
    """lut8 or lut16. A matrix counts only where the table begins in XYZ: elsewhere anything stands there."""
    wide, grid = draw(st.booleans()), draw(st.integers(2, 3))
    before, after = draw(st.tuples(st.integers(2, 4), st.integers(2, 4))) if wide else (256, 256)
    matrix = draw(numbers(9, 16)) if begins_in == b"XYZ " else NAME * 9
    size = (2 if wide else 1) * (before * inputs + grid**inputs * outputs + after * outputs)
    head = (b"mft2" if wide else b"mft1") + NAME + bytes((inputs, outputs, grid)) + NAME[:1]
    counts = struct.pack(">HH", before, after) if wide else b""
    return head + matrix + counts + draw(points(size)) + draw(PADS)


@st.composite
def stages(draw, inputs, outputs, kind):
    """lutAToB or lutBToA with some of its stages, in any order, with words between them."""
    device, connection = (inputs, outputs) if kind == b"mAB " else (outputs, inputs)
    with_matrix, with_grid = draw(st.booleans()), draw(st.booleans()) or inputs != outputs
    sides, width = [draw(st.integers(2, 3)) for _ in range(inputs)], draw(st.integers(1, 2))
    size = outputs * width
    for side in sides:
        size *= side
    table = bytes(sides) + NAME * 4
    table = table[:16] + bytes((width,)) + NAME[:3] + draw(points(size))
    made = {
        0: draw(several(connection)),
        1: draw(numbers(12, 16)) if with_matrix else None,
        2: draw(several(connection)) if with_matrix else None,
        3: table if with_grid else None,
        4: draw(several(device)) if with_grid else None,
    }
    body, places = draw(PADS), [0] * 5
    for number in draw(st.permutations(range(5))):
        stage = made[number]
        if stage is not None:
            places[number] = 32 + len(body)
            body += stage + bytes(-len(stage) % 4) + draw(PADS)
    return kind + NAME + bytes((inputs, outputs)) + NAME[:2] + struct.pack(">5I", *places) + body


def transform(signature, space, connection):
    """A table or stages for one direction."""
    forth = signature.startswith(b"A2B")
    begins_in, ends_in = (space, connection) if forth else (connection, space)
    inputs, outputs = CHANNELS[begins_in], 1 if signature == b"gamt" else CHANNELS[ends_in]
    return st.one_of(tables(inputs, outputs, begins_in), stages(inputs, outputs, b"mAB " if forth else b"mBA "))


@st.composite
def profiles(draw):
    """A whole profile: some of the tags there are, and now and then one that only a printer's has."""
    space, connection = draw(st.sampled_from((b"RGB ", b"GRAY"))), draw(st.sampled_from(CONNECTIONS))
    kind, version = draw(st.sampled_from((b"scnr", b"mntr", b"prtr", b"spac"))), draw(st.sampled_from((2, 4)))
    colours = (b"r", b"g", b"b") if space == b"RGB " else (b"k",)
    tags = {b"desc": b"desc" + bytes(4) + struct.pack(">I", 5) + NAME + bytes(79), b"wtpt": _xyz(draw(numbers(3, 2)))}
    tags |= {colour + b"TRC": draw(CURVES) + draw(PADS) for colour in colours}
    if space == b"RGB ":
        tags |= {colour + b"XYZ": _xyz(draw(numbers(3, 2))) for colour in colours}
    if draw(st.booleans()):
        tags[b"chad"] = b"sf32" + NAME + draw(numbers(9, 4)) + draw(PADS)
    wanted = draw(st.sets(st.sampled_from((b"A2B0", b"A2B1", b"B2A0", b"B2A2", b"gamt")), max_size=2))
    tags |= {signature: draw(transform(signature, space, connection)) for signature in sorted(wanted)}
    return assembled(tags, version, kind, space, connection)


def _xyz(content):
    return b"XYZ " + NAME + content + NAME


def assembled(tags, version, kind, space, connection):
    """Header, table and data; what in a header names somebody does."""
    at, table, body = 132 + 12 * len(tags), b"", b""
    for signature, data in tags.items():
        table += struct.pack(">4sII", signature, at + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    said = kind + space + connection + NAME * 3 + b"acsp"
    header = struct.pack(">I", at + len(body)) + NAME + bytes((version, 0x20)) + NAME[:2] + said
    header += NAME * 6 + struct.pack(">I", 1) + NAME * 15
    return header + struct.pack(">I", len(tags)) + table + body
