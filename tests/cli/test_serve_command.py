"""The verb: a real server on this machine's own address, and what keeps it from starting."""

import json
import re
import signal
import socket
import sys
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest

pytest.importorskip("uvicorn", reason="serving needs the serve extra")
pytest.importorskip("prometheus_client", reason="serving needs the serve extra")

from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.serve import server
from crossiqa_edge.serve.app import Limits

PICTURE = "examples/coffee.jpg"


@pytest.fixture
def served(process, tiny_onnx, tmp_path):
    """A server of the tiny model, with a configuration as tune writes it: (process, address)."""
    config = tmp_path / "found.json"
    values = {
        "model": str(tiny_onnx),
        "backend": "onnxruntime",
        "sampling": "fragments",
        "views": 3,
        "batch": 2,
    }
    config.write_text(json.dumps(values))
    running = process("serve", "--config", config, "--port", 0)
    line = running.stderr.readline()
    found = re.search(r"serving tiny-test\S* on (http://127\.0\.0\.1:\d+) ", line)
    if found is None:
        running.kill()
    assert found, line + running.stderr.read()
    yield running, found.group(1)
    running.kill()
    running.communicate()


def ask(address, data=None):
    with urllib.request.urlopen(urllib.request.Request(address, data), timeout=60) as answer:
        return json.loads(answer.read())


def test_a_real_server_answers_many_at_once_and_ends_in_good_order(served, crossiqa, tiny_onnx):
    running, address = served
    with open(PICTURE, "rb") as stream:  # noqa: PTH123
        picture = stream.read()
    with ThreadPoolExecutor(4) as pool:
        answers = [*pool.map(lambda _: ask(f"{address}/v1/score", picture), range(8))]
    told = crossiqa(
        *("score", PICTURE, "--model", tiny_onnx, "--backend", "onnxruntime"),
        *("--sampling", "fragments", "--views", 3, "--json"),
    )
    expected = json.loads(told.out)[0]
    for answer in answers:
        assert answer.keys() == expected.keys()
        assert (answer["score"], answer["views"]) == (expected["score"], 3)
    told = ask(f"{address}/v1/model")  # from the configuration
    assert (told["limits"]["max_batch"], told["sampling"], told["views"]) == (2, "fragments", 3)
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(f"{address}/v1/score", bytes((32 << 20) + 1))
    assert refused.value.code == 413
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, out, err) == (0, "", "")


def test_options_reach_the_server_and_what_scores(crossiqa, tiny_onnx, monkeypatch):
    told, load = {}, Scorer.load
    monkeypatch.setattr(
        Scorer, "load", lambda *words, **options: told.update(options) or load(*words, **options)
    )
    monkeypatch.setattr(server, "serve", lambda scorer, listening, limits, _: told.update(limits=limits))
    done = crossiqa(
        *("serve", "--model", tiny_onnx, "--backend", "onnxruntime", "--port", 0, "--threads", 1),
        *("--max-batch", 3, "--max-wait-ms", 7.5, "--max-bytes", 1000, "--places", 5, "--max-pixels", 12345),
    )
    assert (done.code, done.out, done.err) == (0, "", "")
    assert told["limits"] == Limits(max_batch=3, max_wait_ms=7.5, max_bytes=1000, places=5)
    assert (told["threads"], told["max_pixels"]) == (1, 12345)


def test_a_port_in_use_is_one_line(crossiqa, tiny_onnx):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = crossiqa("serve", "--model", tiny_onnx, "--port", taken.getsockname()[1])
    assert done.code == 2
    assert "cannot listen on 127.0.0.1" in done.complaints[0]
    assert len(done.complaints) == 1


@pytest.mark.parametrize("library", ["starlette", "uvicorn", "prometheus_client"])
def test_a_missing_library_names_the_extra(crossiqa, monkeypatch, library):
    for name in [name for name in sys.modules if name.startswith("crossiqa_edge.serve")]:
        monkeypatch.delitem(sys.modules, name)
    for name in [name for name in sys.modules if name.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    done = crossiqa("serve")
    assert done.code == 2
    assert "pip install 'crossiqa-edge[serve]'" in done.complaints[0]
