"""Flower works beside us: it sees the worker and what it did, and no words of a slide."""

import re
import urllib.request
from contextlib import suppress
from urllib.error import URLError

import pytest

from coverslip.archive.states import State

FLOWER = (
    "import os; os.environ['FLOWER_UNAUTHENTICATED_API'] = '1'; from workers.app import app; "
    "app.start(['flower', '--address=127.0.0.1', '--port=0', '--inspect_timeout=5000', '--logging=info'])"
)
LISTENS = re.compile(r"http://127\.0\.0\.1:([1-9]\d*)")
NAME = "DOE^JANE 1961.svs"


def page(port: str, path: str) -> str:
    """A page of flower's; nothing while it starts."""
    with (
        suppress(URLError, ConnectionError),
        urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=20) as answer,
    ):
        return answer.read().decode()
    return ""


@pytest.mark.slow
def test_flower_sees_a_worker_and_what_it_did(installation, start, start_worker, tmp_path):
    """Its pages list our worker and its finished task, under ids that tell nothing of the slide."""
    log = tmp_path / "flower.log"
    start_worker(installation, work="copy")
    start(installation, "flower", FLOWER)
    installation.until(lambda: log.exists() and LISTENS.search(log.read_text()) is not None, 60)
    port = LISTENS.search(log.read_text())[1]
    installation.until(lambda: 'flower_worker_online{worker="' in page(port, "/metrics"), 60)
    sid, _ = installation.add_slide(NAME)
    installation.until(lambda: installation.slide(sid).state is State.IN_REVIEW)
    done = re.compile(r'flower_events_total{task="coverslip\.\w+",type="task-succeeded",worker="[^"]+"} [1-9]')
    installation.until(lambda: done.search(page(port, "/metrics")) is not None, 60)
    seen = "".join(page(port, path) for path in ("/metrics", "/workers", "/broker", "/api/tasks")) + log.read_text()
    assert "coverslip.deidentify" in seen
    assert "DOE" not in seen
