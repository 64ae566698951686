"""Looking for many words in many bytes, in every form a careless program leaves them in; shares nothing with ours."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping

import numpy as np

SHORTEST = 8
"""Shorter forms turn up by accident."""


def forms(value: bytes) -> Iterator[bytes]:
    """As it is, in capitals and in small letters, UTF-16 in both orders, hexadecimal, base64 at three alignments."""
    yield from (value, value.lower(), value.upper(), value.hex().encode(), value.hex().upper().encode())
    yield repr(value)[2:-1].encode()
    widths = [value]
    try:
        text = value.decode()
    except UnicodeDecodeError:
        pass
    else:
        widths += [text.encode("utf-16-le"), text.encode("utf-16-be")]
        yield text.encode("unicode-escape")
        yield from widths[1:]
    for data in widths:
        for lead in range(3):
            encoded = base64.b64encode(b"\0" * lead + data)
            own = encoded[-(-lead * 8 // 6) : (lead + len(data)) * 8 // 6]
            yield from (own, own.replace(b"+", b"-").replace(b"/", b"_"))


class Search:
    """Finds which of many values stand in some bytes."""

    def __init__(self, values: Mapping[str, bytes]) -> None:
        """Take values by the names they are reported under."""
        self._by_head: dict[bytes, list[tuple[bytes, str]]] = {}
        self._first, self._second = np.zeros(65536, np.bool_), np.zeros(65536, np.bool_)
        for name, value in values.items():
            for form in {form for form in forms(value) if len(form) >= SHORTEST}:
                self._by_head.setdefault(form[:4], []).append((form, name))
                self._first[form[0] | form[1] << 8] = self._second[form[2] | form[3] << 8] = True

    def __call__(self, data: bytes) -> set[str]:
        """Names of the values found."""
        if len(data) < SHORTEST:
            return set()
        single = np.frombuffer(data, np.uint8).astype(np.uint16)
        pairs = single[:-1] | single[1:] << 8
        places = np.flatnonzero(self._first[pairs[:-2]] & self._second[pairs[2:]]).tolist()
        return {
            name
            for place in places
            for form, name in self._by_head.get(data[place : place + 4], ())
            if data.startswith(form, place)
        }

    def all(self, haystacks: Iterable[tuple[str, bytes]]) -> dict[str, list[str]]:
        """Per haystack the names of what was found, where anything was."""
        found = {where: self(data) for where, data in haystacks}
        return {where: sorted(names) for where, names in found.items() if names}
