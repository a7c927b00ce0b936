"""The HTTP interface as a client meets it, over a model of a few nodes whose score is known."""

import asyncio
import io
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("starlette", reason="serving needs the serve extra")
pytest.importorskip("prometheus_client", reason="serving needs the serve extra")

from prometheus_client.parser import text_string_to_metric_families
from starlette.testclient import TestClient

from crossiqa_edge.errors import BackendError
from crossiqa_edge.report.result import Result
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.serve.app import Limits, make_app
from crossiqa_edge.serve.batching import Batcher

MAX_BYTES = 100_000


def png(level=51, side=240):
    stream = io.BytesIO()
    Image.fromarray(np.full((side, side, 3), level, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


@pytest.fixture
def scorer(tiny_onnx):
    with Scorer.load(tiny_onnx, max_pixels=1_000_000) as opened:
        yield opened


@pytest.fixture
def client(scorer):
    app = make_app(scorer, Limits(max_bytes=MAX_BYTES, places=2, max_wait_ms=0))
    with TestClient(app, raise_server_exceptions=False) as opened:
        yield opened


def samples(client):
    """Name and labels of every figure of /metrics, with its value."""
    families = text_string_to_metric_families(client.get("/metrics").text)
    return {(s.name, *sorted(s.labels.values())): s.value for family in families for s in family.samples}


def test_a_picture_as_the_body_is_scored_as_on_the_command_line(client, scorer):
    answer = client.post("/v1/score", content=png())
    assert answer.status_code == 200
    expected = Result("-", None, scorer.score(png())).to_dict()
    got = answer.json()
    assert got.pop("timings_ms").keys() == expected.pop("timings_ms").keys()
    assert got == expected
    assert got["score"] == pytest.approx(20.0)


def test_a_picture_in_a_form_has_its_name(client):
    answer = client.post("/v1/score", files={"any": ("a\nb.png", png(255))}, data={"note": "x"})
    assert answer.status_code == 200
    assert answer.json()["score"] == pytest.approx(100.0)
    assert answer.json()["path"].isprintable()


FORM = "multipart/form-data; boundary=x"
REFUSED = {
    "nothing": (400, {"content": b""}),
    "half a picture": (400, {"content": png()[:200]}),
    "a small picture in a form, cut": (400, {"files": {"file": ("p.png", png()[:200])}}),
    "a form without a file": (400, {"files": {"a": (None, "b")}}),
    "a form that is none": (400, {"content": b"a=b", "headers": {"Content-Type": FORM}}),
    "two files": (400, {"files": [("a", ("a.png", png())), ("b", ("b.png", png()))]}),
    "a form of many fields": (
        400,
        {"files": {"a": ("a.png", png())}, "data": dict.fromkeys("bcdefghijklmnopqrs", "x")},
    ),
    "a form without a boundary": (
        400,
        {"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}},
    ),
    "a text": (415, {"content": b"not a picture at all"}),
    "a text in a form": (415, {"files": {"file": ("a.txt", b"not a picture")}}),
    "too many pixels": (413, {"content": png(side=1001)}),
    "too many bytes, announced": (413, {"content": bytes(MAX_BYTES + 1)}),
    "too many bytes, not announced": (413, {"content": iter([bytes(MAX_BYTES), b"1"])}),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_scored_is_one_line_under_its_status(client, what):
    status, request = REFUSED[what]
    answer = client.post("/v1/score", **request)
    assert answer.status_code == status, answer.text
    line = answer.json()["error"]
    assert line and "\n" not in line
    assert "<bytes>" not in line
    assert client.post("/v1/score", content=png()).status_code == 200  # and the server goes on


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/v1/score", 405), ("GET", "/nothing", 404), ("GET", "/v1/model/", 404)],
)
def test_wrong_addresses_are_answered_in_json_too(client, method, path, status):
    answer = client.request(method, path)
    assert answer.status_code == status
    assert path in answer.json()["error"]


def told_bit_by_bit(app_client, *pieces):
    """The answer to a body of which these pieces come, and then nothing: status, headers, pieces not read."""
    left, sent = list(pieces), []

    async def receive():
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    async def send(message):
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": "/v1/score", "headers": [], "query_string": b""}
    app_client.portal.call(asyncio.wait_for, app_client.app(scope, receive, send), 20)
    return sent[0]["status"], dict(sent[0]["headers"]), left


def piece(body, more=True):
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_picture_that_does_not_come_in_time_has_a_status_of_its_own(scorer):
    with TestClient(make_app(scorer, Limits(upload_seconds=0.05))) as client:
        status, _, left = told_bit_by_bit(client, piece(png()[:100]))
    assert (status, left) == (408, [])


def test_who_is_sent_away_has_had_the_body_taken_or_would_not_see_the_answer(scorer):
    with TestClient(make_app(scorer, Limits(places=0))) as client:
        status, headers, left = told_bit_by_bit(client, piece(b"1"), piece(b"2", more=False))
    assert (status, headers[b"retry-after"], left) == (429, b"1", [])


@pytest.mark.parametrize("limits", [Limits(max_wait_ms=20), Limits(max_wait_ms=12_000, max_batch=1)])
def test_a_picture_waits_for_milliseconds_and_in_a_full_batch_not_at_all(scorer, limits):
    with TestClient(make_app(scorer, limits)) as client:
        start = time.perf_counter()
        assert client.post("/v1/score", content=png()).status_code == 200
        assert time.perf_counter() - start < 10


def test_nothing_runs_on_when_the_application_has_ended(client, scorer):
    def running():
        return [thread for thread in threading.enumerate() if thread.name.startswith("crossiqa-serve")]

    before = running()
    with TestClient(make_app(scorer, Limits())) as another:
        another.post("/v1/score", content=png())
        assert len(running()) > len(before)
    assert running() == before


def test_a_full_house_sends_away_before_it_reads(client, scorer, monkeypatch):
    gate, inside = threading.Event(), threading.Semaphore(0)
    infer = scorer.backend.infer

    def slow(views):
        inside.release()
        assert gate.wait(30)
        return infer(views)

    monkeypatch.setattr(scorer.backend, "infer", slow)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.post, "/v1/score", content=png())
        assert inside.acquire(timeout=30)
        second = pool.submit(client.post, "/v1/score", content=png())
        while samples(client)[("crossiqa_inside",)] < 2:
            pass
        third = client.post("/v1/score", content=bytes(MAX_BYTES + 1))  # not even its length is looked at
        gate.set()
        assert (third.status_code, third.headers["retry-after"]) == (429, "1")
        assert [done.result().status_code for done in (first, second)] == [200, 200]
    assert client.post("/v1/score", content=png()).status_code == 200


def test_a_failing_runtime_is_unavailable_until_it_works_again(client, scorer, monkeypatch):
    assert client.get("/healthz").json() == {"status": "ok"}
    with monkeypatch.context() as broken:

        def fail(views):
            raise BackendError("the GPU is lost; restart the server")

        broken.setattr(scorer.backend, "infer", fail)
        answer = client.post("/v1/score", content=png())
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json() == {"error": "the GPU is lost; restart the server"}
        assert client.get("/healthz").status_code == 503
    assert client.post("/v1/score", content=png()).status_code == 200
    assert client.get("/healthz").status_code == 200


def test_a_mistake_of_ours_shows_nothing_of_itself(client, scorer, monkeypatch):
    monkeypatch.setattr(scorer.backend, "infer", lambda views: 1 / 0)
    answer = client.post("/v1/score", content=png())
    assert answer.status_code == 500
    assert answer.json() == {"error": "an error in the server; its log tells more"}
    assert samples(client)[("crossiqa_answers_total", "500")] == 1


def test_a_server_that_is_being_stopped_is_no_longer_healthy(client, monkeypatch):
    monkeypatch.setattr(Batcher, "stopping", True)
    answer = client.get("/healthz")
    assert (answer.status_code, answer.json()) == (503, {"error": "the server is being stopped"})


def test_the_model_and_the_limits_can_be_asked_for(client, scorer):
    found = client.get("/v1/model").json()
    assert found["model"] == scorer.card.identity
    assert found["card"]["training_data"] == ["generated"]
    assert found["limits"]["max_bytes"] == MAX_BYTES
    assert found["max_pixels"] == 1_000_000
    assert (found["sampling"], found["views"]) == (scorer.sampling, scorer.views)


def test_metrics_are_told_as_what_they_are(client):
    assert client.get("/metrics").headers["content-type"].startswith("text/plain; version=")


def test_metrics_count_what_happened(client):
    for content in (png(), png(), b"nothing"):
        client.post("/v1/score", content=content)
    found = samples(client)
    assert found[("crossiqa_answers_total", "200")] == 2
    assert found[("crossiqa_answers_total", "415")] == 1
    assert found[("crossiqa_request_seconds_count",)] == 3
    assert found[("crossiqa_stage_seconds_count", "infer")] == 2
    stages = [found[("crossiqa_stage_seconds_sum", stage)] for stage in ("decode", "sample", "infer")]
    assert 0 < sum(stages) <= found[("crossiqa_request_seconds_sum",)]
    assert found[("crossiqa_score_sum",)] == pytest.approx(40.0)
    assert [found[("crossiqa_score_bucket", most)] for most in ("10.0", "30.0", "100.0")] == [0, 2, 2]
    assert found[("crossiqa_batch_pictures_count",)] == 3
    assert found[("crossiqa_inside",)] == 0
