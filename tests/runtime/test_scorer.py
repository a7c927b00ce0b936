"""From any kind of picture to its Score, alone and in numbers."""

import io
import pickle
import threading
import time

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge import Scorer
from crossiqa_edge.errors import ArtefactError, BackendError, ConfigError, InputError
from crossiqa_edge.imaging.sampling import sample
from crossiqa_edge.imaging.testpattern import photo_like
from crossiqa_edge.runtime import scorer as module
from crossiqa_edge.score import Score


@pytest.fixture
def scorer(tiny_onnx):
    with Scorer.load(tiny_onnx, threads=1) as scorer:
        yield scorer


@pytest.fixture
def photo():
    return photo_like(3, 300, 400)


def expected(frame, sampling="fragments", views=None):
    """What the tiny graph stands for: the mean byte of each view, / 255 * 100."""
    views = sample(frame, sampling, views=views)
    return views.reshape(len(views), -1).mean(1) / 2.55


def png(frame):
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "PNG")
    return stream.getvalue()


def test_path_bytes_image_and_array_score_alike(scorer, photo, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(png(photo))
    values = [scorer.score(x).value for x in (path, str(path), png(photo), Image.fromarray(photo), photo)]
    assert values == pytest.approx([expected(photo).mean()] * 5, rel=1e-4)
    assert len(set(values)) == 1


def test_a_score_says_how_it_was_obtained(scorer, photo):
    score = scorer.score(photo)
    assert score.model == scorer.card.identity
    assert score.model.startswith("tiny-test@")
    assert score.backend == "onnxruntime cpu fp32"
    assert score.views == 1
    assert set(score.timings) == {"decode", "sample", "infer"}
    assert all(0 <= spent < 10_000 for spent in score.timings.values())
    assert pickle.loads(pickle.dumps(score)) == score  # results travel between processes


@pytest.mark.parametrize("sampling", ["fragments", "crops"])
def test_views_are_pooled_by_their_mean(tiny_onnx, photo, sampling):
    scorer = Scorer.load(tiny_onnx, sampling=sampling, views=3)
    score = scorer.score(photo)
    assert (scorer.views, score.views) == (3, 3)
    assert score.raw == pytest.approx(expected(photo, sampling, 3), rel=1e-4)
    assert score.value == pytest.approx(np.mean(score.raw))
    assert np.ptp(score.raw) > 0.1  # else a pooling that takes any one view would pass as well
    each = [scorer.backend.infer(view[None])[0] for view in sample(photo, sampling, views=3)]
    assert score.value == pytest.approx(np.mean(each), rel=1e-5)


def test_the_card_gives_the_default_sampling(make_onnx, photo):
    assert Scorer.load(make_onnx(sampling="crops")).score(photo).views == 5
    assert Scorer.load(make_onnx(sampling="fragments")).score(photo).views == 1
    assert Scorer.load(make_onnx(sampling="crops")).views == 5
    assert Scorer.load(make_onnx(sampling="fragments"), views=2).views == 2
    assert Scorer.load(make_onnx(sampling="crops"), sampling="fragments").views == 1


@pytest.mark.parametrize(
    ("options", "views"), [({}, 50), ({"sampling": "fragments"}, 10), ({"views": 3}, 30)], ids=str
)
def test_a_backend_is_asked_for_with_the_views_of_the_pictures_to_come(
    make_onnx, monkeypatch, options, views
):
    told = []

    def opened(artefact, name, *, threads, work):
        told.append((name, threads, work))

    monkeypatch.setattr("crossiqa_edge.runtime.scorer.open_backend", opened)
    path = make_onnx(sampling="crops")
    Scorer.load(path, work=10, **options)
    Scorer.load(path, backend="openvino", threads=3, **options)
    assert told == [("auto", None, views), ("openvino", 3, None)]


@pytest.mark.parametrize(("grey", "interval"), [(0, (0, 12.5)), (128, None), (255, (87.5, 100))])
def test_the_interval_stays_within_the_scale(scorer, grey, interval):
    score = scorer.score(np.full((64, 64, 3), grey, np.uint8))
    assert score.interval == pytest.approx(interval or (score.value - 12.5, score.value + 12.5), abs=1e-3)


def test_a_card_without_interval_gives_none(make_onnx, photo):
    assert Scorer.load(make_onnx(interval_half_width=None)).score(photo).interval is None


@pytest.mark.parametrize("batch", [1, 3, 50])
@pytest.mark.parametrize(("sampling", "views"), [("fragments", 1), ("fragments", 4), ("crops", 5)])
def test_many_give_what_each_gives_alone_in_order(tiny_onnx, batch, sampling, views):
    scorer = Scorer.load(tiny_onnx, sampling=sampling, views=views)
    frames = [photo_like(seed, 64 + 40 * seed, 300) for seed in range(7)]
    many = list(scorer.score_many(iter(frames), batch))
    alone = [scorer.score(frame) for frame in frames]
    np.testing.assert_allclose([score.raw for score in many], [score.raw for score in alone], rtol=1e-6)
    assert len({score.value for score in many}) == 7


def test_a_bad_picture_never_loses_the_others(scorer, photo, tmp_path):
    absent = tmp_path / "absent.png"
    bad = [b"", absent, np.zeros((8, 8, 3), np.uint8), b"\x89PNG\r\n"]
    sources = [photo, bad[0], bad[1], photo, bad[2], bad[3], photo]
    results = list(scorer.score_many(sources, batch=2))
    assert [isinstance(result, Score) for result in results] == [True, False, False, True, False, False, True]
    assert all(isinstance(results[i], InputError) for i in (1, 2, 4, 5))
    assert str(absent) in str(results[2])


def test_only_bad_pictures_and_none_at_all(scorer):
    assert [type(result) for result in scorer.score_many([b"", b""], batch=8)] == [InputError] * 2
    assert list(scorer.score_many([])) == []


def test_too_small_a_picture_is_named(scorer, tmp_path):
    path = tmp_path / "dot.png"
    path.write_bytes(png(np.zeros((1, 1, 3), np.uint8)))
    with pytest.raises(InputError, match=r"dot\.png: 1 x 1 pixels"):
        scorer.score(path)


def test_read_ahead_is_bounded_and_stops_with_its_reader(scorer, photo, monkeypatch):
    taken = decoded = 0

    def decode(source, *, max_pixels):
        nonlocal decoded
        time.sleep(0.02)
        decoded += 1
        return source

    monkeypatch.setattr(module, "decode", decode)

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield photo

    results = scorer.score_many(endless(), batch=3)
    for _ in range(7):
        next(results)
    assert taken <= 7 + 3 + 6  # given out, of the batch begun, and two batches ahead
    results.close()
    seen = taken
    deadline = time.monotonic() + 5
    while any(thread.name.startswith("crossiqa-decode") for thread in threading.enumerate()):
        assert time.monotonic() < deadline, "decoding threads outlive the reader"
        time.sleep(0.01)
    assert taken == seen
    assert decoded < taken, "what was waiting to be decoded was not cancelled"


def test_the_time_of_a_batch_is_divided_over_its_pictures(scorer, photo, monkeypatch):
    infer = scorer.backend.infer

    def slow(views):
        time.sleep(0.2)
        return infer(views)

    monkeypatch.setattr(scorer.backend, "infer", slow)
    scores = list(scorer.score_many([photo] * 4, batch=4))
    total = sum(score.timings["infer"] for score in scores)
    assert total >= 200
    assert [score.timings["infer"] for score in scores] == pytest.approx([total / 4] * 4)


def test_a_failing_runtime_is_not_a_bad_picture(scorer, photo):
    scorer.close()
    with pytest.raises(BackendError):
        list(scorer.score_many([photo]))


def test_wrong_options_are_refused_before_the_model_is_read(tmp_path):
    absent = tmp_path / "absent.onnx"
    with pytest.raises(ConfigError, match="unknown sampling 'tiles'"):
        Scorer.load(absent, sampling="tiles")
    for sampling in (None, "fragments", "crops"):
        with pytest.raises(ConfigError, match="views must be at least 1, not 0"):
            Scorer.load(absent, sampling=sampling, views=0)


def test_a_batch_of_none_is_refused_at_once(scorer):
    with pytest.raises(ConfigError, match="batch must be at least 1"):
        scorer.score_many([], batch=0)


def test_names_are_looked_up_and_paths_are_not(tiny_onnx, tmp_path, monkeypatch):
    shipped = tmp_path / "shipped"
    shipped.mkdir()
    (shipped / "nano.onnx").write_bytes(tiny_onnx.read_bytes())
    monkeypatch.setattr("crossiqa_edge.weights._FOLDER", shipped)
    monkeypatch.chdir(tmp_path)
    assert Scorer.load("nano").artefact.path == shipped / "nano.onnx"
    (tmp_path / "nano").mkdir()  # a folder of this name does not shadow the model
    assert Scorer.load("nano").artefact.path == shipped / "nano.onnx"
    (tmp_path / "mine").write_bytes(tiny_onnx.read_bytes())
    assert Scorer.load("mine").artefact.path.resolve() == tmp_path / "mine"
    with pytest.raises(ArtefactError, match=r"no model is named 'nanno'; did you mean nano\?"):
        Scorer.load("nanno")
    with pytest.raises(ArtefactError, match="no such file"):
        Scorer.load("nanno.onnx")


def test_frames_do_not_wait_in_memory_for_their_turn(scorer, photo, monkeypatch):
    """At most one whole picture a decoding thread is alive, however far the read-ahead goes."""
    alive = peak = 0
    lock = threading.Lock()
    real_decode, real_sample = module.decode, module.sample

    def decode(source, *, max_pixels):
        nonlocal alive, peak
        with lock:
            alive += 1
            peak = max(peak, alive)
        return real_decode(source)

    def sampled(*arguments, **options):
        nonlocal alive
        views = real_sample(*arguments, **options)
        with lock:
            alive -= 1
        return views

    monkeypatch.setattr(module, "decode", decode)
    monkeypatch.setattr(module, "sample", sampled)
    assert len(list(scorer.score_many([photo] * 30, batch=8))) == 30
    assert 1 <= peak <= module._DECODERS


def test_the_pixel_limit_reaches_the_decoder(tiny_onnx, photo):
    with pytest.raises(InputError, match="more than the limit"):
        Scorer.load(tiny_onnx, max_pixels=photo.shape[0] * photo.shape[1] - 1).score(png(photo))


def test_flags_interval_and_percentile_come_from_picture_and_card(make_onnx):
    path = make_onnx(
        interval_half_widths=(5.0, 20.0),
        interval_edges=(50.0,),
        reference_set="ramp",
        reference_scores=tuple(float(value) for value in range(0, 101, 20)),
    )
    scorer = Scorer.load(path)
    photo = photo_like(3, 300, 300)
    dark, bright = scorer.score(photo // 4), scorer.score(128 + photo // 2)
    assert dark.interval == pytest.approx((dark.value - 5, dark.value + 5))
    assert bright.interval == pytest.approx((bright.value - 20, min(bright.value + 20, 100)))
    assert (dark.percentile, dark.reference, dark.flags) == (pytest.approx(dark.value), "ramp", ())
    assert scorer.score(np.full((300, 300, 3), 90, np.uint8)).flags == ("blank",)
    assert scorer.score(photo[:200]).flags == ("tiny",)
