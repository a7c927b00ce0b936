"""Bodies that come slowly or not at all, told to the reader chunk by chunk as a server would."""

import asyncio
import tempfile
import tracemalloc

import pytest

pytest.importorskip("starlette", reason="serving needs the serve extra")

from starlette.requests import Request

from crossiqa_edge.errors import InputError, LimitError
from crossiqa_edge.serve import upload as upload_module
from crossiqa_edge.serve.upload import SlowUploadError, read_upload


def read(*messages, headers=(), max_bytes=10, patience=30.0):
    """``read_upload`` of a request whose messages come one by one, and then no more."""
    told = list(messages)

    async def receive():
        if not told:
            await asyncio.sleep(60)
        return told.pop(0)

    scope = {"type": "http", "method": "POST", "path": "/", "headers": list(headers)}
    try:
        return asyncio.run(read_upload(Request(scope, receive), max_bytes=max_bytes, patience=patience))
    except InputError as error:
        error.told = told  # what was left unread of them
        raise


def chunk(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def test_chunks_become_one_picture():
    upload = read(chunk(b"ab"), chunk(b"cd", more=False))
    assert (upload.name, upload.data) == ("-", b"abcd")


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"10")]], ids=["not announced", "announced"])
def test_a_body_may_be_as_long_as_the_limit(headers):
    assert read(chunk(b"1234567890", more=False), headers=headers).data == b"1234567890"


def test_a_form_is_known_in_capitals_and_its_file_by_a_name_fit_to_be_printed():
    part = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a\x1b[31m.png"\r\n\r\nab\r\n--x--\r\n'
    headers = [(b"content-type", b"Multipart/Form-Data; boundary=x")]
    upload = read(chunk(part, more=False), headers=headers, max_bytes=1000)
    assert (upload.name, upload.data) == (r"a\x1b[31m.png", b"ab")


def test_a_body_that_does_not_come_is_given_up():
    with pytest.raises(SlowUploadError, match=r"within 0\.01 s"):
        read(chunk(b"ab"), patience=0.01)


def test_a_client_that_leaves_is_no_mistake_of_ours():
    with pytest.raises(InputError, match="connection ended"):
        read(chunk(b"ab"), {"type": "http.disconnect"})


def test_of_a_body_that_is_too_long_the_rest_is_forgotten():
    with pytest.raises(LimitError, match="more than 10 bytes") as refused:
        read(chunk(b"12345678"), chunk(b"901"), chunk(b"9" * 1000), chunk(b"", more=False))
    assert refused.value.told == []


def test_an_announced_length_is_refused_and_only_a_client_that_asked_first_keeps_its_body(monkeypatch):
    length = (b"content-length", b"11")
    with pytest.raises(LimitError, match="11 bytes, more than 10") as refused:
        read(chunk(b"12345678901", more=False), headers=[length])
    assert refused.value.told == []
    with pytest.raises(LimitError) as refused:
        read(chunk(b"12345678901", more=False), headers=[length, (b"expect", b"100-continue")])
    assert len(refused.value.told) == 1


def test_of_a_body_that_has_ended_nothing_more_is_awaited(monkeypatch):
    monkeypatch.setattr(upload_module, "discard", None)
    with pytest.raises(LimitError):
        read(chunk(b"12345678901", more=False))


def test_a_refused_body_that_never_ends_is_left(monkeypatch):
    monkeypatch.setattr(upload_module, "_LINGER", 0.01)
    with pytest.raises(LimitError):
        read(chunk(b"12345678901"))


def test_a_form_takes_three_times_its_body_and_no_file(monkeypatch):
    def refused(*_):
        raise AssertionError("a body was spooled to disk")

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", refused)
    head = b'--x\r\nContent-Disposition: form-data; name="f"; filename="a.png"\r\n\r\n'
    body = head + bytes(8 << 20) + b"\r\n--x--\r\n"
    form = (b"content-type", b"multipart/form-data; boundary=x")
    tracemalloc.start()
    try:
        upload = read(chunk(body, more=False), headers=[form], max_bytes=16 << 20)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (upload.name, len(upload.data)) == ("a.png", 8 << 20)
    assert peak < 3.3 * len(body)
