"""Another origin than Coverslip's: a server on loopback with other people's viewers on pages of their own."""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from service import vendor

PAGES = Path(__file__).resolve().parent / "viewers"
MODULES = PAGES / "node_modules"
LIBRARIES = {
    "openseadragon.js": vendor.MODULES / vendor.FILES[0][0],
    "mirador.js": MODULES / "mirador/dist/mirador.min.js",
    "mirador-3.js": MODULES / "mirador-3/dist/mirador.min.js",
    "leaflet.js": MODULES / "leaflet/dist/leaflet.js",
    "leaflet.css": MODULES / "leaflet/dist/leaflet.css",
    "leaflet-iiif.js": MODULES / "leaflet-iiif/leaflet-iiif.js",
    "ol.js": MODULES / "ol/dist/ol.js",
    "ol.css": MODULES / "ol/ol.css",
}
"""What `lib/…` on a page stands for."""
AXE = MODULES / "axe-core/axe.min.js"


def missing() -> list[str]:
    """Libraries that are not installed."""
    return [path.name for path in (*LIBRARIES.values(), AXE) if not path.is_file()]


class Elsewhere(SimpleHTTPRequestHandler):
    """Serves pages and libraries, and says nothing about it."""

    def translate_path(self, path: str) -> str:
        """Where a file lies."""
        name = path.partition("?")[0].lstrip("/")
        library = LIBRARIES.get(name.removeprefix("lib/"))
        return str(library) if library and name.startswith("lib/") else super().translate_path(path)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[str]:
    """The origin, while it is served."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Elsewhere, directory=str(PAGES))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
