from itertools import pairwise

import av
import pytest
from click.testing import CliRunner

from crossiqa_edge.bench import crf_order
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.report.movie import Movie


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    with path.open("wb") as stream, Movie(stream, 25) as movie:
        for place in range(6):
            movie.write(photo_like(place, 96, 96), place / 25)
    return str(path)


def test_a_higher_crf_makes_a_smaller_file_of_the_same_frames(clip, tmp_path):
    sizes = []
    for crf in crf_order.CRFS:
        path = tmp_path / f"{crf}.mp4"
        crf_order.encode(clip, path, crf, 10.0)
        sizes.append(path.stat().st_size)
        with av.open(str(path)) as container:
            assert [frame.time for frame in container.decode(video=0)] == pytest.approx(
                [place / 25 for place in range(6)]
            )
    assert all(after < before for before, after in pairwise(sizes))


@pytest.mark.parametrize(
    ("scores", "falls"),
    [([4, 3, 2, 1], True), ([4, 3, 3, 1], False), ([1, 2], False), ([2, float("nan")], False)],
)
def test_strictly(scores, falls):
    assert crf_order.strictly_falling(scores) is falls


@pytest.mark.parametrize(("scores", "code", "word"), [([9, 8, 7, 6], 0, "yes"), ([9, 8, 8, 6], 1, "NO")])
def test_the_table_and_the_exit_code_say_so(clip, tiny_onnx, monkeypatch, scores, code, word):
    given = iter(scores)
    monkeypatch.setattr(crf_order, "score_at", lambda *_: next(given))
    done = CliRunner().invoke(crf_order.main, [clip, "--model", str(tiny_onnx)])
    assert done.exit_code == code
    assert done.output.splitlines()[-1] == f"| clip.mp4 | {' | '.join(f'{s:.2f}' for s in scores)} | {word} |"


def test_a_score_is_that_of_the_encoded_clip(clip, tiny_onnx):
    from crossiqa_edge.runtime.scorer import Scorer
    from crossiqa_edge.video.pooling import Pooling

    with Scorer.load(tiny_onnx) as scorer:
        score = crf_order.score_at(scorer, clip, 28, Pooling(), 0.1)
    assert 10 < score < 90
