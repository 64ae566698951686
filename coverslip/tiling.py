"""The pyramid of a slide: built from one that is clean, or while that is still being verified."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from coverslip import beside
from coverslip.progress import Progress, Stage, silent
from coverslip.pyramid.build import build


def build_pyramid(
    clean: Path, target: Path, complete: bool = False, sha256: str = "", *, progress: Progress = silent
) -> None:
    """Write the deep-zoom index of a clean slide to `target`; `sha256` (hex) saves reading the slide once more.

    Levels between two that the slide holds are made on request, unless `complete`.

    Raises InputError when the slide is at fault, OutputExists, StorageFailed and Cancelled.
    """
    build(clean, target, complete=complete, progress=progress, slide_digest=bytes.fromhex(sha256) or None)


@dataclass
class Tiling:
    """The pyramid of a slide that is being verified; use as a context manager.

    Nobody else sees the file before the slide has passed. Where another process was lent it is begun as soon as that
    one has nothing else to do; everywhere else when somebody waits for it: here, threads would only take turns.
    """

    clean: Path
    target: Path
    complete: bool
    progress: Progress
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "tiling"), repr=False)
    _begun: Future[None] | None = None
    _awaited: bool = False

    def __enter__(self) -> Self:
        """Itself."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Wait until nothing is written any more, whoever wants it."""
        self._pool.shutdown(wait=True)

    def begin(self, sha256: str) -> None:
        """The slide's digest is known and the other process is free; returns at once."""
        if beside.is_lent():
            self._begun = self._pool.submit(self._elsewhere, sha256)

    def finish(self, sha256: str) -> None:
        """Wait for it, or build it now. Raises as `build_pyramid`."""
        self._awaited = True
        if self._begun is None:
            build_pyramid(self.clean, self.target, self.complete, sha256, progress=self.progress)
        else:
            self._begun.result()

    def _elsewhere(self, sha256: str) -> None:
        what = self.clean, self.target, self.complete, sha256
        beside.elsewhere(build_pyramid, *what, progress=self._report)

    def _report(self, stage: Stage, done: float) -> None:
        """While the slide is being verified, that is what people are told."""
        if self._awaited:
            self.progress(stage, done)
