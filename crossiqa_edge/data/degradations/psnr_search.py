"""Degrade until a given PSNR is met: how TID2013 set the levels of most of its types."""

from __future__ import annotations

from collections.abc import Callable

from crossiqa_edge.data.fidelity import psnr
from crossiqa_edge.imaging.sampling import Frame

MOST_STEPS = 10
TOLERANCE = 0.03  # dB; TID2013's own pictures lie within about 0.05 dB of their targets
_DB_PER_UNIT = 6.02  # what doubling the error costs


def at_psnr(
    image: Frame, render: Callable[[float], Frame], target: float, mild: float, strong: float
) -> Frame:
    """``render(strength)`` at the strength whose PSNR against ``image`` is nearest to ``target``.

    Args:
        image: the original, uint8 (H, W, 3).
        render: makes a picture of ``image``'s shape; a further unit of strength about doubles the error.
            It must keep its noise from call to call.
        target: PSNR over R, G and B in dB.
        mild, strong: the range of strengths; where it does not reach the target, its nearer end is taken,
            within a thousandth of the range.

    Returns:
        the nearest of at most ``MOST_STEPS`` renderings: Newton's steps with the slope known beforehand,
        halving the bracket where they would leave it.
    """
    nearest, nearest_gap = image, float("inf")
    strength = (mild + strong) / 2
    for _ in range(MOST_STEPS):
        picture = render(strength)
        gap = psnr(image, picture) - target
        if abs(gap) <= nearest_gap:
            nearest, nearest_gap = picture, abs(gap)
        if nearest_gap <= TOLERANCE:
            break
        mild, strong = (strength, strong) if gap > 0 else (mild, strength)
        step = strength + gap / _DB_PER_UNIT
        strength = step if mild < step < strong else (mild + strong) / 2
    return nearest
