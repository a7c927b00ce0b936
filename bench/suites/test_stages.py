"""The stages of a score on a CPU: decode, sample, infer, pool, and all of them together."""

import numpy as np
import pytest

from crossiqa_edge.errors import BackendError
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.runtime.scorer import Scorer
from crossiqa_edge.runtime.select import BACKENDS, ONLY_BY_NAME


def test_decode(benchmark, photo_file):
    assert benchmark(decode, photo_file).shape == (320, 480, 3)


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_sample(benchmark, frame, sampling):
    assert benchmark(sample, frame, sampling).dtype == np.uint8


@pytest.mark.parametrize("batch", [1, 8])
@pytest.mark.parametrize("backend", [name for name in BACKENDS if name not in ONLY_BY_NAME])
def test_infer(benchmark, frame, backend, batch):
    try:
        scorer = Scorer.load("nano", backend=backend)
    except BackendError as error:
        pytest.skip(str(error))
    views = np.repeat(sample(frame), batch, axis=0)
    scores = benchmark(scorer.backend.infer, views)
    assert scores.shape == (batch,)
    assert np.ptp(scores) < 0.01  # equal views


def test_score_from_bytes(benchmark, scorer, photo_file):
    assert 0 <= benchmark(scorer.score, photo_file).value <= 100


def test_open_model(benchmark):
    assert benchmark(Scorer.load, "nano").card.name == "nano"
