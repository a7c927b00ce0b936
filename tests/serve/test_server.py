"""Connections, as a client sees them: closed where nothing comes, kept while a request is answered."""

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("uvicorn", reason="serving needs the serve extra")

import uvicorn
from uvicorn.server import ServerState

from crossiqa_edge.errors import BackendError
from crossiqa_edge.serve import server as server_module
from crossiqa_edge.serve.server import Impatient

LIMIT = 0.2


async def slow_application(scope, receive, send):
    await asyncio.sleep(2 * LIMIT)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def answer_to(sent):
    """What a client gets that sends this and then nothing, until the connection is closed."""

    async def whole():
        config = uvicorn.Config(slow_application, http=Impatient, log_level="critical", timeout_keep_alive=1)
        config.load()
        state = ServerState()
        listening = await asyncio.get_running_loop().create_server(
            lambda: Impatient(config, state, {}), "127.0.0.1", 0
        )
        async with listening:
            port = listening.sockets[0].getsockname()[1]
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(sent)
            try:
                return await asyncio.wait_for(reader.read(), 20)
            finally:
                writer.close()

    return asyncio.run(whole())


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.1\r\nHost: a\r\n"])
def test_a_connection_without_a_request_is_closed(monkeypatch, sent):
    monkeypatch.setattr(server_module, "_SILENCE", LIMIT)
    assert answer_to(sent) == b""


def test_a_request_may_take_longer_than_that(monkeypatch):
    monkeypatch.setattr(server_module, "_SILENCE", LIMIT)
    assert answer_to(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").endswith(b"\r\n\r\nok")


def test_the_server_speaks_in_this_way(monkeypatch):
    told = {}

    class Told(uvicorn.Config):
        def __init__(self, app, **options):
            told.update(options)
            raise ConnectionAbortedError

    scorer = SimpleNamespace(card=SimpleNamespace(view_size=56), score=lambda picture: None)
    monkeypatch.setattr(server_module.uvicorn, "Config", Told)
    with server_module.listen("127.0.0.1", 0) as listening, pytest.raises(ConnectionAbortedError):
        server_module.serve(scorer, listening, server_module.Limits(), lambda: None)
    assert told["http"] is Impatient
    assert told["server_header"] is False, "nobody need know what it is made of"
    assert 0 < told["timeout_graceful_shutdown"] < 120, "requests inside may not keep it from ending"


def test_a_model_that_does_not_run_is_told_before_anybody_is_let_in(monkeypatch):
    def fail(picture):
        raise BackendError("the GPU is lost; restart it")

    monkeypatch.setattr(server_module.uvicorn, "Config", lambda *_, **__: pytest.fail("it has started"))
    scorer = SimpleNamespace(card=SimpleNamespace(view_size=56), score=fail)
    with server_module.listen("127.0.0.1", 0) as listening, pytest.raises(BackendError):
        server_module.serve(scorer, listening, server_module.Limits(), lambda: None)
