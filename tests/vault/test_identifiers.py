"""No identifier leaves the vault: not to broker, logs, tables, pages, errors, arguments, file names or what we publish.

The whole program runs, and slides end in every way a slide can, each full of identifiers and sent under the name of a
patient. What is on the disk on purpose is left out and nothing else: the encrypted originals' plain text while a worker
has it open, and uploads while they arrive, both in folders only we can enter.
"""

from __future__ import annotations

import itertools
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from coverslip.archive.states import State
from tests.vault import sending
from tests.vault.conftest import House
from tests.vault.haystack import Search
from workers.sweeper import tidy

OPEN = (State.RECEIVED, State.QUEUED, State.PROCESSING)
PAGES = (
    "/slides/{}", "/slides/{}.json", "/api/v1/slides/{}", "/api/v1/slides/{}/events", "/api/v1/slides/{}/report",
    "/slides/{}/certificate", "/slides/{}/certificate.json", "/slides/{}/file", "/slides/{}.dzi",
    "/slides/{}/thumbnail", "/slides/{}/label", "/slides/{}/associated", "/slides/{}/viewer", "/slides/{}.szi",
    "/slides/{}/icc", "/iiif/3/{}/info.json", "/iiif/presentation/3/slides/{}/manifest", "/slides/{}_files/8/0_0.jpg",
)  # fmt: skip
LISTS = (
    "/", "/slides", "/slides.json", "/api/v1/slides", "/upload", "/keys.json", "/ops", "/ops.json", "/metrics",
    "/api/v1/queues", "/api/v1/dead-letters", "/readyz", "/api/v1/openapi.json",
)  # fmt: skip


@pytest.mark.slow(60)
@pytest.mark.parametrize("database", ["sqlite", "postgres"])
def test_nothing_that_names_a_person_leaves_the_vault(house, tmp_path, database, request):
    """Success and every failure there is; everything that can be seen from outside, while it happens and afterwards."""
    url = request.getfixturevalue("postgres_url") if database == "postgres" else ""
    running = house(database_url=url)
    sent = sending.uploads(tmp_path / "made")
    if database == "postgres":  # the same program with other tables: a few ends are enough
        sent = [one for one in sent if one.kind in ("clean", "half", "doubted", "bug")]
    sids = {one.kind: running.upload(one) for one in sent}
    if database == "sqlite":
        sent.append(sending.cancelled())
        sids["cancelled"] = cancel(running, sent[-1])
    values = {name: value for one in sent for name, value in one.canaries.items()}
    refused = refusals(running, next(iter(values.values())).decode("latin-1"))
    running.until(lambda: not any(running.slide(sid).state in OPEN for sid in sids.values()))
    ends = {one.kind: (one.ends, one.code) for one in sent}
    assert {kind: (running.slide(sid).state, running.slide(sid).code or "") for kind, sid in sids.items()} == ends
    decide(running, sids)
    look_everywhere(running, sids)
    assert len(values) >= 40
    search = Search(values)
    hears_what_is_there(search, sent)
    assert running.heard.looks > 20
    assert b"claimed" in (running.logs / "worker.log").read_bytes()
    assert b'"LPUSH"' in b"".join(running.heard.broker)
    assert any(b"COVERSLIP_DATA_DIR" in told for told in running.heard.processes)
    assert {400, 404, 413, 460, 507} <= refused
    assert search.all(haystacks(running)) == {}
    plain_text_is_ours_alone(running.folder)


def cancel(running: House, hanging: sending.Sent) -> str:
    """Have a slide cancelled while its child hangs."""
    sid = running.upload(hanging)
    running.until(lambda: running.slide(sid).state is State.PROCESSING)
    job = running.archive.catalog.jobs(sid)[-1].id
    assert running.ask("POST", f"/api/v1/jobs/{job}/cancel").status_code == 200
    return sid


def refusals(running: House, words: str) -> set[int]:
    """Requests that are refused, with a canary wherever a client can put one; the statuses they got."""
    person = {"filename": f"{words}.svs", "patient": words}
    odd = running.ask("POST", "/uploads", "submitter", headers={
        "Tus-Resumable": "1.0.0", "Upload-Length": "9", "Upload-Metadata": f"{words.split()[0]}^ !!!",
    })  # fmt: skip
    long = running.announce(person | {"note": words * 400}, 9)
    large = running.announce(person, 1 << 49)
    wrong = running.announce(person | {"sha256": "0" * 64}, len(words))
    mismatch = running.send(wrong.headers["Location"], words.encode("latin-1", "replace")[: len(words)])
    half = running.announce(person, 100)
    running.send(half.headers["Location"], words.encode("latin-1", "replace")[:20])
    for broken in (half, wrong):  # a digest that does not match leaves an upload that may be sent again
        running.ask("DELETE", broken.headers["Location"], "submitter", headers={"Tus-Resumable": "1.0.0"})
    policy = running.announce(person | {"policy": words}, 9)
    missing = [running.ask("GET", f"/slides/{words.replace('/', '')}", role) for role in ("curator", "nobody")]
    moved = running.ask("POST", f"/api/v1/slides/{words.replace('/', '')}/transitions", json={"to": words})
    sign_in = running.ask("POST", "/signin", "nobody", data={"key": words})
    answers = (odd, long, large, mismatch, policy, *missing, moved, sign_in)
    assert all(400 <= answer.status_code < 600 for answer in answers)
    return {answer.status_code for answer in answers}


def decide(running: House, sids: dict[str, str]) -> None:
    """Release one, take it back; reject one; purge what is over."""
    move(running, sids["clean"], "released")
    running.ask("GET", f"/slides/{sids['clean']}.dzi", "nobody")
    move(running, sids["clean"], "withdrawn")
    if "second" in sids:
        move(running, sids["second"], "rejected")
    tidy(running.archive)
    events = running.archive.catalog.events(sids["clean"])
    assert [event.action for event in events].count("original-purged") == 1
    assert [event.action for event in events].count("vault-opened") == 1


def move(running: House, sid: str, to: str) -> None:
    answer = running.ask("POST", f"/api/v1/slides/{sid}/transitions", json={"to": to, "reason": "asked to"})
    assert answer.status_code == 200, answer.text


def look_everywhere(running: House, sids: dict[str, str]) -> None:
    """Every page by every role; of slides that failed, which have none, by one who may see all and one who may not."""
    roles = ("curator", "nobody", "submitter", "ops", "admin", "viewer")
    for kind, sid in sids.items():
        asking = roles if kind in ("clean", "second", "doubted", "half") else roles[:2]
        for page, role in itertools.product(PAGES, asking):
            running.ask("GET", page.format(sid), role)
    for address, role in itertools.product(LISTS, roles):
        running.ask("GET", address, role)


def hears_what_is_there(search: Search, sent: list[sending.Sent]) -> None:
    """The search finds canaries where they are, so that its silence means something."""
    for one in sent:
        assert search(one.data) | search(repr(one.metadata).encode())
    clean = next(one for one in sent if one.kind == "clean")
    drawn = {name for name in clean.values if name.endswith("/image") or "thumbnail" in name}
    assert set(clean.values) - search(clean.data) <= drawn | {"clean/file/name"}


def haystacks(running: House) -> Iterator[tuple[str, bytes]]:
    """Everything but plain text that has to be there."""
    heard = running.heard
    yield "commands to the broker", b"".join(heard.broker)
    yield "what the broker keeps", running.kept_by_broker()
    yield "answers", b"\n".join(heard.answers)
    yield "arguments, environments, open files", b"\n".join(heard.processes)
    yield "names of files", "\n".join(heard.names).encode("utf-8", "surrogateescape")
    yield "rows", running.tables()
    for path in [*running.logs.iterdir(), *running.valkey.socket.parent.rglob("*"), *running.folder.rglob("*")]:
        if path.is_file() and not path.is_socket():
            yield str(path.relative_to(path.parents[1])), path.read_bytes()


def plain_text_is_ours_alone(folder: Path) -> None:
    """Where plain text lies while it is needed nobody else can enter, and when all is done nothing lies there."""
    for zone in ("phi", "tmp"):
        assert stat.S_IMODE((folder / zone).stat().st_mode) == 0o700
    left = [path for zone in ("tmp", "phi/incoming") for path in (folder / zone).rglob("*") if path.is_file()]
    assert [os.fspath(path.relative_to(folder)) for path in left] == []
