"""The files of a folder or an archive, looked at alike: names in parts, first bytes, whole bytes on demand."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Final, Protocol

from coverslip.errors import LimitExceeded, NotOneSlide, StorageFailed
from coverslip.intake.candidate import Candidate, Kind, Member
from coverslip.names import stem
from coverslip.preflight.zip import MAX_ENTRIES, PIECE, Entry, open_zip

HEAD: Final = 132
"""Bytes that tell what a file is: a DICOM file's magic stands last in them."""


class Source(Protocol):
    """What slides are looked for in."""

    @property
    def members(self) -> tuple[Member, ...]:
        """Its files, sorted by their names."""
        ...

    @property
    def word(self) -> str:
        """What to call it in places: `archive` or `folder`."""
        ...

    @property
    def untrusted_comments(self) -> tuple[bytes, ...]:
        """What was written beside the files."""
        ...

    @property
    def untrusted_names(self) -> tuple[str, ...]:
        """What the whole is called, and folders that may be empty."""
        ...

    def read(self, member: Member) -> Iterator[bytes]:
        """A file's bytes in pieces."""
        ...


class Packed:
    """A ZIP archive within the limits; use as a context manager."""

    word = "archive"

    def __init__(self, path: Path, *, max_bytes: int) -> None:
        """Read its directory. Raises UnsupportedSlide, LimitExceeded, DamagedSlide, StorageFailed."""
        try:
            self._zip = open_zip(path, max_bytes=max_bytes)
        except OSError as error:
            raise StorageFailed("the archive cannot be read") from error
        self.untrusted_comments = self._zip.untrusted_comments
        self.untrusted_names = (stem(path.name), *(part for parts in self._zip.folders for part in parts))

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Its files, sorted by their names."""
        return tuple(Member(parts, self._zip.head(entry, HEAD), entry.size) for parts, entry in self._entries.items())

    def read(self, member: Member) -> Iterator[bytes]:
        """A file's bytes in pieces. Raises DamagedSlide when they are not what was announced."""
        return self._zip.read(self._entries[member.parts])

    @cached_property
    def _entries(self) -> Mapping[tuple[str, ...], Entry]:
        return {entry.parts: entry for entry in sorted(self._zip.entries, key=lambda entry: entry.parts)}

    def __enter__(self) -> Packed:
        """The archive itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self._zip.close()


@dataclass(frozen=True)
class Folder:
    """A folder on this machine; links in it are not followed."""

    path: Path = field(repr=False)
    word = "folder"
    untrusted_comments = ()

    @property
    def untrusted_names(self) -> tuple[str, ...]:
        """What the folder is called."""
        return (self.path.resolve().name,)

    @cached_property
    def members(self) -> tuple[Member, ...]:
        """Its files at any depth, sorted by their names. Raises LimitExceeded, StorageFailed."""
        try:
            return tuple(sorted(self._walk(), key=lambda member: member.parts))
        except OSError as error:
            raise StorageFailed("the folder cannot be read") from error

    def read(self, member: Member) -> Iterator[bytes]:
        """A file's bytes in pieces. Raises StorageFailed."""
        try:
            with self._at(member).open("rb") as file:
                while piece := file.read(PIECE):
                    yield piece
        except OSError as error:
            raise StorageFailed("a file of the folder cannot be read") from error

    def place(self, slide: Candidate) -> Path:
        """The path that readers take for a slide. Raises NotOneSlide for one whose parts lie where none looks."""
        if slide.entry is None:
            raise NotOneSlide(where="folder: MIRAX without its .mrxs file")
        if slide.kind is not Kind.DICOM:
            return self._at(slide.entry)
        if len({member.folder for member in slide.members}) > 1:
            raise NotOneSlide(where="folder: DICOM files in several folders")
        return self._at(slide.entry).parent

    def _at(self, member: Member) -> Path:
        return self.path.joinpath(*member.parts)

    def _walk(self) -> Iterator[Member]:
        count = 0
        for folder, _, files in os.walk(self.path, onerror=_raise):
            for file in (Path(folder, name) for name in files):
                if file.is_symlink() or not file.is_file():
                    continue
                count += 1
                if count > MAX_ENTRIES:
                    raise LimitExceeded(f"more than {MAX_ENTRIES} files in a folder", where="folder")
                yield Member(file.relative_to(self.path).parts, _head(file), file.stat().st_size)


def _head(file: Path) -> bytes:
    with file.open("rb") as opened:
        return opened.read(HEAD)


def _raise(error: OSError) -> None:
    raise error
