"""From columns and corpora to rows: figures, differences, what is kept, and what is refused."""

import json
from dataclasses import replace

import numpy as np
import pytest
from accuracy_corpora import brightness, column, corpus, grey, pictures

pytest.importorskip("scipy", reason="measuring needs the train extra")
pytest.importorskip("timm", reason="encoders need the train extra")

from crossiqa_edge.bench.accuracy_columns import NO_DIFFERENCE, Store, yardsticks
from crossiqa_edge.bench.accuracy_probes import probe_rows, split_row
from crossiqa_edge.bench.accuracy_rows import agreement_row, difference_row, known, read
from crossiqa_edge.bench.jsonl import append
from crossiqa_edge.errors import InputError


def test_groups_have_their_own_figures():
    """Right on one type, upside down on the other."""
    judged = corpus()
    values = brightness(judged.test)
    jpeg = np.array([item.distortion == "tid_jpeg" for item in judged.test.quality_set.samples])
    values[jpeg] *= -1
    groups = agreement_row(column(), judged, values)["groups"]
    assert list(groups) == ["overall", "low", "high", "tid_gaussian_blur", "tid_jpeg"]
    assert groups["tid_gaussian_blur"]["srcc"] == 1
    assert groups["tid_jpeg"]["srcc"] == groups["high"]["srcc"] == -1
    assert groups["tid_jpeg"]["plcc"] < -0.99
    assert groups["overall"]["n"] == 40
    assert (groups["overall"]["series"], groups["overall"]["series_right"]) == (8, 4)


def test_series_whose_opinion_does_not_fall_are_counted_apart():
    judged = corpus()
    first, second, *others = judged.test.quality_set.samples
    for of_second in (first.score, second.score):  # the mildest level is worse than it, or no better
        swapped = (replace(first, score=second.score), replace(second, score=of_second), *others)
        test = replace(judged.test, quality_set=replace(judged.test.quality_set, samples=swapped))
        overall = agreement_row(column(), replace(judged, test=test), brightness(test))["groups"]["overall"]
        assert (overall["series"], overall["series_right"]) == (8, 8)
        assert (overall["clear_series"], overall["clear_right"]) == (7, 7)


def test_a_difference_has_the_sign_of_ours_less_theirs_and_is_paired():
    judged = corpus()
    right = brightness(judged.test)
    noise = np.random.default_rng(0).normal(0, 40, right.size)
    worse = difference_row(column(), column("BRISQUE", "peer"), judged, right, right + noise)
    better = difference_row(column(), column("BRISQUE", "peer"), judged, right + noise, right)
    same = difference_row(column(), column("BRISQUE", "peer"), judged, right + noise, 2 * (right + noise))
    assert worse["groups"]["overall"]["difference"] == -better["groups"]["overall"]["difference"] > 0
    assert worse["groups"]["overall"]["interval"][0] > 0
    assert same["groups"]["overall"] == {"difference": 0.0, "interval": [0.0, 0.0]}  # resampled alike


def test_intervals_are_of_contents_and_not_of_their_versions():
    """Drawn anew, a single content is the set itself, however many versions of it there are."""
    judged = corpus(references=1)
    right = brightness(judged.test)
    noisy = right + np.random.default_rng(0).normal(0, 40, right.size)
    found = agreement_row(column(), judged, noisy)["groups"]["overall"]
    assert found["interval"] == [found["srcc"]] * 2
    apart = difference_row(column(), column("BRISQUE", "peer"), judged, right, noisy)["groups"]["overall"]
    assert apart["interval"] == [apart["difference"]] * 2
    wide = agreement_row(column(), corpus(), np.tile(noisy, 4))["groups"]["overall"]["interval"]
    assert wide[0] < wide[1]


def test_figures_are_worked_out_once_for_each_column_and_set(tmp_path):
    calls = []

    def run(shown):
        calls.append(shown.name)
        return brightness(shown)

    judged, store = corpus(), Store(tmp_path / "kept")
    for _ in range(2):
        found = store(column(run=run), judged.test)
        np.testing.assert_array_equal(found, brightness(judged.test))
    store(column(run=run), judged.training)
    store(column(run=run, digest="def"), judged.test)
    store(column(run=run), replace(judged.test, pixels="other"))  # under the same names
    assert calls == ["tid judged", "tid to learn from", "tid judged", "tid judged"]


def test_another_opinion_is_another_set():
    shown = pictures("a")
    first, *others = shown.quality_set.samples
    changed = (replace(first, score=first.score + 0.01), *others)
    assert replace(shown, quality_set=replace(shown.quality_set, samples=changed)).digest != shown.digest


def test_a_figure_that_is_none_is_refused_and_not_kept(tmp_path):
    def broken(shown):
        return brightness(shown) * np.nan

    with pytest.raises(InputError, match="not finite"):
        Store(tmp_path)(column(run=broken), corpus().test)
    assert list(tmp_path.iterdir()) == []


def test_yardsticks_see_the_original_and_have_a_figure_for_no_difference():
    shown = pictures("a", references=2, kinds={"tid_jpeg": "high"})
    untouched = replace(shown.quality_set.samples[0], load=lambda: grey(200), level=1)
    samples = (untouched, *shown.quality_set.samples[1:])
    shown = replace(shown, quality_set=replace(shown.quality_set, samples=samples))
    measured = {item.name: item.run(shown) for item in yardsticks() if item.name in ("PSNR", "SSIM")}
    assert measured["PSNR"][0] == NO_DIFFERENCE
    assert measured["PSNR"][[1, 6]] == pytest.approx(20 * np.log10(255 / 60), abs=1e-4)  # each its own
    assert measured["SSIM"][0] == pytest.approx(1)
    for values in measured.values():
        assert (np.diff(values.reshape(2, 5)) < 0).all()


def features(shown):
    """The opinion hidden among noise, its sign turned in one world."""
    sign = -1 if shown.name.startswith("authentic") else 1
    noise = np.random.default_rng(0).normal(size=(len(shown.quality_set), 3))
    return np.column_stack([sign * shown.quality_set.scores, noise])


def test_probes_are_judged_within_and_across_worlds(tmp_path):
    worlds = [corpus("population"), corpus("authentic", original=False)]
    encoder = column("pretext alone", "encoder", run=features)
    rows = list(probe_rows(encoder, worlds, Store(tmp_path)))
    found = {(row["trained_on"], row["corpus"]): row["groups"]["overall"]["srcc"] for row in rows}
    assert found["population", "population"] > 0.95
    assert found["authentic", "authentic"] > 0.95
    assert found["population", "authentic"] < -0.9
    assert found["authentic", "population"] < -0.9
    assert split_row(encoder, worlds[1], Store(tmp_path))["srcc"] > 0.9


def test_a_probe_learns_nothing_from_what_it_is_judged_on(tmp_path):
    """What is learnt from says the opposite of what is judged; over splits, features say nothing at all."""

    def opposed(shown):
        sign = 1 if shown.name.endswith("to learn from") else -1
        return sign * features(shown)

    world = corpus("population")
    (row,) = probe_rows(column("pretext", "encoder", run=opposed), [world], Store(tmp_path))
    assert row["groups"]["overall"]["srcc"] < -0.95

    def chance(shown):
        return np.random.default_rng(len(shown.name)).normal(size=(len(shown.quality_set), 40))

    many = corpus("authentic", references=10)
    found = split_row(column("noise", "encoder", run=chance, digest="noise"), many, Store(tmp_path))
    assert abs(found["srcc"]) < 0.3


def test_rows_are_appended_and_found_again(tmp_path):
    path = tmp_path / "figures.jsonl"
    judged = corpus()
    row = agreement_row(column(), judged, brightness(judged.test))
    assert not known(path, "agreement", column())
    append(path, row)
    assert read(path) == [json.loads(json.dumps(row))]
    assert known(path, "agreement", column(), set_digest=judged.test.digest)
    assert not known(path, "agreement", column(digest="def"), set_digest=judged.test.digest)
    assert not known(path, "agreement", column(), set_digest="another")


@pytest.mark.parametrize(
    ("text", "words"), [("", "no figures"), ("{", "not JSON"), ('{"format": 0}', "in format 1")]
)
def test_what_is_no_file_of_figures_is_refused(tmp_path, text, words):
    path = tmp_path / "figures.jsonl"
    path.write_text(text)
    with pytest.raises(InputError, match=words):
        read(path)
    with pytest.raises(InputError, match="cannot be read"):
        read(tmp_path / "absent.jsonl")
