"""The picture in a request: its whole body, or the one file of a form, within a size and a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass, field

from crossiqa_edge.errors import InputError, LimitError, MissingDependencyError
from crossiqa_edge.imaging.decode import name_of

try:
    from starlette.datastructures import UploadFile
    from starlette.formparsers import MultiPartException, MultiPartParser
    from starlette.requests import Request
except ImportError as error:
    raise MissingDependencyError("serving", "serve") from error

RAW = "-"  # how `crossiqa score` names a picture on standard input
_REMEDY = "compress the picture or start the server with a larger --max-bytes"
_MOST_FIELDS = 16
_PIECE = 1 << 16
_LINGER = 5.0  # seconds in which a refused body may still come, to be thrown away


class SlowUploadError(InputError):
    """A body that did not come in time."""


@dataclass(frozen=True)
class Upload:
    """An encoded picture.

    Attributes:
        name: as the client called it, fit to be printed, or ``-``.
        data: its bytes.
    """

    name: str
    data: bytes = field(repr=False)  # asyncio spells results out, which would take four bytes for one


async def read_upload(request: Request, *, max_bytes: int, patience: float) -> Upload:
    """The picture that ``request`` brings.

    Args:
        max_bytes: longest body; no more of it than that is ever held.
        patience: seconds that it may take to come.

    Raises:
        InputError: an empty body, a form without exactly one file, or a client that left half-way.
        LimitError: a body of more than ``max_bytes``, announced or sent.
        SlowUploadError: it took longer than ``patience``.
    """
    try:
        body = await asyncio.wait_for(_body(request, max_bytes), patience)
    except asyncio.TimeoutError as error:
        raise SlowUploadError(f"the picture did not come within {patience:g} s; send it again") from error
    if not body:
        raise InputError("no picture: the body is empty; send one with curl --data-binary @photo.jpg")
    if request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await _file_of_form(request, body)
    return Upload(RAW, body)


async def discard(request: Request) -> None:
    """Take the rest of the body and forget it, for a few seconds at most.

    Who closes a connection on bytes that nobody has read resets it, and the client never sees the answer. A
    client that has asked first (``Expect: 100-continue``) has sent nothing yet.
    """
    if "expect" not in request.headers:
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(_forget(request), _LINGER)


async def _forget(request: Request) -> None:
    more = True
    while more:
        message = await request.receive()
        more = bool(message.get("more_body"))


async def _body(request: Request, max_bytes: int) -> bytes:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        await discard(request)
        raise LimitError(f"a body of {announced} bytes, more than {max_bytes}; {_REMEDY}")
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise InputError("the connection ended before the picture did; send it again")
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > max_bytes:
            if more:
                await discard(request)
            raise LimitError(f"a body of more than {max_bytes} bytes; {_REMEDY}")
    return bytes(body)


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 62  # the body is bounded already; no file is written


async def _file_of_form(request: Request, body: bytes) -> Upload:
    async def stream() -> AsyncGenerator[bytes, None]:
        for start in range(0, len(body), _PIECE):  # the parser copies what it is given at once
            yield body[start : start + _PIECE]
        yield b""

    try:
        form = await _InMemory(
            request.headers, stream(), max_files=_MOST_FIELDS, max_fields=_MOST_FIELDS
        ).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        # No boundary is a KeyError, and python-multipart's own errors are ValueErrors.
        raise InputError("the form is damaged; use curl -F file=@photo.jpg") from error
    try:
        files = [value for _, value in form.multi_items() if isinstance(value, UploadFile)]
        if len(files) != 1:
            raise InputError(f"{len(files)} files in the form instead of one; use curl -F file=@photo.jpg")
        return Upload(name_of(files[0].filename or RAW), await files[0].read())
    finally:
        await form.close()
