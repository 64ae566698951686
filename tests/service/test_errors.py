"""The one table from code to status, and what an error body may say."""

import asyncio
import logging

import pytest

import coverslip.errors
import service.main
import service.safety  # defines a refusal of its own
from coverslip import logs
from coverslip.settings import Settings
from service import errors
from service.main import create_app
from service.routes.tiles import Tiles

SECRET = "DOE^JANE 1934-05-06"


def test_every_code_has_a_status():
    """A new error class without a line in the table fails here; what ends a program before it listens has none."""
    assert errors.unlisted() - {"unsafe-start", "settings-invalid"} - worker_codes() == set()


def worker_codes():
    """Codes of errors that never reach a request."""
    return {error.code for error in coverslip.errors.tree() if error.__module__.startswith("workers")}


def test_codes_are_not_reused():
    """One code, one class."""
    codes = [error.code for error in coverslip.errors.tree()]
    assert len(codes) == len(set(codes))


@pytest.mark.parametrize("error", coverslip.errors.tree(coverslip.errors.InputError))
def test_details_stay_inside(error):
    """A detail or place that carries a value never reaches a body."""
    body = errors.answer(error(SECRET, where=SECRET)).body
    assert b"DOE" not in body
    assert error.code.encode() in body


@pytest.mark.parametrize(
    ("method", "path", "more"),
    [
        ("POST", "/api/v1/slides/x/transitions", {"json": {"to": SECRET}}),
        ("POST", "/api/v1/slides/x/transitions", {"content": SECRET}),
        ("GET", "/api/v1/slides?state=" + SECRET, {}),
        ("GET", "/api/v1/slides?limit=" + SECRET, {}),
        ("GET", "/api/v1/slides?cursor=" + SECRET, {}),
        ("GET", "/api/v1/slides/" + SECRET, {}),
        ("GET", "/slides/" + SECRET + "_files/1/0_0.jpg", {}),
        ("GET", "/" + SECRET, {}),
        ("POST", "/uploads", {"headers": {"Tus-Resumable": "1.0.0", "Upload-Length": SECRET}}),
        ("POST", "/uploads", {"headers": {"Tus-Resumable": "1.0.0", "Upload-Length": "5", "Upload-Metadata": SECRET}}),
        ("PATCH", "/uploads/x", {"headers": {"Tus-Resumable": "1.0.0", "Content-Type": SECRET}}),
    ],
)
def test_bodies_never_echo(house, method, path, more):
    """Whatever a client sends, the refusal is a problem with a code and without a word of it."""
    with house.client("admin") as client:
        answer = client.request(method, path, **more)
    assert 400 <= answer.status_code < 500
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert set(answer.json()) <= {"type", "title", "status", "code", "detail", "where"}
    assert "DOE" not in answer.text
    assert "1934" not in answer.text


def test_large_bodies_end_early(house):
    """Beside uploads no body is read beyond 64 KiB."""
    with house.client("curator") as client:
        answer = client.post("/api/v1/slides/x/transitions", content=b'{"to": "' + b"x" * 100_000 + b'"}')
    assert answer.status_code in (400, 413)


def asked(app, path):
    """What the edge itself answers to a GET: status, headers and body."""

    async def sent(message):
        messages.append(message)

    messages = []
    scope = {"type": "http", "path": path, "method": "GET", "headers": [], "query_string": b""}
    asyncio.run(app(scope, None, sent))
    return messages[0]["status"], dict(messages[0]["headers"]), messages[1]["body"]


def test_a_crash_at_the_edge_ends_there(tmp_path, monkeypatch, caplog):
    """What a tile or page raises unforeseen never reaches the server's own log, which would print its text."""

    async def broken(self, scope, receive, send):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(Tiles, "__call__", broken)
    status, _, body = asked(create_app(Settings(data_dir=tmp_path)), "/slides/x.dzi")
    assert status == 500
    assert b"DOE" not in body
    [record] = caplog.records
    assert "DOE" not in logging.Formatter().format(record), "however logging is set up"
    said = getattr(record, logs.SAID)
    assert said["error"] == "RuntimeError"
    assert said["at"][-1].startswith("test_errors.py:")


@pytest.mark.parametrize(("part", "path"), [("website", "/slides"), ("pictures", "/iiif/3/x/info.json")])
def test_what_cannot_be_loaded_ends_there_too(tmp_path, monkeypatch, part, path):
    """Pages and pictures are loaded when first asked for; a machine out of memory or threads may not manage it."""

    def broken(service):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(service.main, part, broken)
    status, headers, body = asked(create_app(Settings(data_dir=tmp_path)), path)
    assert (status, headers[b"content-type"]) == (500, b"application/problem+json")
    assert b"DOE" not in body


def test_a_crash_says_nothing(house, monkeypatch, capsys):
    """An unexpected exception behind a page is a 500 without its text."""

    def broken(self):
        raise RuntimeError(SECRET)

    monkeypatch.setattr(type(house.archive.catalog), "counts", broken)
    with house.client("admin") as client:
        answer = client.get("/slides.json")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal-error")
    assert "DOE" not in answer.text
    assert "DOE" not in "".join(capsys.readouterr())
