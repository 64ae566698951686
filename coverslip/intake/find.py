"""Which of many files are the one slide: by what they begin with and how vendors lay their files out.

Source: OpenSlide 4.0 (mirax: X.mrxs beside X/Slidedat.ini; hamamatsu: the groups of .vms and .vmu files; trestle: files
of one name), DICOM PS3.10 §7.1 (magic) and §8.6 (DICOMDIR).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from coverslip.errors import NotOneSlide, UnsupportedSlide
from coverslip.intake import settings_file
from coverslip.intake.candidate import Candidate, Kind, Member
from coverslip.intake.members import Source
from coverslip.packed import looks_like_zip
from coverslip.preflight import dicom
from coverslip.tiff.structure import looks_like_tiff

MIRAX_SETTINGS: Final = "slidedat.ini"
_HAMAMATSU: Final = (b"[Virtual Microscope Specimen]", b"[Uncompressed Virtual Microscope Specimen]")
_OTHER_SLIDES: Final = (b"ZISRAWFILE", b"SQLite format 3\0")
"""Zeiss CZI and Sakura."""
_OTHER_ARCHIVES: Final = (b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b\x08", b"\xfd7zXZ\0")
_LITTER: Final = frozenset((".ds_store", "thumbs.db", "ehthumbs.db", "desktop.ini", "dicomdir"))
"""What file managers leave, and the index of a DICOM file set, which repeats what its files say."""
_MAC: Final = "__MACOSX"

_Folder = tuple[str, ...]


def find(source: Source) -> Candidate:
    """The one slide among the files.

    Raises NotOneSlide when there is none, more than one, or one that misses a part; UnsupportedSlide for an archive
    among them; LimitExceeded for a settings file too long to be one.
    """
    members = [member for member in source.members if not _is_litter(member)]
    if any(_is_archive(member.head) for member in members):
        raise UnsupportedSlide("an archive within an archive or folder is not opened", where=source.word)
    folders = _by_folder(members)
    found = [*_mirax(folders), *islice(_hamamatsu(source, folders), 2), *_dicom(members)]
    free = _unclaimed(members, found)
    found += [_file(member, folders) for member in free if _is_slide_file(member.head)]
    if any(member.ending == ".mrxs" for member in free):
        raise NotOneSlide(where=f"{source.word}: MIRAX without its folder")
    if len(found) != 1:
        raise NotOneSlide(where=f"{source.word}: {'several slides' if found else 'no slide'}")
    return found[0]


def _unclaimed(members: Sequence[Member], found: Sequence[Candidate]) -> list[Member]:
    """Files that no slide has, nor lie below the folder of a MIRAX slide, where scanners keep more than they need."""
    claimed = {member.parts for candidate in found for member in candidate.members}
    inner = {candidate.others[0].folder for candidate in found if candidate.kind is Kind.MIRAX} - {()}
    return [
        member
        for member in members
        if member.parts not in claimed and not any(member.folder[:n] in inner for n in range(1, len(member.parts)))
    ]


def _mirax(folders: dict[_Folder, list[Member]]) -> Iterator[Candidate]:
    for folder, members in folders.items():
        if any(member.name.lower() == MIRAX_SETTINGS for member in members):
            beside = folders.get(folder[:-1], []) if folder else []
            entries = [other for other in beside if other.ending == ".mrxs" and other.stem == folder[-1]]
            yield Candidate(Kind.MIRAX, entries[0] if entries else None, tuple(members))


def _hamamatsu(source: Source, folders: dict[_Folder, list[Member]]) -> Iterator[Candidate]:
    for members in folders.values():
        for member in members:
            if member.head.removeprefix(b"\xef\xbb\xbf").startswith(_HAMAMATSU):
                named = settings_file.values(settings_file.text(source.read(member)))
                others = (each for each in members if each.name.casefold() in named and each is not member)
                yield Candidate(Kind.HAMAMATSU, member, tuple(others))


def _dicom(members: Sequence[Member]) -> Iterator[Candidate]:
    """All DICOM files as one slide: whether they are one series is for the reader to say."""
    instances = [member for member in members if member.head[128:132] == dicom.MAGIC]
    if instances:
        yield Candidate(Kind.DICOM, instances[0], tuple(instances[1:]))


def _file(entry: Member, folders: dict[_Folder, list[Member]]) -> Candidate:
    beside = (other for other in folders[entry.folder] if other.stem == entry.stem and other is not entry)
    return Candidate(Kind.FILE, entry, tuple(other for other in beside if not _is_slide_file(other.head)))


def _by_folder(members: Sequence[Member]) -> dict[_Folder, list[Member]]:
    found: dict[_Folder, list[Member]] = defaultdict(list)
    for member in members:
        found[member.folder].append(member)
    return dict(found)


def _is_litter(member: Member) -> bool:
    return member.name.lower() in _LITTER or member.name.startswith("._") or _MAC in member.folder


def _is_archive(head: bytes) -> bool:
    return looks_like_zip(head) or head.startswith(_OTHER_ARCHIVES)


def _is_slide_file(head: bytes) -> bool:
    return looks_like_tiff(head) or head.startswith(_OTHER_SLIDES)
