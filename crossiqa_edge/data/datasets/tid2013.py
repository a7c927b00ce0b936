"""TID2013: 25 references x 24 distortion types x 5 levels, as released.

N. Ponomarenko et al., "Image database TID2013: Peculiarities, results and perspectives", Signal
Processing: Image Communication 30 (2015) 57-77.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from crossiqa_edge.data.datasets.base import Band, QualitySet, Sample
from crossiqa_edge.data.datasets.release import PictureFolder, find, quality_set, unit_score
from crossiqa_edge.data.datasets.tables import read_lines
from crossiqa_edge.errors import DatasetError

NAME = "TID2013"
NATIVE_RANGE = (0.0, 9.0)

# By number. A type that can be rebuilt is called what the registry calls it (a test holds them together).
TYPES: dict[int, tuple[str, Band]] = {
    1: ("tid_white_noise", "high"),
    2: ("tid_colour_noise", "high"),
    3: ("tid_correlated_noise", "high"),
    4: ("tid_masked_noise", "high"),
    5: ("tid_high_frequency_noise", "high"),
    6: ("tid_impulse_noise", "high"),
    7: ("tid_quantization", "mixed"),
    8: ("tid_gaussian_blur", "low"),
    9: ("tid_denoising", "mixed"),
    10: ("tid_jpeg", "high"),
    11: ("tid_jpeg2000", "mixed"),
    12: ("tid_jpeg_transmission", "high"),
    13: ("tid_jpeg2000_transmission", "mixed"),
    14: ("tid_non_eccentricity_pattern", "high"),
    15: ("tid_colour_block", "low"),
    16: ("tid_mean_shift", "low"),
    17: ("tid_contrast", "low"),
    18: ("tid_desaturation", "low"),
    19: ("tid_multiplicative_noise", "high"),
    20: ("tid_comfort_noise", "high"),
    21: ("tid_compressed_noise", "high"),
    22: ("tid_dithered_colours", "mixed"),
    23: ("tid_chromatic_aberration", "mixed"),
    24: ("tid_sparse_sampling", "mixed"),
}
_FILE = re.compile(r"(i\d\d)_(\d\d)_(\d)\.bmp")
_HINT = "give the folder that TID2013's archive unpacks to"


def tid2013(root: str | os.PathLike[str]) -> QualitySet:
    """The released set: ``mos_with_names.txt`` (MOS and file name) beside ``distorted_images/``.

    Returns:
        3,000 samples; ``level`` is the release's own number, which is severity: PSNR falls with it, though
        people like the contrast that type 17 raises at levels 2 and 4.

    Raises:
        DatasetError: another folder, a missing picture, or a table that is not the release's.
    """
    folder = Path(root)
    table = find(folder, ["mos_with_names.txt"], _HINT)
    pictures = PictureFolder(find(folder, ["distorted_images"], _HINT))

    def samples() -> Iterator[Sample]:
        for line_number, line in read_lines(table):
            where = f"{table}:{line_number}"
            mos, _, name = line.strip().partition(" ")
            match = _FILE.fullmatch(name.strip().casefold())  # both i25_01_1.bmp and I25_01_1.BMP occur
            if match is None or int(match[2]) not in TYPES:
                raise DatasetError(f"{where}: not a MOS and a file name of TID2013; give the release's table")
            distortion, band = TYPES[int(match[2])]
            yield Sample(
                key=match[0],
                score=unit_score(mos, NATIVE_RANGE, where),
                reference=match[1],
                load=pictures[match[0]],
                distortion=distortion,
                level=int(match[3]),
                band=band,
            )

    return quality_set(NAME, samples(), NATIVE_RANGE, table)
