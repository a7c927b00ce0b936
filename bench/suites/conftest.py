"""What the suites share: a photograph, a frame, and the shipped model."""

from __future__ import annotations

import pytest

from crossiqa_edge.bench.probe import PICTURES
from crossiqa_edge.bench.scaling import tiled
from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.runtime.scorer import Scorer


@pytest.fixture(scope="session")
def photo_file() -> bytes:
    """An encoded photograph."""
    return (PICTURES / "coffee.webp").read_bytes()


@pytest.fixture(scope="session")
def frame(photo_file: bytes) -> Frame:
    """uint8 (1080, 1920, 3) of real texture."""
    return tiled(decode(photo_file), 1080, 1920)


@pytest.fixture(scope="session")
def scorer() -> Scorer:
    """The shipped nano on whatever backend is chosen here."""
    return Scorer.load("nano")
