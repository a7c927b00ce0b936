"""Reading a clip again: the frames that were scored, not their neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from video_clips import encode

from crossiqa_edge.errors import InputError
from crossiqa_edge.video import again
from crossiqa_edge.video.again import frames_between, stills

COUNT, FPS = 60, 25


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Frame n is grey of level 40 + 3 n; every twelfth is a key frame."""
    path = tmp_path_factory.mktemp("clips") / "levels.mp4"
    frames = (np.full((64, 64, 3), 40 + 3 * place, np.uint8) for place in range(COUNT))
    return str(encode(path, frames, fps=FPS))


def test_stills_are_the_frames_of_their_moments(clip: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = {place / FPS: 40 + 3 * place for place in (0, 1, 17, 42, 59)}
    for far in (10.0, 0.1):  # decoded through, and sought
        monkeypatch.setattr(again, "_FAR", far)
        found = stills(clip, wanted.keys())
        assert found.keys() == wanted.keys()
        for moment, level in wanted.items():
            assert abs(float(found[moment].mean()) - level) < 1.5


def test_what_cannot_be_read_is_left_out(clip: str, tmp_path: Path) -> None:
    assert stills(clip, [0.4, 99.0]).keys() == {0.4}
    assert stills(str(tmp_path / "gone.mp4"), [0.0]) == {}
    assert stills(clip, []) == {}


def test_frames_between_has_both_ends(clip: str) -> None:
    assert [frame.pts for frame in frames_between(clip, 0.2, 0.4)] == pytest.approx(
        [0.2, 0.24, 0.28, 0.32, 0.36, 0.4]
    )
    with pytest.raises(InputError):
        next(frames_between("gone.mp4", 0, 1))
