"""What is drawn for the table of flags is drawn from its seed, and the table counts what is flagged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the bench extra draws plots")

from crossiqa_edge.bench import flag_rates
from crossiqa_edge.imaging.sampling import Frame
from crossiqa_edge.imaging.testpattern import photo_like


@pytest.mark.parametrize("kind", flag_rates.KINDS)
def test_drawings_differ_with_their_seed_alone(kind: str) -> None:
    draw = flag_rates.KINDS[kind]
    first, again, other = (np.asarray(draw(np.random.default_rng(seed))) for seed in (1, 1, 2))
    assert first.shape[2] == 3 and min(first.shape[:2]) >= 224
    assert np.array_equal(first, again) and not np.array_equal(first, other)


def test_a_row_counts_each_flag() -> None:
    def frames() -> Iterator[Frame]:
        yield photo_like(0, 300, 300)
        yield photo_like(0, 100, 300)
        yield np.zeros((100, 100, 3), np.uint8)
        yield np.asarray(flag_rates.page(np.random.default_rng(0)))
        yield np.asarray(flag_rates.noise(np.random.default_rng(0)))

    line, milliseconds = flag_rates.row("mixed", frames())
    assert line == "| mixed | 5 | 40.0% | 20.0% | 20.0% | 20.0% |"
    assert milliseconds > 0


def test_a_folder_without_pictures_is_no_row_of_zeros(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert flag_rates.main([str(tmp_path / "absent")]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "absent: no picture" in err
