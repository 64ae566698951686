"""`make iiif`: the IIIF community's validator (iiif-validator-ng) against a real front end, Image API 3.0 and 2.1.

    python -m scripts.iiif                       with Python 3.12 or newer from the path
    python -m scripts.iiif --python python3.13   with another one

The validator needs a newer Python than we do, so it gets an environment of its own, thrown away afterwards. Its picture
goes the whole way of a slide: de-identified, verified, tiled, released, served.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from benchmarks import stage
from benchmarks.servers import free_port, running
from coverslip.archive.archive import Archive
from coverslip.archive.states import State
from coverslip.confined.messages import Made, Task
from coverslip.progress import silent
from coverslip.settings import Settings
from workers import work
from workers.process import produced

VALIDATOR = "iiif-validator-ng==0.1.0"
PICTURE = "import iiif_validator, pathlib; print(pathlib.Path(iiif_validator.__file__).parent / 'validation_image.png')"
VERSIONS = {3: (), 2: ("--v2",)}
PYTHONS = ("python3.12", "python3.13", "python3.14")


def main(arguments: Sequence[str] | None = None) -> int:
    """Validate both versions; 0 when everything passes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=next(filter(shutil.which, PYTHONS), ""), help="Python 3.12 or newer")
    options = parser.parse_args(arguments)
    if not options.python:
        sys.stderr.write("The validator needs Python 3.12 or newer, and there is none on the path.\n")
        return 2
    with tempfile.TemporaryDirectory(prefix="iiif-") as name:
        folder = Path(name)
        tools = environment(options.python, folder / "venv")
        picture = subprocess.run([tools / "python", "-c", PICTURE], capture_output=True, text=True, check=True)
        settings, sid = released(Path(picture.stdout.strip()), folder)
        return validate(tools, settings, sid)


def environment(python: str, folder: Path) -> Path:
    """The folder with the validator's programs."""
    subprocess.run([python, "-m", "venv", folder], check=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", VALIDATOR], check=True)
    return folder / "bin"


def released(picture: Path, folder: Path) -> tuple[Settings, str]:
    """The validator's picture as a released slide. Raises StageFailed."""
    source, out = folder / "source.tiff", folder / "made"
    out.mkdir()
    pixels = np.asarray(Image.open(picture).convert("RGB"))
    tifffile.imwrite(
        source, pixels, tile=(256, 256), photometric="rgb", compression="jpeg", compressionargs={"level": 95}
    )
    outcome = work.deidentify(Task(source, out, "strict", bytes(32)), silent)
    if not isinstance(outcome, Made):
        raise stage.StageFailed("the picture did not pass")
    work.tile(Task(out / outcome.clean_name, out, "", b"", outcome.sha256), silent)
    settings = Settings(data_dir=folder / "data", cors_origins="*")
    archive = Archive.open(settings, with_vault=True)
    try:
        return settings, stage.put(archive, stage.Tiled(out, produced(outcome)), State.RELEASED)
    finally:
        archive.close()


def validate(tools: Path, settings: Settings, sid: str) -> int:
    """Run both versions against a front end in a process of its own."""
    port = free_port()
    environment = {"COVERSLIP_DATA_DIR": str(settings.data_dir), "COVERSLIP_PORT": str(port)}
    environment |= {"COVERSLIP_CORS_ORIGINS": settings.cors_origins, "COVERSLIP_LOG_LEVEL": "ERROR"}
    failed = 0
    with running([sys.executable, "-m", "service"], port, f"/slides/{sid}.dzi", environment):
        for version, more in VERSIONS.items():
            sys.stdout.write(f"IIIF Image API {version}\n")
            sys.stdout.flush()
            asked = [f"http://127.0.0.1:{port}/iiif/{version}", "--validation-id", sid, *more]
            failed |= subprocess.run([tools / "iiif-validator", *asked], check=False).returncode
    return failed


if __name__ == "__main__":
    sys.exit(main())
