"""How long making an artefact takes; a few runs, since each takes seconds."""

from crossiqa_edge.bench.scaling import write_untrained


def test_export_micro(benchmark, tmp_path):
    path = tmp_path / "micro.onnx"
    benchmark.pedantic(write_untrained, ("micro", 64, path), rounds=2)
    assert path.stat().st_size > 10_000
