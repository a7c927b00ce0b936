from pathlib import Path

import pytest
from rows_for_tests import row

pytest.importorskip("matplotlib")

from crossiqa_edge.bench.document import main, page
from crossiqa_edge.bench.rows import append

ROOT = Path(__file__).parents[2]


def test_two_runs_and_their_parts_make_the_page(tmp_path):
    append(tmp_path / "points.jsonl", [row(p50=10, run="a")])
    append(tmp_path / "points.jsonl", [row(p50=14, run="b")])
    (tmp_path / "roofline.md").write_text("| roof |\n")
    (tmp_path / "scaling.png").write_bytes(b"")
    text = page(tmp_path)
    assert "| roof |" in text
    assert "slower" in text
    assert "scaling.png" in text
    assert "tradeoff.png" not in text
    assert text.count("Not measured in this run.") == 2  # scaling and peers


def test_no_results_no_page(tmp_path, capsys):
    assert main([str(tmp_path)]) == 2
    assert "cannot be read" in capsys.readouterr().err


def test_the_committed_page_is_what_the_committed_results_say(monkeypatch):
    monkeypatch.chdir(ROOT)
    committed = (ROOT / "docs" / "benchmarks.md").read_text()
    folder = committed.split("results lie in `")[1].split("`")[0]
    assert committed == page(Path(folder))
