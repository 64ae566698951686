"""IIPImage's server, two processes of it behind nginx, on the kind of file its documentation asks for.

It reads levels that halve, which a slide does not have, so it is given a pyramidal TIFF made of the slide by libvips.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from benchmarks.peers import nginx

_PLACES = "/usr/lib/iipimage-server:/usr/lib/cgi-bin:/var/www/localhost/fcgi-bin"
_CONFIGURATION = """
  upstream iipsrv {{ {servers} }}
  server {{
    listen 127.0.0.1:{port};
    location ~ ^/slide_files/(.*)$ {{
      fastcgi_pass iipsrv;
      fastcgi_param QUERY_STRING DeepZoom={image}_files/$1;
      fastcgi_param REQUEST_METHOD GET;
      fastcgi_param SERVER_PROTOCOL HTTP/1.1;
    }}
  }}
"""


def program() -> str | None:
    """Where it is installed."""
    return shutil.which("iipsrv.fcgi", path=_PLACES)


def pyramidal(slide: Path, target: Path, quality: int) -> Path:
    """The slide as the file it likes: tiles of 256, JPEG, levels that halve."""
    import pyvips

    image = pyvips.Image.new_from_file(str(slide), access="sequential")
    image.tiffsave(str(target), tile=True, pyramid=True, compression="jpeg", Q=quality, tile_width=256, tile_height=256)
    return target


def backend(port: int) -> list[str]:
    """How to start one process of it."""
    found = program()
    assert found is not None
    return [found, "--bind", f"127.0.0.1:{port}", "--backlog", "1024"]


def front(folder: Path, image: Path, port: int, backends: Sequence[int]) -> list[str] | None:
    """How to start nginx before it; None where that is not installed."""
    servers = " ".join(f"server 127.0.0.1:{backend};" for backend in backends)
    return nginx.start(folder, _CONFIGURATION.format(servers=servers, port=port, image=image))
