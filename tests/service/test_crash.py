"""What nobody foresaw becomes a 500 that says nothing, and a log line that says where it came from and no more."""

import asyncio
import logging
from types import SimpleNamespace

from coverslip import logs
from service.edge import Edge
from service.later import Later

SECRET = "Beate Maier"
SCOPE = {"type": "http", "method": "GET", "path": "/anything", "headers": [], "query_string": b""}


async def _fails(scope, receive, send):
    raise KeyError(SECRET)


async def _receive():
    return {"type": "http.request", "body": b"", "more_body": False}


def _asked():
    """What a front end sends whose pages fail."""
    sent = []
    edge = Edge(Later(lambda: _fails), SimpleNamespace(opened=None), Later(lambda: None), secure=False)

    async def send(message):
        sent.append(message)

    asyncio.run(edge(SCOPE, _receive, send))
    return sent


def test_nothing_of_it_is_said(caplog):
    """However logging is set up: the text is no part of the record, so no formatter can show it."""
    answers = _asked()
    assert answers[0]["status"] == 500
    assert SECRET.encode() not in b"".join(message.get("body", b"") for message in answers)
    [record] = caplog.records
    assert SECRET not in logging.Formatter().format(record)
    said = getattr(record, logs.SAID)
    assert said["error"] == "KeyError"
    assert said["at"][-1].startswith("test_crash.py:")
