"""Where TID2013 cut its 512 x 384 references 1..16 out of the Kodak pictures.

The release does not say. But it publishes the PSNR of every distorted picture to a ten-thousandth of a dB,
and its mean shifts clip as many samples as the crop has dark and bright ones: only one corner of each Kodak
picture gives all five mean shifts and all five Gaussian blurs the published PSNR.
"""

from __future__ import annotations

from crossiqa_edge.errors import DatasetError
from crossiqa_edge.imaging.sampling import Frame

WIDTH, HEIGHT = 512, 384

CORNERS: dict[int, tuple[int, int]] = {  # reference: (top, left)
    1: (126, 104),
    2: (30, 83),
    3: (44, 73),
    4: (206, 0),
    5: (21, 104),
    6: (43, 66),
    7: (93, 153),
    8: (4, 71),
    9: (292, 0),
    10: (337, 0),
    11: (55, 252),
    12: (40, 131),
    13: (41, 119),
    14: (93, 147),
    15: (56, 236),
    16: (8, 121),
}


def tid_reference(kodak: Frame, number: int) -> Frame:
    """TID2013's reference ``number`` (1..16) from the whole Kodak picture of that number.

    Args:
        kodak: uint8 (512, 768, 3) or (768, 512, 3).

    Returns:
        uint8 (384, 512, 3).

    Raises:
        DatasetError: another size, or a reference whose corner is not known.
    """
    if number not in CORNERS:
        raise DatasetError(f"the crop of TID2013's reference {number} is not known; use references 1 to 16")
    if sorted(kodak.shape[:2]) != [512, 768]:
        height, width = kodak.shape[:2]
        raise DatasetError(f"{width} x {height} pixels are no Kodak picture; give the 768 x 512 originals")
    top, left = CORNERS[number]
    return kodak[top : top + HEIGHT, left : left + WIDTH]
