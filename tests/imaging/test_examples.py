"""The shipped pictures are sound, small and credited, and each harmed copy is worse than its original."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from crossiqa_edge.imaging.decode import decode
from crossiqa_edge.imaging.gather import gather
from crossiqa_edge.imaging.sampling import sample

FOLDER = Path(__file__).parents[2] / "examples"
ENTRIES = list(gather([str(FOLDER)])) if FOLDER.is_dir() else []
PICTURES = [str(entry.source) for entry in ENTRIES if not entry.clip]
pytestmark = pytest.mark.skipif(not PICTURES, reason="the examples are not part of this copy of the sources")


def test_every_picture_can_be_sampled_and_is_credited() -> None:
    credits = (FOLDER / "CREDITS.md").read_text(encoding="utf-8")
    for path in PICTURES:
        assert sample(decode(path)).shape == (1, 224, 224, 3)
        assert f"| `{Path(path).name}` |" in credits
    assert len(PICTURES) >= 6
    assert sum(Path(path).stat().st_size for path in PICTURES) <= 900_000


@pytest.mark.parametrize("harmed", [path for path in PICTURES if "-" in Path(path).name])
def test_harmed_copies_show_their_original(harmed: str) -> None:
    name = Path(harmed).name.split("-")[0]
    (original,) = (path for path in PICTURES if Path(path).stem == name)
    before, after = decode(original).astype(float), decode(harmed).astype(float)
    assert before.shape == after.shape
    assert np.corrcoef(before.ravel(), after.ravel())[0, 1] > 0.8
    assert 10 * np.log10(255**2 / np.mean((before - after) ** 2)) < 30
