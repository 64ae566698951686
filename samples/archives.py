"""ZIP archives against whoever unpacks them, each with the code it has to end in: hostile archives are data.

Source: the ways that are known (paths upwards, links, bombs by ratio, by lies and by shared bytes, names that collide)
and PKWARE APPNOTE 6.3.10 for where to lie.
"""

from __future__ import annotations

import io
import random
import stat
import struct
import warnings
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

DAMAGED, UNSUPPORTED, LIMIT, NOT_ONE = "damaged-slide", "unsupported-slide", "limit-exceeded", "not-one-slide"
SLIDE: Final = b"II*\0"
"""Enough to be taken for a slide before it is opened."""

Files = list[tuple[str | zipfile.ZipInfo, bytes]]
Edit = Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class Attack:
    """One hostile archive."""

    name: str
    code: str
    """What it is refused with."""
    make: Callable[[], bytes]

    def write(self, path: Path) -> Path:
        """Write it and return where."""
        path.write_bytes(self.make())
        return path


def pack(folder: Path, *, within: str = "", comment: str = "", method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An honest archive of everything in a folder."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", method) as archive:
        archive.comment = comment.encode()
        for file in sorted(folder.rglob("*")):
            archive.write(file, f"{within}{file.relative_to(folder)}")
    return made.getvalue()


def attacks(person: str) -> Iterator[Attack]:
    """Every kind, with a person's name in the names of files."""
    yield from _names(person)
    yield from _kinds(person)
    yield from _bombs(person)
    yield from _lies(person)
    yield from _contents(person)


def _names(person: str) -> Iterator[Attack]:
    for name, path in (
        ("upwards", f"../{person}.svs"), ("deep upwards", f"a/../../{person}.svs"), ("root", f"/tmp/{person}.svs"),
        ("drive", f"C:\\{person}.svs"), ("device", "a/NUL.svs"), ("right to left", f"{person}\u202esvs"),
        ("control", f"{person}\x1b[2J.svs"), ("too deep", "a/" * 40 + f"{person}.svs"),
    ):  # fmt: skip
        yield _attack(name, DAMAGED, [(path, SLIDE)])
    twice: Files = [(f"{person}.svs", SLIDE), (f"{person}.svs".upper(), b"other")]
    yield _attack("one name twice", DAMAGED, twice)
    yield _attack("a file as a folder", DAMAGED, [(person, SLIDE), (f"{person}/x.svs", SLIDE)])


def _kinds(person: str) -> Iterator[Attack]:
    for name, kind in (("link", stat.S_IFLNK), ("pipe", stat.S_IFIFO), ("device node", stat.S_IFBLK)):
        info = zipfile.ZipInfo(f"{person}.svs")
        info.create_system, info.external_attr = 3, (kind | 0o777) << 16
        yield _attack(name, DAMAGED, [(info, b"/etc/passwd")])
    yield _attack("encrypted", UNSUPPORTED, [(f"{person}.svs", SLIDE)], lambda data: _in_directory(data, 8, b"\1\0"))
    yield _attack(
        "another method", UNSUPPORTED, [(f"{person}.svs", SLIDE)], lambda data: _in_directory(data, 10, b"\x0e\0")
    )


def _bombs(person: str) -> Iterator[Attack]:
    yield _attack("ratio", LIMIT, [(f"{person}.svs", SLIDE + bytes(1 << 20))])
    yield _attack("too many", LIMIT, [(f"{person}/{number}", b"") for number in range(20_001)])
    small = SLIDE + bytes(range(256)) * 400
    yield _attack(
        "longer than it says", DAMAGED, [(f"{person}.svs", small)], lambda data: _in_directory(data, 24, b"\0\4\0\0")
    )
    yield _attack("shared bytes", DAMAGED, [(f"{person}.svs", b"x" * 50), (f"{person}.txt", b"x" * 50)], _shared)
    many: Files = [(f"{person} {number}.dat", random.Random(number).randbytes(4096)) for number in range(400)]
    yield _attack("more than there is room for", LIMIT, many, _all_large)


def _lies(person: str) -> Iterator[Attack]:
    files: Files = [(f"{person}.svs", SLIDE + bytes(range(256)))]
    yield _attack("checksum", DAMAGED, files, lambda data: _in_directory(data, 16, b"\0\0\0\0"))
    yield _attack("cut off", DAMAGED, files, lambda data: data[:-30])
    yield _attack("half", DAMAGED, files, lambda data: data[: len(data) // 2])
    yield _attack("bytes behind the end", DAMAGED, files, lambda data: data + person.encode())
    yield _attack("place beyond the end", DAMAGED, files, lambda data: _in_directory(data, 42, b"\xff\xff\xff\x7f"))
    yield _attack("not inflatable", DAMAGED, files, lambda data: data.replace(data[40:60], b"\xff" * 20, 1))


def _contents(person: str) -> Iterator[Attack]:
    inner = _zip([(f"{person}.svs", SLIDE)])
    yield _attack("an archive within", UNSUPPORTED, [(f"{person}.zip", inner)])
    yield _attack("an archive beside the slide", UNSUPPORTED, [(f"{person}.svs", SLIDE), ("more.dat", inner)])
    yield _attack("nothing", NOT_ONE, [])
    yield _attack("no slide", NOT_ONE, [(f"{person}.txt", person.encode())])
    yield _attack("two slides", NOT_ONE, [(f"{person}.svs", SLIDE), (f"{person} 2.svs", SLIDE)])
    yield _attack("half a slide", NOT_ONE, [(f"{person}.mrxs", b"\xff\xd8\xff")])


def _attack(name: str, code: str, files: Files, edit: Edit = lambda data: data) -> Attack:
    return Attack(name, code, lambda: edit(_zip(files)))


def _zip(files: Files) -> bytes:
    made = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(made, "w") as archive:
        warnings.simplefilter("ignore")  # two files with one name are the point
        for name, content in files:
            archive.writestr(name, content, compress_type=zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _in_directory(data: bytes, at: int, value: bytes) -> bytes:
    """Other bytes at a place of the first line of the central directory."""
    at += data.index(b"PK\1\2")
    return data[:at] + value + data[at + len(value) :]


def _all_large(data: bytes) -> bytes:
    """Each file says it unpacks to as much as one file may."""
    lines = data.split(b"PK\1\2")
    return b"PK\1\2".join([lines[0], *(line[:20] + struct.pack("<I", 199 * 4096) + line[24:] for line in lines[1:])])


def _shared(data: bytes) -> bytes:
    first, second = data.index(b"PK\1\2"), data.rindex(b"PK\1\2")
    return data[: second + 42] + data[first + 42 : first + 46] + data[second + 46 :]
