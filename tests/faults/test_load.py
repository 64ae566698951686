"""People look at slides while others are uploaded and de-identified: every tile comes, and nothing piles up."""

import os

import pytest

from coverslip.geometry import Size
from tests.faults import load
from tests.faults.kernel import kernel_forbids

VIEWERS = 16
"""With two connections each no more than the service lets wait for a tile that has to be made, however slow it is."""
UPLOADS = 4
OWN = 60
"""Descriptors a service has at rest, and some for database connections."""


@pytest.mark.slow
def test_viewers_uploads_and_work_at_once(tmp_path):
    """The short form of target 25, without its times: no error, no descriptor left open, and slides get done."""
    if os.geteuid() != 0:
        kernel_forbids("only root may count the files of a service")
    figures = load.run(tmp_path, viewers=VIEWERS, uploads=UPLOADS, seconds=12, size=Size(2400, 1800))
    assert figures.errors == {}, figures
    assert figures.tiles > VIEWERS, figures
    assert figures.uploaded_mib > 0, figures
    assert figures.deidentified > 0, figures
    assert figures.descriptors[1] <= 2 * VIEWERS + UPLOADS + OWN, figures
