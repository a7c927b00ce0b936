"""Naming a data set, its references and its loader's options in one word."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from crossiqa_edge.cli.dataspec import open_spec
from crossiqa_edge.errors import ConfigError, DatasetError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pictures of the contents img01 .. img12, two each, labelled 0 to 23 in ``labels.csv``."""
    rows = ["file,mos,content"]
    for index in range(24):
        Image.new("RGB", (40, 40)).save(tmp_path / f"{index}.png")
        rows.append(f"{index}.png,{index},img{index // 2 + 1:02d}")
    (tmp_path / "labels.csv").write_text("\n".join(rows))
    return tmp_path


def references(spec: str) -> list[str]:
    return sorted({sample.reference for sample in open_spec(spec).samples})


def test_a_whole_set_with_options(folder: Path) -> None:
    opened = open_spec(f"folder={folder},native_range=0,50,name=mine")
    assert (opened.name, len(opened)) == ("mine", 24)
    assert opened.scores.max() == pytest.approx(23 / 50)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("3", ["img03"]), ("10-12", ["img10", "img11", "img12"]), ("1,3-4", ["img01", "img03", "img04"])],
)
def test_references_by_the_number_their_names_end_in(folder: Path, wanted: str, found: list[str]) -> None:
    assert references(f"folder:{wanted}={folder},reference_column=content") == found


def test_the_suffix_of_a_picture_is_no_part_of_its_number(folder: Path) -> None:
    assert references(f"folder:7={folder}") == ["7.png"]


def test_a_path_may_hold_commas_and_equal_signs(folder: Path) -> None:
    odd = folder.parent / "a=b,c"
    folder.rename(odd)
    assert len(open_spec(f"folder={odd}")) == 24


def test_absent_references_are_an_error(folder: Path) -> None:
    with pytest.raises(DatasetError, match="ends in 13"):
        open_spec(f"folder:11-14={folder},reference_column=content")


@pytest.mark.parametrize("spec", ["folder", "=x", "folder=", "", "folder:=x"])
def test_what_is_no_spec(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"names no data set|are no references|unknown data set"):
        open_spec(spec)


@pytest.mark.parametrize("wanted", ["x", "3-1", "1-", "-3", "1,,2", "1-99999999999"])
def test_what_are_no_references(folder: Path, wanted: str) -> None:
    with pytest.raises(ConfigError, match="are no references"):
        open_spec(f"folder:{wanted}={folder}")
