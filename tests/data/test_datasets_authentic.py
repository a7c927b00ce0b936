"""KonIQ-10k, LIVE-itW, SPAQ and anybody's folder: pictures as cameras made them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from release_trees import koniq10k_tree, livec_tree, picture, save_mat, spaq_tree, tag_of

from crossiqa_edge.data.datasets.folder_csv import folder_csv
from crossiqa_edge.data.datasets.koniq10k import koniq10k
from crossiqa_edge.data.datasets.livec import livec
from crossiqa_edge.data.datasets.spaq import spaq
from crossiqa_edge.errors import ConfigError, DatasetError


@pytest.mark.parametrize(
    "table", ["koniq10k_scores_and_distributions.csv", "koniq10k_distributions_sets.csv"]
)
def test_koniq10ks_two_tables_hold_the_same_scores(tmp_path: Path, table: str) -> None:
    opened = koniq10k(koniq10k_tree(tmp_path, table))
    assert opened.scores == pytest.approx([0.75])
    assert opened.name == "KonIQ-10k"
    assert tag_of(opened.samples[0]) == 41
    assert opened.samples[0].reference == opened.samples[0].key


def test_koniq10k_in_half_size_says_so(tmp_path: Path) -> None:
    opened = koniq10k(koniq10k_tree(tmp_path), resolution="512x384")
    assert tag_of(opened.samples[0]) == 42
    assert opened.name == "KonIQ-10k (512x384)"
    with pytest.raises(ConfigError, match="choose from 1024x768, 512x384"):
        koniq10k(tmp_path, resolution="full")


def test_livec_skips_the_raters_seven_examples(tmp_path: Path) -> None:
    opened = livec(livec_tree(tmp_path))
    assert [sample.key for sample in opened.samples] == ["3.bmp", "1024.JPG"]
    assert opened.scores == pytest.approx([0.639634, 0.25])
    assert [tag_of(sample) for sample in opened.samples] == [51, 52]


def test_livec_with_tables_of_unlike_length(tmp_path: Path) -> None:
    livec_tree(tmp_path)
    save_mat(tmp_path / "Data" / "AllMOS_release.mat", AllMOS_release=[[50.0] * 8])
    with pytest.raises(DatasetError, match="8 scores for 9 pictures"):
        livec(tmp_path)


def test_livec_with_a_damaged_table(tmp_path: Path) -> None:
    livec_tree(tmp_path)
    (tmp_path / "Data" / "AllMOS_release.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(40))
    with pytest.raises(DatasetError, match=r"AllMOS_release\.mat: damaged or of another format"):
        livec(tmp_path)


def test_livec_with_another_variable(tmp_path: Path) -> None:
    livec_tree(tmp_path)
    save_mat(tmp_path / "Data" / "AllMOS_release.mat", mos=[[50.0] * 9])
    with pytest.raises(DatasetError, match="no variable AllMOS_release"):
        livec(tmp_path)


def test_spaq(tmp_path: Path) -> None:
    opened = spaq(spaq_tree(tmp_path))
    assert [sample.key for sample in opened.samples] == ["00001.jpg", "00002.jpg"]
    assert opened.scores == pytest.approx([0.4886, 0.625])
    assert [tag_of(sample) for sample in opened.samples] == [61, 62]


def test_spaq_with_a_table_that_is_no_workbook(tmp_path: Path) -> None:
    spaq_tree(tmp_path)
    table = tmp_path / "Annotations" / "MOS and Image attribute scores.xlsx"
    table.write_text("Image name,MOS\n00001.jpg,48.86\n")
    with pytest.raises(DatasetError, match="damaged or of another format"):
        spaq(tmp_path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    picture(tmp_path / "one.png", 71)
    picture(tmp_path / "deep" / "#two, or so.png", 72)
    (tmp_path / "labels.csv").write_bytes(
        b"\xef\xbb\xbf# my own\nfile,mos,std,scene,kind,strength\n"
        b'one.png,32.5,1,x,jpeg,4\n\n"deep/#two, or so.png",100,1,y,blur,1\n'
    )
    return tmp_path


def test_folder_with_a_table(folder: Path) -> None:
    opened = folder_csv(folder, name="mine")
    assert (opened.name, opened.native_range) == ("mine", (0.0, 100.0))
    assert opened.scores == pytest.approx([0.325, 1.0])
    assert [sample.reference for sample in opened.samples] == ["one.png", "deep/#two, or so.png"]
    assert [tag_of(sample) for sample in opened.samples] == [71, 72]
    assert opened.samples[0].distortion is None
    assert opened.samples[0].level is None


def test_folder_with_all_columns_and_a_scale_that_runs_down(folder: Path) -> None:
    opened = folder_csv(
        folder,
        folder / "labels.csv",
        native_range=(100.0, 0.0),
        reference_column="scene",
        distortion_column="kind",
        level_column="strength",
    )
    first = opened.samples[0]
    assert (first.score, first.reference, first.distortion, first.level) == (0.675, "x", "jpeg", 4)
    assert opened.name == folder.name


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        ("file,mos\n", {}, "not a single picture is listed"),
        ("", {}, "no column file or mos; the header has nothing"),
        ("file,score\none.png,3\n", {}, "no column mos; the header has file, score"),
        ("file,mos\ngone.png,3\n", {}, r"labels\.csv:2: .*gone\.png is missing"),
        ("file,mos\none.png,good\n", {}, r"labels\.csv:2: 'good' is not a number"),
        ("file,mos\n\none.png,-1\n", {}, r"labels\.csv: opinions from -1 to -1 are on no usual scale"),
        ("file,mos\n\none.png,-1\n", {"native_range": (0.0, 5.0)}, r"labels\.csv:3: score -1 is outside"),
        ("file,mos,l\none.png,3,1.5\n", {"level_column": "l"}, "'1.5' is not a whole number"),
    ],
)
def test_malformed_table(folder: Path, table: str, options: dict[str, Any], message: str) -> None:
    (folder / "labels.csv").write_text(table)
    with pytest.raises(DatasetError, match=message):
        folder_csv(folder, **options)


@pytest.mark.parametrize(
    ("opinions", "scale", "scores"),
    [((1.5, 5), (1, 5), [0.125, 1]), ((0.2, 0.9), (0, 1), [0.2, 0.9]), ((0, 7), (0, 10), [0, 0.7])],
)
def test_a_scale_that_is_not_given_is_the_narrowest_usual_one(
    folder: Path, opinions: tuple[float, float], scale: tuple[float, float], scores: list[float]
) -> None:
    """They were taken as on 0 to 100, and intervals then covered nothing."""
    rows = zip(("one.png", '"deep/#two, or so.png"'), opinions, strict=True)
    (folder / "labels.csv").write_text("file,mos\n" + "".join(f"{file},{mos}\n" for file, mos in rows))
    opened = folder_csv(folder)
    assert opened.native_range == scale and opened.scores == pytest.approx(scores)


def test_table_in_another_encoding(folder: Path) -> None:
    (folder / "labels.csv").write_bytes("file,mos\né.png,3\n".encode("utf-16"))
    with pytest.raises(DatasetError, match="not a UTF-8 text"):
        folder_csv(folder)


def test_a_scale_without_extent(folder: Path) -> None:
    with pytest.raises(ConfigError, match="is no range"):
        folder_csv(folder, native_range=(1.0, 1.0))
