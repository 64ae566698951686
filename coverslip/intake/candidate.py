"""A slide among files: which kind it is, and which files are its own."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Kind(StrEnum):
    """How a slide is made of files."""

    MIRAX = "mirax"
    """An .mrxs file, which is a picture, and a folder of the same name with `Slidedat.ini` in it."""
    HAMAMATSU = "hamamatsu"
    """A .vms or .vmu file that names the pictures beside it."""
    DICOM = "dicom"
    """Instances of one series."""
    FILE = "file"
    """One file; others of the same name beside it may belong to it (Trestle)."""


@dataclass(frozen=True, slots=True)
class Member:
    """One file of a folder or an archive."""

    parts: tuple[str, ...] = field(repr=False)
    """Folders and name; may name people."""
    head: bytes = field(repr=False)
    """Its first bytes."""
    size: int

    @property
    def folder(self) -> tuple[str, ...]:
        """The folders it lies in."""
        return self.parts[:-1]

    @property
    def name(self) -> str:
        """Its name without folders."""
        return self.parts[-1]

    @property
    def ending(self) -> str:
        """The last suffix in lower case, with its dot; empty without one."""
        stem, dot, suffix = self.name.rpartition(".")
        return f".{suffix.lower()}" if dot and stem else ""

    @property
    def stem(self) -> str:
        """The name without its last suffix."""
        stem, dot, _ = self.name.rpartition(".")
        return stem if dot and stem else self.name


@dataclass(frozen=True, slots=True)
class Candidate:
    """A slide and its files."""

    kind: Kind
    entry: Member | None
    """The file that stands for it; None for a MIRAX folder whose .mrxs file is not there."""
    others: tuple[Member, ...] = ()

    @property
    def members(self) -> tuple[Member, ...]:
        """All its files."""
        return (self.entry, *self.others) if self.entry else self.others
