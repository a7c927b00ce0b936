"""Contributions of fragments: exact where they can be known, and lower where a photograph was harmed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge import Scorer
from crossiqa_edge.data import degradations
from crossiqa_edge.errors import InputError
from crossiqa_edge.imaging.sampling import fragments
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.video.quality_map import box_of, quality_map

EXAMPLES = Path(__file__).parents[2] / "examples"
WEIGHTS = np.random.default_rng(1).uniform(0.1, 1, (7, 7))


def tiles(views: Any) -> Any:
    """(V, 7, 7, 32, 32, 3)"""
    return views.reshape(-1, 7, 32, 7, 32, 3).swapaxes(2, 3)


def brightness(views: Any) -> Any:
    """Mean byte of each tile, (V, 7, 7)."""
    return tiles(views).mean((3, 4, 5), dtype=np.float64)


def additive(views: Any) -> Any:
    """A backend whose score is a weighted sum of its tiles' brightness."""
    return (brightness(views) * WEIGHTS).sum((1, 2)).astype(np.float32) / 100


def darkest(views: Any) -> Any:
    """A backend with nothing additive about it: the darkest tile, and how it compares with the first."""
    means = brightness(views).reshape(len(views), -1)
    return (means.min(1) * 0.2 + means.min(1) * means[:, 0] * 1e-3).astype(np.float32)


def test_a_sum_over_the_fragments_is_taken_apart_exactly() -> None:
    frame = photo_like(2, 400, 600)
    found = quality_map(frame, additive, walks=48)  # each fragment meets each other one once
    means = brightness(fragments(frame))[0]
    others = (means.sum() - means) / 48
    np.testing.assert_allclose(found.contributions, WEIGHTS * (means - others) / 100, atol=1e-5)
    assert np.ptp(found.contributions) > 0.1


@pytest.mark.parametrize("walks", [1, 3, 8])
@pytest.mark.parametrize("infer", [additive, darkest])
def test_contributions_add_up_to_the_score_less_the_baseline(infer: Any, walks: int) -> None:
    frame = photo_like(4, 300, 500)
    found = quality_map(frame, infer, walks=walks)
    assert found.score == pytest.approx(float(infer(fragments(frame)[None])[0]))
    assert found.contributions.sum() == pytest.approx(found.score - found.baseline, abs=1e-4)


def test_an_even_frame_owes_nothing_to_any_place() -> None:
    found = quality_map(np.full((300, 400, 3), 102, np.uint8), darkest, walks=2)
    assert (found.contributions == 0).all() and found.score == found.baseline


def test_only_the_frames_own_fragments_are_seen_in_small_batches_and_always_the_same() -> None:
    frame = photo_like(1, 500, 500)
    own = {tile.tobytes() for tile in tiles(fragments(frame)).reshape(49, -1)}
    seen: list[bytes] = []
    sizes: list[int] = []

    def infer(views: Any) -> Any:
        assert views.dtype == np.uint8 and views.shape[1:] == (224, 224, 3)
        assert {tile.tobytes() for tile in tiles(views).reshape(len(views) * 49, -1)} <= own
        sizes.append(len(views))
        seen.extend(view.tobytes() for view in views)
        return darkest(views)

    first = quality_map(frame, infer, walks=3)
    once = len(seen)
    assert once == len(set(seen)) == 49 * 3 + 1 and max(sizes) <= 32
    second = quality_map(frame, infer, walks=3)
    assert seen[once:] == seen[:once] and (first.contributions == second.contributions).all()


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (144, 176), (272, 640), (1083, 1927)])
def test_cells_cover_the_frame_and_fragments_lie_where_the_view_took_them(size: tuple[int, int]) -> None:
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    found = quality_map(frame, additive, walks=1)
    covered = np.zeros(size, int)
    seen = tiles(fragments(frame))[0]
    for row in range(7):
        for column in range(7):
            top, left, bottom, right = found.cell(row, column)
            covered[top:bottom, left:right] += 1
            top, left, bottom, right = found.fragment(row, column)
            assert (frame[top:bottom, left:right] == seen[row, column]).all()
    assert (covered == 1).all()
    assert np.isfinite(found.contributions).all()


def test_a_frame_narrower_than_a_fragment_is_continued() -> None:
    found = quality_map(
        photo_like(0, 40, 300), lambda views: np.zeros(len(views), np.float32), walks=1, size=448
    )
    assert found.fragment(6, 6)[:3:2] == (0, 64) and found.cell(6, 6)[2:] == (40, 300)


def test_bars_are_left_out_as_they_were_of_the_score() -> None:
    frame = np.zeros((400, 500, 3), np.uint8)
    frame[48:352] = 60 + photo_like(3, 304, 500) // 2
    box = box_of(frame)
    assert box == (48, 0, 352, 500) and box_of(frame[48:352]) is None
    found = quality_map(frame, additive, box=box, walks=2)
    inside = quality_map(frame[48:352], additive, walks=2)
    assert (found.contributions == inside.contributions).all() and found.score == inside.score
    assert (found.cell(0, 0)[0], found.cell(6, 6)[2]) == (48, 352)
    assert found.fragment(2, 3) == tuple(
        edge + shift for edge, shift in zip(inside.fragment(2, 3), (48, 0) * 2, strict=True)
    )


def test_what_is_no_frame_is_refused() -> None:
    with pytest.raises(InputError):
        quality_map(np.zeros((20, 20, 3), np.uint8), additive, walks=1)


@pytest.fixture(scope="module")
def nano() -> Iterator[Scorer]:
    with Scorer.load("nano", backend="onnxruntime") as scorer:
        yield scorer


@pytest.mark.parametrize(
    "name,level,part",
    [
        ("gaussian_blur", 4, np.s_[:, 226:]),
        ("white_noise", 5, np.s_[:, :226]),
        ("jpeg", 5, np.s_[:, 226:]),
        ("white_noise", 5, np.s_[150:, 226:]),
    ],
    ids=["blur right", "noise left", "jpeg right", "noise in a quadrant"],
)
def test_the_shipped_model_loses_its_points_where_a_photograph_was_harmed(
    nano: Scorer, name: str, level: int, part: Any
) -> None:
    frame = np.asarray(Image.open(EXAMPLES / "chelsea.png").convert("RGB")).copy()
    whole = nano.score(frame).value
    harmed = np.zeros(frame.shape[:2])
    harmed[part] = 1
    frame[part] = degradations.get(name)(frame, level)[part]
    found = quality_map(frame, nano.backend.infer, walks=8)
    assert found.score == pytest.approx(nano.score(frame).value, abs=0.01) and found.score < whole - 0.5
    share = np.empty((7, 7))
    for row in range(7):
        for column in range(7):
            top, left, bottom, right = found.fragment(row, column)
            share[row, column] = harmed[top:bottom, left:right].mean()
    inside, outside = found.contributions[share == 1], found.contributions[share == 0]
    assert inside.mean() < 0 < outside.mean() and outside.mean() - inside.mean() > 0.08
