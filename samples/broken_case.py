"""One broken slide as data: a name, how to make it from a tiny sound slide, and which error codes are right.

The codes are what the whole way from opening to the verified clean slide may end in. `ok` among them means that a
tolerant reading is right too: the damage touches nothing a clean slide is made of. `verification-failed` stands where
only a walk through a tile's scan can see the damage, and it is as well that the verifier is the one who does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from coverslip.geometry import Size
from samples import aperio, generic, ome
from samples.surgery import Patient

Change = Callable[[Patient], Patient]

OK = "ok"
DAMAGED, UNSUPPORTED, LIMIT, UNKNOWN = "damaged-slide", "unsupported-slide", "limit-exceeded", "unknown-structure"
STOPPED = "verification-failed"
REFUSED = (DAMAGED, UNSUPPORTED)
ANY = (DAMAGED, UNSUPPORTED, LIMIT, UNKNOWN)

BESIDE = ("label", "macro")


@dataclass(frozen=True, slots=True)
class Case:
    """One broken slide."""

    name: str
    codes: tuple[str, ...]
    """Error codes of `coverslip.errors` that are right, and perhaps `ok`."""
    base: str
    """Which sound slide it is made of."""
    change: Change | bytes
    """What is done to it, or the whole content."""

    def build(self, folder: Path) -> Path:
        """Write the broken slide into `folder`."""
        path = folder / f"{self.name}.{'svs' if self.base.endswith('svs') else 'tiff'}"
        if isinstance(self.change, bytes):
            path.write_bytes(self.change)
        else:
            path.write_bytes(self.change(Patient(sound(self.base))).data)
        return path


@cache
def sound(base: str) -> bytes:
    """A tiny sound slide: `svs` (classic Aperio), `big` (BigTIFF Aperio), `tiff` (generic), `deflate`, `j2k`, `raw`,
    `ome` (two focal planes of two channels), `ome-each` (told of one by one), `ome-rgb` (with label and macro).

    `one-svs` and `one-tiff` are a little larger and have one level.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "sound"
        size = Size(150, 100)
        if base in ("one-svs", "one-tiff"):
            maker = aperio if base == "one-svs" else generic
            maker.write(path, Size(600, 400), tile=64, downsamples=(1,), identifiers=False, tissue_share=0.6)
        elif base in ("svs", "big", "j2k"):
            codec = "j2k-rgb" if base == "j2k" else "jpeg"
            aperio.write(
                path, size, codec=codec, tile=64, downsamples=(1, 2), bigtiff=base == "big", identifiers=False,
                tissue_share=1,
            )  # fmt: skip
        elif base.startswith("ome"):
            kind = {"z": 2, "channels": 2} if base != "ome-rgb" else {"rgb": True, "codec": "jpeg", "beside": BESIDE}
            style = "each" if base == "ome-each" else "one"
            ome.write(path, size, tile=64, downsamples=(1, 2), identifiers=False, style=style, **kind)  # type: ignore[arg-type]
        else:
            codec = {"tiff": "jpeg-ycbcr", "deflate": "deflate", "raw": "none"}[base]
            generic.write(path, size, codec=codec, tile=64, downsamples=(1, 2), identifiers=False, tissue_share=1)
        return path.read_bytes()
