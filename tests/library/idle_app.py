"""An application whose worker has nothing to do: for looking at what was loaded before it begins."""

from __future__ import annotations

from types import SimpleNamespace

app = SimpleNamespace(Worker=lambda **_: SimpleNamespace(start=lambda: None, exitcode=0))
