"""The words around a slide: names in a folder or an archive, and comments. None of them may turn up afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from coverslip.elements import Element, ElementKind, ElementPath
from coverslip.intake.members import Source
from coverslip.names import stem

MAX_GIVEN: Final = 64
"""Words that came with an upload."""


def words_of(source: Source) -> tuple[Element, ...]:
    """Each different name and comment once, numbered: a name may not stand in a report."""
    names = dict.fromkeys(name for name in _names(source) if name)
    comments = dict.fromkeys(comment for comment in source.untrusted_comments if comment)
    return (
        *(
            _element(f"{source.word}/name[{n}]", name.encode("utf-8", "surrogateescape"))
            for n, name in enumerate(names)
        ),
        *(_element(f"{source.word}/comment[{n}]", comment) for n, comment in enumerate(comments)),
    )


def given(untrusted: Iterable[str]) -> tuple[Element, ...]:
    """What was said about a slide where it was handed in, such as the name its file had then."""
    words = [word for word in dict.fromkeys(untrusted) if word][:MAX_GIVEN]
    return tuple(_element(f"upload/word[{n}]", word.encode("utf-8", "surrogateescape")) for n, word in enumerate(words))


def _names(source: Source) -> Iterator[str]:
    """Without endings, which would hide a name that stands somewhere without its ending."""
    yield from source.untrusted_names
    for member in source.members:
        yield from member.folder
        yield stem(member.parts[-1])


def _element(path: str, value: bytes) -> Element:
    return Element(ElementPath(path), ElementKind.TEXT, untrusted_value=value)
