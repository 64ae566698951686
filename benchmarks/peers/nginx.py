"""The ceiling: nginx handing out the exported DZI folder, two processes, everything in the page cache.

Also what stands before a FastCGI peer.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

_CONFIGURATION = """
daemon off;
master_process on;
worker_processes 2;
error_log stderr crit;
pid {folder}/nginx.pid;
{user}
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 100000000;
  open_file_cache max=20000 inactive=60s;
  types {{ image/jpeg jpg; application/xml dzi; }}
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  {servers}
}}
"""
_FOLDER = """
  server {{
    listen 127.0.0.1:{port};
    root {root};
  }}
"""


def command(folder: Path, root: Path, port: int) -> list[str] | None:
    """How to start it on `root`; None where nginx is not installed. Its files lie in `folder`."""
    return start(folder, _FOLDER.format(port=port, root=root))


def start(folder: Path, servers: str) -> list[str] | None:
    """How to start it with these server blocks; None where nginx is not installed. Its files lie in `folder`."""
    nginx = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if nginx is None:
        return None
    folder.mkdir(exist_ok=True)
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""  # its processes must be able to read a private folder
    configuration.write_text(_CONFIGURATION.format(folder=folder, user=user, servers=servers))
    return [nginx, "-p", str(folder), "-e", "stderr", "-c", str(configuration)]
