"""``crossiqa degrade``: the list, one picture, the sheet, and what it refuses."""

import json
import sys

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.data.degradations import every, get
from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.imaging.testpattern import photo_like


@pytest.fixture
def photo(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "in"
    folder.mkdir()
    Image.fromarray(photo_like(1, 96, 120)).save(folder / "photo.png")
    return folder / "photo.png"


def pixels(path):
    return np.asarray(Image.open(path).convert("RGB"))


def test_the_list_has_every_degradation_and_needs_no_photo(crossiqa):
    done = crossiqa("degrade", "--list")
    assert (done.code, done.err) == (0, "")
    first_words = [line.split()[0] for line in done.out.splitlines() if line[:1].strip()]
    assert first_words[1:] == [item.name for item in every()]
    (row,) = [line for line in done.out.splitlines() if line.startswith("jpeg ")]
    for fact in ("kadid10k", "10", "high", "quality", "43, 36, 24, 7, 4"):
        assert fact in row


def test_the_list_of_a_family_as_json(crossiqa):
    listed = json.loads(crossiqa("degrade", "--list", "--family", "video", "--json").out)
    assert [item["name"] for item in listed] == [item.name for item in every("video")]
    assert listed[0]["parameters"] == list(get("video_h264").parameters)


def test_a_degraded_picture_and_its_figures(crossiqa, photo, tmp_path):
    done = crossiqa("degrade", photo, "--type", "white_noise", "--level", 3, "--seed", 5)
    assert (done.code, done.err) == (0, "")
    made = tmp_path / "photo.white_noise-3.png"
    original = pixels(photo)
    assert np.array_equal(pixels(made), get("white_noise")(original, 3, 5))
    name, rest = done.out.split(maxsplit=1)
    assert name == made.name
    assert f"PSNR {psnr(original, pixels(made)):.2f} dB  SSIM 0." in rest


@pytest.mark.parametrize("name", ["a.webp", "a.tif", "a.bmp"])
def test_other_lossless_files(crossiqa, photo, tmp_path, name):
    done = crossiqa("degrade", photo, "--type", "jpeg", "--level", 1, "-o", tmp_path / name, "--json")
    record = json.loads(done.out)
    assert (record["type"], record["level"], record["parameter"]) == ("jpeg", 1, 43)
    assert np.array_equal(pixels(record["path"]), get("jpeg")(pixels(photo), 1))


def test_an_unchanged_picture_has_no_psnr_in_json(crossiqa, photo):
    done = crossiqa("degrade", photo, "--type", "mean_shift", "--level", 1, "--json")
    assert json.loads(done.out)["psnr"] is None


def test_nothing_is_overwritten_without_force(crossiqa, photo, tmp_path):
    command = ("degrade", photo, "--type", "jpeg", "--level", 2)
    made = tmp_path / "photo.jpeg-2.png"
    made.write_bytes(b"precious")
    done = crossiqa(*command)
    assert (done.code, len(done.complaints)) == (2, 1)
    assert "exists already" in done.err
    assert made.read_bytes() == b"precious"
    assert crossiqa(*command, "--force").code == 0
    assert pixels(made).shape == (96, 120, 3)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--type", "jpg", "--level", "1"], "did you mean jpeg"),
        (["--type", "jpeg", "--level", "6"], "6 is not in the range"),
        (["--type", "jpeg"], "Give --type and --level"),
        (["--type", "jpeg", "--level", "1", "-o", "x.jpg"], "choose from .png"),
        (["--type", "jpeg", "--family", "video", "--level", "1"], "is of the family kadid10k"),
        (["--sheet", "x.gif"], "choose from .webp"),
        (["--type", "jpeg", "--level", "1", "-o", "absent/x.png"], "cannot write here"),
    ],
)
def test_wrong_use_is_named_and_leaves_nothing(crossiqa, photo, tmp_path, arguments, message):
    done = crossiqa("degrade", photo, *arguments)
    assert done.code == 2
    assert message in done.err
    assert "Traceback" not in done.err
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_a_picture_that_webp_cannot_hold_is_told(crossiqa, photo, tmp_path):
    Image.new("RGB", (17_000, 32)).save(photo)
    done = crossiqa("degrade", photo, "--type", "mean_shift", "--level", 2, "-o", "wide.webp")
    assert (done.code, len(done.complaints)) == (2, 1)
    assert "WebP cannot hold 17000 x 32 pixels" in done.err and "name a .png" in done.err
    assert not (tmp_path / "wide.webp").exists()
    assert crossiqa("degrade", photo, "--type", "mean_shift", "--level", 2, "-o", "wide.png").code == 0


def test_a_bad_photo_is_one_line(crossiqa, photo, tmp_path):
    photo.write_bytes(b"no picture")
    done = crossiqa("degrade", photo, "--type", "jpeg", "--level", 1)
    assert (done.code, len(done.complaints)) == (2, 1)
    Image.new("RGB", (5, 5)).save(photo)
    done = crossiqa("degrade", photo, "--type", "jpeg", "--level", 1)
    assert (done.code, len(done.complaints)) == (2, 1)
    assert f"{photo}: 5 x 5 pixels are too few" in done.err
    assert crossiqa("degrade").code == 2


def test_the_sheet_shows_every_level_of_a_family(crossiqa, photo, tmp_path):
    done = crossiqa("degrade", photo, "--sheet", "sheet.png", "--type", "mean_shift")
    assert (done.code, done.out) == (0, "sheet.png\n")
    page = pixels(tmp_path / "sheet.png").astype(int)
    original = pixels(photo)[8:88, 4:116].astype(int)
    assert page.shape[1] >= 5 * 112
    found = [
        np.abs(page[top : top + 80, 12 : 12 + 112] - original).max() == 0 for top in range(page.shape[0] - 80)
    ]
    assert sum(found) == 1  # level 1 of this type is the original


def test_a_sheet_of_one_level_is_smaller(crossiqa, photo, tmp_path):
    crossiqa("degrade", photo, "--sheet", "all.webp", "--family", "video")
    crossiqa("degrade", photo, "--sheet", "one.webp", "--family", "video", "--level", 5)
    whole, one = (Image.open(tmp_path / name).size for name in ("all.webp", "one.webp"))
    assert one[0] * one[1] < whole[0] * whole[1] / 2


def test_without_scipy_the_extra_is_named(crossiqa, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("crossiqa_edge.data.degradations")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("crossiqa_edge.data.degradations", None, raising=False)
    for name in [name for name in sys.modules if name.split(".")[0] == "scipy"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "scipy", None)
    monkeypatch.delitem(sys.modules, "crossiqa_edge.data.fidelity", raising=False)
    done = crossiqa("degrade", "--list")
    assert (done.code, len(done.complaints)) == (2, 1)
    assert "crossiqa-edge[train]" in done.err
