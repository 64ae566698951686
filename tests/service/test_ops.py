"""Health and figures: ids and numbers only."""

import inspect
import re

from coverslip.archive.states import State
from service.website import ROUTERS


def test_health_and_readiness(house, monkeypatch):
    """Alive always; ready while the catalogue answers and there is room."""
    with house.client() as client:
        assert client.get("/healthz").json() == {"status": "alive"}
        assert client.get("/readyz").json() == {"status": "ready"}
        monkeypatch.setattr(type(house.archive.storage), "free_bytes", lambda self: 0)
        answer = client.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert answer.headers["Retry-After"]


def test_metrics_count_and_name_nobody(house):
    """Depth, age, states and causes are there; labels are states and codes, values are numbers."""
    house.slide(State.QUEUED)
    sid = house.slide(State.QUARANTINED)
    text = house.client("ops").get("/metrics").text
    assert re.search(r"^coverslip_queue_depth [1-9]", text, re.M)
    assert re.search(r"^coverslip_queue_oldest_age_seconds [0-9.e-]+$", text, re.M)
    assert re.search(r'^coverslip_slides_set_aside\{code="unknown-structure"\} [1-9]', text, re.M)
    assert re.search(r'^coverslip_slides\{state="queued"\} [1-9]', text, re.M)
    for line in text.splitlines():
        assert line.startswith("#") or re.fullmatch(r'[a-z_]+(\{(code|state)="[a-z_-]+"\})? [0-9.e+-]+', line), line
    assert sid not in text
    assert "submitter" not in text


def test_ops_page_puts_age_first(house):
    """The board begins with how long the oldest job has waited."""
    house.slide(State.QUARANTINED)
    page = house.client("ops").get("/ops", headers={"Accept": "text/html"}).text
    assert page.index("oldest waiting") < page.index("<dt>waiting</dt>")
    assert "unknown-structure" in page


def test_what_waits_again_is_counted_by_cause(house):
    """On the page, as JSON and for whoever scrapes: ops sees that a disk wants somebody before anything has failed."""
    sid = house.slide(State.QUEUED)
    catalog = house.archive.catalog
    catalog.put_off(catalog.claim(catalog.jobs(sid)[-1].id, "a"), "storage-full")
    ops = house.client("ops")
    assert ops.get("/ops.json").json()["held_up"] == {"storage-full": 1}
    assert re.search(r'^coverslip_slides_held_up\{code="storage-full"\} 1', ops.get("/metrics").text, re.M)
    assert "Tried and waiting" in ops.get("/ops", headers={"Accept": "text/html"}).text


def test_ops_page_says_that_nothing_is_begun(house, monkeypatch):
    """On a full disk workers begin nothing: whoever sees a queue that only grows reads why."""
    ops = house.client("ops")
    said = "Nothing more is begun on this machine"
    assert said not in ops.get("/ops", headers={"Accept": "text/html"}).text
    monkeypatch.setattr(type(house.archive.storage), "free_bytes", lambda self: 0)
    assert said in ops.get("/ops", headers={"Accept": "text/html"}).text


def plain(dependant):
    """Functions below a route that would be run in a thread."""
    for each in dependant.dependencies:
        if not inspect.iscoroutinefunction(each.call):
            yield each.call
        yield from plain(each)


def test_nobody_waits_for_a_thread_before_a_route_begins():
    """Threads are what a database that says nothing takes; `/healthz` and `/readyz` answer all the same."""
    routes = [route for router in ROUTERS for route in router.routes]
    assert len(routes) > 50
    assert [name for route in routes for name in plain(route.dependant)] == []
    assert [route.path for route in routes if not inspect.iscoroutinefunction(route.endpoint)] == []
