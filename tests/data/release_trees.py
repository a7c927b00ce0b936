"""Small folders with the structure of the released data sets, whose pictures can be told apart."""

from __future__ import annotations

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from crossiqa_edge.data.datasets.base import Sample


def picture(path: Path, tag: int = 0, size: tuple[int, int] = (8, 6)) -> Path:
    """Write a grey picture, whatever the suffix, of ``size`` (width, height) with every byte ``tag``."""
    stream = io.BytesIO()
    Image.new("RGB", size, (tag, tag, tag)).save(stream, "PNG")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(stream.getvalue())
    return path


def tag_of(sample: Sample) -> int:
    frame = sample.load()
    assert frame.dtype == np.uint8
    assert frame.shape[2] == 3
    return int(frame[0, 0, 0])


def tid2013_tree(root: Path) -> Path:
    picture(root / "distorted_images" / "I01_01_1.BMP", 11)
    picture(root / "distorted_images" / "i01_24_5.bmp", 12)
    picture(root / "distorted_images" / "i25_08_3.bmp", 13)
    lines = ["5.51429 I01_01_1.bmp", "0.90000 i01_24_5.bmp", "9.00000 I25_08_3.bmp"]
    (root / "mos_with_names.txt").write_text("\r\n".join(lines) + "\r\n")
    return root


def kadid10k_tree(root: Path) -> Path:
    picture(root / "images" / "I01.png", 1)
    picture(root / "images" / "I01_10_05.png", 21)
    picture(root / "images" / "I81_01_01.png", 22)
    (root / "dmos.csv").write_text(
        "dist_img,ref_img,dmos,var\nI01_10_05.png,I01.png,1.00,0.3\nI81_01_01.png,I81.png,4.00,0.5\n"
    )
    return root


LIVE_COUNTS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}


def live_tree(root: Path) -> Path:
    """All 982 rows; picture 3 of every folder carries tag 3, the others tag 1."""
    for kind, count in LIVE_COUNTS.items():
        first = picture(root / kind / "img1.bmp", 1)
        for index in range(2, count + 1):
            (root / kind / f"img{index}.bmp").hardlink_to(first)
        (root / kind / "img3.bmp").unlink()
        picture(root / kind / "img3.bmp", 3)
    live_tables(root, [row / 10 for row in range(982)])
    return root


def live_tables(root: Path, dmos: Sequence[float]) -> None:
    """The scores, one after another through all folders; the last two pictures of each are originals."""
    rows = [(kind, index) for kind, count in LIVE_COUNTS.items() for index in range(1, count + 1)]
    originals = [index > LIVE_COUNTS[kind] - 2 for kind, index in rows]
    save_mat(root / "dmos_realigned.mat", dmos_new=[dmos], orgs=[np.array(originals, np.uint8)])
    save_mat(root / "refnames_all.mat", refnames_all=[cells(f"scene{index % 29}.bmp" for _, index in rows)])


def csiq_tree(root: Path, table: str = "xlsx") -> Path:
    """A reference called 1600, as in the release, which Excel takes for a number."""
    picture(root / "dst_imgs" / "awgn" / "1600.AWGN.1.png", 31)
    picture(root / "dst_imgs" / "jpeg2000" / "log_seaside.jpeg2000.5.png", 32)
    picture(root / "dst_imgs" / "contrast" / "1600.contrast.2.png", 33)
    if table == "xlsx":
        rows = [
            (1600, 1, "noise", 1, 0.01, 0.062),
            ("log_seaside", 5, "jpeg 2000", 5, 0.01, 0.75),
            (1600, 6, "contrast", 2, 0.01, 1.0),
        ]
        header = ("image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")
        padding = [(), ("CSIQ",), ()]
        workbook(root / "csiq.DMOS.xlsx", [*padding, *((None, None, None, *row) for row in [header, *rows])])
    else:
        (root / "csiq_label.txt").write_text(
            "1600.AWGN.1.png 0.062\nlog_seaside.jpeg2000.5 0.75\n1600.contrast.2.png 1.0\n"
        )
    return root


def koniq10k_tree(root: Path, table: str = "koniq10k_scores_and_distributions.csv") -> Path:
    picture(root / "1024x768" / "10004473376.jpg", 41)
    picture(root / "512x384" / "10004473376.jpg", 42)
    counts = "image_name,c1,c2,c3,c4,c5,c_total"
    old = f"{counts},MOS,SD,MOS_zscore\n10004473376.jpg,0,0,25,73,7,105,3.83,0.53,75.25\n"
    new = f"{counts},MOS,SD,set\n10004473376.jpg,0,0,0.24,0.69,0.07,105,75.25,0.53,test\n"
    (root / table).write_text(old if "scores" in table else new)
    return root


def livec_tree(root: Path) -> Path:
    names = [f"t{index}.bmp" for index in range(1, 8)] + ["3.bmp", "1024.JPG"]
    picture(root / "Images" / "3.bmp", 51)
    picture(root / "Images" / "1024.JPG", 52)
    (root / "Data").mkdir()
    save_mat(root / "Data" / "AllImages_release.mat", AllImages_release=cells(names)[:, None])
    save_mat(root / "Data" / "AllMOS_release.mat", AllMOS_release=[[90.0] * 7 + [63.9634, 25.0]])
    return root


def spaq_tree(root: Path) -> Path:
    picture(root / "TestImage" / "00001.jpg", 61)
    picture(root / "TestImage" / "00002.jpg", 62)
    header = ("Image name", "MOS", "Brightness", "Colorfulness", "Contrast", "Noisiness", "Sharpness")
    rows = [header, ("00001.jpg", 48.86, 56, 52, 51, 55, 48), ("00002.jpg", 62.5, 60, 61, 62, 63, 64)]
    workbook(root / "Annotations" / "MOS and Image attribute scores.xlsx", rows)
    return root


def workbook(path: Path, rows: Iterable[Sequence[object]]) -> None:
    """An Excel file with one sheet, called as CSIQ's is."""
    book = pytest.importorskip("openpyxl", reason="making a workbook needs openpyxl").Workbook()
    sheet = book.active
    sheet.title = "all_by_image"
    for row in rows:
        sheet.append(row)
    path.parent.mkdir(parents=True, exist_ok=True)
    book.save(path)


def save_mat(path: Path, **variables: object) -> None:
    """A MATLAB file of version 5."""
    io_module = pytest.importorskip("scipy.io", reason="making a MATLAB file needs SciPy")
    io_module.savemat(path, variables)


def cells(texts: Iterable[str]) -> np.ndarray[tuple[int], np.dtype[np.object_]]:
    """A MATLAB cell array of strings."""
    texts = list(texts)
    array = np.empty(len(texts), object)
    array[:] = texts
    return array
