"""TID2013, KADID-10k, LIVE and CSIQ: pictures that somebody distorted, in their released structure."""

from __future__ import annotations

import pickle
from collections import Counter
from pathlib import Path

import pytest
from release_trees import csiq_tree, kadid10k_tree, live_tables, live_tree, picture, tag_of, tid2013_tree

from crossiqa_edge.data.datasets.base import QualitySet
from crossiqa_edge.data.datasets.csiq import csiq
from crossiqa_edge.data.datasets.kadid10k import kadid10k
from crossiqa_edge.data.datasets.live import live
from crossiqa_edge.data.datasets.tid2013 import TYPES, tid2013
from crossiqa_edge.data.degradations import every
from crossiqa_edge.errors import DatasetError, InputError
from crossiqa_edge.training.evaluation import Part


def test_tid2013_whatever_the_case_of_its_names(tmp_path: Path) -> None:
    opened = tid2013(tid2013_tree(tmp_path))
    first, second, third = opened.samples
    assert (first.key, first.reference, first.level) == ("i01_01_1.bmp", "i01", 1)
    assert [tag_of(sample) for sample in opened.samples] == [11, 12, 13]
    assert opened.scores == pytest.approx([5.51429 / 9, 0.1, 1.0])
    assert (second.distortion, second.reference, second.level) == ("tid_sparse_sampling", "i01", 5)
    assert (third.reference, third.band) == ("i25", "low")


def test_tid2013s_types_are_called_what_the_registry_calls_them() -> None:
    assert sorted(TYPES) == list(range(1, 25))
    assert len({name for name, _ in TYPES.values()}) == 24
    rebuilt = {kind.number: (kind.name, kind.band) for kind in every("tid2013")}
    assert rebuilt == {number: TYPES[number] for number in rebuilt}


def test_kadid10k_calls_its_mos_dmos(tmp_path: Path) -> None:
    opened = kadid10k(kadid10k_tree(tmp_path))
    jpeg, blur = opened.samples
    assert opened.scores == pytest.approx([0.0, 0.75])
    assert (jpeg.distortion, jpeg.level, jpeg.band, jpeg.reference) == ("jpeg", 5, "high", "I01")
    assert (blur.distortion, blur.level, blur.band, blur.reference) == ("gaussian_blur", 1, "low", "I81")
    assert [tag_of(sample) for sample in opened.samples] == [21, 22]


def test_live_leaves_out_originals_and_turns_dmos_round(tmp_path: Path) -> None:
    opened = live(live_tree(tmp_path))
    assert len(opened) == 982 - 2 * 5
    assert Counter(sample.distortion for sample in opened.samples) == {
        "jp2k": 225, "jpeg": 231, "wn": 172, "gblur": 172, "fastfading": 172
    }  # fmt: skip
    by_key = {sample.key: sample for sample in opened.samples}
    blurred = by_key["gblur/img3.bmp"]  # row 227 + 233 + 174 + 2, counted from 0
    assert blurred.score == pytest.approx((112 - 63.6) / 115)
    assert (blurred.reference, blurred.band) == ("scene3", "low")
    assert tag_of(blurred) == 3
    assert by_key["jp2k/img1.bmp"].score > by_key["fastfading/img1.bmp"].score


def test_live_with_a_row_too_few(tmp_path: Path) -> None:
    live_tables(tmp_path, [10.0] * 981)
    with pytest.raises(DatasetError, match="981/982/982 scores, marks and names"):
        live(tmp_path)


@pytest.mark.parametrize("table", ["xlsx", "txt"])
def test_csiq_from_workbook_or_list(tmp_path: Path, table: str) -> None:
    opened = csiq(csiq_tree(tmp_path, table))
    noise, wavelet, contrast = opened.samples
    assert opened.scores == pytest.approx([1 - 0.062, 0.25, 0.0])
    assert (noise.reference, noise.distortion, noise.level, noise.band) == ("1600", "awgn", 1, "high")
    assert (wavelet.reference, wavelet.distortion, wavelet.level) == ("log_seaside", "jpeg2000", 5)
    assert (contrast.distortion, contrast.band) == ("contrast", "low")
    assert [tag_of(sample) for sample in opened.samples] == [31, 32, 33]


def test_a_missing_picture_is_reported_when_the_set_is_opened(tmp_path: Path) -> None:
    kadid10k_tree(tmp_path)
    (tmp_path / "images" / "I81_01_01.png").unlink()
    with pytest.raises(DatasetError, match=r"images: I81_01_01.png is missing; unpack"):
        kadid10k(tmp_path)


def test_a_damaged_picture_is_reported_when_it_is_loaded(tmp_path: Path) -> None:
    kadid10k_tree(tmp_path)
    (tmp_path / "images" / "I81_01_01.png").write_bytes(b"not a picture")
    opened = kadid10k(tmp_path)
    assert tag_of(opened.samples[0]) == 21
    with pytest.raises(InputError, match=r"I81_01_01\.png"):
        opened.samples[1].load()


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("I01_10_05.png,I01.png,5.5,0", r"dmos\.csv:4: score 5\.5 is outside the scale 1\.\.5"),
        ("I01_10_05.png,I01.png,nan,0", r"dmos\.csv:4: 'nan' is not a number"),
        ("I01_10_05.png,I01.png", r"dmos\.csv:4: the row is shorter"),
        ("I01_26_05.png,I01.png,3,0", r"dmos\.csv:4: I01_26_05\.png is no file name of KADID-10k"),
        ("I01_10_06.png,I01.png,3,0", r"dmos\.csv:4: I01_10_06\.png is no file name of KADID-10k"),
        ("I01_10_05.png,I01.png,3,0", r"I01_10_05\.png is listed twice"),
    ],
)
def test_a_bad_row_is_named(tmp_path: Path, row: str, message: str) -> None:
    kadid10k_tree(tmp_path)
    table = tmp_path / "dmos.csv"
    table.write_text(table.read_text() + row + "\n")
    with pytest.raises(DatasetError, match=message):
        kadid10k(tmp_path)


@pytest.mark.parametrize("line", ["5.5", "i01_01_1.bmp 5.5", "5.5 i01_99_1.bmp"])
def test_a_list_that_is_not_tid2013s(tmp_path: Path, line: str) -> None:
    tid2013_tree(tmp_path)
    (tmp_path / "mos_with_names.txt").write_text(line)
    with pytest.raises(DatasetError, match=r"mos_with_names\.txt:1: not a MOS and a file name"):
        tid2013(tmp_path)


def test_csiq_without_one_types_folder(tmp_path: Path) -> None:
    csiq_tree(tmp_path, "txt")
    picture(tmp_path / "dst_imgs" / "awgn" / "1600.AWGN.1.png").rename(tmp_path / "moved.png")
    (tmp_path / "dst_imgs" / "awgn").rmdir()
    with pytest.raises(DatasetError, match="no folder awgn"):
        csiq(tmp_path)


def test_samples_travel_to_worker_processes(tmp_path: Path) -> None:
    sample = tid2013(tid2013_tree(tmp_path)).samples[0]
    assert tag_of(pickle.loads(pickle.dumps(sample))) == 11


def kadid10k_series(root: Path, number: int) -> QualitySet:
    """One reference under one type; the published opinion falls with the published degradation's severity."""
    kind = next(kind for kind in every("kadid10k") if kind.number == number)
    rows = []
    for severity, published in enumerate(kind.published_levels, 1):
        picture(root / "images" / f"I01_{number:02d}_0{published}.png")
        rows.append(f"I01_{number:02d}_0{published}.png,I01.png,{5 - severity / 2},0.1")
    (root / "dmos.csv").write_text("\n".join(["dist_img,ref_img,dmos,var", *sorted(rows)]))
    return kadid10k(root)


@pytest.mark.parametrize("number", [10, 18, 25])
def test_who_knows_every_opinion_of_kadid10k_has_every_level_in_order(tmp_path: Path, number: int) -> None:
    """18 and 25, mean shift and contrast change, are published in another order than that of severity."""
    opened = kadid10k_series(tmp_path, number)
    order = Part(opened.samples, opened.scores).order
    assert (order.series, order.series_right, order.pairs_right, order.pairs) == (1, 1, 10, 10)
    mildest = max(opened.samples, key=lambda sample: sample.score)
    assert mildest.level == 1


def test_tid2013s_own_levels_are_severity() -> None:
    """So its loader takes them as they are."""
    assert {kind.published_levels for kind in every("tid2013")} == {(1, 2, 3, 4, 5)}
