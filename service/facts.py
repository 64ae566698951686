"""What is said of one slide: the catalogue's record, and of its planes what the opened index knows."""

from __future__ import annotations

from coverslip.archive.records import SlideRecord
from coverslip.errors import CoverslipError
from service.context import Service
from service.schemas import PlanesOut, SlideOut


async def facts_of(service: Service, slide: SlideRecord) -> SlideOut:
    """A slide with its planes; without them while there are no tiles, or while those cannot be read."""
    facts = SlideOut.of(slide)
    if facts.links.dzi is None:
        return facts
    try:
        opened = service.shelf.ready(slide.sid) or await service.shelf.find(slide.sid)
    except CoverslipError:
        return facts
    if opened.pyramid is None:
        return facts
    return facts.model_copy(update={"planes": PlanesOut.of(opened.pyramid.stack)})
