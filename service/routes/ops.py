"""Whether we live, whether we are ready, and the figures: ids and numbers only."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from coverslip.archive.catalog import Catalog
from coverslip.errors import StorageFailed
from service.auth import Ops
from service.context import Here, Service, ask
from service.crews import PATIENCE, WATCHING
from service.errors import Overloaded
from service.routes.tiles import Tiles

router = APIRouter(tags=["ops"])

_Family = GaugeMetricFamily | CounterMetricFamily


@router.get("/healthz")
async def healthz() -> dict[str, str]:
    """The event loop turns."""
    return {"status": "alive"}


@router.get("/readyz")
async def readyz(service: Here) -> dict[str, str]:
    """The catalogue answers, there is room, and no fsync failed a moment ago."""
    try:
        async with asyncio.timeout(PATIENCE):
            await WATCHING.run(_require_ready, service)
    except (StorageFailed, TimeoutError):
        raise Overloaded("The catalogue does not answer or the disk is full.") from None
    return {"status": "ready"}


@router.get("/metrics")
async def metrics(service: Here, caller: Ops) -> Response:
    """Prometheus text."""
    text = await ask(_exposition, service)
    return Response(text, media_type=CONTENT_TYPE_LATEST, headers={"Cache-Control": "no-store"})


def _require_ready(service: Service) -> None:
    service.catalog.ping()
    service.storage.require_fit()


def _exposition(service: Service) -> bytes:
    registry = CollectorRegistry()
    registry.register(Figures(service.catalog, service.tiles, service.storage.free_bytes()))
    return generate_latest(registry)


class Figures(Collector):
    """The catalogue's own counts at the moment of the scrape: nothing to keep in step, every process says the same."""

    def __init__(self, catalog: Catalog, tiles: Tiles, free: int) -> None:
        """Take what is counted elsewhere."""
        self._catalog = catalog
        self._tiles = tiles
        self._free = free

    def collect(self) -> Iterator[_Family]:
        """One family after the other."""
        stats = self._catalog.queue_stats()
        yield _gauge(
            "coverslip_queue_oldest_age_seconds", "How long the oldest waiting job has waited", stats.oldest_age
        )
        yield _gauge("coverslip_queue_depth", "Jobs waiting", stats.depth)
        yield _gauge("coverslip_jobs_running", "Jobs under way", stats.running)
        yield _gauge("coverslip_jobs_finished_per_minute", "Mean of five minutes", stats.finished_per_minute)
        yield _gauge("coverslip_workers", "Workers heard of within the hour", len(stats.workers))
        yield _labelled("coverslip_slides_set_aside", "Slides set aside, by cause", "code", stats.failures)
        yield _labelled("coverslip_slides_held_up", "Slides tried that wait again, by cause", "code", stats.held_up)
        counts = {str(state): count for state, count in self._catalog.counts().items()}
        yield _labelled("coverslip_slides", "Slides by state", "state", counts)
        yield _gauge("coverslip_disk_free_bytes", "Room left for slides", self._free)
        tally = self._tiles.quick.tally
        yield _counter("coverslip_tile_requests", "Tile requests answered by this process", tally.requests)
        yield _counter("coverslip_tile_bytes", "Tile bytes sent by this process", tally.sent)


def _gauge(name: str, text: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, text, value=value)


def _counter(name: str, text: str, value: float) -> CounterMetricFamily:
    return CounterMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, values: dict[str, int]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in sorted(values.items()):
        family.add_metric([key], value)
    return family
