"""Planted slides, the whole way through the pipeline, and a search that shares nothing with the verifier."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from coverslip.geometry import Size
from coverslip.outcomes import Outcome
from coverslip.pipeline import deidentify
from coverslip.policy import load
from samples import aperio, generic, ome
from samples.identifiers import Planted

KEY = b"k" * 32

APERIO = {
    "jpeg": {},
    "ycbcr": {"codec": "jpeg-ycbcr"},
    "gt450": {"variant": "gt450"},
    "j2k-ycbcr": {"codec": "j2k-ycbcr"},
    "j2k-rgb": {"codec": "j2k-rgb"},
    "bigtiff": {"bigtiff": True},
    "one level": {"downsamples": (1,)},
    "tile 240": {"tile": 240},
    "blank": {"tissue_share": 0.2, "repeated_blank": True},
}
GENERIC = {
    "jpeg": {},
    "deflate": {"codec": "deflate"},
    "lzw": {"codec": "lzw"},
    "none": {"codec": "none"},
    "j2k": {"codec": "j2k"},
    "big-endian": {"order": ">"},
    "predictor": {"codec": "lzw", "predictor": 2},
    "ome": {"ome": True},
    "levels below": {"pyramid": "subifds"},
    "bigtiff": {"bigtiff": True},
}
OME = {
    "stack": {"z": 3, "channels": 2},
    "each": {"channels": 3, "t": 2, "style": "each", "dimensions": "XYTZC", "codec": "lzw"},
    "grey jpeg": {"bits": 8, "codec": "jpeg", "channels": 2},
    "rgb": {"rgb": True, "codec": "jpeg", "beside": ("label", "macro"), "style": "each"},
    "rgb stack": {"rgb": True, "codec": "jpeg", "z": 3, "bigtiff": True},
    "label first": {"rgb": True, "codec": "deflate", "beside": ("label", "macro"), "beside_first": True},
    "big-endian": {"order": ">", "codec": "none", "z": 2, "style": "bare"},
    "j2k": {"codec": "j2k", "channels": 2},
    "one level": {"downsamples": (1,), "z": 2},
}
FAMILIES = {"aperio": (aperio, APERIO), "generic": (generic, GENERIC), "ome": (ome, OME)}
SIZES = {"ome": Size(700, 520)}
"""Of slides whose many planes make them large enough; each byte is searched for thousands of forms."""


@dataclass(frozen=True)
class Run:
    """One planted slide and what became of it."""

    planted: Planted
    outcome: Outcome
    out: Path


def forms(value: bytes) -> Iterable[bytes]:
    """The encodings a careless tool leaves a value in."""
    yield value
    try:
        text = value.decode()
    except UnicodeDecodeError:
        return
    yield text.encode("utf-16-le")
    yield text.encode("utf-16-be")
    for lead in range(3):
        encoded = base64.b64encode(b"\0" * lead + value)
        yield encoded[(0, 2, 3)[lead] : -4]
    yield value.hex().encode()


def hits(planted: Planted, data: bytes) -> list[str]:
    """Places whose planted value stands in `data` in any form."""
    needles = [(found.place, found.needle or found.value.encode()) for found in planted.identifiers if found.searchable]
    begins = beginnings(data)
    return [place for place, needle in needles if any(stands(form, data, begins) for form in forms(needle))]


def stands(form: bytes, data: bytes, begins: np.ndarray) -> bool:
    """Whether it is long enough to be looked for, and there."""
    return len(form) >= 6 and bool(begins[int.from_bytes(form[:3], "big")]) and form in data


def beginnings(data: bytes) -> np.ndarray:
    """Which three bytes stand in a row somewhere: most of a million searches end with that question."""
    octets = np.frombuffer(data, np.uint8).astype(np.uint32)
    found = np.zeros(1 << 24, bool)
    found[octets[:-2] << 16 | octets[1:-1] << 8 | octets[2:]] = True
    return found


@pytest.fixture(scope="session")
def run(tmp_path_factory) -> Callable[..., Run]:
    """De-identify a freshly planted slide; each variant once a session."""
    done: dict[tuple[str, str], Run] = {}

    def once(family: str, variant: str) -> Run:
        if (family, variant) not in done:
            folder = tmp_path_factory.mktemp("leaks")
            maker, variants = FAMILIES[family]
            (folder / "in").mkdir()
            size = SIZES.get(family, Size(1500, 1100))
            planted = maker.write(folder / "in", size, seed=len(done) + 1, **variants[variant])
            out = folder / "out"
            outcome = deidentify(planted.path, out, policy=load("strict"), key=KEY)
            done[family, variant] = Run(planted, outcome, out)
        return done[family, variant]

    return once
