"""The stored scores of a bundle against those that its model gives on this device.

Both scripts of a bundle stand on this file, once they have found it to be the one that was packed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from crossiqa_edge.runtime.scorer import Scorer


def agrees(scorer: Scorer, folder: Path, bundle: Mapping[str, Any]) -> bool:
    """Score the pictures of the bundle in ``folder``, print one line each and a verdict.

    Args:
        scorer: the model, opened with what is to be judged.
        folder: where the bundle lies.
        bundle: its ``bundle.json``.

    Returns:
        Whether no score is further from the stored one than the bundle's tolerance.

    Raises:
        CrossIQAError: a picture could not be scored.
    """
    differences = [_compare(scorer, folder, picture) for picture in bundle["scores"]]
    worst, limit = max(differences), bundle["tolerance"]
    verdict = all(difference <= limit for difference in differences)  # of no number, nothing holds
    print(f"{'agrees' if verdict else 'DIFFERS'}: at most {worst:.3f} points of 100, allowed are {limit}")
    return verdict


def _compare(scorer: Scorer, folder: Path, picture: Mapping[str, Any]) -> float:
    """Points between the score of a picture here and the stored one."""
    value = scorer.score(folder / picture["picture"]).value
    difference = abs(value - picture["score"])
    print(f"{picture['picture']:<28} {value:8.3f}  stored {picture['score']:8.3f}  off by {difference:.3f}")
    return float(difference)
