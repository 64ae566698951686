"""A valid ICC v2 matrix profile (sRGB primaries, gamma 2.2) whose texts, date, creator and identifier are planted."""

from __future__ import annotations

import struct

from samples.identifiers import Encoding, Kind, Planter

PRIMARIES = {"rXYZ": (0.4361, 0.2225, 0.0139), "gXYZ": (0.3851, 0.7169, 0.0971), "bXYZ": (0.1431, 0.0606, 0.7141)}
WHITE = (0.9642, 1.0, 0.8249)
LANGUAGES = ("enUS", "deDE", "jaJP")


def profile(planter: Planter, place: str) -> bytes:
    """The profile, with identifiers in every place the format has room for."""
    tags = {name: _xyz(value) for name, value in PRIMARIES.items()} | {"wtpt": _xyz(WHITE)}
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    tags |= dict.fromkeys(("rTRC", "gTRC", "bTRC"), curve)
    for name in ("desc", "dmnd", "dmdd"):
        tags[name] = _description(planter, f"{place}/{name}")
    if planter.active:
        tags["vued"] = _languages(planter, f"{place}/vued")
    words = planter.blob(f"{place}/cprt", Kind.STAFF) if planter.active else b"public domain"
    tags["cprt"] = b"text" + bytes(4) + words + b"\0"
    return _assemble(tags, planter, place)


def _description(planter: Planter, place: str) -> bytes:
    latin = (planter.blob(f"{place}", Kind.DEVICE) if planter.active else b"sRGB gamma 2.2") + b"\0"
    wide = planter.blob(f"{place}/unicode", Kind.DEVICE, Encoding.UTF16BE) if planter.active else b""
    unicode = wide + b"\0\0" if wide else b""
    script = (planter.blob(f"{place}/script", Kind.DEVICE) if planter.active else b"")[:67]
    head = b"desc" + bytes(4) + struct.pack(">I", len(latin)) + latin
    tail = struct.pack(">HB", 0, len(script)) + script.ljust(67, b"\0")
    return head + struct.pack(">II", 0, len(unicode) // 2) + unicode + tail


def _languages(planter: Planter, place: str) -> bytes:
    """The same in several languages, as version 4 has it: a table of records, then their texts in UTF-16."""
    texts = [planter.blob(f"{place}/{language}", Kind.STAFF, Encoding.UTF16BE) for language in LANGUAGES]
    table, at = b"", 16 + 12 * len(texts)
    for language, words in zip(LANGUAGES, texts, strict=True):
        table += language.encode() + struct.pack(">II", len(words), at)
        at += len(words)
    return b"mluc" + struct.pack(">III", 0, len(texts), 12) + table + b"".join(texts)


def _xyz(value: tuple[float, float, float]) -> bytes:
    return b"XYZ " + bytes(4) + struct.pack(">3i", *(round(part * 65536) for part in value))


def _assemble(tags: dict[str, bytes], planter: Planter, place: str) -> bytes:
    table, body, start = bytearray(), bytearray(), 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name.encode(), start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    length = start + len(body)
    return _header(length, planter, place) + struct.pack(">I", len(tags)) + bytes(table + body)


def _header(length: int, planter: Planter, place: str) -> bytes:
    date, creator, model, identity = b"\x07\xd9\0\x0c\0\x1d\0\x09\0\x3b\0\x0f", bytes(4), bytes(4), bytes(16)
    if planter.active:
        date = planter.moment(f"{place}/date")
        creator = planter.raw(f"{place}/creator", 4, Kind.STAFF)
        model = planter.raw(f"{place}/model", 4, Kind.DEVICE)
        identity = planter.raw(f"{place}/profile ID", 16, Kind.NUMBER)
    head = struct.pack(">I4sI4s4s4s", length, b"\0\0\0\0", 0x02400000, b"mntr", b"RGB ", b"XYZ ") + date
    head += b"acsp" + b"MSFT" + bytes(4) + bytes(4) + model + bytes(8) + bytes(4)
    head += struct.pack(">3i", *(round(part * 65536) for part in WHITE)) + creator + identity
    return head.ljust(128, b"\0")
