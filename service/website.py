"""Pages and API: all that is neither tile nor picture. `website` is its table of contents."""

from __future__ import annotations

from functools import cache

import orjson
from fastapi import APIRouter, FastAPI, Response
from fastapi.staticfiles import StaticFiles

from service import handlers
from service.context import Service
from service.description import document
from service.rendering import STATIC, refusal_page
from service.routes import decisions, exports, keys, ops, pages, purges, queue, session, slides, uploads, viewer

described = APIRouter(prefix="/api/v1", tags=["description"])


@described.get("/openapi.json")
async def openapi() -> Response:
    """This interface as OpenAPI 3.1, for programs that make or check clients."""
    return Response(_openapi(), media_type="application/json", headers={"Cache-Control": "public, max-age=3600"})


@cache
def _openapi() -> bytes:
    return orjson.dumps(document(ROUTERS))


ROUTERS = (
    described,
    *(uploads.router, slides.router, slides.files, exports.router, purges.router, purges.pages),
    *(
        viewer.router,
        pages.router,
        decisions.router,
        session.router,
        ops.router,
        queue.router,
        queue.pages,
        keys.router,
    ),
)


def website(service: Service) -> FastAPI:
    """The application behind the edge."""
    app = FastAPI(title="Coverslip", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service = service
    handlers.install(app, refusal_page)
    for router in ROUTERS:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=STATIC), name="static")
    return app
