"""The unit of all other figures of a run; `python -m crossiqa_edge.bench.gate` divides by it."""

from crossiqa_edge.bench.calibration import calibration_loop


def test_calibration_loop(benchmark):
    benchmark.extra_info["calibration"] = True
    benchmark(calibration_loop())
