"""The application behind a socket, from listening to a clean end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from crossiqa_edge.errors import ConfigError, MissingDependencyError
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.serve.app import Limits, make_app

try:
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol
except ImportError as error:
    raise MissingDependencyError("serving", "serve") from error

_BACKLOG = 128
_GRACE = 30  # seconds for requests that are inside when the server is told to stop
_SILENCE = 30.0  # seconds after which a connection that has not brought a request is closed


def listen(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one.

    Raises:
        ConfigError: the address is in use, not allowed, or none of this machine's.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ConfigError(
            f"cannot listen on {host} port {port} ({reason}); choose --host or --port"
        ) from error


def url(listening: socket.socket) -> str:
    """Where it can be reached."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def serve(scorer: Scorer, listening: socket.socket, limits: Limits, on_start: Callable[[], object]) -> None:
    """Answer until Ctrl-C or SIGTERM, then end what is inside and return; a second Ctrl-C ends at once.

    Args:
        scorer: stays open.
        listening: closed at the end.
        on_start: called when requests are being answered.

    Raises:
        BackendError: the model does not run.
    """
    size = scorer.card.view_size
    scorer.score(photo_like(0, size, size))  # what a runtime does at its first inference is done now
    config = uvicorn.Config(
        make_app(scorer, limits),
        http=Impatient,
        access_log=False,
        log_level="warning",
        timeout_graceful_shutdown=_GRACE,
        server_header=False,
    )
    server = _Announced(config, on_start)
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn hands the signal on once it has ended in good order
        if not server.should_exit:
            raise
    finally:
        listening.close()


class Impatient(H11Protocol):
    """Closes a connection that brings no request, or whose first header never ends.

    uvicorn itself has a limit only between the requests of a connection.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._giving_up = self.loop.call_later(_SILENCE, self._give_up)

    def connection_lost(self, exc: Exception | None) -> None:
        self._giving_up.cancel()
        super().connection_lost(exc)

    def _give_up(self) -> None:
        if not self.cycle:  # no request was begun
            self.transport.close()


class _Announced(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_start: Callable[[], object]) -> None:
        super().__init__(config)
        self._on_start = on_start

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_start()
