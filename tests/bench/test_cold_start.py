import json
import subprocess
from types import SimpleNamespace

import pytest
from PIL import Image

from crossiqa_edge.bench import cold_start
from crossiqa_edge.bench.cold_start import cold_starts, main
from crossiqa_edge.imaging.testpattern import photo_like


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(photo_like(0, 64, 64)).save(path)
    return str(path)


def test_gives_a_time_for_each_run_but_the_first(photo, tiny_onnx):
    seconds = cold_starts([photo, "--model", str(tiny_onnx)], runs=2)
    assert len(seconds) == 2
    assert min(seconds) > 0.05  # an interpreter with NumPy cannot start faster


def test_the_first_run_which_reads_from_the_disk_does_not_count(monkeypatch):
    moments = iter([0.0, 9.0, 20.0, 21.0, 30.0, 32.0])
    monkeypatch.setattr(cold_start, "perf_counter", lambda: next(moments))
    monkeypatch.setattr(cold_start, "subprocess", SimpleNamespace(run=lambda *_, **__: None))
    assert cold_starts(["photo.png"], runs=2) == [1.0, 2.0]


def test_options_of_score_go_to_it(photo, tiny_onnx, capsys):
    assert main([photo, "--model", str(tiny_onnx), "--runs", "1"]) == 0
    assert json.loads(capsys.readouterr().out)["runs"] == 1


def test_a_failure_is_told_in_the_words_of_score(capsys):
    assert main(["no-such.png", "--runs", "1"]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert "no-such.png: cannot be read" in told.err


def test_no_run_has_no_median(photo):
    with pytest.raises(SystemExit):
        main([photo, "--runs", "0"])


def test_a_failure_is_no_fast_run(tiny_onnx):
    with pytest.raises(subprocess.CalledProcessError):
        cold_starts(["no-such.png", "--model", str(tiny_onnx)], runs=1)
