"""The HTTP interface: which address answers what. docs/serve.md describes it for users.

Errors are one JSON object with one line, ``{"error": "what, where; what to do"}``. No request makes the
server open an address or a file.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

from crossiqa_edge.errors import (
    BackendError,
    CrossIQAError,
    FormatError,
    InputError,
    LimitError,
    MissingDependencyError,
)
from crossiqa_edge.report.result import Result
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.serve.batching import Batcher, FullError, StoppingError
from crossiqa_edge.serve.metrics import CONTENT_TYPE, Metrics
from crossiqa_edge.serve.upload import SlowUploadError, discard, read_upload

try:
    from starlette.applications import Starlette
    from starlette.exceptions import HTTPException
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route
except ImportError as error:
    raise MissingDependencyError("serving", "serve") from error

# The first kind that fits counts.
_STATUS: tuple[tuple[type[CrossIQAError], int], ...] = (
    (SlowUploadError, 408),
    (LimitError, 413),
    (FormatError, 415),
    (InputError, 400),
    (FullError, 429),
    (StoppingError, 503),
    (BackendError, 503),
)
_RETRY_AFTER = {"Retry-After": "1"}  # seconds: nano scores a full house in less


@dataclass(frozen=True)
class Limits:
    """How much the server takes on.

    Attributes:
        max_batch: pictures in one inference.
        max_wait_ms: how long the first of them waits for others.
        max_bytes: longest body of a request.
        places: requests inside at once; with ``max_bytes``, this bounds the memory of bodies.
        upload_seconds: how long a body may take to come.
    """

    max_batch: int = 8
    max_wait_ms: float = 2.0
    max_bytes: int = 32 << 20
    places: int = 32
    upload_seconds: float = 30.0


def make_app(scorer: Scorer, limits: Limits) -> Starlette:
    """The application over ``scorer``, which stays the caller's to close when the application has ended."""
    server = _Server(scorer, limits)
    routes = [
        Route("/v1/score", server.score, methods=["POST"]),
        Route("/v1/model", server.model),
        Route("/healthz", server.health),
        Route("/metrics", server.metrics),
    ]
    handlers: dict[Any, Callable[[Request, Any], Awaitable[Response]]] = {
        HTTPException: _http_error,
        Exception: _unexpected,
    }
    app = Starlette(routes=routes, exception_handlers=handlers, lifespan=server.lifespan)
    app.router.redirect_slashes = False  # an address that is not there is 404, with the reason
    return app


class _Server:
    def __init__(self, scorer: Scorer, limits: Limits) -> None:
        self._scorer = scorer
        self._limits = limits
        self._metrics = Metrics(lambda: self._batcher.taken)
        self._batcher: Batcher

    @asynccontextmanager
    async def lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._batcher = Batcher(
            self._scorer,
            max_batch=self._limits.max_batch,
            max_wait=self._limits.max_wait_ms / 1e3,
            places=self._limits.places,
            on_batch=self._metrics.batch,
        )
        self._batcher.start()
        yield
        await self._batcher.close()

    async def score(self, request: Request) -> Response:
        start = perf_counter()
        status = 500
        try:
            response = await self._answer(request)
            status = response.status_code
            return response
        finally:
            self._metrics.answer(status, perf_counter() - start)

    async def _answer(self, request: Request) -> Response:
        limits = self._limits
        name = None
        try:
            with self._batcher.place():
                upload = await read_upload(
                    request, max_bytes=limits.max_bytes, patience=limits.upload_seconds
                )
                name = upload.name
                score = await self._batcher.score(upload.data)
        except InputError as error:
            # As `crossiqa score --json` tells that a picture could not be scored.
            return _failure(error) if name is None else _failure(error, Result(name, None, error).to_dict())
        except (FullError, StoppingError) as error:
            await discard(request)
            return _failure(error)
        except BackendError as error:
            return _failure(error)
        self._metrics.scored(score)
        return JSONResponse(Result(name, None, score).to_dict())

    async def model(self, request: Request) -> Response:
        scorer = self._scorer
        return JSONResponse(
            {
                "model": scorer.card.identity,
                "backend": scorer.backend.describe,
                "sampling": scorer.sampling,
                "views": scorer.views,
                "max_pixels": scorer.max_pixels,
                "limits": asdict(self._limits),
                "card": json.loads(scorer.card.to_json()),
            }
        )

    async def health(self, request: Request) -> Response:
        failure = "the server is being stopped" if self._batcher.stopping else self._batcher.failure
        if failure is not None:
            return JSONResponse({"error": failure}, 503)
        return JSONResponse({"status": "ok"})

    async def metrics(self, request: Request) -> Response:
        return Response(self._metrics.text(), media_type=CONTENT_TYPE)


def _failure(error: CrossIQAError, told: dict[str, Any] | None = None) -> JSONResponse:
    """``told``, or the error's line, under the error's status."""
    status = next(code for kind, code in _STATUS if isinstance(error, kind))
    headers = _RETRY_AFTER if status in (429, 503) else None
    return JSONResponse(told or {"error": str(error)}, status, headers)


async def _http_error(request: Request, error: HTTPException) -> Response:
    """No such address, or another method there."""
    line = f"{error.detail.lower()}: {request.method} {request.url.path}; see docs/serve.md"
    return JSONResponse({"error": line}, error.status_code, error.headers)


async def _unexpected(request: Request, error: Exception) -> Response:
    """A mistake of ours; uvicorn's log, on standard error, has the traceback."""
    return JSONResponse({"error": "an error in the server; its log tells more"}, 500)
